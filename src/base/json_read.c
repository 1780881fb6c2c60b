/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON without a copy of each token, and without jansson's look at each byte through four
 * functions. Whatever is taken here must be taken by jansson, as the same value (tests/fuzz): where
 * in doubt it is refused, since json.c then asks jansson.
 */

#include "base/json_read.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_plain.h"

#define DIGITS_MAX 18          /* of what fits into 64 bits for certain */
#define DIGITS_OF_REAL_MAX 310 /* before the point, of what may be finite */

struct reader {
    const char *at, *end;
    int depth;
};

static json_t *read_json_value(struct reader *reader);

/* The next byte that is no space, which stays; NUL at the end. */
static char next_json_byte(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
    return reader->at < reader->end ? *reader->at : '\0';
}

static bool take_json_byte(struct reader *reader, char wanted)
{
    bool taken = next_json_byte(reader) == wanted;
    reader->at += taken;
    return taken;
}

/* ---- Strings ---- */

struct string {
    const char *at;
    size_t length;
    bool ascii; /* else it may be no UTF-8 */
    char *own;  /* malloc'ed: where escapes were resolved; or NULL */
};

/* Of the four digits of an escape; -1: they are none. */
static int32_t escaped_unit(const char *at, const char *end)
{
    int32_t unit = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Behind "\u". Half a pair of surrogates is no character. */
static bool resolve_unicode(const char **at, const char *end, char **out)
{
    int32_t code = escaped_unit(*at, end);
    if (code < 0 || (code >= 0xdc00 && code < 0xe000))
        return false;
    *at += 4;
    if (code >= 0xd800 && code < 0xdc00) {
        int32_t low =
            end - *at > 2 && (*at)[0] == '\\' && (*at)[1] == 'u' ? escaped_unit(*at + 2, end) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        *at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    *(*out)++ = (char)(leads[more] | code >> 6 * more);
    while (more--)
        *(*out)++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    return true;
}

/* Makes `string` its own copy, without escapes: no longer than with them. */
static bool resolve_escapes(struct string *string)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *at = string->at, *end = at + string->length, *name;
    char *out = string->own = malloc(string->length);
    if (!out)
        return false;
    while (at < end) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        at += 2; /* the quote at the end has no backslash before it, so a byte follows this one */
        if (at[-1] == 'u') {
            if (!resolve_unicode(&at, end, &out))
                return false;
        } else if (at[-1] && (name = strchr(names, at[-1]))) {
            *out++ = meant[name - names];
        } else {
            return false;
        }
    }
    string->at = string->own;
    string->length = (size_t)(out - string->own);
    return true;
}

/* Whether it is a string or not: free(ret->own) afterwards. */
static bool read_json_string(struct reader *reader, struct string *ret)
{
    *ret = (struct string){0};
    if (!take_json_byte(reader, '"'))
        return false;
    const char *at = reader->at, *end = reader->end;
    bool escapes = false;
    unsigned char all = 0, c = 0;
    for (size_t count = JSON_PLAIN_STEP;
         count == JSON_PLAIN_STEP && (size_t)(end - at) >= JSON_PLAIN_STEP; at += count)
        count = json_plain_bytes(at);
    for (; at < end && (c = (unsigned char)*at) != '"'; at++) {
        if (c < ' ')
            return false;
        all |= c;
        if (c == '\\') {
            escapes = true;
            if (++at == end)
                return false;
        }
    }
    if (at >= end)
        return false;
    ret->at = reader->at;
    ret->length = (size_t)(at - reader->at);
    ret->ascii = all < 0x80 && !escapes;
    reader->at = at + 1;
    return !escapes || resolve_escapes(ret);
}

static json_t *read_json_string_value(struct reader *reader)
{
    struct string string;
    json_t *value = NULL;
    if (read_json_string(reader, &string))
        value = string.ascii ? json_stringn_nocheck(string.at, string.length)
                             : json_stringn(string.at, string.length);
    free(string.own);
    return value;
}

