/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MariaDB servers. A service's user has all rights in its own database and none elsewhere; a
 * private server has no anonymous users and no `test` database. Databases have no owner here, so
 * one that exists without its user is taken for somebody else's: users are created first. A service
 * with reports has a second user, who has no right but those that the service gives him
 * (report_rights.c); so its own user may give what he has, which is nothing outside of the
 * database.
 *
 * A private server gets its superuser from a file that it runs at each start, since a new server
 * lets root in without a password.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/tls.h"
#include "engine/mariadb/internal.h"
#include "http/tls.h"
#include "store/server.h"

#define STATEMENT_SIZE_MAX 4096
#define RUN_PROGRAM "/usr/sbin/mariadbd"
#define MAKE_PROGRAM "/usr/bin/mariadb-install-db"
#define NAME_SIZE 160

/* ---- A private one ---- */

static const char *mariadb_server_programs(struct arena *arena)
{
    (void)arena;
    return access(RUN_PROGRAM, X_OK) == 0 && access(MAKE_PROGRAM, X_OK) == 0 ? "/usr" : NULL;
}

static enum fh_code mariadb_server_make(const struct server_own *own,
                                        struct server_command *command, struct fh_error *error)
{
    (void)error;
    server_argument(command, MAKE_PROGRAM);
    server_argument(command, "--no-defaults");
    server_argument(command, "--datadir=%s", own->data);
    server_argument(command, "--tmpdir=%s", own->data); /* see mariadb_server_run */
    server_argument(command, "--auth-root-authentication-method=normal");
    server_argument(command, "--skip-test-db");
    return FH_OK;
}

static enum fh_code mariadb_server_run(const struct server_own *own, struct server_command *command,
                                       struct fh_error *error)
{
    char first[512];
    snprintf(first, sizeof first,
             "CREATE USER IF NOT EXISTS " SERVER_SUPERUSER "@'%%' IDENTIFIED BY '%s';\n"
             "GRANT ALL ON *.* TO " SERVER_SUPERUSER "@'%%' WITH GRANT OPTION;\n"
             "DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root';\n"
             "FLUSH PRIVILEGES;\n",
             own->password);
    server_argument(command, RUN_PROGRAM);
    server_argument(command, "--no-defaults");
    server_argument(command, "--character-set-server=utf8mb4");
    server_argument(command, "--collation-server=utf8mb4_nopad_bin");
    server_argument_settings(command, own, NULL, "--");
    /* Set last, so that no configured setting can override who may reach the server, or the
     * durability of its commits. */
    server_argument(command, "--datadir=%s", own->data);
    /* Any MariaDB server that starts deletes the temporary tables in its tmpdir: in /tmp, those of
     * every other server on the machine, even while statements use them. */
    server_argument(command, "--tmpdir=%s", own->data);
    server_argument(command, "--init-file=%s/" SERVER_SECRET, own->folder);
    server_argument(command, "--skip-networking");
    server_argument(command, "--socket=%s/" MARIADB_SOCKET, own->sockets);
    server_argument(command, "--pid-file=pid");
    server_argument(command, "--skip-name-resolve");
    server_argument(command, "--innodb-flush-log-at-trx-commit=1");
    return server_secret(own, first, error);
}

/* For its help it reads all settings, those of plugins too. */
static void mariadb_server_read_settings(const struct server_own *own,
                                         struct server_command *command)
{
    server_argument(command, RUN_PROGRAM);
    server_argument(command, "--no-defaults");
    server_argument_settings(command, own, NULL, "--");
    server_argument(command, "--datadir=%s", own->data);
    server_argument(command, "--tmpdir=%s", own->data);
    server_argument(command, "--verbose");
    server_argument(command, "--help");
}

/* A wrong setting of a plugin is no error to it: it would go on without InnoDB. */
static const char *mariadb_server_settings_fault(struct arena *arena, int exit_code,
                                                 const char *written)
{
    static const char *const before[] = {"Buffered error: ", RUN_PROGRAM ": "};
    const char *fault = server_settings_fault(arena, exit_code, written, "[ERROR] ");
    for (size_t i = 0; fault && i < sizeof before / sizeof *before; i++) {
        if (strncmp(fault, before[i], strlen(before[i])) == 0)
            fault += strlen(before[i]);
    }
    return fault;
}

