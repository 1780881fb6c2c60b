/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real world on libuv. All timers are in one binary heap with a single uv_timer, so thousands
 * of deadlines need no handles. Fibers run in the loop's prepare and check phases: after whatever
 * made them ready, and before the loop sleeps. Turns run once no fiber is ready, for a bounded
 * time, so that no load keeps the loop from its timers and signals.
 */

#define _GNU_SOURCE
#include "world/real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "world/aside.h"

#define RANDOM_SIZE 1024
/* Of libuv's pool, which has four otherwise. A job never waits for another's thread: those that
 * commit and copy a log must not come after questions, nor calls to a server after those that wait
 * for its answer. */
#define THREADS "16"
#define TURNS_NS_MAX ((int64_t)1000000) /* per phase, before the loop attends to all else */

struct real {
    struct world world;
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_check_t check;
    /* Active while a fiber is ready or a turn is posted: keeps the loop from sleeping. */
    uv_idle_t due;
    struct world_timer **heap;
    size_t heap_count, heap_capacity;
    struct world_turn *turn_first, **turn_last;
    world_sender *send;
    void *sender;
    struct aside *aside; /* NULL: no job was of that kind yet */
    int open_handles;
    unsigned char random[RANDOM_SIZE];
    size_t random_left;
};

static struct real *real_of(struct world *world)
{
    return (struct real *)world;
}

static int64_t real_monotonic_ns(struct world *world)
{
    (void)world;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t real_wall_ms(struct world *world)
{
    (void)world;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void ask_random(void *buffer, size_t length)
{
    char *at = buffer;
    while (length) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0) {
            FH_ASSERT(errno == EINTR);
            continue;
        }
        at += got;
        length -= (size_t)got;
    }
}

/* Each request needs a few bytes, so many are fetched from the system at once. */
static void real_random(struct world *world, void *buffer, size_t length)
{
    struct real *real = real_of(world);
    if (length > sizeof real->random) {
        ask_random(buffer, length);
        return;
    }
    if (length > real->random_left) {
        ask_random(real->random, sizeof real->random);
        real->random_left = sizeof real->random;
    }
    unsigned char *at = real->random + sizeof real->random - real->random_left;
    memcpy(buffer, at, length);
    explicit_bzero(at, length); /* bytes that were handed out must not be found again */
    real->random_left -= length;
}

/* ---- timers ---- */

static void timer_heap_set(struct real *real, size_t place, struct world_timer *timer)
{
    real->heap[place] = timer;
    timer->place = place;
}

static void timer_heap_up(struct real *real, size_t place)
{
    struct world_timer *timer = real->heap[place];
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (real->heap[parent]->at_ns <= timer->at_ns)
            break;
        timer_heap_set(real, place, real->heap[parent]);
        place = parent;
    }
    timer_heap_set(real, place, timer);
}

static void timer_heap_down(struct real *real, size_t place)
{
    struct world_timer *timer = real->heap[place];
    for (;;) {
        size_t child = place * 2 + 1;
        if (child >= real->heap_count)
            break;
        if (child + 1 < real->heap_count && real->heap[child + 1]->at_ns < real->heap[child]->at_ns)
            child++;
        if (timer->at_ns <= real->heap[child]->at_ns)
            break;
        timer_heap_set(real, place, real->heap[child]);
        place = child;
    }
    timer_heap_set(real, place, timer);
}

static void timers_fire(uv_timer_t *handle);

static void timers_arm(struct real *real)
{
    if (!real->heap_count) {
        uv_timer_stop(&real->timer);
        return;
    }
    int64_t left_ns = real->heap[0]->at_ns - real_monotonic_ns(&real->world);
    uint64_t left_ms = left_ns <= 0 ? 0 : (uint64_t)(left_ns + 999999) / 1000000;
    uv_update_time(real->loop);
    uv_timer_start(&real->timer, timers_fire, left_ms, 0);
}

static void heap_remove(struct real *real, size_t place)
{
    struct world_timer *last = real->heap[--real->heap_count];
    real->heap[place]->native = NULL;
    if (place == real->heap_count)
        return;
    timer_heap_set(real, place, last);
    timer_heap_up(real, place);
    timer_heap_down(real, last->place);
}

