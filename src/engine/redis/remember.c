/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates the cache of keys (known.h) as soon as a unit of work is sent to the server: later ones
 * then see what it will have written. If it fails, its keys are forgotten, and any unit of work
 * that has seen them fails too. So does one that the server runs before it, which can happen when
 * calls go over several connections.
 */

#include <stdlib.h>
#include <string.h>

#include "engine/redis/keyvalue.h"

static struct redis_known *known_nothing(void)
{
    return redis_known_new(KEYVALUE_NONE, -2, NULL, 0);
}

/* The server's fields in their order, with the unit of work's in their places or after them. */
static struct redis_known *hash_after(const struct redis_key *key, const struct redis_known *base,
                                      int64_t time_ms)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    size_t count = 0, served = base ? base->count : 0;
    const char **words = calloc(served + 2 * key->items.count + 1, sizeof *words);
    FH_ASSERT(words != NULL);
    for (size_t i = 0; i < served; i += 2) {
        struct redis_item *item = redis_item(key, base->words[i]);
        if (item && !item->there)
            continue;
        words[count++] = base->words[i];
        words[count++] = item ? item->text : base->words[i + 1];
        if (item)
            item->placed = true;
    }
    while (map_next(&key->items, &entry, &name, &value)) {
        const struct redis_item *item = value;
        if (!item->there || item->placed)
            continue;
        words[count++] = name;
        words[count++] = item->text;
    }
    struct redis_known *known =
        count ? redis_known_new(KEYVALUE_HASH, time_ms, words, count) : known_nothing();
    free((void *)words);
    return known;
}

/* A reference to the key's future state; NULL: it can't be predicted. */
static struct redis_known *left_by_work(const struct redis_key *key, int64_t now_ms)
{
    struct redis_known *base = key->known;
    bool ended = base && base->time_ms >= 0 && base->time_ms <= now_ms;
    if (key->after || ended || (base && !base->whole))
        return NULL;
    if (key->kind == KEYVALUE_NONE && key->over)
        return known_nothing();
    if (key->kind == KEYVALUE_NONE && !key->timed)
        return base ? redis_known_ref(base) : NULL;
    if (!base && !(key->over && key->timed))
        return NULL;
    int64_t time_ms = key->timed                ? (key->ends_ms ? key->ends_ms : -1)
                      : base->kind == key->kind ? base->time_ms
                                                : -1;
    if (key->kind == KEYVALUE_NONE) /* only its end time was set */
        return redis_known_new(base->kind, time_ms, base->words, base->count);
    if (key->kind == KEYVALUE_VALUE && key->text)
        return redis_known_new(KEYVALUE_VALUE, time_ms, &(const char *){key->text}, 1);
    bool fits = key->over || base->kind == KEYVALUE_HASH || base->kind == KEYVALUE_NONE;
    if (key->kind == KEYVALUE_HASH && fits) /* else it will be refused */
        return hash_after(key, key->over ? NULL : base, time_ms);
    return NULL;
}

void redis_keys_remember(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&own->keys, &entry, &name, &value)) {
        const struct redis_key *key = value;
        struct redis_known *known = left_by_work(key, own->now_ms);
        redis_memory_put(&own->redis->memory, key->server, known);
        redis_known_unref(known);
    }
}

void redis_keys_forget(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&own->keys, &entry, &name, &value))
        redis_memory_put(&own->redis->memory, ((const struct redis_key *)value)->server, NULL);
}
