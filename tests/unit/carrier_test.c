/* SPDX-License-Identifier: Apache-2.0 */
/* Carriers of derived stores, rule by rule (docs/internals/carriers.md), with a server in memory
 * that is away, loses what it had, and does things late. carrier_random_test.c does that by chance.
 */

#include "../support/carrying.h"

#include "carrier/walk.h"
#include "event/outbox/trim.h"
#include "store/engine.h"

/* ---- Carrying ---- */

static void what_is_derived_is_found_once_it_is_carried(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_assert_not_asked();
    carrying_settle(0);
    carrying_assert_found("a=apple ");
    carrying_item("b", "bread");
    carrying_item("a", NULL);
    carrying_assert_found("a=apple ");
    carrying_settle(0);
    carrying_assert_found("b=bread ");
    int sends = carrying.server->sends;
    carrying_settle(0);
    assert_int_equal(carrying.server->sends, sends);
}

static void a_page_of_which_nothing_is_known_is_sent_again(void **state)
{
    (void)state;
    carrying_settle(0);
    for (int fault = MEMORY_AWAY; fault <= MEMORY_LATER; fault++) {
        char name[16];
        snprintf(name, sizeof name, "name%d", fault);
        carrying_item("a", name);
        carrying_item("b", name);
        int64_t cursor = carrying_ledger(NULL)->record.serving.cursor;
        carrying.server->fault = (enum memory_fault)fault;
        assert_int_not_equal(carrying_turn(0).code, FH_OK);
        assert_int_equal(carrying_ledger(NULL)->record.serving.cursor, cursor); /* 1 */
        carrying_settle(0);
        while (memory_deliver(carrying.server))
            ;
        carrying_assert_found(carrying_expected());
    }
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
}

/* 4 to 6 */
static void what_is_removed_stays_removed_when_a_request_is_late(void **state)
{
    (void)state;
    carrying_settle(0);
    carrying_item("a", "apple");
    carrying.server->fault = MEMORY_LATER;
    assert_int_equal(carrying_turn(0).code, FH_OUTCOME_UNKNOWN);
    carrying_item("a", NULL);
    carrying_settle(0);
    carrying_assert_found("");
    assert_true(memory_deliver(carrying.server));
    carrying_assert_found("");
}

/* The second carrier does a whole turn while the first one's page is under way. */
static void carry_meanwhile(struct memory_server *server, bool done)
{
    struct carrying_turn turn = {.carrier = 1};
    server->between = NULL;
    if (!done) {
        carrying_put_here("b", "bread");
        carrying_turn_entry(&turn);
        FH_ASSERT(turn.code == FH_OK);
    }
}

/* 2 */
static void a_cursor_only_rises(void **state)
{
    (void)state;
    carrying_settle(0);
    carrying_settle(1);
    uint64_t pages = carrying.carriers[0].counters.pages;
    carrying_item("a", "apple");
    carrying.server->between = carry_meanwhile;
    assert_int_equal(carrying_turn(0).code, FH_OK);
    const struct carrying_ledger *ledger = carrying_ledger(NULL);
    assert_int_equal(ledger->record.serving.cursor, ledger->position);
    assert_int_equal(carrying.carriers[0].counters.pages, pages); /* it noted nothing */
    carrying_restart(0);
    carrying_settle(0); /* which walks */
    carrying_assert_found("a=apple b=bread ");
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
}

/* ---- Noticing ---- */

static void a_server_that_was_emptied_is_noticed_and_filled_anew(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    int64_t number = carrying_ledger(NULL)->record.serving.name.number;
    memory_empty(carrying.server);
    carrying_assert_not_asked();
    carrying_restart(0);
    carrying_settle(0);
    carrying_assert_found("a=apple ");
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, number + 1);
}

/* 8: a page that was sent since hides nothing. */
static void a_hole_stays_visible(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    memory_back_up(carrying.server);
    carrying_item("b", "bread");
    carrying_settle(0);
    memory_restore(carrying.server);
    carrying_item("c", "cheese");
    carrying_settle(0);
    carrying_assert_found("a=apple c=cheese "); /* nobody has looked yet */
    carrying_restart(0);
    carrying_turn(0);
    carrying_assert_not_asked();
    carrying_settle(0);
    carrying_assert_found("a=apple b=bread c=cheese ");
}

