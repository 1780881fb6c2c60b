/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value model on Redis: keys of any kind, and values. A value is a string of Redis that
 * holds JSON; hashes and sorted sets are those of Redis.
 *
 * Writes are put down in the order in which they were made, for the script to do (redis_script.c),
 * and beside that as what later reads of the work have to see. A write asks the server nothing:
 * that the key is of its kind is checked by the script. A read also remembers which kind it saw.
 */

#include "store/keyvalue/redis_keyvalue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    FH_ASSERT(copy != NULL);
    return copy;
}

/* ---- A key's changes ---------------------------------------------------------------------------
 */

static struct redis_key *key_new(const struct redis *redis, const char *name)
{
    struct redis_key *key = calloc(1, sizeof *key);
    FH_ASSERT(key != NULL);
    key->name = copy_text(name);
    key->server = redis_name(redis, "kv", name);
    map_init(&key->items);
    return key;
}

static struct redis_key *key_of(const struct keyvalue_view *view, const char *name)
{
    struct redis_work *own = redis_work_of(view->work);
    struct redis_key *key = map_get(&own->keys, name);
    own->now_ms = view->now_ms;
    if (!key) {
        key = key_new(own->redis, name);
        map_put(&own->keys, name, key);
    }
    return key;
}

static bool is_past(const struct keyvalue_view *view, const struct redis_key *key)
{
    return key->timed && key->ends_ms && key->ends_ms <= view->now_ms;
}

struct redis_key *redis_key(const struct keyvalue_view *view, const char *name)
{
    struct redis_key *key = key_of(view, name);
    if (!is_past(view, key))
        return key;
    if (!key->after) {
        key->after = key_new(redis_of(view->work->store), name);
        redis_key_ends(key->after);
    }
    return key->after;
}

enum fh_code redis_key_open(const struct keyvalue_view *view, const char *name,
                            struct redis_key **ret, struct fh_error *error)
{
    *ret = key_of(view, name);
    if (!redis_writes(view->work))
        return error_set(error, FH_UNSUPPORTED, "A work that only reads can't change '%.100s'.",
                         name);
    if (is_past(view, *ret)) {
        redis_do(redis_work_of(view->work), "any", "DEL", (*ret)->server, NULL);
        redis_key_ends(*ret);
    }
    return FH_OK;
}

static void free_items(struct redis_key *key)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *item;
    while (map_next(&key->items, &entry, &name, &item)) {
        free(((struct redis_item *)item)->text);
        free(item);
    }
    map_release(&key->items);
    map_init(&key->items);
}

static void key_free(struct redis_key *key)
{
    free_items(key);
    map_release(&key->items);
    free(key->name);
    free(key->server);
    free(key->text);
    free(key);
}

void redis_keys_free(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&own->keys, &entry, &name, &value)) {
        struct redis_key *key = value;
        if (key->after)
            key_free(key->after);
        key_free(key);
    }
    map_release(&own->keys);
}

void redis_key_ends(struct redis_key *key)
{
    free_items(key);
    free(key->text);
    key->text = NULL;
    key->is_counted = false;
    key->delta = 0;
    key->kind = KEYVALUE_NONE;
    key->over = key->timed = true;
    key->ends_ms = 0;
}

struct redis_item *redis_item(const struct redis_key *key, const char *name)
{
    return map_get(&key->items, name);
}

void redis_item_put(struct redis_key *key, const char *name, const char *text, int64_t score,
                    bool there)
{
    struct redis_item *item = map_get(&key->items, name);
    if (!item) {
        item = calloc(1, sizeof *item);
        FH_ASSERT(item != NULL);
        map_put(&key->items, name, item);
    }
    free(item->text);
    *item = (struct redis_item){there, text ? copy_text(text) : NULL, score};
}

/* ---- Kinds -------------------------------------------------------------------------------------
 */

static const struct {
    const char *word;
    enum keyvalue_kind kind;
} kinds[] = {{"none", KEYVALUE_NONE},
             {"string", KEYVALUE_VALUE},
             {"hash", KEYVALUE_HASH},
             {"zset", KEYVALUE_SORTED}};

