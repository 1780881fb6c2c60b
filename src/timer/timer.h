/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMER_TIMER_H
#define TIMER_TIMER_H

/*
 * What a service does at a time: timers that handlers set (fh_at), and declared schedules. Both are
 * rows of the ledger's timers, under the time at which they are due. Firing one is a unit of work
 * whose first statement removes the row (a schedule's is moved to its next run), so it takes effect
 * once, whoever else has read the row. docs/guide/time.md tells the story.
 *
 * One instance fires: the one with the lease "timers". It reads the first rows, fires those that
 * are due, many in one commit, and then sleeps until the next one is. Nothing is read meanwhile,
 * however many there are.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "freehold.h"
#include "work/work.h"

#define TIMER_BATCH_MAX 240 /* in one commit */
#define TIMER_LANES 64      /* side by side, where each has a commit of its own */
#define TIMER_SET_MAX 1000  /* by one unit of work */
#define TIMER_DATA_SIZE_MAX ((size_t)64 << 10)
#define TIMER_BATCH_SIZE_MAX ((size_t)4 << 20) /* of their data together; or one's */
/* A handler that fails: pauses of up to 0.2, 0.4, 0.8 and 1.6 s, then its timer is parked. */
#define TIMER_ATTEMPTS_MAX 5
#define TIMER_FAILURE_MS_MIN 200
#define TIMER_FAILURE_MS_MAX 10000
#define TIMER_RETRY_MS_MIN 20 /* in an outage */
#define TIMER_RETRY_MS_MAX 1000
#define TIMER_WAIT_MS_MAX 5000 /* of a single one, whose handler asks a service that is away */
/* That have failed or met an outage, and wait for their next attempt. */
#define TIMER_HELD_MAX 320
/* While so many are parked, the handler rather than a timer must be to blame: no more are. */
#define TIMER_PARKED_MAX 1000
#define TIMER_HANDLER_MS_MAX 10000 /* deadline for what a handler asks of others */
#define TIMER_CLOCK_MS 10000       /* a wall clock that was set is noticed so soon */

/* Before the process confines itself: reads the zones of the declared schedules, and checks the
 * declarations. FH_INVALID: says what is wrong, and where. */
enum fh_code timers_check(const fh_service *service, struct fh_error *error);

/* The caller sets context->timers. FH_INVALID as timers_check. */
enum fh_code timer_manager_new(struct work_context *context, struct timer_manager **ret,
                               struct fh_error *error);
/* Fires from now on, if there is anything to fire. On a fiber. */
void timer_manager_start(struct timer_manager *manager);
void timer_manager_drain(struct timer_manager *manager); /* fires nothing more */
void timer_manager_wait(struct timer_manager *manager);  /* until nothing is firing. On a fiber */
void timer_manager_free(struct timer_manager *manager);

/* {"pending", "parked", "late_ms", "next_ms", "why", "fired", "failures", "missed"}; late_ms is how
 * late the oldest pending one is, next_ms the wall clock's time of the next, or null. Counts stop
 * at TIMERS_COUNTED_MAX, since counting a million takes 0.1 s in which an embedded service does
 * nothing else (and at 1,000 where timers are no rows of tables). NULL: there is nothing
 * to fire, or the store can't be read. On a fiber. */
#define TIMERS_COUNTED_MAX 10000
json_t *timers_state(struct timer_manager *manager);
/* {"timers": [{"id", "handler", "due_ms", "state", "attempts", "error"}], "more"}: the first
 * TIMERS_LISTED_MAX of each kind. `state` is "pending", "schedule" or "parked"; NULL: all. On a
 * fiber. */
#define TIMERS_LISTED_MAX 500
enum fh_code timers_list(struct timer_manager *manager, const char *state, json_t **ret,
                         struct fh_error *error);
/* An operator's word on a parked timer: it becomes due again, or is removed. FH_NOT_FOUND. */
enum fh_code timer_retry(struct timer_manager *manager, const char *id, struct fh_error *error);
enum fh_code timer_drop(struct timer_manager *manager, const char *id, struct fh_error *error);
/* [name, ...]: of which timers there are some among the first 1,000 pending and 1,000 parked ones.
 */
enum fh_code timers_needed(struct timer_manager *manager, json_t **ret, struct fh_error *error);

struct timer_counters {
    uint64_t fired, failures, parked, missed;
};
struct timer_counters timer_counters(const struct timer_manager *manager);

#endif
