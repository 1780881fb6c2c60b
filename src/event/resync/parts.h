/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RESYNC_PARTS_H
#define EVENT_RESYNC_PARTS_H

/* Shared by the files of a resync: resync.c, which takes its steps; sweep.c, which gives up keys
 * that are gone; and below both transaction.c, ask.c and declared.c. */

#include "base/text.h"
#include "event/resync/resync.h"
#include "work/work.h"

struct page_read;

struct resync_fence {
    struct work_fence fence; /* first: it is cast from */
    struct subscription *subscription;
    struct ledger_cursor cursor; /* where the cursor moves to */
    struct ledger_resync next;
    bool begins;                    /* starts a new resync pass */
    const struct batch_event *rows; /* to be recorded as applied in this pass */
    int count;
    int64_t set_back; /* how often, after it: set_back.h */
    bool moved;
};

/* Runs one transaction of the resync: `events` go to `handler`; without events, only the fence
 * runs. The caller sets `next`, and also `cursor` if `begins`; the rest is filled in. True: it is
 * durable. False: as far as is known nothing was done; s->resync is what the store says, and the
 * fiber has paused. */
bool resync_work(struct subscription *subscription, struct resync_fence *fence,
                 const struct batch_event *events, int count, fh_handler *handler);
/* Reports the outage, and pauses. */
void resync_outage(struct subscription *subscription, const char *why);
/* The same for a fault: the pauses grow much longer, since only an operator can mend it. */
void resync_fault(struct subscription *subscription, const char *why);
int resync_at_once(const struct subscription *subscription); /* events per transaction */
/* The first declaration from `index` on that has an `upsert`; subscribed_count: none. */
int64_t resync_next_type(const struct subscription *subscription, int64_t index);

/* What this service holds of a type: its handler `held` runs from `place` on ('i' or 's', for
 * integers or strings, and the key after which it begins), and while the store is as it saw it,
 * `take` looks at its list in w->reply_body. */
typedef enum fh_code resync_take_held(void *context, struct store_work *work,
                                      struct fh_error *error);
void resync_held_init(fh_work *w, struct subscription *subscription,
                      const struct fh_subscription *subscribed);
enum fh_code resync_list_held(fh_work *w, const struct fh_subscription *subscribed,
                              const char *place, int limit, resync_take_held *take, void *context,
                              struct fh_error *error);
/* The key of what it lists: itself, or the first member of a row. False: it is none. */
bool resync_held_key(const json_t *row, char *ret, size_t size);
/* Keys that are gone, an array of strings, as events whose data is {"key"}. On the arena. */
struct batch_event *resync_gone_events(struct arena *arena, const json_t *keys,
                                       const struct fh_subscription *subscribed);

/* Sweeps one page of the keys that this service holds. */
void resync_sweep(struct subscription *subscription);

/* One request, and its outcome: a page; or the resync must begin again; or why neither. */
struct resync_asking {
    struct subscription *subscription;
    const struct fh_subscription *subscribed;
    struct text path;
    struct page_read *page;
    bool digests; /* are asked for, instead of data */
    bool same;    /* it is said what the page should be */
    int limit;
    int status;       /* of the answer; 0: there was none */
    bool anew, fault; /* the publisher's fault, or that of its answer */
    char reason[REASON_SIZE];
    bool answered;
    struct fiber_queue waiting;
};

/* Asks for the page after `at`; `limit` 0: only where the publisher stands. */
void resync_ask_init(struct resync_asking *asking, struct subscription *subscription,
                     const struct ledger_resync *at, int limit);
/* The same for digests of these fields, an array of names, instead of the rows' data; without
 * names, for the data all the same. `same`: the digest of the page that the reader expects, or "".
 */
void resync_ask_digests(struct resync_asking *asking, struct subscription *subscription,
                        const struct ledger_resync *at, int limit, const json_t *names,
                        const char *same);
void resync_ask_run(struct resync_asking *asking); /* parks */
/* Asks for the page after this one while this one is applied. False: there is none, or no fiber for
 * it. */
bool resync_ask_ahead(struct resync_asking *asking, struct subscription *subscription,
                      const struct page_read *page);
void resync_ask_wait(struct resync_asking *asking);

#endif
