/* SPDX-License-Identifier: Apache-2.0 */
/* Runs statements in a unit of work, and scripts. */

#define _GNU_SOURCE
#include <string.h>
#include <strings.h>

#include "engine/sqlite/internal.h"

/* Each sqlite3_column_*() looks the column up, and ends as a call of its own; where connections
 * have no mutex its value may be read instead. What may lack memory is asked of the statement,
 * whose next step then fails. */
static void read_column(sqlite3_stmt *statement, int column, struct sql_value *value)
{
    sqlite3_value *read = sqlite3_column_value(statement, column);
    *value = (struct sql_value){0};
    switch (sqlite3_value_type(read)) {
    case SQLITE_INTEGER:
        value->kind = SQL_INTEGER;
        value->integer = sqlite3_value_int64(read);
        break;
    case SQLITE_FLOAT:
        value->kind = SQL_REAL;
        value->real = sqlite3_value_double(read);
        break;
    case SQLITE_TEXT:
        value->kind = SQL_TEXT;
        value->text = (const char *)sqlite3_column_text(statement, column);
        value->length = (size_t)sqlite3_value_bytes(read);
        break;
    case SQLITE_BLOB:
        value->kind = SQL_BLOB;
        value->text = sqlite3_column_blob(statement, column);
        value->length = (size_t)sqlite3_value_bytes(read);
        break;
    default:
        value->kind = SQL_NULL;
    }
}

/* By SQLite's rules for the affinity of a declared type. */
static bool holds_reals(const char *type)
{
    static const char *const others[] = {"INT", "CHAR", "CLOB", "TEXT", "BLOB"};
    if (!type ||
        !(strcasestr(type, "REAL") || strcasestr(type, "FLOA") || strcasestr(type, "DOUB")))
        return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcasestr(type, others[i]))
            return false;
    }
    return true;
}

/* RETURNING gives a whole number in such a column as an integer. It is a real number as in a
 * SELECT, and as in an insertion whose row is read back (returning.c). */
static void mend_returned(const struct sql_row *row, struct sql_value *values)
{
    for (int i = 0; i < row->count; i++) {
        if (values[i].kind == SQL_INTEGER && holds_reals(row->types[i]))
            values[i] = (struct sql_value){.kind = SQL_REAL, .real = (double)values[i].integer};
    }
}

int sqlite_step_all(sqlite3_stmt *statement, sql_visit *visit, void *context)
{
    const char *names[SQL_VALUES_MAX], *types[SQL_VALUES_MAX];
    struct sql_value values[SQL_VALUES_MAX];
    int count = visit ? sqlite3_column_count(statement) : 0;
    if (count > SQL_VALUES_MAX)
        return SQLITE_RANGE;
    bool returns = !sqlite3_stmt_readonly(statement);
    int result = sqlite3_step(statement);
    for (int i = 0; i < count && result == SQLITE_ROW; i++) {
        names[i] = sqlite3_column_name(statement, i);
        types[i] = sqlite3_column_decltype(statement, i);
    }
    while (result == SQLITE_ROW) {
        for (int i = 0; i < count; i++)
            read_column(statement, i, &values[i]);
        struct sql_row row = {count, names, types, values};
        if (returns)
            mend_returned(&row, values);
        if (visit && !visit(context, &row))
            return SQLITE_DONE;
        result = sqlite3_step(statement);
    }
    return result;
}

static int insert_and_read(sqlite3 *db, const struct sqlite_prepared *prepared, sql_visit *visit,
                           void *context)
{
    int result = sqlite_returning_insert(db, prepared);
    return result == SQLITE_ROW ? sqlite_step_all(prepared->inserted, visit, context) : result;
}

enum fh_code sqlite_may_run(struct store_work *work, struct fh_error *error)
{
    struct sqlite_store *store = (struct sqlite_store *)work->store;
    if (store_writes(work->mode) && (sqlite_group_broke(store) || store->state != GROUP_OPEN))
        return error_retry(error, FH_CONFLICT, "The group's transaction was rolled back.");
    return store_writes(work->mode) ? FH_OK
                                    : sqlite_snapshot_ready((struct sqlite_work *)work, error);
}

