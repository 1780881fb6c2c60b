/* SPDX-License-Identifier: Apache-2.0 */
/* See harness.h. */

#define _GNU_SOURCE
#include "harness.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

void harness_init(struct harness *harness)
{
    memset(harness, 0, sizeof *harness);
    const char *patience_s = getenv(HARNESS_PATIENCE);
    harness->ms_max = patience_s ? 1000 * strtoll(patience_s, NULL, 10) : HARNESS_MS_MAX;
    json_memory_init();
    assert_int_equal(uv_loop_init(&harness->loop), 0);
    harness->world = world_real_new(&harness->loop, ERROR_UNHEEDED);
    assert_non_null(harness->world);
    const char *base = getenv("TMPDIR");
    snprintf(harness->folder, sizeof harness->folder, "%s/freehold-test-XXXXXX",
             base && strlen(base) < 30 ? base : "/tmp");
    assert_non_null(mkdtemp(harness->folder));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void harness_release(struct harness *harness)
{
    world_real_free(harness->world);
    uv_run(&harness->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&harness->loop), 0);
    nftw(harness->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

struct running {
    void (*entry)(void *);
    void *argument;
    int *left;
};

static void run_entry(void *argument)
{
    struct running *running = argument;
    running->entry(running->argument);
    --*running->left;
}

static bool none_left(void *argument)
{
    return *(int *)argument == 0;
}

void harness_run(struct harness *harness, void (*entry)(void *), void *argument)
{
    harness_run_all(harness, entry, &argument, 1);
}

void harness_run_all(struct harness *harness, void (*entry)(void *), void **arguments, int count)
{
    int left = count;
    struct running *runnings = calloc((size_t)count, sizeof *runnings);
    assert_non_null(runnings);
    for (int i = 0; i < count; i++) {
        runnings[i] = (struct running){entry, arguments[i], &left};
        assert_true(fiber_start(harness->world->fibers, run_entry, &runnings[i]));
    }
    harness_until(harness, none_left, &left);
    free(runnings);
}

/* The loop runs fibers and turns before it sleeps. When the last of them made the condition hold,
 * nothing may be left to wake it: so it is woken every few milliseconds to check again. */
struct guard {
    struct world_timer timer;
    struct world *world;
    int64_t deadline_ns;
    bool too_late;
};

static void on_guard(struct world_timer *timer)
{
    struct guard *guard = timer->owner;
    guard->too_late = world_monotonic_ns(guard->world) >= guard->deadline_ns;
    if (!guard->too_late)
        world_timer_start(guard->world, timer, world_in_ms(guard->world, 2));
}

void harness_until(struct harness *harness, bool (*holds)(void *), void *argument)
{
    struct guard guard = {.world = harness->world,
                          .deadline_ns = world_in_ms(harness->world, harness->ms_max)};
    guard.timer = (struct world_timer){.fire = on_guard, .owner = &guard};
    on_guard(&guard.timer);
    while (!holds(argument) && !guard.too_late)
        uv_run(&harness->loop, UV_RUN_ONCE);
    world_timer_stop(harness->world, &guard.timer);
    assert_false(guard.too_late);
}
