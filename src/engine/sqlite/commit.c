/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COMMIT, and what is true when it says that it failed.
 *
 * - It may stand: SQLite returns SQLITE_NOMEM if it ran out of memory at any time before it was
 *   done. What it told the file is what counts (sqlite_commit_stands).
 * - All of it may be in the log, but not in the log's index, for want of memory or room. Nobody
 * sees it, and the next transaction overwrites it; but if the process died before that, the next
 * start would find it. So it is overwritten before anybody is told that it failed. If that fails,
 * too, the process ends, and those who wait get no answer.
 * - A transaction that did not fit on a full disk is not all there.
 * - If a sync failed, nobody knows: the caller ends the process.
 */

#include <stdio.h>

#include "engine/sqlite/internal.h"

#define COMMAND_MAX 64

static int take_version(void *context, int count, char **values, char **names)
{
    (void)count;
    (void)names;
    snprintf(context, COMMAND_MAX, "PRAGMA user_version = %s", values[0]);
    return 0;
}

/* SQLite writes a transaction where the last committed one has ended in the log. */
static void write_over_failed(struct sqlite_store *store)
{
    sqlite3 *db = store->writer.db;
    char again[COMMAND_MAX];
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE; PRAGMA user_version", take_version, again, NULL) !=
            SQLITE_OK ||
        sqlite3_exec(db, again, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        world_fatal(store->base.world,
                    "a commit failed, and the next start may find it in the log");
}

int sqlite_commit_now(struct sqlite_store *store)
{
    sqlite3 *db = store->writer.db;
    sqlite_commit_watch(db);
    int result = sqlite_simple(&store->writer, "COMMIT");
    if (sqlite_commit_stands(db))
        return SQLITE_OK;
    if (result == SQLITE_IOERR_FSYNC || result == SQLITE_IOERR_DIR_FSYNC)
        return result;
    if ((result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_NOMEM)
        write_over_failed(store);
    return result;
}
