/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A point that is put into a series, in the unit of work that was given. One that is there already
 * is replaced as a whole, so the one written last counts, and one that comes again changes nothing.
 * Tags are written with the first point that has them.
 */

#include "store/derived/series.h"

struct series_putting {
    struct store_work *work;
    const struct fh_derived *declared;
    int64_t number, curve;
    const json_t *fact;
    struct text sql;
    struct sql_value tags[DERIVED_FIELDS_MAX];
    int tag_count;
    struct fh_error *error;
};

static bool take_curve_id(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

static enum fh_code run_with_tags(struct series_putting *putting)
{
    FH_ASSERT(!putting->sql.overflow);
    return sql_run(putting->work, putting->sql.data, putting->tags, putting->tag_count,
                   take_curve_id, &putting->curve, NULL, putting->error);
}

/* Leaves the curve 0 where no point has these tags. */
static enum fh_code curve_find(struct series_putting *putting)
{
    const struct fh_derived_field *fields = putting->declared->fields;
    text_clear(&putting->sql);
    text_printf(&putting->sql, "SELECT id FROM fh_derived_%lld_curve WHERE ",
                (long long)putting->number);
    for (int i = 0; fields[i].name; i++) {
        if (!series_is_tag(&fields[i]))
            continue;
        struct sql_value *tag = &putting->tags[putting->tag_count++];
        series_tag_value(&fields[i], json_object_get(putting->fact, fields[i].name), tag);
        text_printf(&putting->sql, "%st%d = ?%d", putting->tag_count > 1 ? " AND " : "", i,
                    putting->tag_count);
    }
    return run_with_tags(putting);
}

static enum fh_code curve_add(struct series_putting *putting)
{
    const struct fh_derived_field *fields = putting->declared->fields;
    const char *comma = "";
    text_clear(&putting->sql);
    text_printf(&putting->sql, "INSERT INTO fh_derived_%lld_curve (", (long long)putting->number);
    for (int i = 0; fields[i].name; i++) {
        if (!series_is_tag(&fields[i]))
            continue;
        text_printf(&putting->sql, "%st%d", comma, i);
        comma = ", ";
    }
    text_add(&putting->sql, ") VALUES (");
    for (int i = 0; i < putting->tag_count; i++)
        text_printf(&putting->sql, "%s?%d", i ? ", " : "", i + 1);
    text_add(&putting->sql, ") RETURNING id");
    return run_with_tags(putting);
}

static enum fh_code point_put(struct series_putting *putting, int64_t at_ms)
{
    const struct fh_derived_field *fields = putting->declared->fields;
    struct sql_value values[DERIVED_FIELDS_MAX + 2] = {sql_integer(putting->curve),
                                                       sql_integer(at_ms)};
    int count = 2;
    text_clear(&putting->sql);
    text_printf(&putting->sql, "INSERT OR REPLACE INTO fh_derived_%lld (curve, at",
                (long long)putting->number);
    for (int i = 0; fields[i].name; i++) {
        if (series_is_tag(&fields[i]))
            continue;
        values[count++] =
            series_measured_value(&fields[i], json_object_get(putting->fact, fields[i].name));
        text_printf(&putting->sql, ", v%d", i);
    }
    text_add(&putting->sql, ") VALUES (?1, ?2");
    for (int i = 2; i < count; i++)
        text_printf(&putting->sql, ", ?%d", i + 1);
    text_add(&putting->sql, ")");
    FH_ASSERT(!putting->sql.overflow);
    return sql_run(putting->work, putting->sql.data, values, count, NULL, NULL, NULL,
                   putting->error);
}

enum fh_code derived_sql_measure(struct store_work *work, const struct fh_derived *declared,
                                 int64_t *number, int64_t at_ms, const json_t *fact,
                                 int64_t *ret_id, struct fh_error *error)
{
    struct series_putting putting = {
        .work = work, .declared = declared, .fact = fact, .error = error};
    enum fh_code code = *number ? FH_OK : derived_number(work, declared->name, number, error);
    if (code != FH_OK)
        return code;
    putting.number = *number;
    text_init(&putting.sql, DERIVED_SQL_SIZE);
    code = curve_find(&putting);
    if (code == FH_OK && !putting.curve)
        code = curve_add(&putting);
    if (code == FH_OK)
        code = point_put(&putting, at_ms);
    *ret_id = putting.curve;
    text_release(&putting.sql);
    return code;
}
