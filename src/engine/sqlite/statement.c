/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of the SQLite engine, prepared once for each text and connection, and the mapping of
 * SQLite's errors to ours. The message of a failed constraint names table and column ("UNIQUE
 * constraint failed: users.email"); the column becomes the error's field.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/internal.h"

#define COLUMNS_MAX 256

/* "UNIQUE constraint failed: users.email" -> "email"; "CHECK constraint failed: name" -> "name" */
static void field_of(const char *message, char *field, size_t size)
{
    const char *at = strstr(message, "failed: ");
    if (!at)
        return;
    at += strlen("failed: ");
    size_t length = strcspn(at, ",");
    const char *dot = memchr(at, '.', length);
    if (dot) {
        length -= (size_t)(dot + 1 - at);
        at = dot + 1;
    }
    snprintf(field, size, "%.*s", (int)length, at);
}

static enum fh_code constraint_error(const char *message, int result, struct fh_error *error)
{
    char field[64] = "";
    field_of(message, field, sizeof field);
    enum fh_code code = FH_CONFLICT;
    switch (result) {
    case SQLITE_CONSTRAINT_NOTNULL:
        code = error_set(error, FH_INVALID, "A value for %s is needed.", field);
        break;
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        error_set(error, code, "There is one with the same %s already.", field);
        break;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        error_set(error, code, "It refers to a row that is not there, or is referred to.");
        break;
    case SQLITE_CONSTRAINT_TRIGGER:
        error_set(error, code, "%s", message); /* the trigger's own message */
        break;
    default:
        error_set(error, code, "The rule %s of the store forbids it.", field);
    }
    snprintf(error->field, sizeof error->field, "%s", field);
    return code;
}

/* Clients see this too: the path is cut to the part that identifies the store. */
static enum fh_code damage_error(sqlite3 *db, struct fh_error *error)
{
    const char *damage = sqlite_checksum_damage(db);
    const char *file = sqlite3_db_filename(db, "main");
    if (damage)
        return error_set(error, FH_UNAVAILABLE,
                         "The store is damaged: %s is not what was written. Restore the store from "
                         "a backup.",
                         damage);
    return error_set(error, FH_UNAVAILABLE,
                     "The store is damaged: %s, %.80s. Restore the store from a backup.",
                     file ? sqlite_checksum_tail(file) : "", sqlite3_errmsg(db));
}

enum fh_code sqlite_error(sqlite3 *db, int result, struct fh_error *error)
{
    const char *message = sqlite3_errmsg(db);
    enum fh_code code;
    switch (result & 0xff) {
    case SQLITE_CONSTRAINT:
        code = constraint_error(message, sqlite3_extended_errcode(db), error);
        break;
    case SQLITE_FULL:
        code = error_set(error, FH_UNAVAILABLE, "The store's disk is full.");
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = damage_error(db, error);
        break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
        code = error_set(error, FH_UNAVAILABLE, "The store failed: %.180s.", message);
        break;
    case SQLITE_NOMEM:
        code = error_set(error, FH_NO_MEMORY, "The store is out of memory.");
        break;
    case SQLITE_TOOBIG:
        code = error_set(error, FH_INVALID, "A value is too large for the store.");
        break;
    default:
        code = error_set(error, FH_UNSUPPORTED, "A statement can't be run: %.180s.", message);
    }
    bool damaged = (result & 0xff) == SQLITE_CORRUPT || (result & 0xff) == SQLITE_NOTADB;
    snprintf(error->native, sizeof error->native, "%s %d", damaged ? STORE_DAMAGED : "SQLITE",
             sqlite3_extended_errcode(db));
    return code;
}

void sqlite_statements_release(struct sqlite_connection *connection)
{
    struct map_entry *entry = NULL;
    void *statement;
    while (map_next(&connection->statements, &entry, NULL, &statement))
        sqlite3_finalize(statement);
    map_release(&connection->statements);
    memset(connection->recent, 0, sizeof connection->recent);
}

