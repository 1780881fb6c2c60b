/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting and disconnecting.
 *
 *     DOWN --postgresql_connect--> CONNECTING --session set, settings checked--> UP
 *     UP --broken--> DOWN
 *
 * The next user of a broken connection reconnects it. After a failed attempt, the next is due only
 * after a delay, which doubles up to about a second and is random, so that the instances of a
 * system don't all return at the same moment. Until then everybody gets the last error at once.
 *
 * Every new connection sets up its session and checks the server (fsync and synchronous_commit must
 * be on, and it must not be a standby): the settings may have changed since the store was opened,
 * and it may be another server.
 */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "engine/postgresql/gate.h"

#define RETRY_MS_MIN 20
#define RETRY_MS_MAX 1000
#define VERSION_MIN 120000
#define PARAMETERS 24

/* ---- Connecting ---- */

struct parameters {
    const char *names[PARAMETERS], *values[PARAMETERS];
    int count;
};

static void add_link_parameter(struct parameters *parameters, const char *name, const char *value)
{
    if (!value[0])
        return;
    FH_ASSERT(parameters->count < PARAMETERS - 1);
    parameters->names[parameters->count] = name;
    parameters->values[parameters->count++] = value;
}

/* `host` is the name, or the folder with the server's socket. */
static PGconn *start_link(const struct postgresql_connection *connection, const char *host,
                          const char *address)
{
    const struct postgresql_store *store = connection->store;
    const struct postgresql_options *options = &store->options;
    const char *password = connection->reports ? options->reports_password : options->password;
    struct parameters parameters = {0};
    char port[12];
    snprintf(port, sizeof port, "%d", options->port);
    add_link_parameter(&parameters, "host", host);
    add_link_parameter(&parameters, "hostaddr", address);
    add_link_parameter(&parameters, "port", port);
    add_link_parameter(&parameters, "dbname", options->database);
    add_link_parameter(&parameters, "user",
                       connection->reports ? options->reports_user : options->user);
    add_link_parameter(&parameters, "password", password);
    add_link_parameter(&parameters, "passfile",
                       "/dev/null"); /* only the configured password counts */
    add_link_parameter(&parameters, "application_name", store->application);
    add_link_parameter(&parameters, "client_encoding", "UTF8");
    add_link_parameter(&parameters, "gssencmode", "disable");
    /* A link that was cut silently is noticed within about ten seconds. */
    add_link_parameter(&parameters, "keepalives_idle", "5");
    add_link_parameter(&parameters, "keepalives_interval", "2");
    add_link_parameter(&parameters, "keepalives_count", "3");
    add_link_parameter(&parameters, "tcp_user_timeout", "10000");
    /* Over TLS a password is proved by SCRAM, bound to the server's certificate, or not at all. */
    if (options->tls.verify && password[0])
        add_link_parameter(&parameters, "channel_binding", "require");
    add_link_parameter(&parameters, "sslmode", options->tls.verify ? "verify-full" : "disable");
    if (options->tls.verify) {
        add_link_parameter(&parameters, "sslrootcert", options->tls.ca);
        add_link_parameter(&parameters, "sslcert", options->tls.certificate);
        add_link_parameter(&parameters, "sslkey", options->tls.key);
    }
    PGconn *pg = postgresql_pq.PQconnectStartParams(parameters.names, parameters.values, 0);
    FH_ASSERT(pg != NULL);
    return pg;
}

void postgresql_socket_name(int port, char ret[static POSTGRESQL_SOCKET_SIZE])
{
    snprintf(ret, POSTGRESQL_SOCKET_SIZE, ".s.PGSQL.%d", port);
}

