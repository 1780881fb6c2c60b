/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One statement in its transaction's view. Whatever it writes is known only afterwards, so it is
 * run first, and then the rows that it has written are locked: is one another's, it is taken back
 * and waits; was one changed since the snapshot, it fails as on the server (40001).
 *
 * An update that changes nothing takes no lock here: nobody could tell.
 */

#define _GNU_SOURCE
#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define TYPE_INTEGER 20
#define TYPE_REAL 701

/* ---- running ---- */

static bool is_integer(const char *text)
{
    size_t sign = *text == '-', digits = strspn(text + sign, "0123456789");
    return digits && digits <= 18 && !text[sign + digits];
}

void model_bind(sqlite3_stmt *statement, const struct model_command *with)
{
    for (int i = 0; with && i < with->count; i++) {
        char name[16];
        const char *value = with->values[i];
        snprintf(name, sizeof name, "$%d", i + 1);
        int at = sqlite3_bind_parameter_index(statement, name);
        if (!at || !value)
            continue;
        if (!with->texts[i] && is_integer(value))
            sqlite3_bind_int64(statement, at, strtoll(value, NULL, 10));
        else
            sqlite3_bind_text(statement, at, value, -1, SQLITE_TRANSIENT);
    }
}

static void take_result_row(PGresult *result, sqlite3_stmt *statement)
{
    const char *values[256];
    FH_ASSERT(result->columns <= 256);
    for (int i = 0; i < result->columns; i++) {
        int type = sqlite3_column_type(statement, i);
        values[i] = (const char *)sqlite3_column_text(statement, i);
        if (type == SQLITE_INTEGER)
            result->types[i] = TYPE_INTEGER;
        else if (type == SQLITE_FLOAT)
            result->types[i] = TYPE_REAL;
    }
    model_result_row(result, values);
}

static void set_tag(PGresult *result, const char *text, int changes)
{
    const char *word = strncmp(text, "WITH", 4) == 0 ? strstr(text, "INSERT INTO") : text;
    if (word && strncmp(word, "INSERT", 6) == 0)
        snprintf(result->tag, sizeof result->tag, "INSERT 0 %d", changes);
    else if (strncmp(text, "UPDATE", 6) == 0 || strncmp(text, "DELETE", 6) == 0)
        snprintf(result->tag, sizeof result->tag, "%.6s %d", text, changes);
    else if (strncmp(text, "SELECT", 6) == 0 || strncmp(text, "WITH", 4) == 0)
        snprintf(result->tag, sizeof result->tag, "SELECT %d", result->rows);
    else
        snprintf(result->tag, sizeof result->tag, "%.*s", (int)strcspn(text, " "), text);
}

static PGresult *constraint_result(sqlite3 *sql)
{
    int code = sqlite3_extended_errcode(sql);
    const char *sqlstate = code == SQLITE_CONSTRAINT_NOTNULL      ? "23502"
                           : code == SQLITE_CONSTRAINT_CHECK      ? "23514"
                           : code == SQLITE_CONSTRAINT_FOREIGNKEY ? "23503"
                                                                  : "23505";
    return model_error("ERROR", sqlstate, sqlite3_errmsg(sql));
}

PGresult *model_run(sqlite3_stmt *statement, const char *text, sqlite3 *sql)
{
    int columns = sqlite3_column_count(statement), code;
    PGresult *result = model_result(columns ? PGRES_TUPLES_OK : PGRES_COMMAND_OK, "");
    model_result_columns(result, columns);
    for (int i = 0; i < columns; i++)
        result->names[i] = strdup(sqlite3_column_name(statement, i));
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        take_result_row(result, statement);
    sqlite3_reset(statement);
    if (code == SQLITE_DONE) {
        set_tag(result, text, sqlite3_changes(sql));
        return result;
    }
    model_result_free(result);
    if ((code & 0xff) == SQLITE_CONSTRAINT)
        return constraint_result(sql);
    bool recent = strcmp(sqlite3_errmsg(sql), MODEL_NOT_RECENT) != 0;
    return model_error("ERROR", recent ? "XX000" : "40001", sqlite3_errmsg(sql));
}

struct model_view *model_look(struct model_session *session)
{
    if (!session->view) {
        session->view = model_view_take(session->database, session);
        session->snapshot = session->view->version;
    } else if (!session->repeatable && !session->schema) {
        model_view_refresh(session->view);
        session->snapshot = session->view->version;
    }
    return session->view;
}

/* ---- writing ---- */

struct look {
    struct model_session *session;
    bool changed;
};