static struct sqlite_recent *recent_of(struct sqlite_connection *connection, const char *sql)
{
    uintptr_t place = (uintptr_t)sql;
    return &connection->recent[(place >> 4 ^ place >> 12) % SQLITE_RECENT];
}

static sqlite3_stmt *statement_find(struct sqlite_connection *connection, const char *sql)
{
    struct sqlite_recent *recent = recent_of(connection, sql);
    if (recent->place == sql && strcmp(sqlite3_sql(recent->statement), sql) == 0)
        return recent->statement;
    sqlite3_stmt *statement = map_get(&connection->statements, sql);
    if (statement)
        *recent = (struct sqlite_recent){sql, statement};
    return statement;
}

static bool any_is_stepping(const struct sqlite_connection *connection)
{
    struct map_entry *entry = NULL;
    void *statement;
    while (map_next(&connection->statements, &entry, NULL, &statement)) {
        if (sqlite3_stmt_busy(statement))
            return true;
    }
    return false;
}

static int statement_get(struct sqlite_connection *connection, const char *sql, sqlite3_stmt **ret)
{
    *ret = statement_find(connection, sql);
    /* A statement that is still stepping further up the stack (a visitor runs the same text) can't
     * be shared. */
    if (*ret && !sqlite3_stmt_busy(*ret))
        return SQLITE_OK;
    const char *rest;
    int result = sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, &rest);
    if (result != SQLITE_OK)
        return result;
    if (!*ret || strspn(rest, " \t\r\n;") != strlen(rest)) {
        sqlite3_finalize(*ret);
        *ret = NULL;
        return SQLITE_MISUSE;
    }
    if (map_get(&connection->statements, sql))
        return SQLITE_OK; /* a second one: finalized after use by statement_done */
    if (connection->statements.count >= SQLITE_STATEMENTS_MAX) {
        if (any_is_stepping(connection))
            return SQLITE_OK; /* not kept either */
        sqlite_statements_release(connection);
    }
    map_put(&connection->statements, sql, *ret);
    return SQLITE_OK;
}

static void statement_done(struct sqlite_connection *connection, const char *sql,
                           sqlite3_stmt *statement)
{
    if (statement_find(connection, sql) == statement) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    } else {
        sqlite3_finalize(statement);
    }
}

int sqlite_simple(struct sqlite_connection *connection, const char *sql)
{
    sqlite3_stmt *statement;
    int result = statement_get(connection, sql, &statement);
    if (result != SQLITE_OK)
        return result;
    do {
        result = sqlite3_step(statement);
    } while (result == SQLITE_ROW);
    if (result != SQLITE_DONE)
        result = sqlite3_extended_errcode(connection->db);
    statement_done(connection, sql, statement);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

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

static void read_value(sqlite3_stmt *statement, int column, struct sql_value *value)
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
    const char *names[COLUMNS_MAX], *types[COLUMNS_MAX];
    struct sql_value values[COLUMNS_MAX];
    int count = visit ? sqlite3_column_count(statement) : 0;
    if (count > COLUMNS_MAX)
        return SQLITE_RANGE;
    int result = sqlite3_step(statement);
    for (int i = 0; i < count && result == SQLITE_ROW; i++) {
        names[i] = sqlite3_column_name(statement, i);
        types[i] = sqlite3_column_decltype(statement, i);
    }
    while (result == SQLITE_ROW) {
        for (int i = 0; i < count; i++)
            read_value(statement, i, &values[i]);
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
    int result = statement_get(connection, sql, &statement);
    if (result == SQLITE_MISUSE)
        return error_set(error, FH_UNSUPPORTED, "One statement at a time, and not an empty one.");
    if (result != SQLITE_OK)
        return sqlite_error(connection->db, result, error);
    if (reading && !sqlite3_stmt_readonly(statement)) {
        statement_done(connection, sql, statement);
        return error_set(error, FH_UNSUPPORTED, "A read-only unit of work can't change the store.");
    }
    int64_t before = sqlite3_total_changes64(connection->db);
    result = bind_all(statement, values, count);
    if (result == SQLITE_RANGE) {
        statement_done(connection, sql, statement);
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
    statement_done(connection, sql, statement);
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
