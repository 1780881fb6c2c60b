/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of work: one connection and one transaction each.
 *
 *     begin      a connection is lent; nothing is sent
 *     run        BEGIN goes out with the first statement (transaction.c)
 *     commit     deferred statements, the unit's mark and COMMIT go out in one message; its answer
 *                means durable, since synchronous_commit is on
 *     rollback   ROLLBACK is sent without waiting for it: the next unit's BEGIN comes after it
 *
 * A COMMIT that was not answered is settled (settle.c), for as long as the server is away: commit
 * returns once the outcome is decided. The same happens when the link seems alive but nothing
 * arrives for longer than any statement may take. A link that dies before COMMIT leaves nothing:
 * the server rolls back.
 *
 * Units of work are serializable: if two can't both be as if one came after the other, the server
 * aborts one. That one runs again, exclusively: it waits until the other writing units of this
 * process have ended, and none begins while it runs, so that writers of a popular row take turns
 * instead of failing over and over.
 *
 * Migrations hold an advisory lock of the database, one for each schema. It is tried repeatedly
 * rather than waited for: a transaction waiting inside the server holds a snapshot, for which
 * CREATE INDEX CONCURRENTLY in the running migration would wait.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "engine/postgresql/beside.h"
#include "engine/postgresql/gather.h"
#include "store/relational/script.h"

#define LOCK_TRY_MS 50
#define ANSWER_MS 10000            /* in addition to what its statements may take */
#define ANSWER_MIGRATED_MS 3600000 /* statements of migrations have no bound */
#define MIGRATIONS_LOCK "hashtextextended('freehold.migrations.' || current_schema(), 0)"

/* The first slots hold BEGIN for each isolation: transaction.c. */
static struct postgresql_statement commit_statement =
    POSTGRESQL_OWN_STATEMENT(6, "COMMIT", "COMMIT");
static struct postgresql_statement rollback_statement =
    POSTGRESQL_OWN_STATEMENT(7, "ROLLBACK", "ROLLBACK");

static struct postgresql_store *store_of_unit(const struct postgresql_work *work)
{
    return (struct postgresql_store *)work->base.store;
}

/* ---- Exclusive units of work ---- */

static bool postgresql_must_wait(const struct postgresql_store *store, enum store_mode mode)
{
    if (mode & STORE_EXCLUSIVE)
        return store->exclusive || store->writers;
    return store->exclusive || store->exclusive_waiting;
}

static enum fh_code turnstile_pass(struct postgresql_store *store, enum store_mode mode,
                                   struct fh_error *error)
{
    bool exclusive = mode & STORE_EXCLUSIVE, passed = true;
    int64_t deadline_ns = world_in_ms(store->base.world, POSTGRESQL_WAIT_MS);
    store->exclusive_waiting += exclusive;
    while (passed && postgresql_must_wait(store, mode))
        passed = fiber_wait_until(&store->turnstile, store->base.world, deadline_ns);
    store->exclusive_waiting -= exclusive;
    if (passed) {
        store->exclusive = exclusive;
        store->writers += !exclusive;
        return FH_OK;
    }
    fiber_wake_all(&store->turnstile);
    return error_retry(error, FH_UNAVAILABLE, "The store was busy for %d s; nothing was done.",
                       POSTGRESQL_WAIT_MS / 1000);
}

static void turnstile_leave(struct postgresql_store *store, enum store_mode mode)
{
    if (mode & STORE_EXCLUSIVE)
        store->exclusive = false;
    else
        store->writers--;
    if (store->turnstile.first && !(store->exclusive_waiting && store->writers))
        fiber_wake_all(&store->turnstile);
}

static bool postgresql_takes_turnstile(enum store_mode mode)
{
    return store_writes(mode) && !(mode & STORE_MIGRATES);
}

/* ---- The migration lock ---- */

static void read_locked(void *context, PGresult *result)
{
    bool *locked = context;
    if (postgresql_pq.PQntuples(result) == 1)
        *locked = *postgresql_pq.PQgetvalue(result, 0, 0) == 't';
}

static enum fh_code lock_migrations(struct postgresql_work *work, struct fh_error *error)
{
    struct world *world = work->base.store->world;
    int64_t deadline_ns = world_in_ms(world, STORE_MIGRATE_WAIT_MS);
    for (;;) {
        enum fh_code code = postgresql_simple(
            work->connection,
            "SET statement_timeout=0; SELECT pg_try_advisory_lock(" MIGRATIONS_LOCK ")", -1,
            read_locked, &work->locked, error);
        if (code != FH_OK || work->locked)
            return code;
        if (world_monotonic_ns(world) >= deadline_ns)
            return error_set(error, FH_UNAVAILABLE,
                             "Another process has been migrating the store for %d s.",
                             STORE_MIGRATE_WAIT_MS / 1000);
        fiber_sleep_until(world, world_in_ms(world, LOCK_TRY_MS));
    }
}

