/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_APPLY_H
#define EVENT_SUBSCRIBE_APPLY_H

/*
 * One transaction on a subscription's events: the cursor moves, events of parked keys are parked
 * after those that already wait, and the handlers of all others run; or none of this happens.
 */

#include "event/subscribe/subscription.h"
#include "work/work.h"

enum apply_verdict {
    APPLY_DONE,
    APPLY_OUTAGE, /* nothing was done, and the events are not to blame */
    APPLY_FAILED, /* nothing was done, and an event is to blame: see `failed` */
    APPLY_MOVED,  /* read the cursor to find out what happened */
    APPLY_STALE,  /* nothing was done: a key was parked or unparked in between; try again at once */
    APPLY_FULL,   /* nothing was done: no more may be parked */
};

struct apply {
    struct subscription *subscription;
    const struct batch_event *events;
    int count;                 /* 0: only the cursor */
    struct ledger_cursor next; /* where the cursor moves to; its epoch is ignored */
    /* Not NULL: the single event is parked with this error, after so many attempts; its handler
     * does not run. */
    const char *park_error;
    int park_attempts;

    int failed; /* FAILED: the event's index; -1: none can be named */
    struct fh_error error;
};

/* On a fiber. DONE: it is durable, and the subscription's cursor and counts are set. */
enum apply_verdict apply_run(struct apply *apply);

/* Runs the handlers of `events` (or `instead`, if given) in one transaction after `fence`, except
 * for those marked in `leave_out` (or NULL); if none is left, only the fence runs. *ret_outage: the
 * events are not to blame. */
enum fh_code apply_works(struct subscription *subscription, const struct batch_event *events,
                         int count, const bool *leave_out, fh_handler *instead,
                         struct work_fence *fence, int *ret_failed, bool *ret_outage,
                         struct fh_error *error);

fh_handler *apply_handler(const struct subscription *subscription, const char *type);

#endif