/* Nothing has been sent by then. */
static enum fh_code start_local_link(struct postgresql_connection *connection,
                                     struct fh_error *error)
{
    const struct postgresql_store *store = connection->store;
    struct store_socket socket;
    char name[POSTGRESQL_SOCKET_SIZE];
    postgresql_socket_name(store->options.port, name);
    enum fh_code code = store_socket_open(store->options.host, sizeof name, &socket, error);
    if (code != FH_OK)
        return code;
    connection->pg = start_link(connection, socket.folder, "");
    store_socket_close(&socket);
    if (postgresql_pq.PQstatus(connection->pg) == CONNECTION_BAD)
        return FH_OK; /* establish_link says why */
    return store_socket_check(postgresql_pq.PQsocket(connection->pg), store->options.host, name,
                              error);
}

static enum fh_code start_remote_link(struct postgresql_connection *connection,
                                      struct fh_error *error)
{
    const struct postgresql_store *store = connection->store;
    char address[WORLD_ADDRESS_SIZE] = "";
    const char *why = world_resolve(store->base.world, store->options.host, address);
    if (why)
        return postgresql_connect_error(store, why, error);
    connection->pg = start_link(connection, store->options.host, address);
    return FH_OK;
}

/* 0: the deadline came first, or it is a link that is to end. */
static unsigned wait_for_link(const struct postgresql_connection *connection, int fd,
                              unsigned events, int64_t deadline_ns)
{
    struct world *world = connection->store->base.world;
    unsigned held = 0;
    while (!held && !(connection->ended && *connection->ended)) {
        held = world_wait_for(world, fd, events, postgresql_looks_ns(connection, deadline_ns));
        if (!connection->ended || world_monotonic_ns(world) >= deadline_ns)
            break;
    }
    return held;
}

static enum fh_code await_link(struct postgresql_connection *connection,
                               struct postgresql_gate *gate, int64_t deadline_ns,
                               struct fh_error *error)
{
    const struct postgresql_store *store = connection->store;
    PGconn *pg = connection->pg;
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
    while (postgresql_pq.PQstatus(pg) != CONNECTION_BAD) {
        if (wants == PGRES_POLLING_OK)
            return FH_OK;
        if (wants == PGRES_POLLING_FAILED)
            break;
        unsigned events = wants == PGRES_POLLING_READING ? WORLD_READABLE : WORLD_WRITABLE;
        if (!wait_for_link(connection, postgresql_gate_socket(gate, pg), events, deadline_ns))
            return postgresql_connect_error(store, "it does not answer", error);
        wants = postgresql_gate_poll(gate, pg);
    }
    if (gate->refused)
        return error_retry(error, FH_UNAVAILABLE, "%s", gate->refused);
    return postgresql_connect_error(store, postgresql_pq.PQerrorMessage(pg), error);
}

/* libpq lets nobody choose ciphers; so what the two have agreed on is looked at (http/tls.h). */
static enum fh_code check_cipher(const struct postgresql_connection *connection,
                                 struct fh_error *error)
{
    const char *cipher = postgresql_pq.PQsslAttribute(connection->pg, "cipher");
    bool modern = cipher && strncmp(cipher, "TLS_", 4) == 0;
    bool forward_secret = cipher && strncmp(cipher, "ECDHE-", 6) == 0 &&
                          (strstr(cipher, "GCM") || strstr(cipher, "CHACHA20"));
    if (modern || forward_secret)
        return FH_OK;
    store_tls_failed(connection->store->options.host, STORE_TLS_WEAK, error);
    return FH_UNAVAILABLE;
}

static enum fh_code establish_link(struct postgresql_connection *connection, int64_t deadline_ns,
                                   struct fh_error *error)
{
    struct postgresql_store *store = connection->store;
    enum fh_code code = store->options.host[0] == '/' ? start_local_link(connection, error)
                                                      : start_remote_link(connection, error);
    if (code != FH_OK)
        return code;
    /* So that a refusal includes its SQLSTATE. */
    postgresql_pq.PQsetErrorVerbosity(connection->pg, PQERRORS_VERBOSE);
    struct postgresql_gate gate;
    postgresql_gate_init(&gate, store->options.host[0] != '/' && !store->options.tls.verify &&
                                    (connection->reports || store->options.password[0]));
    code = await_link(connection, &gate, deadline_ns, error);
    postgresql_gate_release(&gate);
    if (code == FH_OK && store->options.tls.verify)
        code = check_cipher(connection, error);
    return code;
}

