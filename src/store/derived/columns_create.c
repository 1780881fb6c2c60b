/* SPDX-License-Identifier: Apache-2.0 */
/* The table of columns. Values are as they come: a column without a type changes none. */

#include <stdio.h>

#include "store/derived/columns.h"

enum fh_code columns_create(struct store_work *work, const struct fh_derived *declared,
                            int64_t number, struct fh_error *error)
{
    struct text sql;
    text_init(&sql, DERIVED_SQL_SIZE);
    text_printf(&sql, "CREATE TABLE fh_derived_%lld (at INTEGER NOT NULL, seq INTEGER NOT NULL",
                (long long)number);
    for (int i = 0; declared->fields[i].name; i++)
        text_printf(&sql, ", f%d%s", i, series_is_tag(&declared->fields[i]) ? " NOT NULL" : "");
    text_add(&sql, ", PRIMARY KEY (at, seq)) WITHOUT ROWID");
    FH_ASSERT(!sql.overflow);
    enum fh_code code = sql_run(work, sql.data, NULL, 0, NULL, NULL, NULL, error);
    text_release(&sql);
    return code;
}

static bool take_any_column(void *context, const struct sql_row *row)
{
    *(bool *)context = row->values[0].integer > 0;
    return false;
}

enum fh_code columns_is_one(struct store_work *work, int64_t number, bool *ret,
                            struct fh_error *error)
{
    char sql[128];
    *ret = false;
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM pragma_table_xinfo('fh_derived_%lld') WHERE name = 'seq'",
             (long long)number);
    return sql_run(work, sql, NULL, 0, take_any_column, ret, NULL, error);
}
