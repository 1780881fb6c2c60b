/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers on Boost.Context's two C symbols. A fiber object lies at the top of its own stack's
 * mapping. When the fiber's function returns, the object goes to a short free list with its context
 * still alive; starting the next fiber only gives it another function: no new mapping, no new
 * context.
 *
 * Each fiber has its own current arena for jansson's allocations: it is saved at every switch.
 *
 *     new -> ready -> running -> parked -> ready ... -> idle (in the free list) -> ready ...
 *
 * Touching the guard page below a stack ends the process with a message that says so
 * (base/backtrace.h).
 */

#define _GNU_SOURCE
#include "world/fiber.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/backtrace.h"
#include "base/doing.h"
#include "base/error.h"
#include "base/json.h"
#include "world/world.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#endif
#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

typedef void *fcontext;
struct transfer {
    fcontext from;
    void *data;
};
struct transfer jump_fcontext(fcontext to, void *data);
fcontext make_fcontext(void *stack_top, size_t size, void (*entry)(struct transfer));

#define GUARD_SIZE ((size_t)64 << 10) /* larger than any stack frame: none can step over it */
#define IDLE_MAX 2048                 /* enough for a batch of each partition of a subscription */
#define IDLE_KEPT 32                  /* that many remain after fibers_trim */

struct fiber {
    struct fibers *fibers;
    fcontext context;
    struct fiber *next; /* in the ready queue or the free list */
    void (*entry)(void *);
    void *argument;
    struct arena *json_arena;
    const struct doing *doing; /* while it is parked */
    char *mapping;
    bool finished;
#ifdef FIBER_ASAN
    void *fake_stack;
#endif
};

struct fibers {
    struct fiber *ready_first, *ready_last;
    struct fiber *idle;
    size_t idle_count, alive;
    size_t idle_unused; /* the lowest idle_count since the last fibers_trim */
    void (*wake)(void *);
    void *wake_context;
    fcontext scheduler;
#ifdef FIBER_ASAN
    void *scheduler_fake_stack;
    const void *scheduler_stack;
    size_t scheduler_stack_size;
#endif
};

static _Thread_local struct fiber *running;

_Atomic uint64_t fiber_turns;

/* For the crash's report: the guard page below the running fiber's stack was touched. */
static const char *explain_overflow(const void *address)
{
    const char *at = address;
    const struct fiber *fiber = running;
    bool below = fiber && at >= fiber->mapping && at < fiber->mapping + GUARD_SIZE;
    return below ? "a handler's stack of 256 KiB overflowed" : NULL;
}

struct fibers *fibers_new(void (*wake)(void *), void *context)
{
    struct fibers *fibers = calloc(1, sizeof *fibers);
    if (!fibers)
        return NULL;
    fibers->wake = wake;
    fibers->wake_context = context;
    backtrace_install(explain_overflow);
    return fibers;
}

static void fiber_unmap(struct fiber *fiber)
{
#ifdef FIBER_ASAN
    /* The next stack mapped here would inherit what this one's frames left poisoned. */
    ASAN_UNPOISON_MEMORY_REGION(fiber->mapping + GUARD_SIZE, FIBER_STACK_SIZE);
    __lsan_unregister_root_region(fiber->mapping + GUARD_SIZE, FIBER_STACK_SIZE);
#endif
    munmap(fiber->mapping, GUARD_SIZE + FIBER_STACK_SIZE);
}

void fibers_free(struct fibers *fibers)
{
    if (!fibers)
        return;
    FH_ASSERT(fibers->alive == 0);
    while (fibers->idle) {
        struct fiber *fiber = fibers->idle;
        fibers->idle = fiber->next;
        fiber_unmap(fiber);
    }
    free(fibers);
}

void fibers_trim(struct fibers *fibers)
{
    while (fibers->idle_unused > IDLE_KEPT) {
        struct fiber *fiber = fibers->idle;
        fibers->idle = fiber->next;
        fibers->idle_count--;
        fibers->idle_unused--;
        fiber_unmap(fiber);
    }
    fibers->idle_unused = fibers->idle_count;
}

