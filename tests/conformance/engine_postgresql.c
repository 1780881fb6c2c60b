/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL for the suites: a schema of its own for each case, on the server that tools/servers
 * names in FREEHOLD_TEST_POSTGRESQL. */

#include "engine_postgresql.h"

#include <ctype.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "engine/engines.h"
#include "engine/postgresql/internal.h"

json_t *postgresql_server(const struct harness *harness)
{
    const char *text = getenv("FREEHOLD_TEST_POSTGRESQL");
    json_t *server = conformance_json(text ? text : "{}");
    const char *name = strrchr(harness->folder, '-') + 1;
    json_object_set_new(server, "database", json_string("postgres"));
    json_object_set_new(server, "schema", json_sprintf("freehold_test_%s", name));
    json_object_set_new(server, "reports",
                        json_pack("{s:o, s:s}", "user",
                                  json_sprintf("freehold_test_%s.reports", name), "password",
                                  "reports"));
    return server;
}

static const char *missing(void)
{
    return getenv("FREEHOLD_TEST_POSTGRESQL")
               ? NULL
               : "FREEHOLD_TEST_POSTGRESQL names no server (tools/servers run ...)";
}

void postgresql_administrator_free(struct postgresql_connection *connection)
{
    if (!connection)
        return;
    postgresql_disconnect(connection);
    free(connection->store);
    free(connection);
}

struct postgresql_connection *postgresql_administrator(struct world *world, struct fh_error *error)
{
    json_t *server = conformance_json(getenv("FREEHOLD_TEST_POSTGRESQL"));
    json_object_set_new(server, "database", json_string("postgres"));
    struct postgresql_store *store = calloc(1, sizeof *store);
    struct postgresql_connection *connection = calloc(1, sizeof *connection);
    FH_ASSERT(store && connection);
    store->base.world = world;
    connection->store = store;
    postgresql_pipeline_init(connection);
    enum fh_code code = postgresql_load(error);
    if (code == FH_OK)
        code = postgresql_options_read(server, &store->options, error);
    if (code == FH_OK)
        code = postgresql_connect(connection, error);
    json_decref(server);
    if (code == FH_OK)
        return connection;
    postgresql_administrator_free(connection);
    return NULL;
}

enum fh_code postgresql_administer(struct world *world, const char *sql, struct fh_error *error)
{
    struct postgresql_connection *connection = postgresql_administrator(world, error);
    if (!connection)
        return error->code;
    enum fh_code code = postgresql_simple(connection, sql, -1, NULL, NULL, error);
    postgresql_administrator_free(connection);
    return code;
}

static enum fh_code open_in(struct harness *harness, enum fh_model model, struct store **ret,
                            struct fh_error *error)
{
    char sql[640];
    json_t *server = postgresql_server(harness);
    struct store_options options = {.service = "conformance", .server = server, .model = model};
    const char *schema = json_string_at(server, "schema");
    const char *user = json_string_at(server, "reports.user");
    snprintf(sql, sizeof sql,
             "CREATE SCHEMA IF NOT EXISTS \"%s\";"
             "DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') THEN"
             " CREATE ROLE \"%s\" LOGIN PASSWORD 'reports'; END IF; END$$;"
             "GRANT USAGE ON SCHEMA \"%s\" TO \"%s\"",
             schema, user, user, schema, user);
    enum fh_code code = postgresql_administer(harness->world, sql, error);
    if (code == FH_OK)
        code = engine_named("postgresql")->store->open(&options, harness->world, ret, error);
    json_decref(server);
    return code;
}

static void drop_on_fiber(void *argument)
{
    char sql[320];
    struct harness *harness = argument;
    struct fh_error error;
    json_t *server = postgresql_server(harness);
    snprintf(sql, sizeof sql, "DROP SCHEMA IF EXISTS \"%s\" CASCADE; DROP ROLE IF EXISTS \"%s\"",
             json_string_at(server, "schema"), json_string_at(server, "reports.user"));
    if (postgresql_administer(harness->world, sql, &error) != FH_OK)
        fprintf(stderr, "a test's schema stays: %s\n", error.message);
    json_decref(server);
}

static void drop(struct harness *harness)
{
    harness_run(harness, drop_on_fiber, harness);
}

/* ---- Between the statements of the sequencer ---- */

#define NAME_POSTGRESQL "(abs(hashtext(current_schema())) % 1000000000)"

static void cut_sequencer(struct store *store)
{
    shutdown(postgresql_pq.PQsocket(((struct postgresql_store *)store)->sequence.pg), SHUT_RDWR);
}

static enum fh_code administer(struct harness *harness, const char *sql, struct fh_error *error)
{
    return postgresql_administer(harness->world, sql, error);
}

static enum fh_code make_elsewhere(struct harness *harness, char *name, json_t **ret_server,
                                   struct fh_error *error)
{
    char sql[96];
    for (char *at = name; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
    *ret_server = postgresql_server(harness);
    json_object_del(*ret_server, "schema");
    return administer(harness, sql, error);
}

static const struct sequencer_words sequencer = {
    .source = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'fh_sequence'"
              " AND pronamespace = (SELECT oid FROM pg_namespace"
              " WHERE nspname = current_schema())",
    .drop = "DROP FUNCTION fh_sequence",
    .begins = "\nBEGIN\n",
    .gate = "IF (CASE WHEN pg_try_advisory_xact_lock(" NAME_POSTGRESQL ", 0)"
            " THEN pg_advisory_xact_lock(" NAME_POSTGRESQL ", 1) IS NULL END) THEN"
            " END IF;\n",
    .close = "SELECT pg_advisory_xact_lock(" NAME_POSTGRESQL ", 1)",
    .at_gate = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
               " AND classid = CAST(" NAME_POSTGRESQL " AS oid) AND objid = 1",
    .at_lock = "SELECT count(DISTINCT l.pid) FROM pg_locks l WHERE NOT l.granted"
               " AND (l.locktype IN ('transactionid', 'tuple') AND l.pid IN (SELECT r.pid"
               " FROM pg_locks r WHERE r.relation = CAST('fh_counter' AS regclass))"
               " OR l.locktype = 'advisory' AND l.classid ="
               " CAST(hashtext('freehold.keys.' || current_schema()) AS oid))",
    .look_ms = 5,
    .cut = cut_sequencer,
    .make_elsewhere = make_elsewhere,
    .administer = administer,
};

static const struct conformance_engine postgresql = {
    .name = "postgresql",
    .models = 1u << FH_RELATIONAL,
    .open = open_in,
    .close = store_close,
    .missing = missing,
    .drop = drop,
    .boolean = "BOOLEAN",
    .json = "JSONB",
    .decimals = "d NUMERIC(12, 2), w NUMERIC(65, 30)",
    .text = "TEXT",
    .bytes = "BYTEA",
    .counted = "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    .analyze = "ANALYZE boxes",
    .deferrable = true,
    .failure_ends_work = true,
    .sequencer = &sequencer,
};

const struct conformance_engine *const conformance_postgresql[] = {&postgresql, NULL};
