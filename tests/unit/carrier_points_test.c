/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points that a server alone has (docs/internals/carriers.md, 36): each is as it was written last,
 * whichever life of the service wrote it, and whoever sends it when.
 */

#include "../support/keeping.h"

static void a_point_is_as_it_was_written_last(void **state)
{
    (void)state;
    keeping_write_facts(0, 15); /* before there is a generation */
    carrying_settle(0);
    keeping_write_facts(15, 9);
    carrying_settle(1);
    keeping_assert_all_answered();
    keeping_write_facts(24, 40); /* two of one point in a page */
    carrying_settle(0);
    keeping_assert_all_answered();
}

static void write_thrice(fh_work *w)
{
    fh_fact(w, "measured", 1000, carrying_fact_value("d1", 1));
    fh_fact(w, "measured", 1001, carrying_fact_value("d1", 1));
    fh_fact(w, "measured", 1000, carrying_fact_value("d1", 3));
}

static void the_last_of_a_unit_of_work_counts(void **state)
{
    carrying_settle(0);
    assert_int_equal(run_one(state, write_thrice, false).status, 204);
    keeping_note_written("d1", 1000, 3);
    keeping_note_written("d1", 1001, 1);
    carrying_settle(0);
    keeping_assert_all_answered();
}

static void one_of_other_tags_is_another(void **state)
{
    static const char *const tags[] = {"d1", "d", "1d", "", "d\"1\\", "1@1000"};
    (void)state;
    for (int i = 0; i < 12; i++)
        keeping_write_fact(tags[i % 6], 1000, i / 6);
    carrying_settle(0);
    keeping_assert_all_answered();
    for (int i = 0; i < 12; i++)
        keeping_write_fact(tags[i % 6], 1000, 2 + i / 6);
    carrying_settle(0);
    keeping_assert_all_answered();
}

static void late_requests_bring_nothing_back(void **state)
{
    (void)state;
    keeping_write_under_faults();
    keeping_assert_all_answered();
    while (memory_deliver(carrying.server))
        keeping_assert_all_answered();
}

/* ---- The owner's restores ---- */

static void what_a_lost_life_wrote_stays_until_it_is_written_again(void **state)
{
    (void)state;
    keeping_write_facts(0, 3);
    carrying_settle(0);
    struct keeping_restoring *restoring = keeping_back_up_owner();
    keeping_write_facts(15, 6); /* corrects the first three, and has three more */
    carrying_settle(0);
    carrying.server->fault = MEMORY_LATER;
    keeping_write_facts(30, 1);
    carrying_turn(1);
    keeping_restore_owner(restoring);
    carrying_restart(0);
    carrying_restart(1);
    carrying_settle(0);
    keeping_assert_answered_without(9, 10);
    assert_int_equal(keeping_serving()->kept.formers[0].facts, 6);
    keeping_write_facts(45, 2); /* at the positions of 15 and 16 */
    carrying_settle(0);
    keeping_assert_all_answered();
    assert_true(memory_deliver(carrying.server)); /* of the same point */
    keeping_assert_all_answered();
}

/* The second one's record knows of the first one only. */
static void what_two_lost_lives_have_left_is_counted(void **state)
{
    (void)state;
    keeping_write_facts(0, 3);
    carrying_settle(0);
    struct keeping_restoring *restoring = keeping_back_up_owner();
    keeping_write_facts(15, 1);
    carrying_settle(0);
    keeping_restore_owner(restoring);
    carrying_restart(0);
    keeping_write_facts(3, 4);
    carrying_settle(0);
    assert_int_equal(keeping_serving()->kept.formers[0].facts, 1);
    keeping_restore_owner(restoring);
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(keeping_serving()->kept.former_count, 1);
    assert_int_equal(keeping_serving()->kept.formers[0].facts, 5);
    keeping_assert_all_answered();
}

