/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SHARED_H
#define GATEWAY_SHARED_H

/*
 * Several gateways that count what clients take together, on a server of theirs
 * (gateway.limits.shared).
 *
 * Each decides by its own buckets, at once: no request waits for the server. What was taken is told
 * to it in batches, SHARED_DELAY_MS after the first or when there are SHARED_TAKES of them, one
 * batch at a time; it answers with what each bucket lacks by all gateways' takes, and that is taken
 * over where it is worse than what is known here. So the server can make a limit stricter, never
 * laxer than this gateway's own, whatever it says.
 *
 * A server that fails, or takes longer than COUNTERS_ANSWER_MS, is away: then each gateway counts
 * for itself. It is tried again SHARED_RETRY_MS later. What was taken meanwhile is not told any
 * more, since much of it has come back; nor is a batch whose answer was lost, which may count
 * already.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bucket.h"
#include "gateway/tally.h"
#include "store/counters.h"
#include "world/world.h"

#define SHARED_DELAY_MS 50
#define SHARED_TAKES 100
#define SHARED_RETRY_MS 1000
#define SHARED_OLD_MS 1500 /* what was taken longer ago is not told */

struct shared;

/* One kind of buckets. */
struct shared_kind {
    const char *name;           /* such as "address" */
    struct bucket_table *table; /* borrowed; without slots: no limit, nothing is taken */
};

/* What the configuration's "shared" needs of files, before the process is confined; `shared` may be
 * NULL. FH_INVALID, FH_UNSUPPORTED: it can't be right. */
enum fh_code shared_load(const json_t *shared, struct fh_error *error);
/* `shared` is {"engine"} with what a "store" of that has; `kinds` are borrowed. Connects to nothing
 * yet. */
enum fh_code shared_open(struct world *world, const json_t *shared, const struct shared_kind *kinds,
                         struct shared **ret, struct fh_error *error);
/* The same with counters that are open, and that it closes. */
struct shared *shared_new(struct world *world, const struct counters_ops *ops,
                          struct counters *counters, const struct shared_kind *kinds);
void shared_free(struct shared *shared); /* after shared_stop; NULL is fine */

/* Tells nothing any more. False: a batch is under way, which ends within the time that a connection
 * and an answer are waited for. */
bool shared_stop(struct shared *shared);

/* The client has taken this much of its bucket, in units of a debt, and paid it there. */
void shared_take(struct shared *shared, int kind, const char *client,
                 const char name[static TALLY_NAME_SIZE], int64_t units);
/* False: the server is away, and each gateway counts for itself. */
bool shared_stands(const struct shared *shared);

#endif
