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
    return keys;
}

void work_keys_free(struct work_keys *keys)
{
    if (!keys)
        return;
    FH_ASSERT(keys->map.count == 0);
    map_release(&keys->map);
    free(keys);
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
