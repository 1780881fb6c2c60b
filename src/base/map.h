/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

/* Maps strings to pointers; keys are copied. Iteration is in insertion order, so that nothing
 * depends on hash values. */

#include <stddef.h>

struct map_entry;

struct map {
    struct map_entry **buckets;
    struct map_entry *first, *last;
    size_t bucket_count, count;
};

void map_init(struct map *map);
void map_release(struct map *map); /* values remain the caller's */
void *map_get(const struct map *map, const char *key);
void map_put(struct map *map, const char *key, void *value); /* replaces */
void *map_remove(struct map *map, const char *key);          /* the value, or NULL */
/* Start with *entry NULL; returns 0 at the end. Do not remove entries while iterating. */
int map_next(const struct map *map, struct map_entry **entry, const char **key, void **value);

#endif
