/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is older than a series keeps is removed curve by curve, in the order of their ids, in slices
 * of which each is a unit of work: it looks at SERIES_TRIM_ROWS curves at most, and removes as many
 * points. A curve that is left without points goes with the last of them. One with roll-ups is
 * swept in series_age.c.
 *
 *     killed before a slice is durable    it is as if it had not begun
 *     killed between two                  the next sweep begins with the first curve again
 *
 * A point that is put meanwhile, between two slices, makes its curve anew if that is gone.
 */

#include <stdio.h>

#include "store/derived/columns.h"
#include "store/derived/series_rollup.h"

struct trimmed_curve {
    int64_t id;
    bool empty, old; /* it has no points; some that are to be removed */
};

struct trimming_slice {
    struct store_work *work;
    int64_t number, oldest_ms;
    struct trimmed_curve curves[SERIES_TRIM_ROWS];
    int count;
    int64_t room; /* how many points may still be removed */
    struct fh_error *error;
};

static bool take_trimmed_curve(void *context, const struct sql_row *row)
{
    struct trimming_slice *slice = context;
    const struct sql_value *first = &row->values[1];
    slice->curves[slice->count++] = (struct trimmed_curve){
        .id = row->values[0].integer,
        .empty = first->kind == SQL_NULL,
        .old = first->kind == SQL_INTEGER && first->integer < slice->oldest_ms};
    return slice->count < SERIES_TRIM_ROWS;
}

static enum fh_code look_at_curves(struct trimming_slice *slice, int64_t after)
{
    char sql[256];
    struct sql_value value = sql_integer(after);
    snprintf(sql, sizeof sql,
             "SELECT c.id, (SELECT min(p.at) FROM fh_derived_%lld AS p WHERE p.curve = c.id)"
             " FROM fh_derived_%lld_curve AS c WHERE c.id > ?1 ORDER BY c.id LIMIT %d",
             (long long)slice->number, (long long)slice->number, SERIES_TRIM_ROWS);
    return sql_run(slice->work, sql, &value, 1, take_trimmed_curve, slice, NULL, slice->error);
}

static enum fh_code remove_points(struct trimming_slice *slice, int64_t curve)
{
    char sql[320];
    int64_t removed = 0;
    const struct sql_value values[] = {sql_integer(curve), sql_integer(slice->oldest_ms),
                                       sql_integer(slice->room)};
    snprintf(sql, sizeof sql,
             "DELETE FROM fh_derived_%lld WHERE curve = ?1 AND at <= (SELECT max(at) FROM (SELECT "
             "at FROM fh_derived_%lld WHERE curve = ?1 AND at < ?2 ORDER BY at LIMIT ?3))",
             (long long)slice->number, (long long)slice->number);
    enum fh_code code = sql_run(slice->work, sql, values, 3, NULL, NULL, &removed, slice->error);
    slice->room -= removed;
    return code;
}

static enum fh_code remove_empty(struct trimming_slice *slice, int64_t curve)
{
    char sql[192];
    const struct sql_value value = sql_integer(curve);
    snprintf(sql, sizeof sql,
             "DELETE FROM fh_derived_%lld_curve WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM "
             "fh_derived_%lld WHERE curve = ?1)",
             (long long)slice->number, (long long)slice->number);
    return sql_run(slice->work, sql, &value, 1, NULL, NULL, NULL, slice->error);
}

/* Goes on with the same curve next time where there was no room for all of it. */
static enum fh_code trim_curves(struct trimming_slice *slice, struct series_trimming *at)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < slice->count && code == FH_OK; i++) {
        const struct trimmed_curve *curve = &slice->curves[i];
        if (curve->old && slice->room > 0)
            code = remove_points(slice, curve->id);
        if (slice->room == 0)
            return code;
        if (code == FH_OK && (curve->old || curve->empty))
            code = remove_empty(slice, curve->id);
        at->curve = curve->id;
    }
    at->done = slice->count < SERIES_TRIM_ROWS;
    return code;
}

enum fh_code derived_sql_trim(struct store_work *work, const struct fh_derived *declared,
                              int64_t oldest_ms, struct series_trimming *at, struct fh_error *error)
{
    struct trimming_slice slice = {
        .work = work, .oldest_ms = oldest_ms, .room = SERIES_TRIM_ROWS, .error = error};
    enum fh_code code = derived_number(work, declared->name, &slice.number, error);
    if (code == FH_OK && declared->model == FH_SEARCH)
        return derived_words_trim(work, slice.number, at, error);
    if (code == FH_OK && declared->model == FH_COLUMNS)
        return columns_trim(work, slice.number, oldest_ms, at, error);
    if (code == FH_OK && series_rollup_count(declared))
        return series_age(work, declared, slice.number, oldest_ms, at, error);
    if (code == FH_OK)
        code = look_at_curves(&slice, at->curve);
    if (code == FH_OK)
        code = trim_curves(&slice, at);
    at->removed += SERIES_TRIM_ROWS - slice.room;
    return code;
}