size_t fibers_alive(const struct fibers *fibers)
{
    return fibers->alive;
}

/* From a fiber back to the loop. `ending` lets the sanitizer discard the fiber's fake frames. */
static void switch_to_scheduler(struct fiber *fiber, bool ending)
{
    struct fibers *fibers = fiber->fibers;
    fiber->json_arena = json_arena_set(NULL);
    fiber->doing = doing_set(NULL);
    running = NULL;
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(ending ? NULL : &fiber->fake_stack, fibers->scheduler_stack,
                                   fibers->scheduler_stack_size);
#else
    (void)ending;
#endif
    struct transfer transfer = jump_fcontext(fibers->scheduler, NULL);
    fibers->scheduler = transfer.from;
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(ending ? NULL : fiber->fake_stack, &fibers->scheduler_stack,
                                    &fibers->scheduler_stack_size);
#endif
    running = fiber;
    json_arena_set(fiber->json_arena);
    doing_set(fiber->doing);
}

static void fiber_main(struct transfer transfer)
{
    struct fiber *fiber = transfer.data;
    fiber->fibers->scheduler = transfer.from;
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(NULL, &fiber->fibers->scheduler_stack,
                                    &fiber->fibers->scheduler_stack_size);
#endif
    running = fiber;
    for (;;) {
        fiber->entry(fiber->argument);
        json_arena_set(NULL);
        doing_set(NULL);
        fiber->finished = true;
        switch_to_scheduler(fiber, true);
    }
}

static struct fiber *fiber_new(struct fibers *fibers)
{
    char *mapping = mmap(NULL, GUARD_SIZE + FIBER_STACK_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    if (mprotect(mapping, GUARD_SIZE, PROT_NONE) != 0) {
        munmap(mapping, GUARD_SIZE + FIBER_STACK_SIZE);
        return NULL;
    }
#ifdef FIBER_ASAN
    /* Memory that only a parked fiber refers to is not a leak. */
    __lsan_register_root_region(mapping + GUARD_SIZE, FIBER_STACK_SIZE);
#endif
    size_t head = (sizeof(struct fiber) + 63) & ~(size_t)63;
    struct fiber *fiber = (void *)(mapping + GUARD_SIZE + FIBER_STACK_SIZE - head);
    memset(fiber, 0, sizeof *fiber);
    fiber->fibers = fibers;
    fiber->mapping = mapping;
    fiber->context = make_fcontext(fiber, FIBER_STACK_SIZE - head, fiber_main);
    return fiber;
}

bool fiber_start(struct fibers *fibers, void (*entry)(void *), void *argument)
{
    struct fiber *fiber = fibers->idle;
    if (fiber) {
        fibers->idle = fiber->next;
        if (--fibers->idle_count < fibers->idle_unused)
            fibers->idle_unused = fibers->idle_count;
    } else if (fibers->alive >= FIBERS_MAX || !(fiber = fiber_new(fibers))) {
        return false;
    }
    fiber->entry = entry;
    fiber->argument = argument;
    fiber->finished = false;
    fiber->json_arena = NULL;
    fiber->doing = NULL;
    fibers->alive++;
    fiber_ready(fiber);
    return true;
}

static void fiber_finish(struct fiber *fiber)
{
    struct fibers *fibers = fiber->fibers;
    fibers->alive--;
    if (fibers->idle_count >= IDLE_MAX) {
        fiber_unmap(fiber);
        return;
    }
    fiber->next = fibers->idle;
    fibers->idle = fiber;
    fibers->idle_count++;
}

/* Only this thread writes it. */
static void count_turn(void)
{
    uint64_t turns = atomic_load_explicit(&fiber_turns, memory_order_relaxed);
    atomic_store_explicit(&fiber_turns, turns + 1, memory_order_relaxed);
}

static void fiber_resume(struct fibers *fibers, struct fiber *fiber)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&fibers->scheduler_fake_stack, fiber->mapping + GUARD_SIZE,
                                   FIBER_STACK_SIZE);
