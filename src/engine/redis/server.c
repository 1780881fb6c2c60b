/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis. A service's "database" is the prefix of all its keys. Its user may access those keys
 * alone, and use only the commands that the engine uses: none that reads or changes the server as a
 * whole, or reveals its settings (which include passwords). So the settings that only CONFIG
 * reveals are checked here, as the administrator: whether the server evicts nothing and has on disk
 * what it acknowledges.
 *
 * The server keeps the users itself if it has a file for them, or can rewrite its own settings.
 * Those of a private one are all in the file that it reads when it starts, which is removed
 * afterwards: so a service that connects the moment the server answers can log in.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/redis/link.h"
#include "engine/redis/internal.h"
#include "store/server.h"

#define PORT 6379
#define PROGRAM "redis-server"
#define FOLDER "/usr/bin"

/* The rights that the engine needs: see docs/operate/engines/redis.md. */
static const char *const rights[] = {"+auth",          "+ping",
                                     "+info",          "+evalsha",
                                     "+script|load",   "+get",
                                     "+set",           "+del",
                                     "+incrby",        "+type",
                                     "+hget",          "+hset",
                                     "+hdel",          "+hlen",
                                     "+hgetall",       "+hscan",
                                     "+zadd",          "+zrem",
                                     "+zscore",        "+zcard",
                                     "+zrangebyscore", "+xadd",
                                     "+xlen",          "+xtrim",
                                     "+xrange",        "+zrevrangebyscore",
                                     "+acl|dryrun",    "+persist",
                                     "+pexpire",       "+pexpireat",
                                     "+pexpiretime",   "+zrangebylex",
                                     "+zrevrangebylex"};
#define RIGHTS (sizeof rights / sizeof *rights)

static int redis_connections(int n)
{
    return n; /* shared by units of work and reads */
}

/* ---- A private server ---- */

static const char *redis_programs(struct arena *arena)
{
    (void)arena;
    return access(FOLDER "/" PROGRAM, X_OK) == 0 ? FOLDER : NULL;
}

static void add_setting(struct server_command *command, const char *key, const char *value)
{
    server_argument(command, "--%s", key);
    server_argument(command, "%s", value);
}

static void add_settings(struct server_command *command, const struct server_own *own)
{
    char number[24];
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)own->settings, key, value) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        add_setting(command, key, json_is_string(value) ? json_string_value(value) : number);
    }
}

/* In the form of the file of settings. */
static const char *redis_users(const struct server_own *own)
{
    struct arena *arena = own->arena;
    size_t i;
    json_t *store;
    const char *text = arena_printf(arena,
                                    "user default off resetpass ~* &* +@all\n"
                                    "user " SERVER_SUPERUSER " on ~* &* +@all >%s\n",
                                    own->password);
    json_array_foreach ((json_t *)(uintptr_t)own->stores, i, store) {
        text = arena_printf(arena, "%suser %s on >%s ~%s:*", text, server_text(store, "user"),
                            server_text(store, "password"), server_text(store, "database"));
        for (size_t right = 0; right < RIGHTS; right++)
            text = arena_printf(arena, "%s %s", text, rights[right]);
        text = arena_printf(arena, "%s\n", text);
    }
    return text;
}

static enum fh_code redis_run(const struct server_own *own, struct server_command *command,
                              struct fh_error *error)
{
    server_argument(command, "%s/" PROGRAM, own->programs);
    server_argument(command, "%s/" SERVER_SECRET, own->folder);
    add_settings(command, own);
    /* Ours come last and so prevail: who may reach the server, and whether what it acknowledges is
     * safe, must not depend on settings. */
    add_setting(command, "dir", own->data); /* first: the socket's path is relative to it */
    add_setting(command, "port", "0");
    add_setting(command, "tls-port", "0");
    add_setting(command, "unixsocket", arena_printf(own->arena, "%s/" REDIS_SOCKET, own->sockets));
    add_setting(command, "unixsocketperm", "777"); /* its folder says who reaches it */
    add_setting(command, "daemonize", "no");
    add_setting(command, "logfile", "");
    add_setting(command, "save", "");
    add_setting(command, "appendonly", "yes");
    add_setting(command, "appendfsync", "always");
    add_setting(command, "no-appendfsync-on-rewrite", "no");
    add_setting(command, "maxmemory-policy", "noeviction");
    return server_secret(own, redis_users(own), error);
}

/* It reads them one after the other and ends at the first that is wrong: ours at the latest. */
#define LAST_SETTING "freehold-reads-no-further"

static void redis_read_settings(const struct server_own *own, struct server_command *command)
{
    server_argument(command, "%s/" PROGRAM, own->programs);
    add_settings(command, own);
    add_setting(command, LAST_SETTING, "yes");
}

/* ">>> 'maxmemory "12q"'", and why in the next line. */
static const char *redis_settings_fault(struct arena *arena, int exit_code, const char *written)
{
    const char *setting = strstr(written, ">>> '");
    if (!setting)
        return server_settings_fault(arena, exit_code ? exit_code : 1, written, "***");
    if (strncmp(setting, ">>> '" LAST_SETTING, strlen(">>> '" LAST_SETTING)) == 0)
        return NULL;
    return server_settings_fault(arena, exit_code, setting, "'\n");
}

