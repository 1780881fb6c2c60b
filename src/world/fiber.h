/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORLD_FIBER_H
#define WORLD_FIBER_H

/*
 * Fibers: sequential code on one thread. A fiber runs until it parks; whatever event it waits for
 * makes it ready; the loop runs all ready fibers before it sleeps. Never resumed from inside
 * another fiber: there is one ready queue, first come, first served, so that a run can be replayed.
 *
 * Each has its own stack (256 KiB, mapped as it is touched, a guard page below; reused).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
struct fiber;
struct fibers;

#define FIBER_STACK_SIZE ((size_t)256 << 10)
#define FIBERS_MAX 20000

/* `wake(context)` is called when a fiber becomes ready and the queue was empty. */
struct fibers *fibers_new(void (*wake)(void *), void *context);
void fibers_free(struct fibers *fibers); /* all fibers have ended */
/* Runs ready fibers until none is ready. From the loop only. */
void fibers_run(struct fibers *fibers);
/* Resumes the first ready fiber, if any. True: another one is ready. For a world that decides
 * between two fibers whether the process goes on. */
bool fibers_run_one(struct fibers *fibers);
/* Gives back the stacks that no fiber has needed since the last call. About once a second. */
void fibers_trim(struct fibers *fibers);
size_t fibers_alive(const struct fibers *fibers);

/* Ready at once, run later. False when FIBERS_MAX are alive or there is no memory for a stack. */
bool fiber_start(struct fibers *fibers, void (*entry)(void *), void *argument);
struct fiber *fiber_self(void);             /* NULL outside fibers */
bool fiber_of(const struct fibers *fibers); /* the running fiber is one of these */
void fiber_park(void);                      /* until fiber_ready; spurious wakes do not happen */
void fiber_ready(struct fiber *fiber);
void fiber_yield(void); /* behind all that is ready now */

/* Those who wait for one thing, in the order they came. Zero-initialised. */
struct fiber_waiter;
struct fiber_queue {
    struct fiber_waiter *first, *last;
};
void fiber_wait(struct fiber_queue *queue);
/* False when `deadline_ns` of the world's monotonic clock came first; negative: no deadline. */
bool fiber_wait_until(struct fiber_queue *queue, struct world *world, int64_t deadline_ns);
void fiber_wake_one(struct fiber_queue *queue);
void fiber_wake_all(struct fiber_queue *queue);
void fiber_sleep_until(struct world *world, int64_t deadline_ns);

#endif
