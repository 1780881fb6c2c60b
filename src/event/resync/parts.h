/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RESYNC_PARTS_H
#define EVENT_RESYNC_PARTS_H

/* What the files of a round share: round.c, and round_sweep.c, which gives up what is gone. */

#include "base/text.h"
#include "event/resync/resync.h"
#include "work/work.h"

struct page_read;

struct resync_fence {
    struct work_fence fence; /* first: it is cast from */
    struct subscription *subscription;
    struct ledger_cursor cursor; /* where it comes to */
    struct ledger_resync next;
    bool begins;                    /* a new round */
    const struct batch_event *rows; /* to be noted as applied in it */
    int count;
    bool moved;
};

/* One work of the round: `events` go to `handler`; none: the fence alone. `next` is set, and so is
 * `cursor` where it begins; the rest of what is not said is filled in. True: it is durable. False:
 * nothing was done as far as is known, s->round stands where the store says, and it has paused. */
bool resync_work(struct subscription *subscription, struct resync_fence *fence,
                 const struct batch_event *events, int count, fh_handler *handler);
void resync_outage(struct subscription *subscription, const char *why); /* says so, and pauses */
/* The same for what is no outage: rarer and rarer, for only a person can mend it. */
void resync_fault(struct subscription *subscription, const char *why);
int resync_at_once(const struct subscription *subscription); /* handlers of one work */
/* The first declaration from `index` on that has a state; heard_count: none. */
int64_t resync_next_type(const struct subscription *subscription, int64_t index);

/* One page of the keys that this service holds. */
void resync_sweep(struct subscription *subscription);

/* One question, and what came of it: a page; or the round begins anew; or why neither. */
struct resync_asking {
    struct subscription *subscription;
    const struct fh_subscription *subscribed;
    struct text path;
    struct page_read *page;
    int limit;
    bool anew, fault; /* the publisher's, or that of what it told */
    char reason[REASON_SIZE];
    bool answered;
    struct fiber_queue waiting;
};

/* For the page behind `at`; `limit` 0: only where the publisher stands. */
void resync_ask_init(struct resync_asking *asking, struct subscription *subscription,
                     const struct ledger_resync *at, int limit);
void resync_ask_run(struct resync_asking *asking); /* parks */
/* The page behind this one, beside its works. False: there is none, or no fiber for it. */
bool resync_ask_ahead(struct resync_asking *asking, struct subscription *subscription,
                      const struct page_read *page);
void resync_ask_wait(struct resync_asking *asking);

#endif
