/* SPDX-License-Identifier: Apache-2.0 */
/* Chained buckets, and a list of all entries in insertion order. A small map has no buckets: its
 * list is searched.
 *
 * Keys come from outside, too (tokens, addresses, keys of requests), so the hash has a secret of
 * this process: nobody can choose keys that fall into one bucket. */

#include "base/map.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"

struct map_entry {
    struct map_entry *chain, *next, *previous;
    void *value;
    uint64_t hash;
    char key[];
};

static unsigned char hash_secret[XXH3_SECRET_SIZE_MIN];

static void make_hash_secret(void)
{
    FH_ASSERT(getrandom(hash_secret, sizeof hash_secret, 0) == (ssize_t)sizeof hash_secret);
}

static uint64_t hash_of(const char *key)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_hash_secret);
    return XXH3_64bits_withSecret(key, strlen(key), hash_secret, sizeof hash_secret);
}

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_release(struct map *map)
{
    struct map_entry *next;
    for (struct map_entry *entry = map->first; entry; entry = next) {
        next = entry->next;
        free(entry);
    }
    free(map->buckets);
    map_init(map);
}

#define LISTED_MAX 8 /* entries in a map without buckets */
#define BUCKETS_MIN ((size_t)16)

static bool is_entry_of(const struct map_entry *entry, const char *key, uint64_t hash)
{
    return entry->hash == hash && strcmp(entry->key, key) == 0;
}

static struct map_entry **bucket_of(const struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

static struct map_entry *find_entry(const struct map *map, const char *key, uint64_t hash)
{
    struct map_entry *at = map->buckets ? *bucket_of(map, hash) : map->first;
    while (at && !is_entry_of(at, key, hash))
        at = map->buckets ? at->chain : at->next;
    return at;
}

static void chain_entry(struct map *map, struct map_entry *entry)
{
    struct map_entry **bucket = bucket_of(map, entry->hash);
    entry->chain = *bucket;
    *bucket = entry;
}

static void unchain_entry(struct map *map, const struct map_entry *entry)
{
    struct map_entry **at = bucket_of(map, entry->hash);
    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
}

static void grow_map(struct map *map)
{
    size_t bucket_count = map->buckets ? map->bucket_count * 2 : BUCKETS_MIN;
    free(map->buckets);
    map->buckets = calloc(bucket_count, sizeof(struct map_entry *));
    FH_ASSERT(map->buckets != NULL);
    map->bucket_count = bucket_count;
    for (struct map_entry *entry = map->first; entry; entry = entry->next)
        chain_entry(map, entry);
}

void *map_get(const struct map *map, const char *key)
{
    if (!map->count)
        return NULL;
    struct map_entry *entry = find_entry(map, key, hash_of(key));
    return entry ? entry->value : NULL;
}

void map_put(struct map *map, const char *key, void *value)
{
    uint64_t hash = hash_of(key);
    struct map_entry *entry = find_entry(map, key, hash);
    if (entry) {
        entry->value = value;
        return;
    }
    if (map->count >= LISTED_MAX && map->count >= map->bucket_count)
        grow_map(map);
    size_t size = strlen(key) + 1;
    entry = malloc(sizeof *entry + size);
    FH_ASSERT(entry != NULL);
    *entry = (struct map_entry){.previous = map->last, .value = value, .hash = hash};
    memcpy(entry->key, key, size);
    if (map->buckets)
        chain_entry(map, entry);
    if (map->last)
        map->last->next = entry;
    else
        map->first = entry;
    map->last = entry;
    map->count++;
}

void *map_remove(struct map *map, const char *key)
{
    if (!map->count)
        return NULL;
    struct map_entry *entry = find_entry(map, key, hash_of(key));
    if (!entry)
        return NULL;
    if (map->buckets)
        unchain_entry(map, entry);
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        map->first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        map->last = entry->previous;
    map->count--;
    void *value = entry->value;
    free(entry);
    return value;
}

int map_next(const struct map *map, struct map_entry **entry, const char **key, void **value)
{
    *entry = *entry ? (*entry)->next : map->first;
    if (!*entry)
        return 0;
    if (key)
        *key = (*entry)->key;
    if (value)
        *value = (*entry)->value;
    return 1;
}