static const char *word_of(enum keyvalue_kind kind)
{
    return kinds[kind].word;
}

static void check_kind(struct redis_work *own, struct redis_key *key, enum keyvalue_kind kind)
{
    struct redis_words words;
    if (key->is_checked || !redis_writes(&own->work))
        return;
    key->is_checked = true;
    redis_words_init(&words);
    redis_word(&words, key->server);
    redis_word(&words, word_of(kind));
    redis_check(own, "K", &words);
    redis_words_release(&words);
}

/* What the server has, whatever the work has done. */
static enum fh_code served(const struct keyvalue_view *view, struct redis_key *key,
                           enum keyvalue_kind *ret_kind, int64_t *ret_ends_ms,
                           struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    struct redis_question questions[] = {
        {.words = {"TYPE", key->server}, .count = 2, .looks = true},
        {.words = {"PEXPIRETIME", key->server}, .count = 2, .looks = true}};
    *ret_kind = KEYVALUE_NONE;
    *ret_ends_ms = 0;
    enum fh_code code = redis_see(own, questions, 2, error);
    if (code)
        return code;
    const char *word = questions[0].reply->str;
    int64_t ends_ms = questions[1].reply->integer;
    bool gone = ends_ms >= 0 && ends_ms <= view->now_ms;
    size_t i = 0;
    while (i < 4 && strcmp(kinds[i].word, word) != 0)
        i++;
    if (i == 4)
        return error_set(error, FH_UNSUPPORTED,
                         "'%.100s' is a %s on the Redis server: somebody else has written there.",
                         key->name, word);
    *ret_kind = gone ? KEYVALUE_NONE : kinds[i].kind;
    *ret_ends_ms = gone || ends_ms < 0 ? 0 : ends_ms;
    check_kind(own, key, *ret_kind);
    return FH_OK;
}

enum fh_code redis_key_ahead(const struct keyvalue_view *view, const struct redis_key *key,
                             struct fh_error *error, const char *command, ...)
{
    struct redis_question questions[] = {
        {.words = {"TYPE", key->server}, .count = 2, .looks = true},
        {.words = {"PEXPIRETIME", key->server}, .count = 2, .looks = true},
        {.words = {command, key->server}, .count = 2, .looks = true, .ahead = true}};
    va_list rest;
    if (key->over)
        return FH_OK;
    va_start(rest, command);
    for (const char *word; (word = va_arg(rest, const char *)) != NULL;) {
        FH_ASSERT(questions[2].count < REDIS_WORDS_MAX);
        questions[2].words[questions[2].count++] = word;
    }
    va_end(rest);
    return redis_see(redis_work_of(view->work), questions, 3, error);
}

enum fh_code redis_key_reads(const struct keyvalue_view *view, struct redis_key *key,
                             enum keyvalue_kind wanted, bool *ret_served, struct fh_error *error)
{
    enum keyvalue_kind kind = KEYVALUE_NONE;
    int64_t ends_ms;
    *ret_served = false;
    if (key->kind != KEYVALUE_NONE && key->kind != wanted)
        return keyvalue_kind_error(key->name, key->kind, wanted, error);
    if (key->over)
        return FH_OK;
    enum fh_code code = served(view, key, &kind, &ends_ms, error);
    if (!code && kind != KEYVALUE_NONE && kind != wanted)
        return keyvalue_kind_error(key->name, kind, wanted, error);
    *ret_served = !code && kind == wanted;
    return code;
}

enum fh_code redis_key_writes(struct redis_key *key, enum keyvalue_kind wanted,
                              struct fh_error *error)
{
    if (key->kind != KEYVALUE_NONE && key->kind != wanted)
        return keyvalue_kind_error(key->name, key->kind, wanted, error);
    key->kind = wanted;
    return FH_OK;
}

const char *redis_key_needs(const struct redis_key *key, enum keyvalue_kind wanted)
{
    return key->over ? "any" : word_of(wanted);
}

