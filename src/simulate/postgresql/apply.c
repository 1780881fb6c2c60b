/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A changeset applied to a view, row by row with prepared statements: sqlite3changeset_apply makes
 * them anew each time, which is most of what it takes. A row that is not as the change expects
 * means that the model itself has let two transactions change it.
 */

#include "simulate/postgresql/model.h"

#include "base/error.h"
#include "base/text.h"

struct row {
    const char *table;
    int columns, operation;
    unsigned char *key; /* by column: whether it is of the primary key */
};

static const char *column_name(struct model_view *view, const struct row *row, int column)
{
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT * FROM %s LIMIT 0", row->table);
    sqlite3_stmt *statement = model_view_prepare(view, sql);
    FH_ASSERT(statement != NULL && sqlite3_column_count(statement) == row->columns);
    return sqlite3_column_name(statement, column);
}

static sqlite3_value *new_value(sqlite3_changeset_iter *at, int column)
{
    sqlite3_value *value = NULL;
    sqlite3changeset_new(at, column, &value);
    return value;
}

static sqlite3_value *old_value(sqlite3_changeset_iter *at, int column)
{
    sqlite3_value *value = NULL;
    sqlite3changeset_old(at, column, &value);
    return value;
}

static void add_where(struct model_view *view, const struct row *row, struct text *sql)
{
    const char *word = " WHERE ";
    for (int i = 0; i < row->columns; i++) {
        if (!row->key[i])
            continue;
        text_printf(sql, "%s%s = ?%d", word, column_name(view, row, i), row->columns + i + 1);
        word = " AND ";
    }
}

/* New values are parameters from 1 on, the old key's come after them. */
static void write_sql(struct model_view *view, const struct row *row, sqlite3_changeset_iter *at,
                      struct text *sql)
{
    const char *word = "";
    if (row->operation == SQLITE_INSERT) {
        text_printf(sql, "INSERT INTO %s VALUES (", row->table);
        for (int i = 0; i < row->columns; i++)
            text_printf(sql, "%s?%d", i ? ", " : "", i + 1);
        text_add(sql, ")");
        return;
    }
    text_printf(sql, row->operation == SQLITE_DELETE ? "DELETE FROM %s" : "UPDATE %s SET ",
                row->table);
    for (int i = 0; i < row->columns && row->operation == SQLITE_UPDATE; i++) {
        if (!new_value(at, i))
            continue;
        text_printf(sql, "%s%s = ?%d", word, column_name(view, row, i), i + 1);
        word = ", ";
    }
    add_where(view, row, sql);
}

static void apply_row(struct model_view *view, sqlite3_changeset_iter *at)
{
    struct row row = {0};
    struct text sql;
    int indirect;
    text_init(&sql, 65536);
    sqlite3changeset_op(at, &row.table, &row.columns, &row.operation, &indirect);
    sqlite3changeset_pk(at, &row.key, NULL);
    write_sql(view, &row, at, &sql);
    sqlite3_stmt *statement = model_view_prepare(view, sql.data);
    FH_ASSERT(statement != NULL);
    for (int i = 0; i < row.columns; i++) {
        sqlite3_value *value = row.operation == SQLITE_DELETE ? NULL : new_value(at, i);
        if (value)
            sqlite3_bind_value(statement, i + 1, value);
        if (row.operation != SQLITE_INSERT && row.key[i])
            sqlite3_bind_value(statement, row.columns + i + 1, old_value(at, i));
    }
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (code != SQLITE_DONE || sqlite3_changes(view->sql) != 1)
        model_fail(view->database->server, "the model let two transactions change one row: %s (%s)",
                   sql.data, sqlite3_errmsg(view->sql));
    text_release(&sql);
}

void model_view_apply(struct model_view *view, const struct model_change *change)
{
    sqlite3_changeset_iter *at;
    if (sqlite3changeset_start(&at, change->size, change->data) != SQLITE_OK)
        return;
    while (sqlite3changeset_next(at) == SQLITE_ROW)
        apply_row(view, at);
    sqlite3changeset_finalize(at);
}
