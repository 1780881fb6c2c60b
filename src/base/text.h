/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/* A growing string with a bound. An append that would exceed the bound sets `overflow` and leaves
 * the text as it is; callers check once, at the end. `data` is always NUL-terminated or NULL.
 *
 * Without memory a text that is small ends the process: most are statements, names and headers,
 * which would say something else without their end (a DELETE without its WHERE). What grows beyond
 * TEXT_SMALL_MAX, as only input does, sets `overflow` then, too. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    char *data;
    size_t length, capacity, length_max;
    bool overflow;
};

#define TEXT_LENGTH_MAX ((size_t)64 << 20)
#define TEXT_SMALL_MAX ((size_t)64 << 10)

void text_init(struct text *text, size_t length_max);
void text_release(struct text *text);
void text_clear(struct text *text);
/* Makes room for `more` further bytes, if their number is known early. False: overflow. */
bool text_reserve(struct text *text, size_t more);
void text_append_growing(struct text *text, const char *data, size_t length); /* for text_append */
static inline void text_append(struct text *text, const char *data, size_t length)
{
    if (text->overflow || length >= text->capacity - text->length) {
        text_append_growing(text, data, length);
        return;
    }
    if (length)
        memcpy(text->data + text->length, data, length);
    text->length += length;
    text->data[text->length] = '\0';
}
void text_add(struct text *text, const char *string);
/* Appends `length` bytes, which the caller must write. NULL: overflow. */
char *text_extend(struct text *text, size_t length);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Like printf's "%lld", but faster. Writes into `digits`, ending with a NUL; returns where the
 * number begins. */
#define TEXT_INTEGER_SIZE 24
char *text_of_integer(int64_t number, char digits[static TEXT_INTEGER_SIZE]);
void text_integer(struct text *text, int64_t number);
/* Makes a space of each control character but line breaks: those of ASCII, those above it (U+0080
 * to U+009F in UTF-8), and such a byte that no UTF-8 explains, which some terminals take for one.
 * For whatever others wrote, before it goes to a terminal. */
void text_make_plain(char *text, size_t length);
/* Takes off a character of UTF-8 that was cut off at the end; the rest is valid. */
void text_mend_end(char *text);
/* Hands the malloc'ed string over to the caller; never NULL. */
char *text_take(struct text *text);

#endif
