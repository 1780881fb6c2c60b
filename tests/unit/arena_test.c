/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas: alignment, the bound, reuse of blocks, what stays readable. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"

static void arena_returns_aligned_memory_that_does_not_overlap(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    char *taken[200];
    for (size_t i = 0; i < 200; i++) {
        taken[i] = arena_try_alloc(&arena, i);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i] % 16, 0);
        memset(taken[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t at = 0; at < i; at++)
            assert_int_equal((unsigned char)taken[i][at], i);
    }
    arena_release(&arena);
}

static void arena_returns_memory_for_a_size_of_zero(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    char *first = arena_alloc(&arena, 0);
    assert_non_null(first);
    assert_ptr_not_equal(first, arena_alloc(&arena, 0));
    arena_release(&arena);
}

static void arena_alloc_returns_zeroed_memory_even_in_a_reused_block(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    memset(arena_alloc(&arena, 4000), 'x', 4000);
    arena_release(&arena);
    const char *again = arena_alloc(&arena, 4000);
    for (size_t i = 0; i < 4000; i++)
        assert_int_equal(again[i], 0);
    arena_release(&arena);
}

static void arena_refuses_past_its_bound_and_goes_on_within_it(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    assert_null(arena_try_alloc(&arena, 100001));
    assert_null(arena_try_alloc(&arena, SIZE_MAX));
    assert_null(arena_try_alloc(&arena, SIZE_MAX - 8));
    size_t taken = 0;
    while (arena_try_alloc(&arena, 1000))
        taken += 1000;
    assert_in_range(taken, 80000, 100000);
    assert_true(arena.size <= 100000);
    assert_null(arena_try_alloc(&arena, 1000));
    arena_release(&arena);
    assert_int_equal(arena.size, 0);
    assert_non_null(arena_try_alloc(&arena, 90000));
    arena_release(&arena);
}

static void arena_smaller_than_a_block_takes_no_more_than_it_may(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 512);
    assert_non_null(arena_try_alloc(&arena, 256));
    assert_true(arena.size <= 512);
    assert_null(arena_try_alloc(&arena, 400));
    arena_release(&arena);
}

static void arena_takes_one_large_piece_among_small_ones(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    char *small = arena_text(&arena, "before");
    char *large = arena_try_alloc(&arena, 3u << 20);
    assert_non_null(large);
    memset(large, 'x', 3u << 20);
    assert_string_equal(arena_text(&arena, "after"), "after");
    assert_string_equal(small, "before");
    arena_release(&arena);
}

static void arena_reuses_standard_blocks_of_ended_units_of_work(void **state)
{
    (void)state;
    struct arena first, second;
    arena_init(&first, ARENA_SIZE_MAX);
    void *block = arena_try_alloc(&first, 100);
    arena_release(&first);
    arena_init(&second, ARENA_SIZE_MAX);
    assert_ptr_equal(arena_try_alloc(&second, 100), block);
    arena_release(&second);
}

static void arena_copies_text_with_its_end(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    assert_string_equal(arena_copy(&arena, "orders and more", 6), "orders");
    assert_string_equal(arena_copy(&arena, NULL, 0), "");
    assert_memory_equal(arena_copy(&arena, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_printf(&arena, "%s/%d", "orders", 7), "orders/7");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_returns_aligned_memory_that_does_not_overlap),
        cmocka_unit_test(arena_returns_memory_for_a_size_of_zero),
        cmocka_unit_test(arena_alloc_returns_zeroed_memory_even_in_a_reused_block),
        cmocka_unit_test(arena_refuses_past_its_bound_and_goes_on_within_it),
        cmocka_unit_test(arena_smaller_than_a_block_takes_no_more_than_it_may),
        cmocka_unit_test(arena_takes_one_large_piece_among_small_ones),
        cmocka_unit_test(arena_reuses_standard_blocks_of_ended_units_of_work),
        cmocka_unit_test(arena_copies_text_with_its_end),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
