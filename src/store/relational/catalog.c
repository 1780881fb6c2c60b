/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries each engine's catalog with its dialect's statements (dialect.h). Names are returned
 * unquoted; code that puts one into a statement quotes it.
 */

#include "store/relational/catalog.h"

#include <string.h>

#include "base/text.h"

#define NAMES_MIN 32 /* room for so many at first */

/* ---- reading ---- */

struct names {
    struct arena *arena;
    const char **names;
    int count, size, max;
    bool too_many;
};

static bool take_name_row(void *context, const struct sql_row *row)
{
    struct names *names = context;
    names->too_many = names->count == names->max;
    if (names->too_many)
        return false;
    if (names->count == names->size) {
        names->size = names->size ? 2 * names->size : NAMES_MIN;
        const char **grown = arena_alloc(names->arena, (size_t)names->size * sizeof *grown);
        if (names->count)
            memcpy((void *)grown, names->names, (size_t)names->count * sizeof *grown);
        names->names = grown;
    }
    names->names[names->count] =
        arena_copy(names->arena, row->values[0].text, row->values[0].length);
    names->count++;
    return true;
}

/* The names that the query `sql` returns for the table, one per row; `what` they are. */
static enum fh_code read_names(struct store_work *work, struct arena *arena, const char *sql,
                               const struct catalog_table *table, const char *what,
                               struct names *ret, struct fh_error *error)
{
    struct sql_value name = sql_text(table->name);
    *ret = (struct names){.arena = arena, .max = CATALOG_COLUMNS_MAX};
    enum fh_code code = sql_run(work, sql, &name, 1, take_name_row, ret, NULL, error);
    if (code == FH_OK && ret->too_many)
        code = error_set(error, FH_UNSUPPORTED,
                         "The table %.64s has more than %d %s, and so many are not read.",
                         table->name, CATALOG_COLUMNS_MAX, what);
    return code;
}

static enum fh_code read_columns(struct store_work *work, struct arena *arena,
                                 struct catalog_table *table, struct fh_error *error)
{
    const struct sql_dialect *dialect = sql_dialect_of(work->store);
    struct names columns, key;
    enum fh_code code =
        read_names(work, arena, dialect->columns, table, "columns", &columns, error);
    if (code == FH_OK)
        code = read_names(work, arena, dialect->key, table, "columns", &key, error);
    if (code != FH_OK)
        return code;
    table->columns = columns.names;
    table->column_count = columns.count;
    table->key = key.names;
    table->key_count = key.count;
    return FH_OK;
}

static enum fh_code read_parents(struct store_work *work, struct arena *arena,
                                 struct catalog_table *table, struct fh_error *error)
{
    struct names parents;
    enum fh_code code = read_names(work, arena, sql_dialect_of(work->store)->parents, table,
                                   "foreign keys", &parents, error);
    table->parents = parents.names;
    for (int i = 0; i < parents.count; i++) {
        if (strcmp(parents.names[i], table->name) != 0)
            table->parents[table->parent_count++] = parents.names[i];
    }
    return code;
}

enum fh_code catalog_read(struct store_work *work, struct arena *arena, struct catalog *ret,
                          struct fh_error *error)
{
    struct names tables = {.arena = arena, .max = CATALOG_TABLES_MAX};
    *ret = (struct catalog){0};
    enum fh_code code = sql_run(work, sql_dialect_of(work->store)->tables, NULL, 0, take_name_row,
                                &tables, NULL, error);
    if (code == FH_OK && tables.too_many)
        code = error_set(error, FH_UNSUPPORTED,
                         "The store has more than %d tables, and so many are not read.",
                         CATALOG_TABLES_MAX);
    if (code != FH_OK)
        return code;
    ret->tables = arena_alloc(arena, (size_t)(tables.count + 1) * sizeof *ret->tables);
    for (int i = 0; i < tables.count && code == FH_OK; i++) {
        struct catalog_table *table = &ret->tables[ret->count++];
        *table = (struct catalog_table){.name = tables.names[i]};
        code = read_columns(work, arena, table, error);
        if (code == FH_OK)
            code = read_parents(work, arena, table, error);
    }
    return code;
}

struct look {
    const char *name;
    bool found;
};

