/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock and the connections that a store holds: how they are opened, and given up with the
 * store.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/internal.h"
#include "store/derived/fts5.h"

enum fh_code sqlite_lock(struct sqlite_store *store, struct fh_error *error)
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

int sqlite_configure(sqlite3 *db, bool writing)
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
                              "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-8000;"
                              "PRAGMA secure_delete=ON;",
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
    /* Where it can't be opened for writing, SQLite opens it for reading: for as long as the process
     * lives, though there may only have been too many files open. */
    bool read_only = result == SQLITE_OK && sqlite3_db_readonly(connection->db, "main") == 1;
    if (read_only)
        result = SQLITE_READONLY;
    if (result == SQLITE_OK)
        result = sqlite_configure(connection->db, writing);
    if (result == SQLITE_OK && !writing)
        result = derived_fts5_register(connection->db);
    if (result == SQLITE_OK && writing) {
        sqlite_statements_watch(connection);
        /* Others don't write; but whoever reads the log's index while it changes takes the writer's
         * lock for a moment, to read it again. */
        sqlite3_busy_timeout(connection->db, SQLITE_BUSY_MS);
    }
    if (result == SQLITE_OK)
        return FH_OK;
    char why[160];
    snprintf(why, sizeof why, "%s",
             read_only        ? "not for writing"
             : connection->db ? sqlite3_errmsg(connection->db)
                              : "no memory");
    bool damaged = (result & 0xff) == SQLITE_CORRUPT || (result & 0xff) == SQLITE_NOTADB;
    enum fh_code code = damaged ? sqlite_error(connection->db, result, error) : FH_OK;
    sqlite3_close_v2(connection->db);
    connection->db = NULL;
    if (code != FH_OK)
        return code;
    return error_set(error, FH_UNAVAILABLE, "The store %s can't be opened: %s.", store->path, why);
}

struct sqlite_connection *sqlite_reader_free(struct sqlite_store *store)
{
    for (int i = 0; i < SQLITE_READERS_MAX; i++) {
        if (store->readers[i].users == 0 && store->shared != &store->readers[i])
            return &store->readers[i];
    }
    return NULL;
}

enum fh_code sqlite_reader_take(struct sqlite_store *store, struct sqlite_connection **ret,
                                struct fh_error *error)
{
    struct sqlite_connection *reader = sqlite_reader_free(store);
    *ret = NULL;
    if (!reader)
        return FH_OK;
    enum fh_code code = reader->db ? FH_OK : sqlite_connect(store, reader, false, error);
    if (code != FH_OK)
        return code;
    int result = sqlite_simple(reader, "BEGIN");
    if (result != SQLITE_OK)
        return sqlite_error(reader->db, result, error);
    *ret = reader;
    return FH_OK;
}

static void connection_close(struct sqlite_connection *connection)
{
    sqlite_statements_release(connection);
    sqlite3_close_v2(connection->db);
    connection->db = NULL;
}

void sqlite_destroy(struct sqlite_store *store)
{
    FH_ASSERT(!store->active && !store->members && store->state != GROUP_BUSY &&
              !store->checkpoint.copying && !sqlite_questions_pend(store));
    world_timer_stop(store->base.world, &store->questions.pause);
    connection_close(&store->checkpoint.copier);
    connection_close(&store->checkpoint.guard);
    for (int i = 0; i < SQLITE_READERS_MAX; i++)
        connection_close(&store->readers[i]);
    /* A failure leaves the log for the next start. */
    if (store->whole)
        sqlite3_wal_checkpoint_v2(store->writer.db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    connection_close(&store->writer);
    arena_release(&store->late.arena);
    sqlite_filter_forget(&store->filter);
    sqlite_checksum_free(store->checksum);
    if (store->lock >= 0)
        store->base.world->files->unlock(store->base.world, store->lock);
    free(store);
}
