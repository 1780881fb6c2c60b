/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_SUBSCRIBE_H
#define EVENT_SUBSCRIBE_SUBSCRIBE_H

/*
 * The subscribing side: for each service named in `subscribes` there is one subscription, which
 * takes that service's events from a bus (event/bus.h) and applies them in order, each exactly
 * once. Where a service can have several instances a subscription has partitions, by the keys of
 * events (partitions.h): each is read and applied separately, by the instance that has its lease.
 *
 *   reader   asks the bus for what follows what it has, up to SUBSCRIBE_PREFETCH_MAX batches ahead
 *   applier  runs a batch's handlers in one transaction, whose first statement moves the cursor
 *            from where this instance believes it to be: a late instance is refused there
 *
 * What can go wrong, and how it is handled:
 *
 *   outage   the store, or a service that a handler asks, is down: try again, for as long as it
 *            takes
 *   failure  a handler failed: the events before it are applied, then it alone is tried, with
 *            growing pauses, SUBSCRIBE_ATTEMPTS_MAX times. Then it is parked with its error, in
 *            the transaction that moves the cursor past it; later events of its key are parked
 *            after it, all others go on. See parked.h
 *   full     so much is parked that the handler rather than an event must be to blame: the
 *            subscription waits for room, or until the event's handler succeeds, and reports it
 *   moved    something else moved the cursor, or a commit's outcome is unknown: read the cursor
 *   fenced   another instance has taken over the partition: nothing more is done for it here. If
 *            at the next look the lease is still ours, it is given back and taken again
 *   resync   the place is lost: the publisher was restored, or unread events are gone. Going on
 *            would silently skip events. Where handlers are declared for it, the subscription
 *            takes over the publisher's state (resync.h)
 *   refused  the same where they are not: the subscription stops and reports it
 *   replay   an operator has set the cursor back: events are applied again, up to where it was
 *            (replay.h). If they are not there any more, it goes to where it was
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "event/manager.h"
#include "store/ledger.h"

/* Events in one answer (whose body has 1 MiB at most). How many of them are in one transaction
 * depends on how long their handlers run (work_batch_size). */
#define SUBSCRIBE_BATCH_MAX 480
/* Batches fetched but not yet applied, without the one in progress. */
#define SUBSCRIBE_PREFETCH_MAX 2
#define SUBSCRIBE_WAIT_S 20 /* the wait of a long poll */
/* The same for a view: only an answer tells that nothing was missing when it was asked for. */
#define SUBSCRIBE_VIEW_WAIT_S 1
#define SUBSCRIBE_ANSWER_MS_MAX ((SUBSCRIBE_WAIT_S + 10) * 1000)
#define SUBSCRIBE_RETRY_MS_MIN 20
#define SUBSCRIBE_RETRY_MS_MAX 1000 /* in an outage: catching up starts soon after it ends */
/* A handler that fails: pauses of up to 50, 100, 200 and 400 ms, then its event is parked. */
#define SUBSCRIBE_ATTEMPTS_MAX 5
#define SUBSCRIBE_FAILURE_MS_MIN 50
#define SUBSCRIBE_FAILURE_MS_MAX 1000
#define SUBSCRIBE_PARKED_KEYS_MAX 1000 /* of one subscription */
#define SUBSCRIBE_PARKED_MAX 100000    /* events */
/* How often an event is retried while no more may be parked. */
#define SUBSCRIBE_FULL_MS 10000
/* A cursor that only passes events of other types moves at most this often. */
#define SUBSCRIBE_SKIP_INTERVAL_MS 1000
#define SUBSCRIBE_CAUGHT_UP_MS 1000
#define SUBSCRIBE_HANDLER_MS_MAX 10000 /* deadline for what an event's handler asks of others */

struct sync;

enum subscription_state {
    SUBSCRIPTION_STARTING, /* the cursor is not read yet, or the publisher has not answered yet */
    SUBSCRIPTION_FOLLOWING,
    SUBSCRIPTION_UNREACHABLE, /* the publisher doesn't answer */
    SUBSCRIPTION_WAITING,     /* an outage on this side delays the next event */
    SUBSCRIPTION_FAILING,     /* an event's handler fails; it is tried again, then parked */
    SUBSCRIPTION_FULL,        /* stopped: no more may be parked */
    SUBSCRIPTION_RESYNC,      /* takes over the publisher's state: resync.h */
    SUBSCRIPTION_REFUSED,     /* stopped: its place is lost */
};

/* The state of one subscription, for operators and metrics. */
struct subscription_view {
    const char *source, *partition;
    const char *state;  /* "following" */
    const char *reason; /* a sentence; "" while following and at first */
    int64_t position;   /* applied up to */
    int64_t replayed;   /* and before that up to here, which is further; 0: none are replayed */
    int64_t last;       /* the publisher's last position, as of its last answer */
    int64_t depth;      /* last - position, which counts events of all types; plus parked events */
    /* Age of the oldest event known and not applied, parked or not; if none is known but the
     * subscription stands still: time since the publisher's last answer; else 0. */
    int64_t lag_ms;
    int64_t parked_keys, parked_events;
    int64_t parked_ms; /* age of the oldest parked event */
    uint64_t applied, failures;
    uint64_t resynced; /* rows of publishers' states that this process has applied */
    /* It does not go on by itself: it is refused or full, or a handler of a snapshot fails again
     * and again. */
    bool stopped;
    /* It has applied, or parked, all that its publisher had SUBSCRIBE_CAUGHT_UP_MS ago. */
    bool caught_up;
    const struct sync *sync; /* sync.h; NULL: nothing is compared */
};

/* Called at each look at the leases. */
void subscribe_looked(struct event_manager *manager);
/* On a fiber; subscriptions begin once the store can be read. FH_INVALID: `subscribes` is wrong. */
enum fh_code subscribe_start(struct event_manager *manager, struct fh_error *error);
/* No subscription has a batch in progress. */
bool subscribe_idle(const struct event_manager *manager);
/* Wakes all waiting fibers, once manager->draining is set. */
void subscribe_drain(struct event_manager *manager);
void subscribe_release(struct event_manager *manager);

/* In the order of `subscribes`: the first (NULL) or next one; NULL at the end. */
const struct subscription *subscription_next(const struct event_manager *manager,
                                             const struct subscription *subscription);
void subscription_view(const struct subscription *subscription, struct subscription_view *ret);

#endif
