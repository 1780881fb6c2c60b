/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_KNOWN_H
#define ENGINE_REDIS_KNOWN_H

/*
 * What the server has, or had, of a key of the service's; and the process's memory of such.
 *
 * The owner of a store mostly knows what is in it: it was the last to write there. So a work that
 * may be tentative (STORE_WRITE_TOGETHER) takes a key's content from the memory, where it is, and
 * asks nobody. That it was right is found out where everything that a work has read is looked at
 * again, in the script: then the work is done with one round trip. If it was not, since another
 * process has written or a work that was expected to stand did not, nothing is done, and the work
 * runs again and asks. So what is remembered may be wrong, and never does harm.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "store/keyvalue/keyvalue.h"

/* Never changed, and shared by all that look at it. */
struct redis_known {
    unsigned references;
    enum keyvalue_kind kind; /* NONE: there is no such key */
    int64_t time_ms;         /* when it ends; below 0: never */
    bool whole;              /* and this is all that it has: */
    size_t count;
    const char *
        *words; /* a value's text; of a hash each field and its text, in the server's order */
    size_t size;
    char *remembered; /* the key under which it stands in the memory, or NULL */
    struct redis_known *newer, *older;
};

/* `words` NULL: not known; then it is whole only if there is nothing. They are copied. */
struct redis_known *redis_known_new(enum keyvalue_kind kind, int64_t time_ms,
                                    const char *const *words, size_t count);
struct redis_known *redis_known_ref(struct redis_known *known);
void redis_known_unref(struct redis_known *known); /* NULL is fine */

struct redis_memory {
    struct map keys; /* the server's key → struct redis_known */
    struct redis_known *newest, *oldest;
    size_t size;
    unsigned asked, mistaken; /* of late */
};

void redis_memory_init(struct redis_memory *memory);
void redis_memory_release(struct redis_memory *memory);
/* A reference, or NULL: nothing is remembered, or too much of it was wrong of late. */
struct redis_known *redis_memory_get(struct redis_memory *memory, const char *key);
/* `known` NULL, not whole, or large: it is forgotten. */
void redis_memory_put(struct redis_memory *memory, const char *key, struct redis_known *known);
/* What a work took from it is not so any more. */
void redis_memory_mistaken(struct redis_memory *memory);

#endif
