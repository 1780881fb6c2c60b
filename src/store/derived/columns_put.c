/* SPDX-License-Identifier: Apache-2.0 */
/* A fact that is put into columns, in the unit of work that was given, besides all that are there.
 */

#include "store/derived/columns.h"

static bool take_seq(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

enum fh_code derived_sql_add(struct store_work *work, const struct fh_derived *declared,
                             int64_t *number, int64_t at_ms, const json_t *fact, int64_t *ret_id,
                             struct fh_error *error)
{
    struct sql_value values[DERIVED_FIELDS_MAX + 1] = {sql_integer(at_ms)};
    int count = 1;
    struct text sql;
    enum fh_code code = *number ? FH_OK : derived_number(work, declared->name, number, error);
    if (code != FH_OK)
        return code;
    text_init(&sql, DERIVED_SQL_SIZE);
    text_printf(&sql, "INSERT INTO fh_derived_%lld (at, seq", (long long)*number);
    for (int i = 0; declared->fields[i].name; i++) {
        const struct fh_derived_field *field = &declared->fields[i];
        values[count++] = series_value_of(field, json_object_get(fact, field->name));
        text_printf(&sql, ", f%d", i);
    }
    text_add(&sql, ") SELECT ?1, coalesce(max(seq), 0) + 1");
    for (int i = 1; i < count; i++)
        text_printf(&sql, ", ?%d", i + 1);
    text_printf(&sql, " FROM fh_derived_%lld WHERE at = ?1 RETURNING seq", (long long)*number);
    FH_ASSERT(!sql.overflow);
    code = sql_run(work, sql.data, values, count, take_seq, ret_id, NULL, error);
    text_release(&sql);
    return code;
}
