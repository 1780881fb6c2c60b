/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private InfluxDB listens on two ports of the loopback address:
 *
 *   its own       HTTP by TLS, with a certificate by which its service knows it, and with users
 *   its backups'  another port at each start, by which `influxd backup` and `restore` ask for all
 *                 there is, and put it there, without a password. InfluxDB 1.6 can't be without it,
 *                 and knows no user there (`lacks`)
 *
 * Its users are the administrator and the one service that it serves, whose database is made for it
 * and is all that it may touch. The first administrator is made by whoever asks first: if that is
 * somebody else, the server lets us in no more, and is made anew before anybody has been told of
 * it.
 *
 * Its folder: influxdb.conf; data/meta, data/data, data/wal what InfluxDB keeps, users with the
 * hashes of their passwords too.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <string.h>

#include "base/json.h"
#include "carrier/ask.h"
#include "carrier/influxdb/internal.h"
#include "store/java.h"
#include "store/server.h"

#define INFLUXDB_PROGRAM "influxd"
#define HTTP_OK 200
#define HTTP_UNAUTHORIZED 401
#define HTTP_FORBIDDEN 403 /* there is no administrator yet */

/* What bounds it, and is synced. What is not set is as InfluxDB has it. */
static const char influxdb_settings[] =
    "wal-fsync-delay = \"0s\"\n"
    "query-log-enabled = false\n"
    "cache-max-memory-size = 268435456\n"
    "max-concurrent-compactions = 1\n"
    /* At these limits nothing more would be carried. */
    "max-series-per-database = 0\nmax-values-per-tag = 0\n"
    "[monitor]\nstore-enabled = false\n"
    "[logging]\nlevel = \"error\"\nsuppress-logo = true\n"
    "[continuous_queries]\nenabled = false\n"
    "[subscriber]\nenabled = false\n"
    "[http]\nauth-enabled = true\nlog-enabled = false\nwrite-tracing = false\n"
    "pprof-enabled = false\nmax-connection-limit = 256\nhttps-enabled = true\n";

static const char *influxdb_programs(struct arena *arena)
{
    const char *found = server_on_path(arena, INFLUXDB_PROGRAM);
    return found ? arena_copy(arena, found, strlen(found) - strlen("/" INFLUXDB_PROGRAM)) : NULL;
}

/* As a string of TOML. */
static void add_toml(struct text *text, const char *name, const char *folder, const char *rest)
{
    text_printf(text, "%s = \"", name);
    for (; *folder; folder++) {
        if (*folder == '"' || *folder == '\\')
            text_add(text, "\\");
        text_append(text, folder, 1);
    }
    text_printf(text, "%s\"\n", rest);
}

static enum fh_code write_influxdb_config(const struct server_own *own, struct fh_error *error)
{
    struct text text;
    text_init(&text, TEXT_SMALL_MAX);
    text_add(&text, "reporting-disabled = true\nbind-address = \"127.0.0.1:0\"\n[meta]\n");
    add_toml(&text, "dir", own->data, "/meta");
    text_add(&text, "[data]\n");
    add_toml(&text, "dir", own->data, "/data");
    add_toml(&text, "wal-dir", own->data, "/wal");
    text_add(&text, influxdb_settings);
    text_printf(&text, "bind-address = \"127.0.0.1:%d\"\n", own->port);
    add_toml(&text, "https-certificate", own->certificate, "");
    add_toml(&text, "https-private-key", own->key, "");
    enum fh_code code = text.overflow
                            ? error_set(error, FH_NO_MEMORY, "There is no memory for InfluxDB.")
                            : server_file(own->folder, "influxdb.conf", text.data, error);
    text_release(&text);
    return code;
}

static enum fh_code influxdb_server_run(const struct server_own *own,
                                        struct server_command *command, struct fh_error *error)
{
    enum fh_code code = write_influxdb_config(own, error);
    server_argument(command, "/usr/bin/env");
    server_argument(command, "-i");
    server_argument(command, "PATH=/usr/local/bin:/usr/bin:/bin");
    server_argument(command, "LANG=C.UTF-8");
    server_argument(command, "HOME=%s", own->data);
    server_argument(command, "%s/" INFLUXDB_PROGRAM, own->programs);
    server_argument(command, "-config");
    server_argument(command, "%s/influxdb.conf", own->folder);
    return code;
}

/* ---- its users ---- */

/* Names and passwords are of letters, digits, '-' and '_'. */
static enum fh_code ask_private_influxdb(const json_t *as, const char *statement,
                                         struct text *answer, long *ret_status,
                                         struct fh_error *error)
{
    struct carried_ask ask = {.method = "POST", .path = "/query", .answer = answer};
    struct text body;
    text_init(&body, TEXT_SMALL_MAX);
    text_add(&body, "q=");
    for (const char *at = statement; *at; at++) /* as a form has it */
        text_printf(&body, "%%%02X", (unsigned char)*at);
    ask.body = body.overflow ? "" : body.data;
    enum fh_code code = carried_ask(as, &ask, error);
    *ret_status = ask.status;
    text_release(&body);
    return code;
}

