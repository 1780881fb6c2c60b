/* SPDX-License-Identifier: Apache-2.0 */
/* MariaDB's dialect. Its catalog is information_schema. */

#include <inttypes.h>

#include "base/text.h"
#include "engine/mariadb/internal.h"
#include "store/relational/catalog.h"

#define STATEMENT_LENGTH_MAX 4096

static enum fh_code mariadb_next_number(struct store_work *work, const struct catalog_table *table,
                                        int64_t *ret, struct fh_error *error)
{
    return catalog_number(work,
                          "SELECT CAST(auto_increment AS SIGNED) FROM information_schema.tables"
                          " WHERE table_schema = database() AND table_name = ?1",
                          table, ret, error);
}

/* ALTER TABLE commits the transaction. */
static enum fh_code mariadb_set_next_number(struct store_work *work,
                                            const struct catalog_table *table, int64_t next,
                                            struct fh_error *error)
{
    int64_t now;
    struct text text;
    enum fh_code code = mariadb_next_number(work, table, &now, error);
    if (code != FH_OK || now == 0 || now >= next)
        return code;
    text_init(&text, STATEMENT_LENGTH_MAX);
    text_add(&text, "ALTER TABLE ");
    catalog_quote(&text, &mariadb_dialect, table->name);
    text_printf(&text, " AUTO_INCREMENT = %" PRId64, next);
    code = work->store->engine->sql->script(work, text.data, error);
    text_release(&text);
    return code;
}

const struct sql_dialect mariadb_dialect = {
    .lexis = SQL_BACKTICKS | SQL_HASH_COMMENTS | SQL_DASHES_AND_BLANK | SQL_COMMENTED_SQL |
             SQL_BACKSLASHES,
    .locks_commit = true,
    .quote = '`',
    .schema = &mariadb_ledger_schema,
    .ledger = mariadb_ledger_statements,
    .tables = "SELECT table_name FROM information_schema.tables"
              " WHERE table_schema = database() AND table_type = 'BASE TABLE' ORDER BY 1",
    .columns = "SELECT column_name FROM information_schema.columns"
               " WHERE table_schema = database() AND table_name = ?1"
               " AND is_generated = 'NEVER' ORDER BY ordinal_position",
    /* 10.11 can crash when one statement joins two tables of its catalog. */
    .key = "SELECT column_name FROM information_schema.statistics"
           " WHERE table_schema = database() AND table_name = ?1"
           " AND index_name = 'PRIMARY' ORDER BY seq_in_index",
    .parents = "SELECT DISTINCT referenced_table_name FROM"
               " information_schema.key_column_usage WHERE table_schema = database()"
               " AND table_name = ?1 AND referenced_table_name IS NOT NULL",
    .rows = "SELECT CAST(coalesce(sum(table_rows), 0) AS SIGNED)"
            " FROM information_schema.tables WHERE table_schema = database()"
            " AND table_type = 'BASE TABLE'",
    .next_number = mariadb_next_number,
    .set_next_number = mariadb_set_next_number,
    .overriding = "",
    .log_position = "SELECT @@global.gtid_binlog_pos",
    .log_reached = "SELECT CASE WHEN MASTER_GTID_WAIT(?1, 0) = 0 THEN 1 ELSE 0 END",
};