/* So many that the server can't count them in time hold up nothing. */
static void what_takes_too_long_to_count_is_not_asked_for_ever(void **state)
{
    (void)state;
    keeping_write_facts(0, 3);
    carrying_settle(0);
    struct keeping_restoring *restoring = keeping_back_up_owner();
    keeping_write_facts(3, 2);
    carrying_settle(0);
    keeping_restore_owner(restoring);
    carrying_restart(0);
    carrying.server->count_takes_us = 2000;
    assert_int_equal(carrying_turn(0).code, FH_UNAVAILABLE); /* it is away: it is asked again */
    carrying.carriers[0].count_ms_max = 1;
    keeping_write_facts(5, 2);
    carrying_settle(0);
    keeping_assert_all_answered();
    assert_int_equal(keeping_serving()->kept.former_count, 1);
    assert_int_equal(keeping_serving()->kept.formers[0].facts, CARRIED_UNCOUNTED);
}

/* The life of who wrote it: so what is sent again is not newer than it was. */
static void what_is_sent_again_is_as_old_as_it_is(void **state)
{
    char former[ID_SIZE];
    (void)state;
    memcpy(former, carrying.fixture->context.store->incarnation, ID_SIZE);
    keeping_write_fact("d1", 1000, 1);
    keeping_write_fact("d\"1", 1000, 1); /* is read as JSON */
    carrying_settle(0);
    keeping_restore_owner(keeping_back_up_owner());
    memory_empty(carrying.server);
    carrying_restart(0);
    keeping_write_fact("d2", 1000, 1);
    carrying_settle(0);
    keeping_assert_all_answered();
    assert_int_equal(carrying.carriers[0].counters.resent, 1);
    const struct memory_generation *generation = &carrying.server->generations[0];
    assert_int_equal(generation->value_count, 3);
    for (int i = 0; i < 2; i++)
        assert_string_equal(generation->values[i].life, former);
    assert_string_equal(generation->values[2].life, carrying.fixture->context.store->incarnation);
}

/* ---- Events that have none ---- */

static void forget_lives(void *argument)
{
    struct store_work *work;
    struct fh_error error;
    FH_ASSERT(store_begin(carrying.fixture->context.store, STORE_WRITE_EXCLUSIVE, &work, &error) ==
              FH_OK);
    FH_ASSERT(sql_run(work, argument, NULL, 0, NULL, NULL, NULL, &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static void an_event_without_a_life_stops_it(void **state)
{
    static const char *const changes[] = {
        "UPDATE fh_outbox SET data = json_remove(data, '$.life') WHERE position = 2",
        "UPDATE fh_outbox SET data = json_set(data, '$.life', 'yesterday') WHERE position = 2",
        "UPDATE fh_outbox SET data = json_set(data, '$.life', 7) WHERE position = 2"};
    (void)state;
    keeping_write_facts(0, 1);
    carrying_settle(0);
    keeping_write_fact("d2", 1000, 1);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        harness_run(&carrying.fixture->harness, forget_lives, (void *)(uintptr_t)changes[i]);
        struct carrying_turn turn = carrying_turn(0);
        assert_int_equal(turn.code, FH_UNSUPPORTED);
        assert_non_null(strstr(turn.error.message, "What was derived at position 2 can't be read"));
        assert_int_equal(keeping_serving()->cursor, 1);
    }
}

/* ---- Running them ---- */

static int set_up_points(void **state)
{
    return keeping_set_up(state, CARRYING_MEASURED);
}

int main(void)
{
#define POINTS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_points, keeping_tear_down)
    static const struct CMUnitTest tests[] = {
        POINTS_TEST(a_point_is_as_it_was_written_last),
        POINTS_TEST(the_last_of_a_unit_of_work_counts),
        POINTS_TEST(one_of_other_tags_is_another),
        POINTS_TEST(late_requests_bring_nothing_back),
        POINTS_TEST(what_a_lost_life_wrote_stays_until_it_is_written_again),
        POINTS_TEST(what_two_lost_lives_have_left_is_counted),
        POINTS_TEST(what_takes_too_long_to_count_is_not_asked_for_ever),
        POINTS_TEST(what_is_sent_again_is_as_old_as_it_is),
        POINTS_TEST(an_event_without_a_life_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
