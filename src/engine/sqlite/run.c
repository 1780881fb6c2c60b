/* SPDX-License-Identifier: Apache-2.0 */
/* Runs statements in a unit of work, and scripts. */

#include "engine/sqlite/internal.h"

static int bind_all(sqlite3_stmt *statement, const struct sql_value *values, int count)
{
    if (sqlite3_bind_parameter_count(statement) != count)
        return SQLITE_RANGE;
    for (int i = 0; i < count; i++) {
        const struct sql_value *value = &values[i];
        int result = SQLITE_OK;
        switch (value->kind) {
        case SQL_NULL:
            result = sqlite3_bind_null(statement, i + 1);
            break;
        case SQL_INTEGER:
            result = sqlite3_bind_int64(statement, i + 1, value->integer);
            break;
        case SQL_REAL:
            result = sqlite3_bind_double(statement, i + 1, value->real);
            break;
        case SQL_TEXT:
            result = sqlite3_bind_text64(statement, i + 1, value->text, value->length,
                                         SQLITE_STATIC, SQLITE_UTF8);
            break;
        case SQL_BLOB:
            result =
                sqlite3_bind_blob64(statement, i + 1, value->text, value->length, SQLITE_STATIC);
            break;
        }
        if (result != SQLITE_OK)
            return result;
    }
    return SQLITE_OK;
}

static void read_column(sqlite3_stmt *statement, int column, struct sql_value *value)
{
    *value = (struct sql_value){0};
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        value->kind = SQL_INTEGER;
        value->integer = sqlite3_column_int64(statement, column);
        break;
    case SQLITE_FLOAT:
        value->kind = SQL_REAL;
        value->real = sqlite3_column_double(statement, column);
        break;
    case SQLITE_TEXT:
        value->kind = SQL_TEXT;
        value->text = (const char *)sqlite3_column_text(statement, column);
        value->length = (size_t)sqlite3_column_bytes(statement, column);
        break;
    case SQLITE_BLOB:
        value->kind = SQL_BLOB;
        value->text = sqlite3_column_blob(statement, column);
        value->length = (size_t)sqlite3_column_bytes(statement, column);
        break;
    default:
        value->kind = SQL_NULL;
    }
}

static int step_all(sqlite3_stmt *statement, sql_visit *visit, void *context)
{
    const char *names[SQL_VALUES_MAX], *types[SQL_VALUES_MAX];
    struct sql_value values[SQL_VALUES_MAX];
    int count = visit ? sqlite3_column_count(statement) : 0;
    if (count > SQL_VALUES_MAX)
        return SQLITE_RANGE;
    int result = sqlite3_step(statement);
    for (int i = 0; i < count && result == SQLITE_ROW; i++) {
        names[i] = sqlite3_column_name(statement, i);
        types[i] = sqlite3_column_decltype(statement, i);
    }
    while (result == SQLITE_ROW) {
        for (int i = 0; i < count; i++)
            read_column(statement, i, &values[i]);
        struct sql_row row = {count, names, types, values};
        if (visit && !visit(context, &row))
            return SQLITE_DONE;
        result = sqlite3_step(statement);
    }
    return result;
}

enum fh_code sqlite_statement_run(struct store_work *work, const char *sql,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct sqlite_store *store = (struct sqlite_store *)work->store;
    bool reading = !store_writes(work->mode);
    struct sqlite_connection *connection = ((struct sqlite_work *)work)->connection;
    if (!reading && store->state != GROUP_OPEN) { /* it broke: nothing may run outside it */
        return error_retry(error, FH_CONFLICT, "The group's transaction was rolled back.");
    }
    sqlite3_stmt *statement;
    int result = sqlite_statement_get(connection, sql, &statement);
    if (result == SQLITE_MISUSE)
        return error_set(error, FH_UNSUPPORTED, "One statement at a time, and not an empty one.");
    if (result != SQLITE_OK)
        return sqlite_error(connection->db, result, error);
    if (reading && !sqlite3_stmt_readonly(statement)) {
        sqlite_statement_done(connection, sql, statement);
        return error_set(error, FH_UNSUPPORTED, "A read-only unit of work can't change the store.");
    }
    int64_t before = sqlite3_total_changes64(connection->db);
    result = bind_all(statement, values, count);
    if (result == SQLITE_RANGE) {
        sqlite_statement_done(connection, sql, statement);
        return error_set(error, FH_UNSUPPORTED, "A statement got %d values for its parameters.",
                         count);
    }
    if (result == SQLITE_OK)
        result = step_all(statement, visit, context);
    /* A transaction that outgrows the cache writes to the log early, and may sync the log's new
     * header. */
    if (result == SQLITE_IOERR_FSYNC)
        world_fatal(store->base.world, "fsync failed in a statement");
    enum fh_code code = result == SQLITE_DONE ? FH_OK : sqlite_error(connection->db, result, error);
    sqlite_statement_done(connection, sql, statement);
    if (code == FH_OK && ret_changes)
        *ret_changes = sqlite3_total_changes64(connection->db) - before;
    if (code != FH_OK && !reading && sqlite_group_broke(store) && !sqlite_is_exclusive(work->mode))
        code = error_retry(error, FH_CONFLICT, "The group's transaction was rolled back.");
    return code;
}

static int refuse_to_end(void *refused, int action, const char *one, const char *two,
                         const char *three, const char *four)
{
    (void)one, (void)two, (void)three, (void)four;
    if (action != SQLITE_TRANSACTION && action != SQLITE_SAVEPOINT)
        return SQLITE_OK;
    *(bool *)refused = true;
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
    sqlite3 *db = ((struct sqlite_store *)work->store)->writer.db;
    bool refused = false;
    struct scripting scripting = {.db = db, .sql = sql};
    sqlite3_set_authorizer(db, refuse_to_end, &refused);
    if (work->mode & STORE_MIGRATES)
        world_blocking(work->store->world, script_run, &scripting);
    else
        script_run(&scripting);
    int result = scripting.result;
    sqlite3_set_authorizer(db, NULL, NULL);
    if (refused)
        return error_set(error, FH_UNSUPPORTED,
                         "It begins or ends a transaction, and is one already.");
    return result == SQLITE_OK ? FH_OK : sqlite_error(db, result, error);
}
