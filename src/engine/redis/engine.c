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

/* ---- Options ---- */

static enum fh_code copy_option(const json_t *server, const char *name, const char *otherwise,
                                char *ret, size_t size, struct fh_error *error)
{
    const char *text = json_string_at(server, name);
    if (!text)
        text = otherwise;
    if (!text)
        return error_set(error, FH_UNSUPPORTED,
                         "The configuration's \"store\" has no \"%s\", which Redis needs.", name);
    if (strlen(text) >= size)
        return error_set(error, FH_UNSUPPORTED,
                         "\"%s\" in the configuration's \"store\" is longer than %zu characters.",
                         name, size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return FH_OK;
}

static enum fh_code number_option(const json_t *server, const char *name, int otherwise, int most,
                                  int *ret, struct fh_error *error)
{
    const json_t *value = json_object_get(server, name);
    json_int_t integer = otherwise;
    if (value &&
        (!json_is_integer(value) || (integer = json_integer_value(value)) < 1 || integer > most))
        return error_set(error, FH_UNSUPPORTED,
                         "\"%s\" in the configuration's \"store\" must be a number from 1 to %d.",
                         name, most);
    *ret = (int)integer;
    return FH_OK;
}

static enum fh_code read_rest(const json_t *server, struct redis_options *ret,
                              struct fh_error *error)
{
    const char *syncs = json_string_at(server, "appendfsync");
    enum fh_code code = store_tls_read(server, &ret->tls, error);
    if (code)
        return code;
    if (ret->password[0] && ret->host[0] != '/' && !ret->tls.verify &&
        !json_string_at(server, "tls.mode"))
        return error_set(error, FH_INVALID,
                         "Whoever takes the port of the store's Redis server when that has ended "
                         "would be told the password. The configuration's \"store\" needs the "
                         "server's socket as \"host\", or \"tls\" with the \"mode\" \"verify\"; "
                         "or accept that with \"off\".");
    if (syncs && strcmp(syncs, "always") != 0 && strcmp(syncs, "everysec") != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "\"appendfsync\" in the configuration's \"store\" is always or everysec.");
    ret->every_second = syncs && strcmp(syncs, "everysec") == 0;
    if (!ret->prefix[0] || strpbrk(ret->prefix, ":*?[]\\ "))
        return error_set(error, FH_UNSUPPORTED,
                         "\"database\" in the configuration's \"store\" begins all keys on Redis, "
                         "and holds no colon, space, *, ?, [, ] or \\.");
    return FH_OK;
}

static enum fh_code options_read(const json_t *server, struct redis_options *ret,
                                 struct fh_error *error)
{
    enum fh_code code =
        copy_option(server, "host", "127.0.0.1", ret->host, sizeof ret->host, error);
    if (!code)
        code = copy_option(server, "database", NULL, ret->prefix, sizeof ret->prefix, error);
    if (!code)
        code = copy_option(server, "user", "", ret->user, sizeof ret->user, error);
    if (!code)
        code = copy_option(server, "password", "", ret->password, sizeof ret->password, error);
    if (!code)
        code = number_option(server, "port", 6379, 65535, &ret->port, error);
    if (!code)
        code = number_option(server, "connections", REDIS_CONNECTIONS, REDIS_CONNECTIONS_MAX,
                             &ret->connections, error);
    return code ? code : read_rest(server, ret, error);
}

/* ---- Opening and closing ---- */

static void redis_close(struct store *store)
{
    struct redis *redis = redis_of(store);
    FH_ASSERT(redis->open == 0);
    for (int i = 0; i < redis->options.connections && redis->connections; i++) {
        redis_connection_close(&redis->connections[i]);
        text_release(&redis->connections[i].sending);
    }
    while (redis->slots) {
        struct redis_slot *slot = redis->slots;
        redis->slots = slot->next;
        free(slot);
    }
    redis_memory_release(&redis->memory);
    redis_trust_free(redis->trust);
    free(redis->connections);
    free(redis);
}

static enum fh_code connect_all(struct redis *redis, struct fh_error *error)
{
    int count = redis->options.connections;
    redis->connections = calloc((size_t)count, sizeof *redis->connections);
    FH_ASSERT(redis->connections != NULL);
    for (int i = 0; i < count; i++) {
        struct redis_connection *connection = &redis->connections[i];
        connection->redis = redis;
        connection->end = &connection->first;
        text_init(&connection->sending, REDIS_SENDING_MAX);
    }
    return redis_connect_first(redis, error);
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
    redis_memory_init(&redis->memory);
    code = options_read(options->server, &redis->options, error);
    if (!code)
        code = redis_trust_new(&redis->options.tls, &redis->trust, error);
    if (!code)
        code = connect_all(redis, error);
    if (!code)
        redis_be_born(redis, ERROR_UNHEEDED); /* else at the first write: memory may be full */
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
    .server = &server_redis,
};
