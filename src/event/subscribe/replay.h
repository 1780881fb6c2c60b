/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_REPLAY_H
#define EVENT_SUBSCRIBE_REPLAY_H

/*
 * A replay: events that a subscription has applied are applied again, from a position on, because
 * their handler was wrong and is mended. The cursor is set back, and where it was is kept beside it
 * (`until`), as a second cursor, of the source "users~replay": no service has such a name. Up to
 * there the handlers change this service's own store, and whatever else they do is left out
 * (work_reaches_out), unless the operator wants it done again, too.
 *
 *   begun      one transaction sets the cursor back, counts that (set_back.h), and writes `until`
 *   over       the transaction that moves the cursor to `until`, or past it, removes that
 *   given up   one transaction moves the cursor to `until`, removes that, and drops what is parked:
 *              an operator wants it, or the publisher does not have these events any more (it has
 *              trimmed them, or its store was restored or moved), which is no reason for a resync
 *
 *   killed before one of these is durable   it goes on as if that had not been tried
 *   killed after it                         whoever has the partition next reads both cursors
 *
 * All of it is done by the applier, whose cursor it is; an operator's request waits for that
 * (replay_order.c). An event that fails meanwhile is parked as ever, marked as one that was applied
 * before, so that a retry holds back the same, however late. Nothing is parked when a replay
 * begins, so all that is parked when it is given up comes from it: retried then, it would write
 * over what later events have written.
 *
 * A store that was filled beside the one that served, and took its place (service/rebuild.h), goes
 * on in the same way up to where that one was (REPLAY_REBUILT). These events it has never applied:
 * so that is not given up, neither by an operator nor where the publisher does not have them any
 * more, which is a reason for a resync, as ever.
 *
 * The publisher learns nothing of it: what was once `done` stays done there (ledger.h), so it may
 * trim what is being replayed.
 */

#include <jansson.h>

#include <stdio.h>

#include "base/error.h"
#include "event/subscribe/subscription.h"

#define REPLAY_SUFFIX LEDGER_ASIDE "replay"
#define REPLAY_SOURCE_SIZE 160
#define REPLAY_HOLDS_BACK 0
#define REPLAY_REACHES_OUT 1
#define REPLAY_REBUILT 2
/* A member of the envelope of a parked event. */
#define REPLAY_MARK "replayed"

/* The second cursor's source; its partition is the subscription's. */
static inline void replay_source_of(const char *source, char ret[static REPLAY_SOURCE_SIZE])
{
    int length = snprintf(ret, REPLAY_SOURCE_SIZE, "%s" REPLAY_SUFFIX, source);
    FH_ASSERT(length < REPLAY_SOURCE_SIZE);
}
static inline void replay_source(const struct subscription *s, char ret[static REPLAY_SOURCE_SIZE])
{
    replay_source_of(s->source, ret);
}

/* ---- operators: replay_order.c; on fibers ---- */

/* What follows a place of the publisher's: the position of an event, and its id. */
struct replay_wish {
    const char *source;
    const char *incarnation, *id; /* "" at position 0 */
    int64_t position;
    bool reaches_out;
    const json_t *shares; /* only in these partitions, an array of names; NULL: in all */
};

/* In each partition that this instance has. {"partitions": of how many, "shares": [{"share",
 * "after", "until"} or {"share", "error", "again"}]}: `again` says that it may well be done a
 * moment later. FH_NOT_FOUND: there is no such subscription; FH_INVALID; FH_CONFLICT: it can't be
 * now, and has begun in no partition, or the publisher does not have these events; FH_UNAVAILABLE:
 * the publisher can't be asked. New reference. */
enum fh_code replay_begin(struct event_manager *manager, const struct replay_wish *wish,
                          json_t **ret, struct fh_error *error);
/* The cursors go to where they were. The same answer, with "at", how far it had come, and
 * "dropped", so many parked events, for "after"; of a partition in which no events are replayed
 * only "share". FH_CONFLICT: all are refused. */
enum fh_code replay_abandon(struct event_manager *manager, const char *source, json_t **ret,
                            struct fh_error *error);

/* ---- the applier ---- */

struct replay_order {
    bool abandons;
    bool reaches_out;
    struct ledger_cursor to;
    bool done;
    bool idle; /* one that abandons: there is nothing to give up, or it was over first */
    enum fh_code code;
    struct fh_error error;
    int64_t at, until; /* of one that abandons: how far it had come, and where the cursor is now */
    int64_t dropped;   /* the same: so many parked events */
    struct fiber_queue waiting;
};

/* Whether it can be carried out, as far as memory knows; checked again when it is. */
enum fh_code replay_may(const struct subscription *subscription, const struct replay_order *order,
                        struct fh_error *error);
/* Reads whether events are being replayed. False: the subscription ends. */
bool replay_load(struct subscription *subscription);
/* An order is there, or the replay can't go on: whatever else is done is to end, and
 * replay_step to be called. */
static inline bool replay_calls(const struct subscription *s)
{
    return s->replay.order || s->replay.lost;
}
/* False: there was nothing to do. Parks. */
bool replay_step(struct subscription *subscription);
/* The applier ends. */
void replay_refuse(struct subscription *subscription);

/* Sets which of the next events were applied before, so that what they do besides is held back. */
void replay_mark(const struct subscription *subscription, struct batch_event *events, int count);
/* In the transaction that moves the cursor to `next`; and once that is durable. */
enum fh_code replay_pass(const struct subscription *subscription, struct store_work *work,
                         const struct ledger_cursor *next, struct fh_error *error);
void replay_passed(struct subscription *subscription);

#endif
