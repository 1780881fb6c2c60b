/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit: many units of work, one fsync. They run one after the other on the one writing
 * connection, inside a shared transaction, and each waits for that transaction's COMMIT. The COMMIT
 * runs off the loop, and writes the group's late rows first (late.c), while the units of the next
 * group queue up.
 *
 *     IDLE --begin--> OPEN --all ready units have joined, or it is full--> BUSY --durable--> IDLE
 *
 * What may go wrong:
 * - A unit fails before it has changed anything, as most that fail do: there is nothing to undo.
 * - A unit fails after it has changed something: the transaction is rolled back, and its members
 *   run again. The next SQLITE_SAVEPOINTS units have a savepoint each, to which one that fails is
 *   rolled back; the others stand. So savepoints cost those who need them, and a service whose
 *   units fail so runs one group in thousands again.
 * - A statement ends the whole transaction (OR ROLLBACK, a full disk): autocommit shows it after
 *   each unit. All members, and the active unit, run again; if it happens to them again, alone.
 * - A deferred constraint is violated at the end of a unit: only that unit fails.
 * - COMMIT fails: nothing of the group took effect (commit.c). Its members run again; if they fail
 *   again, alone; one that fails alone has failed for good.
 * - fsync fails: the process ends at once. The next start recovers from the log and never relies on
 *   syncing again pages that the kernel may have dropped.
 * - The process is killed before COMMIT returns: it has answered none of the group's requests.
 *
 * The log's way into the database begins after a COMMIT: see checkpoint.c.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/crash.h"
#include "engine/sqlite/internal.h"

static void commit_start(struct sqlite_store *store);

static struct sqlite_store *sqlite_of(struct store *store)
{
    return (struct sqlite_store *)store;
}

static void member_finish(struct sqlite_work *work, enum fh_code result,
                          const struct fh_error *error)
{
    work->result = result;
    if (error)
        work->error = *error;
    fiber_ready(work->fiber);
}

static void members_finish(struct sqlite_store *store, enum fh_code result,
                           const struct fh_error *error)
{
    struct sqlite_work *next;
    for (struct sqlite_work *work = store->members; work; work = next) {
        next = work->next;
        member_finish(work, result, error);
    }
    store->members = NULL;
    store->members_end = &store->members;
    store->member_count = 0;
}

static struct fh_error rerun_error(void)
{
    struct fh_error error;
    error_retry(&error, FH_CONFLICT, "The group's transaction was rolled back.");
    return error;
}

static void group_idle(struct sqlite_store *store)
{
    sqlite_late_clear(&store->late);
    store->state = GROUP_IDLE;
    store->exclusive = false;
    fiber_wake_all(&store->turnstile);
}

bool sqlite_group_broke(struct sqlite_store *store)
{
    if (store->state != GROUP_OPEN || !sqlite3_get_autocommit(store->writer.db))
        return store->state == GROUP_IDLE && store->active;
    struct fh_error error = rerun_error();
    sqlite_late_forget(&store->late);
    sqlite_filter_rolled_back(&store->filter, store->filled);
    members_finish(store, FH_CONFLICT, &error);
    /* The active unit of work continues, outside any transaction, up to its rollback; none begins
     * before. */
    store->state = GROUP_IDLE;
    return true;
}

/* ---- COMMIT and checkpoint, off the loop ---- */

static void checkpoint_run(struct world_job *job)
{
    sqlite_checkpoint_finish(job->owner);
}

static void checkpoint_done(struct world_job *job)
{
    struct sqlite_store *store = job->owner;
    group_idle(store);
    if (store->closing && !store->turn.posted && !store->checkpoint.copying)
        sqlite_destroy(store);
}

static void commit_run(struct world_job *job)
{
    struct sqlite_store *store = job->owner;
    CRASH_POINT("group.gathered");
    store->commit_result = sqlite_late_write(store);
    CRASH_POINT("group.written");
    if (store->commit_result == SQLITE_OK)
        store->commit_result = sqlite_commit_now(store);
    if (store->commit_result == SQLITE_IOERR_FSYNC ||
        store->commit_result == SQLITE_IOERR_DIR_FSYNC)
        world_fatal(store->base.world, "fsync failed in a commit");
    CRASH_POINT("group.durable");
}

/* Runs after the units of work that the last commit kept waiting, and before the answers of that
 * commit are sent, so that the next commit is already under way. */
static void commit_early(void *argument)
{
    struct sqlite_store *store = argument;
    if (store->state == GROUP_OPEN && !store->active && store->member_count)
        commit_start(store);
}

/* Nobody may write on in a transaction that was to be undone. */
static void transaction_end(struct sqlite_store *store)
{
    sqlite_simple(&store->writer, "ROLLBACK");
    if (!sqlite3_get_autocommit(store->writer.db))
        world_fatal(store->base.world, "a transaction can't be rolled back");
}

