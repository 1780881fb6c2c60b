/* SPDX-License-Identifier: Apache-2.0 */
/* The key-value model on Redis: hashes. See keyvalue.c. */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/keyvalue.h"

/* NULL: there is no such field. The text lives as long as the unit of work and the field. */
static enum fh_code field_text(const struct keyvalue_view *view, struct redis_key *key,
                               const char *field, const char **ret, size_t *ret_length,
                               struct fh_error *error)
{
    const redisReply *reply;
    bool is_served;
    *ret = NULL;
    enum fh_code code = redis_key_ahead(view, key, error, "HGET", field, NULL);
    if (!code)
        code = redis_key_reads(view, key, KEYVALUE_HASH, &is_served, error);
    const struct redis_item *item = redis_item(key, field);
    if (code || (!item && !is_served))
        return code;
    if (item) {
        *ret = item->text;
        *ret_length = item->text ? strlen(item->text) : 0;
        return FH_OK;
    }
    code = redis_see_one(redis_work_of(view->work), false, &reply, error, "HGET", key->server,
                         field, NULL);
    if (!code && redis_is(reply, REDIS_REPLY_STRING)) {
        *ret = reply->str;
        *ret_length = reply->len;
    }
    return code;
}

enum fh_code redis_field_get(const struct keyvalue_view *view, const char *name, const char *field,
                             json_t **ret, struct fh_error *error)
{
    const char *text;
    size_t length;
    *ret = NULL;
    enum fh_code code = field_text(view, redis_key(view, name), field, &text, &length, error);
    if (code)
        return code;
    if (!text)
        return error_set(error, FH_NOT_FOUND, "'%.100s' has no field '%.100s'.", name, field);
    return json_parse(text, length, ret, error);
}

/* A scan returns a small hash as a whole, with the cursor 0, and part of a large one. */
#define SMALL_HASH "HSCAN", key->server, "0", "COUNT", "64", NULL
#define SMALL_HASH_WORDS "HSCAN", "0", "COUNT", "64", NULL

/* ---- All fields ---- */

struct field {
    const char *name, *text;
    size_t length;
};

struct fields {
    struct field *list;
    size_t count;
};

/* The script gets a hash as one word, its fields and values separated by NULs, and behind another
 * one how many there are: none contains a NUL, and each additional word of a call costs the server
 * a quarter of a microsecond. */
static void check_whole(struct redis_work *own, struct redis_key *key)
{
    const struct redis_known *known = key->known;
    char digits[TEXT_INTEGER_SIZE], *count = text_of_integer((int64_t)known->count, digits);
    size_t length = strlen(count) + !known->count;
    if (key->is_compared || !redis_writes(&own->work))
        return;
    key->is_compared = true;
    redis_step_at(&own->checks, 'H', redis_key_number(own, key), 1);
    for (size_t i = 0; i < known->count; i++)
        length += strlen(known->words[i]) + 1;
    char *at = redis_word_open(&own->checks.words, length);
    if (!at)
        return;
    for (size_t i = 0; i < known->count; i++)
        at = stpcpy(at, known->words[i]) + 1;
    if (!known->count)
        *at++ = '\0';
    memcpy(at, count, strlen(count));
}

static enum fh_code too_many(const char *name, struct fh_error *error)
{
    return error_set(error, FH_INVALID, "'%.100s' has more than %d fields.", name,
                     KEYVALUE_FIELDS_MAX);
}

static enum fh_code keep_fields(struct redis_key *key, const redisReply *reply,
                                struct fh_error *error)
{
    const char **words = calloc(reply->elements + 1, sizeof *words);
    FH_ASSERT(words != NULL);
    bool strings = reply->elements % 2 == 0; /* each field with its value */
    for (size_t i = 0; i < reply->elements; i++) {
        words[i] = redis_at(reply, i)->str;
        strings = strings && strlen(words[i]) == redis_at(reply, i)->len;
    }
    if (strings)
        redis_key_whole(key, words, reply->elements);
    free((void *)words);
    return strings ? FH_OK
                   : error_set(error, FH_UNSUPPORTED,
                               "'%.100s' has a field with a NUL on the Redis server: somebody else "
                               "has written there.",
                               key->name);
}

static enum fh_code ask_fields(struct redis_work *own, struct redis_key *key,
                               struct fh_error *error)
{
    const redisReply *count, *reply;
    enum fh_code code = redis_see_one(own, true, &reply, error, SMALL_HASH);
    if (code)
        return code;
    if (strcmp(redis_at(reply, 0)->str, "0") == 0)
        return keep_fields(key, redis_at(reply, 1), error);
    code = redis_see_one(own, true, &count, error, "HLEN", key->server, NULL);
    if (!code && count->integer > KEYVALUE_FIELDS_MAX)
        code = too_many(key->name, error);
    if (!code)
        code = redis_see_one(own, true, &reply, error, "HGETALL", key->server, NULL);
    return code ? code : keep_fields(key, reply, error);
}

