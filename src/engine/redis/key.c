/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key of the service's as a unit of work sees it (keyvalue.h).
 *
 * Writes are recorded in the order in which they were made, for the script to do (script.c), and
 * also as later reads of the unit of work have to see them. A write asks the server nothing: the
 * script checks the key's kind. A read also remembers which kind it saw.
 */

#include "engine/redis/keyvalue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static char *copy_key_text(const char *text)
{
    char *copy = strdup(text);
    FH_ASSERT(copy != NULL);
    return copy;
}

/* ---- A key's changes ---- */

/* With its texts, in one piece of memory. */
static struct redis_key *redis_key_new(const struct redis *redis, const char *name)
{
    size_t length = strlen(name) + 1, before = strlen(redis->options.prefix);
    struct redis_key *key = calloc(1, sizeof *key + length + before + strlen(":kv:") + length);
    FH_ASSERT(key != NULL);
    key->name = (char *)(key + 1);
    key->server = key->name + length;
    memcpy(key->name, name, length);
    memcpy(stpcpy(stpcpy(key->server, redis->options.prefix), ":kv:"), name, length);
    map_init(&key->items);
    return key;
}

int redis_key_number(struct redis_work *own, struct redis_key *key)
{
    if (!key->number) {
        redis_word(&own->named, key->server);
        key->number = own->named.count;
    }
    return key->number;
}

static struct redis_key *redis_key_of(const struct keyvalue_view *view, const char *name)
{
    struct redis_work *own = redis_work_of(view->work);
    struct redis_key *key = map_get(&own->keys, name);
    own->now_ms = view->now_ms;
    if (!key) {
        key = redis_key_new(own->redis, name);
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
    struct redis_key *key = redis_key_of(view, name);
    if (!is_past(view, key))
        return key;
    if (!key->after) {
        key->after = redis_key_new(redis_of(view->work->store), name);
        redis_key_ends(key->after);
    }
    return key->after;
}

enum fh_code redis_key_open(const struct keyvalue_view *view, const char *name,
                            struct redis_key **ret, struct fh_error *error)
{
    *ret = redis_key_of(view, name);
    if (!redis_writes(view->work))
        return error_set(error, FH_UNSUPPORTED, "A read-only unit of work can't change '%.100s'.",
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
    redis_known_unref(key->known);
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
    *item = (struct redis_item){there, text ? copy_key_text(text) : NULL, score};
}

/* ---- Kinds ---- */

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

/* Comparing a whole hash also checks that it is one. */
static bool is_compared_whole(struct redis_work *own, const struct redis_key *key)
{
    if (!key->is_compared || key->known->kind != KEYVALUE_HASH || key->known->count == 0)
        return false;
    const char *needed = map_get(&own->kinds, key->server);
    if (needed && (strcmp(needed, "any") == 0 || strcmp(needed, word_of(KEYVALUE_HASH)) == 0))
        map_remove(&own->kinds, key->server);
    return true;
}

int redis_keys_check(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    int found_anyway = 0;
    const char *name;
    void *value;
    while (map_next(&own->keys, &entry, &name, &value)) {
        const struct redis_key *key = value;
        bool told = is_compared_whole(own, key);
        found_anyway += told;
        if (!key->is_looked_at || told)
            continue;
        redis_step(&own->checks, 'K', 2);
        redis_word(&own->checks.words, key->server);
        redis_word(&own->checks.words, word_of(key->looked_at));
    }
    return found_anyway;
}

/* ---- The server's state ---- */

static struct redis_known *recall_key(struct redis_work *own, struct redis_key *key)
{
    if (!key->known && own->work.mode & STORE_GROUPED) {
        key->known = redis_memory_get(&own->redis->memory, key->server);
        own->work.tentative = own->work.tentative || key->known;
    }
    return key->known;
}

static enum fh_code ask_kind(struct redis_work *own, struct redis_key *key, struct fh_error *error)
{
    struct redis_question questions[] = {
        {.words = {"TYPE", key->server}, .count = 2, .looks = true},
        {.words = {"PEXPIRETIME", key->server}, .count = 2, .looks = true}};
    enum fh_code code = redis_see(own, questions, 2, error);
    if (code)
        return code;
    const char *word = questions[0].reply->str;
    size_t i = 0;
    while (i < 4 && strcmp(kinds[i].word, word) != 0)
        i++;
    if (i == 4)
        return error_set(error, FH_UNSUPPORTED,
                         "'%.100s' is a %s on the Redis server: somebody else has written there.",
                         key->name, word);
    key->known = redis_known_new(kinds[i].kind, questions[1].reply->integer, NULL, 0);
    return FH_OK;
}

enum fh_code redis_key_served(const struct keyvalue_view *view, struct redis_key *key,
                              enum keyvalue_kind *ret_kind, int64_t *ret_ends_ms,
                              struct fh_error *error)
{
    struct redis_work *own = redis_work_of(view->work);
    *ret_kind = KEYVALUE_NONE;
    *ret_ends_ms = 0;
    enum fh_code code = recall_key(own, key) ? FH_OK : ask_kind(own, key, error);
    if (code)
        return code;
    int64_t ends_ms = key->known->time_ms;
    bool gone = ends_ms >= 0 && ends_ms <= view->now_ms;
    *ret_kind = gone ? KEYVALUE_NONE : key->known->kind;
    *ret_ends_ms = gone || ends_ms < 0 ? 0 : ends_ms;
    key->is_looked_at = true;
    key->looked_at = *ret_kind;
    return FH_OK;
}

enum fh_code redis_key_ahead(const struct keyvalue_view *view, struct redis_key *key,
                             struct fh_error *error, const char *command, ...)
{
    struct redis_work *own = redis_work_of(view->work);
    struct redis_question questions[] = {
        {.words = {"TYPE", key->server}, .count = 2, .looks = true},
        {.words = {"PEXPIRETIME", key->server}, .count = 2, .looks = true},
        {.words = {command, key->server}, .count = 2, .looks = true, .ahead = true}};
    va_list rest;
    if (key->over || recall_key(own, key))
        return FH_OK;
    va_start(rest, command);
    for (const char *word; (word = va_arg(rest, const char *)) != NULL;) {
        FH_ASSERT(questions[2].count < REDIS_WORDS_MAX);
        questions[2].words[questions[2].count++] = word;
    }
    va_end(rest);
    return redis_see(own, questions, 3, error);
}

void redis_key_whole(struct redis_key *key, const char *const *words, size_t count)
{
    struct redis_known *known =
        redis_known_new(key->known->kind, key->known->time_ms, words, count);
    redis_known_unref(key->known);
    key->known = known;
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
    enum fh_code code = redis_key_served(view, key, &kind, &ends_ms, error);
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
