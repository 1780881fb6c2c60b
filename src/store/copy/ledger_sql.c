/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of the ledger in SQLite's tables, read slice by slice in the order of its primary keys. */

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "store/ledger.h"
#include "store/copy/ledger.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

#define STATEMENT_SIZE_MAX ((size_t)4096)

struct ledger_slice {
    struct arena arena;
    int width, count;
    size_t size;
    struct sql_value values[COPIED_ROWS_MAX * COPIED_COLUMNS_MAX];
};

static int part_count(const struct copied_ledger *ledger)
{
    int count = 0;
    while (count < COPIED_PARTS_MAX && ledger->id[count])
        count++;
    return count;
}

static int column_named(const struct copied_ledger *ledger, const char *name)
{
    int at = 0;
    while (strcmp(ledger->columns[at].name, name) != 0)
        at++;
    return at;
}

/* False stops: the slice is full. */
static bool take_ledger_row(void *context, const struct sql_row *row)
{
    struct ledger_slice *slice = context;
    struct sql_value *to = &slice->values[slice->count++ * slice->width];
    for (int i = 0; i < slice->width; i++) {
        to[i] = row->values[i];
        if (to[i].kind == SQL_TEXT) {
            to[i].text = arena_copy(&slice->arena, row->values[i].text, row->values[i].length);
            slice->size += to[i].length;
        }
    }
    return slice->count < COPIED_ROWS_MAX && slice->size < COPIED_SIZE_MAX;
}

static void add_ledger_key(struct text *sql, const struct copied_ledger *ledger)
{
    for (int i = 0; i < part_count(ledger); i++)
        text_printf(sql, "%s%s", i ? ", " : "", ledger->id[i]);
}

static void select_statement(struct text *sql, const struct copied_ledger *ledger, bool goes_on)
{
    text_init(sql, STATEMENT_SIZE_MAX);
    text_add(sql, "SELECT ");
    for (int i = 0; i < copied_column_count(ledger); i++) {
        const struct copied_column *column = &ledger->columns[i];
        text_printf(sql, "%s%s", i ? ", " : "", column->derived ? column->derived : column->name);
    }
    text_printf(sql, " FROM %s", ledger->table);
    if (goes_on) {
        text_add(sql, " WHERE (");
        add_ledger_key(sql, ledger);
        text_add(sql, ") > (");
        for (int i = 0; i < part_count(ledger); i++)
            text_printf(sql, "%s?%d", i ? ", " : "", i + 1);
        text_add(sql, ")");
    }
    text_add(sql, " ORDER BY ");
    add_ledger_key(sql, ledger);
    text_printf(sql, " LIMIT %d", COPIED_ROWS_MAX);
}

static enum fh_code read_ledger_slice(struct store *store, const struct copied_ledger *ledger,
                                      const struct sql_value *key, int key_count,
                                      struct ledger_slice *slice, struct fh_error *error)
{
    struct store_work *work;
    struct text sql;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    select_statement(&sql, ledger, key_count > 0);
    code = sql_run(work, sql.data, key, key_count, take_ledger_row, slice, NULL, error);
    text_release(&sql);
    store_rollback(work);
    return code;
}

static enum fh_code sql_ledger_read(struct store *store, const struct copied_ledger *ledger,
                                    copied_slice *use, void *context, struct fh_error *error)
{
    struct sql_value key[COPIED_PARTS_MAX];
    struct ledger_slice *slices = calloc(2, sizeof *slices); /* in turn */
    FH_ASSERT(slices != NULL);
    for (int i = 0; i < 2; i++)
        arena_init(&slices[i].arena, COPIED_SIZE_MAX * 4);
    enum fh_code code = FH_OK;
    int key_count = 0;
    for (int at = 0;; at = !at) {
        struct ledger_slice *slice = &slices[at];
        arena_release(&slice->arena);
        slice->width = copied_column_count(ledger);
        slice->count = 0;
        slice->size = 0;
        code = read_ledger_slice(store, ledger, key, key_count, slice, error);
        if (code == FH_OK && slice->count > 0)
            code = use(context, slice->values, slice->count, error);
        if (code != FH_OK || slice->count == 0)
            break;
        key_count = part_count(ledger);
        for (int i = 0; i < key_count; i++)
            key[i] = slice->values[(slice->count - 1) * slice->width +
                                   column_named(ledger, ledger->id[i])];
    }
    arena_release(&slices[0].arena);
    arena_release(&slices[1].arena);
    free(slices);
    return code;
}

