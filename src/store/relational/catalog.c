/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each engine's catalog, asked in its own words: SQLite's pragma functions, PostgreSQL's pg_
 * tables (of the schema that the role works in), MariaDB's information_schema. Names come back as
 * they are; whoever puts one into a statement quotes it.
 */

#include "store/relational/catalog.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define STATEMENT_LENGTH_MAX 4096

static const char *const tables_sql[SQL_DIALECTS] = {
    [SQL_SQLITE] = "SELECT name FROM sqlite_master WHERE type = 'table'"
                   " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    [SQL_POSTGRESQL] = "SELECT CAST(tablename AS text) FROM pg_tables"
                       " WHERE schemaname = current_schema() ORDER BY 1",
    [SQL_MARIADB] = "SELECT table_name FROM information_schema.tables"
                    " WHERE table_schema = database() AND table_type = 'BASE TABLE' ORDER BY 1",
};

/* Those with values of their own. */
static const char *const columns_sql[SQL_DIALECTS] = {
    [SQL_SQLITE] = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid",
    [SQL_POSTGRESQL] = "SELECT CAST(attname AS text) FROM pg_attribute"
                       " WHERE attrelid = CAST(quote_ident(?1) AS regclass) AND attnum > 0"
                       " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
    [SQL_MARIADB] = "SELECT column_name FROM information_schema.columns"
                    " WHERE table_schema = database() AND table_name = ?1"
                    " AND is_generated = 'NEVER' ORDER BY ordinal_position",
};

/* Of the primary key, in its order. MariaDB 10.11 can crash on two tables of its catalog in one
 * statement. */
static const char *const keys_sql[SQL_DIALECTS] = {
    [SQL_SQLITE] = "SELECT name FROM pragma_table_xinfo(?1) WHERE pk > 0 ORDER BY pk",
    [SQL_POSTGRESQL] = "SELECT CAST(a.attname AS text) FROM pg_index i"
                       " CROSS JOIN unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY"
                       " AS k (number, place) JOIN pg_attribute a"
                       " ON a.attrelid = i.indrelid AND a.attnum = k.number"
                       " WHERE i.indrelid = CAST(quote_ident(?1) AS regclass) AND i.indisprimary"
                       " ORDER BY k.place",
    [SQL_MARIADB] = "SELECT column_name FROM information_schema.statistics"
                    " WHERE table_schema = database() AND table_name = ?1"
                    " AND index_name = 'PRIMARY' ORDER BY seq_in_index",
};

static const char *const parents_sql[SQL_DIALECTS] = {
    [SQL_SQLITE] = "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1)",
    [SQL_POSTGRESQL] = "SELECT DISTINCT CAST(p.relname AS text) FROM pg_constraint f"
                       " JOIN pg_class p ON p.oid = f.confrelid WHERE f.contype = 'f'"
                       " AND f.conrelid = CAST(quote_ident(?1) AS regclass)",
    [SQL_MARIADB] = "SELECT DISTINCT referenced_table_name FROM"
                    " information_schema.key_column_usage WHERE table_schema = database()"
                    " AND table_name = ?1 AND referenced_table_name IS NOT NULL",
};

/* The first statistic of PostgreSQL's is that of the last ANALYZE (-1: there was none), the second
 * counts what has been committed since the server keeps it. */
static const char *const rows_sql[SQL_DIALECTS] = {
    [SQL_POSTGRESQL] = "SELECT CAST(coalesce(sum(greatest(CAST(c.reltuples AS bigint),"
                       " pg_stat_get_live_tuples(c.oid), 0)), 0) AS bigint) FROM pg_class c"
                       " WHERE c.relkind = 'r'"
                       " AND c.relnamespace = CAST(quote_ident(current_schema()) AS regnamespace)",
    [SQL_MARIADB] = "SELECT CAST(coalesce(sum(table_rows), 0) AS SIGNED)"
                    " FROM information_schema.tables WHERE table_schema = database()"
                    " AND table_type = 'BASE TABLE'",
};

/* ---- reading --------------------------------------------------------------------------------- */

struct names {
    struct arena *arena;
    const char **names;
    int count, max;
};

static bool take_name(void *context, const struct sql_row *row)
{
    struct names *names = context;
    if (names->count == names->max)
        return false;
    names->names[names->count] =
        arena_copy(names->arena, row->values[0].text, row->values[0].length);
    names->count++;
    return true;
}

static void names_init(struct names *names, struct arena *arena, int max)
{
    *names = (struct names){.arena = arena, .max = max};
    names->names = arena_alloc(arena, (size_t)max * sizeof *names->names);
}

/* One name a row, of what `sql` asks about the table. */
static enum fh_code read_names(struct store_work *work, struct arena *arena,
                               const char *const sql[SQL_DIALECTS],
                               const struct catalog_table *table, struct names *ret,
                               struct fh_error *error)
{
    struct sql_value name = sql_text(table->name);
    names_init(ret, arena, CATALOG_COLUMNS_MAX);
    return sql_run(work, sql[work->store->engine->sql->dialect], &name, 1, take_name, ret, NULL,
                   error);
}

