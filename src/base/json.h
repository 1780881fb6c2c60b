/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

/*
 * JSON in and out, by jansson. While an arena is set, all that jansson allocates on this thread
 * comes from it and json_decref frees nothing; without one, malloc is used. Each allocation
 * remembers where it came from, so freeing is right whichever is set. Never change a malloc'ed
 * value while an arena is set, nor keep an arena's value beyond it: json_copy_out copies.
 *
 * Parsing is strict: nesting of 64 at the most, duplicate keys refused, NUL in keys and whatever
 * RFC 8259 refuses too. It takes at most three quarters of an arena, so that a refusal can still be
 * written down. Reals print with 17 digits: they read back the same, though not always as they were
 * written (19.99 prints as 19.989999999999998). What must be exact is never a real.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

#define JSON_DEPTH_MAX 64

void json_memory_init(void);                       /* once, before any other use of jansson */
struct arena *json_arena_set(struct arena *arena); /* returns the one before; NULL: malloc */

/* FH_INVALID with line and column in the message. *ret is a new reference. */
enum fh_code json_parse(const char *text, size_t length, json_t **ret, struct fh_error *error);
/* Compact. malloc'ed, or from the arena when one is set; free with json_text_free. Never NULL. */
char *json_text(const json_t *value);
void json_text_free(char *text);
json_t *json_copy_out(const json_t *value); /* a deep copy on the heap, whatever arena is set */
/* A deep copy of what was parsed, which can't contain itself: looking for that is what takes
 * json_deep_copy its time. NULL: no memory. */
json_t *json_copy_all(const json_t *value);

/* "user.address.city": NULL when any part is missing. Borrowed. */
json_t *json_at(const json_t *value, const char *path);
const char *json_string_at(const json_t *value, const char *path); /* NULL: none, or no string */
/* An integer, or a string of digits (what is beyond 2^53 travels so). */
bool json_integer_at(const json_t *value, const char *path, json_int_t *ret);

#endif
