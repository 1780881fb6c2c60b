/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets: exact to the microsecond on a clock of their own, and nobody's is refilled by whom
 * the table has to forget. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bucket.h"

#define SECOND INT64_C(1000000)

static const unsigned char hash_key[16] = "0123456789abcdef";

/* The same numbers in each run. */
static uint32_t draw(void)
{
    static uint64_t state = 11;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 34);
}

static struct bucket_table table_of(int64_t quota, int window_s, size_t places)
{
    struct bucket_table table;
    bucket_init(&table, quota, window_s, places, hash_key);
    return table;
}

static bool take_one(struct bucket_table *table, const char *name, int64_t now_us)
{
    struct bucket_standing standing;
    bool empty = bucket_is_empty(table, name, now_us);
    bool taken = bucket_take(table, name, 1, now_us, &standing);
    assert_int_equal(empty, !taken);
    return taken;
}

static int take_all(struct bucket_table *table, const char *name, int64_t now_us)
{
    int taken = 0;
    while (take_one(table, name, now_us))
        taken++;
    return taken;
}

static void a_token_comes_back_at_its_microsecond(void **state)
{
    (void)state;
    struct bucket_table table = table_of(3, 7, 64); /* a token takes 2,333,333 1/3 us */
    struct bucket_standing standing;
    assert_int_equal(take_all(&table, "a", SECOND), 3);
    assert_false(bucket_take(&table, "a", 1, SECOND, &standing));
    assert_int_equal(standing.remaining, 0);
    assert_int_equal(standing.possible_us, 2333334);
    assert_int_equal(standing.full_us, 7 * SECOND);
    assert_false(take_one(&table, "a", SECOND + 2333333));
    assert_true(take_one(&table, "a", SECOND + 2333334));
    assert_false(take_one(&table, "a", SECOND + 4666666)); /* the third of a microsecond is kept */
    assert_true(take_one(&table, "a", SECOND + 4666667));
    assert_true(take_one(&table, "a", SECOND + 7 * SECOND));
    assert_false(take_one(&table, "a", SECOND + 7 * SECOND));
    bucket_release(&table);
}

static void nothing_is_gained_or_lost_over_a_day(void **state)
{
    (void)state;
    struct bucket_table table = table_of(BUCKET_QUOTA_MAX, BUCKET_WINDOW_S_MAX, 8);
    struct bucket_standing standing;
    int64_t now_us = 5, end_us = now_us + (int64_t)BUCKET_WINDOW_S_MAX * SECOND;
    int64_t taken = BUCKET_QUOTA_MAX;
    assert_true(bucket_take(&table, "a", BUCKET_QUOTA_MAX, now_us, &standing));
    while (now_us < end_us) {
        int64_t step_us = 1 + draw() % (400 * SECOND);
        now_us = now_us + step_us < end_us ? now_us + step_us : end_us;
        while (take_one(&table, "a", now_us))
            taken++;
    }
    assert_int_equal(taken, 2 * BUCKET_QUOTA_MAX);
    bucket_release(&table);
}

static void a_clock_that_stands_or_leaps_does_no_harm(void **state)
{
    (void)state;
    struct bucket_table table = table_of(10, 1, 8);
    assert_int_equal(take_all(&table, "a", 100 * SECOND), 10);
    assert_false(take_one(&table, "a", 50 * SECOND));
    assert_int_equal(take_all(&table, "a", INT64_MAX), 10);
    bucket_release(&table);
}

static void names_do_not_pay_for_each_other(void **state)
{
    (void)state;
    struct bucket_table table = table_of(5, 60, 1024);
    assert_int_equal(take_all(&table, "a", SECOND), 5);
    assert_int_equal(take_all(&table, "b", SECOND), 5);
    assert_int_equal(take_all(&table, "", SECOND), 5);
    bucket_release(&table);
}

static void what_failed_is_charged_beyond_what_there_is(void **state)
{
    (void)state;
    struct bucket_table table = table_of(10, 10, 8);
    struct bucket_standing standing;
    bucket_charge(&table, "a", 8, SECOND);
    assert_true(bucket_take(&table, "a", 2, SECOND, &standing));
    bucket_charge(&table, "a", 1000000000, SECOND); /* no deeper than empty */
    assert_false(bucket_take(&table, "a", 1, SECOND, &standing));
    assert_int_equal(standing.possible_us, SECOND);
    bucket_release(&table);
}

/* Whoever has used up its own bucket fills the table with names, as many and as often as it likes.
 */
static void filling_the_table_refills_nobody(void **state)
{
    (void)state;
    struct bucket_table table = table_of(10, 100, 64);
    char name[32];
    int64_t now_us = SECOND;
    int taken = take_all(&table, "attacker", now_us), strangers = 0;
    for (int round = 0; round < 200; round++) {
        now_us += SECOND / 4;
        for (int i = 0; i < 500; i++) {
            snprintf(name, sizeof name, "2001:db8:%x:%x", (unsigned)round, (unsigned)i);
            strangers += take_one(&table, name, now_us);
        }
        taken += take_all(&table, "attacker", now_us);
    }
    /* 10 at first, and in 50 s 5 more. */
    assert_in_range(taken, 10, 15);
    /* All the names together have at most what all places have. */
    assert_true(strangers <= 64 * 15);
    bucket_release(&table);
}

