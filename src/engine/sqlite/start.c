/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Done before a store is opened. A killed process may have written WAL frames that it never synced.
 * The kernel still has them, so SQLite would serve them, and a power failure could then take back
 * data already served. After a failed fsync, such pages may even look clean and never be written.
 * So a WAL that is not empty is read, written to a new file, synced and renamed over the old one,
 * and the folder is synced; only then is the store opened. A damaged log is left alone: see log.c.
 * A crash at any point in between leaves a complete WAL in place.
 */

#include <errno.h>
#include <stdio.h>

#include "base/crash.h"
#include "engine/sqlite/internal.h"

enum fh_code sqlite_sync_folder(struct world *world, const char *folder, struct fh_error *error)
{
    int failed = world->files->sync_folder(world, folder);
    if (failed)
        return error_set_errno(error, FH_UNAVAILABLE, failed, "The folder %s can't be synced",
                               folder);
    return FH_OK;
}

enum fh_code sqlite_make_durable(struct world *world, const char *folder, const char *path,
                                 struct fh_error *error)
{
    const struct world_files *files = world->files;
    char wal[4200], copy[4200];
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(copy, sizeof copy, "%s-wal.copy", path);
    files->remove(world, copy); /* left by a start that died */
    int64_t size = 0;
    int failed = files->size(world, wal, &size);
    if (failed && failed != ENOENT)
        return error_set_errno(error, FH_UNAVAILABLE, failed,
                               "The store's log %s can't be examined", wal);
    if (failed || size == 0)
        return FH_OK;
    CRASH_POINT("log.found");
    enum fh_code code = sqlite_log_check(world, path, error);
    if (code != FH_OK)
        return code;
    failed = files->copy_synced(world, wal, copy);
    CRASH_POINT("log.copied");
    if (!failed)
        failed = files->rename(world, copy, wal);
    if (failed) {
        files->remove(world, copy);
        return error_set_errno(error, FH_UNAVAILABLE, failed,
                               "The store's log %s can't be made durable", wal);
    }
    CRASH_POINT("log.renamed");
    return sqlite_sync_folder(world, folder, error);
}
