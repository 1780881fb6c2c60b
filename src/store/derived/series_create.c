/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a series. Values are as they come: a column without a type changes none. */

#include "store/derived/series.h"

static enum fh_code run_series_text(struct store_work *work, struct text *sql,
                                    struct fh_error *error)
{
    FH_ASSERT(!sql->overflow);
    enum fh_code code = sql_run(work, sql->data, NULL, 0, NULL, NULL, NULL, error);
    text_clear(sql);
    return code;
}

enum fh_code series_create(struct store_work *work, const struct fh_derived *declared,
                           int64_t number, struct fh_error *error)
{
    struct text sql;
    const char *comma = "";
    text_init(&sql, DERIVED_SQL_SIZE);
    text_printf(&sql, "CREATE TABLE fh_derived_%lld (curve INTEGER NOT NULL, at INTEGER NOT NULL",
                (long long)number);
    for (int i = 0; declared->fields[i].name; i++) {
        if (!series_is_tag(&declared->fields[i]))
            text_printf(&sql, ", v%d", i);
    }
    text_add(&sql, ", PRIMARY KEY (curve, at)) WITHOUT ROWID");
    enum fh_code code = run_series_text(work, &sql, error);
    text_printf(&sql, "CREATE TABLE fh_derived_%lld_curve (id INTEGER PRIMARY KEY",
                (long long)number);
    for (int i = 0; declared->fields[i].name; i++) {
        if (series_is_tag(&declared->fields[i]))
            text_printf(&sql, ", t%d NOT NULL", i);
    }
    text_add(&sql, ", UNIQUE (");
    for (int i = 0; declared->fields[i].name; i++) {
        if (!series_is_tag(&declared->fields[i]))
            continue;
        text_printf(&sql, "%st%d", comma, i);
        comma = ", ";
    }
    text_add(&sql, "))");
    if (code == FH_OK)
        code = run_series_text(work, &sql, error);
    text_release(&sql);
    return code;
}
