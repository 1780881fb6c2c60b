/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of work on MariaDB.
 *
 * A unit of work takes a connection when it begins and keeps it to the end. Its transaction begins
 * with its first statement (autocommit is off), at SERIALIZABLE: InnoDB locks everything read, so
 * two units that can't be ordered one after the other meet in a deadlock or a lock wait that times
 * out; one of them is rolled back and runs again. A unit that lost its transaction
 * runs no more statements: the next would begin a new transaction without the first half.
 *
 * A retry is exclusive: one at a time and, once such a retry lost a conflict too, with no other
 * unit of this process beside it, so that there is always progress.
 *
 * COMMIT goes in one request with the unit's mark, which replaces the mark that the connection left
 * before. The order is DELETE, INSERT, COMMIT; the server stops at the first that fails. If the
 * link dies before the answer, or none comes, settling determines the outcome and rules out the
 * other one, for as long as the server is away: see settle.c. A commit returns once the outcome is
 * decided. The server answers after its log is synced (innodb_flush_log_at_trx_commit, which is
 * checked).
 *
 * Single statements (STORE_READ_COMMITTED) borrow a connection each; a snapshot keeps one.
 */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "engine/mariadb/internal.h"
#include "store/relational/script.h"

static struct mariadb_store *mariadb_of_work(struct store_work *work)
{
    return (struct mariadb_store *)work->store;
}

static struct mariadb_pool *pool_of(struct mariadb_store *store, enum store_mode mode)
{
    return store_writes(mode) ? &store->works : &store->reads;
}

static bool mariadb_takes_turnstile(enum store_mode mode)
{
    return store_writes(mode) && !(mode & STORE_MIGRATES);
}

/* ---- exclusive units of work ---- */

static bool mariadb_must_wait(const struct mariadb_store *store, enum store_mode mode)
{
    if (mode & STORE_EXCLUSIVE)
        return store->exclusive || (store->beaten && store->working);
    return store->beaten && (store->exclusive || store->exclusive_waiting);
}

static void turn_take(struct mariadb_store *store, enum store_mode mode)
{
    bool exclusive = mode & STORE_EXCLUSIVE;
    store->exclusive_waiting += exclusive;
    while (mariadb_must_wait(store, mode))
        fiber_wait(&store->turnstile);
    store->exclusive_waiting -= exclusive;
    store->exclusive = store->exclusive || exclusive;
    store->working++;
}

static void turn_give(struct mariadb_store *store, enum store_mode mode, bool beaten)
{
    store->working--;
    if (mode & STORE_EXCLUSIVE) {
        store->exclusive = false;
        store->beaten = beaten;
    }
    fiber_wake_all(&store->turnstile);
}

/* ---- begin ---- */

static void take_first_text(void *context, char **row)
{
    snprintf(context, 8, "%s", row[0] ? row[0] : "");
}

/* Only one process migrates at a time: the connection holds a lock of the server. */
static enum fh_code migrate_begin(struct mariadb_store *store, struct mariadb_work *work,
                                  struct fh_error *error)
{
    char got[8] = "", sql[128];
    struct mariadb_connection *connection;
    enum fh_code code = mariadb_connection_new(store, MARIADB_MIGRATIONS, &connection, error);
    if (code != FH_OK)
        return code;
    connection->statement_ms = STORE_MIGRATE_WAIT_MS + MARIADB_STATEMENT_MS;
    snprintf(sql, sizeof sql, "SELECT GET_LOCK(CONCAT('fh.', MD5(DATABASE())), %d)",
             STORE_MIGRATE_WAIT_MS / 1000);
    code = mariadb_query(connection, sql, take_first_text, got, error);
    if (code == FH_OK && strcmp(got, "1") != 0)
        code = error_set(error, FH_UNAVAILABLE,
                         "Another process has been changing the store's schema for %d s.",
                         STORE_MIGRATE_WAIT_MS / 1000);
    if (code != FH_OK) {
        mariadb_connection_free(connection);
        return code;
    }
    connection->statement_ms = MARIADB_MIGRATION_MS;
    work->connection = connection;
    return FH_OK;
}

