/* SPDX-License-Identifier: Apache-2.0 */
/* The growing string: its capacity doubles up to its bound. */

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void text_init(struct text *text, size_t length_max)
{
    *text = (struct text){.length_max = length_max};
}

void text_release(struct text *text)
{
    free(text->data);
    text_init(text, text->length_max);
}

void text_clear(struct text *text)
{
    text->length = 0;
    text->overflow = false;
    if (text->data)
        text->data[0] = '\0';
}

bool text_reserve(struct text *text, size_t more)
{
    if (text->overflow || more > text->length_max - text->length) {
        text->overflow = true;
        return false;
    }
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity)
        return true;
    size_t capacity = text->capacity ? text->capacity * 2 : 128;
    if (capacity < needed)
        capacity = needed;
    if (capacity > text->length_max)
        capacity = text->length_max + 1; /* so whatever has room is within the bound */
    char *data = realloc(text->data, capacity);
    FH_ASSERT(data != NULL || capacity > TEXT_SMALL_MAX);
    if (!data) {
        text->overflow = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

char *text_extend(struct text *text, size_t length)
{
    if (!text_reserve(text, length))
        return NULL;
    char *room = text->data + text->length;
    text->length += length;
    text->data[text->length] = '\0';
    return room;
}

void text_append_growing(struct text *text, const char *data, size_t length)
{
    char *room = text_extend(text, length);
    if (room && length)
        memcpy(room, data, length);
}

char *text_of_integer(int64_t number, char digits[static TEXT_INTEGER_SIZE])
{
    char *at = digits + TEXT_INTEGER_SIZE - 1;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    *at = '\0';
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        *--at = '-';
    return at;
}

void text_integer(struct text *text, int64_t number)
{
    char digits[TEXT_INTEGER_SIZE];
    const char *at = text_of_integer(number, digits);
    text_append(text, at, (size_t)(digits + TEXT_INTEGER_SIZE - 1 - at));
}

void text_add(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

/* Formatting takes long, so it is tried where there is room already. */
void text_printf(struct text *text, const char *format, ...)
{
    va_list args, again;
    size_t room = text->overflow ? 0 : text->capacity - text->length;
    char *end = room ? text->data + text->length : NULL;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(end, room, format, args);
    va_end(args);
    FH_ASSERT(length >= 0);
    bool whole = (size_t)length < room && (size_t)length <= text->length_max - text->length;
    if (!whole && end)
        *end = '\0';
    if (!whole && text_reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        whole = true;
    }
    if (whole)
        text->length += (size_t)length;
    va_end(again);
}

void text_mend_end(char *text)
{
    size_t length = strlen(text), lead = length ? length - 1 : 0;
    while (lead > 0 && ((unsigned char)text[lead] & 0xc0) == 0x80)
        lead--;
    unsigned char first = (unsigned char)text[lead];
    size_t needed = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (lead + needed > length)
        text[lead] = '\0';
}

char *text_take(struct text *text)
{
    char *data = text->data ? text->data : calloc(1, 1);
    FH_ASSERT(data != NULL);
    text->data = NULL;
    text->length = text->capacity = 0;
    return data;
}

/* How many bytes follow a first one in UTF-8. */
static size_t bytes_after(unsigned char first)
{
    return first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

void text_make_plain(char *text, size_t length)
{
    size_t expected = 0; /* of the bytes that follow */
    for (size_t i = 0; i < length; i++) {
        unsigned char one = (unsigned char)text[i];
        bool follows = (one & 0xc0) == 0x80;
        if ((one < ' ' && one != '\n') || one == 127 || (one < 0xa0 && follows && expected == 0)) {
            text[i] = ' ';
            expected = 0;
        } else if (one == 0xc2 && i + 1 < length && (text[i + 1] & 0xe0) == 0x80) {
            text[i] = text[i + 1] = ' ';
            i++;
            expected = 0;
        } else {
            expected = follows && expected > 0 ? expected - 1 : bytes_after(one);
        }
    }
}
