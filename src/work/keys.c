/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys in progress. They are in memory only: a command happens once because of its record in the
 * store. This only saves an early repeat from conflicting with the first request, or from being
 * answered before the first is durable.
 */

#include "work/keys.h"

#include <sodium.h>
#include <stdlib.h>

#include "work/command.h"
#include "work/command_key.h"

#define WORK_REFUSALS_WINDOW_S 86400
#define WORK_REFUSALS_CLIENTS 1024

struct key_under_way {
    struct fiber_queue queue;
    int users; /* the holder and the waiters */
    bool held;
};

struct work_keys *work_keys_new(void)
{
    FH_ASSERT(sodium_init() >= 0);
    struct work_keys *keys = calloc(1, sizeof *keys);
    FH_ASSERT(keys != NULL);
    map_init(&keys->map);
    /* Names are digests: whoever is a neighbour in the table can't be chosen. */
    bucket_init(&keys->refusals, WORK_REFUSALS_MAX, WORK_REFUSALS_WINDOW_S, WORK_REFUSALS_CLIENTS,
                (const unsigned char[16]){0});
    return keys;
}

void work_keys_free(struct work_keys *keys)
{
    if (!keys)
        return;
    FH_ASSERT(keys->map.count == 0);
    map_release(&keys->map);
    bucket_release(&keys->refusals);
    free(keys);
}

bool work_refusal_keeps(fh_work *w, struct work_refusal *refusal)
{
    struct bucket_standing standing;
    if (!refusal->counted) {
        const char *client = command_outside_caller(&w->kept, "client", "", "", fh_user(w));
        refusal->kept = bucket_take(&w->context->keys->refusals, client, 1,
                                    world_monotonic_ns(w->context->world) / 1000, &standing);
    }
    refusal->counted = true;
    return refusal->kept;
}

static void leave_key(struct work_keys *keys, const char *name, struct key_under_way *key)
{
    if (--key->users == 0) {
        map_remove(&keys->map, name);
        free(key);
    }
}

struct key_under_way *work_key_hold(fh_work *w, const char *name)
{
    struct work_keys *keys = w->context->keys;
    struct key_under_way *key = map_get(&keys->map, name);
    if (!key) {
        key = calloc(1, sizeof *key);
        FH_ASSERT(key != NULL);
        map_put(&keys->map, name, key);
    }
    if (key->users > WORK_KEY_WAITERS_MAX)
        return NULL;
    key->users++;
    while (key->held) {
        work_parks(w);
        if (!fiber_wait_until(&key->queue, w->context->world, w->deadline_ns)) {
            leave_key(keys, name, key);
            return NULL;
        }
    }
    key->held = true;
    return key;
}

void work_key_release(struct work_keys *keys, const char *name, struct key_under_way *key)
{
    key->held = false;
    fiber_wake_one(&key->queue);
    leave_key(keys, name, key);
}
