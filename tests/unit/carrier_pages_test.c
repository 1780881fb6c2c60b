/* SPDX-License-Identifier: Apache-2.0 */
/* Pages one after the other (carrier/pages.c): the next one is got while one is sent, and is sent
 * only where the cursor is by then. */

#include "../support/carrying.h"

#include "carrier/page.h"

#define ITEMS 9
#define SENT_MAX 32
#define MANY 300

static struct carried_server_ops two_at_once;

/* What is sent by the carrier that is looked at, and what happens meanwhile. */
static struct {
    struct carried_link links[SENT_MAX];
    int count;
    int fails_at;                  /* which of them is not answered; -1: none */
    void (*meanwhile)(int number); /* while that one is under way */
    bool within;
} sent;

static int64_t cursor_now(void)
{
    static struct carrying_ledger ledger;
    ledger = (struct carrying_ledger){0};
    carrying_ledger_entry(&ledger);
    return ledger.record.serving.cursor;
}

/* A page begins where the cursor is, whenever it is sent: whatever is before it was noted. */
static enum fh_code send_and_look(struct carried_server *base, const struct fh_derived *declared,
                                  const struct carried_name *name, struct carried_page *page,
                                  struct fh_error *error)
{
    if (sent.within)
        return memory_send(base, declared, name, page, error);
    assert_true(sent.count < SENT_MAX);
    int number = sent.count++;
    sent.links[number] = page->link;
    sent.within = true;
    assert_int_equal(page->link.from, cursor_now());
    for (int i = 0; i < 20; i++)
        fiber_yield(); /* so the page ahead is there */
    if (sent.meanwhile)
        sent.meanwhile(number);
    enum fh_code code = number == sent.fails_at ? error_set(error, FH_UNAVAILABLE, "It is away.")
                                                : memory_send(base, declared, name, page, error);
    sent.within = false;
    return code;
}

static int pages_set_up(void **state)
{
    carrying_set_up(state);
    two_at_once = memory_ops;
    two_at_once.page_ops = 2;
    two_at_once.send = send_and_look;
    return 0;
}

static void look_at_sends(void)
{
    carrying.server->base.ops = &two_at_once;
    memset(&sent, 0, sizeof sent);
    sent.fails_at = -1;
}

/* Each in a unit of work, so that a page has two. */
static void put_items(int first, int count, const char *name)
{
    for (int i = first; i < first + count; i++)
        carrying_item((const char[]){(char)('a' + i), '\0'}, name);
}

static void begin_with_items(void)
{
    carrying_settle(0);
    carrying_settle(1);
    put_items(0, ITEMS, "new");
    look_at_sends();
}

static void assert_all_found(void)
{
    sent.fails_at = -1;
    sent.meanwhile = NULL;
    sent.within = true;
    carrying_settle(0);
    carrying_assert_found(carrying_expected());
}

static void pages_follow_each_other_in_one_turn(void **state)
{
    (void)state;
    begin_with_items();
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.count, (ITEMS + 1) / 2);
    for (int i = 1; i < sent.count; i++)
        assert_int_equal(sent.links[i].from, sent.links[i - 1].to);
    assert_int_equal(sent.links[sent.count - 1].to, carrying_ledger(NULL)->position);
    assert_all_found();
    carrying_restart(0);
    assert_all_found(); /* which walks */
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
}

static void pages_that_end_by_their_size_do_so_too(void **state)
{
    (void)state;
    begin_with_items();
    two_at_once.page_ops = 0;
    two_at_once.page_size = 1; /* so each event is one */
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.count, ITEMS);
    assert_int_equal(sent.links[ITEMS - 1].to, carrying_ledger(NULL)->position);
    assert_all_found();
}

/* More events than are read at once. */
static void a_page_that_is_read_in_slices_is_whole(void **state)
{
    char name[16];
    (void)state;
    begin_with_items();
    two_at_once.page_ops = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "again %d", i);
        carrying_item("a", name);
    }
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.links[0].to, carrying_ledger(NULL)->position);
    assert_all_found();
}

/* ---- What a server writes of pages ---- */

static struct {
    int count, made, gone; /* made: of memory that no page had before */
    bool lacks_memory;
} written;

static void *write_for_memory(const struct fh_derived *declared, const struct carried_name *name,
                              struct carried_page *page, void *spare)
{
    assert_true(declared && name->number && page->link.to > page->link.from && !page->written);
    if (written.lacks_memory)
        return NULL;
    written.count++;
    written.made += !spare;
    struct carried_link *link = spare ? spare : malloc(sizeof *link);
    assert_non_null(link);
    *link = page->link;
    return link;
}

