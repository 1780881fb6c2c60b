/* SPDX-License-Identifier: Apache-2.0 */
/* When a handler counts as one that does not return. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/watchdog.h"

static const struct doing ordering = {.what = "POST /api/orders"};
static const struct doing paying = {.what = "POST /api/payments"};

static void one_that_runs_for_less_than_two_looks_is_not_told(void **state)
{
    struct watchdog_sight watch = {0};
    (void)state;
    for (uint64_t turns = 1; turns < 100; turns += 2) {
        assert_int_equal(watchdog_see(&watch, turns, &ordering, false), WATCHDOG_NOTHING);
        assert_int_equal(watchdog_see(&watch, turns, &ordering, false), WATCHDOG_NOTHING);
    }
}

static void a_loop_that_sleeps_hangs_never(void **state)
{
    struct watchdog_sight watch = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(watchdog_see(&watch, 42, NULL, false), WATCHDOG_NOTHING);
}

static void it_is_told_after_two_seconds_and_whenever_it_took_twice_as_long(void **state)
{
    struct watchdog_sight watch = {0};
    int told = 0, seconds[8];
    (void)state;
    watchdog_see(&watch, 7, &ordering, false);
    for (int i = 1; i <= 40; i++) {
        enum watchdog_verdict verdict = watchdog_see(&watch, 7, &paying, false);
        if (verdict == WATCHDOG_TELLS)
            seconds[told++] = watch.seconds;
        assert_int_equal(verdict == WATCHDOG_NOTHING, i < WATCHDOG_S);
        assert_ptr_equal(watch.doing, &paying);
    }
    const int expected[] = {2, 4, 8, 16, 32};
    assert_int_equal(told, 5);
    assert_memory_equal(seconds, expected, sizeof expected);
    assert_int_equal(watchdog_see(&watch, 9, &ordering, false), WATCHDOG_RETURNED);
    assert_ptr_equal(watch.doing, &paying);
    assert_int_equal(watch.took, 40);
    assert_int_equal(watchdog_see(&watch, 9, &ordering, false), WATCHDOG_NOTHING);
}

/* A debugger at a breakpoint, a stopped process, a machine that slept: the thread's looks are
 * late. */
static void time_in_which_the_process_was_stopped_does_not_count(void **state)
{
    struct watchdog_sight watch = {0};
    (void)state;
    watchdog_see(&watch, 7, &ordering, false);
    for (int i = 0; i < 100; i++)
        assert_int_equal(watchdog_see(&watch, 7, &ordering, true), WATCHDOG_NOTHING);
    assert_int_equal(watchdog_see(&watch, 7, &ordering, false), WATCHDOG_NOTHING);
    assert_int_equal(watchdog_see(&watch, 7, &ordering, false), WATCHDOG_TELLS);
    assert_int_equal(watch.seconds, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_runs_for_less_than_two_looks_is_not_told),
        cmocka_unit_test(a_loop_that_sleeps_hangs_never),
        cmocka_unit_test(it_is_told_after_two_seconds_and_whenever_it_took_twice_as_long),
        cmocka_unit_test(time_in_which_the_process_was_stopped_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