/* ---- Keys of any kind --------------------------------------------------------------------------
 */

static enum fh_code kind_of(const struct keyvalue_view *view, struct redis_key *key,
                            enum keyvalue_kind *ret, struct fh_error *error)
{
    int64_t ends_ms;
    *ret = key->kind;
    if (key->kind != KEYVALUE_NONE || key->over)
        return FH_OK;
    return served(view, key, ret, &ends_ms, error);
}

/* That the key ends at that time exactly. */
static void check_time(struct redis_work *own, const struct redis_key *key)
{
    const redisReply *reply;
    struct redis_words words;
    if (!redis_writes(&own->work) ||
        redis_see_one(own, true, &reply, NULL, "PEXPIRETIME", key->server, NULL) != FH_OK)
        return;
    redis_words_init(&words);
    redis_word(&words, key->server);
    redis_word_number(&words, reply->integer);
    redis_check(own, "T", &words);
    redis_words_release(&words);
}

static enum fh_code key_look(const struct keyvalue_view *view, const char *name,
                             enum keyvalue_kind *ret_kind, int64_t *ret_expires_ms,
                             struct fh_error *error)
{
    struct redis_key *key = redis_key(view, name);
    enum keyvalue_kind kind;
    *ret_expires_ms = 0;
    enum fh_code code = kind_of(view, key, ret_kind, error);
    if (code || *ret_kind == KEYVALUE_NONE)
        return code;
    if (key->timed) {
        *ret_expires_ms = key->ends_ms;
        return FH_OK;
    }
    code = served(view, key, &kind, ret_expires_ms, error);
    if (!code && kind != *ret_kind)
        *ret_expires_ms = 0; /* a value in place of another kind, whose time ended with it */
    check_time(redis_work_of(view->work), key);
    return code;
}

static void remove_key(const struct keyvalue_view *view, struct redis_key *key)
{
    redis_do(redis_work_of(view->work), "any", "DEL", key->server, NULL);
    redis_key_ends(key);
}

static enum fh_code key_expire(const struct keyvalue_view *view, const char *name, int64_t at_ms,
                               struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    struct redis_key *key;
    enum keyvalue_kind kind = KEYVALUE_NONE;
    char time_ms[24];
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = kind_of(view, key, &kind, error);
    if (!code && kind == KEYVALUE_NONE)
        code = error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", name);
    if (code)
        return code;
    if (at_ms && at_ms <= view->now_ms) {
        remove_key(view, key);
        return FH_OK;
    }
    snprintf(time_ms, sizeof time_ms, "%lld", (long long)at_ms);
    if (at_ms)
        redis_do(own, "any", "PEXPIREAT", key->server, time_ms, NULL);
    else
        redis_do(own, "any", "PERSIST", key->server, NULL);
    key->timed = true;
    key->ends_ms = at_ms;
    return FH_OK;
}

static enum fh_code key_remove(const struct keyvalue_view *view, const char *name,
                               bool *ret_existed, struct fh_error *error)
{
    struct redis_key *key;
    enum keyvalue_kind kind = KEYVALUE_NONE;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = kind_of(view, key, &kind, error);
    *ret_existed = !code && kind != KEYVALUE_NONE;
    if (*ret_existed)
        remove_key(view, key);
    return code;
}

/* ---- Values ------------------------------------------------------------------------------------
 */

static enum fh_code no_key(const char *name, struct fh_error *error)
{
    return error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", name);
}

static enum fh_code served_value(const struct keyvalue_view *view, const struct redis_key *key,
                                 json_t **ret, struct fh_error *error)
{
    const redisReply *reply;
    enum fh_code code =
        redis_see_one(redis_work_of(view->work), false, &reply, error, "GET", key->server, NULL);
    if (code)
        return code;
    if (!redis_is(reply, REDIS_REPLY_STRING)) /* it ended between two questions */
        return no_key(key->name, error);
    return json_parse(reply->str, reply->len, ret, error);
}