static void timers_fire(uv_timer_t *handle)
{
    struct real *real = handle->data;
    int64_t now = real_monotonic_ns(&real->world);
    while (real->heap_count && real->heap[0]->at_ns <= now) {
        struct world_timer *timer = real->heap[0];
        heap_remove(real, 0);
        timer->fire(timer);
    }
    timers_arm(real);
}

static void real_timer_stop(struct world *world, struct world_timer *timer)
{
    struct real *real = real_of(world);
    if (!timer->native)
        return;
    bool was_first = timer->place == 0;
    heap_remove(real, timer->place);
    /* An empty heap must not keep the loop alive. If other timers remain, uv_timer fires too early
     * and is armed again. */
    if (was_first && !real->heap_count)
        uv_timer_stop(&real->timer);
}

static void real_timer_start(struct world *world, struct world_timer *timer, int64_t at_ns)
{
    struct real *real = real_of(world);
    real_timer_stop(world, timer);
    if (real->heap_count == real->heap_capacity) {
        size_t capacity = real->heap_capacity ? real->heap_capacity * 2 : 64;
        struct world_timer **heap = realloc(real->heap, capacity * sizeof(struct world_timer *));
        FH_ASSERT(heap != NULL);
        real->heap = heap;
        real->heap_capacity = capacity;
    }
    timer->at_ns = at_ns;
    timer->native = real;
    timer_heap_set(real, real->heap_count++, timer);
    timer_heap_up(real, timer->place);
    if (timer->place == 0)
        timers_arm(real);
}

/* ---- jobs ---- */

static void real_job_run(uv_work_t *request)
{
    struct world_job *job = request->data;
    job->run(job);
}

static void job_done(uv_work_t *request, int status)
{
    (void)status;
    struct world_job *job = request->data;
    job->native = NULL;
    free(request);
    job->done(job);
}

static void real_job(struct world *world, struct world_job *job)
{
    uv_work_t *request = calloc(1, sizeof *request);
    FH_ASSERT(request != NULL);
    request->data = job;
    job->native = request;
    FH_ASSERT(uv_queue_work(real_of(world)->loop, request, real_job_run, job_done) == 0);
}

/* Where no thread is to be had it is one job of many. */
static void real_job_aside(struct world *world, struct world_job *job)
{
    struct real *real = real_of(world);
    if (!real->aside && (real->aside = aside_new(real->loop)))
        real->open_handles++;
    if (!real->aside || !aside_job(real->aside, job))
        real_job(world, job);
}

static bool real_lower(struct world *world, int64_t after_ns)
{
    (void)world;
    return aside_lower(after_ns);
}

/* ---- turns and fibers ---- */

static void on_due(uv_idle_t *handle)
{
    (void)handle; /* run_turns does the work */
}

static void on_wake(void *context)
{
    struct real *real = context;
    uv_idle_start(&real->due, on_due);
}

static void real_turn(struct world *world, struct world_turn *turn)
{
    struct real *real = real_of(world);
    if (turn->posted)
        return;
    on_wake(real);
    turn->posted = true;
    turn->next = NULL;
    *real->turn_last = turn;
    real->turn_last = &turn->next;
}

/* Runs each turn posted so far once, and after each the fibers it made ready. */
static void turns_run(struct real *real)
{
    struct world_turn *turn = real->turn_first;
    real->turn_first = NULL;
    real->turn_last = &real->turn_first;
    while (turn) {
        struct world_turn *next = turn->next;
        turn->posted = false;
        turn->run(turn);
        fibers_run(real->world.fibers);
        turn = next;
    }
}

/* Under load a server's turn posts the next one without end. So beyond TURNS_NS_MAX the loop first
 * attends to its timers, signals, descriptors and finished jobs. */
static void run_turns(struct real *real)
{
    real->world.rounds++;
    fibers_run(real->world.fibers);
    int64_t until_ns = 0;
    while (real->turn_first) {
        int64_t now_ns = real_monotonic_ns(&real->world);
        if (until_ns && now_ns >= until_ns)
            return;
        if (!until_ns)
            until_ns = now_ns + TURNS_NS_MAX;
        turns_run(real);
    }
    uv_idle_stop(&real->due);
}

static void on_prepare(uv_prepare_t *handle)
{
    run_turns(handle->data);
}

static void on_check(uv_check_t *handle)
{
    run_turns(handle->data);
}

