/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One link to a MariaDB server, on fibers: the client library's nonblocking calls say what they
 * wait for, and the fiber parks until its socket is ready or its deadline comes. The socket is
 * always watched: for a waiting fiber, or else to notice a server that leaves (restarted, or
 * closing an idle link) before the link is used again.
 *
 * A link in an unknown state (an answer came late or not at all) is `broken` and not used again:
 * the server rolls back what was open on it.
 *
 * Passwords go only to the library: they appear in no message, log line or process list.
 * Authentication methods that would send one in clear text are refused.
 */

#include <errmsg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/mariadb/internal.h"

#define TEXT_OF(what) #what
#define TEXT(number) TEXT_OF(number)
#define AUTHENTICATION "mysql_native_password,client_ed25519,caching_sha2_password"

/* ---- waiting ---- */

static void watch(struct mariadb_connection *connection, unsigned events)
{
    if (connection->watched == events)
        return;
    connection->poll.fd = (int)mariadb.mysql_get_socket(connection->mysql);
    world_poll_start(connection->store->base.world, &connection->poll, events);
    connection->watched = events;
}

static void unwatch(struct mariadb_connection *connection)
{
    world_poll_stop(connection->store->base.world, &connection->poll);
    connection->watched = 0;
}

static void wait_ends(struct mariadb_connection *connection, unsigned held)
{
    struct fiber *fiber = connection->waiting;
    connection->waiting = NULL;
    connection->held = held;
    world_timer_stop(connection->store->base.world, &connection->timer);
    fiber_ready(fiber);
}

static void on_ready(struct world_poll *poll, unsigned events)
{
    struct mariadb_connection *connection = poll->owner;
    if (connection->waiting) {
        wait_ends(connection, events);
        return;
    }
    /* Either its rows are being read, or it is idle and the server leaves. */
    unwatch(connection);
    if (!connection->running && connection->mysql)
        connection->broken = true;
}

static void on_late(struct world_timer *timer)
{
    wait_ends(timer->owner, 0);
}

void mariadb_connection_break(struct mariadb_connection *connection)
{
    connection->broken = true;
    unwatch(connection);
}

void mariadb_watch_idle(struct mariadb_connection *connection)
{
    if (!connection->broken)
        watch(connection, WORLD_READABLE);
}

int mariadb_wait(struct mariadb_connection *connection, int status)
{
    unsigned events = status & MYSQL_WAIT_WRITE ? WORLD_WRITABLE : WORLD_READABLE;
    if (status & MYSQL_WAIT_WRITE && status & MYSQL_WAIT_READ)
        events |= WORLD_READABLE;
    watch(connection, events);
    connection->waiting = fiber_self();
    world_timer_start(connection->store->base.world, &connection->timer, connection->deadline_ns);
    fiber_park();
    if (!connection->connected)
        unwatch(connection); /* if this address fails, the next one gets another socket */
    if (!connection->held) {
        connection->broken = true; /* a later answer would be taken for that of another request */
        return MYSQL_WAIT_TIMEOUT;
    }
    return (connection->held & WORLD_READABLE ? MYSQL_WAIT_READ : 0) |
           (connection->held & WORLD_WRITABLE ? MYSQL_WAIT_WRITE : 0);
}

/* ---- text ---- */

static enum fh_code connection_fail(struct mariadb_connection *connection, struct fh_error *error)
{
    struct mariadb_failure failure = {.number = mariadb.mysql_errno(connection->mysql)};
    snprintf(failure.state, sizeof failure.state, "%s", mariadb.mysql_sqlstate(connection->mysql));
    snprintf(failure.message, sizeof failure.message, "%s", mariadb.mysql_error(connection->mysql));
    return mariadb_fail(connection, &failure, error);
}

static bool take_rows(struct mariadb_connection *connection, mariadb_row *row, void *context)
{
    MYSQL_RES *result = NULL;
    MARIADB_WAITING(connection, mysql_store_result, &result, connection->mysql);
    if (!result)
        return mariadb.mysql_field_count(connection->mysql) == 0;
    for (char **texts; (texts = mariadb.mysql_fetch_row(result)) != NULL;) {
        if (row)
            row(context, texts);
    }
    mariadb.mysql_free_result(result);
    return true;
}

