/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_SUBSCRIPTION_H
#define EVENT_SUBSCRIBE_SUBSCRIPTION_H

/*
 * One subscription's memory, shared by its reader (read.c) and its applier (subscribe.c). It has
 * three places:
 *
 *   cursor   committed, in the store: what a restart finds, and what `done` tells the publisher
 *   fetched  in memory: after the last event in the queue; `after` of the next question
 *   skipped  in memory: the bus has scanned up to here after the queue, and passed only events of
 *            other types; the cursor follows with the next batch, or separately once a second.
 *            No incarnation: nothing
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/portion.h"
#include "event/subscribe/batch.h"
#include "event/subscribe/level.h"
#include "event/subscribe/subscribe.h"
#include "store/ledger_snapshot.h"
#include "work/lease.h"
#include "work/work.h"

#define NS_A_MS INT64_C(1000000)
#define SUBSCRIBED_MAX                                                                             \
    (sizeof(((struct fh_service *)NULL)->subscribes) / sizeof(struct fh_subscription))
#define REASON_SIZE 320

struct bus;
struct replay_order;
struct sync;

/* Why one side of a subscription can't go on. */
struct hold {
    enum subscription_state state;
    char reason[REASON_SIZE];
};

/* See replay.h. */
struct replay {
    /* Events up to here were applied before, and are applied again; position 0: none are. As
     * committed. Its epoch: REPLAY_HOLDS_BACK, REPLAY_REACHES_OUT or REPLAY_REBUILT. */
    struct ledger_cursor until;
    struct replay_order *order; /* an operator's, for the applier; NULL: there is none */
    bool lost;                  /* it can't go on: `why` */
    char why[REASON_SIZE];
    int64_t began_ns; /* or was continued */
};

struct subscription {
    struct event_manager *manager;
    const struct bus *bus; /* brings its events */
    struct subscription *next;
    const char *source;
    bool outside; /* the source is no service (source/bus.h): there is nothing to resync with */
    char partition[16]; /* "0/8"; of a source outside "0" */
    unsigned partition_index, partition_count;
    struct lease lease;          /* this instance applies only while it has the lease */
    struct ledger_resync resync; /* as committed */
    bool resyncs;                /* another resync pass has to begin: the place is lost */
    int resync_tries;
    struct replay replay;
    int64_t set_back; /* how often, as committed: set_back.h */
    /* Sizes: of a page, of a resync's transaction, of a fetch. */
    struct portion rows, together, answers;
    bool fenced;             /* another instance's epoch was found; until we get the lease again */
    bool reads, applies;     /* such a fiber is running */
    bool loaded;             /* the latter has read its places */
    uint64_t reader;         /* the current reader: incremented with each new one */
    struct bus_reader *from; /* its bus's, or NULL */
    int readers;             /* running readers, including abandoned ones */
    const struct fh_subscription *subscribed[SUBSCRIBED_MAX]; /* of this source */
    const struct doing *doings[SUBSCRIBED_MAX];               /* of each; NULL: not made yet */
    int subscribed_count;
    struct ledger_cursor cursor, fetched, skipped;
    int64_t skipped_asked_ns; /* of the answer that said so: batch.asked_ns */
    struct level level;
    int64_t last;
    struct batch *first, *newest; /* fetched, not yet applied */
    int queued;
    struct batch *applying;
    int applied;                        /* how many of its events */
    int busy;                           /* how many fibers use its store */
    uint64_t generation;                /* incremented when everything fetched is thrown away */
    struct ledger_parked_counts parked; /* as this process knows it */
    uint64_t recounts;
    int64_t recounted_ns; /* when a retry in progress last counted */
    struct fiber_queue for_batches, for_space, for_parking;
    struct hold reading, applying_hold;
    int64_t reached_ns; /* the last good answer */
    int64_t skipped_ns; /* the last work that only moved the cursor */
    uint64_t applied_count, failure_count, resynced_count;
    struct work_batch_habits habits;
    struct sync *sync;   /* sync.h; NULL: nothing is compared */
    uint64_t told_fault; /* the last one that was logged: see subscription_tell_fault */
};

/* A resync is in progress, or has to begin: the bus is not asked. Computed each time, since the
 * reader learns of one half while the applier learns of the other. */
static inline bool subscription_resyncs(const struct subscription *s)
{
    return s->resyncs || s->resync.phase == LEDGER_PAGES || s->resync.phase == LEDGER_SWEEP;
}

static inline bool subscription_refused(const struct subscription *s)
{
    return s->reading.state == SUBSCRIPTION_REFUSED;
}
static inline bool subscription_is_ours(const struct subscription *s)
{
    return s->lease.state == LEASE_OURS;
}
/* What the reader passed behind the queue counts no more. */
static inline void subscription_skip_none(struct subscription *s)
{
    s->skipped = (struct ledger_cursor){0};
    s->skipped_asked_ns = 0;
}
/* It has passed something since: `skipped` is no place of before. */
static inline bool subscription_skips(const struct subscription *s)
{
    return s->skipped.incarnation[0] != '\0';
}

/* Of a partition's two cursors: events that were applied before are next. */
static inline bool replay_is_under_way(const struct ledger_cursor *cursor,
                                       const struct ledger_cursor *until)
{
    return until->position > cursor->position &&
           strcmp(until->incarnation, cursor->incarnation) == 0;
}
static inline bool subscription_replays(const struct subscription *s)
{
    return replay_is_under_way(&s->cursor, &s->replay.until);
}

struct world *subscription_world(const struct subscription *s);
bool subscription_goes_on(const struct subscription *s); /* ours, neither refused nor draining */
/* The n-th pause, n from 1: doubling, with full jitter. False: the manager drains. */
bool subscription_pause(struct subscription *s, int n, int64_t ms_min, int64_t ms_max);

/* Logged only when the state begins. */
void subscription_hold(const struct subscription *s, struct hold *hold,
                       enum subscription_state state, const char *reason);
void subscription_release_hold(const struct subscription *s, struct hold *hold);

/* A handler of the source's events, or of its resync, has failed: it is logged once, however often
 * it is tried again and fails in the same way. `what` is the event's id, or any other name. With
 * `outage` not at all: subscription_hold says that it waits. */
void subscription_tell_fault(struct subscription *s, fh_work *w, const char *what, bool outage);

/* While it is busy, between these two, its store must stay open: see event_manager_wait. */
void subscription_enter(struct subscription *s);
void subscription_leave(struct subscription *s);
/* Whatever waits for it looks again. */
void subscription_wake(struct subscription *s);

/* The queue between reader and applier. */
void subscription_put(struct subscription *s, struct batch *batch);
struct batch *subscription_take(struct subscription *s); /* NULL: it is empty */
/* The batch in progress is over, whether all of it was applied or not. */
void subscription_finish(struct subscription *s);
/* Throws away everything fetched or being fetched: the reader continues after the cursor. */
void subscription_drop(struct subscription *s);

/* The reader's: what is being replayed is not there any more. False: nothing is replayed. */
bool subscription_replay_lost(struct subscription *s, const char *why);

/* Within the folder: one subscription for each publisher, with what is declared of it. */
enum fh_code subscribe_declare(struct event_manager *manager, struct fh_error *error);

/* On a fiber of its own. An earlier reader that still waits for an answer is abandoned: what it
 * gets is thrown away. */
void subscription_begin_reading(struct subscription *s);
/* A reader that waits does so no longer: the process ends, or another one takes its place. */
void subscription_cancel_reading(struct subscription *s);

#endif
