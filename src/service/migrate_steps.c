/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations that can't be one transaction: all of MariaDB's, where statements that change the
 * schema commit, and on PostgreSQL those noted as "alone". They are applied statement by statement,
 * in a transaction each, and fh_migration_open records their progress:
 *
 *     done      statements that are done; `checksum` is that of the file up to their end
 *     running   0, or the statement (done + 1) that has been begun
 *
 * A statement that only changes rows commits together with `done`. One that changes the schema
 * can't: `running` is committed before it, `done` after it. So:
 *
 *     the link dies       after it, before `done` is committed: this process knows that it is
 *                         done, and records that over another link
 *     it fails            nothing of it is done (these statements are atomic). Those before it
 *                         are, and the next start continues with it; it may be corrected in the
 *                         file, and so may those after it.
 *     the process dies    nobody knows whether it was done. If it allows for that itself (IF NOT
 *                         EXISTS, IF EXISTS, OR REPLACE), it is run again; otherwise an operator
 *                         must look, and correct the file that way, or the store.
 *
 * A dead process's statement may still be running in the server: its session holds the lock until
 * it ends.
 */

#include "service/migration.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "store/ledger.h"

#define NOTE_MS 30000 /* a server that is away may be back by then */
#define NOTE_PAUSE_MS 500

/* ---- One statement ---- */

static bool ends_transaction(const struct script_statement *statement,
                             const struct sql_dialect *dialect)
{
    static const char *const always[] = {"COMMIT",    "ROLLBACK", "START", "END",
                                         "SAVEPOINT", "RELEASE",  "ABORT", "XA"};
    char first[SCRIPT_WORD_SIZE], second[SCRIPT_WORD_SIZE];
    script_word(statement, dialect, 0, first);
    script_word(statement, dialect, 1, second);
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        if (strcmp(first, always[i]) == 0)
            return true;
    }
    if (strcmp(first, "BEGIN") == 0)
        return strcmp(second, "NOT") != 0; /* MariaDB's BEGIN NOT ATOMIC is a block */
    if (strcmp(first, "SET") == 0)
        return strcmp(second, "TRANSACTION") == 0 || strcmp(second, "AUTOCOMMIT") == 0;
    if (strcmp(first, "LOCK") == 0 || strcmp(first, "UNLOCK") == 0)
        return dialect->locks_commit;
    return strcmp(first, "PREPARE") == 0 && strcmp(second, "TRANSACTION") == 0;
}

enum fh_code migrate_statement(struct store_work *work, const struct script_statement *statement,
                               bool outside, struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    if (ends_transaction(statement, sql->dialect))
        return error_set(error, FH_UNSUPPORTED,
                         "It begins or ends a transaction, and is in one already.");
    char *text = strndup(statement->text, statement->length);
    FH_ASSERT(text != NULL);
    enum fh_code code = outside ? sql->outside(work, text, error) : sql->script(work, text, error);
    free(text);
    return code;
}

/* ---- Progress ---- */

struct steps_progress {
    int64_t version, done, running;
    char checksum[65];
    bool found, other;
    char name[128];
};

static enum fh_code make_open_table(struct store_work *work, struct fh_error *error)
{
    return work->store->engine->sql->script(
        work,
        "CREATE TABLE IF NOT EXISTS fh_migration_open ("
        " version BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL,"
        " done BIGINT NOT NULL, running BIGINT NOT NULL, checksum VARCHAR(64) NOT NULL)",
        error);
}

static bool read_progress(void *context, const struct sql_row *row)
{
    struct steps_progress *progress = context;
    if (row->values[0].integer == progress->version) {
        progress->found = true;
        progress->done = row->values[2].integer;
        progress->running = row->values[3].integer;
        snprintf(progress->checksum, sizeof progress->checksum, "%s", row->values[4].text);
    } else {
        progress->other = true;
        snprintf(progress->name, sizeof progress->name, "%s", row->values[1].text);
    }
    return true;
}

static enum fh_code load_progress(struct store_work *work, const struct migration *migration,
                                  struct steps_progress *progress, struct fh_error *error)
{
    *progress = (struct steps_progress){.version = migration->version};
    enum fh_code code =
        sql_run(work, "SELECT version, name, done, running, checksum FROM fh_migration_open", NULL,
                0, read_progress, progress, NULL, error);
    if (code == FH_OK && progress->other)
        return error_set(error, FH_INVALID,
                         "The migration %s was begun in this store, and its file is gone.",
                         progress->name);
    if (code != FH_OK || progress->found)
        return code;
    migration_checksum(migration->sql, 0, progress->checksum);
    struct sql_value values[] = {sql_integer(migration->version), sql_text(migration->name),
                                 sql_text(progress->checksum)};
    return sql_run(work,
                   "INSERT INTO fh_migration_open (version, name, done, running, checksum)"
                   " VALUES (?1, ?2, 0, 0, ?3)",
                   values, 3, NULL, NULL, NULL, error);
}

