/* SPDX-License-Identifier: Apache-2.0 */
/* Each value is hashed after a letter for its kind and, where it has one, its length, so that no
 * two lists of values run together. What is hashed is put together first, where it is short: a hash
 * that is given a piece at a time, nine bytes of it or ten, takes several times as long. */

#include "event/digest.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"

#define EXACT_MAX 9007199254740992.0 /* up to here each integer is a double of its own */

#define BUFFER_SIZE 512

struct digest {
    XXH3_state_t *state; /* NULL: nothing but the buffer was hashed so far */
    size_t length;
    unsigned char buffer[BUFFER_SIZE];
};

static void digest_add(struct digest *digest, const json_t *value);

static void begin_state(struct digest *digest)
{
    digest->state = XXH3_createState();
    FH_ASSERT(digest->state != NULL);
    XXH3_128bits_reset(digest->state);
}

static void add_bytes(struct digest *digest, const void *bytes, size_t length)
{
    if (length > BUFFER_SIZE - digest->length) {
        if (!digest->state)
            begin_state(digest);
        XXH3_128bits_update(digest->state, digest->buffer, digest->length);
        digest->length = 0;
    }
    if (length > BUFFER_SIZE) {
        XXH3_128bits_update(digest->state, bytes, length);
        return;
    }
    memcpy(digest->buffer + digest->length, bytes, length);
    digest->length += length;
}

static void add_kind(struct digest *digest, char kind, uint64_t number)
{
    unsigned char bytes[9] = {(unsigned char)kind};
    for (int i = 0; i < 8; i++)
        bytes[1 + i] = (unsigned char)(number >> (8 * i));
    add_bytes(digest, bytes, sizeof bytes);
}

static void add_text(struct digest *digest, const char *text, size_t length)
{
    add_kind(digest, 's', length);
    add_bytes(digest, text, length);
}

static void add_double(struct digest *digest, double number)
{
    uint64_t bits;
    if (number >= -EXACT_MAX && number <= EXACT_MAX && number == (double)(int64_t)number) {
        add_kind(digest, 'i', (uint64_t)(int64_t)number);
        return;
    }
    memcpy(&bits, &number, sizeof bits);
    add_kind(digest, 'd', bits);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Members in the order of their names, without those that are null. */
static void add_members(struct digest *digest, const json_t *object)
{
    size_t count = 0, i = 0;
    const char **names = calloc(json_object_size(object) + 1, sizeof *names), *name;
    json_t *value;
    FH_ASSERT(names != NULL);
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        if (!json_is_null(value))
            names[count++] = name;
    }
    qsort(names, count, sizeof *names, compare_names);
    add_kind(digest, 'o', count);
    for (; i < count; i++) {
        add_text(digest, names[i], strlen(names[i]));
        digest_add(digest, json_object_get(object, names[i]));
    }
    free(names);
}

static void add_array(struct digest *digest, const json_t *array)
{
    size_t i;
    json_t *value;
    add_kind(digest, 'a', json_array_size(array));
    json_array_foreach (array, i, value)
        digest_add(digest, value);
}

/* NULL: a member that is missing. */
static void digest_add(struct digest *digest, const json_t *value)
{
    if (!value || json_is_null(value))
        add_kind(digest, 'n', 0);
    else if (json_is_boolean(value))
        add_kind(digest, 'i', json_is_true(value));
    else if (json_is_integer(value))
        add_kind(digest, 'i', (uint64_t)json_integer_value(value));
    else if (json_is_real(value))
        add_double(digest, json_real_value(value));
    else if (json_is_string(value))
        add_text(digest, json_string_value(value), json_string_length(value));
    else if (json_is_array(value))
        add_array(digest, value);
    else
        add_members(digest, value);
}

static void write_hex(uint64_t number, char ret[static 16])
{
    for (int i = 15; i >= 0; i--, number >>= 4)
        ret[i] = (char)((number & 15) + ((number & 15) < 10 ? '0' : 'a' - 10));
}

static void digest_write(struct digest *digest, char ret[static DIGEST_SIZE])
{
    XXH128_hash_t hash;
    if (digest->state) {
        XXH3_128bits_update(digest->state, digest->buffer, digest->length);
        hash = XXH3_128bits_digest(digest->state);
        XXH3_freeState(digest->state);
    } else {
        hash = XXH3_128bits(digest->buffer, digest->length);
    }
    write_hex(hash.high64, ret);
    write_hex(hash.low64, ret + 16);
    ret[DIGEST_SIZE - 1] = '\0';
}

/* *at: the member behind the one that was found last, where this one is as a rule: rows have their
 * members in one order. */
static json_t *next_member(json_t *data, void **at, const char *name)
{
    for (; *at; *at = json_object_iter_next(data, *at)) {
        if (strcmp(json_object_iter_key(*at), name) == 0) {
            json_t *value = json_object_iter_value(*at);
            *at = json_object_iter_next(data, *at);
            return value;
        }
    }
    return json_object_get(data, name);
}

void digest_of(const json_t *data, const json_t *names, char ret[static DIGEST_SIZE])
{
    json_t *members = (json_t *)(uintptr_t)data;
    void *at = json_object_iter(members);
    struct digest digest;
    size_t i;
    json_t *name;
    digest.state = NULL;
    digest.length = 0;
    json_array_foreach (names, i, name)
        digest_add(&digest, next_member(members, &at, json_string_value(name)));
    digest_write(&digest, ret);
}

/* ---- pages ---- */

struct digest_page {
    struct digest digest;
};

struct digest_page *digest_page_begin(void)
{
    struct digest_page *page = malloc(sizeof *page);
    FH_ASSERT(page != NULL);
    page->digest.state = NULL;
    page->digest.length = 0;
    return page;
}

void digest_page_add(struct digest_page *page, const char *key, const char *digest)
{
    add_text(&page->digest, key, strlen(key));
    add_bytes(&page->digest, digest, DIGEST_SIZE - 1);
}

void digest_page_end(struct digest_page *page, const char *after, char ret[static DIGEST_SIZE])
{
    if (after)
        add_text(&page->digest, after, strlen(after));
    add_kind(&page->digest, after ? 'm' : 'e', 0); /* more; the end */
    digest_write(&page->digest, ret);
    free(page);
}
