/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An owner whose store has lost its last commits, as a replica without them took its server's place
 * (docs/internals/carriers.md, 37): its incarnation is the same, and positions are given out again.
 * What a server has of them is made anew, as far as it can be; and nothing that comes later is
 * taken for what was there before.
 */

#include "../support/keeping.h"

#define LOST 3   /* items or facts */
#define AHEAD 5  /* 0 to 4 are committed since: fewer than were lost, as many, and more */
#define LATER 40 /* of one try to the next */

static void write_items(int from, int count)
{
    char key[16];
    for (int i = from; i < from + count; i++) {
        snprintf(key, sizeof key, "k%03d", i);
        carrying_item(key, key);
    }
}

/* Items from there on are gone, too. */
static struct keeping_restoring *back_up_items(int from)
{
    static char sql[64];
    struct keeping_restoring *restoring = keeping_back_up_owner();
    snprintf(sql, sizeof sql, "DELETE FROM item WHERE id >= 'k%03d'", from);
    restoring->also = sql;
    return restoring;
}

static void assert_made_anew(int64_t number)
{
    carrying_assert_found(carrying_expected());
    assert_int_equal(keeping_serving()->name.number, number);
    assert_int_equal(keeping_serving()->cursor, carrying_ledger(NULL)->position);
}

/* ---- Whoever has sent it knows ---- */

static void what_was_lost_is_made_anew(void **state)
{
    (void)state;
    for (int ahead = 0; ahead < AHEAD; ahead++) {
        int written = LATER * ahead;
        write_items(written, 2);
        carrying_settle(0);
        struct keeping_restoring *restoring = back_up_items(written + 2);
        write_items(written + 2, LOST);
        carrying_settle(0);
        keeping_set_back_owner(restoring);
        write_items(written + 20, ahead);
        carrying_settle(0);
        assert_made_anew(ahead + 2);
    }
    assert_int_equal(carrying.carriers[0].counters.lost, AHEAD);
}

static struct keeping_restoring set_back_meanwhile;
static int written_meanwhile;
static bool once_sent;

static void set_back_while_it_is_sent(struct memory_server *server, bool done)
{
    if (done != once_sent)
        return;
    server->between = NULL;
    keeping_restore_entry(&set_back_meanwhile);
    for (int i = 0; i < written_meanwhile; i++) {
        if (carrying.kept)
            carrying_fact_here("d1", 1000, 1);
        else
            carrying_put_here(i % 2 ? "k500" : "k501", "there");
    }
}

/* Pages of one op each, so that the next one is read ahead. */
static void pages_of_one(struct carried_server_ops *ops, int count)
{
    *ops = memory_ops;
    ops->page_ops = count;
    carrying.server->base.ops = ops;
}

static void what_is_under_way_meanwhile_is_made_anew(void **state)
{
    struct carried_server_ops ops;
    (void)state;
    int64_t number = 1;
    for (int i = 0; i < 4 * AHEAD; i++) {
        write_items(0, 2);
        carrying_settle(0);
        set_back_meanwhile = *back_up_items(2);
        written_meanwhile = i / 4;
        once_sent = i % 2;
        write_items(2, LOST);
        pages_of_one(&ops, i % 4 < 2 ? 1 : 0);
        carrying.server->between = set_back_while_it_is_sent;
        carrying_turn(0);
        assert_null(carrying.server->between);
        carrying_settle(0);
        assert_made_anew(++number);
    }
}

static void what_comes_late_is_made_anew(void **state)
{
    (void)state;
    for (int ahead = 0; ahead < AHEAD; ahead++) {
        write_items(0, 2);
        carrying_settle(0);
        struct keeping_restoring *restoring = back_up_items(2);
        write_items(2, LOST);
        carrying.server->fault = MEMORY_LATER;
        assert_int_equal(carrying_turn(0).code, FH_OUTCOME_UNKNOWN);
        keeping_set_back_owner(restoring);
        write_items(20, ahead);
        carrying_turn(0);
        assert_true(memory_deliver(carrying.server));
        carrying_settle(0);
        assert_made_anew(ahead + 2);
    }
}

/* ---- Whoever begins looks ---- */