static enum fh_code snapshot_begin(struct mariadb_store *store, struct mariadb_work *work,
                                   struct fh_error *error)
{
    static const char *const begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
    for (int i = 0;; i++) {
        enum fh_code code = mariadb_acquire(store, &store->reads, &work->connection, error);
        if (code != FH_OK)
            return code;
        code = mariadb_query(work->connection, begin, NULL, NULL, error);
        if (code == FH_OK)
            return FH_OK;
        bool broken = work->connection->broken;
        work->connection->broken = true;
        mariadb_release(&store->reads, work->connection);
        if (!broken || i == 1)
            return code;
    }
}

enum fh_code mariadb_begin(struct store *base, enum store_mode mode, struct store_work **ret,
                           struct fh_error *error)
{
    struct mariadb_store *store = (struct mariadb_store *)base;
    struct mariadb_work *work = calloc(1, sizeof *work);
    enum fh_code code = FH_OK;
    *ret = NULL;
    if (!work)
        return error_set(error, FH_NO_MEMORY, "No memory for a unit of work.");
    work->base = (struct store_work){.store = base, .mode = mode};
    if (mariadb_takes_turnstile(mode))
        turn_take(store, mode);
    if (mode & STORE_MIGRATES)
        code = migrate_begin(store, work, error);
    else if (mode == STORE_READ)
        code = snapshot_begin(store, work, error);
    else if (mode != STORE_READ_COMMITTED)
        code = mariadb_acquire(store, &store->works, &work->connection, error);
    if (code != FH_OK) {
        if (mariadb_takes_turnstile(mode))
            turn_give(store, mode, false);
        free(work);
        return code;
    }
    *ret = &work->base;
    return FH_OK;
}

/* ---- statements ---- */

/* If the link died no later than in the unit's first statement, and before any of its rows was
 * given, nothing of the unit is lost: takes another connection. */
static bool renew_connection(struct mariadb_work *work, const struct mariadb_failure *failure)
{
    struct mariadb_store *store = mariadb_of_work(&work->base);
    enum store_mode mode = work->base.mode;
    bool first =
        work->statements == 0 && (mariadb_takes_turnstile(mode) || mode == STORE_READ_COMMITTED);
    if (!first || failure->visited || !mariadb_is_gone(failure->number))
        return false;
    mariadb_release(pool_of(store, mode), work->connection);
    work->connection = NULL;
    return mariadb_acquire(store, pool_of(store, mode), &work->connection, ERROR_UNHEEDED) == FH_OK;
}

/* The text's first word decides whether it may run in a handler's unit of work. */
static enum fh_code judge_work_statement(struct mariadb_work *work, const char *sql,
                                         bool *ret_schema, struct fh_error *error)
{
    struct mariadb_text *text;
    enum fh_code code =
        mariadb_text_get(&mariadb_of_work(&work->base)->texts, sql, NULL, &text, error);
    if (code != FH_OK)
        return code;
    bool control = text->control;
    *ret_schema = text->schema;
    mariadb_text_put(text);
    if (control)
        return error_set(error, FH_UNSUPPORTED,
                         "Freehold begins and ends the transaction and owns the session: \"%.40s\" "
                         "can't be run in it.",
                         sql);
    if (*ret_schema && work->statements && mariadb_takes_turnstile(work->base.mode))
        return error_set(error, FH_UNSUPPORTED,
                         "MariaDB commits implicitly before a statement that changes the schema: "
                         "\"%.40s\" can't follow other statements of a unit of work.",
                         sql);
    return FH_OK;
}

/* Whether the server ended the transaction because the unit stood idle for too long (an overloaded
 * machine): nothing else is wrong, and it runs again. Measured from when the previous statement was
 * sent; the server counts from its answer. */
static bool stood_still(const struct mariadb_work *work, int64_t asked_before_ns,
                        const struct mariadb_failure *failure)
{
    return work->statements > 0 && mariadb_takes_turnstile(work->base.mode) &&
           mariadb_is_gone(failure->number) &&
           work->asked_ns - asked_before_ns >= MARIADB_IDLE_S * (int64_t)1000000000;
}