static void commit_failed(struct sqlite_store *store)
{
    struct fh_error error;
    if (store->exclusive) {
        sqlite_error(store->writer.db, store->commit_result, &error);
        if (error.code == FH_UNSUPPORTED)
            error.code = FH_UNAVAILABLE;
    } else {
        error = rerun_error();
    }
    if (!sqlite3_get_autocommit(store->writer.db))
        transaction_end(store);
    sqlite_late_forget(&store->late);
    sqlite_filter_rolled_back(&store->filter, store->filled);
    members_finish(store, error.code, &error);
    group_idle(store);
}

static void commit_done(struct world_job *job)
{
    struct sqlite_store *store = job->owner;
    sqlite_snapshot_share_no_more(store);
    if (store->commit_result != SQLITE_OK) {
        commit_failed(store);
        return;
    }
    if (sqlite_checkpoint_look(store)) {
        members_finish(store, FH_OK, NULL);
        store->job =
            (struct world_job){.run = checkpoint_run, .done = checkpoint_done, .owner = store};
        world_job(store->base.world, &store->job);
        return;
    }
    bool waiting = store->turnstile.first != NULL;
    if (store->questions.paused)
        sqlite_questions_start(store); /* the log may have begun anew */
    group_idle(store);
    if (waiting)
        fiber_start(store->base.world->fibers, commit_early, store);
    members_finish(store, FH_OK, NULL);
}

static void commit_start(struct sqlite_store *store)
{
    store->state = GROUP_BUSY;
    store->job = (struct world_job){.run = commit_run, .done = commit_done, .owner = store};
    world_job(store->base.world, &store->job);
}

static void turn_commit(struct world_turn *turn)
{
    struct sqlite_store *store = turn->owner;
    if (store->closing) {
        if (store->state != GROUP_BUSY && !store->checkpoint.copying)
            sqlite_destroy(store);
        return;
    }
    if (store->state != GROUP_OPEN || store->active)
        return; /* busy: commit_done continues; active: its commit posts another turn */
    if (store->member_count) {
        commit_start(store);
        return;
    }
    transaction_end(store); /* no unit joined */
    group_idle(store);
}

static void turn_ends(struct world_turn *turn)
{
    sqlite_snapshot_share_no_more(turn->owner);
    turn_commit(turn);
}

void sqlite_group_init(struct sqlite_store *store)
{
    store->members_end = &store->members;
    sqlite_late_init(&store->late);
    store->turn = (struct world_turn){.run = turn_ends, .owner = store};
    sqlite_checkpoint_init(store);
}

/* ---- begin, commit, rollback ---- */

static bool group_must_wait(const struct sqlite_store *store, bool exclusive)
{
    if (store->state == GROUP_BUSY || store->active || store->exclusive)
        return true;
    if (exclusive)
        return store->state != GROUP_IDLE;
    return store->state == GROUP_IDLE && store->exclusive_waiting > 0;
}

/* One that is alone is rolled back with its transaction. */
static int savepoint_begin(struct sqlite_store *store, struct sqlite_work *work)
{
    if (store->exclusive || store->savepoints == 0)
        return SQLITE_OK;
    store->savepoints--;
    work->savepoint = true;
    return sqlite_simple(&store->writer, "SAVEPOINT work");
}

/* Out of memory, SQLite may have rolled back the whole group, which nobody else would notice; or it
 * may have begun a transaction although it reported an error. */
static void begin_failed(struct sqlite_store *store)
{
    sqlite_group_broke(store);
    if (store->state == GROUP_OPEN)
        world_turn(store->base.world, &store->turn); /* perhaps opened just for this unit */
    else if (!sqlite3_get_autocommit(store->writer.db))
        transaction_end(store);
    fiber_wake_all(&store->turnstile);
}

static enum fh_code write_begin(struct sqlite_store *store, struct sqlite_work *work,
                                struct fh_error *error)
{
    bool exclusive = sqlite_is_exclusive(work->base.mode);
    store->exclusive_waiting += exclusive;
    while (group_must_wait(store, exclusive))
        fiber_wait(&store->turnstile);
    store->exclusive_waiting -= exclusive;
    sqlite_group_broke(store); /* else this unit would run in no transaction at all */
    int result = SQLITE_OK;
    if (store->state == GROUP_IDLE) {
        result = sqlite_simple(&store->writer, "BEGIN IMMEDIATE");
        if (result == SQLITE_OK) {
            CRASH_POINT("group.begun");
            store->state = GROUP_OPEN;
            store->filled = store->filter.slices;
            store->exclusive = exclusive;
        }
    }
    if (result == SQLITE_OK)
        result = savepoint_begin(store, work);
    if (result == SQLITE_OK) {
        work->mark = sqlite_late_mark(&store->late);
        work->filled = store->filter.slices;
        return FH_OK;
    }
    enum fh_code code = sqlite_error(store->writer.db, result, error);
    begin_failed(store);
    return code;
}