/* ---- Asking ---- */

/* The server knows the user and denies access. */
static bool mariadb_server_is_refusal(unsigned number)
{
    static const unsigned refusals[] = {1044, 1045, 1049, 1130, 1142, 1227, 1251, 1698};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (number == refusals[i])
            return true;
    }
    return false;
}

static enum fh_code mariadb_server_failed(MYSQL *link, struct fh_error *error)
{
    unsigned number = mariadb.mysql_errno(link);
    /* Numbers from 2000 on are the client's own: the server did not answer. */
    bool answered = number > 0 && number < 2000 && number != 1040;
    enum fh_code code = error_set(
        error, mariadb_server_is_refusal(number) || answered ? FH_CONFLICT : FH_UNAVAILABLE,
        "MariaDB: %s", mariadb.mysql_error(link));
    snprintf(error->native, sizeof error->native, "%u", number);
    return code;
}

static void mariadb_server_set_tls(MYSQL *link, const json_t *tls)
{
    static const struct {
        const char *key;
        enum mysql_option option;
    } files[] = {
        {"ca", MYSQL_OPT_SSL_CA}, {"certificate", MYSQL_OPT_SSL_CERT}, {"key", MYSQL_OPT_SSL_KEY}};
    my_bool yes = 1;
    if (strcmp(server_text(tls, "mode"), "verify") != 0)
        return;
    mariadb_set_option(link, MYSQL_OPT_SSL_ENFORCE, &yes);
    mariadb_set_option(link, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
    mariadb_set_text(link, MYSQL_OPT_SSL_CIPHER, HTTP_TLS_CIPHERS);
    mariadb_set_text(link, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (*server_text(tls, files[i].key))
            mariadb_set_text(link, files[i].option, server_text(tls, files[i].key));
    }
}

static enum fh_code connect_server(MYSQL *link, const json_t *as, const char *host,
                                   const char *path, const char *database, struct fh_error *error)
{
    char *version = mariadb_before_greeting(link);
    bool connected = mariadb.mysql_real_connect(
        link, host, server_text(as, "user"), server_text(as, "password"), database,
        (unsigned)server_port(as, server_mariadb.port), path, 0);
    mariadb_after_greeting(link, version);
    if (connected)
        return FH_OK;
    enum fh_code code = mariadb_server_failed(link, error);
    if (code == FH_UNAVAILABLE)
        mariadb_tls_failed(server_text(as, "host"), mariadb.mysql_error(link), error);
    return code;
}

static enum fh_code connect_server_locally(MYSQL *link, const json_t *as, const char *database,
                                           struct fh_error *error)
{
    char socket_path[STORE_HOST_SIZE + sizeof MARIADB_SOCKET], path[STORE_SOCKET_SIZE];
    struct store_socket socket;
    enum fh_code code = store_socket_path(server_text(as, "host"), MARIADB_SOCKET, socket_path,
                                          sizeof socket_path, error);
    if (code == FH_OK)
        code = store_socket_open_path(socket_path, &socket, path, error);
    if (code != FH_OK)
        return code;
    code = connect_server(link, as, NULL, path, database, error);
    store_socket_close(&socket);
    return code == FH_OK
               ? store_socket_check_path((int)mariadb.mysql_get_socket(link), socket_path, error)
               : code;
}

/* `database` may be NULL: none. */
static enum fh_code mariadb_server_open_link(const json_t *as, const char *database, MYSQL **ret,
                                             struct fh_error *error)
{
    unsigned seconds = SERVER_CONNECT_S_MAX;
    const char *host = server_text(as, "host");
    unsigned protocol = *host == '/' ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    enum fh_code code = mariadb_load(error);
    if (code != FH_OK)
        return code;
    MYSQL *link = mariadb.mysql_init(NULL);
    FH_ASSERT(link != NULL);
    mariadb_set_option(link, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    mariadb_set_option(link, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mariadb_set_option(link, MYSQL_OPT_PROTOCOL, &protocol); /* for "localhost", too */
    mariadb_distrust(link);
    mariadb_server_set_tls(link, json_object_get(as, "tls"));
    code = *host == '/' ? connect_server_locally(link, as, database, error)
                        : connect_server(link, as, host, NULL, database, error);
    if (code == FH_OK)
        *ret = link;
    else
        mariadb.mysql_close(link);
    return code;
}

/* Stores the first column of the first row in `text`, "" if there is none; NULL: not wanted. */
static enum fh_code mariadb_server_ask(MYSQL *link, struct fh_error *error, char *text, size_t size,
                                       const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static enum fh_code mariadb_server_ask(MYSQL *link, struct fh_error *error, char *text, size_t size,
                                       const char *format, ...)
{
    char statement[STATEMENT_SIZE_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(statement, sizeof statement, format, args);
    va_end(args);
    FH_ASSERT(length < (int)sizeof statement);
    if (mariadb.mysql_real_query(link, statement, (unsigned long)length) != 0)
        return mariadb_server_failed(link, error);
    MYSQL_RES *result = mariadb.mysql_store_result(link);
    if (!result && mariadb.mysql_errno(link) != 0) /* a missing answer is not an empty one */
        return mariadb_server_failed(link, error);
    MYSQL_ROW row = result ? mariadb.mysql_fetch_row(result) : NULL;
    if (text)
        snprintf(text, size, "%s", row && row[0] ? row[0] : "");
    if (result)
        mariadb.mysql_free_result(result);
    return FH_OK;
}

#define TELL(link, error, ...) mariadb_server_ask(link, error, NULL, 0, __VA_ARGS__)

static enum fh_code mariadb_server_enter(const json_t *as, struct fh_error *error)
{
    MYSQL *link;
    const char *database = server_text(as, "database");
    enum fh_code code = mariadb_server_open_link(as, *database ? database : NULL, &link, error);
    if (code == FH_OK) {
        code = TELL(link, error, "SELECT 1");
        mariadb.mysql_close(link);
    }
    return code;
}

/* ---- Providing ---- */

/* The database in a GRANT is a pattern, in which '_' stands for any character. */
static void write_pattern(char out[NAME_SIZE], const char *name)
{
    size_t at = 0;
    for (; *name && at < NAME_SIZE - 2; name++) {
        if (*name == '_')
            out[at++] = '\\';
        out[at++] = *name;
    }
    out[at] = '\0';
}

static enum fh_code mariadb_server_make_user(MYSQL *link, const json_t *store,
                                             struct fh_error *error)
{
    const char *user = server_text(store, "user"), *database = server_text(store, "database");
    char there[8];
    enum fh_code code =
        mariadb_server_ask(link, error, there, sizeof there,
                           "SELECT 1 FROM mysql.user WHERE User = '%s' AND Host = '%%'", user);
    if (code != FH_OK || *there)
        return code;
    code = mariadb_server_ask(link, error, there, sizeof there,
                              "SELECT 1 FROM information_schema.schemata WHERE schema_name = '%s'",
                              database);
    if (code == FH_OK && *there)
        code = server_anothers("MariaDB", database, error);
    if (code == FH_OK)
        code = TELL(link, error, "CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", user,
                    server_text(store, "password"));
    return code;
}

/* Whom somebody else may have made. */
static enum fh_code mariadb_server_make_reader(MYSQL *link, const json_t *store,
                                               struct fh_error *error)
{
    const json_t *reports = json_object_get(store, "reports");
    const char *user = server_text(reports, "user");
    char there[8];
    enum fh_code code =
        mariadb_server_ask(link, error, there, sizeof there,
                           "SELECT 1 FROM mysql.user WHERE User = '%s' AND Host = '%%'", user);
    if (code == FH_OK && !*there)
        code = TELL(link, error, "CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", user,
                    server_text(reports, "password"));
    if (code != FH_OK)
        return code;
    json_t *as = json_copy((json_t *)(uintptr_t)store);
    json_object_update(as, (json_t *)(uintptr_t)reports);
    json_object_del(as, "database"); /* of which he may see nothing yet */
    code = server_entered(as, mariadb_server_enter(as, error), error);
    json_decref(as);
    return code;
}

static enum fh_code mariadb_server_provide(const json_t *admin, const json_t *store,
                                           bool is_private, struct fh_error *error)
{
    (void)is_private; /* a private server never has public rights */
    const char *database = server_text(store, "database");
    bool reports = json_object_get(store, "reports") != NULL;
    char pattern[NAME_SIZE];
    MYSQL *link;
    write_pattern(pattern, database);
    enum fh_code code = mariadb_server_open_link(admin, NULL, &link, error);
    if (code != FH_OK)
        return code;
    code = mariadb_server_make_user(link, store, error);
    if (code == FH_OK)
        code = TELL(link, error,
                    "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 COLLATE "
                    "utf8mb4_nopad_bin",
                    database);
    if (code == FH_OK)
        code = TELL(link, error, "GRANT ALL ON `%s`.* TO '%s'@'%%'%s", pattern,
                    server_text(store, "user"), reports ? " WITH GRANT OPTION" : "");
    if (code == FH_OK && reports)
        code = mariadb_server_make_reader(link, store, error);
    mariadb.mysql_close(link);
    return code;
}

/* ---- Verifying isolation ---- */

static enum fh_code mariadb_server_trespass(const json_t *as, const json_t *store,
                                            char ret[SERVER_OPEN_SIZE], struct fh_error *error)
{
    json_t *there = json_copy((json_t *)(uintptr_t)store);
    json_object_set(there, "user", json_object_get(as, "user"));
    json_object_set(there, "password", json_object_get(as, "password"));
    /* Any right to anything in a database lets a user select it. */
    enum fh_code code = mariadb_server_enter(there, error);
    json_decref(there);
    *ret = '\0';
    if (code == FH_OK)
        snprintf(ret, SERVER_OPEN_SIZE, "enter the database %s", server_text(store, "database"));
    return code == FH_CONFLICT ? FH_OK : code; /* refused, as it must be */
}

static int mariadb_server_connections(int n)
{
    return n + (n + 1) / 2 + 2; /* half as many for reads, 1 for the sequencer, 1 to settle */
}

static enum fh_code mariadb_server_room(const json_t *as, struct server_room *ret,
                                        struct fh_error *error)
{
    char most[16] = "", now[16] = "";
    MYSQL *link;
    enum fh_code code = mariadb_server_open_link(as, server_text(as, "database"), &link, error);
    if (code != FH_OK)
        return code;
    code = mariadb_server_ask(link, error, most, sizeof most, "SELECT @@max_connections");
    if (code == FH_OK)
        code = mariadb_server_ask(link, error, now, sizeof now,
                                  "SELECT variable_value FROM information_schema.global_status "
                                  "WHERE variable_name = 'THREADS_CONNECTED'");
    ret->connections_max = (int)strtol(most, NULL, 10);
    ret->connections = (int)strtol(now, NULL, 10) - 1; /* without this one */
    mariadb.mysql_close(link);
    return code;
}

const struct server_kind server_mariadb = {
    .engine = "mariadb",
    .settings = "",
    .install = "apt-get install mariadb-server",
    .user = "mysql",
    .port = 3306,
    .socket = MARIADB_SOCKET,
    .reports = true,
    .stop_signal = SIGTERM,
    .death_signal = SIGKILL,
    .connections = mariadb_server_connections,
    .programs = mariadb_server_programs,
    .make = mariadb_server_make,
    .run = mariadb_server_run,
    .read_settings = mariadb_server_read_settings,
    .settings_fault = mariadb_server_settings_fault,
    .enter = mariadb_server_enter,
    .provide = mariadb_server_provide,
    .trespass = mariadb_server_trespass,
    .room = mariadb_server_room,
};
