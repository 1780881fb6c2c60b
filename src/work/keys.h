/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_KEYS_H
#define WORK_KEYS_H

/* Keys that are under way in this process: two equal ones at once wait for each other in memory,
 * so that the second one finds the first one's record instead of conflicting with its work. */

#include "base/map.h"
#include "work/work.h"

#define WORK_KEY_WAITERS_MAX 256 /* for one key */

struct key_under_way;

struct work_keys {
    struct map map;
    int64_t clock_ms, clock_at_ns; /* expiry.c: where it stood when the monotonic one stood there */
    bool server_told;              /* expiry.c: what follows is known */
    int64_t server_ahead_ms;       /* the store's server's clock, of the monotonic one */
};

/* Parks the fiber while `name` is held. NULL: w's deadline came first, or too many wait. */
struct key_under_way *work_key_hold(fh_work *w, const char *name);
void work_key_release(struct work_keys *keys, const char *name, struct key_under_way *key);

#endif
