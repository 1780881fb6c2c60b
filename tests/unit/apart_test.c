/* SPDX-License-Identifier: Apache-2.0 */
/* When two clocks count as apart, and how that is reported. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/apart.h"

#define S_NS INT64_C(1000000000)
#define HOUR_MS INT64_C(3600000)

static void clocks_that_stay_apart_are_reported_once_and_their_end_once(void **state)
{
    struct apart apart = {.is = false};
    (void)state;
    assert_false(apart_note(&apart, 51 * HOUR_MS, false, 1 * S_NS));
    assert_false(apart_note(&apart, 51 * HOUR_MS, false, 2 * S_NS));
    assert_true(apart_note(&apart, 51 * HOUR_MS, false, 3 * S_NS));
    assert_true(apart.is && apart.ahead_ms == 51 * HOUR_MS);
    assert_false(apart_note(&apart, 50 * HOUR_MS, false, 4 * S_NS));
    assert_false(apart_note(&apart, -20000, false, 5 * S_NS)); /* not near enough yet */
    assert_true(apart_note(&apart, 900, false, 6 * S_NS));
    assert_false(apart.is);
    assert_false(apart_note(&apart, 900, false, 7 * S_NS));
}

static void seconds_are_nothing(void **state)
{
    struct apart apart = {.is = false};
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_false(apart_note(&apart, i % 2 ? 25000 : -25000, true, i * S_NS));
        assert_false(apart.is);
    }
}

/* All read at once, when the reader goes on: what comes then is what counts. */
static void what_has_waited_in_a_socket_is_no_difference(void **state)
{
    struct apart apart = {.is = false};
    (void)state;
    for (int i = 0; i < 600; i++)
        assert_false(apart_note(&apart, -(600 - i) * INT64_C(1000), false, 1000 * S_NS + i));
    assert_false(apart_note(&apart, 0, false, 1001 * S_NS));
    assert_false(apart.is);
}

static void what_was_measured_counts_at_once(void **state)
{
    struct apart apart = {.is = false};
    (void)state;
    assert_true(apart_note(&apart, -40000, true, S_NS));
    assert_true(apart.is);
}

static void the_difference_is_written_in_two_units(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{51 * HOUR_MS + 59999, "2 days 3 h ahead of"},
                {-24 * HOUR_MS, "1 day behind"},
                {3 * HOUR_MS + 240000, "3 h 4 min ahead of"},
                {-90000, "1 min 30 s behind"},
                {40999, "40 s ahead of"},
                {INT64_MIN, "106751991167 days 7 h behind"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[APART_TEXT_SIZE];
        apart_text(text, rows[i].ms);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_that_stay_apart_are_reported_once_and_their_end_once),
        cmocka_unit_test(seconds_are_nothing),
        cmocka_unit_test(what_has_waited_in_a_socket_is_no_difference),
        cmocka_unit_test(what_was_measured_counts_at_once),
        cmocka_unit_test(the_difference_is_written_in_two_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
