/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_SUBSCRIPTION_H
#define EVENT_SUBSCRIBE_SUBSCRIPTION_H

/*
 * One subscription's memory, which its reader (subscription_read.c) and its applier (subscribe.c)
 * share. Where it stands is known three times:
 *
 *   cursor   committed, in the store: what a restart finds, and what `done` tells the publisher
 *   fetched  in memory: behind the last event that is in the queue; `after` of the next request
 *   skipped  in memory: the feed was scanned to here behind the queue, and nobody hears what was
 *            passed; the cursor follows with the next batch, or by itself once a second
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/portion.h"
#include "event/subscribe/batch.h"
#include "event/subscribe/subscribe.h"
#include "store/ledger_snapshot.h"
#include "work/lease.h"
#include "work/work.h"

#define NS_A_MS INT64_C(1000000)
#define SUBSCRIBED_MAX                                                                             \
    (sizeof(((struct fh_service *)NULL)->subscribes) / sizeof(struct fh_subscription))
#define REASON_SIZE 320

/* What holds one side of a subscription up. */
struct hold {
    enum subscription_state state;
    char reason[REASON_SIZE];
};

struct subscription {
    struct event_manager *manager;
    struct subscription *next;
    const char *source;
    char partition[16]; /* "0/8" */
    unsigned partition_index, partition_count;
    struct lease lease;          /* only whose it is applies */
    struct ledger_resync resync; /* as committed */
    bool resyncs;                /* another one has to begin: the publisher has refused the feed */
    int resync_tries;
    struct portion rows, together, answers; /* of a page; of a round's work; of the feed */
    bool fenced;         /* a work found that another instance has it: until we get it anew */
    bool reads, applies; /* such a fiber lives */
    uint64_t reader;     /* which one is it that reads: rises with each */
    int readers;         /* those of before that have not ended counted, too */
    const struct fh_subscription *subscribed[SUBSCRIBED_MAX]; /* of this source */
    int subscribed_count;
    struct ledger_cursor cursor, fetched, skipped;
    int64_t last;
    struct batch *first, *newest; /* fetched, not yet applied */
    int queued;
    struct batch *applying;
    int applied;                        /* of its events */
    int busy;                           /* so many use its store */
    uint64_t generation;                /* rises when what was fetched is thrown away */
    struct ledger_parked_counts parked; /* as this process knows it */
    uint64_t recounts;
    int64_t recounted_ns; /* by a retry under way */
    struct fiber_queue for_batches, for_space, for_parking;
    struct hold reading, applying_hold;
    int64_t reached_ns; /* the last good answer */
    int64_t skipped_ns; /* the last work that only moved the cursor */
    uint64_t applied_count, failure_count;
};

/* A snapshot is under way, or has to begin: nothing is read from the feed. Worked out each time,
 * since the reader learns one half of it while the applier learns the other. */
static inline bool subscription_resyncs(const struct subscription *s)
{
    return s->resyncs || s->resync.phase == LEDGER_PAGES || s->resync.phase == LEDGER_SWEEP;
}

struct world *subscription_world(const struct subscription *s);
bool subscription_refused(const struct subscription *s);
bool subscription_is_ours(const struct subscription *s);
bool subscription_goes_on(const struct subscription *s); /* ours, neither refused nor draining */
/* The n-th pause, n from 1: doubling, with full jitter. False: the room drains. */
bool subscription_pause(struct subscription *s, int n, int64_t ms_min, int64_t ms_max);

/* Said in the log once, when it begins. */
void subscription_hold(const struct subscription *s, struct hold *hold,
                       enum subscription_state state, const char *reason);
void subscription_release_hold(const struct subscription *s, struct hold *hold);

/* The queue between reader and applier. */
void subscription_put(struct subscription *s, struct batch *batch);
struct batch *subscription_take(struct subscription *s); /* NULL: it is empty */
/* Throws away what was fetched, and what is being fetched: the reader goes on behind the cursor. */
void subscription_drop(struct subscription *s);

struct text;
struct fh_subscription;
void subscription_encode(struct text *out, const char *value); /* percent-encoded */
/* "Type:field,Type:field" behind *separator, which is a comma then; nothing where all is needed. */
void subscription_add_fields(struct text *out, const struct fh_subscription *subscribed,
                             const char **separator);

/* On a fiber of its own. A reader of before that still waits for an answer is left to itself: what
 * it brings is thrown away. */
void subscription_begin_reading(struct subscription *s);

#endif
