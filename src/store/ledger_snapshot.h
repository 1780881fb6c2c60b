/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LEDGER_SNAPSHOT_H
#define STORE_LEDGER_SNAPSHOT_H

/*
 * The part of the ledger that snapshots need (docs/guide/events.md): where each key stands, on the
 * publisher's side; the round that a subscription is in, on the subscriber's. Every engine keeps
 * it.
 */

#include "store/ledger.h"

/* Keys with a position, each with the last one: of a JSON array of keys, in any order; none for a
 * key that never had an event. In the same snapshot as what the work has read besides, or, of an
 * engine that `reads_apart`, if the work commits. A key of which an event is committed and has no
 * position yet is told with LEDGER_UNSEQUENCED, at least once. */
#define LEDGER_UNSEQUENCED (-1)

enum ledger_phase {
    LEDGER_FEED,   /* no round: the feed alone */
    LEDGER_PAGES,  /* the publisher's state is taken over, page by page */
    LEDGER_SWEEP,  /* keys that it no longer has are given up */
    LEDGER_FOLLOW, /* the feed from where the round began; events are compared with `applied` */
};

#define LEDGER_AFTER_SIZE 2048

struct ledger_resync {
    int64_t resync; /* 0: there never was one */
    enum ledger_phase phase;
    int64_t type;                  /* pages, sweep: which of the declared types */
    char after[LEDGER_AFTER_SIZE]; /* and behind which key, as JSON text; "" at its beginning */
    /* The highest position that pages came from, and its event's id. */
    int64_t seen_position;
    char seen_id[ID_SIZE];
};

struct ledger_snapshot_ops {
    enum fh_code (*key_places)(struct store_work *work, const char *keys,
                               bool (*visit)(void *context, const char *key, int64_t position),
                               void *context, struct fh_error *error);
    /* A subscription that never had a round: round 0. */
    enum fh_code (*resync_get)(struct store_work *work, const char *source, const char *partition,
                               struct ledger_resync *ret, struct fh_error *error);
    /* From `old` to `next`. FH_CONFLICT (not retryable) when it is not at `old`'s round, phase,
     * type and key any more. */
    enum fh_code (*resync_move)(struct store_work *work, const char *source, const char *partition,
                                const struct ledger_resync *old, const struct ledger_resync *next,
                                struct fh_error *error);
    /* A key was applied in a round, as of a position; and as of which it was, -1: it was not. */
    enum fh_code (*applied_put)(struct store_work *work, const char *source, const char *partition,
                                int64_t type, const char *key, int64_t position, int64_t resync,
                                struct fh_error *error);
    enum fh_code (*applied_get)(struct store_work *work, const char *source, const char *partition,
                                int64_t type, const char *key, int64_t resync, int64_t *ret,
                                struct fh_error *error);
    /* Of whatever round, at most `limit`. */
    enum fh_code (*applied_clear)(struct store_work *work, const char *source,
                                  const char *partition, int limit, int64_t *ret_removed,
                                  struct fh_error *error);
    /* All that is parked of a subscription's share. */
    enum fh_code (*parked_clear)(struct store_work *work, const char *source, const char *partition,
                                 struct fh_error *error);
};

static inline const struct ledger_snapshot_ops *ledger_snapshots(const struct store *store)
{
    return store->engine->ledger->snapshots;
}

#endif
