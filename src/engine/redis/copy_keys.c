/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service's keys on Redis, for copying a store: found by their list (list.c), and read
 * bypassing units of work, since nobody changes them during that time. Keys still expire, though.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/copy/keyvalue.h"
#include "engine/redis/copy.h"

#define TEXT_OF(number) TEXT_OF_IT(number)
#define TEXT_OF_IT(number) #number
#define SCORE_SIZE 40

/* ---- Members of a sorted set in order ---- */

/* How far it was read: past `passed` members of this score. */
struct place {
    char score[SCORE_SIZE];
    long long passed;
};

static const char *score_at(const redisReply *reply, size_t index)
{
    return redis_at(reply, 2 * index + 1)->str;
}

static void pass_names(struct place *place, const redisReply *reply)
{
    size_t count = reply->elements / 2, same = 0;
    const char *last = score_at(reply, count - 1);
    while (same < count && strcmp(score_at(reply, count - 1 - same), last) == 0)
        same++;
    bool still = same == count && strcmp(last, place->score) == 0;
    place->passed = still ? place->passed + (long long)same : (long long)same;
    snprintf(place->score, sizeof place->score, "%s", last);
}

/* Members with their scores, from the place on; moves it past them. */
static enum fh_code next_members(struct store *store, const char *key, const char *count,
                                 struct place *place, redisReply **ret, struct fh_error *error)
{
    char passed[24];
    struct redis_words words;
    snprintf(passed, sizeof passed, "%lld", place->passed);
    redis_words_init(&words);
    redis_command(&words, "ZRANGEBYSCORE", key, place->score, "inf", "WITHSCORES", "LIMIT", passed,
                  count, NULL);
    enum fh_code code = redis_read(redis_of(store), &words, ret, error);
    redis_words_release(&words);
    if (code != FH_OK)
        return code;
    code = redis_reply_bounded(*ret, 2 * (size_t)strtoull(count, NULL, 10), error);
    if (code != FH_OK) {
        hiredis.freeReplyObject(*ret);
    } else if ((*ret)->elements > 1) {
        pass_names(place, *ret);
    }
    return code;
}

/* ---- Names ---- */

static enum fh_code check_listed(struct store *store, struct fh_error *error)
{
    struct store_work *work;
    char listed[8] = "";
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(work, REDIS_LISTED, listed, sizeof listed, error);
    store_rollback(work);
    if (code == FH_OK && !listed[0])
        code = error_set(error, FH_UNSUPPORTED,
                         "The store on Redis was made by a freehold that kept no list of its keys: "
                         "they can't be found, and so not be copied.");
    return code;
}

static enum fh_code redis_names(struct store *store, int64_t now_ms, copied_names *visit,
                                void *context, struct fh_error *error)
{
    const char *names[COPIED_NAMES_MAX];
    char *key = redis_name(redis_of(store), "fh", "keys");
    struct place place = {.score = "-inf"};
    enum fh_code code = check_listed(store, error);
    (void)now_ms; /* the list does not say which keys have ended */
    for (bool more = true; more && code == FH_OK;) {
        redisReply *reply;
        code = next_members(store, key, TEXT_OF(COPIED_NAMES_MAX), &place, &reply, error);
        if (code != FH_OK)
            break;
        size_t count = reply->elements / 2;
        for (size_t i = 0; i < count; i++)
            names[i] = redis_at(reply, 2 * i)->str;
        more = count > 0;
        if (more)
            code = visit(context, names, (int)count, error);
        hiredis.freeReplyObject(reply);
    }
    free(key);
    return code;
}

/* ---- One key ---- */

struct reading {
    struct copied_key key;
    copied_parts *visit;
    void *context;
};

static enum fh_code use_fields(void *context, const redisReply *pairs, struct fh_error *error)
{
    struct reading *reading = context;
    struct copied_part parts[COPIED_KEY_PARTS_MAX];
    enum fh_code code = FH_OK;
    int count = 0;
    for (size_t i = 0; i + 1 < pairs->elements && code == FH_OK; i += 2) {
        parts[count++] = (struct copied_part){.name = redis_at(pairs, i)->str,
                                              .text = redis_at(pairs, i + 1)->str};
        if (count == COPIED_KEY_PARTS_MAX || i + 3 >= pairs->elements) {
            code = reading->visit(reading->context, &reading->key, parts, count, error);
            count = 0;
        }
    }
    return code;
}

static enum fh_code read_members(struct store *store, const char *key, struct reading *reading,
                                 struct fh_error *error)
{
    struct copied_part parts[COPIED_KEY_PARTS_MAX];
    struct place place = {.score = "-inf"};
    enum fh_code code = FH_OK;
    for (bool more = true; more && code == FH_OK;) {
        redisReply *reply;
        code = next_members(store, key, TEXT_OF(COPIED_KEY_PARTS_MAX), &place, &reply, error);
        if (code != FH_OK)
            break;
        int count = (int)(reply->elements / 2);
        for (int i = 0; i < count; i++)
            parts[i] =
                (struct copied_part){.name = redis_at(reply, 2 * (size_t)i)->str,
                                     .score = (int64_t)strtod(score_at(reply, (size_t)i), NULL)};
        more = count > 0;
        if (more)
            code = reading->visit(reading->context, &reading->key, parts, count, error);
        hiredis.freeReplyObject(reply);
    }
    return code;
}

