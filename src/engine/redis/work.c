/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit of work on Redis: its reads, and its pending writes. The server has no interactive
 * transactions: reads go to it one by one, or to the cache of keys (known.h), and are recorded with
 * their answers; writes are kept here. At the commit one script checks that everything read is
 * unchanged, and then does all the writes (script.c). So units of work are serializable, in the
 * order in which their scripts run, whichever process they belong to. A read that is repeated gets
 * the same answer.
 *
 * Until its commit a unit of work may have seen two different moments. Then its commit fails: it is
 * rerun. After some attempts it runs as the only one of its process that writes.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/redis/internal.h"

struct redis_read {
    redisReply *reply;
    bool remembered; /* among the checks */
};

/* ---- The gate -------------------------------------------------------------------------------- */

static enum fh_code enter(struct redis *redis, bool exclusive, struct fh_error *error)
{
    struct world *world = redis->store.world;
    int64_t deadline_ns = world_in_ms(world, REDIS_WAIT_MS);
    redis->exclusive_waiting += exclusive;
    while (redis->exclusive || (exclusive ? redis->open > 0 : redis->exclusive_waiting > 0)) {
        if (!fiber_wait_until(&redis->gate, world, deadline_ns)) {
            redis->exclusive_waiting -= exclusive;
            fiber_wake_all(&redis->gate);
            return error_set(error, FH_UNAVAILABLE,
                             "Works in the store's way did not end within %d s.",
                             REDIS_WAIT_MS / 1000);
        }
    }
    redis->exclusive_waiting -= exclusive;
    redis->exclusive = exclusive;
    redis->open++;
    return FH_OK;
}

static void steps_init(struct redis_steps *steps)
{
    text_init(&steps->shape, REDIS_WORK_SIZE_MAX);
    redis_words_init(&steps->words);
    steps->count = 0;
}

static void steps_release(struct redis_steps *steps)
{
    text_release(&steps->shape);
    redis_words_release(&steps->words);
}

static bool is_exclusive(enum store_mode mode)
{
    return mode & (STORE_EXCLUSIVE | STORE_MIGRATES);
}

enum fh_code redis_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                         struct fh_error *error)
{
    struct redis *redis = redis_of(store);
    enum fh_code code = store_writes(mode) ? enter(redis, is_exclusive(mode), error) : FH_OK;
    if (code)
        return code;
    struct redis_work *own = calloc(1, sizeof *own);
    FH_ASSERT(own != NULL);
    own->work = (struct store_work){.store = store, .mode = mode};
    own->redis = redis;
    map_init(&own->reads);
    map_init(&own->kinds);
    map_init(&own->records);
    map_init(&own->keys);
    steps_init(&own->checks);
    steps_init(&own->operations);
    redis_words_init(&own->events);
    *ret = &own->work;
    return FH_OK;
}

void redis_rollback(struct store_work *work)
{
    struct redis_work *own = redis_work_of(work);
    struct redis *redis = own->redis;
    struct map_entry *entry = NULL;
    const char *command;
    void *value;
    while (map_next(&own->reads, &entry, &command, &value)) {
        hiredis.freeReplyObject(((struct redis_read *)value)->reply);
        free(value);
    }
    map_release(&own->reads);
    map_release(&own->kinds);
    redis_records_free(own);
    redis_keys_free(own);
    steps_release(&own->checks);
    steps_release(&own->operations);
    redis_words_release(&own->events);
    free(own->published);
    if (redis_writes(work)) {
        redis->open--;
        redis->exclusive = false;
        fiber_wake_all(&redis->gate);
    }
    free(own);
}

/* It may have failed because of what it took from the cache. */
void redis_abandon(struct store_work *work)
{
    if (work->tentative)
        redis_keys_forget(redis_work_of(work));
    redis_rollback(work);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* An answer in the form that the script produces too. */
static void describe(struct text *text, const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        text_printf(text, "$%zu:", reply->len);
        text_append(text, reply->str, reply->len);
        break;
    case REDIS_REPLY_INTEGER:
        text_printf(text, ":%lld;", reply->integer);
        break;
    case REDIS_REPLY_ARRAY:
        text_printf(text, "*%zu:", reply->elements);
        for (size_t i = 0; i < reply->elements; i++)
            describe(text, reply->element[i]);
        break;
    default:
        text_add(text, "_");
    }
}

void redis_step(struct redis_steps *steps, char letter, int count)
{
    text_append(&steps->shape, &letter, 1);
    text_integer(&steps->shape, count);
    steps->count++;
}

static void remember(struct redis_work *own, const struct redis_question *question,
                     const redisReply *reply)
{
    struct redis_words *words = &own->checks.words;
    struct text expected;
    text_init(&expected, REDIS_WORK_SIZE_MAX);
    describe(&expected, reply);
    redis_step(&own->checks, 'R', 1 + question->count);
    redis_word_of(words, expected.data ? expected.data : "", expected.length);
    words->text.overflow = words->text.overflow || expected.overflow;
    for (int i = 0; i < question->count; i++)
        redis_word(words, question->words[i]);
    text_release(&expected);
}

static enum fh_code too_large(struct fh_error *error)
{
    return error_set(error, FH_INVALID,
                     "One unit of work can't read and write more than %zu MiB on Redis.",
                     REDIS_WORK_SIZE_MAX >> 20);
}

