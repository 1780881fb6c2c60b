/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs aside: one that lowers its priority takes nobody else with it, neither another job nor the
 * loop; and the loop may end while the thread of one is about to.
 */

#define _GNU_SOURCE
#include "../support/harness.h"
#include "../support/skip.h"

#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "world/fiber.h"

#define MS ((int64_t)1000000)
#define POOL_JOBS 64

struct task {
    struct world *world;
    struct world_job job;
    int64_t lowers_after_ns; /* less than nothing: never */
    bool lowered;
    int policy, thread; /* at its end */
    uv_sem_t *word;     /* NULL: it waits for none */
    int *done;
};

static int policy_of_thread(void)
{
    return sched_getscheduler(0);
}

static void task_run(struct world_job *job)
{
    struct task *task = job->owner;
    if (task->word)
        uv_sem_wait(task->word);
    while (task->lowers_after_ns >= 0 && !task->lowered)
        task->lowered = world_lower(task->world, task->lowers_after_ns);
    task->policy = policy_of_thread();
    task->thread = gettid();
}

static void task_done(struct world_job *job)
{
    ++*((struct task *)job->owner)->done;
}

static void task_start(struct harness *harness, struct task *task, int64_t lowers_after_ns,
                       int *done)
{
    task->world = harness->world;
    task->lowers_after_ns = lowers_after_ns;
    task->done = done;
    task->job = (struct world_job){.run = task_run, .done = task_done, .owner = task};
}

static void start_aside(struct harness *harness, struct task *task, int64_t lowers_after_ns,
                        int *done)
{
    task_start(harness, task, lowers_after_ns, done);
    world_job_aside(harness->world, &task->job);
}

static bool one_is_done(void *argument)
{
    return *(int *)argument == 1;
}

/* One after the other. */
static struct task run_aside(struct harness *harness, int64_t lowers_after_ns)
{
    struct task task = {.word = NULL};
    int done = 0;
    start_aside(harness, &task, lowers_after_ns, &done);
    harness_until(harness, one_is_done, &done);
    return task;
}

static void a_job_that_lowers_itself_is_the_last_one_of_its_thread(void **state)
{
    struct harness harness;
    (void)state;
    int usual = policy_of_thread();
    if (usual == SCHED_IDLE)
        SKIP_BECAUSE("everything runs under SCHED_IDLE here already");
    harness_init(&harness);
    for (int i = 0; i < 20; i++) {
        struct task low = run_aside(&harness, MS), next = run_aside(&harness, -1);
        assert_true(low.lowered);
        assert_int_equal(low.policy, SCHED_IDLE);
        assert_int_equal(next.policy, usual);
        assert_int_equal(policy_of_thread(), usual);
    }
    harness_release(&harness);
}

static void those_that_do_not_share_a_thread(void **state)
{
    struct harness harness;
    (void)state;
    harness_init(&harness);
    struct task first = run_aside(&harness, -1), second = run_aside(&harness, -1);
    assert_int_not_equal(first.thread, getpid());
    assert_int_equal(second.thread, first.thread);
    harness_release(&harness);
}

/* It counts what the job had of a processor, not how long the job has been under way. */
static void a_job_is_lowered_once_it_has_had_its_part(void **state)
{
    struct harness harness;
    int done = 0;
    uv_sem_t word;
    (void)state;
    harness_init(&harness);
    assert_int_equal(uv_sem_init(&word, 0), 0);
    struct task before = run_aside(&harness, -1);
    struct task task = {.word = &word};
    start_aside(&harness, &task, 5 * MS, &done);
    int64_t until_ns = world_in_ms(harness.world, 20);
    while (world_monotonic_ns(harness.world) < until_ns)
        uv_run(&harness.loop, UV_RUN_NOWAIT);
    int64_t began_ns = world_monotonic_ns(harness.world);
    uv_sem_post(&word);
    harness_until(&harness, one_is_done, &done);
    assert_int_equal(task.thread, before.thread);
    assert_true(world_monotonic_ns(harness.world) - began_ns >= 5 * MS);
    uv_sem_destroy(&word);
    harness_release(&harness);
}

static bool all_of_pool_are_done(void *argument)
{
    return *(int *)argument == POOL_JOBS;
}

