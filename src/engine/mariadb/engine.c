/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine for MariaDB servers. One file an idea:
 *
 *     mariadb_options     where the server is, and whether it keeps what it acknowledges
 *     mariadb_library     the client library, loaded when the engine is chosen
 *     mariadb_connection  one link: the library's nonblocking calls on fibers
 *     mariadb_pool        links of one use: for works, for reading
 *     mariadb_text        a statement's text as the server is given it
 *     mariadb_bind, mariadb_column, mariadb_statement   values in, rows out
 *     mariadb_error       the server's errors as ours
 *     mariadb_work        begin, commit, rollback
 *     mariadb_settle      what became of a COMMIT that nobody answered (mark.c)
 *     mariadb_opening     whose the marks are, and who removes them
 *
 * All is one thread and many fibers; whoever waits for the server parks. The protocol answers one
 * request after the other on a link, so that works side by side need a link each; the server
 * groups their syncs.
 *
 * Opening waits for a server that is starting, and takes the lock of migrations while the ledger's
 * tables are made: instances may start together.
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

static struct mariadb_store *store_of(struct store *store)
{
    return (struct mariadb_store *)store;
}

static void mariadb_close(struct store *base)
{
    struct mariadb_store *store = store_of(base);
    mariadb_pool_release(&store->works);
    mariadb_pool_release(&store->reads);
    mariadb_connection_free(store->sequencer);
    mariadb_texts_release(&store->texts);
    free(store);
}

/* ---- opening ---- */

static void take_first(void *context, char **row)
{
    char *found = context;
    if (!found[0] && row[0])
        snprintf(found, 64, "%s", row[0]);
}

/* A new store compares texts byte by byte; one whose tables were made otherwise stays as it is.
 * Tables of other engines know no transactions. */
static enum fh_code prepare_database(struct mariadb_connection *connection, struct fh_error *error)
{
    char table[64] = "", foreign[64] = "";
    enum fh_code code = mariadb_query(connection,
                                      "SELECT table_name FROM information_schema.tables"
                                      " WHERE table_schema = DATABASE() LIMIT 1",
                                      take_first, table, error);
    if (code == FH_OK && !table[0])
        code = mariadb_query(connection,
                             "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", NULL,
                             NULL, error);
    if (code == FH_OK)
        code = mariadb_query(connection,
                             "SELECT table_name FROM information_schema.tables WHERE table_schema ="
                             " DATABASE() AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'"
                             " LIMIT 1",
                             take_first, foreign, error);
    if (code == FH_OK && foreign[0])
        return error_set(error, FH_UNSUPPORTED,
                         "The table %s is not kept by InnoDB: a work could not roll it back.",
                         foreign);
    return code;
}

static enum fh_code provision(struct mariadb_store *store, struct fh_error *error)
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
static enum fh_code read_incarnation(struct mariadb_store *store, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(&store->base, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(work, LEDGER_INCARNATION, store->base.incarnation, ID_SIZE, error);
    store_rollback(work);
    return code;
}

/* What a server says, or does not, that is only starting: "HY000 2002". */
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
        code = read_incarnation(store, &why);
    while (code == FH_OK && !options->replica && (code = provision(store, &why)) != FH_OK &&
           may_be_starting(&why) && world_monotonic_ns(world) < deadline_ns) {
        fiber_sleep_until(world, world_in_ms(world, OPEN_PAUSE_MS));
        code = FH_OK;
    }
    if (code == FH_OK && !options->replica)
        code = mariadb_opening_new(store, &why);
    if (code != FH_OK) {
        mariadb_close(&store->base);
        if (error)
            *error = why;
        return code;
    }
    *ret = &store->base;
    return FH_OK;
}

/* ---- the sequencer ---- */

/* On a link of its own: again, should that have died since the last time. */
enum fh_code mariadb_run_alone(struct store *base, const char *sql, const struct sql_value *values,
                               int count, sql_visit *visit, void *context, struct fh_error *error)
{
    struct mariadb_store *store = store_of(base);
    struct fh_error why = {0};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 2; i++) {
        struct mariadb_failure failure = {0};
        code = FH_OK;
        if (!store->sequencer)
            code = mariadb_connection_new(store, MARIADB_SEQUENCER, &store->sequencer, &why);
        if (code == FH_OK)
            code = mariadb_run(store->sequencer, sql, values, count, visit, context, NULL, &failure,
                               &why);
        if (!store->sequencer || !store->sequencer->broken)
            break;
        mariadb_connection_free(store->sequencer);
        store->sequencer = NULL;
    }
    if (code == FH_OK)
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE, "The store's server can't be asked now: %.180s",
                     why.message);
}

static enum fh_code mariadb_sequence(struct store *store, struct store_placed *placed, int count,
                                     struct fh_error *error)
{
    mariadb_opening_keep(store_of(store));
    return ledger_sequence(store, mariadb_run_alone, placed, count, error);
}

static const struct sql_ops mariadb_sql = {
    .dialect = &mariadb_dialect,
    .list_format = MARIADB_LIST_FORMAT,
    .run = mariadb_work_run,
    .script = mariadb_script,
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
