/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of every new connection: logging in, checking that the server keeps the data it is
 * given, and the script. The settings are checked each time, because they may have changed since,
 * and the server may be another one:
 *
 *     maxmemory-policy            noeviction: else it evicts data that it was given
 *     appendonly                  yes: else a restart loses up to minutes of units of work
 *     appendfsync                 always: answers wait for the log's sync. everysec only if the
 *                                 system file says so: a power failure then loses up to a second
 *                                 of acknowledged units of work
 *     no-appendfsync-on-rewrite   no: else nothing is synced while the log is rewritten
 *     the rights of `default`     all: Redis reads its log as that user (internal.h)
 *
 * And whether it still knows our last call that has written: if not, it has lost data, and this
 * process ends, as after a crash.
 *
 * INFO reveals the first two to everybody. The rest takes CONFIG GET, which also reveals
 * passwords, and which `freehold up` therefore allows no service: it checks them itself, as the
 * server's administrator (server.c).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/redis/internal.h"

#define VERSION_MIN 7

enum question {
    QUESTION_INFO,
    QUESTION_SCRIPT,
    QUESTION_CONFIG,
    QUESTION_RIGHTS,
    QUESTION_LIFE,
    QUESTION_CALL,
    QUESTIONS
};

void redis_info_of(const char *info, const char *name, char *ret, size_t size)
{
    size_t length = strlen(name);
    ret[0] = '\0';
    for (const char *line = info; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            snprintf(ret, size, "%.*s", (int)strcspn(line, "\r\n"), line);
            return;
        }
    }
}

static enum fh_code check_info(const char *info, struct fh_error *error)
{
    char version[16], policy[32], appends[8], role[16], loading[8], cluster[8];
    redis_info_of(info, "redis_version", version, sizeof version);
    redis_info_of(info, "maxmemory_policy", policy, sizeof policy);
    redis_info_of(info, "aof_enabled", appends, sizeof appends);
    redis_info_of(info, "role", role, sizeof role);
    redis_info_of(info, "loading", loading, sizeof loading);
    redis_info_of(info, "cluster_enabled", cluster, sizeof cluster);
    if (strtol(version, NULL, 10) < VERSION_MIN)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's server is Redis %s; 7.0 is the oldest that will do.",
                         version);
    if (strcmp(cluster, "1") == 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's server is part of a Redis Cluster, which spreads the keys of "
                         "a unit of work over servers: a single server is needed.");
    if (strcmp(loading, "0") != 0 || strcmp(role, "master") != 0)
        return error_retry(
            error, FH_UNAVAILABLE,
            "The store's Redis server is still loading, or a replica, which takes no writes.");
    if (strcmp(policy, "noeviction") != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's Redis server has maxmemory-policy %s, and would throw away "
                         "what it was given: set it to noeviction.",
                         policy);
    if (strcmp(appends, "1") != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's Redis server has appendonly no and would lose committed "
                         "writes when it ends: set appendonly yes.");
    return FH_OK;
}

static const char *setting_of(const redisReply *config, const char *name)
{
    for (size_t i = 0; i + 1 < config->elements; i += 2) {
        if (strcmp(redis_at(config, i)->str, name) == 0)
            return redis_at(config, i + 1)->str;
    }
    return "";
}

static enum fh_code check_config(const struct redis *redis, const redisReply *config,
                                 struct fh_error *error)
{
    if (!redis_is(config, REDIS_REPLY_ARRAY))
        return FH_OK; /* this user may not ask: see above */
    const char *syncs = setting_of(config, "appendfsync");
    bool allowed = strcmp(syncs, "always") == 0 ||
                   (strcmp(syncs, "everysec") == 0 && redis->options.every_second);
    if (!allowed)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's Redis server has appendfsync %s and would lose acknowledged "
                         "writes in a power failure: set it to always%s.",
                         syncs,
                         strcmp(syncs, "everysec") == 0
                             ? ", or say appendfsync: everysec in the system file"
                             : "");
    if (strcmp(setting_of(config, "no-appendfsync-on-rewrite"), "no") != 0 &&
        !redis->options.every_second)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's Redis server has no-appendfsync-on-rewrite yes, and syncs "
                         "nothing while it rewrites its log: set it to no.");
    return FH_OK;
}

/* Anything but a clear yes is refused: the damage would show too late. */
static enum fh_code check_rights(const redisReply *dry_run, struct fh_error *error)
{
    if (redis_is(dry_run, REDIS_REPLY_STATUS) && strcmp(dry_run->str, "OK") == 0)
        return FH_OK;
    if (redis_is(dry_run, REDIS_REPLY_ERROR))
        return redis_refused(dry_run, "to report the rights of its user `default`", error);
    return error_set(error, FH_UNSUPPORTED, REDIS_DEFAULT_USER);
}

