/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Done before a store is opened. A killed process may have written WAL frames that it never synced.
 * The kernel still has them, so SQLite would serve them, and a power failure could then take back
 * data already served. After a failed fsync, such pages may even look clean and never be written.
 * So a WAL that is not empty is read, written to a new file, synced and renamed over the old one,
 * and the folder is synced; only then is the store opened. A damaged log is left alone: see log.c.
 * A crash at any point in between leaves a complete WAL in place.
 *
 * On a fiber the log is copied in a job while it is checked, and the copy of one that turns out to
 * be damaged is removed.
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

struct log_copy {
    struct world *world;
    const char *from, *to;
    struct world_job job;
    struct fiber *waiting;
    int failed; /* an errno value */
    bool done;
};

static void log_copy_run(struct world_job *job)
{
    struct log_copy *copy = job->owner;
    copy->failed = copy->world->files->copy_synced(copy->world, copy->from, copy->to);
}

static void log_copy_done(struct world_job *job)
{
    struct log_copy *copy = job->owner;
    copy->done = true;
    if (copy->waiting)
        fiber_ready(copy->waiting);
}

/* Checks the log, and copies it, synced. *ret_failed: what the copying failed with. */
static enum fh_code log_check_and_copy(struct log_copy *copy, const char *path, int *ret_failed,
                                       struct fh_error *error)
{
    copy->job = (struct world_job){.run = log_copy_run, .done = log_copy_done, .owner = copy};
    bool beside = fiber_self() != NULL;
    if (beside)
        world_job(copy->world, &copy->job);
    enum fh_code code = sqlite_log_check(copy->world, path, error);
    if (!beside && code == FH_OK)
        log_copy_run(&copy->job);
    while (beside && !copy->done) {
        copy->waiting = fiber_self();
        fiber_park();
    }
    *ret_failed = copy->failed;
    return code;
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
    struct log_copy copying = {.world = world, .from = wal, .to = copy};
    enum fh_code code = log_check_and_copy(&copying, path, &failed, error);
    if (code != FH_OK) {
        files->remove(world, copy);
        return code;
    }
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
