/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for jobs that take long and for which nobody else waits. Beside such a job the loop, or a
 * commit's thread, that wakes up on the same processor waits until the scheduler looks again: up to
 * a tick, some milliseconds. Since Linux 6.6 that is so whatever priority the job has (`nice`):
 * what runs may do so for its slice. Only SCHED_IDLE gives way at once. So that is what a thread
 * takes whose job has had the processor for a while, and from then on it has what others leave.
 * Where these leave nothing for good it still goes on, with some three thousandths of a processor.
 * Even so, whoever wakes up on a processor that is busy all the time starts later than on one that
 * is not. So while fibers run in this process a low thread rests for a moment now and then.
 *
 * Lowering is for good, since raising again is a privilege. So none of these threads is of libuv's
 * pool, where a commit would come to be run by it next:
 *
 *     IDLE --job--> RUNS --done, at its first priority--> IDLE (a few are kept)
 *                   RUNS --lowered--> LOW --done--> ends
 *
 * Nobody waits for one that is low but for the job itself. All that loop and threads share is one
 * list to which jobs that are done are added without a lock, and a descriptor that then wakes the
 * loop; an idle thread waits for a semaphore of its own. (uv_async_send is not for them: while it
 * is under way the loop spins, and it wakes the loop by a call after which the kernel may well have
 * stopped the low thread.) What else they have in common with the loop is held for less than a
 * microsecond: malloc's arenas, and the few locks of SQLite that are not a connection's own. Should
 * such a thread be stopped just then, whoever wants the same waits until it has the processor
 * again: the price of giving way at once, where other processes leave nothing.
 *
 * A thread object belongs to the loop, except between being given a job and being on the list. The
 * rest is freed by whoever is the last to use it: a low thread may be about to write to the
 * descriptor while the loop has seen its job already, and closes.
 */

#define _GNU_SOURCE
#include "world/aside.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/backtrace.h"
#include "base/error.h"
#include "world/fiber.h"

#define ASIDE_IDLE_MAX 2
#define RUNS_NS 100000     /* between two rests, each of which the kernel makes some 60 us long */
#define SERVES_NS 10000000 /* after a fiber has run, nobody is served any more */

struct aside_thread {
    struct aside *aside;
    struct aside_thread *next; /* of those that are idle, or whose jobs are done */
    struct world_job *job;     /* NULL: to end */
    sem_t wanted;
    pthread_t thread;
    int64_t began_ns; /* of the thread's own time */
    bool low;
    uint64_t turns;               /* of a low one: fiber_turns at its last look */
    int64_t served_ns, rested_ns; /* when these had changed; its last rest */
};

struct aside {
    uv_poll_t poll;
    int done_fd;
    atomic_int users; /* the loop, and each thread */
    struct aside_thread *_Atomic done;
    struct aside_thread *idle;
    int idle_count, jobs;
    void (*closed)(void *owner);
    void *owner;
};

static _Thread_local struct aside_thread *own_thread;

static void aside_unref(struct aside *aside)
{
    if (atomic_fetch_sub(&aside->users, 1) != 1)
        return;
    close(aside->done_fd);
    free(aside);
}

