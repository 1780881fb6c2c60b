/* SPDX-License-Identifier: Apache-2.0 */
/* traceparent: what is read, what is ignored, what is passed on. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "call/trace.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define PARENT "00-" ID "-" SPAN "-01"

static const unsigned char some[TRACE_RANDOM_SIZE] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

static void the_recommendations_own_example_is_read(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_parse(PARENT, &trace));
    assert_string_equal(trace.id, ID);
    assert_string_equal(trace.span, SPAN);
    assert_int_equal(trace.flags, 1);
}

static void a_later_version_is_read_as_far_as_this_one_goes(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_parse("cc-" ID "-" SPAN "-01-what-the-future-will-be-like", &trace));
    assert_true(trace_parse("01-" ID "-" SPAN "-01", &trace));
    assert_false(trace_parse("01-" ID "-" SPAN "-01.", &trace));
}

static void malformed_headers_are_ignored(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "00",
        "00-" ID,
        "00-" ID "-" SPAN,
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-01-more",
        "ff-" ID "-" SPAN "-01",
        "0-" ID "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00_" ID "-" SPAN "-01",
    };
    struct trace trace;
    assert_false(trace_parse(NULL, &trace));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(trace_parse(wrong[i], &trace));
}

static void a_child_keeps_the_trace_and_has_a_span_of_its_own(void **state)
{
    (void)state;
    char child[TRACE_SIZE];
    trace_child(PARENT, some, child);
    assert_string_equal(child, "00-" ID "-1112131415161718-01");
}

static void flags_that_are_not_known_are_not_passed_on(void **state)
{
    (void)state;
    char child[TRACE_SIZE];
    trace_child("00-" ID "-" SPAN "-fe", some, child);
    assert_string_equal(child + strlen(child) - 3, "-00");
}

static void without_a_parent_a_trace_begins(void **state)
{
    (void)state;
    char child[TRACE_SIZE];
    struct trace trace;
    trace_child(NULL, some, child);
    assert_string_equal(child, "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-00");
    assert_true(trace_parse(child, &trace));
}

static void randomness_of_zeros_still_makes_valid_ids(void **state)
{
    (void)state;
    static const unsigned char zeros[TRACE_RANDOM_SIZE] = {0};
    char child[TRACE_SIZE];
    struct trace trace;
    trace_child(NULL, zeros, child);
    assert_true(trace_parse(child, &trace));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recommendations_own_example_is_read),
        cmocka_unit_test(a_later_version_is_read_as_far_as_this_one_goes),
        cmocka_unit_test(malformed_headers_are_ignored),
        cmocka_unit_test(a_child_keeps_the_trace_and_has_a_span_of_its_own),
        cmocka_unit_test(flags_that_are_not_known_are_not_passed_on),
        cmocka_unit_test(without_a_parent_a_trace_begins),
        cmocka_unit_test(randomness_of_zeros_still_makes_valid_ids),
    };
    return cmocka_run_group_tests_name("call_trace", tests, NULL, NULL);
}