/* ---- descriptors ---- */

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct world_poll *poll = handle->data;
    unsigned held = 0;
    if (status < 0 || events & (UV_READABLE | UV_DISCONNECT))
        held |= WORLD_READABLE;
    if (status < 0 || events & (UV_WRITABLE | UV_DISCONNECT))
        held |= WORLD_WRITABLE;
    poll->ready(poll, held);
}

static void real_poll_start(struct world *world, struct world_poll *poll, unsigned events)
{
    uv_poll_t *handle = poll->native;
    if (!handle) {
        handle = calloc(1, sizeof *handle);
        FH_ASSERT(handle != NULL);
        FH_ASSERT(uv_poll_init(real_of(world)->loop, handle, poll->fd) == 0);
        handle->data = poll;
        poll->native = handle;
    }
    int wanted = (events & WORLD_READABLE ? UV_READABLE : 0) |
                 (events & WORLD_WRITABLE ? UV_WRITABLE : 0) | UV_DISCONNECT;
    FH_ASSERT(uv_poll_start(handle, wanted, on_poll) == 0);
}

static void poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void real_poll_stop(struct world *world, struct world_poll *poll)
{
    (void)world;
    if (!poll->native)
        return;
    uv_close(poll->native, poll_closed);
    poll->native = NULL;
}

/* ---- requests ---- */

static void real_request(struct world *world, struct world_request *request)
{
    struct real *real = real_of(world);
    if (real->send) {
        real->send(real->sender, request);
        return;
    }
    request->status = 0;
    request->failure = "this process sends no requests";
    request->done(request);
}

static void real_fatal(struct world *world, const char *why)
{
    (void)world;
    log_error("process-aborted", "ending at once: %s", why);
    _exit(1);
}

static const struct world_ops real_ops = {
    .monotonic_ns = real_monotonic_ns,
    .wall_ms = real_wall_ms,
    .random = real_random,
    .timer_start = real_timer_start,
    .timer_stop = real_timer_stop,
    .job = real_job,
    .job_aside = real_job_aside,
    .lower = real_lower,
    .turn = real_turn,
    .poll_start = real_poll_start,
    .poll_stop = real_poll_stop,
    .request = real_request,
    .fatal = real_fatal,
};

struct world *world_real_new(uv_loop_t *loop, struct fh_error *error)
{
    struct real *real = calloc(1, sizeof *real);
    struct fibers *fibers = fibers_new(on_wake, real);
    setenv("UV_THREADPOOL_SIZE", THREADS, 1); /* read with the first job, and never again */
    if (!real || !fibers) {
        free(real);
        fibers_free(fibers);
        error_set(error, FH_NO_MEMORY, "No memory for the loop.");
        return NULL;
    }
    *real = (struct real){.world = {.ops = &real_ops, .fibers = fibers, .files = &world_files_real},
                          .loop = loop};
    real->turn_last = &real->turn_first;
    uv_timer_init(loop, &real->timer);
    uv_prepare_init(loop, &real->prepare);
    uv_check_init(loop, &real->check);
    uv_idle_init(loop, &real->due);
    real->timer.data = real->prepare.data = real->check.data = real->due.data = real;
    uv_prepare_start(&real->prepare, on_prepare);
    uv_check_start(&real->check, on_check);
    uv_unref((uv_handle_t *)&real->prepare);
    uv_unref((uv_handle_t *)&real->check);
    real->open_handles = 4;
    return &real->world;
}

uv_loop_t *world_real_loop(struct world *world)
{
    return world->ops == &real_ops ? real_of(world)->loop : NULL;
}

void world_real_set_sender(struct world *world, world_sender *send, void *sender)
{
    real_of(world)->send = send;
    real_of(world)->sender = sender;
}

static void handle_is_closed(void *owner)
{
    struct real *real = owner;
    if (--real->open_handles)
        return;
    fibers_free(real->world.fibers);
    free(real->heap);
    free(real);
}

static void on_handle_closed(uv_handle_t *handle)
{
    handle_is_closed(handle->data);
}

void world_real_free(struct world *world)
{
    if (!world)
        return;
    struct real *real = real_of(world);
    if (real->aside)
        aside_close(real->aside, handle_is_closed, real);
    uv_close((uv_handle_t *)&real->timer, on_handle_closed);
    uv_close((uv_handle_t *)&real->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&real->check, on_handle_closed);
    uv_close((uv_handle_t *)&real->due, on_handle_closed);
}