/* ---- Numbers and names ---- */

static bool is_of_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Integers of more than 64 bits, which jansson refuses, become reals by a fraction. */
static json_t *load_number(const char *text, size_t length)
{
    char real[DIGITS_OF_REAL_MAX + sizeof "-.0"];
    json_t *number = json_loadb(text, length, JSON_DECODE_ANY, NULL);
    if (number || length > DIGITS_OF_REAL_MAX + 1)
        return number;
    for (size_t i = text[0] == '-'; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return NULL;
    }
    memcpy(real, text, length);
    memcpy(real + length, ".0", sizeof ".0");
    return json_loadb(real, length + 2, JSON_DECODE_ANY, NULL);
}

static json_t *read_json_number(struct reader *reader)
{
    const char *begin = reader->at, *at = begin + (*begin == '-'), *digits = at;
    json_int_t number = 0;
    for (; at < reader->end && *at >= '0' && *at <= '9' && at - digits < DIGITS_MAX; at++)
        number = number * 10 + (*at - '0');
    bool is_short = at > digits && (*digits != '0' || at - begin == 1);
    if (is_short && (at == reader->end || !is_of_number(*at))) {
        reader->at = at;
        return json_integer(*begin == '-' ? -number : number);
    }
    while (at < reader->end && is_of_number(*at))
        at++;
    reader->at = at;
    return load_number(begin, (size_t)(at - begin));
}

static json_t *read_json_name(struct reader *reader, const char *name, json_t *value)
{
    size_t length = strlen(name);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, name, length) != 0)
        return NULL;
    reader->at += length;
    return value;
}

/* ---- Containers ---- */

/* The same name twice is none: the object has not grown. */
static bool read_json_member(struct reader *reader, json_t *object)
{
    struct string name;
    size_t count = json_object_size(object);
    json_t *value = read_json_string(reader, &name) &&
                            (name.ascii || !memchr(name.at, '\0', name.length)) &&
                            take_json_byte(reader, ':')
                        ? read_json_value(reader)
                        : NULL;
    if (value && name.ascii)
        json_object_setn_new_nocheck(object, name.at, name.length, value);
    else if (value)
        json_object_setn_new(object, name.at, name.length, value);
    free(name.own);
    return json_object_size(object) == count + 1;
}

static bool read_json_element(struct reader *reader, json_t *array)
{
    return json_array_append_new(array, read_json_value(reader)) == 0; /* NULL is no value */
}

static json_t *read_json_container(struct reader *reader, json_t *container, char end,
                                   bool (*read_part)(struct reader *reader, json_t *container))
{
    reader->at++;
    bool is_read = container && reader->depth < JSON_DEPTH_MAX;
    reader->depth++;
    if (is_read && !take_json_byte(reader, end)) {
        do {
            is_read = read_part(reader, container);
        } while (is_read && take_json_byte(reader, ','));
        is_read = is_read && take_json_byte(reader, end);
    }
    reader->depth--;
    if (is_read)
        return container;
    json_decref(container);
    return NULL;
}

static json_t *read_json_value(struct reader *reader)
{
    switch (next_json_byte(reader)) {
    case '{':
        return read_json_container(reader, json_object(), '}', read_json_member);
    case '[':
        return read_json_container(reader, json_array(), ']', read_json_element);
    case '"':
        return read_json_string_value(reader);
    case 't':
        return read_json_name(reader, "true", json_true());
    case 'f':
        return read_json_name(reader, "false", json_false());
    case 'n':
        return read_json_name(reader, "null", json_null());
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_json_number(reader);
    default:
        return NULL;
    }
}

json_t *json_read(const char *text, size_t length)
{
    struct reader reader = {.at = text, .end = text + length};
    json_t *value = read_json_value(&reader);
    next_json_byte(&reader);
    if (value && reader.at == reader.end)
        return value;
    json_decref(value);
    return NULL;
}
