/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_KNOWN_H
#define ENGINE_REDIS_KNOWN_H

/*
 * The server's present or past state of a key of the service's; and the process's cache of such
 * states.
 *
 * The owner of a store mostly knows its content: it was the last to write there. So a unit of work
 * that may be tentative (STORE_WRITE_GROUPED) takes a key's content from the cache, if it is there,
 * and asks nobody. The script checks everything that a unit of work has read; if the cache was
 * right, one round trip is enough. If it was not, because another process has written or an earlier
 * unit of work that was expected to commit did not, nothing is done, and the unit of work is rerun
 * and asks. So the cache may be wrong, and never does harm.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "store/keyvalue/keyvalue.h"

/* Never changed, and shared by all its users. */
struct redis_known {
    unsigned references;
    enum keyvalue_kind kind; /* NONE: there is no such key */
    int64_t time_ms;         /* when it ends; below 0: never */
    bool whole;              /* `words` are all of its content: */
    size_t count;
    const char *
        /* A value's text; of a hash each field and its text, in the server's order. */
        *words;
    size_t size;
    char *remembered; /* the key under which it is in the cache, or NULL */
    struct redis_known *newer, *older;
};

/* `words` NULL: not known; then it is whole only if there is no such key. They are copied. */
struct redis_known *redis_known_new(enum keyvalue_kind kind, int64_t time_ms,
                                    const char *const *words, size_t count);
struct redis_known *redis_known_ref(struct redis_known *known);
void redis_known_unref(struct redis_known *known); /* NULL is fine */

struct redis_memory {
    struct map keys; /* the server's key → struct redis_known */
    struct redis_known *newest, *oldest;
    size_t size;
    unsigned asked, mistaken; /* recently */
};

void redis_memory_init(struct redis_memory *memory);
void redis_memory_release(struct redis_memory *memory);
/* A reference, or NULL: it is not in the cache, or too much of the cache was wrong recently. */
struct redis_known *redis_memory_get(struct redis_memory *memory, const char *key);
/* If `known` is NULL, not whole, or large, the key is forgotten. */
void redis_memory_put(struct redis_memory *memory, const char *key, struct redis_known *known);
/* Something that a unit of work took from the cache was outdated. */
void redis_memory_mistaken(struct redis_memory *memory);

#endif