/* 11: a part of them in each turn. */
static void pages_are_carried_while_many_links_are_walked(void **state)
{
    struct carried_server_ops ops = memory_ops;
    char name[16];
    (void)state;
    ops.look_links = 3;
    carrying.server->base.ops = &ops;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "apple%d", i);
        carrying_item("a", name);
        carrying_settle(0);
    }
    carrying_restart(0);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "bread%d", i);
        carrying_item("b", name);
        assert_true(carrying_turn(0).more);
        carrying_assert_found(carrying_expected());
        assert_int_equal(carrying.carriers[0].counters.walks, 0);
        carrying.server->away = true; /* it goes on from where it was */
        carrying_turn(0);
        carrying.server->away = false;
    }
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.walks, 1);
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
    memory_back_up(carrying.server);
    carrying_item("c", "cheese");
    carrying_settle(0);
    memory_restore(carrying.server);
    carrying_item("d", "dill");
    carrying_restart(0);
    for (int i = 0; i < 3; i++)
        carrying_turn(0);
    assert_int_equal(carrying.carriers[0].counters.lost, 0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
    carrying_assert_found(carrying_expected());
}

static void a_server_that_shows_the_same_links_again_is_not_asked_for_ever(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    carrying_item("b", "bread");
    carrying_settle(0);
    carrying.server->repeats_links = true;
    carrying.server->generations[0].link_count--;
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
    carrying_assert_found("a=apple b=bread ");
}

static void a_generation_that_lost_all_while_it_is_filled_is_begun_again(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_turn(0);
    assert_true(carrying_ledger(NULL)->record.filling.cursor >
                carrying_ledger(NULL)->record.filling.began);
    memory_empty(carrying.server);
    carrying_settle(0);
    carrying_assert_found("a=apple ");
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
}

/* ---- The outbox ---- */

static void what_was_trimmed_before_it_was_carried_makes_it_anew(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    carrying_item("b", "bread");
    carrying_item("c", "cheese");
    const struct carrying_ledger *ledger = carrying_ledger(NULL);
    assert_int_equal(ledger->needed, ledger->position - 2);
    carrying_ledger(&(struct carrying_ledger){.trim = ledger->position - 1});
    carrying_settle(0);
    carrying_assert_found("a=apple b=bread c=cheese ");
}

struct trimming {
    int64_t removed;
    enum fh_code code;
};

static enum fh_code needed_of_items(struct work_context *context, struct store_work *work,
                                    int64_t *ret, int64_t *ret_held, struct fh_error *error)
{
    (void)context;
    *ret_held = INT64_MAX;
    return carried_needed(work, "items", ret, error);
}

static void trim_entry(void *argument)
{
    struct trimming *trimming = argument;
    struct work_context *context = &carrying.fixture->context;
    struct retention retention = retention_of(NULL);
    struct fh_error error;
    bool more;
    context->events = event_manager_new(context);
    retention.events_kept_ms = 0;
    trimming->code = event_trim(context->events, &retention, NULL, &more, &error);
    trimming->removed = context->events->trimmed.removed;
    event_manager_drain(context->events);
    event_manager_free(context->events);
    context->events = NULL;
}

/* 3 */
static void the_outbox_is_held_until_it_is_carried(void **state)
{
    static const struct work_carried carried = {.declared = 1, .needed = needed_of_items};
    struct trimming trimming = {0};
    (void)state;
    carrying.fixture->context.carried = &carried;
    carrying_settle(0);
    carrying_item("a", "apple");
    carrying_settle(0);
    carrying_item("b", "bread");
    carrying_item("c", "cheese");
    const struct carrying_ledger *ledger = carrying_ledger(NULL);
    int64_t left = ledger->position - ledger->needed;
    assert_int_equal(left, 2);
    harness_run(&carrying.fixture->harness, trim_entry, &trimming);
    assert_int_equal(trimming.code, FH_OK);
    assert_int_equal(trimming.removed, ledger->position - left);
    carrying_settle(0);
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, 1);
    carrying_assert_found("a=apple b=bread c=cheese ");
    harness_run(&carrying.fixture->harness, trim_entry, &trimming);
    assert_int_equal(trimming.removed, left);
}

