/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor is base64url of 8 bytes of BLAKE2b and the JSON array that they are of. The hash also
 * covers the list: a cursor of another route, of another query or with changed values is refused,
 * instead of leading to a page that makes no sense. It is no proof of where the cursor comes from,
 * and none is needed: a cursor says behind which values a page begins, and what may be listed is
 * decided by the handler's statement as for the first page. Values are bound as parameters.
 */

#include <sodium.h>
#include <string.h>

#include "base/json.h"
#include "work/page.h"

#define CURSOR_HASH_SIZE 8u
#define CURSOR_LENGTH_MAX 4096u
#define CURSOR_VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

static void hash_part(crypto_generichash_state *state, const void *part, size_t length)
{
    uint64_t size = length; /* so that no two lists of parts are one text */
    crypto_generichash_update(state, (const unsigned char *)&size, sizeof size);
    crypto_generichash_update(state, part, length);
}

static void hash_json(crypto_generichash_state *state, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    hash_part(state, text ? text : "", text ? strlen(text) : 0);
    json_text_free(text);
}

static void cursor_hash(const fh_work *w, const char *values, size_t length,
                        unsigned char ret[CURSOR_HASH_SIZE])
{
    const struct fh_route *route = w->route;
    unsigned char hash[crypto_generichash_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    hash_part(&state, "page 1", strlen("page 1"));
    hash_part(&state, w->context->service->name, strlen(w->context->service->name));
    hash_part(&state, route->path, strlen(route->path));
    hash_part(&state, route->page.by, strlen(route->page.by));
    hash_part(&state, route->page.descending ? "-" : "+", 1);
    hash_json(&state, w->path);
    hash_json(&state, w->query);
    hash_part(&state, values, length);
    crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(ret, hash, CURSOR_HASH_SIZE);
}

const char *page_cursor_make(fh_work *w, const json_t *values)
{
    char *text = json_text(values);
    size_t length = strlen(text), size = CURSOR_HASH_SIZE + length;
    unsigned char *whole = work_alloc(w, size);
    size_t room = sodium_base64_ENCODED_LEN(size, CURSOR_VARIANT);
    char *cursor = work_alloc(w, room);
    cursor_hash(w, text, length, whole);
    memcpy(whole + CURSOR_HASH_SIZE, text, size - CURSOR_HASH_SIZE);
    json_text_free(text);
    sodium_bin2base64(cursor, room, whole, size, CURSOR_VARIANT);
    return cursor;
}

json_t *page_cursor_read(fh_work *w, const char *cursor)
{
    unsigned char whole[CURSOR_LENGTH_MAX], hash[CURSOR_HASH_SIZE];
    struct fh_error error;
    size_t size;
    json_t *values;
    if (sodium_base642bin(whole, sizeof whole, cursor, strlen(cursor), NULL, &size, NULL,
                          CURSOR_VARIANT) != 0 ||
        size <= CURSOR_HASH_SIZE)
        return NULL;
    const char *text = (const char *)whole + CURSOR_HASH_SIZE;
    size_t length = size - CURSOR_HASH_SIZE;
    cursor_hash(w, text, length, hash);
    if (memcmp(hash, whole, sizeof hash) != 0 || json_parse(text, length, &values, &error) != FH_OK)
        return NULL;
    return json_is_array(values) ? values : NULL;
}
