/* SPDX-License-Identifier: Apache-2.0 */
/* Lines and their turns, on a clock that the test moves. */

#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "call/turns.h"

#define MS INT64_C(1000000)

struct flood {
    struct turns turns;
    int64_t now;
    unsigned begun, shed, late; /* late: shed in the line */
    int64_t longest_ns;         /* of those that were begun */
};

static int setup(void **state)
{
    struct flood *flood = calloc(1, sizeof *flood);
    assert_non_null(flood);
    turns_init(&flood->turns);
    flood->now = 1000 * MS;
    *state = flood;
    return 0;
}

static void take(struct flood *flood)
{
    bool is_late;
    struct turns_waiter *waiter = turns_take(&flood->turns, flood->now, &is_late);
    if (!waiter)
        return;
    flood->begun += !is_late;
    flood->late += is_late;
    if (!is_late && flood->now - waiter->since_ns > flood->longest_ns)
        flood->longest_ns = flood->now - waiter->since_ns;
    free(waiter);
}

static int teardown(void **state)
{
    struct flood *flood = *state;
    while (flood->turns.waiting)
        take(flood);
    turns_release(&flood->turns);
    free(flood);
    return 0;
}

/* False: shed. */
static bool arrive_until(struct flood *flood, const char *caller, int64_t until_ns, size_t bytes)
{
    if (turns_shed(&flood->turns, caller, until_ns, flood->now)) {
        flood->shed++;
        return false;
    }
    struct turns_waiter *waiter = calloc(1, sizeof *waiter);
    assert_non_null(waiter);
    waiter->until_ns = until_ns;
    waiter->bytes = bytes;
    turns_add(&flood->turns, caller, waiter, flood->now);
    return true;
}

static bool arrive(struct flood *flood, const char *caller)
{
    return arrive_until(flood, caller, flood->now + 10000 * MS, 100);
}

/* One is begun each millisecond, as long as there are any; `a_ms` arrive in that time. */
static void run(struct flood *flood, int ms, const char *caller, int a_ms)
{
    for (int i = 0; i < ms; i++, flood->now += MS) {
        for (int each = 0; each < a_ms; each++)
            arrive(flood, caller);
        unsigned before = flood->begun;
        while (flood->turns.waiting && flood->begun == before)
            take(flood);
    }
}

static void callers_take_turns(void **state)
{
    struct flood *flood = *state;
    static const char arrivals[] = "aaabcb";
    char order[sizeof arrivals] = "";
    bool is_late;
    for (int i = 0; arrivals[i]; i++) {
        const char name[] = {arrivals[i], '\0'};
        arrive_until(flood, name, INT64_MAX, (size_t)arrivals[i]);
    }
    for (int i = 0; arrivals[i]; i++) {
        struct turns_waiter *next = turns_take(&flood->turns, flood->now, &is_late);
        assert_non_null(next);
        order[i] = (char)next->bytes;
        free(next);
    }
    assert_string_equal(order, "abcaba");
    assert_null(turns_take(&flood->turns, flood->now, &is_late));
}

static void a_burst_waits_and_nothing_of_it_is_shed(void **state)
{
    struct flood *flood = *state;
    run(flood, 1, "a", 700);
    run(flood, 1000, "a", 0);
    assert_int_equal(flood->begun, 700);
    assert_int_equal(flood->shed + flood->late, 0);
    assert_false(flood->turns.overloaded);
}

/* `count` clients that ask again when they are answered, each of which takes `each_ms`. */
static void ask_in_turn(struct flood *flood, unsigned count, int each_ms)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(arrive(flood, "a"));
    for (unsigned i = 0; i < 3 * count; i++) {
        flood->now += each_ms * MS;
        take(flood);
        assert_true(arrive(flood, "a"));
    }
    assert_int_equal(flood->begun, 3 * count);
    assert_int_equal(flood->shed + flood->late, 0);
}

static void clients_that_wait_for_their_answers_are_no_overload(void **state)
{
    struct flood *flood = *state;
    ask_in_turn(flood, TURNS_CALLER_MIN - 1, 10); /* each waits 2.6 s */
    while (flood->turns.waiting)
        take(flood);
    flood->begun = 0;
    ask_in_turn(flood, 900, 1);
    assert_false(flood->turns.overloaded);
}

static void a_flood_is_shed_while_as_much_is_done_as_can_be(void **state)
{
    struct flood *flood = *state;
    run(flood, 1500, "a", 10);
    assert_true(flood->turns.overloaded);
    assert_int_equal(flood->begun, 1500);
    flood->longest_ns = 0;
    flood->late = 0;
    run(flood, 3000, "a", 10);
    assert_int_equal(flood->begun, 4500);
    assert_in_range(flood->longest_ns, 1, TURNS_LONG_NS + TURNS_SHORT_NS);
    assert_true(flood->late * 3 < flood->shed); /* the others at the door */
    unsigned shed = flood->shed;
    run(flood, 2 * (int)(TURNS_SHORT_NS / MS), "a", 0);
    assert_int_equal(flood->turns.waiting, 0);
    for (int i = 0; i < 500; i++, flood->now += MS) { /* as many as can be done half the time */
        if (i % 2)
            assert_true(arrive(flood, "a"));
        take(flood);
    }
    for (int i = 0; i < 50; i++) /* few were done meanwhile, since few came */
        assert_true(arrive(flood, "a"));
    assert_int_equal(flood->shed, shed);
    assert_false(turns_calm_down(&flood->turns, flood->now));
    flood->now += TURNS_CALM_NS;
    assert_true(turns_calm_down(&flood->turns, flood->now));
    assert_false(flood->turns.overloaded);
    assert_false(turns_calm_down(&flood->turns, flood->now));
}