static enum fh_code session_authenticate(struct redis_connection *connection,
                                         struct fh_error *error)
{
    const struct redis_options *options = &connection->redis->options;
    struct redis_words commands;
    redisReply *reply;
    if (!options->password[0])
        return FH_OK;
    redis_words_init(&commands);
    if (options->user[0])
        redis_command(&commands, "AUTH", options->user, options->password, NULL);
    else
        redis_command(&commands, "AUTH", options->password, NULL);
    enum fh_code code = redis_ask_at(connection, &commands, &reply, error);
    redis_words_release(&commands);
    if (code)
        return code;
    if (!redis_is(reply, REDIS_REPLY_STATUS))
        code = redis_refused(reply, "to let us in", error);
    hiredis.freeReplyObject(reply);
    return code;
}

static enum fh_code check_session(struct redis_connection *connection, redisReply *const *replies,
                                  struct fh_error *error)
{
    struct redis *redis = connection->redis;
    const redisReply *script = replies[QUESTION_SCRIPT];
    if (!redis_is(replies[QUESTION_INFO], REDIS_REPLY_STRING))
        return redis_refused(replies[QUESTION_INFO], "to report its state", error);
    enum fh_code code = check_info(replies[QUESTION_INFO]->str, error);
    if (!code)
        code = check_config(redis, replies[QUESTION_CONFIG], error);
    if (!code)
        code = check_rights(replies[QUESTION_RIGHTS], error);
    if (code)
        return code;
    if (!redis_is(script, REDIS_REPLY_STRING) || script->len != REDIS_DIGEST_SIZE - 1)
        return redis_refused(script, "the script that runs units of work", error);
    memcpy(redis->digest, script->str, REDIS_DIGEST_SIZE);
    return FH_OK;
}

/* The process's memory, above all the sagas that it runs, reflects a state that the server has
 * lost: it must not go on. A session that is unknown altogether was forgotten (call.c). */
static void check_past(struct redis *redis, const struct redis_slot *stands,
                       redisReply *const *replies)
{
    const redisReply *call = replies[QUESTION_CALL];
    bool known = redis_is(replies[QUESTION_LIFE], REDIS_REPLY_STRING);
    bool told = redis_is(call, REDIS_REPLY_STRING) || redis_is(call, REDIS_REPLY_NIL);
    int64_t last = redis_is(call, REDIS_REPLY_STRING) ? strtoll(call->str, NULL, 10) : 0;
    if (stands->number && known && told && last < stands->sequence)
        world_fatal(redis->store.world,
                    "the store's Redis server has lost writes that it had acknowledged (a replica "
                    "that lacks them took over, or the end of its log was lost): this process "
                    "starts again with what is there");
}

static void ask_past(struct redis_words *commands, const struct redis *redis,
                     const struct redis_slot *stands)
{
    char name[ID_SIZE + 8], digits[TEXT_INTEGER_SIZE];
    snprintf(name, sizeof name, "work:%s", stands->number ? stands->life : redis->life);
    char *key = redis_name(redis, "fh", name);
    redis_command(commands, "HGET", key, "0", NULL);
    redis_command(commands, "HGET", key, text_of_integer(stands->number, digits), NULL);
    free(key);
}

enum fh_code redis_hung_up(const struct redis_connection *connection, struct fh_error *error)
{
    const struct redis_options *options = &connection->redis->options;
    if (connection->tls_error.code) {
        *error = connection->tls_error;
        return error->code;
    }
    return error_retry(error, FH_UNAVAILABLE, "The Redis server at %s, port %d, hung up.",
                       options->host, options->port);
}

static enum fh_code hung_up_early(const struct redis_connection *connection, enum fh_code code,
                                  struct fh_error *error)
{
    return code == FH_OUTCOME_UNKNOWN ? redis_hung_up(connection, error) : code;
}

enum fh_code redis_log_in(struct redis_connection *connection, struct fh_error *error)
{
    return hung_up_early(connection, session_authenticate(connection, error), error);
}

enum fh_code redis_session(struct redis_connection *connection, struct fh_error *error)
{
    struct redis_words commands;
    struct redis_slot stands = connection->redis->stands;
    redisReply *replies[QUESTIONS];
    char *key;
    enum fh_code code = session_authenticate(connection, error);
    if (!code) {
        redis_words_init(&commands);
        redis_command(&commands, "INFO", NULL);
        redis_command(&commands, "SCRIPT", "LOAD", redis_script(), NULL);
        redis_command(&commands, "CONFIG", "GET", "*append*sync*", NULL);
        key = redis_name(connection->redis, "fh", "counter");
        redis_command(&commands, "ACL", "DRYRUN", "default", "SET", key, "1", NULL);
        free(key);
        ask_past(&commands, connection->redis, &stands);
        code = redis_ask_at(connection, &commands, replies, error);
        redis_words_release(&commands);
        if (!code) {
            code = check_session(connection, replies, error);
            if (!code)
                check_past(connection->redis, &stands, replies);
            for (int i = 0; i < QUESTIONS; i++)
                hiredis.freeReplyObject(replies[i]);
        }
    }
    return hung_up_early(connection, code, error);
}
