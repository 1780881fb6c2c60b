/* SPDX-License-Identifier: Apache-2.0 */
/* Portions: down to what succeeds, up again where more does, and seldom beyond it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/portion.h"

#define MOST 960

struct taken {
    int things, failures;
};

/* So many portions, of which those of more than `bearable` fail. */
static struct taken take(struct portion *portion, int portions, int bearable)
{
    struct taken taken = {0};
    for (int i = 0; i < portions; i++) {
        int size = portion_size(portion, MOST);
        if (size <= bearable) {
            taken.things += size;
            portion_passed(portion, size);
        } else {
            taken.failures++;
            portion_failed(portion, size / 2);
        }
    }
    return taken;
}

static void a_portion_is_as_large_as_may_be_until_one_fails(void **state)
{
    (void)state;
    struct portion portion = {0};
    struct taken taken = take(&portion, 100, MOST);
    assert_int_equal(taken.things, 100 * MOST);
    assert_int_equal(taken.failures, 0);
}

static void it_finds_any_size_that_comes_through(void **state)
{
    (void)state;
    for (int bearable = 1; bearable < MOST; bearable++) {
        struct portion portion = {0};
        take(&portion, 20, bearable);
        struct taken taken = take(&portion, 1000, bearable);
        if (taken.failures > 60 || taken.things < 1000 * bearable / 2 - 40 * bearable)
            fail_msg("%d: %d failed, %d came through", bearable, taken.failures, taken.things);
    }
}

static void it_grows_again_to_all_there_may_be(void **state)
{
    (void)state;
    struct portion portion = {0};
    take(&portion, 1000, 3);
    take(&portion, 200, MOST);
    assert_int_equal(portion_size(&portion, MOST), MOST);
}

static void a_portion_that_had_another_bound_shows_nothing(void **state)
{
    (void)state;
    struct portion portion = {0};
    portion_failed(&portion, 100);
    for (int i = 0; i < 1000; i++)
        portion_passed(&portion, 99);
    assert_int_equal(portion_size(&portion, MOST), 100);
    assert_int_equal(portion_size(&portion, 10), 10);
    portion_failed(&portion, 0);
    assert_int_equal(portion_size(&portion, MOST), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_portion_is_as_large_as_may_be_until_one_fails),
        cmocka_unit_test(it_finds_any_size_that_comes_through),
        cmocka_unit_test(it_grows_again_to_all_there_may_be),
        cmocka_unit_test(a_portion_that_had_another_bound_shows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
