/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_KEYS_H
#define WORK_KEYS_H

/* Keys in progress in this process. Two commands with the same key wait for each other in memory,
 * so that the second finds the record of the first instead of conflicting with its transaction. */

#include "base/bucket.h"
#include "base/map.h"
#include "work/work.h"

#define WORK_KEY_WAITERS_MAX 256 /* for one key */
/* Of the refusals of one outside client; as many again come back in a day. */
#define WORK_REFUSALS_MAX 1000

struct key_under_way;

struct work_keys {
    struct map map;
    /* expiry.c: the clock's value when the monotonic clock read clock_at_ns. */
    int64_t clock_ms, clock_at_ns;
    bool server_told;             /* expiry.c: server_ahead_ms is known */
    int64_t server_ahead_ms;      /* the store server's clock minus the monotonic clock */
    struct bucket_table refusals; /* of outside clients, that may still be recorded */
};

/* Parks the fiber while `name` is held. NULL: w's deadline passed first, or too many wait
 * already. */
struct key_under_way *work_key_hold(fh_work *w, const char *name);
/* Whether this refusal of an outside client is recorded. Of each only so many are, so that nobody
 * fills the store with what was not done: one that is not recorded is judged again if it is
 * repeated. Decided once for a command. */
struct work_refusal {
    bool counted, kept;
};
bool work_refusal_keeps(fh_work *w, struct work_refusal *refusal);
void work_key_release(struct work_keys *keys, const char *name, struct key_under_way *key);

#endif
