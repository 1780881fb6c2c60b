/* SPDX-License-Identifier: Apache-2.0 */
/* MariaDB for the suites: a database of its own for each case, on the server that tools/servers
 * names in FREEHOLD_TEST_MARIADB. */

#include "engine_mariadb.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "engine/engines.h"
#include "engine/mariadb/internal.h"

json_t *mariadb_test_server(const struct harness *harness)
{
    const char *text = getenv("FREEHOLD_TEST_MARIADB");
    json_t *server = conformance_json(text ? text : "{}");
    const char *name = strrchr(harness->folder, '-') + 1;
    json_object_set_new(server, "database", json_sprintf("freehold_test_%s", name));
    json_object_set_new(server, "reports",
                        json_pack("{s:o, s:s}", "user",
                                  json_sprintf("freehold_test_%s.reports", name), "password",
                                  "reports"));
    return server;
}

static const char *missing(void)
{
    return getenv("FREEHOLD_TEST_MARIADB")
               ? NULL
               : "FREEHOLD_TEST_MARIADB names no server (tools/servers run ...)";
}

enum fh_code mariadb_test_administer(struct harness *harness, const char *sql, mariadb_row *row,
                                     void *context, struct fh_error *error)
{
    struct mariadb_store store = {.base = {.world = harness->world}};
    struct mariadb_connection *connection = NULL;
    json_t *server = mariadb_test_server(harness);
    enum fh_code code = mariadb_load(error);
    if (code == FH_OK)
        code = mariadb_options(&store, server, error);
    json_decref(server);
    snprintf(store.database, sizeof store.database, "information_schema");
    if (code == FH_OK)
        code = mariadb_connection_new(&store, MARIADB_SEQUENCER, &connection, error);
    if (code == FH_OK)
        code = mariadb_query(connection, sql, row, context, error);
    mariadb_connection_free(connection);
    return code;
}

static enum fh_code open_in(struct harness *harness, enum fh_model model, struct store **ret,
                            struct fh_error *error)
{
    char sql[320];
    json_t *server = mariadb_test_server(harness);
    struct store_options options = {.service = "conformance", .server = server, .model = model};
    snprintf(sql, sizeof sql,
             "CREATE DATABASE IF NOT EXISTS %s; CREATE USER IF NOT EXISTS '%s'@'%%'"
             " IDENTIFIED BY 'reports'",
             json_string_at(server, "database"), json_string_at(server, "reports.user"));
    enum fh_code code = mariadb_test_administer(harness, sql, NULL, NULL, error);
    if (code == FH_OK)
        code = engine_named("mariadb")->store->open(&options, harness->world, ret, error);
    json_decref(server);
    return code;
}

static void drop_on_fiber(void *argument)
{
    struct harness *harness = argument;
    struct fh_error error;
    char sql[320];
    json_t *server = mariadb_test_server(harness);
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s; DROP USER IF EXISTS '%s'@'%%'",
             json_string_at(server, "database"), json_string_at(server, "reports.user"));
    if (mariadb_test_administer(harness, sql, NULL, NULL, &error) != FH_OK)
        fprintf(stderr, "a test's database stays: %s\n", error.message);
    json_decref(server);
}

static void drop(struct harness *harness)
{
    harness_run(harness, drop_on_fiber, harness);
}

/* ---- Between the statements of the sequencer ---- */

static void cut_sequencer(struct store *store)
{
    struct mariadb_connection *sequencer = ((struct mariadb_store *)store)->sequencer;
    shutdown(mariadb.mysql_get_socket(sequencer->mysql), SHUT_RDWR);
}

static enum fh_code administer(struct harness *harness, const char *sql, struct fh_error *error)
{
    return mariadb_test_administer(harness, sql, NULL, NULL, error);
}

static enum fh_code make_elsewhere(struct harness *harness, char *name, json_t **ret_server,
                                   struct fh_error *error)
{
    char sql[96];
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
    *ret_server = mariadb_test_server(harness);
    return administer(harness, sql, error);
}

static const struct sequencer_words sequencer = {
    .source = "SELECT CONCAT('CREATE PROCEDURE fh_sequence (IN wanted LONGTEXT)"
              " MODIFIES SQL DATA\n', routine_definition) FROM information_schema.routines"
              " WHERE routine_schema = DATABASE() AND routine_name = 'fh_sequence'",
    .drop = "DROP PROCEDURE fh_sequence",
    .drops = true,
    .begins = "START TRANSACTION;\n",
    .gate = "IF GET_LOCK(CONCAT(DATABASE(), '.first'), 0) THEN"
            " DO GET_LOCK(CONCAT(DATABASE(), '.gate'), 60);"
            " DO RELEASE_LOCK(CONCAT(DATABASE(), '.gate'));"
            " DO RELEASE_LOCK(CONCAT(DATABASE(), '.first')); END IF;\n",
    .close = "SELECT GET_LOCK(CONCAT(DATABASE(), '.gate'), 60)",
    .open = "SELECT RELEASE_LOCK(CONCAT(DATABASE(), '.gate'))",
    .at_gate = "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE()"
               " AND state = 'User lock'",
    .at_lock = "SELECT count(*) FROM information_schema.innodb_trx t"
               " JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id"
               " WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()",
    .look_ms = 120,
    .cut = cut_sequencer,
    .make_elsewhere = make_elsewhere,
    .administer = administer,
};

static const struct conformance_engine engine = {
    .name = "mariadb",
    .models = 1u << FH_RELATIONAL,
    .open = open_in,
    .close = store_close,
    .missing = missing,
    .drop = drop,
    .boolean = "BOOLEAN",
    .json = "JSON",
    .decimals = "d DECIMAL(12, 2), w DECIMAL(65, 30)",
    .signless_zero = 1u << FH_RELATIONAL,
    .text = "LONGTEXT",
    .bytes = "BLOB",
    .counted = "BIGINT AUTO_INCREMENT PRIMARY KEY",
    .analyze = "ANALYZE TABLE boxes",
    .sequencer = &sequencer,
};

const struct conformance_engine *const conformance_mariadb[] = {&engine, NULL};