/* They ask again at once, also when they were shed. */
static void after_a_flood_clients_that_wait_for_their_answers_are_shed_no_more(void **state)
{
    struct flood *flood = *state;
    unsigned shed = 0;
    run(flood, 1500, "a", 10);
    assert_true(flood->turns.overloaded);
    for (int i = 0; i < 3000; i++, flood->now += MS) {
        if (i == 2000)
            shed = flood->shed + flood->late;
        for (unsigned idle = TURNS_CALLER_MIN; idle > flood->turns.waiting; idle--)
            arrive(flood, "a");
        take(flood);
    }
    assert_int_equal(flood->shed + flood->late, shed);
    assert_true(turns_calm_down(&flood->turns, flood->now));
}

static void a_pause_is_no_measure_of_what_can_be_done(void **state)
{
    struct flood *flood = *state;
    run(flood, 1, "a", 100);
    run(flood, 500, "a", 1);
    assert_int_equal(flood->turns.rate, TURNS_SHORT_NS / MS);
    for (int i = 0; i < 500; i++, flood->now += 2 * MS) /* nothing is taken */
        assert_true(arrive(flood, "a"));
    run(flood, 500, "a", 1);
    flood->now += 500 * MS; /* nothing even arrives */
    for (int i = 0; i < 250; i++)
        assert_true(arrive(flood, "a"));
    run(flood, 500, "a", 1);
    assert_int_equal(flood->shed + flood->late, 0);
    assert_int_equal(flood->turns.rate, TURNS_SHORT_NS / MS);
}

static void nothing_is_shed_before_anything_was_measured(void **state)
{
    struct flood *flood = *state;
    for (int i = 0; i < 500; i++, flood->now += MS) /* it has only begun to serve */
        assert_true(arrive(flood, "a"));
    run(flood, 1000, "a", 0);
    assert_int_equal(flood->begun, 500);
}

static void what_is_always_taken_late_is_measured(void **state)
{
    struct flood *flood = *state;
    run(flood, 1, "a", 100);
    run(flood, 500, "a", 1);
    for (int i = 0; i < 3; i++, flood->now += 2 * TURNS_SHORT_NS)
        take(flood);
    assert_int_equal(flood->turns.rate, 0);
    while (flood->turns.waiting)
        take(flood);
    run(flood, 1, "a", 50); /* later, and a pause before anything was measured */
    flood->now += 2 * TURNS_SHORT_NS;
    flood->turns.rate = 7;
    take(flood);
    assert_int_equal(flood->turns.rate, 7);
}

static void another_ones_overload_is_no_reason_to_shed(void **state)
{
    struct flood *flood = *state;
    run(flood, 1500, "flood", 10);
    assert_true(flood->turns.overloaded);
    for (int i = 0; i < 200; i++) /* more than are begun of both in TURNS_SHORT_NS */
        assert_true(arrive(flood, "burst"));
    unsigned begun = flood->begun;
    run(flood, 400, "flood", 10);
    assert_int_equal(flood->begun, begun + 400);
    assert_null(map_get(&flood->turns.callers, "burst")); /* its turn was every other one */
}

static void ones_flood_sheds_nobody_else(void **state)
{
    struct flood *flood = *state;
    run(flood, 1500, "flood", 10);
    for (int i = 0; i < 200; i++) {
        assert_true(arrive(flood, "quiet"));
        run(flood, 2, "flood", 10); /* its turn comes after one of the other's */
    }
    assert_true(flood->turns.overloaded);
    unsigned before = flood->begun;
    run(flood, 1000, "another", 10); /* whose line is as long as the first one's would be */
    assert_int_equal(flood->begun, before + 1000);
}

static void whoever_has_no_time_left_is_not_let_wait(void **state)
{
    struct flood *flood = *state;
    arrive(flood, "a");
    flood->now += 60 * MS;
    assert_false(arrive_until(flood, "a", flood->now + 100 * MS, 1));
    assert_true(arrive_until(flood, "a", flood->now + 200 * MS, 1));
    flood->now += 200 * MS;
    take(flood);
    take(flood); /* nobody wants this one any more */
    assert_int_equal(flood->begun, 1);
    assert_int_equal(flood->late, 1);
}

static void what_waits_is_bounded_in_number_and_bytes(void **state)
{
    struct flood *flood = *state;
    for (unsigned i = 0; i < TURNS_CALLER_MAX; i++)
        assert_true(arrive(flood, "a"));
    assert_false(arrive(flood, "a"));
    assert_true(arrive_until(flood, "b", flood->now + 1000 * MS, TURNS_BYTES_MAX));
    assert_false(arrive(flood, "b"));
    assert_true(arrive(flood, "c"));
    assert_true(arrive(flood, "c")); /* it keeps less than its part */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(callers_take_turns),
        TEST(clients_that_wait_for_their_answers_are_no_overload),
        TEST(a_burst_waits_and_nothing_of_it_is_shed),
        TEST(a_flood_is_shed_while_as_much_is_done_as_can_be),
        TEST(after_a_flood_clients_that_wait_for_their_answers_are_shed_no_more),
        TEST(a_pause_is_no_measure_of_what_can_be_done),
        TEST(nothing_is_shed_before_anything_was_measured),
        TEST(what_is_always_taken_late_is_measured),
        TEST(another_ones_overload_is_no_reason_to_shed),
        TEST(ones_flood_sheds_nobody_else),
        TEST(whoever_has_no_time_left_is_not_let_wait),
        TEST(what_waits_is_bounded_in_number_and_bytes),
    };
    return cmocka_run_group_tests_name("call_turns", tests, NULL, NULL);
}
