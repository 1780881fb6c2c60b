/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's way into the database. Most of it happens beside the groups, in a job of its own; what
 * was written meanwhile is copied between two groups, while nothing else is done, and is little.
 *
 *     the log has SQLITE_CHECKPOINT_FRAMES    copy beside the groups, up to the frame that was the
 *                                             last one when the copying began
 *     more than a tenth of that has
 *     come meanwhile                          copy again, up to SQLITE_CHECKPOINT_ROUNDS times
 *     less                                    copy it between two groups: the next group then
 *                                             begins the log anew
 *
 * Each copying is a PASSIVE checkpoint: SQLite syncs the log, copies what no open snapshot can miss
 * any more, and once all of the log is in the database syncs that; only then does it begin the log
 * anew. A process or a machine that dies meanwhile leaves a log that has everything still. What is
 * copied beside the groups is synced there as well, so that little is left to be synced between
 * two of them. If that sync fails the process ends, as after any: the pages may look clean, and the
 * later sync would miss them.
 *
 * SQLite before 3.51.3 has a race between one connection's checkpoint and another connection's
 * write that begins the log anew: the checkpoint then counts frames of the old log as copied ones
 * of the new one. So while the copier copies, a guard holds a snapshot that was opened before, and
 * is closed after: the writer can't begin the log anew as long as any snapshot reads from it. (If
 * the guard found nothing in the log to read, and so could not keep the writer off, then its
 * snapshot is of the database alone, and nothing can be copied into that.) Between two groups the
 * writing connection itself copies, and nobody writes.
 */

#include "base/crash.h"
#include "engine/sqlite/internal.h"

/* SQLite's code. `ret_copied`: the frames of the log that are in the database. */
static int copy_frames(struct sqlite_store *store, sqlite3 *db, int *ret_copied)
{
    int frames = 0;
    int result =
        sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, ret_copied);
    if (result == SQLITE_IOERR_FSYNC || sqlite3_extended_errcode(db) == SQLITE_IOERR_FSYNC)
        world_fatal(store->base.world, "fsync failed in a checkpoint");
    return result;
}

/* ---- beside the groups ---- */

/* SQLite syncs the database only once all of the log is in it. */
static void database_sync(struct sqlite_store *store, sqlite3 *db)
{
    sqlite3_file *file = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (file && file->pMethods &&
        file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY) != SQLITE_OK)
        world_fatal(store->base.world, "fsync failed in a checkpoint");
}

static bool guard_opens(struct sqlite_store *store)
{
    struct sqlite_checkpoint *checkpoint = &store->checkpoint;
    struct fh_error error; /* the log keeps growing, and this is tried again */
    struct sqlite_connection *both[] = {&checkpoint->guard, &checkpoint->copier};
    for (size_t i = 0; i < sizeof both / sizeof both[0]; i++) {
        if (!both[i]->db && sqlite_connect(store, both[i], false, &error) != FH_OK)
            return false;
    }
    return sqlite_simple(&checkpoint->guard, "BEGIN") == SQLITE_OK &&
           sqlite_simple(&checkpoint->guard, "PRAGMA schema_version") == SQLITE_OK;
}

static void copy_beside(struct world_job *job)
{
    struct sqlite_store *store = job->owner;
    struct sqlite_checkpoint *checkpoint = &store->checkpoint;
    CRASH_POINT("checkpoint.copies");
    checkpoint->beside = SQLITE_BUSY;
    if (guard_opens(store))
        checkpoint->beside = copy_frames(store, checkpoint->copier.db, &checkpoint->copied_beside);
    CRASH_POINT("checkpoint.copied");
    if (checkpoint->beside == SQLITE_OK)
        database_sync(store, checkpoint->copier.db);
    if (checkpoint->guard.db && !sqlite3_get_autocommit(checkpoint->guard.db))
        sqlite_simple(&checkpoint->guard, "ROLLBACK");
    CRASH_POINT("checkpoint.synced");
}

static void copied_beside(struct world_job *job)
{
    struct sqlite_store *store = job->owner;
    struct sqlite_checkpoint *checkpoint = &store->checkpoint;
    checkpoint->copying = false;
    if (checkpoint->beside == SQLITE_OK && checkpoint->log == checkpoint->log_copied)
        checkpoint->copied = checkpoint->copied_beside;
    fiber_wake_all(&store->turnstile); /* who closes the store waits for this */
    if (store->closing && !store->turn.posted && store->state != GROUP_BUSY)
        sqlite_destroy(store);
}

/* ---- between two groups ---- */

void sqlite_checkpoint_finish(struct sqlite_store *store)
{
    int frames = 0;
    CRASH_POINT("checkpoint.begins");
    if (copy_frames(store, store->writer.db, &frames) == SQLITE_OK)
        store->checkpoint.copied = frames;
    CRASH_POINT("checkpoint.durable");
}

bool sqlite_checkpoint_look(struct sqlite_store *store)
{
    struct sqlite_checkpoint *checkpoint = &store->checkpoint;
    if (checkpoint->frames < checkpoint->seen) { /* the log has begun anew */
        checkpoint->log++;
        checkpoint->copied = checkpoint->rounds = 0;
        checkpoint->due = checkpoint->frames_max;
    }
    checkpoint->seen = checkpoint->frames;
    if (checkpoint->copying || checkpoint->frames < checkpoint->due)
        return false;
    if (checkpoint->frames - checkpoint->copied > checkpoint->rest_max &&
        checkpoint->rounds < SQLITE_CHECKPOINT_ROUNDS) {
        checkpoint->rounds++;
        checkpoint->copies++;
        checkpoint->copying = true;
        checkpoint->log_copied = checkpoint->log;
        checkpoint->job =
            (struct world_job){.run = copy_beside, .done = copied_beside, .owner = store};
        world_job(store->base.world, &checkpoint->job);
        return false;
    }
    /* If a snapshot keeps the log from beginning anew, this is tried again some frames later. */
    checkpoint->rounds = 0;
    checkpoint->due = checkpoint->frames + checkpoint->rest_max;
    return true;
}

static int on_commit(void *context, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    struct sqlite_checkpoint *checkpoint = context;
    checkpoint->frames = frames;
    return SQLITE_OK;
}

void sqlite_checkpoint_init(struct sqlite_store *store)
{
    struct sqlite_checkpoint *checkpoint = &store->checkpoint;
    int frames = store->base.world->log_frames;
    checkpoint->frames_max = checkpoint->due = frames ? frames : SQLITE_CHECKPOINT_FRAMES;
    checkpoint->rest_max = checkpoint->frames_max / SQLITE_CHECKPOINT_REST + 1;
    sqlite3_wal_hook(store->writer.db, on_commit, checkpoint);
}