static void unlock_migrations(struct postgresql_work *work)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SET statement_timeout=%d; SELECT pg_advisory_unlock(%s)",
             store_of_unit(work)->options.statement_timeout_ms, MIGRATIONS_LOCK);
    /* If there is no answer, the connection is closed, which releases the lock. */
    if (postgresql_simple(work->connection, sql, -1, NULL, NULL, ERROR_UNHEEDED) != FH_OK)
        postgresql_disconnect(work->connection);
}

/* ---- Begin and end ---- */

void postgresql_work_end(struct postgresql_work *work)
{
    struct postgresql_store *store = store_of_unit(work);
    struct postgresql_connection *connection = work->connection;
    if (connection) {
        for (struct postgresql_call *call = connection->first; call; call = call->next) {
            if (call->work == work)
                call->work = NULL;
        }
        if (work->lost)
            postgresql_disconnect(connection);
        if (work->base.mode & STORE_MIGRATES)
            unlock_migrations(work);
        postgresql_give_back(connection);
    }
    if (postgresql_takes_turnstile(work->base.mode) && !work->carries)
        turnstile_leave(store, work->base.mode);
    if (work->first)
        work->first->users--;
    if (work->turn.kind)
        work->turn.kind->users--;
    free(work->published);
    free(work);
}

enum fh_code postgresql_begin(struct store *base, enum store_mode mode, struct store_work **ret,
                              struct fh_error *error)
{
    struct postgresql_store *store = (struct postgresql_store *)base;
    struct postgresql_work *work = calloc(1, sizeof *work);
    FH_ASSERT(work != NULL);
    *ret = NULL;
    work->base = (struct store_work){.store = base, .mode = mode};
    enum fh_code code =
        postgresql_takes_turnstile(mode) ? turnstile_pass(store, mode, error) : FH_OK;
    if (code == FH_OK && mode != STORE_READ_COMMITTED && !(mode & STORE_GROUPED)) {
        code = postgresql_take(store, mode & STORE_MIGRATES, &work->connection, error);
        if (code != FH_OK && postgresql_takes_turnstile(mode))
            turnstile_leave(store, mode);
    }
    if (code != FH_OK) {
        free(work);
        return code;
    }
    if (mode & STORE_MIGRATES)
        code = lock_migrations(work, error);
    if (code != FH_OK) {
        postgresql_work_end(work);
        return code;
    }
    *ret = &work->base;
    return FH_OK;
}

static void send_rollback(struct postgresql_work *work)
{
    struct postgresql_connection *connection = work->connection;
    if (!work->begun || work->lost)
        return;
    /* A section of its own: an earlier failure must not skip it. */
    postgresql_sync(connection);
    struct postgresql_call *call = postgresql_call(connection, &rollback_statement, NULL, 0);
    if (!call)
        return;
    postgresql_call_defer(call, NULL);
    postgresql_sync(connection);
}

void postgresql_work_rollback(struct postgresql_work *work)
{
    /* If the connection was handed on, don't roll back here: it could hit another's transaction.
     * Whatever this one left there makes the next BEGIN fail, and its owner then sends ROLLBACK. */
    if (work->connection)
        send_rollback(work);
    postgresql_appended(work);
    postgresql_inserts_end(work, false);
    postgresql_work_end(work);
}

static void on_silence(struct world_timer *timer)
{
    struct postgresql_call *call = timer->owner;
    postgresql_disconnect(call->connection);
}

static void answer_wait(const struct postgresql_work *work, struct postgresql_call *call,
                        int statements)
{
    struct world *world = work->base.store->world;
    struct world_timer silence = {.fire = on_silence, .owner = call};
    int64_t most_ms = ANSWER_MIGRATED_MS;
    if (!(work->base.mode & STORE_MIGRATES))
        most_ms =
            ANSWER_MS + statements * (int64_t)store_of_unit(work)->options.statement_timeout_ms;
    world_timer_start(world, &silence, world_in_ms(world, most_ms));
    while (postgresql_call_next(call))
        ;
    world_timer_stop(world, &silence);
}

/* The unit's retry needs nothing from this connection, and settling needs a free one. */
static void connection_leave(struct postgresql_work *work)
{
    struct postgresql_connection *connection = work->connection;
    if (!connection)
        return;
    postgresql_disconnect(connection);
    work->connection = NULL;
    postgresql_give_back(connection);
}

/* Everything is sent: determines the outcome. */
static enum fh_code commit_ended(struct postgresql_work *work, const struct postgresql_call *call,
                                 const struct mark *mark, int backend, struct fh_error *error)
{
    if (!call || call->lost) {
        connection_leave(work);
        return postgresql_settle(store_of_unit(work), mark, backend, error);
    }
    if (call->code == FH_OK && !call->aborted && call->changes >= 0)
        return FH_OK;
    if (!work->failed) {             /* else an earlier statement did */
        work->begun = call->aborted; /* a COMMIT that fails has rolled back */
        postgresql_work_ended(work, call);
    }
    if (!work->failed)
        return error_set(error, FH_CONFLICT, "The unit of work's transaction was rolled back.");
    *error = work->error;
    return work->error.code;
}

