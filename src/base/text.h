/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/* A growing string with a bound. Once an append would pass the bound, `overflow` is set and the
 * text stays as it was; callers look once, at the end. `data` is always NUL-terminated or NULL. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data;
    size_t length, capacity, length_max;
    bool overflow;
};

#define TEXT_LENGTH_MAX ((size_t)64 << 20)

void text_init(struct text *text, size_t length_max);
void text_release(struct text *text);
void text_clear(struct text *text);
/* Room for `more` bytes beyond what is there, for who knows how long it will be. False: overflow.
 */
bool text_reserve(struct text *text, size_t more);
void text_append(struct text *text, const char *data, size_t length);
void text_add(struct text *text, const char *string);
/* Room for `length` bytes at the end, which the caller writes. NULL: overflow. */
char *text_extend(struct text *text, size_t length);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What printf's "%lld" does, where that is too slow. `digits` ends with a NUL; returns where the
 * number begins in it. */
#define TEXT_INTEGER_SIZE 24
char *text_of_integer(int64_t number, char digits[static TEXT_INTEGER_SIZE]);
void text_integer(struct text *text, int64_t number);
/* Gives the malloc'ed string away; never NULL. */
char *text_take(struct text *text);

#endif
