/* SPDX-License-Identifier: Apache-2.0 */
/* The oldest saga's turn comes first, and those that begin sagas give way to those under way. */

#include "../support/harness.h"

#include "saga/admission.h"
#include "saga/turns.h"

#define TURNS 1000

static void the_oldest_has_its_turn_first_however_they_came(void **state)
{
    (void)state;
    static struct saga_turn turns[TURNS];
    struct saga_turns waiting = {0};
    uint32_t drawn = 1;
    for (int i = 0; i < TURNS; i++) {
        drawn = drawn * 1664525 + 1013904223;
        saga_turns_add(&waiting, &turns[i], drawn >> 25);
        if (i % 3 == 0)
            assert_non_null(saga_turns_take(&waiting));
    }
    const struct saga_turn *before = NULL, *turn;
    int taken = 0;
    while ((turn = saga_turns_take(&waiting)) != NULL) {
        if (before)
            assert_true(before->age < turn->age ||
                        (before->age == turn->age && before->order < turn->order));
        before = turn;
        taken++;
    }
    assert_int_equal(taken, TURNS - (TURNS + 2) / 3);
}

struct starter {
    struct harness *harness;
    struct saga_admission *admission;
    int entered;
};

static void enter(void *argument)
{
    struct starter *starter = argument;
    assert_true(saga_admission_enter(starter->admission, starter->harness->world, 2));
    starter->entered++;
}

static bool has_entered(void *argument)
{
    const struct starter *starter = argument;
    return starter->entered == 1;
}

static void a_place_that_is_left_goes_to_who_waits(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct saga_admission admission = {0};
    assert_true(saga_admission_places(true, SAGA_STARTS_OPEN) >
                saga_admission_places(true, SAGA_STARTS_OPEN + 1));
    for (int i = 0; i < 3; i++) /* nothing moves */
        assert_true(
            saga_admission_enter(&admission, harness.world, saga_admission_places(false, 1000)));
    struct starter starter = {&harness, &admission, 0};
    assert_true(fiber_start(harness.world->fibers, enter, &starter));
    while (!admission.waiting)
        uv_run(&harness.loop, UV_RUN_ONCE);
    assert_int_equal(starter.entered, 0);
    saga_admission_leave(&admission);
    assert_int_equal(admission.inside, 2);
    saga_admission_leave(&admission);
    harness_until(&harness, has_entered, &starter);
    assert_int_equal(admission.inside, 2);
    admission.waiting = SAGA_STARTS_WAITING_MAX;
    assert_false(saga_admission_enter(&admission, harness.world, 2));
    harness_release(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_has_its_turn_first_however_they_came),
        cmocka_unit_test(a_place_that_is_left_goes_to_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
