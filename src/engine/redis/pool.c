/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing a connection, and reconnecting lost ones. One is used until it has as many requests
 * pending as the server reads from a connection at once, then the next: many requests share a
 * system call on both sides, and since the server reads a piece of each connection before it syncs
 * its log, all that are under way share a sync.
 *
 * A lost connection is reconnected by the next fiber that gets to it. After a failed attempt the
 * next one waits for a time that doubles up to a second and is random, so that many processes don't
 * all come back at once; until then every request fails at once with the last reason.
 */

#include <stdlib.h>

#include "engine/redis/internal.h"

#define RETRY_MS_MIN 20
#define RETRY_MS_MAX 1000

static void back_off(struct redis *redis, const struct fh_error *error)
{
    struct world *world = redis->store.world;
    int64_t most_ms = RETRY_MS_MIN;
    for (int i = 0; i < redis->failures && most_ms < RETRY_MS_MAX; i++)
        most_ms *= 2;
    redis->failures++;
    redis->retry_ns =
        world_in_ms(world, most_ms / 2 + (int64_t)world_random_below(world, (uint64_t)most_ms));
    redis->down = *error;
}

static enum fh_code make_connection(struct redis_connection *connection, struct fh_error *error)
{
    struct redis *redis = connection->redis;
    struct world *world = redis->store.world;
    if (redis->failures && world_monotonic_ns(world) < redis->retry_ns) {
        *error = redis->down;
        return error->code;
    }
    connection->state = REDIS_CONNECTING;
    connection->making = true;
    enum fh_code code =
        redis_connection_make(connection, world_in_ms(world, REDIS_CONNECT_MS), error);
    if (code)
        connection->state = REDIS_DOWN;
    else
        code = redis->session(connection, error);
    if (!code && connection->state == REDIS_DOWN) /* right behind its last answer */
        code = redis_hung_up(connection, error);
    connection->making = false;
    if (code) {
        redis_connection_close(connection);
        back_off(redis, error);
    } else {
        redis->failures = 0;
        connection->state = REDIS_UP;
    }
    fiber_wake_all(&redis->connected);
    return code;
}

static bool is_full(const struct redis_connection *connection)
{
    return connection->state == REDIS_UP && connection->asked_size >= REDIS_PIECE_SIZE;
}

/* The next connection that is up; if none is, the next one is made. */
static enum fh_code pick_connection(struct redis *redis, struct redis_connection **ret,
                                    struct fh_error *error)
{
    for (;;) {
        int count = redis->options.connections;
        redis->next = (redis->next + is_full(&redis->connections[redis->next])) % count;
        int first = redis->next;
        struct redis_connection *connection = &redis->connections[first];
        bool connecting = false;
        if (connection->state == REDIS_DOWN && !connection->making &&
            make_connection(connection, error) == FH_OK) {
            *ret = connection;
            return FH_OK;
        }
        for (int i = 0; i < count; i++) {
            *ret = &redis->connections[(first + i) % count];
            if ((*ret)->state == REDIS_UP)
                return FH_OK;
            connecting = connecting || (*ret)->making;
        }
        if (!connecting)
            return redis->down.code ? (*error = redis->down, error->code)
                                    : error_set(error, FH_UNAVAILABLE, "The store is closed.");
        fiber_wait(&redis->connected);
    }
}

enum fh_code redis_ask(struct redis *redis, const struct redis_words *commands,
                       redisReply **ret_replies, struct fh_error *error)
{
    struct redis_connection *connection;
    enum fh_code code = pick_connection(redis, &connection, error);
    return code ? code : redis_ask_at(connection, commands, ret_replies, error);
}

enum fh_code redis_read(struct redis *redis, const struct redis_words *commands,
                        redisReply **ret_replies, struct fh_error *error)
{
    enum fh_code code = redis_ask(redis, commands, ret_replies, error);
    if (code == FH_OUTCOME_UNKNOWN)
        code = redis_ask(redis, commands, ret_replies, error);
    if (code == FH_OUTCOME_UNKNOWN)
        code = error_set(error, FH_UNAVAILABLE, "The store's Redis server does not answer.");
    return code;
}

enum fh_code redis_read_one(struct redis *redis, const struct redis_words *command,
                            redisReply **ret, struct fh_error *error)
{
    struct redis_words commands;
    redis_words_init(&commands);
    redis_command_of(&commands, command);
    enum fh_code code = redis_read(redis, &commands, ret, error);
    redis_words_release(&commands);
    return code;
}

enum fh_code redis_connect(struct redis *redis, struct fh_error *error)
{
    struct redis_connection *ignored;
    return pick_connection(redis, &ignored, error);
}

enum fh_code redis_connect_first(struct redis *redis, struct fh_error *error)
{
    struct world *world = redis->store.world;
    int64_t deadline_ns = world_in_ms(world, REDIS_OPEN_MS);
    for (;;) {
        struct redis_connection *ignored;
        enum fh_code code = pick_connection(redis, &ignored, error);
        if (code != FH_UNAVAILABLE || redis->retry_ns > deadline_ns || store_tls_is_failure(error))
            return code;
        fiber_sleep_until(world, redis->retry_ns);
    }
}

void redis_connections_init(struct redis *redis)
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
}

void redis_connections_release(struct redis *redis)
{
    for (int i = 0; i < redis->options.connections && redis->connections; i++) {
        redis_connection_close(&redis->connections[i]);
        text_release(&redis->connections[i].sending);
    }
    free(redis->connections);
    redis->connections = NULL;
    redis_trust_free(redis->trust);
}