static enum fh_code counted(const struct keyvalue_view *view, const struct redis_key *key,
                            bool is_served, json_t **ret, struct fh_error *error)
{
    json_t *value = NULL;
    int64_t sum;
    enum fh_code code = is_served ? served_value(view, key, &value, error) : FH_OK;
    if (!code || code == FH_NOT_FOUND)
        code = keyvalue_add(key->name, value, key->delta, &sum, error);
    json_decref(value);
    if (!code)
        *ret = json_integer(sum);
    return code;
}

static enum fh_code value_get(const struct keyvalue_view *view, const char *name, json_t **ret,
                              struct fh_error *error)
{
    struct redis_key *key = redis_key(view, name);
    bool is_served;
    *ret = NULL;
    enum fh_code code = redis_key_ahead(view, key, error, "GET", NULL);
    if (!code)
        code = redis_key_reads(view, key, KEYVALUE_VALUE, &is_served, error);
    if (code)
        return code;
    if (key->text)
        return json_parse(key->text, strlen(key->text), ret, error);
    if (key->is_counted)
        return counted(view, key, is_served, ret, error);
    return is_served ? served_value(view, key, ret, error) : no_key(name, error);
}

static enum fh_code value_put(const struct keyvalue_view *view, const char *name, const char *text,
                              bool keeps_time, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    struct redis_key *key;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (code)
        return code;
    redis_needs(own, key->server, "any");
    redis_word(&own->operations, "S");
    redis_word(&own->operations, key->server);
    redis_word(&own->operations, text);
    redis_word(&own->operations, keeps_time ? "1" : "0");
    own->operation_count++;
    bool keeps = keeps_time && (key->kind == KEYVALUE_VALUE || key->kind == KEYVALUE_NONE);
    int64_t ends_ms = key->ends_ms;
    bool timed = key->timed;
    redis_key_ends(key);
    if (keeps) {
        key->timed = timed;
        key->ends_ms = ends_ms;
    }
    key->kind = KEYVALUE_VALUE;
    key->text = copy_text(text);
    return FH_OK;
}

static void check_sum(struct redis_work *own, const struct redis_key *key)
{
    struct redis_words words;
    redis_words_init(&words);
    redis_word(&words, key->server);
    redis_word_number(&words, key->delta);
    redis_check(own, "A", &words);
    redis_words_release(&words);
}

/* To what the server has then, without looking; to what the work has put itself, at once. */
static enum fh_code value_add(const struct keyvalue_view *view, const char *name, int64_t delta,
                              struct fh_error *error)
{
    struct redis_key *key;
    struct redis_work *own = redis_work_of(view->work);
    char text[24];
    json_t *value = NULL;
    int64_t sum;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (!code)
        code = redis_key_writes(key, KEYVALUE_VALUE, error);
    if (code)
        return code;
    if (key->over) {
        if (key->text)
            code = json_parse(key->text, strlen(key->text), &value, error);
        if (!code)
            code = keyvalue_add(name, value, delta, &sum, error);
        json_decref(value);
        snprintf(text, sizeof text, "%lld", code ? 0 : (long long)sum);
        return code ? code : value_put(view, name, text, true, error);
    }
    if (__builtin_add_overflow(key->delta, delta, &sum))
        return keyvalue_add(name, NULL, INT64_MAX, &sum, error);
    key->delta = sum;
    key->is_counted = true;
    snprintf(text, sizeof text, "%lld", (long long)delta);
    redis_do(own, redis_key_needs(key, KEYVALUE_VALUE), "INCRBY", key->server, text, NULL);
    check_sum(own, key);
    return FH_OK;
}

const struct keyvalue_ops redis_keyvalue = {
    .look = key_look,
    .expire = key_expire,
    .remove = key_remove,
    .get = value_get,
    .put = value_put,
    .add = value_add,
    .field_get = redis_field_get,
    .fields = redis_fields,
    .field_put = redis_field_put,
    .field_remove = redis_field_remove,
    .score = redis_score,
    .members = redis_members,
    .member_put = redis_member_put,
    .member_remove = redis_member_remove,
    .sweep = redis_sweep,
};
