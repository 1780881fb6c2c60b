/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL for the suites: a schema of its own for each case, on the server that tools/servers
 * names in FREEHOLD_TEST_POSTGRESQL. */

#include "engine_postgresql.h"

#include <stdlib.h>

#include "engine/postgresql/internal.h"

json_t *postgresql_server(const struct harness *harness)
{
    const char *text = getenv("FREEHOLD_TEST_POSTGRESQL");
    json_t *server = conformance_json(text ? text : "{}");
    const char *name = strrchr(harness->folder, '-') + 1;
    json_object_set_new(server, "database", json_string("postgres"));
    json_object_set_new(server, "schema", json_sprintf("freehold_test_%s", name));
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
    char sql[120];
    json_t *server = postgresql_server(harness);
    struct store_options options = {.service = "conformance", .server = server, .model = model};
    snprintf(sql, sizeof sql, "CREATE SCHEMA IF NOT EXISTS \"%s\"",
             json_string_at(server, "schema"));
    enum fh_code code = postgresql_administer(harness->world, sql, error);
    if (code == FH_OK)
        code = engine_named("postgresql")->store->open(&options, harness->world, ret, error);
    json_decref(server);
    return code;
}

static void drop_on_fiber(void *argument)
{
    char sql[120];
    struct harness *harness = argument;
    struct fh_error error;
    json_t *server = postgresql_server(harness);
    snprintf(sql, sizeof sql, "DROP SCHEMA IF EXISTS \"%s\" CASCADE",
             json_string_at(server, "schema"));
    if (postgresql_administer(harness->world, sql, &error) != FH_OK)
        fprintf(stderr, "a test's schema stays: %s\n", error.message);
    json_decref(server);
}

static void drop(struct harness *harness)
{
    harness_run(harness, drop_on_fiber, harness);
}

const struct conformance_engine conformance_postgresql = {
    .name = "postgresql",
    .models = 1u << FH_RELATIONAL,
    .open = open_in,
    .close = store_close,
    .missing = missing,
    .drop = drop,
    .boolean = "BOOLEAN",
    .json = "JSONB",
    .text = "TEXT",
    .deferrable = true,
    .failure_ends_work = true,
};
