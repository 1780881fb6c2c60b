/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_SUBSCRIBE_H
#define EVENT_SUBSCRIBE_SUBSCRIBE_H

/*
 * The hearing side: for each service named in `hears`, one subscription, which reads that service's
 * feed and applies its events in order, each exactly once. Where a service can have several
 * instances a subscription has shares, by the keys of events (shares.h): each is read and applied
 * by itself, by the instance that has its lease.
 *
 *   reader   asks the feed behind what it has fetched, up to SUBSCRIBE_PREFETCH_MAX batches ahead
 *   applier  runs a batch's handlers in one work, whose first statement moves the cursor from
 *            where this instance believes it to be: whoever is late is refused there
 *
 * What can go wrong, and what is done:
 *
 *   outage   the store, or a service that a handler asks, isn't there: try again, however long
 *   failure  a handler failed: the events before it are applied, then it alone is tried, with
 *            growing pauses, SUBSCRIBE_ATTEMPTS_MAX times. Then it is parked with its error, in
 *            the work that moves the cursor past it; later events of its key are parked behind
 *            it, all others go on. See parked.h
 *   full     so much is parked that the handler rather than an event is to blame: it waits until
 *            there is room, or the event's handler succeeds, and says so
 *   moved    someone else moved the cursor, or the outcome of a commit is unknown: read the cursor
 *   fenced   another instance has taken the share over: nothing more is done for it here. If the
 *            lease says at the next look that it is ours all the same, it is given back and taken
 *            anew
 *   anew     409 or 410: the publisher was restored, or trimmed what was not read. Going on would
 *            skip events in silence. Where handlers are declared for it, the subscription begins
 *            anew with the publisher's state (round.h)
 *   refused  the same where they are not: the subscription stops and says so
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "event/manager.h"
#include "store/ledger.h"

/* Events of one answer (whose body has 1 MiB at most), and of one work: each event's handler has a
 * fiber meanwhile, and of no more than this are the stacks kept for the next work. */
#define SUBSCRIBE_BATCH_MAX 480
#define SUBSCRIBE_WORK_MAX 240
#define SUBSCRIBE_PREFETCH_MAX                                                                     \
    2                       /* batches fetched and not yet applied, the one under way left out */
#define SUBSCRIBE_WAIT_S 20 /* a long poll */
#define SUBSCRIBE_ANSWER_MS_MAX ((SUBSCRIBE_WAIT_S + 10) * 1000)
#define SUBSCRIBE_RETRY_MS_MIN 20
#define SUBSCRIBE_RETRY_MS_MAX 1000 /* an outage: catching up begins soon after it ends */
/* A handler that fails: pauses of up to 50, 100, 200 and 400 ms, then its event is parked. */
#define SUBSCRIBE_ATTEMPTS_MAX 5
#define SUBSCRIBE_FAILURE_MS_MIN 50
#define SUBSCRIBE_FAILURE_MS_MAX 1000
#define SUBSCRIBE_PARKED_KEYS_MAX 1000 /* of one subscription */
#define SUBSCRIBE_PARKED_MAX 100000    /* events */
#define SUBSCRIBE_FULL_MS 10000        /* how often it is tried when no more may be parked */
/* A cursor that only passes events that nobody hears moves this often at the most. */
#define SUBSCRIBE_SKIP_INTERVAL_MS 1000
#define SUBSCRIBE_HANDLER_MS_MAX 10000 /* deadline of what one event's handler asks */

enum subscription_state {
    SUBSCRIPTION_STARTING, /* the cursor is not read yet, or the feed not yet reached */
    SUBSCRIPTION_FOLLOWING,
    SUBSCRIPTION_UNREACHABLE, /* the publisher doesn't answer */
    SUBSCRIPTION_WAITING,     /* an outage on this side holds the next event */
    SUBSCRIPTION_FAILING,     /* an event's handler fails; it is tried again, then parked */
    SUBSCRIPTION_FULL,        /* stopped: no more may be parked */
    SUBSCRIPTION_RESYNC,      /* begins anew with the publisher's state: round.h */
    SUBSCRIPTION_REFUSED,     /* stopped: 409 or 410 */
};

/* What is known of one subscription, for people and metrics. */
struct subscription_view {
    const char *source, *partition;
    const char *state;  /* "following" */
    const char *reason; /* a sentence, "" while following and when it has just begun */
    int64_t position;   /* applied up to */
    int64_t last;       /* the publisher's, as its last answer told */
    int64_t depth;      /* last - position: what is between, of whatever type; and what is parked */
    int64_t lag_ms;     /* age of the oldest event known and not applied, parked or not; where none
                         * is known and it stands still: since the publisher answered; or 0 */
    int64_t parked_keys, parked_events;
    int64_t parked_ms; /* age of the oldest of them */
    uint64_t applied, failures;
};

/* Each look at the leases. */
void subscribe_looked(struct event_manager *manager);
/* On a fiber; subscriptions begin once the store can be read. FH_INVALID: `hears` is wrong. */
enum fh_code subscribe_start(struct event_manager *manager, struct fh_error *error);
/* No batch is under way in any subscription. */
bool subscribe_idle(const struct event_manager *manager);
/* Wakes what waits, once room->draining is set. */
void subscribe_drain(struct event_manager *manager);
void subscribe_release(struct event_manager *manager);

/* In the order of `hears`: the first (NULL) or next one; NULL at the end. */
const struct subscription *subscription_next(const struct event_manager *manager,
                                             const struct subscription *subscription);
void subscription_view(const struct subscription *subscription, struct subscription_view *ret);

#endif