static enum fh_code do_influxdb(const json_t *as, const char *statement, struct fh_error *error)
{
    struct text answer;
    long status;
    text_init(&answer, TEXT_SMALL_MAX);
    enum fh_code code = ask_private_influxdb(as, statement, &answer, &status, error);
    if (!code && (status != HTTP_OK || !answer.data || strstr(answer.data, "\"error\"")))
        code = error_set(error, status == HTTP_UNAUTHORIZED ? FH_CONFLICT : FH_UNAVAILABLE,
                         "InfluxDB does not set its users: it answers %ld.", status);
    text_release(&answer);
    return code;
}

/* A statement with `one` for each '?', and `other` for each '!'. */
static enum fh_code do_influxdb_for(const json_t *as, const char *form, const char *one,
                                    const char *other, struct fh_error *error)
{
    struct text text;
    text_init(&text, TEXT_SMALL_MAX);
    for (; *form; form++) {
        if (*form == '?')
            text_add(&text, one);
        else if (*form == '!')
            text_add(&text, other);
        else
            text_append(&text, form, 1);
    }
    enum fh_code code = text.overflow ? error_set(error, FH_INVALID, "A name is too long.")
                                      : do_influxdb(as, text.data, error);
    text_release(&text);
    return code;
}

static enum fh_code influxdb_enter(const json_t *as, struct fh_error *error)
{
    long status;
    const char *user = server_text(as, "user");
    enum fh_code code = ask_private_influxdb(as, "SHOW DATABASES", NULL, &status, error);
    if (!code && status == HTTP_FORBIDDEN && strcmp(user, SERVER_SUPERUSER) == 0)
        return do_influxdb_for(as, "CREATE USER \"?\" WITH PASSWORD '!' WITH ALL PRIVILEGES", user,
                               server_text(as, "password"), error);
    if (code || status == HTTP_OK)
        return code;
    return status == HTTP_UNAUTHORIZED
               ? error_set(error, FH_CONFLICT, "InfluxDB does not let %.64s in.", user)
               : error_set(error, FH_UNAVAILABLE, "InfluxDB is not ready: it answers %ld.", status);
}

static bool is_influxdb_user(const json_t *users, const char *name)
{
    size_t i;
    json_t *user;
    json_array_foreach ((json_t *)(uintptr_t)users, i, user) {
        if (strcmp(server_text(user, "user"), name) == 0)
            return true;
    }
    return strcmp(name, SERVER_SUPERUSER) == 0;
}

/* Whoever is not to be there. */
static enum fh_code drop_influxdb_users(const json_t *as, const json_t *users,
                                        struct fh_error *error)
{
    struct text answer;
    long status;
    char statement[1024];
    size_t i;
    json_t *row;
    text_init(&answer, TEXT_SMALL_MAX);
    enum fh_code code = ask_private_influxdb(as, "SHOW USERS", &answer, &status, error);
    json_t *found = !code && answer.data ? json_loads(answer.data, 0, NULL) : NULL;
    const json_t *series = json_array_get(
        json_object_get(json_array_get(json_object_get(found, "results"), 0), "series"), 0);
    if (!code && !series)
        code = error_set(error, FH_UNAVAILABLE, "InfluxDB does not tell its users.");
    json_array_foreach (json_object_get(series, "values"), i, row) {
        const char *name = json_string_value(json_array_get(row, 0));
        if (code || !name || is_influxdb_user(users, name) || strpbrk(name, "\"\\\n"))
            continue;
        snprintf(statement, sizeof statement, "DROP USER \"%s\"", name);
        code = do_influxdb(as, statement, error);
    }
    json_decref(found);
    text_release(&answer);
    return code;
}

/* Each with the password that is his now, the database of his owner, and no other right. A user
 * that was there has kept his former password. */
static enum fh_code settle_influxdb_user(const json_t *as, const json_t *user,
                                         struct fh_error *error)
{
    const char *name = server_text(user, "user"), *password = server_text(user, "password");
    const char *owner = server_text(user, "owner");
    enum fh_code code = do_influxdb_for(as, "CREATE DATABASE \"?\"", owner, "", error);
    if (!code && do_influxdb_for(as, "CREATE USER \"?\" WITH PASSWORD '!'", name, password,
                                 ERROR_UNHEEDED) != FH_OK)
        code = do_influxdb_for(as, "SET PASSWORD FOR \"?\" = '!'", name, password, error);
    if (!code)
        code = do_influxdb_for(as, "GRANT ALL ON \"!\" TO \"?\"", name, owner, error);
    return code;
}

static enum fh_code influxdb_settle(const json_t *as, const json_t *users, struct fh_error *error)
{
    size_t i;
    json_t *user;
    enum fh_code code = drop_influxdb_users(as, users, error);
    json_array_foreach ((json_t *)(uintptr_t)users, i, user) {
        if (!code)
            code = settle_influxdb_user(as, user, error);
    }
    return code;
}

const struct server_kind influxdb_server = {
    .engine = "influxdb",
    .settings = "",
    .install = "apt-get install influxdb",
    .lacks = "InfluxDB 1.6 listens at a port for its backups that can't be closed: who is logged "
             "in to this machine can find it, and read and replace all that is in it",
    .port = INFLUXDB_PORT,
    .connects_nowhere = true,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .programs = influxdb_programs,
    .make = server_make_folder,
    .run = influxdb_server_run,
    .enter = influxdb_enter,
    .settle = influxdb_settle,
};
