/* SPDX-License-Identifier: Apache-2.0 */
/* What a view does as a SQLite database, and what of it has changed. */

#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

void model_view_release(struct model_view *view)
{
    struct map_entry *entry = NULL;
    const char *text;
    void *statement;
    while (map_next(&view->statements, &entry, &text, &statement))
        sqlite3_finalize(statement);
    map_release(&view->statements);
    map_init(&view->statements);
}

bool model_view_runs(struct model_view *view, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(view->sql, sql, NULL, NULL, &why) == SQLITE_OK)
        return true;
    model_fail(view->database->server, "SQLite: %.200s: %s", sql, why);
    sqlite3_free(why);
    return false;
}

sqlite3_stmt *model_view_prepare(struct model_view *view, const char *sql)
{
    sqlite3_stmt *statement = map_get(&view->statements, sql);
    if (statement) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
        return statement;
    }
    if (sqlite3_prepare_v2(view->sql, sql, -1, &statement, NULL) != SQLITE_OK || !statement)
        return NULL;
    map_put(&view->statements, sql, statement);
    return statement;
}

void model_view_open(struct model_view *view)
{
    FH_ASSERT(sqlite3_open_v2(":memory:", &view->sql,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY,
                              NULL) == SQLITE_OK);
    model_functions(view);
}

void model_view_end(struct model_view *view, const char *how)
{
    struct map_entry *entry = NULL;
    const char *text;
    void *statement;
    while (map_next(&view->statements, &entry, &text, &statement))
        sqlite3_reset(statement);
    if (view->changes)
        sqlite3session_delete(view->changes);
    view->changes = NULL;
    model_view_runs(view, how);
}

void model_view_writes(struct model_view *view)
{
    if (view->changes)
        return;
    FH_ASSERT(sqlite3session_create(view->sql, "main", &view->changes) == SQLITE_OK);
    FH_ASSERT(sqlite3session_attach(view->changes, NULL) == SQLITE_OK);
}

struct model_change model_view_changes(struct model_view *view)
{
    struct model_change change = {0};
    if (view->changes)
        FH_ASSERT(sqlite3session_changeset(view->changes, &change.size, &change.data) == SQLITE_OK);
    return change;
}

/* ---- rows ---- */

static void row_name(sqlite3_changeset_iter *at, char *row, size_t size)
{
    const char *table;
    unsigned char *key;
    int columns, operation, indirect;
    sqlite3changeset_op(at, &table, &columns, &operation, &indirect);
    sqlite3changeset_pk(at, &key, NULL);
    size_t used = (size_t)snprintf(row, size, "%s", table);
    for (int i = 0; i < columns && used < size; i++) {
        sqlite3_value *value = NULL;
        if (!key[i])
            continue;
        if (operation == SQLITE_INSERT)
            sqlite3changeset_new(at, i, &value);
        else
            sqlite3changeset_old(at, i, &value);
        const unsigned char *text = value ? sqlite3_value_text(value) : NULL;
        used += (size_t)snprintf(row + used, size - used, "|%s", text ? (const char *)text : "");
    }
}

bool model_change_rows(const struct model_change *change,
                       bool (*visit)(void *context, const char *row), void *context)
{
    sqlite3_changeset_iter *at;
    char row[MODEL_ROW_SIZE];
    bool more = true;
    if (!change->size || sqlite3changeset_start(&at, change->size, change->data) != SQLITE_OK)
        return true;
    while (more && sqlite3changeset_next(at) == SQLITE_ROW) {
        row_name(at, row, sizeof row);
        more = visit(context, row);
    }
    sqlite3changeset_finalize(at);
    return more;
}