/* ---- writing ---- */

static void ledger_insert(struct text *sql, const struct copied_ledger *ledger)
{
    int count = 0;
    text_init(sql, STATEMENT_SIZE_MAX);
    text_printf(sql, "INSERT INTO %s (", ledger->table);
    for (int i = 0; i < copied_column_count(ledger); i++) {
        if (!ledger->columns[i].derived)
            text_printf(sql, "%s%s", count++ ? ", " : "", ledger->columns[i].name);
    }
    text_add(sql, ") VALUES (");
    for (int i = 0; i < count; i++)
        text_printf(sql, "%s?%d", i ? ", " : "", i + 1);
    text_add(sql, ")");
}

static enum fh_code put_ledger_rows(struct store_work *work, const struct copied_ledger *ledger,
                                    const struct sql_value *rows, int count, struct fh_error *error)
{
    struct text sql;
    int width = copied_column_count(ledger);
    enum fh_code code = FH_OK;
    ledger_insert(&sql, ledger);
    for (int row = 0; row < count && code == FH_OK; row++) {
        struct sql_value values[COPIED_COLUMNS_MAX];
        int value_count = 0;
        for (int i = 0; i < width; i++) {
            if (!ledger->columns[i].derived)
                values[value_count++] = rows[row * width + i];
        }
        code = sql_run(work, sql.data, values, value_count, NULL, NULL, NULL, error);
    }
    text_release(&sql);
    return code;
}

static enum fh_code end_ledger_work(struct store_work *work, enum fh_code code,
                                    struct fh_error *error)
{
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code sql_write(struct store *store, const struct copied_ledger *ledger,
                              const struct sql_value *rows, int count, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    return end_ledger_work(work, put_ledger_rows(work, ledger, rows, count, error), error);
}

/* ---- emptying ---- */

static enum fh_code clear_ledger(struct store_work *work, const struct copied_ledger *ledger,
                                 struct fh_error *error)
{
    char sql[96];
    snprintf(sql, sizeof sql, "DELETE FROM %s", ledger->table);
    return sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
}

static enum fh_code sql_ledger_empty(struct store *store, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < copied_ledger_count && code == FH_OK; i++)
        code = clear_ledger(work, &copied_ledgers[i], error);
    return end_ledger_work(work, code, error);
}

/* The trimmed position is in meta, the rest of which is written by whoever makes the copy. */
static enum fh_code put_ledger_number(struct store_work *work, int64_t position, int64_t trimmed,
                                      const char *trimmed_id, struct fh_error *error)
{
    struct sql_value value = sql_integer(position);
    char text[24] = "";
    if (trimmed > 0)
        snprintf(text, sizeof text, "%lld", (long long)trimmed);
    enum fh_code code =
        ledger_do(work, ledger_sql(work, LEDGER_COUNTER_SET), &value, 1, NULL, error);
    if (code == FH_OK)
        code = ledger_meta_put(work, LEDGER_TRIMMED_POSITION, text, error);
    return code == FH_OK ? ledger_meta_put(work, LEDGER_TRIMMED_ID, trimmed_id, error) : code;
}

static enum fh_code sql_number(struct store *store, int64_t position, int64_t trimmed,
                               const char *trimmed_id, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    code = put_ledger_number(work, position, trimmed, trimmed_id, error);
    return end_ledger_work(work, code, error);
}

enum fh_code copied_table_rows(struct store *store, const char *table, int64_t *ret,
                               struct fh_error *error)
{
    char sql[128];
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    code = ledger_integer(work, sql, NULL, 0, ret, error);
    store_rollback(work);
    return code;
}

static enum fh_code sql_ledger_count(struct store *store, const struct copied_ledger *ledger,
                                     int64_t *ret, struct fh_error *error)
{
    return copied_table_rows(store, ledger->table, ret, error);
}

const struct copied_ops copied_sql = {.read = sql_ledger_read,
                                      .write = sql_write,
                                      .count = sql_ledger_count,
                                      .empty = sql_ledger_empty,
                                      .number = sql_number,
                                      .put = put_ledger_rows,
                                      .put_number = put_ledger_number,
                                      .clear = clear_ledger};