enum fh_code sqlite_begin(struct store *base, enum store_mode mode, struct store_work **ret,
                          struct fh_error *error)
{
    struct sqlite_store *store = sqlite_of(base);
    struct sqlite_work *work = calloc(1, sizeof *work);
    *ret = NULL;
    if (!work)
        return error_set(error, FH_NO_MEMORY, "No memory for a unit of work.");
    work->base = (struct store_work){.store = base, .mode = mode};
    work->fiber = fiber_self();
    enum fh_code code = FH_OK;
    if (store_writes(mode)) { /* else its first statement opens a snapshot */
        work->connection = &store->writer;
        code = write_begin(store, work, error);
        if (code == FH_OK)
            store->active = work;
    }
    if (code != FH_OK) {
        free(work);
        return code;
    }
    *ret = &work->base;
    return FH_OK;
}

/* The active unit of work has ended: those waiting for it may go on, and the group closes in its
 * turn. */
static void active_end(struct sqlite_store *store)
{
    store->active = NULL;
    if (store->state == GROUP_IDLE)
        store->exclusive = false; /* the group broke during it */
    if (store->state == GROUP_OPEN) {
        if (store->exclusive || store->member_count >= SQLITE_GROUP_MAX)
            turn_commit(&store->turn);
        else
            world_turn(store->base.world, &store->turn);
    }
    if (store->state != GROUP_BUSY)
        fiber_wake_all(&store->turnstile);
}

/* Ends the transaction, and with it whatever the unit of work did; those that shared it run again.
 */
static void rollback_all(struct sqlite_store *store)
{
    if (store->member_count)
        store->savepoints = SQLITE_SAVEPOINTS;
    transaction_end(store);
    sqlite_group_broke(store);
}

static void write_rollback(struct sqlite_store *store, struct sqlite_work *work)
{
    if (sqlite_group_broke(store))
        return;
    if (work->savepoint) {
        if (sqlite_simple(&store->writer, "ROLLBACK TO work") == SQLITE_OK &&
            sqlite_simple(&store->writer, "RELEASE work") == SQLITE_OK) {
            sqlite_late_return(&store->late, &work->mark);
            sqlite_filter_rolled_back(&store->filter, work->filled);
        } else { /* its changes can't be undone separately, and the others must not commit them */
            rollback_all(store);
        }
    } else if (work->changed) {
        rollback_all(store);
    } else {
        struct sqlite_late_mark mark = work->mark;
        mark.written = store->late.written; /* others' only: see write_before */
        sqlite_late_return(&store->late, &mark);
    }
}

void sqlite_rollback(struct store_work *base)
{
    struct sqlite_work *work = (struct sqlite_work *)base;
    struct sqlite_store *store = sqlite_of(base->store);
    if (!store_writes(base->mode)) {
        sqlite_snapshot_end(work);
        return;
    }
    FH_ASSERT(store->active == work);
    write_rollback(store, work);
    free(work);
    active_end(store);
}

static bool constraint_is_open(struct sqlite_store *store)
{
    int open = 0, unused = 0;
    return sqlite3_db_status(store->writer.db, SQLITE_DBSTATUS_DEFERRED_FKS, &open, &unused, 0) ==
               SQLITE_OK &&
           open > 0;
}

enum fh_code sqlite_commit(struct store_work *base, struct fh_error *error)
{
    struct sqlite_work *work = (struct sqlite_work *)base;
    struct sqlite_store *store = sqlite_of(base->store);
    if (!store_writes(base->mode)) {
        sqlite_snapshot_end(work);
        return FH_OK;
    }
    FH_ASSERT(store->active == work);
    if (sqlite_group_broke(store)) {
        struct fh_error broken = rerun_error();
        if (sqlite_is_exclusive(base->mode))
            error_set(&broken, FH_CONFLICT, "A statement rolled the transaction back.");
        *error = broken;
        sqlite_rollback(base);
        return broken.code;
    }
    if (constraint_is_open(store)) {
        sqlite_rollback(base);
        return error_set(error, FH_CONFLICT,
                         "It refers to a row that is not there, or is referred to.");
    }
    int result = work->savepoint ? sqlite_simple(&store->writer, "RELEASE work") : SQLITE_OK;
    CRASH_POINT("group.joined");
    if (result != SQLITE_OK) {
        enum fh_code code = sqlite_error(store->writer.db, result, error);
        sqlite_rollback(base);
        return code;
    }
    work->fiber = fiber_self();
    *store->members_end = work;
    store->members_end = &work->next;
    store->member_count++;
    active_end(store);
    fiber_park();
    enum fh_code code = work->result;
    if (code != FH_OK && error)
        *error = work->error;
    free(work);
    return code;
}