static void jobs_of_the_pool_are_never_lowered(void **state)
{
    struct harness harness;
    struct task tasks[POOL_JOBS] = {{.word = NULL}};
    int done = 0, usual = policy_of_thread();
    (void)state;
    harness_init(&harness);
    run_aside(&harness, 0);
    for (int i = 0; i < POOL_JOBS; i++) {
        task_start(&harness, &tasks[i], -1, &done);
        world_job(harness.world, &tasks[i].job);
    }
    harness_until(&harness, all_of_pool_are_done, &done);
    for (int i = 0; i < POOL_JOBS; i++)
        assert_int_equal(tasks[i].policy, usual);
    assert_false(world_lower(harness.world, 0));
    assert_int_equal(policy_of_thread(), usual);
    harness_release(&harness);
}

#define AT_ONCE 8

static bool all_at_once_are_done(void *argument)
{
    return *(int *)argument == AT_ONCE;
}

static void many_at_once_are_all_done_and_the_loop_may_end_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct harness harness;
        struct task tasks[AT_ONCE] = {{.word = NULL}};
        int done = 0;
        harness_init(&harness);
        for (int i = 0; i < AT_ONCE; i++)
            start_aside(&harness, &tasks[i], i % 2 ? 0 : -1, &done);
        harness_until(&harness, all_at_once_are_done, &done);
        for (int i = 0; i < AT_ONCE; i++)
            assert_int_equal(tasks[i].lowered, i % 2);
        harness_release(&harness);
    }
}

/* ---- rests ---- */

static long rests_of_thread(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}

static int64_t thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct resting {
    struct world *world;
    struct world_job job;
    int64_t runs_ns; /* of a processor, at most */
    long rests;      /* 1: it ends with the first one */
    bool done;
};

static void rest_run(struct world_job *job)
{
    struct resting *resting = job->owner;
    while (!world_lower(resting->world, 0)) {
    }
    long before = rests_of_thread();
    int64_t began_ns = thread_cpu_ns();
    while (!resting->rests && thread_cpu_ns() - began_ns < resting->runs_ns) {
        world_lower(resting->world, 0);
        resting->rests = rests_of_thread() - before;
    }
}

static void rest_done(struct world_job *job)
{
    ((struct resting *)job->owner)->done = true;
}

static void serve_others(void *argument)
{
    const struct resting *resting = argument;
    while (!resting->done)
        fiber_sleep_until(resting->world, world_in_ms(resting->world, 1));
}

static bool has_rested(void *argument)
{
    return ((struct resting *)argument)->done;
}

static void begin_resting(struct harness *harness, struct resting *resting, int64_t runs_ns)
{
    *resting = (struct resting){.world = harness->world, .runs_ns = runs_ns};
    resting->job = (struct world_job){.run = rest_run, .done = rest_done, .owner = resting};
    world_job_aside(harness->world, &resting->job);
}

static void a_low_job_rests_while_others_are_served(void **state)
{
    struct harness harness;
    struct resting resting;
    (void)state;
    harness_init(&harness);
    begin_resting(&harness, &resting, INT64_MAX);
    harness_run(&harness, serve_others, &resting); /* it ends only then */
    assert_true(resting.rests > 0);
    begin_resting(&harness, &resting, 20 * MS);
    harness_until(&harness, has_rested, &resting);
    assert_int_equal(resting.rests, 0);
    harness_release(&harness);
}

/* The loop has nothing else to stay for. */
static void a_job_keeps_the_loop_alive(void **state)
{
    struct harness harness;
    struct task task = {.word = NULL};
    int done = 0;
    (void)state;
    harness_init(&harness);
    start_aside(&harness, &task, MS, &done);
    uv_run(&harness.loop, UV_RUN_DEFAULT);
    assert_int_equal(done, 1);
    uv_run(&harness.loop, UV_RUN_DEFAULT); /* returns: a thread that waits keeps nobody */
    harness_release(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_lowers_itself_is_the_last_one_of_its_thread),
        cmocka_unit_test(those_that_do_not_share_a_thread),
        cmocka_unit_test(a_job_is_lowered_once_it_has_had_its_part),
        cmocka_unit_test(jobs_of_the_pool_are_never_lowered),
        cmocka_unit_test(many_at_once_are_all_done_and_the_loop_may_end_at_once),
        cmocka_unit_test(a_low_job_rests_while_others_are_served),
        cmocka_unit_test(a_job_keeps_the_loop_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
