/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers, their queues, timers and blocking jobs, on the real world. */

#include "../support/harness.h"

#include <unistd.h>

#include <string.h>

#include "base/json.h"

struct order {
    char text[64];
    struct fiber_queue queue;
    struct world *world;
    int alive;
    bool timed_out;
};

static struct order seen;

static void say(char c)
{
    size_t length = strlen(seen.text);
    seen.text[length] = c;
    seen.text[length + 1] = '\0';
}

static void waits(void *name)
{
    seen.alive++;
    fiber_wait(&seen.queue);
    say(*(char *)name);
    seen.alive--;
}

static void wakes(void *unused)
{
    (void)unused;
    while (seen.alive < 3)
        fiber_yield();
    fiber_wake_one(&seen.queue);
    fiber_yield();
    say('|');
    fiber_wake_all(&seen.queue);
}

static void fibers_wake_in_the_order_they_came(void **state)
{
    struct harness harness;
    (void)state;
    harness_init(&harness);
    seen = (struct order){.world = harness.world};
    char names[] = "abc";
    void (*entries[])(void *) = {waits, waits, waits};
    for (int i = 0; i < 3; i++)
        assert_true(fiber_start(harness.world->fibers, entries[i], &names[i]));
    harness_run(&harness, wakes, NULL);
    uv_run(&harness.loop, UV_RUN_NOWAIT);
    assert_string_equal(seen.text, "a|bc");
    assert_int_equal(fibers_alive(harness.world->fibers), 0);
    harness_release(&harness);
}

static void waits_in_vain(void *unused)
{
    (void)unused;
    seen.timed_out = !fiber_wait_until(&seen.queue, seen.world, world_in_ms(seen.world, 5));
}

static void a_wait_ends_at_its_deadline_and_leaves_the_queue(void **state)
{
    struct harness harness;
    (void)state;
    harness_init(&harness);
    seen = (struct order){.world = harness.world};
    harness_run(&harness, waits_in_vain, NULL);
    assert_true(seen.timed_out);
    assert_null(seen.queue.first);
    harness_release(&harness);
}

static void sleeps_long(void *ms)
{
    fiber_sleep_until(seen.world, world_in_ms(seen.world, *(int *)ms));
    say((char)('0' + *(int *)ms / 10));
}

static void timers_fire_in_order_however_they_were_started(void **state)
{
    struct harness harness;
    int times[] = {50, 10, 70, 30, 20, 60, 40};
    void *arguments[7];
    (void)state;
    harness_init(&harness);
    seen = (struct order){.world = harness.world};
    for (int i = 0; i < 7; i++)
        arguments[i] = &times[i];
    harness_run_all(&harness, sleeps_long, arguments, 7);
    assert_string_equal(seen.text, "1234567");
    harness_release(&harness);
}

static void blocks(void *result)
{
    *(int *)result = 42;
}

static void goes_off_the_loop(void *result)
{
    world_blocking(seen.world, blocks, result);
}

static void a_blocking_job_runs_elsewhere_and_comes_back(void **state)
{
    struct harness harness;
    int result = 0;
    (void)state;
    harness_init(&harness);
    seen = (struct order){.world = harness.world};
    harness_run(&harness, goes_off_the_loop, &result);
    assert_int_equal(result, 42);
    harness_release(&harness);
}

static void keeps_its_arena(void *argument)
{
    struct arena arena, **kept = argument;
    arena_init(&arena, 1 << 20);
    json_arena_set(&arena);
    fiber_yield();
    *kept = json_arena_set(NULL) == &arena ? &arena : NULL;
    arena_release(&arena);
}

static void an_arena_for_json_belongs_to_its_fiber(void **state)
{
    struct harness harness;
    struct arena *kept[2] = {NULL, NULL};
    void *arguments[] = {&kept[0], &kept[1]};
    (void)state;
    harness_init(&harness);
    harness_run_all(&harness, keeps_its_arena, arguments, 2);
    assert_non_null(kept[0]);
    assert_non_null(kept[1]);
    assert_ptr_not_equal(kept[0], kept[1]);
    harness_release(&harness);
}

static void counts(void *count)
{
    fiber_yield();
    ++*(int *)count;
}

static void thousands_of_fibers_come_and_go(void **state)
{
    struct harness harness;
    static void *arguments[3000];
    int count = 0;
    (void)state;
    harness_init(&harness);
    for (int i = 0; i < 3000; i++)
        arguments[i] = &count;
    for (int round = 0; round < 3; round++)
        harness_run_all(&harness, counts, arguments, 3000);
    assert_int_equal(count, 9000);
    assert_int_equal(fibers_alive(harness.world->fibers), 0);
    harness_release(&harness);
}

struct busy {
    struct world *world;
    struct world_turn turn;
    struct world_timer timer;
    bool fired;
};

static void turn_again(struct world_turn *turn)
{
    struct busy *busy = turn->owner;
    if (!busy->fired)
        world_turn(busy->world, turn);
}

static void busy_timer_fired(struct world_timer *timer)
{
    ((struct busy *)timer->owner)->fired = true;
}

static bool busy_is_over(void *argument)
{
    return ((struct busy *)argument)->fired;
}

static void a_turn_that_always_posts_itself_does_not_keep_timers_from_firing(void **state)
{
    struct harness harness;
    (void)state;
    harness_init(&harness);
    struct busy busy = {.world = harness.world};
    busy.turn = (struct world_turn){.run = turn_again, .owner = &busy};
    busy.timer = (struct world_timer){.fire = busy_timer_fired, .owner = &busy};
    world_timer_start(harness.world, &busy.timer, world_in_ms(harness.world, 5));
    world_turn(harness.world, &busy.turn);
    harness_until(&harness, busy_is_over, &busy);
    assert_true(busy.fired);
    harness_release(&harness);
}

struct piped {
    struct world *world;
    int ends[2];
    unsigned before, held; /* what was true before anything was written, and after */
};

static void wait_for_a_byte(void *argument)
{
    struct piped *piped = argument;
    piped->before =
        world_wait_for(piped->world, piped->ends[0], WORLD_READABLE, world_in_ms(piped->world, 5));
    if (write(piped->ends[1], "x", 1) == 1)
        piped->held = world_wait_for(piped->world, piped->ends[0], WORLD_READABLE, -1);
}

static void a_descriptor_is_waited_for_until_it_is_readable_or_the_deadline(void **state)
{
    struct harness harness;
    (void)state;
    harness_init(&harness);
    struct piped piped = {.world = harness.world, .before = 9};
    assert_int_equal(pipe(piped.ends), 0);
    harness_run(&harness, wait_for_a_byte, &piped);
    assert_int_equal(piped.before, 0);
    assert_int_equal(piped.held, WORLD_READABLE);
    close(piped.ends[0]);
    close(piped.ends[1]);
    harness_release(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fibers_wake_in_the_order_they_came),
        cmocka_unit_test(a_wait_ends_at_its_deadline_and_leaves_the_queue),
        cmocka_unit_test(timers_fire_in_order_however_they_were_started),
        cmocka_unit_test(a_blocking_job_runs_elsewhere_and_comes_back),
        cmocka_unit_test(an_arena_for_json_belongs_to_its_fiber),
        cmocka_unit_test(thousands_of_fibers_come_and_go),
        cmocka_unit_test(a_turn_that_always_posts_itself_does_not_keep_timers_from_firing),
        cmocka_unit_test(a_descriptor_is_waited_for_until_it_is_readable_or_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