/* ---- The session ---- */

/* Ignores notices, except the server's last words to an idle connection. */
static void take_notice(void *context, const PGresult *result)
{
    struct postgresql_connection *connection = context;
    const char *severity = postgresql_pq.PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *sqlstate = postgresql_pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (severity && sqlstate && strcmp(severity, "FATAL") == 0)
        snprintf(connection->farewell, sizeof connection->farewell, "%s", sqlstate);
}

struct session {
    int version;
    char fsync[8], commit[16];
    bool standby;
    char schema[64];
    int backend;
};

static void read_session(void *context, PGresult *result)
{
    struct session *session = context;
    if (postgresql_pq.PQnfields(result) != 6 || postgresql_pq.PQntuples(result) != 1)
        return;
    session->version = (int)strtol(postgresql_pq.PQgetvalue(result, 0, 0), NULL, 10);
    snprintf(session->fsync, sizeof session->fsync, "%s", postgresql_pq.PQgetvalue(result, 0, 1));
    snprintf(session->commit, sizeof session->commit, "%s", postgresql_pq.PQgetvalue(result, 0, 2));
    session->standby = *postgresql_pq.PQgetvalue(result, 0, 3) == 't';
    session->backend = (int)strtol(postgresql_pq.PQgetvalue(result, 0, 4), NULL, 10);
    snprintf(session->schema, sizeof session->schema, "%s", postgresql_pq.PQgetvalue(result, 0, 5));
}

static enum fh_code session_check(const struct postgresql_connection *connection,
                                  const struct session *session, struct fh_error *error)
{
    const struct postgresql_store *store = connection->store;
    if (session->version < VERSION_MIN)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's server is PostgreSQL %d; 12 is the oldest that will do.",
                         session->version / 10000);
    if (store->replica)
        return FH_OK; /* it can fetch again whatever it loses */
    if (strcmp(session->fsync, "on") != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's server has fsync=%s and would lose committed transactions in "
                         "a power failure: set fsync=on.",
                         session->fsync);
    if (strcmp(session->commit, "off") == 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's server has synchronous_commit=off for this user or database "
                         "and would lose committed transactions in a power failure: set it to on.");
    if (session->standby)
        return error_retry(error, FH_UNAVAILABLE,
                           "The store's server is a standby, which takes no writes: it waits to be "
                           "promoted, or the primary is elsewhere.");
    if (!session->schema[0])
        return error_set(
            error, FH_UNSUPPORTED, "The database %s has no schema %s that the user %s may use.",
            store->options.database, store->options.schema[0] ? store->options.schema : "public",
            connection->reports ? store->options.reports_user : store->options.user);
    return FH_OK;
}

static enum fh_code listen_for_positions(struct postgresql_connection *connection,
                                         int64_t deadline_ns, struct fh_error *error)
{
    return postgresql_simple(connection,
                             "SELECT pg_advisory_lock_shared(" POSTGRESQL_LISTENERS ");"
                             "LISTEN " POSTGRESQL_CHANNEL,
                             deadline_ns, NULL, NULL, error);
}