static void unwrite_for_memory(void *what)
{
    written.gone++;
    free(what);
}

static enum fh_code send_written(struct carried_server *base, const struct fh_derived *declared,
                                 const struct carried_name *name, struct carried_page *page,
                                 struct fh_error *error)
{
    const struct carried_link *link = page->written;
    assert_true(written.lacks_memory ? !link : link->to == page->link.to);
    return send_and_look(base, declared, name, page, error);
}

static void look_at_what_is_written(void)
{
    memset(&written, 0, sizeof written);
    begin_with_items();
    two_at_once.write = write_for_memory;
    two_at_once.unwrite = unwrite_for_memory;
    two_at_once.send = send_written;
}

/* Else a loop whose turns are long would have its outbox read more slowly than it is filled. */
static void a_slice_is_the_larger_the_longer_the_loops_turns_are(void **state)
{
    const size_t size = (size_t)128 << 10;
    const int64_t took_ns = 400000, ms = 1000000;
    (void)state;
    assert_int_equal(carried_slice_size(size, took_ns, 0), size);
    assert_int_equal(carried_slice_size(size, took_ns, 2 * took_ns), size);
    assert_int_equal(carried_slice_size(size, took_ns, 8 * ms), 10 * size);
    assert_int_equal(carried_slice_size(10 * size, 10 * took_ns, 8 * ms), 10 * size);
    assert_int_equal(carried_slice_size(10 * size, 10 * took_ns, ms), 160 << 10);
    assert_int_equal(carried_slice_size(size, took_ns, 1000 * ms), 10 * size);
    assert_int_equal(carried_slice_size(1000 * size, took_ns, 1000 * ms), CARRIED_SIZE_MAX);
    assert_int_equal(carried_slice_size(100, 0, ms), size);
}

static void what_is_written_of_a_page_is_sent_and_gone(void **state)
{
    (void)state;
    look_at_what_is_written();
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.count, (ITEMS + 1) / 2);
    assert_int_equal(written.count, sent.count);
    assert_in_range(written.made, 1, 3); /* under way, ahead, and spent */
    assert_int_equal(written.gone, written.made);
    assert_all_found();
}

/* It was made, and is of no use. */
static void what_is_written_behind_an_unanswered_page_is_gone(void **state)
{
    (void)state;
    look_at_what_is_written();
    sent.fails_at = 1;
    assert_int_equal(carrying_turn(0).code, FH_UNAVAILABLE);
    assert_int_equal(sent.count, 2);
    assert_int_equal(written.count, 3);
    assert_all_found();
    assert_int_equal(written.gone, written.made);
}

static void a_page_that_is_not_written_is_sent_all_the_same(void **state)
{
    (void)state;
    look_at_what_is_written();
    written.lacks_memory = true;
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(written.made + written.gone, 0);
    assert_all_found();
}

static void what_follows_an_unanswered_page_is_not_sent(void **state)
{
    (void)state;
    begin_with_items();
    sent.fails_at = 1;
    assert_int_equal(carrying_turn(0).code, FH_UNAVAILABLE);
    assert_int_equal(sent.count, 2);
    assert_int_equal(carrying_ledger(NULL)->record.serving.cursor, sent.links[0].to);
    sent.fails_at = -1;
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.links[2].from, sent.links[0].to);
    assert_all_found();
}

static void carry_all_with_the_other(int number)
{
    struct carrying_turn turn = {.carrier = 1};
    if (number)
        return;
    carrying_turn_entry(&turn);
    assert_int_equal(turn.code, FH_OK);
}

static void what_another_carrier_has_sent_meanwhile_is_not_sent(void **state)
{
    (void)state;
    begin_with_items();
    sent.meanwhile = carry_all_with_the_other;
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.count, 1);
    assert_all_found();
}

static void lose_all(int number)
{
    if (number == 1)
        memory_empty(carrying.server);
}

static void after_a_generation_is_gone_none_is_sent_to_it(void **state)
{
    (void)state;
    begin_with_items();
    sent.meanwhile = lose_all;
    carrying_turn(0);
    assert_int_equal(sent.count, 2);
    assert_all_found();
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
}