enum fh_code mariadb_query(struct mariadb_connection *connection, const char *sql, mariadb_row *row,
                           void *context, struct fh_error *error)
{
    MYSQL *mysql = connection->mysql;
    int failed = 0;
    connection->deadline_ns = world_in_ms(connection->store->base.world, connection->statement_ms);
    MARIADB_WAITING_WITH(connection, mysql_real_query, &failed, mysql, sql,
                         (unsigned long)strlen(sql));
    for (;;) {
        if (failed || !take_rows(connection, row, context))
            return connection_fail(connection, error);
        if (!mariadb.mysql_more_results(mysql))
            return FH_OK;
        MARIADB_WAITING(connection, mysql_next_result, &failed, mysql);
    }
}

/* ---- connecting ---- */

static void set_options(struct mariadb_connection *connection)
{
    struct mariadb_store *store = connection->store;
    MYSQL *mysql = connection->mysql;
    my_bool yes = 1, no = 0;
    unsigned int none = 0;
    unsigned int protocol = store->socket[0] ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    unsigned long packet = MARIADB_PACKET_SIZE_MAX;
    mariadb.mysql_options(mysql, MYSQL_OPT_NONBLOCK, NULL);
    mariadb.mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mariadb.mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol); /* for "localhost", too */
    mariadb.mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &none);
    mariadb.mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    mariadb.mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
    mariadb.mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH, AUTHENTICATION);
    if (!store->tls.verify)
        return;
    mariadb.mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
    mariadb.mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
    mariadb.mysql_options(mysql, MYSQL_OPT_SSL_CA, store->tls.ca);
    if (!store->tls.certificate[0])
        return;
    mariadb.mysql_options(mysql, MYSQL_OPT_SSL_CERT, store->tls.certificate);
    mariadb.mysql_options(mysql, MYSQL_OPT_SSL_KEY, store->tls.key);
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
static enum fh_code look_up(struct mariadb_store *store, char ret[static WORLD_ADDRESS_SIZE],
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

enum fh_code mariadb_connection_new(struct mariadb_store *store, enum mariadb_use use,
                                    struct mariadb_connection **ret, struct fh_error *error)
{
    char address[WORLD_ADDRESS_SIZE] = "";
    *ret = NULL;
    enum fh_code code = look_up(store, address, error);
    if (code != FH_OK)
        return code;
    struct mariadb_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return error_set(error, FH_NO_MEMORY, "No memory for a connection.");
    connection->store = store;
    connection->use = use;
    connection->statement_ms = MARIADB_STATEMENT_MS;
    connection->poll = (struct world_poll){.ready = on_ready, .owner = connection};
    connection->timer = (struct world_timer){.fire = on_late, .owner = connection};
    connection->mysql = mariadb.mysql_init(NULL);
    FH_ASSERT(connection->mysql != NULL);
    connection->deadline_ns = world_in_ms(store->base.world, MARIADB_CONNECT_MS);
    connection->running = true;
    set_options(connection);
    MYSQL *connected = NULL;
    const char *host = store->tls.verify ? store->host : address;
    MARIADB_WAITING_WITH(connection, mysql_real_connect, &connected, connection->mysql,
                         store->socket[0] ? NULL : host, store->user, store->password,
                         store->database, store->port, store->socket[0] ? store->socket : NULL,
                         CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS);
    code = connected ? FH_OK : connection_fail(connection, error);
    connection->connected = code == FH_OK;
    if (code == FH_OK)
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

void mariadb_connection_free(struct mariadb_connection *connection)
{
    if (!connection)
        return;
    FH_ASSERT(!connection->waiting);
    unwatch(connection);
    mariadb.mysql_close(connection->mysql);
    mariadb_statements_release(connection);
    free(connection);
}