static enum fh_code session_set(struct postgresql_connection *connection, int64_t deadline_ns,
                                struct fh_error *error)
{
    const struct postgresql_options *options = &connection->store->options;
    struct text sql;
    text_init(&sql, 4096);
    text_printf(&sql,
                "SET TimeZone='UTC'; SET DateStyle='ISO, YMD'; SET IntervalStyle='iso_8601';"
                "SET bytea_output='hex'; SET extra_float_digits=1;"
                "SET standard_conforming_strings=on;"
                "SET default_transaction_isolation='read committed';"
                "SET tcp_keepalives_idle=5; SET tcp_keepalives_interval=2;"
                "SET tcp_keepalives_count=3; SET tcp_user_timeout=10000;"
                "SET idle_in_transaction_session_timeout=%d; SET statement_timeout=%d;",
                options->idle_ms, options->statement_timeout_ms);
    if (options->schema[0])
        text_printf(&sql, "SET search_path=\"%s\";", options->schema);
    if (connection->read_only || connection->reports)
        text_add(&sql, "SET default_transaction_read_only=on;");
    if (connection->listens) /* see ledger_schema.c */
        text_add(&sql, "SET enable_seqscan=off; SET enable_bitmapscan=off;"
                       "SET enable_hashjoin=off; SET enable_mergejoin=off;"
                       "SET jit=off; SET plan_cache_mode=force_generic_plan;");
    text_add(&sql, "SELECT current_setting('server_version_num'), current_setting('fsync'),"
                   " current_setting('synchronous_commit'), pg_is_in_recovery(), pg_backend_pid(),"
                   " current_schema()");
    struct session session = {0};
    enum fh_code code =
        postgresql_simple(connection, sql.data, deadline_ns, read_session, &session, error);
    text_release(&sql);
    connection->backend = session.backend;
    memcpy(connection->schema, session.schema, sizeof connection->schema);
    if (code == FH_OK)
        code = session_check(connection, &session, error);
    if (code == FH_OK && connection->listens)
        code = listen_for_positions(connection, deadline_ns, error);
    return code;
}

/* ---- Up and down ---- */

static void put_off_connecting(struct postgresql_store *store, const struct fh_error *error)
{
    int64_t most_ms = RETRY_MS_MIN;
    for (int i = 0; i < store->failures && most_ms < RETRY_MS_MAX; i++)
        most_ms *= 2;
    store->failures++;
    int64_t wait_ms =
        most_ms / 2 + (int64_t)world_random_below(store->base.world, (uint64_t)most_ms);
    store->retry_ns = world_in_ms(store->base.world, wait_ms);
    store->down = *error;
}

enum fh_code postgresql_connect_alone(struct postgresql_connection *connection, int64_t deadline_ns,
                                      struct fh_error *error)
{
    FH_ASSERT(connection->state == CONNECTION_DOWN);
    connection->state = CONNECTION_CONNECTING;
    connection->farewell[0] = '\0';
    enum fh_code code = establish_link(connection, deadline_ns, error);
    if (code == FH_OK) {
        postgresql_pq.PQsetNoticeReceiver(connection->pg, take_notice, connection);
        postgresql_pq.PQsetErrorVerbosity(connection->pg, PQERRORS_DEFAULT);
        postgresql_pq.PQsetnonblocking(connection->pg, 1);
        code = session_set(connection, deadline_ns, error);
    }
    return code;
}

/* An altered one is made what it was when it was connected. To connect anew could fail where the
 * server counts the former one still. */
static bool restore_session(struct postgresql_connection *connection)
{
    int64_t deadline_ns = world_in_ms(connection->store->base.world, POSTGRESQL_CONNECT_MS);
    bool was_altered = connection->altered;
    connection->altered = false;
    if (!was_altered || connection->state != CONNECTION_UP)
        return false;
    enum fh_code code =
        postgresql_simple(connection, "DISCARD ALL", deadline_ns, NULL, NULL, ERROR_UNHEEDED);
    memset(connection->prepared, 0, sizeof connection->prepared);
    if (code == FH_OK)
        code = session_set(connection, deadline_ns, ERROR_UNHEEDED);
    if (code != FH_OK)
        postgresql_disconnect(connection);
    return code == FH_OK;
}

enum fh_code postgresql_connect(struct postgresql_connection *connection, struct fh_error *error)
{
    struct postgresql_store *store = connection->store;
    if (restore_session(connection))
        return FH_OK;
    if (store->failures && world_monotonic_ns(store->base.world) < store->retry_ns) {
        *error = store->down;
        return error->code;
    }
    enum fh_code code = postgresql_connect_alone(
        connection, world_in_ms(store->base.world, POSTGRESQL_CONNECT_MS), error);
    if (code == FH_OK && postgresql_pq.PQenterPipelineMode(connection->pg) != 1)
        code = postgresql_lost_error(error);
    if (code != FH_OK) {
        put_off_connecting(store, error);
        postgresql_disconnect(connection);
        return code;
    }
    store->failures = 0;
    postgresql_pipeline_start(connection);
    return FH_OK;
}

