/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded engine: SQLite, one file in the service's own folder, one process at a time (an
 * flock on store.lock, held for the process's life, so that a second process fails at once with a
 * clear message).
 *
 * Connections, each used by one thread at a time: the writer, of which only COMMITs, checkpoints
 * and migrations leave the loop's thread (see group.c and run.c), and readers, one for each
 * snapshot, of which only questions do (see question.c). Two more belong to the job that copies the
 * log into the database (see checkpoint.c). SQLite makes a
 * commit visible to readers only after its fsync. Write-ahead log with synchronous=FULL. Nothing
 * can be attached. Pages carry checksums (see checksum.c). An orderly close checkpoints the whole
 * log and leaves none, because damage in a log's last transaction would go unnoticed.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "store/copy/document.h"
#include "store/copy/keyvalue.h"
#include "store/derived/derived.h"
#include "store/relational/ledger.h"
#include "engine/sqlite/internal.h"

static const struct sql_ops sqlite_sql = {
    .dialect = &sqlite_dialect,
    .list_format = "(SELECT value FROM json_each(?%d))",
    .run = sqlite_statement_run,
    .script = sqlite_script,
    .append = sqlite_append,
    .position = sqlite_position,
    .keep_command = sqlite_keep_command,
    .look_for_command = sqlite_look_for_command,
    .ask = sqlite_ask,
    .report = sqlite_report,
    .trial = &sqlite_trial,
};

/* No unit of work is open, but a checkpoint may be running, or the last group's turn be pending. */
static void sqlite_close(struct store *base)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    while (fiber_self() && sqlite_questions_pend(store))
        fiber_wait(&store->questions.over);
    while (fiber_self() && (store->state == GROUP_BUSY || store->checkpoint.copying))
        fiber_wait(&store->turnstile);
    if (store->turn.posted || store->state == GROUP_BUSY || store->checkpoint.copying)
        store->closing = true; /* destroyed when that ends */
    else
        sqlite_destroy(store);
}

static struct sqlite_store *sqlite_store_new(const struct store_options *options,
                                             struct world *world)
{
    struct sqlite_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    /* Spares a mutex at each malloc. Refused once SQLite is in use, which does no harm. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite_memory_init();
    store_init(&store->base, &engine_sqlite, options, world);
    store->lock = -1;
    snprintf(store->folder, sizeof store->folder, "%s", options->folder);
    snprintf(store->path, sizeof store->path, "%s/%s.db", store->folder,
             options->name ? options->name : "store");
    store->checksum = sqlite_checksum_new(world->vfs);
    FH_ASSERT(store->checksum != NULL);
    return store;
}

static enum fh_code sqlite_open(const struct store_options *options, struct world *world,
                                struct store **ret, struct fh_error *error)
{
    struct sqlite_store *store = sqlite_store_new(options, world);
    *ret = NULL;
    if (!store)
        return error_set(error, FH_NO_MEMORY, "No memory for a store.");
    enum fh_code code = sqlite_lock(store, error);
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

/* SQLite's own locks keep the two processes apart, and ours, the store's, stays with the other. */
static enum fh_code sqlite_copy_served(const struct store_options *options, struct world *world,
                                       const char *path, struct store_watch *watch,
                                       struct fh_error *error)
{
    int64_t size = 0;
    struct sqlite_store *store = sqlite_store_new(options, world);
    if (!store)
        return error_set(error, FH_NO_MEMORY, "No memory for a store.");
    enum fh_code code = FH_OK;
    if (world->files->size(world, store->path, &size) == 0 && size > 0)
        code = sqlite_copy_file(&store->base, path, watch, error);
    sqlite_checksum_free(store->checksum);
    free(store);
    return code;
}

static const struct store_ops sqlite_store = {
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .copy_file = sqlite_copy_file,
    .copy_served = sqlite_copy_served,
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
    .derived = &derived_sql,
    .copied_ledger = &copied_sql,
    .copied_documents = &copied_documents_sql,
    .copied_keys = &copied_keys_sql,
};