/* Only looked at: locks are taken when all can be had. */
static bool may_have(void *context, const char *row)
{
    struct look *look = context;
    struct model_session *session = look->session;
    if (map_get(&session->rows, row))
        return true;
    if (model_lock_others(session, row)) {
        snprintf(session->waits_for, sizeof session->waits_for, "%s", row);
        session->waits_shared = false;
        return false;
    }
    look->changed = model_changed_at(&session->database->rows, row) > session->snapshot;
    return !look->changed;
}

static bool take_row_lock(void *context, const char *row)
{
    struct model_session *session = context;
    if (!map_get(&session->rows, row)) {
        map_put(&session->rows, row, session);
        model_lock(session, row, false, false);
    }
    return true;
}

void model_write_begin(struct model_session *session)
{
    model_view_writes(session->view);
    model_view_runs(session->view, "SAVEPOINT one");
}

void model_write_undo(struct model_session *session)
{
    model_view_runs(session->view, "ROLLBACK TO one; RELEASE one");
}

enum model_outcome model_write_end(struct model_session *session, PGresult **ret)
{
    struct look look = {session, false};
    struct model_change change = model_view_changes(session->view);
    bool all = model_change_rows(&change, may_have, &look);
    if (all)
        model_change_rows(&change, take_row_lock, session);
    sqlite3_free(change.data);
    if (all) {
        session->forgotten = model_has_forgotten(session);
        model_view_runs(session->view, "RELEASE one");
        return MODEL_DONE;
    }
    model_write_undo(session);
    if (!look.changed)
        return MODEL_BLOCKED;
    *ret = model_error("ERROR", "40001", "could not serialize access due to concurrent update");
    return MODEL_FAILED;
}

/* ---- tables ---- */

static bool is_schema(const char *text)
{
    return strncmp(text, "CREATE ", 7) == 0 || strncmp(text, "ALTER ", 6) == 0 ||
           strncmp(text, "DROP ", 5) == 0;
}

static bool schema_has(struct model_view *view, const char *sql, const char *one, const char *two)
{
    sqlite3_stmt *statement = model_view_prepare(view, sql);
    FH_ASSERT(statement != NULL);
    sqlite3_bind_text(statement, 1, one, -1, SQLITE_TRANSIENT);
    if (two)
        sqlite3_bind_text(statement, 2, two, -1, SQLITE_TRANSIENT);
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_reset(statement);
    return found;
}

/* "IF [NOT] EXISTS", and there is nothing to do. *ret_sql: what SQLite takes, to be freed. */
static bool schema_is_done(struct model_view *view, const char *text, char **ret_sql)
{
    static const char named[] = "SELECT 1 FROM sqlite_schema WHERE name = ?1";
    static const char column[] = "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2";
    char one[64] = "", two[64] = "";
    int at = 0;
    *ret_sql = NULL;
    if (sscanf(text, "CREATE TABLE IF NOT EXISTS %63[a-z_0-9]", one) == 1 ||
        sscanf(text, "CREATE INDEX IF NOT EXISTS %63[a-z_0-9]", one) == 1 ||
        sscanf(text, "CREATE UNIQUE INDEX IF NOT EXISTS %63[a-z_0-9]", one) == 1)
        return schema_has(view, named, one, NULL);
    if (sscanf(text, "DROP INDEX IF EXISTS %63[a-z_0-9]", one) == 1 ||
        sscanf(text, "DROP TABLE IF EXISTS %63[a-z_0-9]", one) == 1)
        return !schema_has(view, named, one, NULL);
    if (sscanf(text, "ALTER TABLE %63[a-z_0-9] ADD COLUMN IF NOT EXISTS %n%63[a-z_0-9]", one, &at,
               two) != 2)
        return false;
    if (asprintf(ret_sql, "ALTER TABLE %s ADD COLUMN %s", one, text + at) < 0)
        *ret_sql = NULL;
    return schema_has(view, column, one, two);
}

static enum model_outcome schema_statement(struct model_session *session, const char *text,
                                           PGresult **ret)
{
    char *sql = NULL;
    bool done = schema_is_done(session->view, text, &sql);
    if (!done && !model_lock(session, MODEL_SCHEMA, false, false)) {
        free(sql);
        return MODEL_BLOCKED;
    }
    if (!done)
        model_view_runs(session->view, sql ? sql : text);
    session->schema = session->schema || !done;
    free(sql);
    *ret = model_result(PGRES_COMMAND_OK, "CREATE TABLE");
    return MODEL_DONE;
}

/* ---- one statement ---- */

