/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two lists, one of calls to make and one of calls made, behind one mutex; the thread is woken by a
 * condition (where it has something to do meanwhile, by a descriptor), the loop by a descriptor.
 * Once the worker has ended, only the thread has it, and frees it last.
 */

#include "broker/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/backtrace.h"
#include "world/fiber.h"
#include "world/world.h"

struct worker_call {
    void (*run)(void *);
    void *argument;
    struct fiber *fiber; /* waits; NULL: nobody, and the call is the thread's to free */
    struct worker_call *next;
};

struct broker_worker {
    struct world *world;
    struct world_poll poll;
    int done_fd, wake_fd; /* wake_fd: -1 without `idle` */
    void (*idle)(void *, int wake_fd);
    void *idle_argument;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    struct worker_call *first, *done; /* oldest first; newest first */
    struct worker_call **end;
    struct worker_call last;
};

void broker_signal(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void worker_signalled(int fd)
{
    uint64_t unused;
    while (read(fd, &unused, sizeof unused) < 0 && errno == EINTR)
        ;
}

void broker_worker_wake(struct broker_worker *worker)
{
    broker_signal(worker->wake_fd);
}

static void worker_free(struct broker_worker *worker)
{
    if (worker->wake_fd >= 0)
        close(worker->wake_fd);
    pthread_cond_destroy(&worker->wanted);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}

/* Whoever adds a call signals after that: what comes after this look ends `idle` at once. */
static void worker_idle(struct broker_worker *worker)
{
    pthread_mutex_unlock(&worker->mutex);
    worker->idle(worker->idle_argument, worker->wake_fd);
    worker_signalled(worker->wake_fd);
    pthread_mutex_lock(&worker->mutex);
}

static struct worker_call *worker_next_call(struct broker_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    while (!worker->first) {
        if (worker->idle)
            worker_idle(worker);
        else
            pthread_cond_wait(&worker->wanted, &worker->mutex);
    }
    struct worker_call *call = worker->first;
    worker->first = call->next;
    if (!worker->first)
        worker->end = &worker->first;
    pthread_mutex_unlock(&worker->mutex);
    return call;
}

static void *worker_main(void *argument)
{
    struct broker_worker *worker = argument;
    for (;;) {
        struct worker_call *call = worker_next_call(worker);
        call->run(call->argument);
        if (call == &worker->last) {
            worker_free(worker);
            return NULL;
        }
        if (!call->fiber) {
            free(call);
            continue;
        }
        pthread_mutex_lock(&worker->mutex);
        call->next = worker->done;
        worker->done = call;
        broker_signal(worker->done_fd); /* who takes the call may close that */
        pthread_mutex_unlock(&worker->mutex);
    }
}

static void calls_done(struct world_poll *poll, unsigned events)
{
    struct broker_worker *worker = poll->owner;
    (void)events;
    worker_signalled(worker->done_fd);
    pthread_mutex_lock(&worker->mutex);
    struct worker_call *call = worker->done;
    worker->done = NULL;
    pthread_mutex_unlock(&worker->mutex);
    while (call) {
        struct worker_call *next = call->next; /* the call is on its fiber's stack */
        fiber_ready(call->fiber);
        call = next;
    }
}

/* Signals are for the loop's thread. */
int broker_thread_start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    backtrace_blocks(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

/* 0, or an errno value. */
static int worker_open_signals(struct broker_worker *worker)
{
    worker->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->done_fd < 0)
        return errno;
    worker->wake_fd = worker->idle ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    return worker->idle && worker->wake_fd < 0 ? errno : 0;
}

enum fh_code broker_worker_new_idle(struct world *world, void (*idle)(void *, int wake_fd),
                                    void *argument, struct broker_worker **ret,
                                    struct fh_error *error)
{
    struct broker_worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a broker's thread.");
    worker->world = world;
    worker->end = &worker->first;
    worker->idle = idle;
    worker->idle_argument = argument;
    worker->wake_fd = -1;
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->wanted, NULL);
    int failed = worker_open_signals(worker);
    if (!failed)
        failed = broker_thread_start(worker_main, worker);
    if (failed) {
        if (worker->done_fd >= 0)
            close(worker->done_fd);
        worker_free(worker);
        return error_set_errno(error, FH_UNAVAILABLE, failed,
                               "The thread of a broker's connection can't be started");
    }
    worker->poll = (struct world_poll){.fd = worker->done_fd, .ready = calls_done, .owner = worker};
    world_poll_start(world, &worker->poll, WORLD_READABLE);
    *ret = worker;
    return FH_OK;
}

enum fh_code broker_worker_new(struct world *world, struct broker_worker **ret,
                               struct fh_error *error)
{
    return broker_worker_new_idle(world, NULL, NULL, ret, error);
}

static void worker_add(struct broker_worker *worker, struct worker_call *call)
{
    pthread_mutex_lock(&worker->mutex);
    *worker->end = call;
    worker->end = &call->next;
    pthread_cond_signal(&worker->wanted);
    if (worker->wake_fd >= 0) /* while the thread can't have taken the last call, and be gone */
        broker_signal(worker->wake_fd);
    pthread_mutex_unlock(&worker->mutex);
}

void broker_worker_run(struct broker_worker *worker, void (*run)(void *), void *argument)
{
    struct worker_call call = {.run = run, .argument = argument, .fiber = fiber_self()};
    FH_ASSERT(call.fiber != NULL);
    worker_add(worker, &call);
    fiber_park();
}

void broker_worker_send(struct broker_worker *worker, void (*run)(void *), void *argument)
{
    struct worker_call *call = malloc(sizeof *call);
    FH_ASSERT(call != NULL);
    *call = (struct worker_call){.run = run, .argument = argument};
    worker_add(worker, call);
}

void broker_worker_end(struct broker_worker *worker, void (*last)(void *), void *argument)
{
    world_poll_stop(worker->world, &worker->poll);
    close(worker->done_fd);
    worker->last = (struct worker_call){.run = last, .argument = argument};
    worker_add(worker, &worker->last);
}
