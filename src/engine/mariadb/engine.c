/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine for MariaDB servers. Its files, one concern each:
 *
 *     options.c     where the server is, and whether it keeps what it acknowledges
 *     library.c     the client library, loaded when the engine is chosen
 *     wait.c        one link: the library's nonblocking calls on fibers
 *     connection.c  ... connected and closed
 *     query.c       ... asked for what the engine itself wants to know
 *     pool.c        links of one use: for units of work, for reading
 *     text.c        a statement's text in the form the server takes
 *     bind.c, column.c, statement.c   values in, rows out
 *     error.c       maps the server's errors to ours
 *     work.c        begin, commit, rollback
 *     settle.c      the outcome of a COMMIT that was not answered (mark.c)
 *     report.c      reports: report_link.c runs one, report_words.c looks at its text,
 * report_rights.c says what their user may read opening.c     which process owns the marks, and who
 * removes them
 *
 * There is one thread with many fibers; a fiber that waits for the server parks. On one link the
 * protocol answers one request after the other, so concurrent units of work need a link each; the
 * server groups their syncs.
 *
 * Opening waits for a server that is starting, and holds the migration lock while it creates the
 * ledger's tables: instances may start together.
 */

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/ledger.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"
#include "engine/mariadb/internal.h"

#define OPEN_PAUSE_MS 100

static struct mariadb_store *mariadb_of(struct store *store)
{
    return (struct mariadb_store *)store;
}

static void mariadb_close(struct store *base)
{
    struct mariadb_store *store = mariadb_of(base);
    mariadb_pool_release(&store->works);
    mariadb_pool_release(&store->reads);
    mariadb_connection_free(store->sequencer);
    mariadb_texts_release(&store->texts);
    free(store);
}

/* ---- opening ---- */

static void take_first_name(void *context, char **row)
{
    char *found = context;
    if (!found[0] && row[0])
        snprintf(found, 64, "%s", row[0]);
}

/* A new store compares texts byte by byte; one that already has tables stays as it is. Tables of
 * storage engines other than InnoDB have no transactions. */
static enum fh_code prepare_database(struct mariadb_connection *connection, struct fh_error *error)
{
    char table[64] = "", foreign[64] = "";
    enum fh_code code = mariadb_query(connection,
                                      "SELECT table_name FROM information_schema.tables"
                                      " WHERE table_schema = DATABASE() LIMIT 1",
                                      take_first_name, table, error);
    if (code == FH_OK && !table[0])
        code = mariadb_query(connection,
                             "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", NULL,
                             NULL, error);
    if (code == FH_OK)
        code = mariadb_query(connection,
                             "SELECT table_name FROM information_schema.tables WHERE table_schema ="
                             " DATABASE() AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'"
                             " LIMIT 1",
                             take_first_name, foreign, error);
    if (code == FH_OK && foreign[0])
        return error_set(
            error, FH_UNSUPPORTED,
            "The table %s is not kept by InnoDB: a unit of work could not roll it back.", foreign);
    return code;
}

static enum fh_code provision_ledger(struct mariadb_store *store, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(&store->base, STORE_MIGRATE, &work, error);
    if (code != FH_OK)
        return code;
    struct mariadb_connection *connection = ((struct mariadb_work *)work)->connection;
    code = prepare_database(connection, error);
    if (code == FH_OK)
        code = ledger_prepare(work, store->base.incarnation, error);
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    return store_commit(work, error);
}

/* A replica has its primary's tables, sooner or later. */
static enum fh_code mariadb_read_incarnation(struct mariadb_store *store, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(&store->base, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(work, LEDGER_INCARNATION, store->base.incarnation, ID_SIZE, error);
    store_rollback(work);
    return code;
}

/* Whether the error ("HY000 2002") may come from a server that is only starting. */
static bool may_be_starting(const struct fh_error *error)
{
    static const long numbers[] = {
        CR_CONNECTION_ERROR,     CR_CONN_HOST_ERROR, CR_SERVER_LOST,
        CR_SERVER_LOST_EXTENDED, CR_UNKNOWN_HOST,    CR_SERVER_GONE_ERROR,
        CR_SERVER_HANDSHAKE_ERR, ER_CON_COUNT_ERROR, ER_SERVER_SHUTDOWN};
    const char *number = strchr(error->native, ' ');
    for (size_t i = 0; number && i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strtol(number, NULL, 10) == numbers[i])
            return true;
    }
    return false;
}

static enum fh_code mariadb_open(const struct store_options *options, struct world *world,
                                 struct store **ret, struct fh_error *error)
{
    struct mariadb_store *store = calloc(1, sizeof *store);
    struct fh_error why = {0};
    *ret = NULL;
    if (!store)
        return error_set(error, FH_NO_MEMORY, "No memory for a store.");
    store_init(&store->base, &engine_mariadb, options, world);
    map_init(&store->texts.map);
    store->replica = options->replica;
    int64_t deadline_ns = world_in_ms(world, MARIADB_OPEN_MS);
    enum fh_code code = mariadb_load(&why);
    if (code == FH_OK)
        code = mariadb_options(store, options->server, &why);
    if (code == FH_OK && options->replica)
        code = mariadb_read_incarnation(store, &why);
    while (code == FH_OK && !options->replica && (code = provision_ledger(store, &why)) != FH_OK &&
           may_be_starting(&why) && world_monotonic_ns(world) < deadline_ns) {
        fiber_sleep_until(world, world_in_ms(world, OPEN_PAUSE_MS));
        code = FH_OK;
    }
    if (code == FH_OK && !options->replica)
        code = mariadb_opening_new(store, &why);
    if (code != FH_OK) {
        mariadb_close(&store->base);
        *error = why;
        return code;
    }
    *ret = &store->base;
    return FH_OK;
}

static enum fh_code mariadb_sequence(struct store *store, struct store_placed *placed, int count,
                                     struct fh_error *error)
{
    mariadb_opening_keep(mariadb_of(store));
    return ledger_sequence(store, mariadb_run_alone, placed, count, error);
}

static const struct sql_ops mariadb_sql = {
    .dialect = &mariadb_dialect,
    .list_format = MARIADB_LIST_FORMAT,
    .run = mariadb_work_run,
    .script = mariadb_script,
    .report = mariadb_report,
    .report_fits = mariadb_report_fits,
    .report_rights = mariadb_report_rights,
    .report_try = mariadb_report_try,
    .schema_commits = true,
};

static const struct store_ops mariadb_store = {
    .load = mariadb_load,
    .open = mariadb_open,
    .close = mariadb_close,
    .begin = mariadb_begin,
    .commit = mariadb_commit,
    .rollback = mariadb_rollback,
    .sequence = mariadb_sequence,
    .clock = ledger_clock,
};

const struct engine engine_mariadb = {
    .name = "mariadb",
    .title = "MariaDB",
    .abilities = ENGINE_MANY_INSTANCES,
    .models = 1u << FH_RELATIONAL,
    .store = &mariadb_store,
    .ledger = &ledger_relational,
    .sql = &mariadb_sql,
    .server = &server_mariadb,
};