static enum fh_code read_columns(struct store_work *work, struct arena *arena,
                                 struct catalog_table *table, struct fh_error *error)
{
    struct names columns, key;
    enum fh_code code = read_names(work, arena, columns_sql, table, &columns, error);
    if (code == FH_OK)
        code = read_names(work, arena, keys_sql, table, &key, error);
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
    enum fh_code code = read_names(work, arena, parents_sql, table, &parents, error);
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
    struct names tables;
    *ret = (struct catalog){0};
    names_init(&tables, arena, CATALOG_TABLES_MAX);
    enum fh_code code = sql_run(work, tables_sql[work->store->engine->sql->dialect], NULL, 0,
                                take_name, &tables, NULL, error);
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

static bool look_for(void *context, const struct sql_row *row)
{
    struct look *look = context;
    look->found = strcmp(row->values[0].text, look->name) == 0;
    return !look->found;
}

enum fh_code catalog_has_table(struct store_work *work, const char *name, bool *ret,
                               struct fh_error *error)
{
    struct look look = {.name = name};
    enum fh_code code = sql_run(work, tables_sql[work->store->engine->sql->dialect], NULL, 0,
                                look_for, &look, NULL, error);
    *ret = look.found;
    return code;
}

static bool take_rows(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

enum fh_code catalog_rows_guessed(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    const char *sql = rows_sql[work->store->engine->sql->dialect];
    *ret = 0;
    return sql ? sql_run(work, sql, NULL, 0, take_rows, ret, NULL, error) : FH_OK;
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

/* ---- order ----------------------------------------------------------------------------------- */

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

/* ---- counters -------------------------------------------------------------------------------- */

void catalog_quote(struct text *out, enum sql_dialect dialect, const char *name)
{
    char quote = dialect == SQL_MARIADB ? '`' : '"';
    text_append(out, &quote, 1);
    for (; *name; name++) {
        text_append(out, name, 1);
        if (*name == quote)
            text_append(out, name, 1);
    }
    text_append(out, &quote, 1);
}

static bool take_number(void *context, const struct sql_row *row)
{
    if (row->values[0].kind == SQL_INTEGER)
        *(int64_t *)context = row->values[0].integer;
    return true;
}

static enum fh_code ask_number(struct store_work *work, const char *sql, const char *table,
                               int64_t *ret, struct fh_error *error)
{
    struct sql_value value = sql_text(table);
    *ret = 0;
    return sql_run(work, sql, &value, 1, take_number, ret, NULL, error);
}

/* The sequence of PostgreSQL's first column that has one. */
#define SEQUENCE_OF                                                                                \
    "(SELECT pg_get_serial_sequence(quote_ident(?1), CAST(a.attname AS text)) FROM pg_attribute a" \
    " WHERE a.attrelid = CAST(quote_ident(?1) AS regclass) AND a.attnum > 0"                       \
    " AND NOT a.attisdropped"                                                                      \
    " AND pg_get_serial_sequence(quote_ident(?1), CAST(a.attname AS text)) IS NOT NULL LIMIT 1)"

enum fh_code catalog_next_number(struct store_work *work, const struct catalog_table *table,
                                 int64_t *ret, struct fh_error *error)
{
    switch (work->store->engine->sql->dialect) {
    case SQL_SQLITE:
        break;
    case SQL_POSTGRESQL:
        return ask_number(work,
                          "SELECT pg_sequence_last_value(CAST(q.name AS regclass)) + 1"
                          " FROM (SELECT " SEQUENCE_OF " AS name) q WHERE q.name IS NOT NULL",
                          table->name, ret, error);
    case SQL_MARIADB:
        return ask_number(work,
                          "SELECT CAST(auto_increment AS SIGNED) FROM information_schema.tables"
                          " WHERE table_schema = database() AND table_name = ?1",
                          table->name, ret, error);
    }
    /* The table is there only once some table has AUTOINCREMENT. */
    enum fh_code code = ask_number(work,
                                   "SELECT count(*) FROM sqlite_master"
                                   " WHERE name = 'sqlite_sequence' AND ?1 <> ''",
                                   table->name, ret, error);
    if (code != FH_OK || *ret == 0)
        return code;
    return ask_number(work, "SELECT seq + 1 FROM sqlite_sequence WHERE name = ?1", table->name, ret,
                      error);
}

enum fh_code catalog_set_next_number(struct store_work *work, const struct catalog_table *table,
                                     int64_t next, struct fh_error *error)
{
    int64_t now;
    struct sql_value values[] = {sql_text(table->name), sql_integer(next)};
    enum fh_code code = FH_OK;
    struct text text;
    switch (work->store->engine->sql->dialect) {
    case SQL_SQLITE:
        code = catalog_next_number(work, table, &now, error);
        values[1].integer--;
        if (code == FH_OK && now > 0 && now < next)
            code = sql_run(work, "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1", values, 2,
                           NULL, NULL, NULL, error);
        return code;
    case SQL_POSTGRESQL:
        return sql_run(work,
                       "SELECT setval(CAST(q.name AS regclass), CAST(?2 AS bigint), false)"
                       " FROM (SELECT " SEQUENCE_OF " AS name) q WHERE q.name IS NOT NULL",
                       values, 2, take_number, &now, NULL, error);
    case SQL_MARIADB:
        break;
    }
    code = catalog_next_number(work, table, &now, error);
    if (code != FH_OK || now == 0 || now >= next)
        return code;
    text_init(&text, STATEMENT_LENGTH_MAX);
    text_add(&text, "ALTER TABLE ");
    catalog_quote(&text, SQL_MARIADB, table->name);
    text_printf(&text, " AUTO_INCREMENT = %" PRId64, next);
    code = work->store->engine->sql->script(work, text.data, error);
    text_release(&text);
    return code;
}