static enum fh_code idle_fail(struct fh_error *error)
{
    return error_retry(error, FH_CONFLICT,
                       "The transaction was idle between two statements for too long, and the "
                       "store's server ended it.");
}

static enum fh_code run_on(struct mariadb_work *work, const char *sql,
                           const struct sql_value *values, int count, sql_visit *visit,
                           void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct mariadb_failure failure = {0};
    bool schema = false;
    enum fh_code code = judge_work_statement(work, sql, &schema, error);
    if (code != FH_OK)
        return code;
    int64_t asked_before_ns = work->asked_ns;
    work->asked_ns = world_monotonic_ns(work->base.store->world);
    code = mariadb_run(work->connection, sql, values, count, visit, context, ret_changes, &failure,
                       error);
    if (code != FH_OK && !schema && renew_connection(work, &failure)) {
        failure = (struct mariadb_failure){0};
        code = mariadb_run(work->connection, sql, values, count, visit, context, ret_changes,
                           &failure, error);
    } else if (code != FH_OK && stood_still(work, asked_before_ns, &failure)) {
        code = idle_fail(error);
    }
    work->statements++;
    if (code == FH_OK)
        return FH_OK;
    if (work->connection)
        mariadb_name_field(work->connection, sql, &failure, error);
    if (!work->connection || work->connection->broken || failure.again ||
        mariadb_is_lost(failure.number)) {
        work->lost = true;
        work->lost_why = *error;
    }
    return code;
}

enum fh_code mariadb_work_run(struct store_work *base, const char *sql,
                              const struct sql_value *values, int count, sql_visit *visit,
                              void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct mariadb_work *work = (struct mariadb_work *)base;
    struct mariadb_store *store = mariadb_of_work(base);
    struct fh_error why = {0};
    enum fh_code code = FH_OK;
    if (work->lost) {
        *error = work->lost_why;
        return work->lost_why.code;
    }
    if (base->mode == STORE_READ_COMMITTED) {
        work->statements = 0;
        code = mariadb_acquire(store, &store->reads, &work->connection, error);
        if (code != FH_OK)
            return code;
    } else if (work->connection->running) {
        return error_set(error, FH_UNSUPPORTED,
                         "A statement can't be run while the rows of another one are read.");
    }
    code = run_on(work, sql, values, count, visit, context, ret_changes, &why);
    if (base->mode == STORE_READ_COMMITTED) {
        if (work->connection)
            mariadb_release(&store->reads, work->connection);
        work->connection = NULL;
        work->lost = false; /* the next one is independent */
    }
    if (code != FH_OK && error)
        *error = why;
    return code;
}

/* In a text that EXECUTE or PREPARE is given: a variable's content is not known. */
static bool names_transaction(const char *text)
{
    static const char *const words[] = {"COMMIT", "ROLLBACK", "BEGIN", "START TRANSACTION", NULL};
    for (int i = 0; words[i]; i++) {
        if (strcasestr(text, words[i]))
            return true;
    }
    return false;
}

static enum fh_code script_statement_check(const char *text, bool compound, struct fh_error *error)
{
    static const char *const control[] = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "START",
                                          "XA",    "LOCK",   "UNLOCK",   NULL};
    static const char *const texts[] = {"EXECUTE", "PREPARE", NULL};
    bool controls = !compound && mariadb_may_begin_with(text, control);
    if (controls || (mariadb_may_begin_with(text, texts) && names_transaction(text)))
        return error_set(error, FH_UNSUPPORTED,
                         "It begins or ends a transaction, and is one already.");
    if (mariadb_hides_statements(text))
        return error_set(error, FH_UNSUPPORTED,
                         "A comment that the server runs holds a semicolon, and so a statement "
                         "that can't be checked: write it as one of its own.");
    return FH_OK;
}