static bool find_name(void *context, const struct sql_row *row)
{
    struct look *look = context;
    look->found = strcmp(row->values[0].text, look->name) == 0;
    return !look->found;
}

enum fh_code catalog_width_check(const struct catalog_table *from, const struct catalog_table *to,
                                 int columns, struct fh_error *error)
{
    int width = columns + (from->key_count > to->key_count ? from->key_count : to->key_count);
    if (width <= SQL_VALUES_MAX)
        return FH_OK;
    return error_set(error, FH_UNSUPPORTED,
                     "%.64s has %d columns, those of its primary key counted twice; a table that "
                     "has more than %d can't be copied.",
                     from->name, width, SQL_VALUES_MAX);
}

enum fh_code catalog_has_table(struct store_work *work, const char *name, bool *ret,
                               struct fh_error *error)
{
    struct look look = {.name = name};
    enum fh_code code =
        sql_run(work, sql_dialect_of(work->store)->tables, NULL, 0, find_name, &look, NULL, error);
    *ret = look.found;
    return code;
}

static bool take_rows_guessed(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

enum fh_code catalog_rows_guessed(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    const char *sql = sql_dialect_of(work->store)->rows;
    *ret = 0;
    return sql ? sql_run(work, sql, NULL, 0, take_rows_guessed, ret, NULL, error) : FH_OK;
}

const struct catalog_table *catalog_find(const struct catalog *catalog, const char *name)
{
    for (int i = 0; i < catalog->count; i++) {
        if (strcmp(catalog->tables[i].name, name) == 0)
            return &catalog->tables[i];
    }
    return NULL;
}

bool catalog_has_column(const struct catalog_table *table, const char *column)
{
    for (int i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i], column) == 0)
            return true;
    }
    return false;
}

/* ---- order ---- */

static bool parents_are_among(const struct catalog *catalog, const struct catalog_table *table,
                              int placed)
{
    for (int p = 0; p < table->parent_count; p++) {
        bool found = !catalog_find(catalog, table->parents[p]);
        for (int i = 0; i < placed && !found; i++)
            found = strcmp(catalog->tables[i].name, table->parents[p]) == 0;
        if (!found)
            return false;
    }
    return true;
}

enum fh_code catalog_order(struct catalog *catalog, struct fh_error *error)
{
    for (int placed = 0; placed < catalog->count; placed++) {
        int next = placed;
        while (next < catalog->count && !parents_are_among(catalog, &catalog->tables[next], placed))
            next++;
        if (next == catalog->count)
            return error_set(error, FH_UNSUPPORTED,
                             "The foreign keys of %.64s go in a circle, so no order of its rows "
                             "can be inserted.",
                             catalog->tables[placed].name);
        struct catalog_table table = catalog->tables[next];
        memmove(&catalog->tables[placed + 1], &catalog->tables[placed],
                (size_t)(next - placed) * sizeof table);
        catalog->tables[placed] = table;
    }
    return FH_OK;
}

/* ---- counters ---- */

void catalog_quote(struct text *out, const struct sql_dialect *dialect, const char *name)
{
    char quote = dialect->quote;
    text_append(out, &quote, 1);
    for (; *name; name++) {
        text_append(out, name, 1);
        if (*name == quote)
            text_append(out, name, 1);
    }
    text_append(out, &quote, 1);
}

static bool take_next_number(void *context, const struct sql_row *row)
{
    if (row->values[0].kind == SQL_INTEGER)
        *(int64_t *)context = row->values[0].integer;
    return true;
}

enum fh_code catalog_number(struct store_work *work, const char *sql,
                            const struct catalog_table *table, int64_t *ret, struct fh_error *error)
{
    struct sql_value name = sql_text(table->name);
    *ret = 0;
    return sql_run(work, sql, &name, 1, take_next_number, ret, NULL, error);
}

enum fh_code catalog_next_number(struct store_work *work, const struct catalog_table *table,
                                 int64_t *ret, struct fh_error *error)
{
    return sql_dialect_of(work->store)->next_number(work, table, ret, error);
}

enum fh_code catalog_set_next_number(struct store_work *work, const struct catalog_table *table,
                                     int64_t next, struct fh_error *error)
{
    return sql_dialect_of(work->store)->set_next_number(work, table, next, error);
}
