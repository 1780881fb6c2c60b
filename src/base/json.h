/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

/*
 * JSON in and out, by jansson. While an arena is set, everything that jansson allocates on this
 * thread comes from it, and json_decref frees nothing; otherwise malloc is used. Each allocation
 * remembers where it came from, so freeing is right in either case. Never change a malloc'ed value
 * while an arena is set, nor keep an arena's value longer than the arena: use json_copy_out.
 *
 * Whoever builds a value asks jansson of no member whether it was taken. So without memory an arena
 * says that it has refused (arena.h), which whoever has set it looks at before the value goes
 * anywhere, and malloc ends the process; but a text that is read, which is input, is refused.
 *
 * Parsing is strict: it refuses nesting beyond 64 levels, duplicate keys, NUL in keys and
 * everything else that RFC 8259 does not allow. It takes at most three quarters of an arena, so
 * that there is room to write a refusal. An integer of more than 64 bits is read as a real. Reals
 * are printed with the fewest digits that read back as the same value (19.99). Never use a real for
 * a value that must be exact.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

#define JSON_DEPTH_MAX 64

void json_memory_init(void);                       /* once, before any other use of jansson */
struct arena *json_arena_set(struct arena *arena); /* returns the previous one; NULL: malloc */

/* FH_INVALID with line and column in the message. *ret is a new reference. */
enum fh_code json_parse(const char *text, size_t length, json_t **ret, struct fh_error *error);
/* Of a text that json_parse or json_scan.h has taken before: it may take all of the arena. NULL:
 * there is no memory. */
json_t *json_parse_again(const char *text, size_t length);
/* Appends it to `text`, compact; or ends the process, where it is no JSON or too long. */
void json_write(struct text *text, const json_t *value);
/* The same of what others decide how long it is. False: it is longer than the text may be. */
bool json_write_fits(struct text *text, const json_t *value);
/* A string, with its quotes. */
void json_write_string(struct text *text, const char *string, size_t length);
void json_write_real(struct text *text, double real); /* finite */
/* The same. malloc'ed, or from the arena when one is set; free with json_text_free. Never NULL. */
char *json_text(const json_t *value);
void json_text_free(char *text);
/* A string even of what is no UTF-8, such as another program's output: U+FFFD stands for each byte
 * that no character explains. */
json_t *json_string_lossy(const char *text);
json_t *json_copy_out(const json_t *value); /* deep, on the heap whatever arena is set; or ends */
/* A deep copy of a parsed value, which can't contain itself: json_deep_copy spends most of its time
 * checking for that. NULL: out of memory. */
json_t *json_copy_all(const json_t *value);

/* "user.address.city": NULL if any part is missing. Borrowed. */
json_t *json_at(const json_t *value, const char *path);
const char *json_string_at(const json_t *value, const char *path); /* NULL: none, or no string */
/* An integer, or a string of digits (as integers beyond 2^53 are sent). */
bool json_integer_at(const json_t *value, const char *path, json_int_t *ret);

#endif
