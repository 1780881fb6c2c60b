/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies the whole store for a backup: page by page, in the pool, over connections of its own, so
 * that the loop and units of work go on. The copy shows the moment of the source's one read
 * transaction. Later commits stay in the log, which grows until the copy ends, since no checkpoint
 * can restart the log while a reader needs it.
 *
 * Each page is read through the store's checksums and gets a checksum in the copy. Once the copy is
 * durable it is reopened and every page is read: a copy that can't be read is no backup. Any
 * failure removes the copy; a process that dies leaves a file that was never reported complete.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/internal.h"
#include "store/model.h"

#define COPY_PAGES 256 /* between two checks of watch->stop */

struct copying {
    struct sqlite_store *store;
    const char *path;
    struct store_watch *watch;
    struct sqlite_connection from;
    sqlite3 *to;
    enum fh_code code;
    struct fh_error error;
};

static void remove_copy(struct copying *copying)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    struct world *world = copying->store->base.world;
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s%s", copying->path, tails[i]);
        world->files->remove(world, path);
    }
}

static enum fh_code copy_failed(struct copying *copying, sqlite3 *db, int result)
{
    struct fh_error why = {0};
    enum fh_code code = sqlite_error(db, result, &why);
    return error_set(&copying->error, code, "The copy of the store: %.160s", why.message);
}

static enum fh_code open_copy(struct copying *copying)
{
    int reserved = CHECKSUM_SIZE;
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int result = sqlite3_open_v2(copying->path, &copying->to, flags,
                                 sqlite_checksum_name(copying->store->checksum));
    if (result == SQLITE_OK) {
        sqlite3_extended_result_codes(copying->to, 1);
        sqlite3_limit(copying->to, SQLITE_LIMIT_ATTACHED, 0);
        sqlite3_file_control(copying->to, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
        result = sqlite3_exec(copying->to,
                              "PRAGMA page_size=4096; PRAGMA synchronous=FULL;"
                              "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-2000;",
                              NULL, NULL, NULL);
    }
    return result == SQLITE_OK ? FH_OK : copy_failed(copying, copying->to, result);
}

static void close_copy(struct copying *copying)
{
    sqlite3_close_v2(copying->to);
    copying->to = NULL;
}

static enum fh_code copy_pages(struct copying *copying)
{
    struct store_watch *watch = copying->watch;
    int result = sqlite3_exec(copying->from.db, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL,
                              NULL, NULL);
    if (result != SQLITE_OK)
        return copy_failed(copying, copying->from.db, result);
    sqlite3_backup *backup = sqlite3_backup_init(copying->to, "main", copying->from.db, "main");
    if (!backup)
        return copy_failed(copying, copying->to, sqlite3_extended_errcode(copying->to));
    while (result == SQLITE_OK && !watch->stop) {
        result = sqlite3_backup_step(backup, COPY_PAGES);
        watch->total = sqlite3_backup_pagecount(backup);
        watch->done = watch->total - sqlite3_backup_remaining(backup);
    }
    int finished = sqlite3_backup_finish(backup);
    if (watch->stop && result != SQLITE_DONE)
        return error_set(&copying->error, FH_UNAVAILABLE, "The copy of the store was ended early.");
    return finished == SQLITE_OK ? FH_OK : copy_failed(copying, copying->to, finished);
}

/* An unreadable page makes the check itself fail; what SQLite finds inconsistent arrives as a
 * row. */
static int see_finding(void *context, int count, char **values, char **names)
{
    struct copying *copying = context;
    (void)names;
    if (count < 1 || !values[0] || strcmp(values[0], "ok") != 0)
        error_set(&copying->error, FH_UNAVAILABLE, "The copy of the store is not whole: %.120s.",
                  count && values[0] ? values[0] : "unknown");
    return 0;
}

static enum fh_code read_again(struct copying *copying)
{
    enum fh_code code = open_copy(copying);
    if (code != FH_OK)
        return code;
    copying->error.code = FH_OK;
    int result = sqlite3_exec(copying->to, "PRAGMA quick_check(1)", see_finding, copying, NULL);
    return result == SQLITE_OK ? copying->error.code : copy_failed(copying, copying->to, result);
}

/* ---- counting its content ---- */

static int see_count(void *context, int count, char **values, char **names)
{
    struct copying *copying = context;
    (void)names;
    copying->watch->rows += count > 0 && values[0] ? strtoll(values[0], NULL, 10) : 0;
    return 0;
}

/* Rows, documents or keys, depending on the model; not Freehold's own tables. */
static enum fh_code count_copied_rows(struct copying *copying)
{
    sqlite3_stmt *tables;
    char *sql = sqlite3_mprintf("SELECT format('SELECT count(*) FROM \"%%w\"', name)"
                                " FROM sqlite_schema WHERE type = 'table'"
                                " AND name NOT LIKE 'sqlite\\_%%' ESCAPE '\\' AND %s",
                                model_of(copying->store->base.model)->tables);
    int result = sqlite3_prepare_v2(copying->to, sql, -1, &tables, NULL);
    copying->watch->rows = 0;
    while (result == SQLITE_OK && (result = sqlite3_step(tables)) == SQLITE_ROW)
        result = sqlite3_exec(copying->to, (const char *)sqlite3_column_text(tables, 0), see_count,
                              copying, NULL);
    sqlite3_finalize(tables);
    sqlite3_free(sql);
    return result == SQLITE_DONE ? FH_OK : copy_failed(copying, copying->to, result);
}

static void copy_store(void *owner)
{
    struct copying *copying = owner;
    struct sqlite_store *store = copying->store;
    remove_copy(copying);
    enum fh_code code = sqlite_connect(store, &copying->from, false, &copying->error);
    if (code == FH_OK)
        code = open_copy(copying);
    if (code == FH_OK)
        code = copy_pages(copying);
    close_copy(copying);
    sqlite_statements_release(&copying->from);
    sqlite3_close_v2(copying->from.db);
    if (code == FH_OK)
        code = read_again(copying);
    if (code == FH_OK)
        code = count_copied_rows(copying);
    close_copy(copying);
    if (code == FH_OK)
        code = sqlite_sync_folder(store->base.world, store->folder, &copying->error);
    if (code != FH_OK)
        remove_copy(copying);
    copying->code = code;
}

enum fh_code sqlite_copy_file(struct store *base, const char *path, struct store_watch *watch,
                              struct fh_error *error)
{
    struct copying copying = {.store = (struct sqlite_store *)base, .path = path, .watch = watch};
    world_blocking(base->world, copy_store, &copying);
    if (copying.code != FH_OK && error)
        *error = copying.error;
    return copying.code;
}
