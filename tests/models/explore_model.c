/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of models itself: two who each read a number, and then write one more. */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { WHO = 2, TIMES = 3 };

struct counting {
    uint8_t locks, gives_up; /* the rules */
    uint8_t number, holder;  /* of the lock: 1 + who */
    uint8_t times[WHO], reads[WHO], read[WHO];
};

static void next(struct explore *explore, const void *state)
{
    const struct counting *now = state;
    for (int i = 0; i < WHO; i++) {
        struct counting after = *now;
        if (now->reads[i]) {
            after.reads[i] = 0;
            after.times[i]++;
            after.number = (uint8_t)(now->read[i] + 1);
            after.read[i] = 0;
            after.holder = 0;
            explore_step(explore, &after, "%d writes %d", i, after.number);
        } else if (now->times[i] < TIMES && (!now->locks || !now->holder)) {
            after.reads[i] = 1;
            after.read[i] = now->number;
            after.holder = now->locks ? (uint8_t)(1 + i) : 0;
            explore_step(explore, &after, "%d reads %d", i, now->number);
            if (now->gives_up) {
                after = *now;
                after.times[i] = TIMES + 1;
                explore_step(explore, &after, "%d gives up", i);
            }
        }
    }
}

static bool ended(const void *state)
{
    const struct counting *now = state;
    return now->times[0] == TIMES && now->times[1] == TIMES;
}

static const char *bad(const void *state)
{
    const struct counting *now = state;
    return ended(state) && now->number != WHO * TIMES ? "a number was lost" : NULL;
}

static const struct explore_model counting = {
    .name = "counting", .size = sizeof(struct counting), .next = next, .bad = bad, .goal = ended};

static void what_holds_in_every_order_is_said_to_hold(void **state)
{
    (void)state;
    struct counting first = {.locks = 1};
    explore_holds(&counting, &first);
}

static void what_one_order_breaks_is_caught(void **state)
{
    (void)state;
    struct counting first = {0};
    explore_catches(&counting, &first, "a number was lost");
}

static void what_never_comes_to_an_end_is_caught(void **state)
{
    (void)state;
    struct counting first = {.locks = 1, .gives_up = 1};
    explore_catches(&counting, &first, EXPLORE_NO_PROGRESS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_in_every_order_is_said_to_hold),
        cmocka_unit_test(what_one_order_breaks_is_caught),
        cmocka_unit_test(what_never_comes_to_an_end_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
