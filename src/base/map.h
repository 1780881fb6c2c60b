/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

/* Strings to pointers; keys are copied. Iteration is in the order of insertion, so that nothing
 * depends on how keys hash. */

#include <stddef.h>

struct map_entry;

struct map {
    struct map_entry **buckets;
    struct map_entry *first, *last;
    size_t bucket_count, count;
};

void map_init(struct map *map);
void map_release(struct map *map); /* values are the caller's */
void *map_get(const struct map *map, const char *key);
void map_put(struct map *map, const char *key, void *value); /* replaces */
void *map_remove(struct map *map, const char *key);          /* the value, or NULL */
/* Start with *entry NULL; 0 at the end. Nothing may be removed on the way. */
int map_next(const struct map *map, struct map_entry **entry, const char **key, void **value);

#endif
