/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One link to a MariaDB server, from connecting to closing.
 *
 * Passwords go only to the library: they appear in no message, log line or process list.
 * Authentication methods that would send one in clear text are refused.
 */

#include <errmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mariadb/internal.h"
#include "http/tls.h"

#define TEXT_OF(what) #what
#define TEXT(number) TEXT_OF(number)
/* caching_sha2_password tells the password to whoever holds the key that the server itself
 * sends. */
#define AUTHENTICATION "mysql_native_password,client_ed25519"

/* The library puts the greeting's version in its place, without freeing it, and then sets the
 * thread's number; without a greeting it frees it. Who greets with the number 0, which no server
 * has, costs us this byte. */
char *mariadb_before_greeting(MYSQL *mysql)
{
    mysql->server_version = strdup("");
    FH_ASSERT(mysql->server_version != NULL);
    return mysql->server_version;
}

void mariadb_after_greeting(const MYSQL *mysql, char *version)
{
    if (mysql->thread_id != 0)
        free(version);
}

void mariadb_set_option(MYSQL *mysql, enum mysql_option option, const void *value)
{
    FH_ASSERT(mariadb.mysql_optionsv(mysql, option, value) == 0);
}

void mariadb_set_text(MYSQL *mysql, enum mysql_option option, const char *text)
{
    const char *taken = NULL;
    mariadb_set_option(mysql, option, text);
    mariadb.mysql_get_optionv(mysql, option, &taken);
    FH_ASSERT(taken && strcmp(taken, text) == 0);
}

void mariadb_distrust(MYSQL *mysql)
{
    const unsigned none = 0;
    mariadb_set_option(mysql, MYSQL_OPT_LOCAL_INFILE, &none);
    mariadb_set_option(mysql, MARIADB_OPT_RESTRICTED_AUTH, AUTHENTICATION); /* it tells nobody */
}