static void note_said(struct model_session *session, const struct model_command *with,
                      const char *text, const PGresult *result)
{
    if (!session->serializable || session->schema)
        return;
    struct model_said *said = calloc(1, sizeof *said);
    FH_ASSERT(said != NULL && (said->text = strdup(text)) != NULL);
    if (with) {
        said->command = calloc(1, sizeof *said->command);
        FH_ASSERT(said->command != NULL);
        said->command->count = with->count;
        for (int i = 0; i < with->count; i++) {
            said->command->values[i] = with->values[i] ? strdup(with->values[i]) : NULL;
            said->command->texts[i] = with->texts[i];
        }
    }
    said->digest = model_digest(result);
    *session->said_last = said;
    session->said_last = &said->next;
}

/* SELECT ... FROM table WHERE key = number FOR SHARE, in PostgreSQL's words. */
static bool lock_shared(struct model_session *session, const char *text)
{
    const char *from = strstr(text, "FROM ");
    char table[64], key[64], row[140], number[24];
    if (!strstr(text, " FOR SHARE"))
        return true;
    if (!from ||
        sscanf(from, "FROM %63[a-z_] WHERE %63[a-z_] = %23[0-9-]", table, key, number) != 3) {
        model_fail(session->server, "the model can't lock the row: %.200s", text);
        return true;
    }
    snprintf(row, sizeof row, "%s|%s", table, number);
    return model_lock(session, row, true, false);
}

static enum model_outcome run_in_view(struct model_session *session,
                                      const struct model_command *with, const char *text,
                                      PGresult **ret)
{
    struct model_view *view = session->view;
    sqlite3_stmt *statement = model_view_prepare(view, text);
    if (!statement) {
        model_fail(session->server, "no such statement in the model (%.60s): %.200s",
                   sqlite3_errmsg(view->sql), text);
        *ret = model_error("ERROR", "42601", "The model does not know the statement");
        return MODEL_FAILED;
    }
    bool writes = !sqlite3_stmt_readonly(statement);
    if (writes && !model_lock(session, MODEL_SCHEMA, true, false))
        return MODEL_BLOCKED;
    if (writes)
        model_write_begin(session);
    model_bind(statement, with);
    *ret = model_run(statement, text, view->sql);
    enum model_outcome outcome = (*ret)->status == PGRES_FATAL_ERROR ? MODEL_FAILED : MODEL_DONE;
    if (outcome == MODEL_FAILED && writes)
        model_write_undo(session);
    if (outcome == MODEL_FAILED && session->waits_for[0]) {
        model_result_free(*ret);
        *ret = NULL;
        return MODEL_BLOCKED;
    }
    if (outcome == MODEL_DONE && writes) {
        PGresult *answer = *ret;
        outcome = model_write_end(session, ret);
        if (outcome != MODEL_DONE)
            model_result_free(answer);
        if (outcome == MODEL_BLOCKED)
            *ret = NULL;
    }
    return outcome;
}

enum model_outcome model_statement(struct model_session *session, const struct model_command *with,
                                   const char *text, PGresult **ret)
{
    *ret = NULL;
    session->waits_for[0] = '\0';
    if (!lock_shared(session, text))
        return MODEL_BLOCKED;
    char *sql = model_translate(text);
    enum model_outcome outcome = MODEL_DONE;
    model_look(session);
    if (!*sql)
        *ret = model_result(PGRES_COMMAND_OK, "CREATE FUNCTION");
    else if (is_schema(sql))
        outcome = schema_statement(session, sql, ret);
    else
        outcome = run_in_view(session, with, sql, ret);
    if (outcome == MODEL_DONE)
        note_said(session, with, sql, *ret);
    free(sql);
    return outcome;
}

enum model_outcome model_commit_check(struct model_session *session, PGresult **ret)
{
    struct model_database *database = session->database;
    bool same = true;
    if (!session->serializable || !session->view || !session->view->changes || session->schema ||
        session->snapshot == database->version || session->forgotten)
        return MODEL_DONE;
    struct model_view *view = model_view_take(database, session);
    view->replays = true;
    for (struct model_said *said = session->said; said && same; said = said->next) {
        sqlite3_stmt *statement = model_view_prepare(view, said->text);
        if (!statement)
            continue;
        model_bind(statement, said->command);
        PGresult *result = model_run(statement, said->text, view->sql);
        same = model_digest(result) == said->digest;
        model_result_free(result);
    }
    model_view_give_back(view);
    if (same)
        return MODEL_DONE;
    *ret = model_error("ERROR", "40001",
                       "could not serialize access due to read/write dependencies among "
                       "transactions");
    return MODEL_FAILED;
}
