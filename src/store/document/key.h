/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_KEY_H
#define STORE_DOCUMENT_KEY_H

/*
 * Keys: bytes that compare with memcmp as their values do with document_compare. They make up the
 * indexes of any engine that can order bytes, and every sort.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

/* How many keys one document may have in one index: one for each element of its arrays. */
#define DOCUMENT_KEYS_MAX 1000
#define DOCUMENT_KEY_SIZE_MAX ((size_t)1 << 20)

#define DOCUMENT_KEY_EMPTY 0x01 /* an empty array's key; other keys begin with their kind */
#define DOCUMENT_KEY_END 0x08   /* above all kinds */
/* Put next to the keys of a document that has several in one index. */
#define DOCUMENT_KEY_MANY 0xff

/* Appends the key of `value` (NULL: missing, the same as null). No key is a prefix of another, so
 * several can be joined into one. */
void document_key_append(struct text *key, const json_t *value);
/* The same for a document's id, which is compared as a string. */
void document_key_append_string(struct text *key, const char *string, size_t length);

struct document_key {
    size_t at, length;
};

/* A document's keys in the index on one field: ascending, each once, never none. */
struct document_keys {
    struct text bytes;
    struct document_key *items;
    int count;
    bool overflow;
};

/* FH_INVALID with the field: there are too many, or they are too long. */
enum fh_code document_keys_init(struct document_keys *keys, const json_t *document,
                                const char *path, struct fh_error *error);
void document_keys_release(struct document_keys *keys);
static inline const char *document_key_bytes(const struct document_keys *keys, int index)
{
    return keys->bytes.data + keys->items[index].at;
}
/* As memcmp, the shorter one first. */
int document_key_compare(const char *left, size_t left_length, const char *right,
                         size_t right_length);

#endif