static void what_the_server_has_beyond_the_outbox_is_noticed_by_whoever_begins(void **state)
{
    (void)state;
    write_items(0, 2);
    carrying_settle(0);
    struct keeping_restoring *restoring = back_up_items(2);
    write_items(2, LOST);
    carrying_settle(0);
    keeping_set_back_owner(restoring);
    carrying_restart(0);
    write_items(20, 1);
    carrying_settle(0);
    assert_made_anew(2);
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
}

/* 18: the store has forgotten that number, and the server has not. */
static void a_generation_s_number_is_not_given_out_again(void **state)
{
    (void)state;
    write_items(0, 2);
    carrying_settle(0);
    struct keeping_restoring *restoring = back_up_items(2);
    write_items(2, LOST);
    assert_int_equal(carrying_make_anew(), FH_OK);
    carrying_settle(0);
    assert_made_anew(2);
    keeping_set_back_owner(restoring);
    carrying_restart(0);
    carrying_turn(0);
    write_items(20, LOST + 1);
    carrying_settle(0);
    assert_made_anew(3);
}

/* Whoever has made it there: no record could be read that names the next one. */
static void none_follows_the_greatest_number(void **state)
{
    struct carried_name name = {.number = CARRIED_NUMBER_MAX};
    struct carried_server *server = &carrying.server->base;
    struct fh_error error;
    (void)state;
    memcpy(name.incarnation, carrying.fixture->context.store->incarnation, ID_SIZE);
    assert_int_equal(server->ops->make(server, carrying_declared(), &name, &error), FH_OK);
    write_items(0, 2);
    assert_int_equal(carrying_turn(0).code, FH_UNSUPPORTED);
    assert_int_equal(carrying_ledger(NULL)->record.last, 0);
    assert_int_equal(server->ops->drop(server, carrying_declared(), &name, &error), FH_OK);
    carrying_settle(0);
    assert_made_anew(1);
}

/* Its own rows would soon be beyond what the server has of it. */
static void one_that_is_filled_is_looked_at_as_well(void **state)
{
    (void)state;
    write_items(0, 2);
    carrying_settle(0);
    assert_int_equal(carrying_make_anew(), FH_OK);
    struct keeping_restoring *restoring = back_up_items(2);
    write_items(2, 1);
    carrying_turn(0);
    keeping_set_back_owner(restoring);
    carrying_restart(0);
    carrying_turn(0);
    write_items(20, LOST);
    carrying_settle(0);
    assert_made_anew(3);
}

static void look_on(void *argument)
{
    enum fh_code *code = argument;
    struct fh_error error;
    *code = carrier_look_again(&carrying.carriers[1], &error);
}

static void look_on_once(void)
{
    enum fh_code code = FH_UNSUPPORTED;
    harness_run(&carrying.fixture->harness, look_on, &code);
    assert_int_equal(code, FH_OK);
}

/* Though the one that has sent it is gone, and as much was committed since. */
static void whoever_has_looked_on_knows_too(void **state)
{
    (void)state;
    for (int ahead = 0; ahead < AHEAD; ahead++) {
        write_items(0, 2);
        carrying_settle(0);
        look_on_once();
        struct keeping_restoring *restoring = back_up_items(2);
        write_items(2, LOST);
        carrying_settle(0);
        look_on_once();
        keeping_set_back_owner(restoring);
        write_items(20, LOST + ahead);
        carrying_restart(0);
        carrying_settle(0);
        for (int i = 0; i < 3; i++)
            look_on_once();
        carrying_settle(0);
        assert_made_anew(ahead + 2);
        assert_int_equal(carrying.carriers[1].counters.lost, ahead + 1);
        assert_int_equal(carrying.carriers[1].counters.set_back, ahead + 1);
    }
}

/* What others commit and carry while one looks is no loss. */
static void carry_more(struct memory_server *server, bool done)
{
    struct carrying_turn turn = {.carrier = 1};
    server->between = NULL;
    (void)done;
    carrying_put_here("k900", "more");
    carrying_turn_entry(&turn);
    FH_ASSERT(turn.code == FH_OK);
}

static void what_is_carried_meanwhile_is_not_lost(void **state)
{
    (void)state;
    write_items(0, 2);
    carrying_settle(0);
    carrying_restart(0);
    write_items(2, 2);
    carrying.server->between = carry_more;
    carrying_settle(0);
    assert_null(carrying.server->between);
    carrying_restart(0);
    carrying_settle(0);
    assert_made_anew(1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(carrying.carriers[i].counters.lost, 0);
        keeping_trim(carrying_ledger(NULL)->position);
        carrying_settle(i);
    }
    assert_made_anew(1);
}

