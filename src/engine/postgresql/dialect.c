/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL's dialect. It queries the catalog for the schema in which the role works. */

#include "engine/postgresql/internal.h"
#include "store/relational/catalog.h"

/* The sequence of the first column that has one. */
#define SEQUENCE_OF                                                                                \
    "(SELECT pg_get_serial_sequence(quote_ident(?1), CAST(a.attname AS text)) FROM pg_attribute a" \
    " WHERE a.attrelid = CAST(quote_ident(?1) AS regclass) AND a.attnum > 0"                       \
    " AND NOT a.attisdropped"                                                                      \
    " AND pg_get_serial_sequence(quote_ident(?1), CAST(a.attname AS text)) IS NOT NULL LIMIT 1)"

static enum fh_code postgresql_next_number(struct store_work *work,
                                           const struct catalog_table *table, int64_t *ret,
                                           struct fh_error *error)
{
    return catalog_number(work,
                          "SELECT pg_sequence_last_value(CAST(q.name AS regclass)) + 1"
                          " FROM (SELECT " SEQUENCE_OF " AS name) q WHERE q.name IS NOT NULL",
                          table, ret, error);
}

static bool ignore_new_number(void *context, const struct sql_row *row)
{
    (void)context, (void)row;
    return true;
}

static enum fh_code postgresql_set_next_number(struct store_work *work,
                                               const struct catalog_table *table, int64_t next,
                                               struct fh_error *error)
{
    struct sql_value values[] = {sql_text(table->name), sql_integer(next)};
    return sql_run(work,
                   "SELECT setval(CAST(q.name AS regclass), CAST(?2 AS bigint), false)"
                   " FROM (SELECT " SEQUENCE_OF " AS name) q WHERE q.name IS NOT NULL",
                   values, 2, ignore_new_number, NULL, NULL, error);
}

const struct sql_dialect postgresql_dialect = {
    .lexis = SQL_DOLLAR_QUOTES | SQL_ESCAPE_STRINGS | SQL_NESTED_COMMENTS,
    .quote = '"',
    .postgresql_grammar = true,
    .schema = &postgresql_ledger_schema,
    .ledger = postgresql_ledger_statements,
    .tables = "SELECT CAST(tablename AS text) FROM pg_tables"
              " WHERE schemaname = current_schema() ORDER BY 1",
    .columns = "SELECT CAST(attname AS text) FROM pg_attribute"
               " WHERE attrelid = CAST(quote_ident(?1) AS regclass) AND attnum > 0"
               " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
    .key = "SELECT CAST(a.attname AS text) FROM pg_index i"
           " CROSS JOIN unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY"
           " AS k (number, place) JOIN pg_attribute a"
           " ON a.attrelid = i.indrelid AND a.attnum = k.number"
           " WHERE i.indrelid = CAST(quote_ident(?1) AS regclass) AND i.indisprimary"
           " ORDER BY k.place",
    .parents = "SELECT DISTINCT CAST(p.relname AS text) FROM pg_constraint f"
               " JOIN pg_class p ON p.oid = f.confrelid WHERE f.contype = 'f'"
               " AND f.conrelid = CAST(quote_ident(?1) AS regclass)",
    /* reltuples is from the last ANALYZE (-1: there was none); pg_stat_get_live_tuples counts what
     * was committed since the server started counting. */
    .rows = "SELECT CAST(coalesce(sum(greatest(CAST(c.reltuples AS bigint),"
            " pg_stat_get_live_tuples(c.oid), 0)), 0) AS bigint) FROM pg_class c"
            " WHERE c.relkind = 'r'"
            " AND c.relnamespace = CAST(quote_ident(current_schema()) AS regnamespace)",
    .next_number = postgresql_next_number,
    .set_next_number = postgresql_set_next_number,
    .overriding = " OVERRIDING SYSTEM VALUE",
    .bound_locks = "SET LOCAL lock_timeout = '5s'",
    .log_position = "SELECT CAST(pg_current_wal_lsn() AS text)",
    .log_reached = "SELECT CASE WHEN pg_last_wal_replay_lsn() >= CAST(?1 AS pg_lsn)"
                   " THEN 1 ELSE 0 END",
};