#else
    (void)fibers;
#endif
    count_turn();
    struct transfer transfer = jump_fcontext(fiber->context, fiber);
    count_turn();
    fiber->context = transfer.from;
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fibers->scheduler_fake_stack, NULL, NULL);
#endif
    if (fiber->finished)
        fiber_finish(fiber);
}

bool fibers_run_one(struct fibers *fibers)
{
    FH_ASSERT(running == NULL);
    struct fiber *fiber = fibers->ready_first;
    if (!fiber)
        return false;
    fibers->ready_first = fiber->next;
    if (!fibers->ready_first)
        fibers->ready_last = NULL;
    fiber_resume(fibers, fiber);
    return fibers->ready_first != NULL;
}

void fibers_run(struct fibers *fibers)
{
    while (fibers_run_one(fibers))
        continue;
}

struct fiber *fiber_self(void)
{
    return running;
}

bool fiber_of(const struct fibers *fibers)
{
    return running && running->fibers == fibers;
}

void fiber_park(void)
{
    FH_ASSERT(running != NULL);
    switch_to_scheduler(running, false);
}

void fiber_ready(struct fiber *fiber)
{
    struct fibers *fibers = fiber->fibers;
    bool was_empty = !fibers->ready_first;
    fiber->next = NULL;
    if (was_empty)
        fibers->ready_first = fiber;
    else
        fibers->ready_last->next = fiber;
    fibers->ready_last = fiber;
    if (was_empty && fibers->wake)
        fibers->wake(fibers->wake_context);
}

void fiber_yield(void)
{
    fiber_ready(running);
    fiber_park();
}

struct fiber_waiter {
    struct fiber *fiber;
    struct fiber_queue *queue; /* NULL: woken, and no longer in a queue */
    struct fiber_waiter *next, *previous;
};

static void queue_add(struct fiber_queue *queue, struct fiber_waiter *waiter)
{
    *waiter = (struct fiber_waiter){.fiber = running, .queue = queue, .previous = queue->last};
    if (queue->last)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
}

static void queue_remove(struct fiber_waiter *waiter)
{
    struct fiber_queue *queue = waiter->queue;
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        queue->first = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    else
        queue->last = waiter->previous;
    waiter->queue = NULL;
}

void fiber_wait(struct fiber_queue *queue)
{
    struct fiber_waiter waiter;
    queue_add(queue, &waiter);
    fiber_park();
}

void fiber_wake_one(struct fiber_queue *queue)
{
    struct fiber_waiter *waiter = queue->first;
    if (!waiter)
        return;
    queue_remove(waiter);
    fiber_ready(waiter->fiber);
}

void fiber_wake_all(struct fiber_queue *queue)
{
    while (queue->first)
        fiber_wake_one(queue);
}

static void waiter_timed_out(struct world_timer *timer)
{
    struct fiber_waiter *waiter = timer->owner;
    if (!waiter->queue)
        return; /* was already woken in this turn */
    queue_remove(waiter);
    fiber_ready(waiter->fiber);
    timer->owner = NULL;
}

bool fiber_wait_until(struct fiber_queue *queue, struct world *world, int64_t deadline_ns)
{
    if (deadline_ns < 0) {
        fiber_wait(queue);
        return true;
    }
    struct fiber_waiter waiter;
    struct world_timer timer = {.fire = waiter_timed_out, .owner = &waiter};
    queue_add(queue, &waiter);
    world_timer_start(world, &timer, deadline_ns);
    fiber_park();
    world_timer_stop(world, &timer);
    return timer.owner != NULL;
}

void fiber_sleep_until(struct world *world, int64_t deadline_ns)
{
    struct fiber_queue nobody = {0};
    fiber_wait_until(&nobody, world, deadline_ns < 0 ? 0 : deadline_ns);
}