enum fh_code sqlite_statement_failed(struct store_work *work, int result, struct fh_error *error)
{
    struct sqlite_store *store = (struct sqlite_store *)work->store;
    /* A transaction that outgrows the cache writes to the log early, and may sync the log's new
     * header. */
    if (result == SQLITE_IOERR_FSYNC)
        world_fatal(store->base.world, "fsync failed in a statement");
    enum fh_code code = sqlite_error(((struct sqlite_work *)work)->connection->db, result, error);
    if (store_writes(work->mode) && sqlite_group_broke(store) && !sqlite_is_exclusive(work->mode))
        code = error_retry(error, FH_CONFLICT, "The group's transaction was rolled back.");
    return code;
}

static bool needs_late_rows(const struct sqlite_work *work, const struct sqlite_prepared *prepared)
{
    const struct sqlite_store *store = (struct sqlite_store *)work->base.store;
    bool names_late = prepared->outbox || (prepared->commands && !work->looks_for_command);
    return names_late && store_writes(work->base.mode) && !sqlite_late_is_written(&store->late);
}

static int write_before(struct sqlite_work *work)
{
    struct sqlite_store *store = (struct sqlite_store *)work->base.store;
    work->changed |= store->late.last != work->mark.last;
    int result = sqlite_late_write(store);
    work->changed |= result != SQLITE_OK;
    return result;
}

static enum fh_code get_prepared(const struct sqlite_work *work, const char *sql,
                                 struct sqlite_prepared **ret, struct fh_error *error)
{
    int result = sqlite_statement_get(work->connection, sql, ret);
    if (result == SQLITE_MISUSE)
        return error_set(error, FH_UNSUPPORTED, "One statement at a time, and not an empty one.");
    if (result != SQLITE_OK)
        return sqlite_error(work->connection->db, result, error);
    if (store_writes(work->base.mode) || (*ret)->readonly)
        return FH_OK;
    sqlite_statement_done(work->connection, sql, *ret);
    return error_set(error, FH_UNSUPPORTED, "A read-only unit of work can't change the store.");
}

/* What the statement may see or change is in its tables first. To write that may take the same
 * statement, and may give up all that are prepared. */
static enum fh_code get_ready(struct sqlite_work *work, const char *sql,
                              struct sqlite_prepared **ret, struct fh_error *error)
{
    enum fh_code code = get_prepared(work, sql, ret, error);
    if (code != FH_OK || !needs_late_rows(work, *ret))
        return code;
    sqlite_statement_done(work->connection, sql, *ret);
    int result = write_before(work);
    if (result != SQLITE_OK)
        return sqlite_statement_failed(&work->base, result, error);
    return get_prepared(work, sql, ret, error);
}

/* They might make a record that the filter does not have. */
static void heed_records(struct sqlite_work *work, const struct sqlite_prepared *prepared)
{
    if (prepared->records && !work->puts_command)
        sqlite_filter_forget(&((struct sqlite_store *)work->base.store)->filter);
    work->puts_command = false;
}

static void note_change(struct sqlite_work *work, const struct sqlite_prepared *prepared,
                        int64_t rows)
{
    if (prepared->readonly)
        return;
    work->changed |= prepared->schema || rows > 0;
    work->connection->schema_changed |= prepared->schema;
    if (prepared->outbox)
        ((struct sqlite_store *)work->base.store)->late.position = SQLITE_POSITION_UNKNOWN;
}

static enum fh_code run_ready(struct sqlite_work *own, const char *sql,
                              const struct sql_value *values, int count, sql_visit *visit,
                              void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct sqlite_connection *connection = own->connection;
    struct sqlite_prepared *prepared;
    enum fh_code code = get_ready(own, sql, &prepared, error);
    if (code != FH_OK)
        return code;
    bool reads_back = prepared->insert && !connection->schema_changed;
    int result = sqlite_bind(reads_back ? prepared->insert : prepared->statement, values, count);
    if (result == SQLITE_RANGE) {
        sqlite_statement_done(connection, sql, prepared);
        return error_set(error, FH_UNSUPPORTED, "A statement got %d values for its parameters.",
                         count);
    }
    heed_records(own, prepared);
    int64_t before = sqlite3_total_changes64(connection->db);
    if (result == SQLITE_OK)
        result = reads_back ? insert_and_read(connection->db, prepared, visit, context)
                            : sqlite_step_all(prepared->statement, visit, context);
    code = result == SQLITE_DONE ? FH_OK : sqlite_statement_failed(&own->base, result, error);
    struct sqlite_prepared did = *prepared;
    sqlite_statement_done(connection, sql, prepared); /* only now has it counted its rows */
    int64_t rows = sqlite3_total_changes64(connection->db) - before;
    note_change(own, &did, rows);
    if (code == FH_OK && ret_changes)
        *ret_changes = rows;
    return code;
}

