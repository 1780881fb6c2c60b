/* SPDX-License-Identifier: Apache-2.0 */
/* When requests begin, on a world whose time passes only while they run: each keeps the loop for a
 * millisecond. */

#include "../support/harness.h"

#include <stdlib.h>

#include "service/admission.h"

#define MS INT64_C(1000000)

struct fixture {
    struct world world; /* first: it is cast from */
    struct admission admission;
    int64_t now;
    struct world_turn *turn;
    struct request *ready, **ready_last;
    unsigned started, begun[ADMISSION_OWN + 1], shed[ADMISSION_OWN + 1]; /* begun: and ended */
    int64_t longest_ns[ADMISSION_OWN + 1];
    bool holds; /* what begins does not end */
};

struct request {
    struct admission_request admitted; /* first: it is cast from */
    struct fixture *fixture;
    int64_t came_ns;
    struct request *next;
};

static int64_t clock_ns(struct world *world)
{
    return ((struct fixture *)world)->now;
}

static void post_turn(struct world *world, struct world_turn *turn)
{
    ((struct fixture *)world)->turn = turn;
}

static void no_timer(struct world *world, struct world_timer *timer, int64_t at_ns)
{
    (void)world, (void)timer, (void)at_ns;
}

static void stop_timer(struct world *world, struct world_timer *timer)
{
    (void)world, (void)timer;
}

static void on_begin(struct admission_request *admitted)
{
    struct request *request = (struct request *)admitted;
    struct fixture *fixture = request->fixture;
    fixture->started++;
    *fixture->ready_last = request;
    fixture->ready_last = &request->next;
}

static void on_shed(struct admission_request *admitted)
{
    struct request *request = (struct request *)admitted;
    request->fixture->shed[admitted->lane]++;
    free(request);
}

static void run_ready(struct fixture *fixture)
{
    for (struct request *each; !fixture->holds && (each = fixture->ready);) {
        enum admission_lane lane = each->admitted.lane;
        fixture->ready = each->next;
        if (!fixture->ready)
            fixture->ready_last = &fixture->ready;
        int64_t waited_ns = fixture->now - each->came_ns;
        if (waited_ns > fixture->longest_ns[lane])
            fixture->longest_ns[lane] = waited_ns;
        fixture->now += MS;
        fixture->begun[lane]++;
        admission_leave(&fixture->admission, &each->admitted);
        free(each);
    }
}

static void run_turn(struct fixture *fixture)
{
    struct world_turn *turn = fixture->turn;
    fixture->turn = NULL;
    fixture->world.rounds++;
    if (turn)
        turn->run(turn);
    run_ready(fixture);
}

static void arrive(struct fixture *fixture, enum admission_lane lane, const char *caller)
{
    int64_t until_ns = fixture->now + 10000 * MS;
    if (admission_shed(&fixture->admission, lane, caller, until_ns, fixture->now)) {
        fixture->shed[lane]++;
        return;
    }
    struct request *request = calloc(1, sizeof *request);
    assert_non_null(request);
    request->fixture = fixture;
    request->came_ns = fixture->now;
    request->admitted.begin = on_begin;
    request->admitted.shed = on_shed;
    request->admitted.lane = lane;
    request->admitted.waiter.until_ns = until_ns;
    assert_true(admission_enter(&fixture->admission, &request->admitted, caller, fixture->now));
    run_ready(fixture); /* as program.c does */
}

static int setup(void **state)
{
    static const struct world_ops ops = {.monotonic_ns = clock_ns,
                                         .turn = post_turn,
                                         .timer_start = no_timer,
                                         .timer_stop = stop_timer};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->world = (struct world){.ops = &ops, .rounds = 1};
    fixture->now = 1000 * MS;
    fixture->ready_last = &fixture->ready;
    admission_init(&fixture->admission, &fixture->world);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    fixture->holds = false;
    run_ready(fixture);
    while (fixture->turn)
        run_turn(fixture);
    admission_release(&fixture->admission);
    free(fixture);
    return 0;
}

static unsigned waiting(const struct fixture *fixture, enum admission_lane lane)
{
    return fixture->admission.lanes[lane].overload.turns.waiting;
}

/* Ten a millisecond are found whenever the loop looks; now and then one of `lane`. */
static void flood(struct fixture *fixture, int64_t length_ns, enum admission_lane lane)
{
    int64_t until_ns = fixture->now + length_ns, came_ns = fixture->now;
    for (int looks = 0; fixture->now < until_ns; looks++) {
        for (int64_t to_ns = fixture->now; came_ns < to_ns; came_ns += MS / 10)
            arrive(fixture, ADMISSION_CLIENTS, "gateway");
        if (lane != ADMISSION_CLIENTS && looks % 8 == 0)
            arrive(fixture, lane, "orders");
        run_turn(fixture);
        run_turn(fixture);
        if (fixture->now == came_ns)
            fixture->now += MS / 10; /* there was nothing to do */
    }
}

static void a_request_begins_at_once(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++) {
        arrive(fixture, ADMISSION_CLIENTS, NULL);
        assert_null(fixture->turn);
        fixture->world.rounds++;
    }
    assert_int_equal(fixture->begun[ADMISSION_CLIENTS], 100);
    assert_int_equal(fixture->longest_ns[ADMISSION_CLIENTS], 0);
}