/* ---- Commands ---- */

static const char *string_of_reply(const redisReply *reply)
{
    bool has_text = redis_is(reply, REDIS_REPLY_STRING) || redis_is(reply, REDIS_REPLY_STATUS) ||
                    redis_is(reply, REDIS_REPLY_ERROR);
    return has_text ? reply->str : "";
}

static bool is_redis_refusal(const redisReply *reply)
{
    static const char *const words[] = {"WRONGPASS", "NOAUTH", "NOPERM"};
    if (!redis_is(reply, REDIS_REPLY_ERROR))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strncmp(reply->str, words[i], strlen(words[i])) == 0)
            return true;
    }
    return strstr(reply->str, "AUTH") != NULL; /* "ERR AUTH <password> called without ..." */
}

/* FH_OK with *ret, which is the caller's; FH_CONFLICT if it was refused. */
static enum fh_code redis_ask_server(struct redis_link *link, int count, const char **words,
                                     redisReply **ret, struct fh_error *error)
{
    enum fh_code code = redis_link_ask(link, count, words, ret, error);
    if (code || !redis_is(*ret, REDIS_REPLY_ERROR))
        return code;
    /* Only the first word: the rest may repeat the command's words. */
    code =
        error_set(error, is_redis_refusal(*ret) ? FH_CONFLICT : FH_UNAVAILABLE,
                  "Redis refused %s: %.*s.", words[0], (int)strcspn((*ret)->str, " "), (*ret)->str);
    hiredis.freeReplyObject(*ret);
    *ret = NULL;
    return code;
}

static enum fh_code redis_do_command(struct redis_link *link, int count, const char **words,
                                     struct fh_error *error)
{
    redisReply *reply;
    enum fh_code code = redis_ask_server(link, count, words, &reply, error);
    if (!code)
        hiredis.freeReplyObject(reply);
    return code;
}

#define WORDS(...)                                                                                 \
    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)), (const char *[])          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* A connection to the server that `at` names, as the user that `as` names. */
static enum fh_code link_to(const json_t *as, const json_t *at, struct redis_link **ret,
                            struct fh_error *error)
{
    const char *host = server_text(at, "host"), *user = server_text(as, "user"),
               *password = server_text(as, "password");
    struct redis_link *link;
    struct store_tls tls;
    enum fh_code code = store_tls_read(at, &tls, error);
    if (!code)
        code =
            redis_link_open(host, server_port(at, PORT), &tls, SERVER_CONNECT_S_MAX, &link, error);
    if (code)
        return code;
    if (*password)
        code = *user ? redis_do_command(link, WORDS("AUTH", user, password), error)
                     : redis_do_command(link, WORDS("AUTH", password), error);
    if (!code)
        code = redis_do_command(link, WORDS("PING"),
                                error); /* refused while the server loads its data */
    if (code)
        redis_link_close(link);
    else
        *ret = link;
    return code;
}

static enum fh_code redis_enter(const json_t *as, struct fh_error *error)
{
    struct redis_link *link;
    enum fh_code code = link_to(as, as, &link, error);
    if (!code)
        redis_link_close(link);
    return code;
}

/* ---- Providing ---- */

static enum fh_code check_redis_setting(struct redis_link *link, const char *name,
                                        const char *wanted, const char *also,
                                        struct fh_error *error)
{
    redisReply *reply;
    enum fh_code code = redis_ask_server(link, WORDS("CONFIG", "GET", name), &reply, error);
    if (code)
        return code;
    const char *is = reply->elements == 2 ? string_of_reply(redis_at(reply, 1)) : "";
    if (strcmp(is, wanted) != 0 && (!also || strcmp(is, also) != 0))
        code = error_set(error, FH_UNSUPPORTED,
                         "Redis has %s %s, which loses what it was given: set it to %s.", name, is,
                         wanted);
    hiredis.freeReplyObject(reply);
    return code;
}

static enum fh_code check_redis_settings(struct redis_link *link, const json_t *store,
                                         struct fh_error *error)
{
    redisReply *reply;
    const char *every_second =
        strcmp(server_text(store, "appendfsync"), "everysec") == 0 ? "everysec" : NULL;
    enum fh_code code = check_redis_setting(link, "maxmemory-policy", "noeviction", NULL, error);
    if (!code)
        code = check_redis_setting(link, "appendonly", "yes", NULL, error);
    if (!code)
        code = check_redis_setting(link, "appendfsync", "always", every_second, error);
    if (!code)
        code = check_redis_setting(link, "no-appendfsync-on-rewrite", "no",
                                   every_second ? "yes" : NULL, error);
    if (!code)
        code = redis_ask_server(link, WORDS("ACL", "DRYRUN", "default", "SET", "freehold", "1"),
                                &reply, error);
    if (code)
        return code;
    if (strcmp(string_of_reply(reply), "OK") != 0)
        code = error_set(error, FH_UNSUPPORTED, REDIS_DEFAULT_USER);
    hiredis.freeReplyObject(reply);
    return code;
}