enum fh_code mariadb_script(struct store_work *base, const char *sql, struct fh_error *error)
{
    struct mariadb_work *work = (struct mariadb_work *)base;
    struct script script = script_begin(sql, &mariadb_dialect);
    struct script_statement statement;
    while (script_next(&script, &statement)) {
        bool compound = script_has_word(&statement, &mariadb_dialect, "END");
        char *text = strndup(statement.text, statement.length);
        FH_ASSERT(text != NULL);
        enum fh_code code = script_statement_check(text, compound, error);
        if (code == FH_OK)
            code = mariadb_query(work->connection, text, NULL, NULL, error);
        free(text);
        work->statements++;
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

/* ---- the end ---- */

static void finish_work(struct mariadb_work *work, bool beaten)
{
    struct mariadb_store *store = mariadb_of_work(&work->base);
    enum store_mode mode = work->base.mode;
    if (mode & STORE_MIGRATES)
        mariadb_connection_free(work->connection); /* which also releases its lock */
    else if (work->connection)
        mariadb_release(pool_of(store, mode), work->connection);
    if (mariadb_takes_turnstile(mode))
        turn_give(store, mode, beaten);
    free(work);
}

static void roll_back(struct mariadb_work *work)
{
    struct mariadb_connection *connection = work->connection;
    if (!connection || connection->broken || !work->statements)
        return;
    if (mariadb_query(connection, "ROLLBACK", NULL, NULL, ERROR_UNHEEDED) != FH_OK)
        connection->broken = true; /* the server rolls back what was open on it */
}

void mariadb_rollback(struct store_work *base)
{
    struct mariadb_work *work = (struct mariadb_work *)base;
    bool beaten = work->lost && work->lost_why.code == FH_CONFLICT;
    if (base->mode == STORE_READ)
        work->statements = 1; /* so that its snapshot is rolled back */
    roll_back(work);
    finish_work(work, beaten);
}

/* The link died, or the server failed, before it confirmed the commit. The link is given up first:
 * settling needs one. */
static enum fh_code settle_commit(struct mariadb_work *work, const struct mark *mark,
                                  struct fh_error *error)
{
    struct mariadb_store *store = mariadb_of_work(&work->base);
    if (work->base.mode & STORE_MIGRATES)
        mariadb_connection_free(work->connection);
    else
        mariadb_release(&store->works, work->connection);
    work->connection = NULL;
    return mariadb_settle(store, mark, error);
}

static enum fh_code mariadb_commit_sent(struct mariadb_work *work, const struct mark *mark,
                                        struct fh_error *error)
{
    struct mariadb_connection *connection = work->connection;
    char sql[320];
    int length = 0;
    if (connection->left.opening)
        length =
            snprintf(sql, sizeof sql, "DELETE FROM fh_mark WHERE opening = %lld AND number = %lld;",
                     (long long)connection->left.opening, (long long)connection->left.number);
    if (mark->opening)
        length += snprintf(sql + length, sizeof sql - (size_t)length,
                           "INSERT INTO fh_mark (opening, number) VALUES (%lld, %lld);",
                           (long long)mark->opening, (long long)mark->number);
    snprintf(sql + length, sizeof sql - (size_t)length, "COMMIT");
    enum fh_code code = mariadb_query(connection, sql, NULL, NULL, error);
    if (code == FH_OK) {
        connection->left = (struct mark){.opening = mark->opening, .number = mark->number};
        return FH_OK;
    }
    if (!connection->broken)
        roll_back(work);
    return connection->broken ? settle_commit(work, mark, error) : code;
}

static enum fh_code commit_written(struct mariadb_work *work, struct fh_error *error)
{
    struct marks *marks = &mariadb_of_work(&work->base)->marks;
    struct mark mark;
    mark_take(marks, &mark);
    enum fh_code code = mariadb_commit_sent(work, &mark, error);
    mark_leave(marks, &mark);
    return code;
}

enum fh_code mariadb_commit(struct store_work *base, struct fh_error *error)
{
    struct mariadb_work *work = (struct mariadb_work *)base;
    struct fh_error why = {0};
    enum fh_code code = FH_OK;
    if (!store_writes(base->mode)) {
        mariadb_rollback(base);
        return FH_OK;
    }
    if (work->lost) {
        why = work->lost_why;
        code = why.code;
        roll_back(work);
    } else if (work->statements) { /* a SELECT may have written, too, in a function */
        code = commit_written(work, &why);
    }
    if (code != FH_OK && error)
        *error = why;
    finish_work(work, code == FH_CONFLICT && why.retryable);
    return code;
}