/* ---- in a thread ---- */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void loop_is_told(struct aside *aside)
{
    static const uint64_t one = 1;
    while (write(aside->done_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* From here on `thread` is the loop's again. */
static void thread_is_done(struct aside *aside, struct aside_thread *thread)
{
    struct aside_thread *first = atomic_load(&aside->done);
    do {
        thread->next = first;
    } while (!atomic_compare_exchange_weak(&aside->done, &first, thread));
    loop_is_told(aside);
}

static void *aside_main(void *argument)
{
    struct aside_thread *thread = argument;
    struct aside *aside = thread->aside;
    own_thread = thread;
    for (bool low = false; !low;) {
        while (sem_wait(&thread->wanted) != 0) { /* interrupted */
        }
        if (!thread->job)
            break;
        thread->began_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        thread->job->run(thread->job);
        low = thread->low;
        thread_is_done(aside, thread);
    }
    aside_unref(aside);
    return NULL;
}

static void rest_while_serving(struct aside_thread *thread)
{
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t turns = atomic_load_explicit(&fiber_turns, memory_order_relaxed);
    if (turns != thread->turns) {
        thread->turns = turns;
        thread->served_ns = now_ns;
    }
    if (now_ns - thread->rested_ns < RUNS_NS || now_ns - thread->served_ns > SERVES_NS)
        return;
    nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
    thread->rested_ns = clock_ns(CLOCK_MONOTONIC);
}

bool aside_lower(int64_t after_ns)
{
    struct aside_thread *thread = own_thread;
    if (thread && thread->low)
        rest_while_serving(thread);
    if (!thread || thread->low)
        return thread;
    if (clock_ns(CLOCK_THREAD_CPUTIME_ID) - thread->began_ns < after_ns)
        return false;
    thread->low = true; /* even if it is refused: then this is another thread's last job, no more */
    pthread_detach(thread->thread);
    sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
    thread->turns = atomic_load_explicit(&fiber_turns, memory_order_relaxed);
    thread->served_ns = thread->rested_ns = 0;
    return true;
}

/* ---- in the loop ---- */

static void thread_free(struct aside_thread *thread)
{
    sem_destroy(&thread->wanted);
    free(thread);
}

/* One that is idle, so it waits for nothing. */
static void thread_end(struct aside_thread *thread)
{
    thread->job = NULL;
    sem_post(&thread->wanted);
    pthread_join(thread->thread, NULL);
    thread_free(thread);
}

static void thread_return(struct aside *aside, struct aside_thread *thread)
{
    if (thread->low) {
        thread_free(thread);
    } else if (aside->idle_count >= ASIDE_IDLE_MAX) {
        thread_end(thread);
    } else {
        thread->next = aside->idle;
        aside->idle = thread;
        aside->idle_count++;
    }
}

static void jobs_done(uv_poll_t *handle, int status, int events)
{
    struct aside *aside = handle->data;
    uint64_t count;
    (void)status, (void)events;
    while (read(aside->done_fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    struct aside_thread *thread = atomic_exchange(&aside->done, NULL), *next;
    for (; thread; thread = next) {
        struct world_job *job = thread->job;
        next = thread->next;
        thread_return(aside, thread);
        if (--aside->jobs == 0)
            uv_unref((uv_handle_t *)&aside->poll);
        job->done(job);
    }
}

/* Signals are for the loop's thread. */
static bool thread_start(struct aside_thread *thread)
{
    sigset_t all, before;
    backtrace_blocks(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread->thread, NULL, aside_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0;
}

static struct aside_thread *thread_new(struct aside *aside)
{
    struct aside_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    thread->aside = aside;
    sem_init(&thread->wanted, 0, 0);
    atomic_fetch_add(&aside->users, 1);
    if (thread_start(thread))
        return thread;
    aside_unref(aside);
    thread_free(thread);
    return NULL;
}

bool aside_job(struct aside *aside, struct world_job *job)
{
    struct aside_thread *thread = aside->idle;
    if (thread) {
        aside->idle = thread->next;
        aside->idle_count--;
    } else if (!(thread = thread_new(aside))) {
        return false;
    }
    if (aside->jobs++ == 0)
        uv_ref((uv_handle_t *)&aside->poll);
    thread->job = job;
    sem_post(&thread->wanted);
    return true;
}

struct aside *aside_new(uv_loop_t *loop)
{
    struct aside *aside = calloc(1, sizeof *aside);
    if (!aside)
        return NULL;
    atomic_init(&aside->users, 1);
    atomic_init(&aside->done, NULL);
    aside->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (aside->done_fd < 0 || uv_poll_init(loop, &aside->poll, aside->done_fd) != 0) {
        if (aside->done_fd >= 0)
            close(aside->done_fd);
        free(aside);
        return NULL;
    }
    aside->poll.data = aside;
    FH_ASSERT(uv_poll_start(&aside->poll, UV_READABLE, jobs_done) == 0);
    uv_unref((uv_handle_t *)&aside->poll); /* jobs keep the loop alive */
    return aside;
}

static void poll_is_closed(uv_handle_t *handle)
{
    struct aside *aside = handle->data;
    void (*closed)(void *) = aside->closed;
    void *owner = aside->owner;
    aside_unref(aside);
    closed(owner);
}

void aside_close(struct aside *aside, void (*closed)(void *owner), void *owner)
{
    struct aside_thread *next;
    FH_ASSERT(aside->jobs == 0);
    for (struct aside_thread *thread = aside->idle; thread; thread = next) {
        next = thread->next;
        thread_end(thread);
    }
    aside->closed = closed;
    aside->owner = owner;
    uv_close((uv_handle_t *)&aside->poll, poll_is_closed);
}