/* ---- What a server alone has ---- */

static void facts_at_positions_that_are_given_out_again_are_carried(void **state)
{
    (void)state;
    for (int ahead = 0; ahead < AHEAD; ahead++) {
        int written = 20 * ahead;
        keeping_write_facts(written, 2);
        carrying_settle(0);
        struct keeping_restoring *restoring = keeping_back_up_owner();
        keeping_write_facts(written + 2, LOST);
        carrying_settle(0);
        keeping_set_back_owner(restoring);
        keeping_write_facts(written + 2 + LOST, ahead);
        carrying_settle(0);
        keeping_assert_all_answered(); /* what was lost stays there */
        keeping_write_facts(written + 2 + LOST + ahead, 15 - ahead);
        carrying_settle(ahead % 2);
        keeping_assert_all_answered();
        assert_int_equal(keeping_serving()->cursor, carrying_ledger(NULL)->position);
    }
}

/* But for those of kind d9, of which some may be there. */
static void assert_all_others_answered(void)
{
    struct carrying_answer answer = carrying_ask(), expected = {.text = ""};
    struct fh_error error;
    json_t *tally = NULL;
    assert_int_equal(answer.code, FH_OK);
    assert_int_equal(tallied(carrying_declared(), keeping_facts, keeping_count, carrying_question(),
                             INT64_MIN, &tally, &error),
                     FH_OK);
    carrying_write_answer(tally, expected.text);
    json_decref(tally);
    char *lost = strstr(answer.text, ",[\"d9\""), *end = lost ? strchr(lost, ']') : NULL;
    if (end)
        memmove(lost, end + 1, strlen(end + 1) + 1);
    assert_string_equal(answer.text, expected.text);
}

static void facts_under_way_meanwhile_hide_none(void **state)
{
    struct carried_server_ops ops;
    (void)state;
    for (int i = 0; i < 4 * AHEAD; i++) {
        keeping_write_facts(0, 2);
        carrying_settle(0);
        set_back_meanwhile = *keeping_back_up_owner();
        written_meanwhile = i / 4;
        once_sent = i % 2;
        pages_of_one(&ops, i % 4 < 2 ? 1 : 0);
        carrying_fact("d9", 1000, 9); /* of what is lost one page or more may have come */
        carrying_fact("d9", 1000, 9);
        carrying.server->between = set_back_while_it_is_sent;
        carrying_turn(0);
        assert_null(carrying.server->between);
        for (int k = 0; k < written_meanwhile; k++)
            keeping_note_written("d1", 1000, 1);
        carrying_settle(0);
        carrying_settle(1);
        assert_all_others_answered();
        assert_int_equal(keeping_serving()->cursor, carrying_ledger(NULL)->position);
    }
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.resent, 0);
}

static int set_up_kept(void **state)
{
    return keeping_set_up(state, CARRYING_SOLD);
}

#define ITEMS_TEST(name) cmocka_unit_test_setup_teardown(name, carrying_set_up, carrying_tear_down)
#define KEPT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_kept, keeping_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        ITEMS_TEST(what_was_lost_is_made_anew),
        ITEMS_TEST(what_is_under_way_meanwhile_is_made_anew),
        ITEMS_TEST(what_comes_late_is_made_anew),
        ITEMS_TEST(what_the_server_has_beyond_the_outbox_is_noticed_by_whoever_begins),
        ITEMS_TEST(a_generation_s_number_is_not_given_out_again),
        ITEMS_TEST(none_follows_the_greatest_number),
        ITEMS_TEST(one_that_is_filled_is_looked_at_as_well),
        ITEMS_TEST(whoever_has_looked_on_knows_too),
        ITEMS_TEST(what_is_carried_meanwhile_is_not_lost),
        KEPT_TEST(facts_at_positions_that_are_given_out_again_are_carried),
        KEPT_TEST(facts_under_way_meanwhile_hide_none),
    };
    return cmocka_run_group_tests_name("carrier_set_back", tests, NULL, NULL);
}
