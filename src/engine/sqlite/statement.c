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

/* "UNIQUE constraint failed: users.email" -> "email"; "CHECK constraint failed: name" -> "name" */
static void field_of_message(const char *message, char *field, size_t size)
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

static enum fh_code sqlite_constraint_error(const char *message, int result, struct fh_error *error)
{
    char field[64] = "";
    field_of_message(message, field, sizeof field);
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
    /* Something else may have been done since. */
    const char *message = sqlite3_errcode(db) ? sqlite3_errmsg(db) : sqlite3_errstr(result);
    enum fh_code code;
    switch (result & 0xff) {
    case SQLITE_CONSTRAINT:
        code = sqlite_constraint_error(message, sqlite3_extended_errcode(db), error);
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

/* ---- Prepared statements ---- */

static void prepared_free(struct sqlite_prepared *prepared)
{
    sqlite3_finalize(prepared->statement);
    sqlite3_finalize(prepared->insert);
    sqlite3_finalize(prepared->inserted);
    free(prepared);
}

void sqlite_statements_release(struct sqlite_connection *connection)
{
    struct map_entry *entry = NULL;
    void *prepared;
    while (map_next(&connection->statements, &entry, NULL, &prepared))
        prepared_free(prepared);
    map_release(&connection->statements);
    memset(connection->recent, 0, sizeof connection->recent);
}

static struct sqlite_recent *recent_of(struct sqlite_connection *connection, const char *sql)
{
    uintptr_t place = (uintptr_t)sql;
    return &connection->recent[(place >> 4 ^ place >> 12) % SQLITE_RECENT];
}

static struct sqlite_prepared *statement_find(struct sqlite_connection *connection, const char *sql)
{
    struct sqlite_recent *recent = recent_of(connection, sql);
    if (recent->place == sql && strcmp(sqlite3_sql(recent->prepared->statement), sql) == 0)
        return recent->prepared;
    struct sqlite_prepared *prepared = map_get(&connection->statements, sql);
    if (prepared)
        *recent = (struct sqlite_recent){sql, prepared};
    return prepared;
}

static bool is_stepping(const struct sqlite_prepared *prepared)
{
    return sqlite3_stmt_busy(prepared->statement) ||
           (prepared->insert &&
            (sqlite3_stmt_busy(prepared->insert) || sqlite3_stmt_busy(prepared->inserted)));
}

static bool any_is_stepping(const struct sqlite_connection *connection)
{
    struct map_entry *entry = NULL;
    void *prepared;
    while (map_next(&connection->statements, &entry, NULL, &prepared)) {
        if (is_stepping(prepared))
            return true;
    }
    return false;
}

#define RECORDS "fh_command"

static void note_table(struct sqlite_prepared *prepared, const char *name)
{
    static const char *const outbox[] = {"fh_outbox", "fh_last_of_key", "fh_counter"};
    for (size_t i = 0; name && i < sizeof outbox / sizeof *outbox; i++)
        prepared->outbox |= sqlite3_stricmp(name, outbox[i]) == 0;
    prepared->commands |= name && sqlite3_stricmp(name, RECORDS) == 0;
}

/* SQLite calls it for each table that a statement reads or writes, through views and triggers
 * too. */
static int note_named(void *context, int action, const char *one, const char *two,
                      const char *three, const char *four)
{
    struct sqlite_prepared *prepared = ((struct sqlite_connection *)context)->names;
    (void)two, (void)three, (void)four;
    if (!prepared)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_READ:
    case SQLITE_DELETE:
        note_table(prepared, one);
        break;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
        note_table(prepared, one);
        prepared->records |= sqlite3_stricmp(one, RECORDS) == 0;
        break;
    case SQLITE_SELECT:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
        break;
    default:
        prepared->schema = true;
    }
    return SQLITE_OK;
}

void sqlite_statements_watch(struct sqlite_connection *connection)
{
    sqlite3_set_authorizer(connection->db, note_named, connection);
}

/* Where a name is unknown, SQLite looks whether another connection has changed the schema. If that
 * look fails (a read of the disk does), it says that there is no such table: so it looks twice. */
static int prepare_sqlite_text(const struct sqlite_connection *connection, const char *sql,
                               struct sqlite_prepared *prepared, const char **ret_rest)
{
    int result = SQLITE_ERROR;
    for (int looks = 0; looks < 2 && result == SQLITE_ERROR; looks++)
        result = sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    &prepared->statement, ret_rest);
    return result;
}

static int statement_prepare(struct sqlite_connection *connection, const char *sql,
                             struct sqlite_prepared **ret)
{
    struct sqlite_prepared *prepared = calloc(1, sizeof *prepared);
    const char *rest;
    *ret = NULL;
    if (!prepared)
        return SQLITE_NOMEM;
    connection->names = prepared;
    int result = prepare_sqlite_text(connection, sql, prepared, &rest);
    connection->names = NULL;
    if (result == SQLITE_OK && (!prepared->statement || strspn(rest, " \t\r\n;") != strlen(rest)))
        result = SQLITE_MISUSE;
    if (result != SQLITE_OK) {
        prepared_free(prepared);
        return result;
    }
    prepared->readonly = sqlite3_stmt_readonly(prepared->statement);
    if (!prepared->readonly)
        sqlite_returning_prepare(connection->db, sql, prepared);
    *ret = prepared;
    return SQLITE_OK;
}

/* The transaction that changed the schema is over, whichever way. */
static void forget_schema(struct sqlite_connection *connection)
{
    if (any_is_stepping(connection))
        return;
    sqlite_statements_release(connection);
    connection->schema_changed = false;
}

int sqlite_statement_get(struct sqlite_connection *connection, const char *sql,
                         struct sqlite_prepared **ret)
{
    if (connection->schema_changed && sqlite3_get_autocommit(connection->db))
        forget_schema(connection);
    *ret = statement_find(connection, sql);
    /* A statement that is still stepping further up the stack (a visitor runs the same text) can't
     * be shared. */
    if (*ret && !is_stepping(*ret))
        return SQLITE_OK;
    int result = statement_prepare(connection, sql, ret);
    if (result != SQLITE_OK)
        return result;
    if (map_get(&connection->statements, sql))
        return SQLITE_OK; /* a second one: freed after use by sqlite_statement_done */
    if (connection->statements.count >= SQLITE_STATEMENTS_MAX) {
        if (any_is_stepping(connection))
            return SQLITE_OK; /* not kept either */
        sqlite_statements_release(connection);
    }
    map_put(&connection->statements, sql, *ret);
    return SQLITE_OK;
}

void sqlite_statement_done(struct sqlite_connection *connection, const char *sql,
                           struct sqlite_prepared *prepared)
{
    if (statement_find(connection, sql) == prepared) {
        sqlite3_reset(prepared->statement);
        sqlite3_clear_bindings(prepared->statement);
        sqlite3_reset(prepared->insert); /* NULL: nothing happens */
        sqlite3_reset(prepared->inserted);
    } else {
        prepared_free(prepared);
    }
}

int sqlite_bind(sqlite3_stmt *statement, const struct sql_value *values, int count)
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

int sqlite_simple(struct sqlite_connection *connection, const char *sql)
{
    struct sqlite_prepared *prepared;
    int result = sqlite_statement_get(connection, sql, &prepared);
    if (result != SQLITE_OK)
        return result;
    do {
        result = sqlite3_step(prepared->statement);
    } while (result == SQLITE_ROW);
    if (result != SQLITE_DONE)
        result = sqlite3_extended_errcode(connection->db);
    sqlite_statement_done(connection, sql, prepared);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}
