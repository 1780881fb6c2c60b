/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SYNC_SYNC_H
#define EVENT_SYNC_SYNC_H

/*
 * A sync: now and then, what this service holds of a type (`held`) is compared with what the
 * publisher has (`state`), page by page, by digests. What differs although all events of its key
 * were applied is mended by `upsert` and `gone`, counted and told: events should have done it.
 *
 * It runs on the applier's fiber, one page between two batches of events. While a page is compared
 * the cursor stands still, at C: the publisher's row of a key whose last event is not after C must
 * be what is held here. Keys that have events after C are left out, and so are parked ones.
 *
 * When it begins is a matter of the clock alone, so that nothing has to be remembered: a process
 * that is restarted every day still begins the sync of the week. What it has compared so far is
 * lost with the process.
 */

#include "event/subscribe/subscription.h"

/* What this process has found. */
struct sync_counts {
    int64_t checked;  /* keys compared */
    int64_t differed; /* of these: those that were mended */
    int64_t unmended; /* those that still differ after `upsert`, or where a handler failed */
};

struct sync {
    int64_t periods[SUBSCRIBED_MAX]; /* of each type's clock: the one whose sync has begun */
    int type;                        /* under way; -1: none is */
    char after[LEDGER_AFTER_SIZE]; /* as in ledger_resync; "": the kind of keys is not known yet */
    uint64_t generation;           /* the subscription's; doubts are void with another */
    json_t *doubted;    /* {key: true}: held here, and not there (mend.c); NULL: none are */
    int64_t doubted_at; /* as of this position of the publisher's */
    char next[LEDGER_AFTER_SIZE]; /* `after` once that is settled; "": the type is done then */
    int64_t again_ns;             /* after an outage: not before */
    int64_t paced_ns;             /* the next page: not before, for the sake of others */
    int64_t paced_at;             /* the cursor, at the last page */
    bool equal;                   /* the last page was the same on both sides */
    int failures;                 /* in a row */
    struct portion rows;
    bool at_length; /* its publisher can't be asked whether all of a page is the same */
    struct sync_counts now, all;   /* of the sync under way; of this process */
    char first[LEDGER_AFTER_SIZE]; /* a key that differed, and one that could not be mended */
    char stubborn[LEDGER_AFTER_SIZE];
    int64_t finished_ms;      /* when the last one was over; 0: none was */
    char reason[REASON_SIZE]; /* why it does not go on; "": it does */
};

/* NULL: no declaration of this subscription asks for it. */
struct sync *sync_new(const struct subscription *subscription);
void sync_free(struct sync *sync);
/* Before these are applied, or parked, in whatever way that ends. */
static inline void sync_heard(struct sync *sync, const struct batch_event *events, int count)
{
    for (int i = 0; sync && sync->doubted && i < count; i++)
        json_object_del(sync->doubted, events[i].key);
}
/* On the applier's fiber; compares a page if it is time to. Parks. True: it has, and no events
 * wait. */
bool sync_step(struct subscription *subscription);
/* Waits for events, until then at most, or until there is something to compare. */
void sync_wait(struct subscription *subscription, int64_t until_ns);

#endif
