/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker and the retry budget, on a clock that the test moves. */

#include "../support/harness.h"

#include "call/breaker.h"

#define MS INT64_C(1000000)

static int64_t now; /* ns */

static void silent(struct breaker *breaker, int64_t took_ms)
{
    enum breaker_pass pass = breaker_pass(breaker, now);
    assert_int_not_equal(pass, BREAKER_REFUSE);
    breaker_silent(breaker, pass, now, now + took_ms * MS);
    now += took_ms * MS;
}

static void answered(struct breaker *breaker, int64_t took_ms)
{
    assert_int_not_equal(breaker_pass(breaker, now), BREAKER_REFUSE);
    breaker_answered(breaker, now, now + took_ms * MS);
    now += took_ms * MS;
}

static void open_it(struct breaker *breaker)
{
    for (int i = 0; i < BREAKER_CONSECUTIVE; i++)
        silent(breaker, 2000);
    assert_int_equal(breaker->state, BREAKER_OPEN);
}

static int setup(void **state)
{
    static struct breaker breaker;
    breaker = (struct breaker){0};
    now = 0;
    *state = &breaker;
    return 0;
}

static void it_opens_when_nothing_was_answered_for_a_second(void **state)
{
    struct breaker *breaker = *state;
    for (int i = 0; i < BREAKER_CONSECUTIVE - 1; i++)
        silent(breaker, 2000);
    assert_int_equal(breaker->state, BREAKER_CLOSED);
    silent(breaker, 2000);
    assert_int_equal(breaker->state, BREAKER_OPEN);
    assert_int_equal(breaker_pass(breaker, now), BREAKER_REFUSE);
    assert_int_equal(breaker->opened, 1);
}

static void calls_that_hang_at_once_open_it_at_once(void **state)
{
    struct breaker *breaker = *state;
    int opened = 0;
    for (int i = 0; i < 64; i++) /* all sent at once, all given up at once */
        opened += breaker_silent(breaker, BREAKER_PASS, now, now + 2000 * MS);
    assert_int_equal(opened, 1); /* whoever waits in the queue is rejected once */
    assert_int_equal(breaker->state, BREAKER_OPEN);
}

/* A service that is killed breaks what is in flight; it is back within a second. */
static void a_short_death_opens_nothing_however_many_calls_it_breaks(void **state)
{
    struct breaker *breaker = *state;
    for (int i = 0; i < 50; i++)
        answered(breaker, 1);
    for (int i = 0; i < 256; i++)
        breaker_silent(breaker, BREAKER_PASS, now, now + 900 * MS);
    assert_int_equal(breaker->state, BREAKER_CLOSED);
    now += 900 * MS;
    answered(breaker, 1);
    assert_int_equal(breaker->consecutive, 0);
}

static void it_opens_when_half_of_many_calls_get_no_answer_for_seconds(void **state)
{
    struct breaker *breaker = *state;
    int calls = 0;
    while (breaker->state == BREAKER_CLOSED) {
        answered(breaker, 1);
        silent(breaker, 1);
        now += 200 * MS;
        calls += 2;
        assert_true(calls < 100);
    }
    assert_true(calls >= BREAKER_CALLS_MIN);
    assert_int_equal(breaker->state, BREAKER_OPEN);
}

static void a_few_silent_calls_among_many_open_nothing(void **state)
{
    struct breaker *breaker = *state;
    for (int i = 0; i < 1000; i++) {
        if (i % 3 == 0)
            silent(breaker, 10);
        else
            answered(breaker, 10);
    }
    assert_int_equal(breaker->state, BREAKER_CLOSED);
}

static void what_was_long_ago_does_not_count(void **state)
{
    struct breaker *breaker = *state;
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++)
            silent(breaker, 1);
        answered(breaker, 1);
        now += BREAKER_WINDOW_S * 1000 * MS;
    }
    assert_int_equal(breaker->state, BREAKER_CLOSED);
}

