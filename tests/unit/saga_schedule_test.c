/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules (docs/internals/schedules.md) that need an initiator, its receivers, and what lies
 * between them.
 */

#include "../support/fake_world.h"
#include "../support/saga_network.h"
#include "saga/show.h"

static int64_t effects(struct fixture *fixture)
{
    return look(fixture, 0, "SELECT count(*) FROM effect") +
           look(fixture, 1, "SELECT count(*) FROM effect");
}

/* A saga before the one that matters: from now on requests name the receivers' incarnations. */
static void get_acquainted(struct fixture *fixture)
{
    place_order(fixture, 99, "stubborn", NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
}

static void come_to_rest(struct fixture *fixture)
{
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
}

/* Schedule 1. */
static void a_step_that_wakes_up_behind_its_closed_saga_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct network *network = &fixture->network;
    get_acquainted(fixture);
    network->lose_next = 3;
    place_order(fixture, 1, NULL, NULL);
    come_to_rest(fixture);
    harness_run(&fixture->harness, count_records, fixture); /* until all is closed */
    expect_balance(fixture, 1);
    int64_t before = effects(fixture);
    harness_run(&fixture->harness, deliver_late, network);
    assert_int_equal(network->kept_count, 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(network->kept[i]->outcome, "closed");
    assert_int_equal(effects(fixture), before);
}

/* Schedule 2. */
static void a_step_that_wakes_up_behind_its_undo_is_never_done(void **state)
{
    struct fixture *fixture = *state;
    struct network *network = &fixture->network;
    get_acquainted(fixture);
    network->lose_closings = true;
    network->lose_next = 3; /* the second of them is refused when it comes again */
    place_order(fixture, 3, NULL, NULL);
    come_to_rest(fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 3", "CANCELLED");
    int64_t before = effects(fixture);
    in_stock = true; /* now it would be done, if it ran */
    harness_run(&fixture->harness, deliver_late, network);
    assert_int_equal(network->kept_count, 3);
    for (int i = 0; i < 3; i++) {
        const char *outcome = network->kept[i]->outcome;
        bool was_done = strcmp(outcome, "undone") == 0; /* its repeat came before the refusal */
        assert_true((was_done && i != 1) || strcmp(outcome, "never") == 0);
    }
    assert_int_equal(effects(fixture), before);
    assert_int_equal(net(fixture, 0, "reserve", "release", 3), 0);
}

/* ---- The operator ---- */

static bool one_is_parked(void *argument)
{
    struct fixture *fixture = argument;
    struct ledger_counts counts;
    saga_counts(fixture->contexts[2].sagas, &counts);
    return counts.parked == 1;
}

static bool two_are_under_way(void *argument)
{
    return ((struct fixture *)argument)->network.in_flight == 2;
}

/* Schedule 30. */
static void a_step_that_is_retried_while_it_is_under_way_is_done_once(void **state)
{
    struct fixture *fixture = *state;
    steps_held = true;
    place_order(fixture, 1, "hasty", "hold");
    harness_until(&fixture->harness, one_is_parked, fixture); /* by its deadline */
    assert_int_equal(fixture->network.in_flight, 1);
    retry(fixture);
    harness_until(&fixture->harness, two_are_under_way, fixture);
    steps_held = false;
    come_to_rest(fixture);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM fh_saga WHERE status = 'ended'"), 1);
    assert_int_equal(look(fixture, 0, "SELECT count(*) FROM effect"), 1);
    assert_int_equal(look(fixture, 1, "SELECT count(*) FROM effect"), 1);
}

static void run_abandon(void *argument)
{
    struct retried *retried = argument;
    const struct saga_abandon abandon = {retried->birth, retried->number, "it came twice", "ada"};
    retried->code =
        saga_abandon(retried->fixture->contexts[2].sagas, &abandon, &retried->fixture->error);
}

static enum fh_code abandon(struct fixture *fixture)
{
    struct retried retried = {.fixture = fixture};
    memcpy(retried.birth, fixture->reference, ID_SIZE - 1);
    retried.number = strtoll(fixture->reference + ID_SIZE, NULL, 10);
    harness_run(&fixture->harness, run_abandon, &retried);
    return retried.code;
}

/* Its request is still under way when it is given up: whether it is done then or comes too late, no
 * receiver keeps a record of it, and the saga stays what it is. */
static void an_abandoned_saga_is_over_and_closed_whatever_comes_of_its_last_request(void **state)
{
    struct fixture *fixture = *state;
    struct ledger_counts counts;
    steps_held = true;
    place_order(fixture, 1, "hasty", "hold");
    assert_int_equal(abandon(fixture), FH_CONFLICT); /* it runs by itself */
    harness_until(&fixture->harness, one_is_parked, fixture);
    assert_int_equal(abandon(fixture), FH_OK);
    assert_int_equal(abandon(fixture), FH_CONFLICT);
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.parked, 0);
    assert_int_equal(counts.abandoned, 1);
    steps_held = false;
    come_to_rest(fixture);
    harness_run(&fixture->harness, count_records, fixture); /* until all is closed */
    assert_int_equal(look(fixture, 2,
                          "SELECT count(*) FROM fh_saga WHERE status = 'abandoned'"
                          " AND closed = 1"),
                     1);
}

struct shown {
    struct fixture *fixture;
    char text[4096];
};

static void run_show(void *argument)
{
    struct shown *shown = argument;
    const char *reference = shown->fixture->reference;
    struct saga_id id = {.number = strtoll(reference + ID_SIZE, NULL, 10)};
    json_t *saga = NULL;
    memcpy(id.birth, reference, ID_SIZE - 1);
    if (saga_show(&shown->fixture->contexts[2], &id, &saga, ERROR_UNHEEDED) != FH_OK)
        return;
    char *text = json_text(saga);
    snprintf(shown->text, sizeof shown->text, "%s", text);
    json_text_free(text);
    json_decref(saga);
}

/* The receiver quotes the card, which a step took out of the object that is marked. */
static void a_card_is_not_in_what_a_receiver_said_and_gone_when_the_saga_is_given_up(void **state)
{
    static const char asked[] = "SELECT count(*) FROM fh_saga_step WHERE request LIKE '%" CARD "%'";
    struct fixture *fixture = *state;
    struct shown shown = {.fixture = fixture};
    place_order(fixture, 1, "guarded", "quote");
    harness_until(&fixture->harness, one_is_parked, fixture);
    assert_int_equal(look(fixture, 2, asked), 1); /* to be sent again */
    expect_text(fixture, "SELECT answer ->> '$.body.detail' FROM fh_saga_step WHERE step = 1",
                "The card [card] is empty.");
    harness_run(&fixture->harness, run_show, &shown);
    assert_non_null(strstr(shown.text, "The card [card] is empty."));
    assert_null(strstr(shown.text, CARD));
    assert_int_equal(abandon(fixture), FH_OK);
    assert_int_equal(look(fixture, 2, asked), 0);
    assert_int_equal(
        look(fixture, 2, "SELECT count(*) FROM fh_saga WHERE input || state LIKE '%" CARD "%'"), 0);
}

static void what_a_handler_says_of_a_personal_answer_is_not_stored(void **state)
{
    struct fixture *fixture = *state;
    place_order(fixture, 1, "guarded", NULL);
    harness_until(&fixture->harness, one_is_parked, fixture);
    expect_text(fixture, "SELECT state ->> '$.reason.detail' FROM fh_saga",
                "[personal] was noted.");
}

/* ---- The wall clock ---- */

#define DAY_MS ((int64_t)86400000)

static int64_t wall_step_ms;

static int64_t stepped_wall_ms(struct world *world)
{
    return fake_wall_ms(world) + wall_step_ms;
}

static void send_request(struct fake_world *fake, struct world_request *request)
{
    carry(fake->context, request);
}

static void ask_again(struct fixture *fixture, const struct fake_world *fake)
{
    int before = fake->requests;
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (fake->requests == before);
}

/* Schedule 25. */
static void a_day_on_the_wall_clock_ends_no_sagas_time(void **state)
{
    static struct world_ops stepping;
    static struct fake_world fake;
    struct fixture *fixture = *state;
    fake_world_init(&fake, fixture->harness.world);
    stepping = fake_world_ops;
    stepping.wall_ms = stepped_wall_ms;
    fake.world.ops = &stepping;
    fake.request = send_request;
    fake.context = &fixture->network;
    fixture->contexts[2].world = &fake.world;
    fixture->network.away[1] = true; /* a saga that waits, and has ten minutes */
    wall_step_ms = 0;
    restart(fixture);
    place_order(fixture, 1, NULL, NULL);
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (look(fixture, 0, "SELECT count(*) FROM effect") < 3);
    static const int64_t steps_ms[] = {DAY_MS, -DAY_MS, 0};
    for (int i = 0; i < 3; i++) {
        wall_step_ms = steps_ms[i];
        ask_again(fixture, &fake);
        restart(fixture); /* what was stored before the step, or after it */
        ask_again(fixture, &fake);
    }
    fixture->network.away[1] = false;
    come_to_rest(fixture);
    expect_balance(fixture, 1); /* confirmed */
}

#define STORED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORED(a_step_that_wakes_up_behind_its_closed_saga_is_closed),
        STORED(a_step_that_wakes_up_behind_its_undo_is_never_done),
        STORED(a_step_that_is_retried_while_it_is_under_way_is_done_once),
        STORED(a_card_is_not_in_what_a_receiver_said_and_gone_when_the_saga_is_given_up),
        STORED(what_a_handler_says_of_a_personal_answer_is_not_stored),
        STORED(an_abandoned_saga_is_over_and_closed_whatever_comes_of_its_last_request),
        STORED(a_day_on_the_wall_clock_ends_no_sagas_time),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