/* The same by a model with a bucket for each name and no bound: none in the table has more. */
static void no_bucket_ever_has_more_than_its_own(void **state)
{
    (void)state;
    enum { NAMES = 40 };
    struct bucket_table table = table_of(6, 12, 8);
    int64_t debts[NAMES] = {0}, at_us[NAMES] = {0}, now_us = SECOND;
    int refused = 0;
    for (int i = 0; i < 200000; i++) {
        int which = (int)(draw() % 3 ? draw() % 4 : draw() % NAMES);
        char name[16];
        now_us += draw() % (SECOND / 2);
        snprintf(name, sizeof name, "n%d", which);
        int64_t back = (now_us - at_us[which]) * table.quota;
        debts[which] = debts[which] > back ? debts[which] - back : 0;
        at_us[which] = now_us;
        bool may = debts[which] + table.window_us <= table.quota * table.window_us;
        bool did = take_one(&table, name, now_us);
        if (did && !may)
            fail_msg("%s has a token too many after %d steps", name, i);
        if (did)
            debts[which] += table.window_us;
        refused += !did;
    }
    assert_in_range(refused, 1, 199999);
    bucket_release(&table);
}

static void what_others_have_taken_counts_where_it_is_worse(void **state)
{
    (void)state;
    struct bucket_table table = table_of(10, 10, 64); /* a token a second */
    struct bucket_standing standing;
    int64_t most = 10 * table.window_us;
    assert_int_equal(bucket_debt_max(&table), 2 * most);
    assert_true(take_one(&table, "a", SECOND));
    bucket_owe(&table, "a", 0, SECOND, SECOND);
    bucket_owe(&table, "a", table.window_us / 2, SECOND, SECOND); /* it owes more than that */
    bucket_owe(&table, "a", 5 * table.window_us, SECOND - 5 * SECOND, SECOND);
    bucket_take(&table, "a", 0, SECOND, &standing);
    assert_int_equal(standing.remaining, 9);
    bucket_owe(&table, "a", 7 * table.window_us, SECOND - 2 * SECOND, SECOND);
    bucket_take(&table, "a", 0, SECOND, &standing);
    assert_int_equal(standing.remaining, 5);
    assert_int_equal(standing.full_us, 5 * SECOND);
    /* Overdrawn: it has to come back before there is anything again. */
    bucket_owe(&table, "a", most + 3 * table.window_us, SECOND, SECOND);
    assert_false(bucket_take(&table, "a", 1, SECOND, &standing));
    assert_int_equal(standing.remaining, 0);
    assert_int_equal(standing.full_us, 13 * SECOND);
    assert_int_equal(standing.possible_us, 4 * SECOND);
    assert_int_equal(bucket_charge(&table, "a", 3, SECOND), 0);
    assert_false(take_one(&table, "a", 5 * SECOND - 1));
    assert_true(take_one(&table, "a", 5 * SECOND));
    assert_int_equal(bucket_charge(&table, "a", 30, 7 * SECOND), 2 * table.window_us);
    /* The most that anybody can say of it is over after two windows. */
    bucket_owe(&table, "b", 2 * most, SECOND, SECOND);
    assert_false(take_one(&table, "b", 12 * SECOND - 1));
    assert_true(take_one(&table, "b", 12 * SECOND));
    bucket_owe(&table, "c", 2 * most, SECOND, 21 * SECOND);
    assert_int_equal(take_all(&table, "c", 21 * SECOND), 10);
    bucket_release(&table);
}

static void the_largest_debt_of_the_largest_bucket_is_exact(void **state)
{
    (void)state;
    struct bucket_table table = table_of(BUCKET_QUOTA_MAX, BUCKET_WINDOW_S_MAX, 8);
    struct bucket_standing standing;
    int64_t most = bucket_debt_max(&table);
    bucket_owe(&table, "a", most, 0, 2 * table.window_us - 1);
    bucket_take(&table, "a", 0, 2 * table.window_us - 1, &standing);
    assert_int_equal(standing.full_us, 1);
    assert_false(bucket_take(&table, "a", BUCKET_QUOTA_MAX, 2 * table.window_us - 1, &standing));
    assert_int_equal(standing.possible_us, 1);
    assert_true(bucket_take(&table, "a", BUCKET_QUOTA_MAX, 2 * table.window_us, &standing));
    bucket_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_comes_back_at_its_microsecond),
        cmocka_unit_test(nothing_is_gained_or_lost_over_a_day),
        cmocka_unit_test(a_clock_that_stands_or_leaps_does_no_harm),
        cmocka_unit_test(names_do_not_pay_for_each_other),
        cmocka_unit_test(what_failed_is_charged_beyond_what_there_is),
        cmocka_unit_test(filling_the_table_refills_nobody),
        cmocka_unit_test(no_bucket_ever_has_more_than_its_own),
        cmocka_unit_test(what_others_have_taken_counts_where_it_is_worse),
        cmocka_unit_test(the_largest_debt_of_the_largest_bucket_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