static void what_is_found_at_one_time_keeps_the_loop_for_a_while_only(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++)
        arrive(fixture, ADMISSION_CLIENTS, "gateway");
    assert_int_equal(fixture->begun[ADMISSION_CLIENTS], ADMISSION_ROUND_NS / MS);
    assert_int_equal(waiting(fixture, ADMISSION_CLIENTS), 100 - ADMISSION_ROUND_NS / MS);
    while (fixture->turn) {
        int64_t before = fixture->now;
        run_turn(fixture);
        assert_in_range(fixture->now - before, 0, 2 * ADMISSION_ROUND_NS);
    }
    assert_int_equal(fixture->begun[ADMISSION_CLIENTS], 100);
}

static void a_flood_keeps_no_step_and_no_probe_waiting(void **state)
{
    struct fixture *fixture = *state;
    static const enum admission_lane lanes[] = {ADMISSION_STEPS, ADMISSION_OWN};
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++) {
        flood(fixture, 3000 * MS, lanes[i]);
        assert_true(fixture->begun[lanes[i]] > 10);
        assert_int_equal(fixture->shed[lanes[i]], 0);
        assert_in_range(fixture->longest_ns[lanes[i]], 0, 3 * ADMISSION_ROUND_NS);
    }
    assert_true(fixture->shed[ADMISSION_CLIENTS] > 10000);
}

static void a_flood_leaves_the_loop_no_time_unused(void **state)
{
    struct fixture *fixture = *state;
    flood(fixture, 1500 * MS, ADMISSION_CLIENTS);
    unsigned before = fixture->begun[ADMISSION_CLIENTS];
    int64_t began_ns = fixture->now;
    fixture->longest_ns[ADMISSION_CLIENTS] = 0;
    flood(fixture, 3000 * MS, ADMISSION_CLIENTS);
    assert_true((fixture->begun[ADMISSION_CLIENTS] - before) * MS >=
                (fixture->now - began_ns) * 99 / 100);
    assert_in_range(fixture->longest_ns[ADMISSION_CLIENTS], 0,
                    TURNS_LONG_NS + TURNS_SHORT_NS + 2 * ADMISSION_ROUND_NS);
}

static void steps_take_half_of_the_loop_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 400; i++) {
        arrive(fixture, ADMISSION_CLIENTS, "gateway");
        arrive(fixture, ADMISSION_STEPS, "orders");
    }
    unsigned begun = fixture->begun[ADMISSION_CLIENTS];
    for (int i = 0; i < 20; i++)
        run_turn(fixture);
    unsigned clients = fixture->begun[ADMISSION_CLIENTS] - begun;
    assert_true(waiting(fixture, ADMISSION_STEPS) > 0 && clients > 20);
}

static void a_place_is_given_back_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->holds = true;
    for (unsigned i = 0; i < ADMISSION_PLACES + 2; i++)
        arrive(fixture, ADMISSION_CLIENTS, "gateway");
    assert_int_equal(waiting(fixture, ADMISSION_CLIENTS), 2);
    assert_null(fixture->turn);
    for (unsigned i = 0; i < 10 * ADMISSION_PLACES; i++)
        arrive(fixture, ADMISSION_OWN, "operator"); /* which need none */
    assert_int_equal(fixture->started, 11 * ADMISSION_PLACES);
    struct admission_request *first = &fixture->ready->admitted;
    admission_leave(&fixture->admission, first);
    admission_leave(&fixture->admission, first);
    run_turn(fixture);
    assert_int_equal(waiting(fixture, ADMISSION_CLIENTS), 1);
    assert_int_equal(fixture->admission.lanes[ADMISSION_CLIENTS].under_way, ADMISSION_PLACES);
}

static void what_nobody_wants_any_more_is_shed_though_no_place_is_free(void **state)
{
    struct fixture *fixture = *state;
    struct world_timer *look = &fixture->admission.look;
    fixture->holds = true;
    for (unsigned i = 0; i < ADMISSION_PLACES + 3; i++)
        arrive(fixture, ADMISSION_CLIENTS, i % 2 ? "gateway" : "orders");
    assert_true(fixture->admission.looks);
    fixture->now += 5000 * MS;
    arrive(fixture, ADMISSION_CLIENTS, "stock");
    look->fire(look);
    assert_int_equal(fixture->shed[ADMISSION_CLIENTS], 0);
    fixture->now += 5000 * MS;
    look->fire(look);
    assert_int_equal(fixture->shed[ADMISSION_CLIENTS], 3);
    assert_int_equal(waiting(fixture, ADMISSION_CLIENTS), 1);
    assert_true(fixture->admission.looks);
    fixture->now += 5000 * MS;
    look->fire(look);
    assert_int_equal(waiting(fixture, ADMISSION_CLIENTS), 0);
    assert_false(fixture->admission.looks);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_request_begins_at_once),
        TEST(what_is_found_at_one_time_keeps_the_loop_for_a_while_only),
        TEST(a_flood_keeps_no_step_and_no_probe_waiting),
        TEST(a_flood_leaves_the_loop_no_time_unused),
        TEST(steps_take_half_of_the_loop_and_no_more),
        TEST(a_place_is_given_back_once),
        TEST(what_nobody_wants_any_more_is_shed_though_no_place_is_free),
    };
    return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