static void half_open_lets_one_probe_through_and_its_answer_closes(void **state)
{
    struct breaker *breaker = *state;
    open_it(breaker);
    now += BREAKER_PAUSE_MS_MIN * MS - 1;
    assert_int_equal(breaker_pass(breaker, now), BREAKER_REFUSE);
    now += 1;
    assert_int_equal(breaker_pass(breaker, now), BREAKER_PROBE);
    for (int i = 0; i < 10; i++)
        assert_int_equal(breaker_pass(breaker, now), BREAKER_REFUSE);
    breaker_answered(breaker, now, now + MS);
    assert_int_equal(breaker->state, BREAKER_CLOSED);
    assert_int_equal(breaker_pass(breaker, now), BREAKER_PASS);
    assert_int_equal(breaker->probes, 1);
}

static void pauses_between_probes_grow_to_a_second_and_no_further(void **state)
{
    struct breaker *breaker = *state;
    static const int pauses[] = {100, 200, 400, 800, 1000, 1000, 1000};
    open_it(breaker);
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        assert_int_equal(breaker->probe_at_ns - now, pauses[i] * MS);
        now = breaker->probe_at_ns;
        assert_int_equal(breaker_pass(breaker, now), BREAKER_PROBE);
        breaker_silent(breaker, BREAKER_PROBE, now, now);
        assert_int_equal(breaker->state, BREAKER_OPEN);
    }
    assert_int_equal(breaker->opened, 1);
    now = breaker->probe_at_ns;
    answered(breaker, 1);
    open_it(breaker); /* and start afresh */
    assert_int_equal(breaker->probe_at_ns - now, pauses[0] * MS);
}

static void a_late_answer_closes_it_too(void **state)
{
    struct breaker *breaker = *state;
    int64_t began = now;
    open_it(breaker);
    breaker_answered(breaker, began, now);
    assert_int_equal(breaker_pass(breaker, now), BREAKER_PASS);
}

static void a_probe_that_was_not_sent_leaves_its_place(void **state)
{
    struct breaker *breaker = *state;
    open_it(breaker);
    now = breaker->probe_at_ns;
    assert_int_equal(breaker_pass(breaker, now), BREAKER_PROBE);
    breaker_forget(breaker, BREAKER_PROBE, now);
    assert_int_equal(breaker_pass(breaker, now), BREAKER_PROBE);
}

static void a_probe_gets_the_time_that_answers_have_needed(void **state)
{
    struct breaker *breaker = *state;
    assert_true(breaker_probe_ns(breaker) > 3600 * 1000 * MS);
    answered(breaker, 2);
    assert_int_equal(breaker_probe_ns(breaker), BREAKER_PROBE_MS_MIN * MS);
    answered(breaker, 1000);
    answered(breaker, 2);
    assert_true(breaker_probe_ns(breaker) > 3900 * MS);
    for (int i = 0; i < 1000; i++)
        answered(breaker, 2);
    assert_int_equal(breaker_probe_ns(breaker), BREAKER_PROBE_MS_MIN * MS);
}

static void retries_are_a_fifth_of_the_calls_and_a_few(void **state)
{
    struct breaker *breaker = *state;
    int retries = 0;
    while (breaker_retry(breaker, now))
        retries++;
    assert_int_equal(retries, BREAKER_RETRIES_MIN);
    for (int i = 0; i < 1000; i++)
        breaker_call(breaker, now);
    while (breaker_retry(breaker, now))
        retries++;
    assert_int_equal(retries, BREAKER_RETRIES_MIN + 1000 / BREAKER_CALLS_A_RETRY);
    assert_int_equal(breaker->unaffordable, 2);
    now += (BREAKER_WINDOW_S + 1) * 1000 * MS;
    assert_true(breaker_retry(breaker, now));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(it_opens_when_nothing_was_answered_for_a_second),
        TEST(calls_that_hang_at_once_open_it_at_once),
        TEST(a_short_death_opens_nothing_however_many_calls_it_breaks),
        TEST(it_opens_when_half_of_many_calls_get_no_answer_for_seconds),
        TEST(a_few_silent_calls_among_many_open_nothing),
        TEST(what_was_long_ago_does_not_count),
        TEST(half_open_lets_one_probe_through_and_its_answer_closes),
        TEST(pauses_between_probes_grow_to_a_second_and_no_further),
        TEST(a_late_answer_closes_it_too),
        TEST(a_probe_that_was_not_sent_leaves_its_place),
        TEST(a_probe_gets_the_time_that_answers_have_needed),
        TEST(retries_are_a_fifth_of_the_calls_and_a_few),
    };
    return cmocka_run_group_tests_name("call_breaker", tests, NULL, NULL);
}