/* More of them than may be noted: the cursor stays. */
static void what_follows_a_refused_page_is_not_sent(void **state)
{
    char key[16];
    (void)state;
    begin_with_items();
    two_at_once.page_ops = CARRIED_PARKED_MAX + 1;
    for (int i = 0; i < 2 * CARRIED_PARKED_MAX; i++) {
        snprintf(key, sizeof key, "k%d", i);
        carrying_item(key, "bad");
    }
    struct carrying_turn turn;
    while ((turn = carrying_turn(0)).code == FH_OK && turn.more)
        ;
    assert_int_equal(turn.code, FH_UNSUPPORTED);
    assert_int_equal(carrying_ledger(NULL)->record.serving.cursor, sent.links[sent.count - 1].from);
}

static void trim_beyond(int number)
{
    static struct carrying_ledger ledger;
    if (number)
        return;
    ledger = (struct carrying_ledger){0};
    carrying_ledger_entry(&ledger);
    ledger.trim = ledger.position - 1;
    carrying_ledger_entry(&ledger);
}

/* What is ahead was read before, and is what the outbox had. */
static void an_outbox_that_is_trimmed_meanwhile_spoils_nothing(void **state)
{
    (void)state;
    begin_with_items();
    sent.meanwhile = trim_beyond;
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.count, 2);
    assert_all_found();
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, 2);
}

static void put_more(int number)
{
    if (number == 1)
        carrying_put_here("a", NULL);
}

static void what_is_removed_while_pages_are_sent_stays_removed(void **state)
{
    (void)state;
    begin_with_items();
    sent.meanwhile = put_more;
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_all_found();
}

/* ---- Facts that the server alone has ---- */

static void begin_another_life(int number)
{
    if (number == 1)
        carrying_ledger_entry(&(struct carrying_ledger){.renew = true});
}

static void put_facts(int count)
{
    for (int i = 0; i < count; i++)
        carrying_fact("d", 1000 + i, i);
}

/* 24 */
static void what_was_read_in_another_life_is_not_sent(void **state)
{
    (void)state;
    carrying_begin_kept(CARRYING_SOLD);
    carrying_settle(0);
    put_facts(ITEMS);
    look_at_sends();
    sent.meanwhile = begin_another_life;
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.count, 2);
    assert_int_equal(carrying_ledger(NULL)->record.serving.cursor, sent.links[0].to);
    sent.meanwhile = NULL;
    carrying_settle(0);
    assert_int_equal(carrying_ledger(NULL)->record.serving.cursor, carrying_ledger(NULL)->position);
}

static void kept_facts_follow_each_other_in_one_turn(void **state)
{
    (void)state;
    carrying_begin_kept(CARRYING_SOLD);
    carrying_settle(0);
    put_facts(ITEMS);
    look_at_sends();
    assert_int_equal(carrying_turn(0).code, FH_OK);
    assert_int_equal(sent.count, (ITEMS + 1) / 2);
    for (int i = 1; i < sent.count; i++) {
        assert_int_equal(sent.links[i].from, sent.links[i - 1].to);
        assert_string_equal(sent.links[i].from_id, sent.links[i - 1].to_id);
    }
}

#define PAGES_TEST(name) cmocka_unit_test_setup_teardown(name, pages_set_up, carrying_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAGES_TEST(pages_follow_each_other_in_one_turn),
        PAGES_TEST(pages_that_end_by_their_size_do_so_too),
        PAGES_TEST(a_page_that_is_read_in_slices_is_whole),
        PAGES_TEST(a_slice_is_the_larger_the_longer_the_loops_turns_are),
        PAGES_TEST(what_is_written_of_a_page_is_sent_and_gone),
        PAGES_TEST(what_is_written_behind_an_unanswered_page_is_gone),
        PAGES_TEST(a_page_that_is_not_written_is_sent_all_the_same),
        PAGES_TEST(what_follows_an_unanswered_page_is_not_sent),
        PAGES_TEST(what_another_carrier_has_sent_meanwhile_is_not_sent),
        PAGES_TEST(after_a_generation_is_gone_none_is_sent_to_it),
        PAGES_TEST(what_follows_a_refused_page_is_not_sent),
        PAGES_TEST(an_outbox_that_is_trimmed_meanwhile_spoils_nothing),
        PAGES_TEST(what_is_removed_while_pages_are_sent_stays_removed),
        PAGES_TEST(what_was_read_in_another_life_is_not_sent),
        PAGES_TEST(kept_facts_follow_each_other_in_one_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
