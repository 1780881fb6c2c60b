/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas from both sides, over a bad network. What must hold: every saga ends, each effect of a
 * confirmed one is there exactly once, nothing of a cancelled one is left, all records go when
 * their saga is closed, and no late message does anything any more.
 */

#include "../support/saga_network.h"

#include <unistd.h>

#include "saga/manager.h"

#define ORDERS 60

/* ---- The tests ---- */

static void a_saga_confirms_and_is_closed(void **state)
{
    struct fixture *fixture = *state;
    place_order(fixture, 1, NULL, NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_balance(fixture, 1);
    expect_text(fixture, "SELECT note FROM placed WHERE id = 1", "3");
    harness_run(&fixture->harness, count_records, fixture);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM fh_saga WHERE status = 'ended'"), 1);
}

static void a_no_cancels_with_its_reason(void **state)
{
    struct fixture *fixture = *state;
    place_order(fixture, 4, NULL, NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_text(fixture, "SELECT status FROM placed", "CANCELLED");
    expect_text(fixture, "SELECT note FROM placed", "charge");
    assert_int_equal(net(fixture, 0, "reserve", "release", 4), 0);
    assert_int_equal(look(fixture, 0, "SELECT count(*) FROM effect"), 6);
}

static void what_no_path_can_have_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const words[] = {"..", ".", ""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        fixture->number = 1;
        fixture->saga = "stubborn";
        fixture->word = words[i];
        harness_run(&fixture->harness, run_place, fixture);
        assert_int_equal(fixture->status, 422);
        assert_int_equal(look(fixture, 2, "SELECT count(*) FROM placed"), 0);
        assert_int_equal(look(fixture, 2, "SELECT count(*) FROM fh_saga"), 0);
    }
}

static void books_balance_over_a_bad_network_and_restarts(void **state)
{
    struct fixture *fixture = *state;
    struct network *network = &fixture->network;
    network->lose = network->lose_answer = network->twice = 15;
    network->keep = 20;
    for (int number = 1; number <= ORDERS; number++) {
        place_order(fixture, number, NULL, NULL);
        if (number % 16 == 0)
            restart(fixture);
    }
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    expect_balance(fixture, ORDERS);
    network->lose = network->lose_answer = 0;
    harness_run(&fixture->harness, count_records, fixture);
    int64_t effects = look(fixture, 0, "SELECT count(*) FROM effect") +
                      look(fixture, 1, "SELECT count(*) FROM effect");
    assert_true(network->kept_count > ORDERS);
    harness_run(&fixture->harness, deliver_late, network);
    for (int i = 0; i < network->kept_count; i++)
        assert_true(strcmp(network->kept[i]->outcome, "closed") == 0 ||
                    network->kept[i]->status == 421);
    assert_int_equal(look(fixture, 0, "SELECT count(*) FROM effect") +
                         look(fixture, 1, "SELECT count(*) FROM effect"),
                     effects);
}

static void a_deadline_undoes_by_key_what_nobody_answered(void **state)
{
    struct fixture *fixture = *state;
    place_order(fixture, 2, "stubborn", NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture); /* now it knows its receivers */
    fixture->network.lose_answer = 100; /* charged, and nobody learns of it */
    place_order(fixture, 1, "hopeless", NULL);
    struct ledger_counts counts;
    do {
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
        saga_counts(fixture->contexts[2].sagas, &counts);
    } while (counts.compensating == 0);
    fixture->network.lose_answer = 0;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 1", "CANCELLED");
    assert_int_equal(look(fixture, 1, "SELECT count(*) FROM effect"), 3);
    assert_int_equal(net(fixture, 1, "charge", "refund", 1), 0);
}

/* The pivot is done, and its answer lost: then everything stops until after the deadline. */
static void what_was_answered_while_all_stood_still_counts_and_goes_on(void **state)
{
    struct fixture *fixture = *state;
    place_order(fixture, 2, "stubborn", NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture); /* now it knows its receivers */
    place_order(fixture, 1, "paused", NULL);
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (look(fixture, 1, "SELECT count(*) FROM effect") < 2);
    sleep(3);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 1", "CONFIRMED");
    assert_int_equal(net(fixture, 1, "charge", "refund", 1), 1);
}

static void a_receiver_that_is_away_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    fixture->network.away[1] = true;
    place_order(fixture, 1, NULL, NULL);
    place_order(fixture, 2, NULL, NULL);
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (look(fixture, 0, "SELECT count(*) FROM effect") < 6);
    restart(fixture);
    fixture->network.away[1] = false;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_balance(fixture, 2);
}

static void let_pass(struct fixture *fixture)
{
    retry(fixture);
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (look(fixture, 2, "SELECT attempt FROM fh_saga_step WHERE step = 1") < 2);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
}

