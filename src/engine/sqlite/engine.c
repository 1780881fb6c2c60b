/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded engine: SQLite, one file in the service's own folder, one process at a time (an
 * flock on store.lock, held for the process's life, so that a second process fails at once with a
 * clear message).
 *
 * Connections, all used from one thread: the writer, of which only COMMITs, checkpoints and
 * migrations leave that thread (see group.c and statement.c), and readers, one for each snapshot.
 * SQLite makes a commit visible to readers only after its fsync. Write-ahead log with
 * synchronous=FULL. Nothing can be attached. Pages carry checksums (see checksum.c). An orderly
 * close checkpoints the whole log and leaves none, because damage in a log's last transaction would
 * go unnoticed.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "store/copy/document.h"
#include "store/copy/keyvalue.h"
#include "store/relational/ledger.h"
#include "engine/sqlite/internal.h"

static const struct sql_ops sqlite_sql = {
    .dialect = &sqlite_dialect,
    .list_format = "(SELECT value FROM json_each(?%d))",
    .run = sqlite_statement_run,
    .script = sqlite_script,
};

static enum fh_code lock_take(struct sqlite_store *store, struct fh_error *error)
{
    char path[4200];
    snprintf(path, sizeof path, "%.*s.lock", (int)(strlen(store->path) - strlen(".db")),
             store->path);
    struct world *world = store->base.world;
    int failed = world->files->lock(world, path, &store->lock);
    if (failed == EWOULDBLOCK)
        return error_set(error, FH_UNAVAILABLE,
                         "The store in %s is in use by another process; an embedded store has one.",
                         store->folder);
    if (failed)
        return error_set_errno(error, FH_UNAVAILABLE, failed, "The store's lock %s can't be opened",
                               path);
    return FH_OK;
}

static int configure(sqlite3 *db, bool writing)
{
    static const struct {
        int option, value;
    } options[] = {{SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1}, {SQLITE_DBCONFIG_DEFENSIVE, 1},
                   {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},   {SQLITE_DBCONFIG_DQS_DML, 0},
                   {SQLITE_DBCONFIG_DQS_DDL, 0},          {SQLITE_DBCONFIG_ENABLE_FKEY, 1}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        sqlite3_db_config(db, options[i].option, options[i].value, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_extended_result_codes(db, 1);
    if (writing) {
        int reserved = CHECKSUM_SIZE;
        sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    }
    int result = sqlite3_exec(db,
                              "PRAGMA page_size=4096; PRAGMA journal_mode=WAL;"
                              "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
                              "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-8000;",
                              NULL, NULL, NULL);
    if (result == SQLITE_OK && !writing)
        result = sqlite3_exec(db, "PRAGMA query_only=1", NULL, NULL, NULL);
    return result;
}

enum fh_code sqlite_connect(struct sqlite_store *store, struct sqlite_connection *connection,
                            bool writing, struct fh_error *error)
{
    map_init(&connection->statements);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (writing)
        flags |= SQLITE_OPEN_CREATE;
    int result =
        sqlite3_open_v2(store->path, &connection->db, flags, sqlite_checksum_name(store->checksum));
    if (result == SQLITE_OK)
        result = configure(connection->db, writing);
    if (result == SQLITE_OK)
        return FH_OK;
    char why[160];
    snprintf(why, sizeof why, "%s", connection->db ? sqlite3_errmsg(connection->db) : "no memory");
    bool damaged = (result & 0xff) == SQLITE_CORRUPT || (result & 0xff) == SQLITE_NOTADB;
    enum fh_code code = damaged ? sqlite_error(connection->db, result, error) : FH_OK;
    sqlite3_close_v2(connection->db);
    connection->db = NULL;
    if (code != FH_OK)
        return code;
    return error_set(error, FH_UNAVAILABLE, "The store %s can't be opened: %s.", store->path, why);
}

static void connection_close(struct sqlite_connection *connection)
{
    sqlite_statements_release(connection);
    sqlite3_close_v2(connection->db);
    connection->db = NULL;
}

void sqlite_destroy(struct sqlite_store *store)
{
    FH_ASSERT(!store->active && !store->members && store->state != GROUP_BUSY);
    for (int i = 0; i < SQLITE_READERS_MAX; i++)
        connection_close(&store->readers[i]);
    /* A failure leaves the log for the next start. */
    if (store->whole)
        sqlite3_wal_checkpoint_v2(store->writer.db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    connection_close(&store->writer);
    sqlite_checksum_free(store->checksum);
    if (store->lock >= 0)
        store->base.world->files->unlock(store->base.world, store->lock);
    free(store);
}

/* No unit of work is open, but the last group's checkpoint may be running, or its turn be
 * pending. */
static void sqlite_close(struct store *base)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    while (fiber_self() && store->state == GROUP_BUSY)
        fiber_wait(&store->turnstile);
    if (store->turn.posted || store->state == GROUP_BUSY)
        store->closing = true; /* destroyed when that ends */
    else
        sqlite_destroy(store);
}

static enum fh_code sqlite_open(const struct store_options *options, struct world *world,
                                struct store **ret, struct fh_error *error)
{
    struct sqlite_store *store = calloc(1, sizeof *store);
    *ret = NULL;
    if (!store)
        return error_set(error, FH_NO_MEMORY, "No memory for a store.");
    /* Spares a mutex at each malloc. Refused once SQLite is in use, which does no harm. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    store_init(&store->base, &engine_sqlite, options, world);
    store->lock = -1;
    snprintf(store->folder, sizeof store->folder, "%s", options->folder);
    snprintf(store->path, sizeof store->path, "%s/%s.db", store->folder,
             options->name ? options->name : "store");
    store->checksum = sqlite_checksum_new(world->vfs);
    FH_ASSERT(store->checksum != NULL);
    enum fh_code code = lock_take(store, error);
    if (code == FH_OK)
        code = sqlite_make_durable(world, store->folder, store->path, error);
    if (code == FH_OK)
        code = sqlite_connect(store, &store->writer, true, error);
    if (code == FH_OK) {
        CRASH_POINT("store.opened");
        sqlite_group_init(store);
        code = store_provision(&store->base, STORE_WRITE_EXCLUSIVE, error);
        CRASH_POINT("store.provisioned");
    }
    if (code == FH_OK)
        code = sqlite_sync_folder(world, store->folder, error);
    if (code == FH_OK)
        code = sqlite_connect(store, &store->readers[0], false, error);
    if (code != FH_OK) {
        sqlite_close(&store->base);
        return code;
    }
    store->whole = true;
    *ret = &store->base;
    return FH_OK;
}

static const struct store_ops sqlite_store = {
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .copy_file = sqlite_copy_file,
};

const struct engine engine_sqlite = {
    .name = "sqlite",
    .title = "SQLite",
    .models = 1u << FH_RELATIONAL | 1u << FH_DOCUMENT | 1u << FH_KEY_VALUE,
    .store = &sqlite_store,
    .ledger = &ledger_relational,
    .sql = &sqlite_sql,
    .documents = &document_sql,
    .keyvalue = &keyvalue_sql,
    .copied_ledger = &copied_sql,
    .copied_documents = &copied_documents_sql,
    .copied_keys = &copied_keys_sql,
};
