/* SPDX-License-Identifier: Apache-2.0 */
/* The key-value model on Redis: values. See keyvalue.c. A value is a Redis string that contains
 * JSON. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/keyvalue.h"

static enum fh_code no_value(const char *name, struct fh_error *error)
{
    return error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", name);
}

/* Checks that the value is this one, in the form of a recorded read (reads.c). */
static void check_key_value(struct redis_work *own, struct redis_key *key)
{
    struct redis_words *words = &own->checks.words;
    struct text expected;
    const char *value = key->known->words[0];
    if (key->is_compared || !redis_writes(&own->work))
        return;
    key->is_compared = true;
    text_init(&expected, REDIS_WORK_SIZE_MAX);
    text_printf(&expected, "$%zu:", strlen(value));
    text_add(&expected, value);
    redis_step(&own->checks, 'R', 3);
    redis_word_of(words, expected.data, expected.length);
    redis_word(words, "GET");
    redis_word(words, key->server);
    text_release(&expected);
}

static enum fh_code ask_value(struct redis_work *own, struct redis_key *key, struct fh_error *error)
{
    const redisReply *reply;
    enum fh_code code = redis_see_one(own, false, &reply, error, "GET", key->server, NULL);
    if (code)
        return code;
    if (!redis_is(reply, REDIS_REPLY_STRING)) /* it ended between two questions */
        return no_value(key->name, error);
    if (strlen(reply->str) != reply->len)
        return error_set(error, FH_UNSUPPORTED,
                         "'%.100s' has a NUL on the Redis server: somebody else has written there.",
                         key->name);
    key->is_compared = true;
    redis_key_whole(key, &(const char *){reply->str}, 1);
    return FH_OK;
}

static enum fh_code served_value(const struct keyvalue_view *view, struct redis_key *key,
                                 json_t **ret, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    enum fh_code code = FH_OK;
    if (!key->known->whole)
        code = ask_value(own, key, error);
    else
        check_key_value(own, key);
    return code ? code : json_parse(key->known->words[0], strlen(key->known->words[0]), ret, error);
}

static enum fh_code counted_value(const struct keyvalue_view *view, struct redis_key *key,
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

enum fh_code redis_value_get(const struct keyvalue_view *view, const char *name, json_t **ret,
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
        return counted_value(view, key, is_served, ret, error);
    return is_served ? served_value(view, key, ret, error) : no_value(name, error);
}

enum fh_code redis_value_put(const struct keyvalue_view *view, const char *name, const char *text,
                             bool keeps_time, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    struct redis_key *key;
    enum fh_code code = redis_key_open(view, name, &key, error);
    if (code)
        return code;
    redis_needs(own, key->server, "any");
    redis_step(&own->operations, 'S', 3);
    redis_word(&own->operations.words, key->server);
    redis_word(&own->operations.words, text);
    redis_word(&own->operations.words, keeps_time ? "1" : "0");
    bool keeps = keeps_time && (key->kind == KEYVALUE_VALUE || key->kind == KEYVALUE_NONE);
    int64_t ends_ms = key->ends_ms;
    bool timed = key->timed;
    redis_key_ends(key);
    if (keeps) {
        key->timed = timed;
        key->ends_ms = ends_ms;
    }
    key->kind = KEYVALUE_VALUE;
    key->text = strdup(text);
    FH_ASSERT(key->text != NULL);
    return FH_OK;
}

static void check_sum(struct redis_work *own, const struct redis_key *key)
{
    redis_step(&own->checks, 'A', 2);
    redis_word(&own->checks.words, key->server);
    redis_word_number(&own->checks.words, key->delta);
}

/* Adds to the value that the server has at the commit, without reading it; adds at once to a value
 * that the unit of work itself has put. */
enum fh_code redis_value_add(const struct keyvalue_view *view, const char *name, int64_t delta,
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
        return code ? code : redis_value_put(view, name, text, true, error);
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