/* 3: one that is behind what is trimmed, and served, does not hide what another one needs. */
static void the_outbox_is_held_for_the_one_that_replaces_what_was_cut(void **state)
{
    static const struct work_carried carried = {.declared = 1, .needed = needed_of_items};
    struct trimming trimming = {0};
    (void)state;
    carrying.fixture->context.carried = &carried;
    carrying_item("a", "apple");
    carrying_settle(0);
    carrying_item("b", "bread");
    carrying_item("c", "cheese");
    int64_t position = carrying_ledger(NULL)->position;
    carrying_ledger(&(struct carrying_ledger){.trim = position - 1});
    carrying.server->fault = MEMORY_AWAY;
    assert_int_equal(carrying_turn(0).code, FH_UNAVAILABLE);
    carrying_item("d", "dates");
    assert_int_equal(carrying_ledger(NULL)->needed, position);
    harness_run(&carrying.fixture->harness, trim_entry, &trimming);
    assert_int_equal(trimming.code, FH_OK);
    carrying_settle(0);
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, 2);
    carrying_assert_found("a=apple b=bread c=cheese d=dates ");
}

struct appending {
    int version;
    const char *data;
};

static void append_entry(void *argument)
{
    const struct appending *appending = argument;
    struct store_work *work;
    struct fh_error error;
    struct ledger_event event = {.time_ms = 1,
                                 .version = appending->version,
                                 .id = "0199aaaa-0000-7000-8000-000000000000",
                                 .type = CARRIED_TYPE,
                                 .key = CARRIED_TYPE,
                                 .data = appending->data};
    FH_ASSERT(store_begin(carrying.fixture->context.store, STORE_WRITE_EXCLUSIVE, &work, &error) ==
              FH_OK);
    FH_ASSERT(ledger_outbox_append(work, &event, &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static void nothing_is_carried_past_what_can_t_be_read(void **state)
{
    static const struct appending cases[] = {
        {2, "{\"ops\":[]}"},
        {1, "{\"ops\":["},
        {1, "{}"},
        {1, "{\"ops\":[{\"key\":\"a\"}]}"},
        {1, "{\"ops\":[{\"name\":\"others\",\"key\":7}]}"},
        {1, "{\"ops\":[{\"name\":\"items\",\"key\":\"a\",\"value\":7}]}"},
        {1, "{\"generation\":7,\"ops\":[]}"},
        {1, "{\"generation\":[\"0199\"],\"ops\":[]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct appending appending = cases[i];
        carrying_tear_down(state);
        carrying_set_up(state);
        carrying_settle(0);
        int64_t cursor = carrying_ledger(NULL)->record.serving.cursor;
        harness_run(&carrying.fixture->harness, append_entry, &appending);
        carrying_item("b", "bread");
        struct carrying_turn turn = carrying_turn(0);
        if (turn.code != FH_UNSUPPORTED || !strstr(turn.error.message, "can't be read"))
            fail_msg("case %zu", i);
        assert_int_equal(carrying_ledger(NULL)->record.serving.cursor, cursor);
        assert_int_equal(carrying_ledger(NULL)->needed, cursor);
    }
}

/* ---- The owner ---- */

static void assert_nothing_is_carried(void)
{
    int sends = carrying.server->sends, searches = carrying.server->searches;
    const struct carried_record before = carrying_ledger(NULL)->record;
    assert_int_equal(carrying_turn(0).code, FH_UNSUPPORTED);
    assert_int_equal(carrying_make_anew(), FH_UNSUPPORTED);
    assert_int_equal(carrying_ask().code, FH_UNSUPPORTED);
    assert_int_equal(carrying.server->sends, sends);
    assert_int_equal(carrying.server->searches, searches);
    assert_int_equal(memory_count(carrying.server), before.serving.name.number ? 1 : 0);
    assert_memory_equal(&carrying_ledger(NULL)->record, &before, sizeof before);
}

static void a_copy_of_a_store_carries_nothing(void **state)
{
    (void)state;
    carrying.fixture->context.serves = false;
    carrying_item("a", "apple");
    assert_nothing_is_carried();
    carrying.fixture->context.serves = true;
    carrying_settle(0);
    carrying.fixture->context.serves = false;
    carrying_item("a", "avocado");
    assert_nothing_is_carried();
}

/* 22 */
static void a_former_life_s_generation_is_not_asked(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    const struct carried_record before = carrying_ledger(NULL)->record;
    carrying_ledger(&(struct carrying_ledger){.renew = true, .restored = true});
    carrying_assert_not_asked();
    assert_true(carrying_ledger(NULL)->needed == INT64_MAX);
    carrying_settle(0);
    carrying_assert_found("a=apple ");
    const struct carried_record *after = &carrying_ledger(NULL)->record;
    assert_true(carried_name_compare(&before.serving.name, &after->serving.name) < 0);
    assert_string_not_equal(before.serving.name.incarnation, after->serving.name.incarnation);
}

static void an_owner_that_was_moved_goes_on(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    const struct carried_record before = carrying_ledger(NULL)->record;
    carrying_ledger(&(struct carrying_ledger){.renew = true});
    carrying_assert_found("a=apple ");
    carrying_item("b", "bread");
    carrying_settle(0);
    carrying_assert_found("a=apple b=bread ");
    assert_int_equal(
        carried_name_compare(&before.serving.name, &carrying_ledger(NULL)->record.serving.name), 0);
}

/* ---- Questions ---- */

/* What it asks is dropped, and made again by a request that is late. */
static void switch_meanwhile(struct memory_server *server, bool done)
{
    struct carrying_turn turn = {.carrier = 1};
    struct fh_error error;
    struct carried_name old = server->generations[0].name;
    (void)done;
    server->between = NULL;
    FH_ASSERT(carrier_make_anew(&carrying.carriers[1], &error) == FH_OK);
    do
        carrying_turn_entry(&turn);
    while (turn.more && turn.code == FH_OK);
    FH_ASSERT(!memory_find(server, &old, false));
    memory_find(server, &old, true);
}

/* 20 */
static void a_question_is_asked_again_where_another_serves_meanwhile(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    int searches = carrying.server->searches;
    carrying.server->between = switch_meanwhile;
    carrying_assert_found("a=apple ");
    assert_int_equal(carrying.server->searches, searches + 2);
}

/* ---- Parks ---- */

/* 21 */
static void what_the_server_refuses_is_noted_until_a_later_one_is_taken(void **state)
{
    (void)state;
    carrying_settle(0);
    carrying_item("a", "bad apple");
    carrying_item("b", "bread");
    carrying_settle(0);
    carrying_assert_found("b=bread ");
    const struct carried_generation *serving = &carrying_ledger(NULL)->record.serving;
    assert_int_equal(serving->parked_count, 1);
    assert_string_equal(serving->parked[0].key, "a");
    assert_string_equal(serving->parked[0].reason, "It is of a kind that is not taken.");
    assert_int_equal(carrying_make_anew(), FH_OK);
    carrying_settle(0);
    assert_int_equal(carrying_ledger(NULL)->record.serving.parked_count, 1); /* its own */
    carrying_item("a", "bad again");
    carrying_settle(0);
    assert_int_equal(carrying_ledger(NULL)->record.serving.parked_count, 1);
    carrying_item("a", "apple");
    carrying_settle(0);
    assert_int_equal(carrying_ledger(NULL)->record.serving.parked_count, 0);
    carrying_assert_found("a=apple b=bread ");
}

static void a_server_that_refuses_everything_is_sent_no_more(void **state)
{
    (void)state;
    carrying_settle(0);
    int64_t cursor = carrying_ledger(NULL)->record.serving.cursor;
    for (int i = 0; i <= CARRIED_PARKED_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        carrying_item(key, "bad");
    }
    struct carrying_turn turn = carrying_turn(0);
    assert_int_equal(turn.code, FH_UNSUPPORTED);
    assert_non_null(strstr(turn.error.message, "not taken"));
    assert_int_equal(carrying_ledger(NULL)->record.serving.cursor, cursor);
    assert_int_equal(carrying_ledger(NULL)->needed, cursor);
}

/* ---- The record ---- */

static void what_the_ledger_knows_is_read_as_it_was_written(void **state)
{
    (void)state;
    static struct carrying_ledger ledger;
    struct carried_generation *serving = &ledger.record.serving;
    ledger = (struct carrying_ledger){.write = true, .record = {.last = 9}};
    *serving = (struct carried_generation){.name = {"0199", 8},
                                           .digest = "d",
                                           .began = 1,
                                           .cursor = 7,
                                           .listed = true,
                                           .filled = true,
                                           .lost = true,
                                           .parked_count = CARRIED_PARKED_MAX};
    for (int i = 0; i < CARRIED_PARKED_MAX; i++) {
        struct carried_parked *parked = &serving->parked[i];
        memset(parked->key, '\1', DERIVED_KEY_LENGTH_MAX); /* six bytes each as JSON */
        parked->key[0] = (char)('0' + i);
        memset(parked->reason, '"', sizeof parked->reason - 1);
        parked->position = i;
    }
    ledger.record.filling = *serving;
    ledger.record.filling.name.number = 9;
    const struct carried_record *read = &carrying_ledger(&ledger)->record;
    assert_memory_equal(read, &ledger.record, sizeof *read);
}

/* ---- Walking ---- */

struct walk_case {
    int64_t began, cursor;
    struct carried_link links[5];
    bool whole;
};

static void a_chain_leads_from_the_cursor_to_the_beginning(void **state)
{
    enum { SPAN = CARRIED_SPAN_MAX };
    static const struct walk_case cases[] = {
        {0, 0, {{0, 0}}, true},
        {0, 5, {{0, 5}}, true},
        {0, 5, {{1, 5}}, false},
        {0, 5, {{0, 3}, {2, 5}}, false},
        {0, 5, {{0, 2}, {0, 3}, {2, 5}}, true},
        {0, 6, {{0, 2}, {2, 5}}, false},
        {3, 9, {{0, 9}}, false},
        {3, 9, {{0, 3}, {3, 9}}, true},
        {0, SPAN, {{0, SPAN}}, true},
        {0, SPAN, {{0, SPAN - 1}, {0, SPAN}, {SPAN - 1, SPAN}}, true},
        {0, SPAN + 1, {{0, SPAN + 1}}, false},
        {0, 2 * SPAN, {{0, SPAN}, {SPAN, 2 * SPAN}}, true},
        {0, 2 * SPAN, {{0, 1}, {1, 1 + SPAN}, {0, 2 * SPAN}}, false},
        {0, 5, {{-1, 0}, {5, 5}, {5, 3}}, false},
    };
    static struct carried_walk walk;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        carried_walk_begin(&walk, cases[i].began, cases[i].cursor);
        for (int link = 0; link < 5; link++)
            carried_walk_link(&walk, &cases[i].links[link]);
        if (walk.whole != cases[i].whole)
            fail_msg("case %zu", i);
    }
}

/* ---- Personal fields ---- */

/* Values that are replaced are overwritten there, as far as the server does that itself. */
static void a_server_is_told_to_erase_what_is_personal(void **state)
{
    static const struct fh_derived_field personal_fields[] = {
        {"name", FH_STRING, FH_TEXT | FH_FACET, .personal = true}, {0}};
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    assert_int_equal(carrying.server->trims, 0); /* nothing there is personal */
    carrying_service.derives[0].fields = personal_fields;
    carrying_settle(0);
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, 1); /* as it was */
    assert_int_equal(carrying.server->trims, 1);
    carrying_item("a", NULL);
    carrying_settle(0);
    assert_int_equal(carrying.server->trims, 1); /* at intervals */
    carrying.carriers[0].trims_ns = 0;
    carrying_settle(0);
    assert_int_equal(carrying.server->trims, 2);
    carrying_assert_found("");
    carrying_service.derives[0].fields = carrying_fields;
}

int main(void)
{
#define CARRIER_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, carrying_set_up, carrying_tear_down)
    static const struct CMUnitTest tests[] = {
        CARRIER_TEST(what_is_derived_is_found_once_it_is_carried),
        CARRIER_TEST(a_page_of_which_nothing_is_known_is_sent_again),
        CARRIER_TEST(what_is_removed_stays_removed_when_a_request_is_late),
        CARRIER_TEST(a_cursor_only_rises),
        CARRIER_TEST(a_server_that_was_emptied_is_noticed_and_filled_anew),
        CARRIER_TEST(a_hole_stays_visible),
        CARRIER_TEST(pages_are_carried_while_many_links_are_walked),
        CARRIER_TEST(a_server_that_shows_the_same_links_again_is_not_asked_for_ever),
        CARRIER_TEST(a_generation_that_lost_all_while_it_is_filled_is_begun_again),
        CARRIER_TEST(what_was_trimmed_before_it_was_carried_makes_it_anew),
        CARRIER_TEST(the_outbox_is_held_until_it_is_carried),
        CARRIER_TEST(the_outbox_is_held_for_the_one_that_replaces_what_was_cut),
        CARRIER_TEST(nothing_is_carried_past_what_can_t_be_read),
        CARRIER_TEST(a_copy_of_a_store_carries_nothing),
        CARRIER_TEST(a_former_life_s_generation_is_not_asked),
        CARRIER_TEST(an_owner_that_was_moved_goes_on),
        CARRIER_TEST(a_question_is_asked_again_where_another_serves_meanwhile),
        CARRIER_TEST(what_the_server_refuses_is_noted_until_a_later_one_is_taken),
        CARRIER_TEST(a_server_that_refuses_everything_is_sent_no_more),
        CARRIER_TEST(a_server_is_told_to_erase_what_is_personal),
        CARRIER_TEST(what_the_ledger_knows_is_read_as_it_was_written),
        cmocka_unit_test(a_chain_leads_from_the_cursor_to_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