static size_t size_of(const redisReply *reply)
{
    size_t size = sizeof *reply + reply->len * redis_is(reply, REDIS_REPLY_STRING);
    for (size_t i = 0; redis_is(reply, REDIS_REPLY_ARRAY) && i < reply->elements; i++)
        size += size_of(reply->element[i]);
    return size;
}

static enum fh_code keep(struct redis_work *own, const char *command,
                         struct redis_question *question, redisReply *reply, struct fh_error *error)
{
    struct redis_read *read = map_get(&own->reads, command);
    if (read) { /* the same question twice in one request */
        hiredis.freeReplyObject(reply);
    } else {
        read = calloc(1, sizeof *read);
        FH_ASSERT(read != NULL);
        read->reply = reply;
        map_put(&own->reads, command, read);
        own->read_size += size_of(reply);
    }
    if (redis_is(read->reply, REDIS_REPLY_ERROR)) {
        if (question->ahead)
            return FH_OK;
        if (strncmp(read->reply->str, "WRONGTYPE", 9) != 0)
            return redis_refused(read->reply, "a question", error);
        return error_retry(error, FH_CONFLICT, "A key became one of another kind meanwhile.");
    }
    if (!question->looks && !read->remembered && redis_writes(&own->work)) {
        read->remembered = true;
        remember(own, question, read->reply);
    }
    question->reply = read->reply;
    return own->read_size > REDIS_WORK_SIZE_MAX ? too_large(error) : FH_OK;
}

static char *command_text(const struct redis_question *question)
{
    struct redis_words command;
    redis_words_init(&command);
    redis_command_begin(&command, question->count);
    for (int i = 0; i < question->count; i++)
        redis_word(&command, question->words[i]);
    return text_take(&command.text);
}

/* Asks together for those of `questions` whose answers are not recorded yet. */
enum fh_code redis_see(struct redis_work *own, struct redis_question *questions, int count,
                       struct fh_error *error)
{
    struct redis_words commands;
    char **texts = calloc((size_t)count, sizeof *texts);
    bool *asked = calloc((size_t)count, sizeof *asked);
    redisReply **replies = calloc((size_t)count, sizeof(redisReply *));
    FH_ASSERT(texts && asked && replies);
    redis_words_init(&commands);
    for (int i = 0; i < count; i++) {
        texts[i] = command_text(&questions[i]);
        asked[i] = !map_get(&own->reads, texts[i]);
        if (asked[i]) {
            text_add(&commands.text, texts[i]);
            commands.count++;
        }
    }
    enum fh_code code = commands.count ? redis_read(own->redis, &commands, replies, error) : FH_OK;
    redis_words_release(&commands);
    bool answered = !code;
    for (int i = 0, at = 0; i < count; i++) {
        redisReply *reply = answered && asked[i] ? replies[at++] : NULL;
        if (!code && reply)
            code = keep(own, texts[i], &questions[i], reply, error);
        else if (reply)
            hiredis.freeReplyObject(reply);
        else if (!code)
            code = keep(own, texts[i], &questions[i], NULL, error);
        free(texts[i]);
    }
    free(texts);
    free(asked);
    free((void *)replies);
    return code;
}

enum fh_code redis_see_one(struct redis_work *own, bool looks, const redisReply **ret,
                           struct fh_error *error, const char *first, ...)
{
    struct redis_question question = {.looks = looks};
    va_list rest;
    va_start(rest, first);
    for (const char *word = first; word; word = va_arg(rest, const char *)) {
        FH_ASSERT(question.count < REDIS_WORDS_MAX);
        question.words[question.count++] = word;
    }
    va_end(rest);
    enum fh_code code = redis_see(own, &question, 1, error);
    *ret = question.reply;
    return code;
}

/* ---- Writing --------------------------------------------------------------------------------- */

char *redis_name(const struct redis *redis, const char *room, const char *name)
{
    struct text text;
    text_init(&text, REDIS_WORK_SIZE_MAX);
    text_add(&text, redis->options.prefix);
    text_add(&text, ":");
    text_add(&text, room);
    text_add(&text, ":");
    text_add(&text, name);
    return text_take(&text);
}

void redis_needs(struct redis_work *own, const char *key, const char *kind)
{
    const char *known = map_get(&own->kinds, key);
    if (known && (strcmp(known, kind) == 0 || strcmp(kind, "any") == 0))
        return;
    map_put(&own->kinds, key, (void *)(uintptr_t)kind);
}

void redis_needs_check(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *kind;
    while (map_next(&own->kinds, &entry, &key, &kind)) {
        redis_step(&own->checks, 'W', 2);
        redis_word(&own->checks.words, key);
        redis_word(&own->checks.words, kind);
    }
}

void redis_do(struct redis_work *own, const char *kind, const char *command, const char *key, ...)
{
    va_list rest, counted;
    int count = 2;
    redis_needs(own, key, kind);
    va_start(rest, key);
    va_copy(counted, rest);
    while (va_arg(counted, const char *))
        count++;
    va_end(counted);
    redis_step(&own->operations, 'C', count);
    redis_word(&own->operations.words, command);
    redis_word(&own->operations.words, key);
    for (const char *word; (word = va_arg(rest, const char *)) != NULL;)
        redis_word(&own->operations.words, word);
    va_end(rest);
}