static enum fh_code read_string(struct store *store, const char *key, struct reading *reading,
                                struct fh_error *error)
{
    struct redis_words words;
    redisReply *reply;
    redis_words_init(&words);
    redis_command(&words, "GET", key, NULL);
    enum fh_code code = redis_read(redis_of(store), &words, &reply, error);
    redis_words_release(&words);
    if (code != FH_OK)
        return code;
    struct copied_part part = {.text = reply->str};
    if (redis_is(reply, REDIS_REPLY_STRING))
        code = reading->visit(reading->context, &reading->key, &part, 1, error);
    else if (redis_is(reply, REDIS_REPLY_NIL))
        code = error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", reading->key.name);
    else
        code = redis_refused(reply, "a key", error);
    hiredis.freeReplyObject(reply);
    return code;
}

/* The server's word for its kind, and its end time. */
static enum fh_code read_kind(struct store *store, const char *key, char ret_kind[static 16],
                              int64_t *ret_ends_ms, struct fh_error *error)
{
    struct redis_words words;
    redisReply *replies[2];
    redis_words_init(&words);
    redis_command(&words, "TYPE", key, NULL);
    redis_command(&words, "PEXPIRETIME", key, NULL);
    enum fh_code code = redis_read(redis_of(store), &words, replies, error);
    redis_words_release(&words);
    if (code != FH_OK)
        return code;
    if (redis_is(replies[0], REDIS_REPLY_STATUS) && redis_is(replies[1], REDIS_REPLY_INTEGER)) {
        snprintf(ret_kind, 16, "%s", replies[0]->str);
        *ret_ends_ms = replies[1]->integer < 0 ? 0 : replies[1]->integer;
    } else {
        bool second = redis_is(replies[0], REDIS_REPLY_STATUS);
        code = redis_refused(replies[second], "a key", error);
    }
    hiredis.freeReplyObject(replies[0]);
    hiredis.freeReplyObject(replies[1]);
    return code;
}

static enum fh_code redis_key_read(struct store *store, const char *name, int64_t now_ms,
                                   copied_parts *visit, void *context, struct fh_error *error)
{
    struct reading reading = {{.name = name}, visit, context};
    char kind[16], *key = redis_name(redis_of(store), "kv", name);
    enum fh_code code = read_kind(store, key, kind, &reading.key.ends_ms, error);
    bool ended = reading.key.ends_ms && reading.key.ends_ms <= now_ms;
    if (code == FH_OK && (ended || strcmp(kind, "none") == 0)) {
        code = error_set(error, FH_NOT_FOUND, "There is no '%.100s'.", name);
    } else if (code == FH_OK && strcmp(kind, "string") == 0) {
        reading.key.kind = KEYVALUE_VALUE;
        code = read_string(store, key, &reading, error);
    } else if (code == FH_OK && strcmp(kind, "hash") == 0) {
        reading.key.kind = KEYVALUE_HASH;
        code = redis_copy_scan(store, key, use_fields, &reading, error);
    } else if (code == FH_OK && strcmp(kind, "zset") == 0) {
        reading.key.kind = KEYVALUE_SORTED;
        code = read_members(store, key, &reading, error);
    } else if (code == FH_OK) {
        code = error_set(error, FH_UNSUPPORTED,
                         "'%.100s' is a %s on the Redis server: somebody else has written there.",
                         name, kind);
    }
    free(key);
    return code;
}

/* ---- Emptying ---- */

static enum fh_code redis_empty(struct store *store, struct fh_error *error)
{
    char *list = redis_name(redis_of(store), "fh", "keys");
    enum fh_code code = check_listed(store, error);
    for (bool more = true; more && code == FH_OK;) {
        struct place first = {.score = "-inf"};
        struct store_work *work;
        redisReply *reply;
        code = next_members(store, list, TEXT_OF(COPIED_NAMES_MAX), &first, &reply, error);
        if (code != FH_OK)
            break;
        more = reply->elements > 0;
        code = store_begin(store, STORE_WRITE, &work, error);
        for (size_t i = 0; i < reply->elements && code == FH_OK; i += 2) {
            char *key = redis_name(redis_of(store), "kv", redis_at(reply, i)->str);
            redis_do(redis_work_of(work), "any", "DEL", key, NULL);
            redis_do(redis_work_of(work), "zset", "ZREM", list, redis_at(reply, i)->str, NULL);
            free(key);
        }
        hiredis.freeReplyObject(reply);
        if (code == FH_OK)
            code = redis_copy_commit(work, code, error);
    }
    free(list);
    return code;
}

static enum fh_code redis_keys_count(struct store *store, int64_t *ret, struct fh_error *error)
{
    return redis_copy_count(store, "ZCARD", "keys", ret, error);
}

const struct copied_keys_ops redis_copied_keys = {
    .names = redis_names, .count = redis_keys_count, .read = redis_key_read, .empty = redis_empty};
