/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COUNTERS_H
#define STORE_COUNTERS_H

/*
 * Token buckets on a server, from which several processes take: how they agree on what a client may
 * still ask (gateway/shared.h). They are no store: nothing is promised about them but arithmetic,
 * and whoever uses them goes on without them.
 *
 * A bucket is what base/bucket.h says, in the same units, and the time is the server's. Its debt
 * never exceeds BUCKET_DEBT_QUOTAS, and the server forgets it when it is full again.
 */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define COUNTER_NAME_SIZE 96
#define COUNTERS_ANSWER_MS 1000 /* a server that takes longer counts as away */
#define COUNTERS_TAKES_MAX 512  /* in one call */

struct world;
struct counters;

struct counter_take {
    char name[COUNTER_NAME_SIZE]; /* of the bucket; visible characters without blanks */
    int64_t quota, window_us;     /* as in struct bucket_table */
    int64_t units;                /* of a debt: what is taken; not negative */
    int64_t debt;                 /* filled in: what it lacks afterwards */
};

struct counters_ops {
    /* `server` is a "store" as in services' configurations; its "database" begins all names. Reads
     * certificates, and connects to nothing. FH_INVALID, FH_UNSUPPORTED: it can't be right. */
    enum fh_code (*open)(const json_t *server, struct world *world, struct counters **ret,
                         struct fh_error *error);
    void (*close)(struct counters *counters); /* no call may be under way */
    /* Parks the fiber until there is a connection. FH_UNAVAILABLE, FH_UNSUPPORTED: there is none
     * now. */
    enum fh_code (*connect)(struct counters *counters, struct fh_error *error);
    /* Takes from all of them, and parks the fiber until it knows their debts, none of which
     * is below 0 or above the largest (bucket.h). A failure: what was taken may count or not;
     * nothing is filled in. One call at a time. */
    enum fh_code (*take)(struct counters *counters, struct counter_take *takes, size_t count,
                         struct fh_error *error);
};

#endif