static void a_no_after_the_pivot_waits_for_a_person(void **state)
{
    struct fixture *fixture = *state;
    struct ledger_counts counts;
    place_order(fixture, 1, "stubborn", "refuse");
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.parked, 1);
    restart(fixture);
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.parked, 1);
    let_pass(fixture); /* refused again, with a higher attempt */
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.parked, 1);
    assert_int_equal(look(fixture, 2, "SELECT attempt FROM fh_saga_step WHERE step = 1"), 2);
    assert_int_equal(net(fixture, 1, "charge", "refund", 1), 1);
}

struct waited {
    struct fixture *fixture;
    enum saga_status status;
};

static void run_wait(void *argument)
{
    struct waited *waited = argument;
    waited->status = saga_wait(&waited->fixture->contexts[2], waited->fixture->reference, NULL,
                               world_in_ms(waited->fixture->harness.world, 60000));
}

static void who_waits_is_told_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct waited waited = {.fixture = fixture};
    place_order(fixture, 1, NULL, NULL);
    harness_run(&fixture->harness, run_wait, &waited);
    assert_int_equal(waited.status, SAGA_ENDED);
    harness_run(&fixture->harness, run_wait, &waited); /* from the store */
    assert_int_equal(waited.status, SAGA_ENDED);
    place_order(fixture, 4, NULL, NULL);
    harness_run(&fixture->harness, run_wait, &waited);
    assert_int_equal(waited.status, SAGA_UNDONE);
}

static void a_wrong_start_is_a_fault_and_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->number = 1;
    fixture->saga = "unheard_of";
    harness_run(&fixture->harness, run_place, fixture);
    assert_int_equal(fixture->status, 500);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM placed"), 0);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM fh_saga"), 0);
}

static void a_long_list_of_open_sagas_is_shown_in_part(void **unused)
{
    (void)unused;
    static const struct {
        int most;
        int64_t through;
        const char *open;
    } told[] = {{1, 6, "[3]"}, {2, 8, "[3,7]"}, {3, 40, "[3,7,9]"}, {4, 40, "[3,7,9]"}};
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        struct ledger_caller closed = {40, "[3,7,9]"}, none = {40, "[]"};
        saga_closing_cut(&closed, told[i].most, &arena);
        assert_int_equal(closed.closed_through, told[i].through);
        assert_string_equal(closed.still_open, told[i].open);
        saga_closing_cut(&none, told[i].most, &arena);
        assert_int_equal(none.closed_through, 40);
        assert_string_equal(none.still_open, "[]");
    }
    arena_release(&arena);
}

static void definitions_that_cannot_go_back_are_refused(void **unused)
{
    (void)unused;
    static const fh_step no_undo[] = {{"a", .call = "x POST /a"}, {0}};
    static const fh_step before_pivot[] = {
        {"a", .call = "x POST /a"}, {"b", .call = "x POST /b", .pivot = true}, {0}};
    static const fh_step asks[] = {{"a", .call = "x GET /a", .undo = "x POST /b"}, {0}};
    static const fh_step both[] = {{"a", .call = "x POST /a", .run = confirm}, {0}};
    static const fh_step elsewhere[] = {{"a", .call = "x POST /a", .undo = "y POST /a"}, {0}};
    static const fh_step twice[] = {{"a", .run = confirm}, {"a", .run = confirm}, {0}};
    static const fh_step empty[] = {{0}};
    static const fh_step undone_outside[] = {
        {"a", .outside = "url", .undo = "x POST /a", .pivot = true}, {0}};
    static const fh_step outside_first[] = {
        {"a", .outside = "url"}, {"b", .call = "x POST /b", .pivot = true}, {0}};
    static const fh_step *const wrong[] = {no_undo, before_pivot,   asks,          both, elsewhere,
                                           twice,   undone_outside, outside_first, empty};
    struct fh_error error;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fh_saga_definition definition = {.name = "s", .steps = wrong[i]};
        assert_int_equal(saga_definition_check(&definition, &error), FH_INVALID);
        assert_non_null(strstr(error.message, "Saga s"));
    }
    struct fh_saga_definition right = {.name = "s", .steps = place_steps};
    assert_int_equal(saga_definition_check(&right, &error), FH_OK);
}

#define STORED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORED(a_saga_confirms_and_is_closed),
        STORED(a_no_cancels_with_its_reason),
        STORED(what_no_path_can_have_is_refused),
        STORED(books_balance_over_a_bad_network_and_restarts),
        STORED(a_deadline_undoes_by_key_what_nobody_answered),
        STORED(what_was_answered_while_all_stood_still_counts_and_goes_on),
        STORED(a_receiver_that_is_away_is_waited_for),
        STORED(a_no_after_the_pivot_waits_for_a_person),
        STORED(who_waits_is_told_the_end),
        STORED(a_wrong_start_is_a_fault_and_leaves_nothing),
        cmocka_unit_test(a_long_list_of_open_sagas_is_shown_in_part),
        cmocka_unit_test(definitions_that_cannot_go_back_are_refused),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