static enum fh_code postgresql_commit_sent(struct postgresql_work *work, const struct mark *mark,
                                           struct fh_error *error)
{
    struct postgresql_connection *connection = work->connection;
    int backend = connection->backend, statements = work->deferred + 2; /* its mark and COMMIT */
    CRASH_POINT("postgresql.gathered");
    struct postgresql_call *call = postgresql_call(connection, &commit_statement, NULL, 0);
    postgresql_sync(connection);
    CRASH_POINT("postgresql.sent");
    if (work->carries)
        postgresql_group_committing(work);
    if (call)
        answer_wait(work, call, statements);
    postgresql_turn_end(work);
    if (work->carries)
        postgresql_group_committed(work);
    postgresql_appended(work);
    enum fh_code code = commit_ended(work, call, mark, backend, error);
    CRASH_POINT("postgresql.durable");
    if (call)
        postgresql_call_end(call);
    return code;
}

static enum fh_code write_commit(struct postgresql_work *work, struct fh_error *error)
{
    struct mark mark;
    enum fh_code code = postgresql_inserts_send(work, error);
    if (code != FH_OK)
        return code;
    postgresql_turn_take(work);
    code = postgresql_mark(work, &mark, error);
    if (code == FH_OK)
        code = postgresql_commit_sent(work, &mark, error);
    postgresql_turn_end(work); /* if its COMMIT was not sent */
    mark_leave(&store_of_unit(work)->marks, &mark);
    return code;
}

static void learn_single(struct postgresql_work *work)
{
    if (work->base.mode & STORE_GROUPED && work->statements == 1)
        work->first->single = true;
}

enum fh_code postgresql_work_commit(struct postgresql_work *work, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    if (!store_writes(work->base.mode) || !work->begun) {
        postgresql_work_rollback(work);
        return FH_OK;
    }
    if (work->failed) {
        code = work->error.code;
        *error = work->error;
    } else {
        code = write_commit(work, error);
    }
    if (code == FH_OK) {
        if (work->connection)
            postgresql_marks_trim(work->connection);
        learn_single(work);
        postgresql_inserts_end(work, true);
        postgresql_work_end(work);
    } else {
        postgresql_work_rollback(work);
    }
    return code;
}

/* ---- Scripts ---- */

static bool is_control_word(const char *word)
{
    static const char *const words[] = {"ABORT",   "BEGIN",    "COMMIT",    "END",
                                        "PREPARE", "ROLLBACK", "SAVEPOINT", "START"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0)
            return true;
    }
    return false;
}

static enum fh_code script_check(const struct postgresql_store *store, const char *sql,
                                 struct fh_error *error)
{
    struct script script = script_begin(sql, &postgresql_dialect);
    struct script_statement statement;
    char word[SCRIPT_WORD_SIZE];
    while (script_next(&script, &statement)) {
        script_word(&statement, &postgresql_dialect, 0, word);
        if (is_control_word(word))
            return error_set(error, FH_UNSUPPORTED,
                             "It begins or ends a transaction (%s), and is one already.", word);
    }
    return postgresql_beside_allows(store, sql, error);
}

enum fh_code postgresql_work_simple(struct postgresql_work *work, const char *sql,
                                    struct fh_error *error)
{
    struct fh_error why;
    if (work->base.mode & STORE_MIGRATES)
        work->connection->altered = true;
    postgresql_sync(work->connection);
    enum fh_code code = postgresql_simple(work->connection, sql, -1, NULL, NULL, &why);
    if (work->connection->state != CONNECTION_UP)
        work->lost = true;
    if (code == FH_OK && !work->failed)
        return FH_OK;
    return postgresql_work_fail(work, &why, error);
}

enum fh_code postgresql_script(struct store_work *base, const char *sql, struct fh_error *error)
{
    struct postgresql_work *work = (struct postgresql_work *)base;
    if (!store_writes(base->mode))
        return error_set(error, FH_UNSUPPORTED, "A read-only unit of work can't change the store.");
    enum fh_code code = script_check(store_of_unit(work), sql, error);
    if (code == FH_OK)
        code = postgresql_work_begin(work, error);
    return code == FH_OK ? postgresql_work_simple(work, sql, error) : code;
}

/* A read holds no locks that anybody would wait for. */
enum fh_code postgresql_patient(struct store_work *base, struct fh_error *error)
{
    struct postgresql_work *work = (struct postgresql_work *)base;
    FH_ASSERT(base->mode == STORE_READ);
    enum fh_code code = postgresql_work_begin(work, error);
    return code == FH_OK
               ? postgresql_work_simple(
                     work, "SET LOCAL idle_in_transaction_session_timeout = '10min'", error)
               : code;
}

enum fh_code postgresql_outside(struct store_work *base, const char *sql, struct fh_error *error)
{
    struct postgresql_work *work = (struct postgresql_work *)base;
    FH_ASSERT(base->mode & STORE_MIGRATES);
    enum fh_code code = script_check(store_of_unit(work), sql, error);
    if (code == FH_OK && work->failed)
        code = postgresql_work_fail(work, &work->error, error);
    if (code == FH_OK && work->begun)
        code = postgresql_work_simple(work, "COMMIT", error);
    if (code != FH_OK)
        return code;
    work->begun = false; /* the next statement begins a new transaction */
    return postgresql_work_simple(work, sql, error);
}