enum fh_code postgresql_connect_first(struct postgresql_connection *connection, int wait_ms,
                                      struct fh_error *error)
{
    struct postgresql_store *store = connection->store;
    int64_t deadline_ns = world_in_ms(store->base.world, wait_ms);
    for (bool told = false;; told = true) {
        enum fh_code code = postgresql_connect(connection, error);
        if (code == FH_OK || postgresql_is_hopeless(error) || store->retry_ns > deadline_ns)
            return code;
        if (!told)
            log_warning("store-awaited", "waiting for the store: %s", error->message);
        fiber_sleep_until(store->base.world, store->retry_ns);
    }
}

/* ---- Outside the pipeline ---- */

/* Gets the next result. False: the connection is gone, or the deadline has passed. */
static bool next_result(struct postgresql_connection *connection, int64_t deadline_ns,
                        PGresult **ret)
{
    PGconn *pg = connection->pg;
    int fd = postgresql_pq.PQsocket(pg);
    for (;;) {
        int left = postgresql_pq.PQflush(pg);
        if (left < 0)
            return false;
        if (left == 0 && !postgresql_pq.PQisBusy(pg))
            break;
        unsigned events = WORLD_READABLE | (left ? WORLD_WRITABLE : 0);
        unsigned held = wait_for_link(connection, fd, events, deadline_ns);
        if (!held || (held & WORLD_READABLE && postgresql_pq.PQconsumeInput(pg) != 1))
            return false;
    }
    *ret = postgresql_pq.PQgetResult(pg);
    return true;
}

static enum fh_code simple_run(struct postgresql_connection *connection, const char *sql,
                               int64_t deadline_ns, void (*visit)(void *context, PGresult *result),
                               void *context, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    PGresult *result;
    if (postgresql_pq.PQsendQuery(connection->pg, sql) != 1)
        return postgresql_lost_error(error);
    while (next_result(connection, deadline_ns, &result)) {
        if (!result)
            return code;
        ExecStatusType status = postgresql_pq.PQresultStatus(result);
        if (status == PGRES_FATAL_ERROR) {
            const char *sqlstate = postgresql_pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
            code = sqlstate ? postgresql_error(result, error) : postgresql_lost_error(error);
        } else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK &&
                   status != PGRES_EMPTY_QUERY) {
            postgresql_pq.PQclear(result);
            error_set(error, FH_UNSUPPORTED, "COPY can't be run here.");
            return FH_UNSUPPORTED;
        } else if (visit) {
            visit(context, result);
        }
        postgresql_pq.PQclear(result);
    }
    return code == FH_OK ? postgresql_lost_error(error) : code;
}

enum fh_code postgresql_simple(struct postgresql_connection *connection, const char *sql,
                               int64_t deadline_ns, void (*visit)(void *context, PGresult *result),
                               void *context, struct fh_error *error)
{
    if (connection->state == CONNECTION_CONNECTING)
        return simple_run(connection, sql, deadline_ns, visit, context, error);
    if (connection->state != CONNECTION_UP)
        return postgresql_lost_error(error);
    postgresql_drain(connection);
    if (connection->state != CONNECTION_UP)
        return postgresql_lost_error(error);
    postgresql_unwatch(connection);
    enum fh_code code = FH_OK;
    if (postgresql_pq.PQexitPipelineMode(connection->pg) != 1)
        code = postgresql_lost_error(error);
    if (code == FH_OK)
        code = simple_run(connection, sql, deadline_ns, visit, context, error);
    if (postgresql_pq.PQstatus(connection->pg) == CONNECTION_BAD ||
        postgresql_pq.PQenterPipelineMode(connection->pg) != 1)
        postgresql_disconnect(connection);
    else
        postgresql_watch(connection, false);
    return code;
}