static enum fh_code save_progress(struct store_work *work, const struct steps_progress *progress,
                                  struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(progress->version), sql_integer(progress->done),
                                 sql_integer(progress->running), sql_text(progress->checksum)};
    return sql_run(work,
                   "UPDATE fh_migration_open SET done = ?2, running = ?3, checksum = ?4"
                   " WHERE version = ?1",
                   values, 4, NULL, NULL, NULL, error);
}

/* The first statement that is not done; text NULL: all are. */
static enum fh_code find_statement(const struct steps_progress *progress,
                                   const struct migration *migration,
                                   const struct sql_dialect *dialect, struct script_statement *ret,
                                   struct fh_error *error)
{
    struct script script = script_begin(migration->sql, dialect);
    struct script_statement statement = {0};
    char checksum[65];
    while (statement.number < progress->done && script_next(&script, &statement))
        ;
    migration_checksum(migration->sql, statement.end, checksum);
    if (statement.number < progress->done || strcmp(checksum, progress->checksum) != 0)
        return error_set(error, FH_INVALID,
                         "The migration %s was begun in this store, and of its first %" PRId64
                         " statements, which stand, some have changed since.",
                         migration->name, progress->done);
    if (!script_next(&script, ret))
        *ret = (struct script_statement){0};
    return FH_OK;
}

static bool changes_rows_only(const struct script_statement *statement,
                              const struct sql_dialect *dialect)
{
    static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "REPLACE",
                                        "WITH",   "SELECT", "VALUES"};
    char first[SCRIPT_WORD_SIZE];
    script_word(statement, dialect, 0, first);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(first, words[i]) == 0)
            return true;
    }
    return false;
}

/* Can it be run again after it was done? One that builds an index concurrently leaves a name behind
 * even if it fails. */
static bool statement_repeats(const struct script_statement *statement,
                              const struct sql_dialect *dialect)
{
    if (script_has_word(statement, dialect, "CONCURRENTLY"))
        return false;
    if (script_has_word(statement, dialect, "IF") && script_has_word(statement, dialect, "EXISTS"))
        return true;
    return script_has_word(statement, dialect, "OR") &&
           script_has_word(statement, dialect, "REPLACE");
}

static enum fh_code refuse_unknown(const struct migration *migration,
                                   const struct script_statement *statement, struct fh_error *error)
{
    return error_set(error, FH_INVALID,
                     "The migration %s was cut off in statement %d, line %d, which may have been "
                     "done or not. Let it say IF EXISTS or IF NOT EXISTS; or undo it and say so: "
                     "UPDATE fh_migration_open SET running = 0.",
                     migration->name, statement->number, statement->line);
}