static enum fh_code served_fields(const struct keyvalue_view *view, struct redis_key *key,
                                  struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    enum fh_code code = key->known->whole ? FH_OK : ask_fields(own, key, error);
    if (!code)
        check_whole(own, key);
    return code;
}

static int compare_fields(const void *left, const void *right)
{
    return strcmp(((const struct field *)left)->name, ((const struct field *)right)->name);
}

/* `known` NULL: ignores the server's content. */
static void gather_fields(struct fields *fields, const struct redis_key *key,
                          const struct redis_known *known)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    size_t count = known ? known->count : 0;
    fields->list = calloc(count / 2 + key->items.count + 1, sizeof *fields->list);
    FH_ASSERT(fields->list != NULL);
    for (size_t i = 0; i < count; i += 2) {
        const char *text = known->words[i + 1];
        if (!redis_item(key, known->words[i]))
            fields->list[fields->count++] = (struct field){known->words[i], text, strlen(text)};
    }
    while (map_next(&key->items, &entry, &name, &value)) {
        const struct redis_item *item = value;
        if (item->there)
            fields->list[fields->count++] = (struct field){name, item->text, strlen(item->text)};
    }
    qsort(fields->list, fields->count, sizeof *fields->list, compare_fields);
}

static enum fh_code object_of_fields(const struct fields *fields, json_t **ret,
                                     struct fh_error *error)
{
    enum fh_code code = FH_OK;
    *ret = json_object();
    for (size_t i = 0; i < fields->count && !code; i++) {
        json_t *value;
        code = json_parse(fields->list[i].text, fields->list[i].length, &value, error);
        if (!code)
            json_object_set_new(*ret, fields->list[i].name, value);
    }
    if (code) {
        json_decref(*ret);
        *ret = NULL;
    }
    return code;
}

enum fh_code redis_fields(const struct keyvalue_view *view, const char *name, json_t **ret,
                          struct fh_error *error)
{
    struct redis_key *key = redis_key(view, name);
    struct fields fields = {0};
    bool is_served;
    *ret = NULL;
    enum fh_code code = redis_key_ahead(view, key, error, SMALL_HASH_WORDS);
    if (!code)
        code = redis_key_reads(view, key, KEYVALUE_HASH, &is_served, error);
    if (!code && is_served)
        code = served_fields(view, key, error);
    if (code)
        return code;
    gather_fields(&fields, key, is_served ? key->known : NULL);
    code = fields.count > KEYVALUE_FIELDS_MAX ? too_many(name, error)
                                              : object_of_fields(&fields, ret, error);
    free(fields.list);
    return code;
}

/* ---- Writing ---- */

enum fh_code redis_field_put(const struct keyvalue_view *view, const char *name, const char *field,
                             const char *text, struct fh_error *error)
{
    struct redis_key *key;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = redis_key_writes(key, KEYVALUE_HASH, error);
    if (code)
        return code;
    struct redis_work *own = redis_work_of(view->work);
    redis_needs(own, key->server, redis_key_needs(key, KEYVALUE_HASH));
    redis_step_at(&own->operations, 'F', redis_key_number(own, key), 2);
    redis_word(&own->operations.words, field);
    redis_word(&own->operations.words, text);
    redis_item_put(key, field, text, 0, true);
    return FH_OK;
}

/* After the removal of a field. */
static enum fh_code is_hash_empty(const struct keyvalue_view *view, struct redis_key *key,
                                  bool *ret, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    struct map_entry *entry = NULL;
    const char *field;
    void *value;
    const redisReply *reply;
    bool is_served;
    *ret = false;
    while (map_next(&key->items, &entry, &field, &value)) {
        if (((const struct redis_item *)value)->there)
            return FH_OK;
    }
    enum fh_code code = redis_key_reads(view, key, KEYVALUE_HASH, &is_served, error);
    int64_t left = 0;
    if (!code && is_served) {
        code = redis_see_one(own, false, &reply, error, "HLEN", key->server, NULL);
        left = code ? 0 : reply->integer;
    }
    for (entry = NULL; !code && left && map_next(&key->items, &entry, &field, &value);) {
        code = redis_see_one(own, false, &reply, error, "HGET", key->server, field, NULL);
        left -= !code && redis_is(reply, REDIS_REPLY_STRING);
    }
    *ret = left == 0;
    return code;
}

enum fh_code redis_field_remove(const struct keyvalue_view *view, const char *name,
                                const char *field, bool *ret_existed, struct fh_error *error)
{
    struct redis_key *key;
    const char *text = NULL;
    size_t length;
    bool ends;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = field_text(view, key, field, &text, &length, error);
    *ret_existed = !code && text;
    if (!*ret_existed)
        return code;
    code = redis_key_writes(key, KEYVALUE_HASH, error);
    if (code)
        return code;
    redis_do(redis_work_of(view->work), redis_key_needs(key, KEYVALUE_HASH), "HDEL", key->server,
             field, NULL);
    redis_item_put(key, field, NULL, 0, false);
    code = is_hash_empty(view, key, &ends, error);
    if (!code && ends)
        redis_key_ends(key);
    return code;
}
