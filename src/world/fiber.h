/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORLD_FIBER_H
#define WORLD_FIBER_H

/*
 * Fibers: sequential code on one thread. A fiber runs until it parks; the event it waits for makes
 * it ready; the loop runs all ready fibers before it sleeps. A fiber is never resumed from inside
 * another one: there is a single first-in, first-out queue of ready fibers, so that a run can be
 * replayed.
 *
 * Each fiber has its own stack (256 KiB, whose pages are mapped when touched, with a guard page
 * below). Stacks are reused.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
struct fiber;
struct fibers;

#define FIBER_STACK_SIZE ((size_t)256 << 10)
#define FIBERS_MAX 20000

/* `wake(context)` is called when a fiber becomes ready while none was. */
struct fibers *fibers_new(void (*wake)(void *), void *context);
void fibers_free(struct fibers *fibers); /* all fibers must have ended */
/* Runs ready fibers until there are none. Only from the loop. */
void fibers_run(struct fibers *fibers);
/* Resumes the first ready fiber, if any. True: another one is ready. For a world that decides
 * between two fibers whether the process survives. */
bool fibers_run_one(struct fibers *fibers);
/* Frees most stacks that no fiber has needed since the last call. Call it about once a second. */
void fibers_trim(struct fibers *fibers);
size_t fibers_alive(const struct fibers *fibers);

/* Counts each time that a fiber is resumed, and that it parks or ends: odd while one runs. Another
 * thread may look whether the same one still runs (service/watchdog.h). */
extern _Atomic uint64_t fiber_turns;

/* Makes a new fiber ready; it runs later. False: FIBERS_MAX are alive, or no memory for a stack. */
bool fiber_start(struct fibers *fibers, void (*entry)(void *), void *argument);
struct fiber *fiber_self(void);             /* NULL outside fibers */
bool fiber_of(const struct fibers *fibers); /* the running fiber is one of these */
void fiber_park(void);                      /* until fiber_ready; there are no spurious wakeups */
void fiber_ready(struct fiber *fiber);
void fiber_yield(void); /* lets all fibers that are ready now run first */

/* Fibers that wait for one thing, in order of arrival. Zero-initialise it. */
struct fiber_waiter;
struct fiber_queue {
    struct fiber_waiter *first, *last;
};
void fiber_wait(struct fiber_queue *queue);
/* False: `deadline_ns` of the world's monotonic clock came first; negative: no deadline. */
bool fiber_wait_until(struct fiber_queue *queue, struct world *world, int64_t deadline_ns);
void fiber_wake_one(struct fiber_queue *queue);
void fiber_wake_all(struct fiber_queue *queue);
void fiber_sleep_until(struct world *world, int64_t deadline_ns);

#endif
