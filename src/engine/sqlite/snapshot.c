/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of work that read. Each has a snapshot of its store, on one of the readers, from its first
 * statement on: one that only asks a question (question.c) keeps no reader from others while it
 * waits.
 *
 * Those that read first in one turn of the loop share a snapshot, so that its locks are taken and
 * given back once for all of them. A commit ends the sharing, so that whoever has heard of it sees
 * it; so does a question, to which the connection belongs meanwhile.
 */

#include <stdlib.h>

#include "engine/sqlite/internal.h"

/* Questions come first: only few of them are answered at once. */
static void reader_release(struct sqlite_store *store, struct sqlite_connection *reader)
{
    if (reader->users > 0 || store->shared == reader)
        return;
    sqlite_simple(reader, "COMMIT");
    sqlite_questions_start(store);
    if (sqlite_reader_free(store))
        fiber_wake_one(&store->readers_free);
}

void sqlite_snapshot_share_no_more(struct sqlite_store *store)
{
    struct sqlite_connection *reader = store->shared;
    store->shared = NULL;
    if (reader)
        reader_release(store, reader);
}

/* False: the unit of work's deadline has passed. */
static bool wait_in_time(const struct sqlite_work *work, struct fiber_queue *queue)
{
    int64_t deadline_ns = work->base.deadline_ns ? work->base.deadline_ns : -1;
    return fiber_wait_until(queue, work->base.store->world, deadline_ns);
}

/* Each has its own reader, so that a later one shows the commits made in between. */
static enum fh_code shared_snapshot_open(struct sqlite_store *store, const struct sqlite_work *work,
                                         struct fh_error *error)
{
    struct sqlite_connection *reader;
    enum fh_code code;
    while ((code = sqlite_reader_take(store, &reader, error)) == FH_OK && !reader) {
        if (!wait_in_time(work, &store->readers_free))
            return sqlite_busy(error, STORE_ASKED_TOO_LATE);
    }
    if (code != FH_OK)
        return code;
    struct sqlite_connection *before = store->shared; /* another one, if this fiber has waited */
    store->shared = reader;
    if (before)
        reader_release(store, before);
    world_turn(store->base.world, &store->turn);
    return FH_OK;
}

static enum fh_code snapshot_join(struct sqlite_store *store, struct sqlite_work *work,
                                  struct fh_error *error)
{
    if (store->shared && sqlite3_get_autocommit(store->shared->db))
        sqlite_snapshot_share_no_more(store); /* a failed read has ended it */
    enum fh_code code = store->shared ? FH_OK : shared_snapshot_open(store, work, error);
    if (code != FH_OK)
        return code;
    work->connection = store->shared;
    work->connection->users++;
    return FH_OK;
}

enum fh_code sqlite_snapshot_ready(struct sqlite_work *work, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    if (!work->connection)
        code = snapshot_join((struct sqlite_store *)work->base.store, work, error);
    if (code != FH_OK)
        return code;
    while (work->connection->asked && !work->question) {
        if (!wait_in_time(work, &work->connection->answered))
            return sqlite_busy(error, STORE_ASKED_TOO_LATE);
    }
    /* A failed read of one that shares the snapshot has ended it for all. */
    if (sqlite3_get_autocommit(work->connection->db))
        return error_set(error, FH_UNAVAILABLE, "The store failed while it was read.");
    return FH_OK;
}

void sqlite_snapshot_end(struct sqlite_work *work)
{
    struct sqlite_connection *reader = work->connection;
    FH_ASSERT(!work->question && !work->stepping);
    if (reader) {
        reader->users--;
        reader_release((struct sqlite_store *)work->base.store, reader);
    }
    free(work);
}
