/* SPDX-License-Identifier: Apache-2.0 */
/* The cache is a list in order of use; the least recently used are forgotten when it is full. */

#include "engine/redis/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MEMORY_SIZE_MAX ((size_t)8 << 20)
#define KNOWN_SIZE_MAX 4096 /* a larger one is not kept: the script compares all of it */
#define KNOWN_SIZE_MORE 256 /* besides it and twice its key: overhead of map and malloc */
#define ASKED_MAX 1024      /* then both counts are halved: so old ones count less */
#define MISTAKEN_SHARE 8    /* at most one in this many may be wrong before all ask again */
#define MISTAKEN_MIN 16

/* ---- States of keys ---- */

struct redis_known *redis_known_new(enum keyvalue_kind kind, int64_t time_ms,
                                    const char *const *words, size_t count)
{
    size_t size = sizeof(struct redis_known) + count * sizeof(char *);
    for (size_t i = 0; i < count; i++)
        size += strlen(words[i]) + 1;
    struct redis_known *known = malloc(size);
    FH_ASSERT(known != NULL);
    *known = (struct redis_known){.references = 1,
                                  .kind = kind,
                                  .time_ms = time_ms,
                                  .whole = words || kind == KEYVALUE_NONE,
                                  .count = count,
                                  .words = (const char **)(known + 1),
                                  .size = size};
    char *at = (char *)(known->words + count);
    for (size_t i = 0; i < count; i++) {
        known->words[i] = at;
        at = stpcpy(at, words[i]) + 1;
    }
    return known;
}

struct redis_known *redis_known_ref(struct redis_known *known)
{
    known->references++;
    return known;
}

void redis_known_unref(struct redis_known *known)
{
    if (known && --known->references == 0)
        free(known);
}

/* ---- The cache ---- */

void redis_memory_init(struct redis_memory *memory)
{
    *memory = (struct redis_memory){0};
    map_init(&memory->keys);
}

static void unlink_known(struct redis_memory *memory, struct redis_known *known)
{
    *(known->newer ? &known->newer->older : &memory->newest) = known->older;
    *(known->older ? &known->older->newer : &memory->oldest) = known->newer;
    known->newer = known->older = NULL;
}

static void link_known(struct redis_memory *memory, struct redis_known *known)
{
    known->older = memory->newest;
    *(memory->newest ? &memory->newest->newer : &memory->oldest) = known;
    memory->newest = known;
}

static size_t known_size(const struct redis_known *known)
{
    return known->size + 2 * strlen(known->remembered) + KNOWN_SIZE_MORE;
}

static void forget_known(struct redis_memory *memory, struct redis_known *known)
{
    unlink_known(memory, known);
    memory->size -= known_size(known);
    free(known->remembered);
    known->remembered = NULL;
    redis_known_unref(known);
}

void redis_memory_release(struct redis_memory *memory)
{
    while (memory->oldest)
        forget_known(memory, memory->oldest);
    map_release(&memory->keys);
}

struct redis_known *redis_memory_get(struct redis_memory *memory, const char *key)
{
    struct redis_known *known = map_get(&memory->keys, key);
    if (!known)
        return NULL;
    if (++memory->asked >= ASKED_MAX) {
        memory->asked /= 2;
        memory->mistaken /= 2;
    }
    if (memory->mistaken >= MISTAKEN_MIN && memory->mistaken > memory->asked / MISTAKEN_SHARE)
        return NULL;
    unlink_known(memory, known);
    link_known(memory, known);
    return redis_known_ref(known);
}

void redis_memory_put(struct redis_memory *memory, const char *key, struct redis_known *known)
{
    struct redis_known *before = map_get(&memory->keys, key);
    if (before && before == known)
        return;
    bool keeps = known && known->whole && !known->remembered && known->size <= KNOWN_SIZE_MAX;
    if (before && !keeps)
        map_remove(&memory->keys, key);
    if (before)
        forget_known(memory, before);
    if (!keeps)
        return;
    known->remembered = strdup(key);
    FH_ASSERT(known->remembered != NULL);
    map_put(&memory->keys, key, redis_known_ref(known));
    link_known(memory, known);
    memory->size += known_size(known);
    while (memory->size > MEMORY_SIZE_MAX) {
        map_remove(&memory->keys, memory->oldest->remembered);
        forget_known(memory, memory->oldest);
    }
}

void redis_memory_mistaken(struct redis_memory *memory)
{
    memory->mistaken++;
}
