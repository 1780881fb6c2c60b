/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several instances should have what: evenly, stably, and decided in the same way by
 * all. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "work/balance.h"

#define ITEMS_MAX 64
#define MEMBERS_MAX 9

/* "000111": the owner of each, '-' for nobody; groups are separated by a blank. */
static int parse(const char *text, struct balance_item *items)
{
    int count = 0, group = 0;
    for (; *text; text++) {
        if (*text == ' ')
            group++;
        else
            items[count++] = (struct balance_item){group, *text == '-' ? -1 : *text - '0', -1};
    }
    return count;
}

static void expect(const char *before, int members, const char *after)
{
    struct balance_item items[ITEMS_MAX], wanted[ITEMS_MAX];
    char text[2 * ITEMS_MAX] = "";
    int count = parse(before, items);
    assert_int_equal(count, parse(after, wanted));
    balance(items, count, members, NULL, NULL);
    for (int i = 0, length = 0; i < count; i++) {
        if (i && items[i].group != items[i - 1].group)
            text[length++] = ' ';
        text[length++] = (char)('0' + items[i].wanted);
    }
    assert_string_equal(text, after);
}

static void the_first_instance_gets_all(void **state)
{
    (void)state;
    expect("-------- -", 1, "00000000 0");
}

static void two_become_three_and_only_what_must_moves(void **state)
{
    (void)state;
    expect("00000000", 2, "00001111");
    expect("00001111", 3, "00021112");
    expect("00021112", 3, "00021112");
}

static void what_a_dead_instance_had_goes_to_the_others_only(void **state)
{
    (void)state;
    /* The third of three has died: its partitions are nobody's. */
    expect("000-111-", 2, "00001111");
    expect("0011--22", 3, "00110122");
}

static void a_single_thing_stays_where_it_is(void **state)
{
    (void)state;
    expect("2", 3, "2");
    expect("-", 3, "0");
}

static void single_leases_go_to_the_instance_with_the_least(void **state)
{
    (void)state;
    expect("0001112 - -", 3, "0001122 1 2");
}

static void each_subscription_is_spread_by_itself(void **state)
{
    (void)state;
    expect("0000 0000", 2, "0011 0011");
}

static void more_instances_than_partitions_leave_some_without(void **state)
{
    (void)state;
    expect("0123", 6, "0123");
    expect("----", 6, "0123");
}

static bool only_the_second(const void *context, int group, int member)
{
    (void)context;
    return group == 0 ? true : group == 1 ? member == 1 : false;
}

static void an_instance_that_does_not_know_of_it_gets_none(void **state)
{
    struct balance_item items[ITEMS_MAX];
    static const int wanted[] = {0, 0, 1, 1, 1, 1, -1};
    (void)state;
    int count = parse("0000 0- 0", items);
    balance(items, count, 2, only_the_second, NULL);
    for (int i = 0; i < count; i++)
        assert_int_equal(items[i].wanted, wanted[i]);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Even in each group, and as few move as possible. */
static void check(const struct balance_item *items, int count, int members)
{
    int held[MEMBERS_MAX] = {0}, got[MEMBERS_MAX] = {0}, kept[MEMBERS_MAX] = {0};
    int least = count, most = 0;
    for (int i = 0; i < count; i++) {
        assert_in_range(items[i].wanted, 0, members - 1);
        got[items[i].wanted]++;
        if (items[i].owner >= 0)
            held[items[i].owner]++;
        if (items[i].owner == items[i].wanted)
            kept[items[i].wanted]++;
    }
    for (int m = 0; m < members; m++) {
        least = got[m] < least ? got[m] : least;
        most = got[m] > most ? got[m] : most;
        assert_int_equal(kept[m], held[m] < got[m] ? held[m] : got[m]);
    }
    assert_in_range(most - least, 0, 1);
    /* Whoever had more than the smaller number may keep one more, as long as there are any. */
    for (int m = 0; m < members; m++) {
        for (int other = 0; other < members; other++)
            assert_false(got[m] > least && held[m] <= least && got[other] == least &&
                         held[other] > least);
    }
}

static void it_is_even_and_still_whatever_was_before(void **state)
{
    uint32_t seed = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct balance_item items[ITEMS_MAX], again[ITEMS_MAX];
        int members = 1 + (int)(next_random(&seed) % MEMBERS_MAX);
        int count = (int)(next_random(&seed) % 20);
        for (int i = 0; i < count; i++)
            items[i] = (struct balance_item){
                7, (int)(next_random(&seed) % (unsigned)(members + 1)) - 1, -1};
        balance(items, count, members, NULL, NULL);
        check(items, count, members);
        memcpy(again, items, sizeof again);
        for (int i = 0; i < count; i++)
            again[i].owner = items[i].wanted;
        balance(again, count, members, NULL, NULL);
        for (int i = 0; i < count; i++)
            assert_int_equal(again[i].wanted, items[i].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_instance_gets_all),
        cmocka_unit_test(two_become_three_and_only_what_must_moves),
        cmocka_unit_test(what_a_dead_instance_had_goes_to_the_others_only),
        cmocka_unit_test(a_single_thing_stays_where_it_is),
        cmocka_unit_test(single_leases_go_to_the_instance_with_the_least),
        cmocka_unit_test(each_subscription_is_spread_by_itself),
        cmocka_unit_test(more_instances_than_partitions_leave_some_without),
        cmocka_unit_test(an_instance_that_does_not_know_of_it_gets_none),
        cmocka_unit_test(it_is_even_and_still_whatever_was_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
