/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's dialect. Pragma functions read its catalog. */

#include "engine/sqlite/internal.h"
#include "store/relational/catalog.h"

static enum fh_code sqlite_next_number(struct store_work *work, const struct catalog_table *table,
                                       int64_t *ret, struct fh_error *error)
{
    /* sqlite_sequence exists only once some table has AUTOINCREMENT. */
    enum fh_code code = catalog_number(work,
                                       "SELECT count(*) FROM sqlite_master"
                                       " WHERE name = 'sqlite_sequence' AND ?1 <> ''",
                                       table, ret, error);
    if (code != FH_OK || *ret == 0)
        return code;
    return catalog_number(work, "SELECT seq + 1 FROM sqlite_sequence WHERE name = ?1", table, ret,
                          error);
}

static enum fh_code sqlite_set_next_number(struct store_work *work,
                                           const struct catalog_table *table, int64_t next,
                                           struct fh_error *error)
{
    struct sql_value values[] = {sql_text(table->name), sql_integer(next - 1)};
    int64_t now;
    enum fh_code code = sqlite_next_number(work, table, &now, error);
    if (code != FH_OK || now == 0 || now >= next)
        return code;
    return sql_run(work, "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1", values, 2, NULL,
                   NULL, NULL, error);
}

const struct sql_dialect sqlite_dialect = {
    .lexis = SQL_BACKTICKS | SQL_BRACKETS,
    .quote = '"',
    .schema = &sqlite_ledger_schema,
    .ledger = sqlite_ledger_statements,
    .tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
              " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    .columns = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid",
    .key = "SELECT name FROM pragma_table_xinfo(?1) WHERE pk > 0 ORDER BY pk",
    .parents = "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1)",
    .next_number = sqlite_next_number,
    .set_next_number = sqlite_set_next_number,
    .overriding = "",
};