static void set_options(struct mariadb_connection *connection)
{
    struct mariadb_store *store = connection->store;
    MYSQL *mysql = connection->mysql;
    my_bool yes = 1, no = 0;
    unsigned int protocol = store->socket[0] ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    unsigned long packet =
        connection->use == MARIADB_REPORTS ? MARIADB_REPORT_ROW_SIZE_MAX : MARIADB_PACKET_SIZE_MAX;
    mariadb_set_option(mysql, MYSQL_OPT_NONBLOCK, NULL);
    mariadb_set_option(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mariadb_set_option(mysql, MYSQL_OPT_PROTOCOL, &protocol); /* for "localhost", too */
    mariadb_set_option(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    mariadb_set_option(mysql, MYSQL_OPT_RECONNECT, &no);
    mariadb_distrust(mysql);
    if (!store->tls.verify)
        return;
    mariadb_set_option(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
    mariadb_set_option(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
    mariadb_set_text(mysql, MYSQL_OPT_SSL_CA, store->tls.ca);
    mariadb_set_text(mysql, MYSQL_OPT_SSL_CIPHER, HTTP_TLS_CIPHERS);
    mariadb_set_text(mysql, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    if (!store->tls.certificate[0])
        return;
    mariadb_set_text(mysql, MYSQL_OPT_SSL_CERT, store->tls.certificate);
    mariadb_set_text(mysql, MYSQL_OPT_SSL_KEY, store->tls.key);
}

/* Makes SQL written for another engine mean the same here: "names" in double quotes, ||
 * concatenates texts, a backslash is an ordinary character, texts compare byte by byte, a value
 * that does not fit is an error, and times are UTC. */
static enum fh_code set_session(struct mariadb_connection *connection, struct fh_error *error)
{
    static const char *const of_use[] = {
        [MARIADB_WORKS] = "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE;"
                          "SET autocommit = 0, idle_transaction_timeout = " TEXT(MARIADB_IDLE_S),
        [MARIADB_READS] = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                          "SET autocommit = 1",
        [MARIADB_SEQUENCER] = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
                              "SET autocommit = 1",
        [MARIADB_REPORTS] = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                            "SET autocommit = 1",
        [MARIADB_MIGRATIONS] = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
                               "SET autocommit = 0, wait_timeout = " TEXT(MARIADB_MIGRATION_IDLE_S),
    };
    char sql[768];
    snprintf(
        sql, sizeof sql,
        "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin;"
        "SET sql_mode = 'TRADITIONAL,ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES',"
        " time_zone = '+00:00', default_storage_engine = InnoDB, innodb_lock_wait_timeout = %d,"
        " lock_wait_timeout = %d, max_recursive_iterations = 1000000;%s",
        MARIADB_LOCK_WAIT_S, MARIADB_LOCK_WAIT_S, of_use[connection->use]);
    return mariadb_query(connection, sql, NULL, NULL, error);
}

/* The library gets the resolved address; with TLS it gets the name, which the certificate is for,
 * and resolves that itself, by then from a cache. */
static enum fh_code look_up_server(struct mariadb_store *store, char ret[static WORLD_ADDRESS_SIZE],
                                   struct fh_error *error)
{
    const char *why = store->socket[0] ? NULL : world_resolve(store->base.world, store->host, ret);
    if (!why)
        return FH_OK;
    error_set(error, FH_UNAVAILABLE, "The address of the store's server %.64s is not known: %s.",
              store->host, why);
    /* as the library reports it */
    snprintf(error->native, sizeof error->native, "HY000 %d", CR_UNKNOWN_HOST);
    return FH_UNAVAILABLE;
}

/* Connects, or says why not. */
static enum fh_code connect_to_server(struct mariadb_connection *connection, const char *host,
                                      const char *path, struct fh_error *error)
{
    struct mariadb_store *store = connection->store;
    bool reports = connection->use == MARIADB_REPORTS;
    MYSQL *connected = NULL;
    char *version = mariadb_before_greeting(connection->mysql);
    MARIADB_WAITING_WITH(connection, mysql_real_connect, &connected, connection->mysql, host,
                         reports ? store->reports_user : store->user,
                         reports ? store->reports_password : store->password,
                         reports ? NULL : store->database, store->port, path,
                         CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS);
    mariadb_after_greeting(connection->mysql, version);
    return connected ? FH_OK : mariadb_connection_fail(connection, error);
}

/* The listener is checked before it is asked anything; the methods of authentication have told it
 * nothing that it could use. */
static enum fh_code connect_locally(struct mariadb_connection *connection, struct fh_error *error)
{
    const char *socket_path = connection->store->socket;
    char path[STORE_SOCKET_SIZE];
    struct store_socket socket;
    enum fh_code code = store_socket_open_path(socket_path, &socket, path, error);
    if (code != FH_OK)
        return code;
    code = connect_to_server(connection, NULL, path, error);
    store_socket_close(&socket);
    if (code != FH_OK)
        return code;
    return store_socket_check_path((int)mariadb.mysql_get_socket(connection->mysql), socket_path,
                                   error);
}

static struct mariadb_connection *connection_made(struct mariadb_store *store, enum mariadb_use use)
{
    struct mariadb_connection *connection = calloc(1, sizeof *connection);
    FH_ASSERT(connection != NULL);
    connection->store = store;
    connection->use = use;
    connection->statement_ms = MARIADB_STATEMENT_MS;
    mariadb_wait_init(connection);
    connection->mysql = mariadb.mysql_init(NULL);
    FH_ASSERT(connection->mysql != NULL);
    return connection;
}

/* On failure it is freed. A server that keeps nothing for sure has reports all the same. */
static enum fh_code connection_open(struct mariadb_connection *connection,
                                    struct mariadb_connection **ret, struct fh_error *error)
{
    struct mariadb_store *store = connection->store;
    char address[WORLD_ADDRESS_SIZE] = "";
    *ret = NULL;
    enum fh_code code = look_up_server(store, address, error);
    if (code != FH_OK) {
        mariadb_connection_free(connection);
        return code;
    }
    connection->deadline_ns = world_in_ms(store->base.world, MARIADB_CONNECT_MS);
    connection->running = true;
    set_options(connection);
    const char *host = store->tls.verify ? store->host : address;
    code = store->socket[0] ? connect_locally(connection, error)
                            : connect_to_server(connection, host, NULL, error);
    connection->connected = code == FH_OK;
    if (code == FH_OK && connection->use != MARIADB_REPORTS)
        code = mariadb_check(connection, error);
    if (code == FH_OK)
        code = set_session(connection, error);
    connection->running = false;
    if (code != FH_OK) {
        mariadb_connection_free(connection);
        return code;
    }
    *ret = connection;
    return FH_OK;
}

enum fh_code mariadb_connection_new(struct mariadb_store *store, enum mariadb_use use,
                                    struct mariadb_connection **ret, struct fh_error *error)
{
    return connection_open(connection_made(store, use), ret, error);
}

enum fh_code mariadb_connection_for_reports(struct mariadb_store *store, int64_t ends_ns,
                                            bool of_question, struct mariadb_connection **ret,
                                            struct fh_error *error)
{
    struct mariadb_connection *connection = connection_made(store, MARIADB_REPORTS);
    connection->ends_ns = ends_ns;
    connection->of_question = of_question;
    return connection_open(connection, ret, error);
}

void mariadb_connection_free(struct mariadb_connection *connection)
{
    if (!connection)
        return;
    FH_ASSERT(!connection->waiting);
    mariadb_unwatch(connection);
    if (connection->use != MARIADB_REPORTS) /* one of these is closed whatever happens */
        connection->store->base.losses += connection->connected;
    mariadb.mysql_close(connection->mysql);
    mariadb_statements_release(connection);
    free(connection);
}