static enum fh_code set_user(struct redis_link *link, const json_t *store, struct fh_error *error)
{
    char password[512], keys[256];
    const char *words[16 + RIGHTS] = {"ACL", "SETUSER", server_text(store, "user"), "reset", "on"};
    int count = 5;
    snprintf(password, sizeof password, ">%s", server_text(store, "password"));
    snprintf(keys, sizeof keys, "~%s:*", server_text(store, "database"));
    words[count++] = password;
    words[count++] = keys;
    for (size_t i = 0; i < RIGHTS; i++)
        words[count++] = rights[i];
    return redis_do_command(link, count, words, error);
}

/* Makes the users survive a restart of the server. */
static enum fh_code keep_users(struct redis_link *link, struct fh_error *error)
{
    if (redis_do_command(link, WORDS("ACL", "SAVE"), ERROR_UNHEEDED) == FH_OK ||
        redis_do_command(link, WORDS("CONFIG", "REWRITE"), ERROR_UNHEEDED) == FH_OK)
        return FH_OK;
    return error_set(error, FH_UNSUPPORTED,
                     "Redis would forget its users when it ends: it has neither an aclfile nor a "
                     "file of settings that it can rewrite.");
}

static enum fh_code redis_provide(const json_t *admin, const json_t *store, bool is_private,
                                  struct fh_error *error)
{
    struct redis_link *link;
    redisReply *known;
    enum fh_code code = link_to(admin, admin, &link, error);
    if (code)
        return code;
    code = check_redis_settings(link, store, error);
    if (!code)
        code = redis_ask_server(link, WORDS("ACL", "GETUSER", server_text(store, "user")), &known,
                                error);
    if (!code) {
        bool there = !redis_is(known, REDIS_REPLY_NIL);
        hiredis.freeReplyObject(known);
        if (there)
            code = server_entered(store, redis_enter(store, error), error);
    }
    if (!code)
        code = set_user(link, store, error);
    if (!code && !is_private)
        code = keep_users(link, error);
    redis_link_close(link);
    return code;
}

/* ---- Verifying isolation ---- */

/* Whether the server permits it. */
static bool may_run(struct redis_link *link, int count, const char **words)
{
    return redis_do_command(link, count, words, ERROR_UNHEEDED) == FH_OK;
}

static enum fh_code redis_trespass(const json_t *as, const json_t *store,
                                   char ret[SERVER_OPEN_SIZE], struct fh_error *error)
{
    struct redis_link *link;
    char key[256];
    *ret = '\0';
    enum fh_code code = link_to(as, store, &link, error);
    if (code)
        return code == FH_CONFLICT ? FH_OK : code; /* refused, as it should be */
    snprintf(key, sizeof key, "%s:fh:counter", server_text(store, "database"));
    if (may_run(link, WORDS("GET", key)))
        snprintf(ret, SERVER_OPEN_SIZE, "read the keys %s:*", server_text(store, "database"));
    else if (may_run(link, WORDS("SCAN", "0", "COUNT", "1")))
        snprintf(ret, SERVER_OPEN_SIZE, "list the keys of others");
    else if (may_run(link, WORDS("CONFIG", "GET", "maxmemory")))
        snprintf(ret, SERVER_OPEN_SIZE, "read the server's settings");
    else if (may_run(link, WORDS("ACL", "WHOAMI")) && may_run(link, WORDS("ACL", "LIST")))
        snprintf(ret, SERVER_OPEN_SIZE, "read the server's users");
    redis_link_close(link);
    return FH_OK;
}

static int info_count(const char *info, const char *name)
{
    const char *line = strstr(info, name);
    return line ? (int)strtol(line + strlen(name), NULL, 10) : -1;
}

static enum fh_code redis_room(const json_t *as, struct server_room *ret, struct fh_error *error)
{
    struct redis_link *link;
    redisReply *reply;
    enum fh_code code = link_to(as, as, &link, error);
    if (code)
        return code;
    code = redis_ask_server(link, WORDS("INFO", "clients"), &reply, error);
    if (!code) {
        ret->connections = info_count(string_of_reply(reply), "connected_clients:");
        ret->connections_max = info_count(string_of_reply(reply), "maxclients:");
        hiredis.freeReplyObject(reply);
    }
    redis_link_close(link);
    return code;
}

const struct server_kind server_redis = {
    .engine = "redis",
    .settings = "appendfsync",
    .install = "apt-get install " PROGRAM,
    .user = "redis",
    .port = PORT,
    .socket = REDIS_SOCKET,
    .tells_password = true,
    .userless = true,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .connections = redis_connections,
    .programs = redis_programs,
    .make = server_make_folder,
    .run = redis_run,
    .read_settings = redis_read_settings,
    .settings_fault = redis_settings_fault,
    .enter = redis_enter,
    .provide = redis_provide,
    .trespass = redis_trespass,
    .room = redis_room,
};
