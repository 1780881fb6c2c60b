/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of values. A key is the kind, one byte, followed by
 *
 *     null              nothing
 *     number            the greatest double that is not above it, 8 bytes made to order as
 *                       unsigned; then the difference between an integer and that double, 2 bytes.
 *                       So 1 and 1.0 have the same key, and integers beyond 2^53 each their own.
 *     string            its bytes, 00 written as 00 ff, and 00 01 at the end
 *     object            for each field: kind, name as a string, value without its kind; then 00
 *     array             for each element: kind, value; then 00
 *     boolean           0 or 1
 *
 * which orders objects and arrays as MongoDB does. An empty array as a whole is DOCUMENT_KEY_EMPTY:
 * a sort puts it before null.
 */

#include "store/document/key.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/document/value.h"

#define SEVERAL_MIN 8 /* initial capacity, in keys */

static void append_byte(struct text *key, int byte)
{
    char c = (char)byte;
    text_append(key, &c, 1);
}

static void append_double(struct text *key, double number)
{
    uint64_t bits;
    number += 0.0; /* -0.0 equals 0.0 */
    memcpy(&bits, &number, sizeof bits);
    bits = bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
    for (int shift = 56; shift >= 0; shift -= 8)
        append_byte(key, (int)(bits >> shift & 0xff));
}

static void append_number(struct text *key, const json_t *value)
{
    int rest = 0;
    double number = json_number_value(value);
    if (json_is_integer(value)) {
        json_int_t integer = json_integer_value(value);
        /* The conversion rounds to the nearest; 2^63 itself is out of an integer's range. */
        if (number >= 9223372036854775808.0 || (json_int_t)number > integer)
            number = nextafter(number, -INFINITY);
        rest = (int)(integer - (json_int_t)number);
    }
    append_double(key, number);
    append_byte(key, rest >> 8);
    append_byte(key, rest & 0xff);
}

static void append_string(struct text *key, const char *string, size_t length)
{
    while (length) {
        const char *zero = memchr(string, '\0', length);
        size_t part = zero ? (size_t)(zero - string) : length;
        text_append(key, string, part);
        if (zero) {
            text_append(key, "\x00\xff", 2);
            part++;
        }
        string += part;
        length -= part;
    }
    text_append(key, "\x00\x01", 2);
}

static void append_key_value(struct text *key, const json_t *value)
{
    const char *name;
    json_t *member;
    size_t count = json_array_size(value);
    switch (document_kind(value)) {
    case DOCUMENT_NULL:
        break;
    case DOCUMENT_NUMBER:
        append_number(key, value);
        break;
    case DOCUMENT_STRING:
        append_string(key, json_string_value(value), json_string_length(value));
        break;
    case DOCUMENT_OBJECT:
        json_object_foreach (document_iterable(value), name, member) {
            append_byte(key, (int)document_kind(member));
            append_string(key, name, strlen(name));
            append_key_value(key, member);
        }
        append_byte(key, 0);
        break;
    case DOCUMENT_ARRAY:
        for (size_t i = 0; i < count; i++) {
            append_byte(key, (int)document_kind(json_array_get(value, i)));
            append_key_value(key, json_array_get(value, i));
        }
        append_byte(key, 0);
        break;
    case DOCUMENT_BOOLEAN:
        append_byte(key, json_is_true(value));
        break;
    }
}

void document_key_append(struct text *key, const json_t *value)
{
    append_byte(key, (int)document_kind(value));
    append_key_value(key, value);
}

void document_key_append_string(struct text *key, const char *string, size_t length)
{
    append_byte(key, DOCUMENT_STRING);
    append_string(key, string, length);
}

int document_key_compare(const char *left, size_t left_length, const char *right,
                         size_t right_length)
{
    int order = memcmp(left, right, left_length < right_length ? left_length : right_length);
    return order ? order : left_length < right_length ? -1 : left_length > right_length;
}

/* ---- A document's keys ---- */

/* Where the key appended last belongs; -1: it is there already. */
static int find_room(const struct document_keys *keys, struct document_key key)
{
    int low = 0, high = keys->count;
    while (low < high) {
        int middle = (low + high) / 2;
        int order =
            document_key_compare(document_key_bytes(keys, middle), keys->items[middle].length,
                                 keys->bytes.data + key.at, key.length);
        if (order == 0)
            return -1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A document_visit */
static bool add_document_key(void *context, const json_t *value)
{
    struct document_keys *keys = context;
    struct document_key key = {.at = keys->bytes.length};
    if (json_is_array(value) && json_array_size(value) == 0)
        append_byte(&keys->bytes, DOCUMENT_KEY_EMPTY);
    else
        document_key_append(&keys->bytes, value);
    key.length = keys->bytes.length - key.at;
    if (keys->bytes.overflow || keys->count == DOCUMENT_KEYS_MAX) {
        keys->overflow = true;
        return true;
    }
    int room = find_room(keys, key);
    if (room < 0)
        return false;
    /* The capacity grows at powers of two. */
    if (keys->count >= SEVERAL_MIN && (keys->count & (keys->count - 1)) == 0) {
        struct document_key *items =
            realloc(keys->items, (size_t)keys->count * 2 * sizeof *keys->items);
        FH_ASSERT(items != NULL);
        keys->items = items;
    }
    memmove(&keys->items[room + 1], &keys->items[room],
            (size_t)(keys->count - room) * sizeof *keys->items);
    keys->items[room] = key;
    keys->count++;
    return false;
}

enum fh_code document_keys_init(struct document_keys *keys, const json_t *document,
                                const char *path, struct fh_error *error)
{
    *keys = (struct document_keys){0};
    text_init(&keys->bytes, DOCUMENT_KEY_SIZE_MAX);
    keys->items = malloc(SEVERAL_MIN * sizeof *keys->items);
    FH_ASSERT(keys->items != NULL);
    document_each(document, path, DOCUMENT_LEAF_ELEMENTS, add_document_key, keys);
    if (keys->count == 0 && !keys->overflow)
        add_document_key(keys, NULL);
    if (!keys->overflow)
        return FH_OK;
    document_keys_release(keys);
    error_set(error, FH_INVALID,
              "'%.60s' holds more than %d different values, or values of more than %zu bytes: too "
              "many to be indexed or sorted by.",
              path, DOCUMENT_KEYS_MAX, DOCUMENT_KEY_SIZE_MAX);
    strncpy(error->field, path, sizeof error->field - 1);
    return FH_INVALID;
}

void document_keys_release(struct document_keys *keys)
{
    free(keys->items);
    text_release(&keys->bytes);
    *keys = (struct document_keys){0};
}
