/* SPDX-License-Identifier: Apache-2.0 */
/* Redis for the suites: keys of its own for each case, on the server that tools/servers names in
 * FREEHOLD_TEST_REDIS. */

#include "engine_redis.h"

#include <stdarg.h>
#include <stdlib.h>

json_t *redis_server(const struct harness *harness)
{
    const char *text = getenv("FREEHOLD_TEST_REDIS");
    json_t *server = conformance_json(text ? text : "{}");
    const char *name = strrchr(harness->folder, '-') + 1;
    json_object_set_new(server, "database", json_sprintf("freehold_test_%s", name));
    json_object_set_new(server, "tls", json_pack("{s:s}", "mode", "off"));
    return server;
}

enum fh_code redis_open_with(struct harness *harness, json_t *server, struct store **ret,
                             struct fh_error *error)
{
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_KEY_VALUE};
    enum fh_code code = engine_redis.store->open(&options, harness->world, ret, error);
    json_decref(server);
    return code;
}

static enum fh_code open_in(struct harness *harness, enum fh_model model, struct store **ret,
                            struct fh_error *error)
{
    (void)model;
    return redis_open_with(harness, redis_server(harness), ret, error);
}

redisReply *redis_tell(struct conformance *c, const char *first, ...)
{
    struct redis_words words;
    redisReply *reply = NULL;
    va_list rest;
    redis_words_init(&words);
    va_start(rest, first);
    for (const char *word = first; word; word = va_arg(rest, const char *))
        redis_word(&words, word);
    va_end(rest);
    redis_read_one(redis_of(c->store), &words, &reply, &c->error);
    redis_words_release(&words);
    return reply;
}

/* One step of a scan over the case's keys; removes what it found. The next cursor, NULL: failed. */
static char *remove_some(struct conformance *c, const char *cursor, const char *pattern)
{
    redisReply *found =
        redis_tell(c, "SCAN", cursor, "MATCH", pattern, "COUNT", "1000", (char *)NULL);
    char *next = NULL;
    if (redis_is(found, REDIS_REPLY_ARRAY)) {
        next = strdup(found->element[0]->str);
        for (size_t i = 0; i < found->element[1]->elements; i++)
            hiredis.freeReplyObject(
                redis_tell(c, "UNLINK", found->element[1]->element[i]->str, (char *)NULL));
    }
    hiredis.freeReplyObject(found);
    return next;
}

static void drop_on_fiber(void *argument)
{
    struct conformance *c = argument;
    json_t *server = redis_server(&c->harness);
    char pattern[128], *cursor = strdup("0");
    snprintf(pattern, sizeof pattern, "%s:*", json_string_at(server, "database"));
    json_decref(server);
    if (open_in(&c->harness, FH_KEY_VALUE, &c->store, &c->error) != FH_OK) {
        fprintf(stderr, "a test's keys stay: %s\n", c->error.message);
        free(cursor);
        return;
    }
    do {
        char *next = remove_some(c, cursor, pattern);
        free(cursor);
        cursor = next;
    } while (cursor && strcmp(cursor, "0") != 0);
    free(cursor);
    store_close(c->store);
}

static void drop(struct harness *harness)
{
    struct conformance c = {.harness = *harness};
    harness_run(harness, drop_on_fiber, &c);
}

static const char *missing(void)
{
    return getenv("FREEHOLD_TEST_REDIS")
               ? NULL
               : "FREEHOLD_TEST_REDIS names no server (tools/servers run ...)";
}

static const struct conformance_engine redis = {
    .name = "redis",
    .models = 1u << FH_KEY_VALUE,
    .open = open_in,
    .close = store_close,
    .missing = missing,
    .drop = drop,
};

const struct conformance_engine *const conformance_redis[] = {&redis, NULL};
