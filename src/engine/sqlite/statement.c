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
    const char *message = sqlite3_errmsg(db);
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

int sqlite_statement_get(struct sqlite_connection *connection, const char *sql, sqlite3_stmt **ret)
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
        return SQLITE_OK; /* a second one: finalized after use by sqlite_statement_done */
    if (connection->statements.count >= SQLITE_STATEMENTS_MAX) {
        if (any_is_stepping(connection))
            return SQLITE_OK; /* not kept either */
        sqlite_statements_release(connection);
    }
    map_put(&connection->statements, sql, *ret);
    return SQLITE_OK;
}

void sqlite_statement_done(struct sqlite_connection *connection, const char *sql,
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
    int result = sqlite_statement_get(connection, sql, &statement);
    if (result != SQLITE_OK)
        return result;
    do {
        result = sqlite3_step(statement);
    } while (result == SQLITE_ROW);
    if (result != SQLITE_DONE)
        result = sqlite3_extended_errcode(connection->db);
    sqlite_statement_done(connection, sql, statement);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}