/* What a visitor may wait for, a question must not run beside. */
static void stepping_end(struct sqlite_work *own)
{
    struct sqlite_store *store = (struct sqlite_store *)own->base.store;
    own->stepping--;
    if (--own->connection->stepping == 0 && store->questions.first)
        sqlite_questions_start(store);
}

enum fh_code sqlite_statement_run(struct store_work *work, const char *sql,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct sqlite_work *own = (struct sqlite_work *)work;
    enum fh_code code = sqlite_may_run(work, error);
    if (code != FH_OK)
        return code;
    if (own->question) /* it is one of the question's, off the loop */
        return run_ready(own, sql, values, count, visit, context, ret_changes, error);
    own->stepping++;
    own->connection->stepping++;
    code = run_ready(own, sql, values, count, visit, context, ret_changes, error);
    stepping_end(own);
    return code;
}

/* What is set lasts as long as the connection, which the units of work after a migration use. Of
 * those that pass foreign_keys does nothing in a transaction. */
static bool pragma_lasts(const char *pragma, const char *value)
{
    static const char *const passing[] = {
        "defer_foreign_keys", "foreign_key_check", "foreign_key_list", "foreign_keys",
        "index_info",         "index_list",        "index_xinfo",      "integrity_check",
        "quick_check",        "table_info",        "table_list",       "table_xinfo"};
    for (size_t i = 0; value && i < sizeof passing / sizeof *passing; i++) {
        if (strcasecmp(pragma, passing[i]) == 0)
            return false;
    }
    return value != NULL;
}

struct script_refusal {
    bool migrates;
    const char *why; /* NULL: nothing was refused */
};

static int refuse_in_script(void *context, int action, const char *one, const char *two,
                            const char *three, const char *four)
{
    struct script_refusal *refusal = context;
    (void)three, (void)four;
    if (action == SQLITE_TRANSACTION || action == SQLITE_SAVEPOINT)
        refusal->why = "It begins or ends a transaction, and is in one already.";
    else if (action == SQLITE_PRAGMA && refusal->migrates && pragma_lasts(one, two))
        refusal->why =
            "It sets a PRAGMA that would outlast the migration, and hold for units of work.";
    else
        return SQLITE_OK;
    return SQLITE_DENY;
}

struct scripting {
    sqlite3 *db;
    const char *sql;
    int result;
};

static void script_run(void *owner)
{
    struct scripting *scripting = owner;
    scripting->result = sqlite3_exec(scripting->db, scripting->sql, NULL, NULL, NULL);
}

/* A migration runs off the loop: it may take minutes, and the process must keep reporting that it
 * is alive. Nothing else uses the writer until the migration ends. */
enum fh_code sqlite_script(struct store_work *work, const char *sql, struct fh_error *error)
{
    struct sqlite_store *store = (struct sqlite_store *)work->store;
    sqlite3 *db = store->writer.db;
    struct script_refusal refusal = {.migrates = work->mode & STORE_MIGRATES};
    struct scripting scripting = {.db = db, .sql = sql};
    ((struct sqlite_work *)work)->changed = true;
    scripting.result = sqlite_late_write(store);
    if (scripting.result != SQLITE_OK)
        return sqlite_statement_failed(work, scripting.result, error);
    sqlite3_set_authorizer(db, refuse_in_script, &refusal);
    if (work->mode & STORE_MIGRATES)
        world_blocking(work->store->world, script_run, &scripting);
    else
        script_run(&scripting);
    enum fh_code code = FH_OK;
    if (refusal.why)
        code = error_set(error, FH_UNSUPPORTED, "%s", refusal.why);
    else if (scripting.result != SQLITE_OK)
        code = sqlite_error(db, scripting.result, error);
    sqlite_statements_release(&store->writer); /* a view may name other tables now */
    sqlite_statements_watch(&store->writer);
    store->writer.schema_changed = true;
    sqlite_filter_forget(&store->filter);
    store->late.position = SQLITE_POSITION_UNKNOWN;
    return code;
}
