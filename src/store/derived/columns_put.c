/* SPDX-License-Identifier: Apache-2.0 */
/* A fact that is put into columns, in the unit of work that was given, besides all that are there.
 */

#include "store/derived/columns.h"

enum fh_code derived_sql_add(struct store_work *work, const struct fh_derived *declared,
                             int64_t *number, int64_t at_ms, const json_t *fact,
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
        const json_t *value = json_object_get(fact, field->name);
        if (series_is_tag(field))
            series_tag_value(field, value, &values[count++]);
        else
            values[count++] = series_measured_value(field, value);
        text_printf(&sql, ", f%d", i);
    }
    text_add(&sql, ") SELECT ?1, coalesce(max(seq), 0) + 1");
    for (int i = 1; i < count; i++)
        text_printf(&sql, ", ?%d", i + 1);
    text_printf(&sql, " FROM fh_derived_%lld WHERE at = ?1", (long long)*number);
    FH_ASSERT(!sql.overflow);
    code = sql_run(work, sql.data, values, count, NULL, NULL, NULL, error);
    text_release(&sql);
    return code;
}
