/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a unit of work has read from the server: each question once, with its answer, which becomes
 * a check of the script (script.c).
 */

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/redis/internal.h"

struct redis_read {
    redisReply *reply;
    bool remembered; /* among the checks */
};

/* An answer in the form that the script produces too. */
static void describe_reply(struct text *text, const redisReply *reply)
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
            describe_reply(text, redis_at(reply, i));
        break;
    default:
        text_add(text, "_");
    }
}

static void check_read(struct redis_work *own, const struct redis_question *question,
                       const redisReply *reply)
{
    struct redis_words *words = &own->checks.words;
    struct text expected;
    text_init(&expected, REDIS_WORK_SIZE_MAX);
    describe_reply(&expected, reply);
    redis_step(&own->checks, 'R', 1 + question->count);
    redis_word_of(words, expected.data ? expected.data : "", expected.length);
    words->text.overflow = words->text.overflow || expected.overflow;
    for (int i = 0; i < question->count; i++)
        redis_word(words, question->words[i]);
    text_release(&expected);
}

static enum fh_code reads_too_large(struct fh_error *error)
{
    return error_set(error, FH_INVALID,
                     "One unit of work can't read and write more than %zu MiB on Redis.",
                     REDIS_WORK_SIZE_MAX >> 20);
}

static size_t reply_size(const redisReply *reply)
{
    size_t size = sizeof *reply + reply->len * redis_is(reply, REDIS_REPLY_STRING);
    for (size_t i = 0; redis_is(reply, REDIS_REPLY_ARRAY) && i < reply->elements; i++)
        size += reply_size(redis_at(reply, i));
    return size;
}

static enum fh_code keep_read(struct redis_work *own, const char *command,
                              struct redis_question *question, redisReply *reply,
                              struct fh_error *error)
{
    struct redis_read *read = map_get(&own->reads, command);
    if (read) { /* the same question twice in one request */
        hiredis.freeReplyObject(reply);
    } else {
        read = calloc(1, sizeof *read);
        FH_ASSERT(read != NULL);
        read->reply = reply;
        map_put(&own->reads, command, read);
        own->read_size += reply_size(reply);
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
        check_read(own, question, read->reply);
    }
    question->reply = read->reply;
    return own->read_size > REDIS_WORK_SIZE_MAX ? reads_too_large(error) : FH_OK;
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
            code = keep_read(own, texts[i], &questions[i], reply, error);
        else if (reply)
            hiredis.freeReplyObject(reply);
        else if (!code)
            code = keep_read(own, texts[i], &questions[i], NULL, error);
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

void redis_reads_free(struct redis_work *own)
{
    struct map_entry *entry = NULL;
    const char *command;
    void *value;
    while (map_next(&own->reads, &entry, &command, &value)) {
        hiredis.freeReplyObject(((struct redis_read *)value)->reply);
        free(value);
    }
    map_release(&own->reads);
}
