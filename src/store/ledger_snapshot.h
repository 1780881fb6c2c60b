/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LEDGER_SNAPSHOT_H
#define STORE_LEDGER_SNAPSHOT_H

/*
 * The part of the ledger that snapshots need (docs/guide/events.md): on the publisher's side each
 * key's position, on the subscriber's side the resync that a subscription is in. Every engine keeps
 * it.
 */

#include "store/ledger.h"

/* For key_places: of a JSON array of keys, in any order, those that have a position, each with its
 * last one; a key that never had an event is left out. Read in the same snapshot as the rest of the
 * unit of work or, with ENGINE_READS_APART, so if the unit of work commits. A key with a committed
 * event that has no position yet is reported with LEDGER_UNSEQUENCED, at least once. */
#define LEDGER_UNSEQUENCED (-1)

enum ledger_phase {
    LEDGER_FEED,   /* no resync: only the feed */
    LEDGER_PAGES,  /* the publisher's state is copied, page by page */
    LEDGER_SWEEP,  /* keys that the publisher no longer has are removed */
    LEDGER_FOLLOW, /* the feed from where the resync began; events are compared with `applied` */
};

#define LEDGER_AFTER_SIZE 2048

struct ledger_resync {
    int64_t resync; /* its number; 0: there never was one */
    enum ledger_phase phase;
    int64_t type;                  /* pages, sweep: which of the declared types */
    char after[LEDGER_AFTER_SIZE]; /* and after which key, as JSON text; "": from the first */
    /* The highest position that a page had, and its event's id. */
    int64_t seen_position;
    char seen_id[ID_SIZE];
};

struct ledger_snapshot_ops {
    enum fh_code (*key_places)(struct store_work *work, const char *keys,
                               bool (*visit)(void *context, const char *key, int64_t position),
                               void *context, struct fh_error *error);
    /* A subscription that never had a resync: `resync` 0. */
    enum fh_code (*resync_get)(struct store_work *work, const char *source, const char *partition,
                               struct ledger_resync *ret, struct fh_error *error);
    /* From `old` to `next`. FH_CONFLICT (not retryable): it is no longer at `old`'s resync, phase,
     * type and key. */
    enum fh_code (*resync_move)(struct store_work *work, const char *source, const char *partition,
                                const struct ledger_resync *old, const struct ledger_resync *next,
                                struct fh_error *error);
    /* Records the position as of which a key was applied in a resync; and reads it back, -1: the
     * key was not applied. */
    enum fh_code (*applied_put)(struct store_work *work, const char *source, const char *partition,
                                int64_t type, const char *key, int64_t position, int64_t resync,
                                struct fh_error *error);
    enum fh_code (*applied_get)(struct store_work *work, const char *source, const char *partition,
                                int64_t type, const char *key, int64_t resync, int64_t *ret,
                                struct fh_error *error);
    /* Of all resyncs, at most `limit`. */
    enum fh_code (*applied_clear)(struct store_work *work, const char *source,
                                  const char *partition, int limit, int64_t *ret_removed,
                                  struct fh_error *error);
    /* Removes everything that is parked of a subscription's partition. */
    enum fh_code (*parked_clear)(struct store_work *work, const char *source, const char *partition,
                                 struct fh_error *error);
};

static inline const struct ledger_snapshot_ops *ledger_snapshots(const struct store *store)
{
    return store->engine->ledger->snapshots;
}

#endif