/* In a transaction of its own; another process may have had the lock since, and gone on. */
static enum fh_code note_once(struct store *store, const struct steps_progress *progress,
                              int64_t running, struct fh_error *error)
{
    struct store_work *work;
    struct sql_value values[] = {sql_integer(progress->version), sql_integer(progress->done),
                                 sql_integer(running), sql_text(progress->checksum)};
    enum fh_code code = store_begin(store, STORE_MIGRATE, &work, error);
    if (code != FH_OK)
        return code;
    code = sql_run(work,
                   "UPDATE fh_migration_open SET done = ?2, running = 0, checksum = ?4"
                   " WHERE version = ?1 AND running = ?3",
                   values, 4, NULL, NULL, NULL, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* Records the result of the statement marked as running, which no one else knows. If that can't be
 * recorded, the mark stays, and an operator has to look. */
static enum fh_code note_result(struct store *store, const struct steps_progress *progress,
                                int64_t running, struct fh_error *error)
{
    struct world *world = store->world;
    int64_t until_ns = world_in_ms(world, NOTE_MS);
    for (;;) {
        enum fh_code code = note_once(store, progress, running, error);
        bool passes = code == FH_UNAVAILABLE || (code == FH_CONFLICT && error->retryable);
        if (!passes || world_monotonic_ns(world) >= until_ns)
            return code;
        fiber_sleep_until(world, world_in_ms(world, NOTE_PAUSE_MS));
    }
}

static enum fh_code statement_failed(const struct migration *migration,
                                     const struct script_statement *statement,
                                     const struct sql_dialect *dialect, const struct fh_error *why,
                                     struct fh_error *error)
{
    bool may_pass = why->code == FH_UNAVAILABLE || why->code == FH_NO_MEMORY;
    const char *left =
        script_has_word(statement, dialect, "CONCURRENTLY") ? " An invalid index may be left." : "";
    return error_set(error, may_pass ? why->code : FH_INVALID,
                     "The migration %s failed in statement %d, line %d; %s, and the next start "
                     "goes on with it: %.90s%s",
                     migration->name, statement->number, statement->line,
                     statement->number > 1 ? "what is before it stands" : "nothing of it stands",
                     why->message, left);
}

static enum fh_code step_commit(struct store_work *work, struct fh_error *error)
{
    enum fh_code code = store_commit(work, error);
    CRASH_POINT("steps.durable");
    return code;
}

/* The statement is done. If it committed by itself and recording it failed, that is repeated
 * separately. */
static enum fh_code count_statement(struct store_work *work, const struct steps_progress *progress,
                                    bool commits, struct fh_error *error)
{
    struct store *store = work->store;
    enum fh_code code = step_commit(work, error);
    return code != FH_OK && commits ? note_result(store, progress, progress->done, error) : code;
}

/* Nothing of the statement is done: the next start may run it again. */
static void note_failed(struct store *store, const struct steps_progress *progress, int64_t running)
{
    struct fh_error unheeded = {0};
    note_result(store, progress, running, &unheeded);
}

/* Ends the unit of work. */
static enum fh_code run_statement(struct store_work *work, const struct migration *migration,
                                  const struct script_statement *statement,
                                  struct steps_progress *progress, struct fh_error *error)
{
    struct store *store = work->store;
    const struct sql_ops *sql = store->engine->sql;
    bool commits = !changes_rows_only(statement, sql->dialect);
    bool ran = false;
    enum fh_code code = FH_OK;
    struct fh_error why = {0};
    if (commits) {
        progress->running = statement->number;
        code = save_progress(work, progress, &why);
    }
    CRASH_POINT("steps.begun"); /* the statement itself commits `running` */
    if (code == FH_OK)
        code = migrate_statement(work, statement, commits && sql->outside, &why);
    CRASH_POINT("steps.run");
    if (code == FH_OK) {
        ran = true;
        progress->done = statement->number;
        progress->running = 0;
        migration_checksum(migration->sql, statement->end, progress->checksum);
        code = save_progress(work, progress, &why);
        CRASH_POINT("steps.counted");
        if (code == FH_OK)
            return count_statement(work, progress, commits, error);
    }
    store_rollback(work);
    if (commits && ran)
        return note_result(store, progress, statement->number, error);
    if (commits && code != FH_UNAVAILABLE)
        note_failed(store, progress, statement->number);
    if (why.code == FH_CONFLICT && why.retryable) {
        *error = why;
        return code;
    }
    return statement_failed(migration, statement, sql->dialect, &why, error);
}

static enum fh_code finish_migration(struct store_work *work, const struct migration *migration,
                                     struct fh_error *error)
{
    struct sql_value version = sql_integer(migration->version);
    enum fh_code code = sql_run(work, "DELETE FROM fh_migration_open WHERE version = ?1", &version,
                                1, NULL, NULL, NULL, error);
    if (code == FH_OK)
        code = ledger_migration_put(work, migration->version, migration->name, migration->checksum,
                                    world_wall_ms(work->store->world), error);
    CRASH_POINT("steps.recorded");
    if (code == FH_OK)
        return step_commit(work, error);
    store_rollback(work);
    return code;
}

enum fh_code migrate_step(struct store_work *work, const struct migration *migration,
                          bool *ret_whole, struct fh_error *error)
{
    const struct sql_dialect *dialect = sql_dialect_of(work->store);
    struct steps_progress progress;
    struct script_statement statement;
    enum fh_code code = make_open_table(work, error);
    if (code == FH_OK)
        code = load_progress(work, migration, &progress, error);
    if (code == FH_OK)
        code = find_statement(&progress, migration, dialect, &statement, error);
    if (code == FH_OK && progress.running && statement.text &&
        !statement_repeats(&statement, dialect))
        code = refuse_unknown(migration, &statement, error);
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    if (statement.text)
        return run_statement(work, migration, &statement, &progress, error);
    code = finish_migration(work, migration, error);
    *ret_whole = code == FH_OK;
    return code;
}
