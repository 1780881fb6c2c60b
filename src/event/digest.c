/* SPDX-License-Identifier: Apache-2.0 */
/* Each value is hashed after a letter for its kind and, where it has one, its length, so that no
 * two lists of values run together. */

#include "event/digest.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"

#define EXACT_MAX 9007199254740992.0 /* up to here each integer is a double of its own */

static void digest_add(XXH3_state_t *state, const json_t *value);

static void add_kind(XXH3_state_t *state, char kind, uint64_t number)
{
    unsigned char bytes[9] = {(unsigned char)kind};
    for (int i = 0; i < 8; i++)
        bytes[1 + i] = (unsigned char)(number >> (8 * i));
    XXH3_128bits_update(state, bytes, sizeof bytes);
}

static void add_text(XXH3_state_t *state, const char *text, size_t length)
{
    add_kind(state, 's', length);
    XXH3_128bits_update(state, text, length);
}

static void add_double(XXH3_state_t *state, double number)
{
    uint64_t bits;
    if (number >= -EXACT_MAX && number <= EXACT_MAX && number == (double)(int64_t)number) {
        add_kind(state, 'i', (uint64_t)(int64_t)number);
        return;
    }
    memcpy(&bits, &number, sizeof bits);
    add_kind(state, 'd', bits);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Members in the order of their names, without those that are null. */
static void add_members(XXH3_state_t *state, const json_t *object)
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
    add_kind(state, 'o', count);
    for (; i < count; i++) {
        add_text(state, names[i], strlen(names[i]));
        digest_add(state, json_object_get(object, names[i]));
    }
    free(names);
}

static void add_array(XXH3_state_t *state, const json_t *array)
{
    size_t i;
    json_t *value;
    add_kind(state, 'a', json_array_size(array));
    json_array_foreach (array, i, value)
        digest_add(state, value);
}

/* NULL: a member that is missing. */
static void digest_add(XXH3_state_t *state, const json_t *value)
{
    if (!value || json_is_null(value))
        add_kind(state, 'n', 0);
    else if (json_is_boolean(value))
        add_kind(state, 'i', json_is_true(value));
    else if (json_is_integer(value))
        add_kind(state, 'i', (uint64_t)json_integer_value(value));
    else if (json_is_real(value))
        add_double(state, json_real_value(value));
    else if (json_is_string(value))
        add_text(state, json_string_value(value), json_string_length(value));
    else if (json_is_array(value))
        add_array(state, value);
    else
        add_members(state, value);
}

static void digest_write(const XXH3_state_t *state, char ret[static DIGEST_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    for (int i = 0; i < 16; i++) {
        ret[i] = digits[hash.high64 >> (60 - 4 * i) & 15];
        ret[16 + i] = digits[hash.low64 >> (60 - 4 * i) & 15];
    }
    ret[DIGEST_SIZE - 1] = '\0';
}

void digest_of(const json_t *data, const json_t *names, char ret[static DIGEST_SIZE])
{
    XXH3_state_t state;
    size_t i;
    json_t *name;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    json_array_foreach (names, i, name)
        digest_add(&state, json_object_get(data, json_string_value(name)));
    digest_write(&state, ret);
}

/* ---- pages ---- */

struct digest_page {
    XXH3_state_t *state;
};

struct digest_page *digest_page_begin(void)
{
    struct digest_page *page = calloc(1, sizeof *page);
    FH_ASSERT(page != NULL);
    page->state = XXH3_createState();
    FH_ASSERT(page->state != NULL);
    XXH3_128bits_reset(page->state);
    return page;
}

void digest_page_add(struct digest_page *page, const char *key, const char *digest)
{
    add_text(page->state, key, strlen(key));
    XXH3_128bits_update(page->state, digest, DIGEST_SIZE - 1);
}

void digest_page_end(struct digest_page *page, const char *after, char ret[static DIGEST_SIZE])
{
    if (after)
        add_text(page->state, after, strlen(after));
    add_kind(page->state, after ? 'm' : 'e', 0); /* more; the end */
    digest_write(page->state, ret);
    XXH3_freeState(page->state);
    free(page);
}
