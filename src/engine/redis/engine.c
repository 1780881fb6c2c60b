/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Redis engine: opening and closing a store. docs/operate/engines/redis.md explains why it is
 * built like this, what is promised and what was tested.
 *
 * Several processes may have a store open: the script of the commit (script.c) decides between
 * their units of work, and puts all of them in one order.
 */

#include "engine/redis/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* ---- Opening and closing ---- */

static void redis_close(struct store *store)
{
    struct redis *redis = redis_of(store);
    FH_ASSERT(redis->open == 0 && !redis->hold);
    redis_connections_release(redis);
    while (redis->slots) {
        struct redis_slot *slot = redis->slots;
        redis->slots = slot->next;
        free(slot);
    }
    redis_works_free(redis);
    redis_memory_release(&redis->memory);
    free(redis);
}

static enum fh_code redis_open(const struct store_options *options, struct world *world,
                               struct store **ret, struct fh_error *error)
{
    enum fh_code code = redis_load(error);
    if (code)
        return code;
    struct redis *redis = calloc(1, sizeof *redis);
    FH_ASSERT(redis != NULL);
    store_init(&redis->store, &engine_redis, options, world);
    redis->session = redis_session;
    redis->answer_ms = REDIS_ANSWER_MS;
    redis_memory_init(&redis->memory);
    code = redis_options_read(options->server, &redis->options, error);
    if (!code)
        code = redis_trust_new(&redis->options.tls, &redis->trust, error);
    if (!code) {
        redis_connections_init(redis);
        code = redis_connect_first(redis, error);
    }
    if (!code)
        redis_be_born(redis, ERROR_UNHEEDED); /* else at the first write: memory may be full */
    if (!code)
        code = redis_hold_await(redis, error);
    if (!code)
        code = store_provision(&redis->store, STORE_WRITE_EXCLUSIVE, error);
    if (code) {
        redis_close(&redis->store);
        return code;
    }
    *ret = &redis->store;
    return FH_OK;
}

/* By INFO, which services have the right to, rather than TIME, which users of older systems do
 * not. */
static enum fh_code redis_clock(struct store *store, int64_t *ret_ms, struct fh_error *error)
{
    struct redis_words words;
    redisReply *reply;
    char text[32] = "";
    redis_words_init(&words);
    redis_word(&words, "INFO");
    redis_word(&words, "server");
    enum fh_code code = redis_read_one(redis_of(store), &words, &reply, error);
    redis_words_release(&words);
    if (code != FH_OK)
        return code;
    if (redis_is(reply, REDIS_REPLY_STRING))
        redis_info_of(reply->str, "server_time_usec", text, sizeof text);
    hiredis.freeReplyObject(reply);
    *ret_ms = strtoll(text, NULL, 10) / 1000;
    return *ret_ms > 0 ? FH_OK
                       : error_set(error, FH_UNSUPPORTED, "The server does not report its time.");
}

static const struct store_ops redis_store = {
    .load = redis_load,
    .open = redis_open,
    .close = redis_close,
    .begin = redis_begin,
    .commit = redis_commit,
    .rollback = redis_abandon,
    .sequence = redis_sequence,
    .clock = redis_clock,
    .hold = redis_hold,
    .release = redis_release,
};

const struct engine engine_redis = {
    .name = "redis",
    .title = "Redis",
    .abilities = ENGINE_MANY_INSTANCES | ENGINE_GROUPED | ENGINE_READS_APART,
    .models = 1u << FH_KEY_VALUE,
    .store = &redis_store,
    .ledger = &redis_ledger,
    .keyvalue = &redis_keyvalue,
    .copied_ledger = &redis_copied_ledger,
    .copied_keys = &redis_copied_keys,
    .counters = &redis_counters,
    .server = &server_redis,
};
