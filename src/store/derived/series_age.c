/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep of a series that has roll-ups: what of a curve is too old for where it is becomes part
 * of an interval, and is removed from there, curve by curve in the order of their ids, from the
 * points on to the longest intervals. A slice is a unit of work. It looks at SERIES_TRIM_ROWS
 * curves at most, moves as many points and intervals, and writes SERIES_ROLLED_MAX intervals.
 *
 *     killed before a slice is durable    it is as if it had not begun: all counts where it was
 *     killed between two                  the next sweep begins with the first curve again
 *
 * An interval may be filled in several slices: what is in it, and what is to come, adds up to the
 * same. Intervals of a length that is not declared any more are all too old.
 */

#include "store/derived/series_rollup.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crash.h"

#define SOURCES_MAX (1 + SERIES_ROLLUPS_MAX + SERIES_LENGTHS_MAX)

/* Where what gets older is: points, or intervals of one length. */
struct aging_source {
    int64_t every_ms; /* 0: points */
    int64_t to_ms;    /* what is before it has to go */
    int level;        /* the first one that it may go to */
};

struct aging_curve {
    int64_t id;
    bool empty;
    uint32_t old; /* 1u << i: something has to go from the source i */
};

struct aging_slice {
    struct store_work *work;
    const struct fh_derived *declared;
    int64_t number;
    struct series_levels levels;
    struct series_lengths lengths;
    struct aging_source sources[SOURCES_MAX];
    int source_count;
    struct aging_curve curves[SERIES_TRIM_ROWS];
    int count;
    int64_t room; /* how many points and intervals may still go, */
    int writes;   /* and how many intervals may still be written */
    bool begun;   /* that times up to here are intervals' is written */
    struct text sql;
    struct fh_error *error;
};

/* What goes into one interval: some that is next to each other in a source. */
struct aging_part {
    struct aging_slice *slice;
    const struct aging_source *source;
    int64_t curve;
    int level;              /* `count` of them: it is too old for any */
    int64_t at_ms;          /* where the interval begins */
    int64_t end_ms;         /* where what belongs to it ends */
    int64_t last_ms, found; /* the last one of the source, and how many there were */
    int64_t points;
    struct series_cell cells[DERIVED_FIELDS_MAX];
    bool unknown; /* a cell can't be read */
};

/* ---- Where it lies, and where it goes to ---- */

static void add_aging_source(struct aging_slice *slice, int64_t every_ms, int64_t to_ms, int level)
{
    slice->sources[slice->source_count++] = (struct aging_source){every_ms, to_ms, level};
}

static void find_sources(struct aging_slice *slice)
{
    const struct series_levels *levels = &slice->levels;
    add_aging_source(slice, 0, levels->points_ms, 0);
    for (int i = 0; i < levels->count; i++)
        add_aging_source(slice, levels->levels[i].every_ms, levels->levels[i].from_ms, i + 1);
    for (int i = 0; i < slice->lengths.count; i++) {
        int64_t every_ms = slice->lengths.lengths[i].every_ms;
        if (slice->lengths.lengths[i].level < 0)
            add_aging_source(slice, every_ms, INT64_MAX,
                             series_level_fitting(slice->declared, 0, every_ms));
    }
}

static void add_source_table(struct aging_slice *slice, const struct aging_source *source,
                             const char *curve)
{
    text_printf(&slice->sql, "fh_derived_%lld%s WHERE curve = %s", (long long)slice->number,
                source->every_ms ? "_rollup" : "", curve);
    if (source->every_ms)
        text_printf(&slice->sql, " AND every = %lld", (long long)source->every_ms);
}

/* Clears the text. */
static enum fh_code run_aging(struct aging_slice *slice, const struct sql_value *values, int count,
                              sql_visit *visit, void *context, int64_t *ret_changes)
{
    FH_ASSERT(!slice->sql.overflow);
    enum fh_code code = sql_run(slice->work, slice->sql.data, values, count, visit, context,
                                ret_changes, slice->error);
    text_clear(&slice->sql);
    return code;
}

static void add_measured(struct aging_slice *slice, const char *before)
{
    for (int i = 0; slice->declared->fields[i].name; i++) {
        if (!series_is_tag(&slice->declared->fields[i]))
            text_printf(&slice->sql, "%s%d", before, i);
    }
}

/* ---- A part of a source ---- */

static void begin_part(struct aging_part *part, int64_t at_ms)
{
    const struct series_levels *levels = &part->slice->levels;
    part->level = series_level_at(levels, part->source->level, at_ms);
    if (part->level == levels->count) {
        part->end_ms = levels->levels[levels->count - 1].from_ms;
        return;
    }
    int64_t every_ms = levels->levels[part->level].every_ms;
    part->at_ms = series_floor(at_ms, every_ms);
    part->end_ms = part->at_ms + every_ms;
}

/* Of the row: its time, its points, and the measured fields. */
static void add_row_to_part(struct aging_part *part, const struct sql_row *row)
{
    const struct fh_derived_field *fields = part->slice->declared->fields;
    part->points += row->values[1].integer;
    for (int i = 0, column = 2; fields[i].name; i++) {
        if (series_is_tag(&fields[i]))
            continue;
        const struct sql_value *value = &row->values[column++];
        struct series_cell cell;
        if (part->source->every_ms) {
            part->unknown |= !series_cell_read(value, fields[i].type, &cell);
            series_cell_merge(&part->cells[i], fields[i].type, &cell);
        } else if (value->kind != SQL_NULL) {
            series_cell_add(&part->cells[i], fields[i].type,
                            series_number_of(fields[i].type, value), row->values[0].integer, 0);
        }
    }
}

static bool take_aging_row(void *context, const struct sql_row *row)
{
    struct aging_part *part = context;
    int64_t at_ms = row->values[0].integer;
    if (part->found == 0)
        begin_part(part, at_ms);
    if (at_ms >= part->end_ms)
        return false;
    part->found++;
    part->last_ms = at_ms;
    if (part->level < part->slice->levels.count)
        add_row_to_part(part, row);
    return true;
}

static enum fh_code read_aging_part(struct aging_part *part)
{
    struct aging_slice *slice = part->slice;
    const struct sql_value values[] = {sql_integer(part->curve), sql_integer(part->source->to_ms),
                                       sql_integer(slice->room)};
    text_printf(&slice->sql, "SELECT at, %s", part->source->every_ms ? "points" : "1");
    add_measured(slice, ", v");
    text_add(&slice->sql, " FROM ");
    add_source_table(slice, part->source, "?1");
    text_add(&slice->sql, " AND at < ?2 ORDER BY at LIMIT ?3");
    return run_aging(slice, values, 3, take_aging_row, part, NULL);
}

/* ---- Its interval ---- */

static bool take_interval(void *context, const struct sql_row *row)
{
    struct aging_part *part = context;
    const struct fh_derived_field *fields = part->slice->declared->fields;
    part->points += row->values[0].integer;
    for (int i = 0, column = 1; fields[i].name; i++) {
        struct series_cell cell;
        if (series_is_tag(&fields[i]))
            continue;
        part->unknown |= !series_cell_read(&row->values[column++], fields[i].type, &cell);
        series_cell_merge(&part->cells[i], fields[i].type, &cell);
    }
    return false;
}

/* What is in it already is added to the part. */
static enum fh_code read_interval(struct aging_part *part)
{
    struct aging_slice *slice = part->slice;
    const struct sql_value values[] = {sql_integer(slice->levels.levels[part->level].every_ms),
                                       sql_integer(part->curve), sql_integer(part->at_ms)};
    text_add(&slice->sql, "SELECT points");
    add_measured(slice, ", v");
    text_printf(&slice->sql,
                " FROM fh_derived_%lld_rollup WHERE every = ?1 AND curve = ?2 AND at = ?3",
                (long long)slice->number);
    return run_aging(slice, values, 3, take_interval, part, NULL);
}

static enum fh_code write_aged_interval(struct aging_part *part)
{
    struct aging_slice *slice = part->slice;
    const struct fh_derived_field *fields = slice->declared->fields;
    unsigned char bytes[DERIVED_FIELDS_MAX][SERIES_CELL_SIZE];
    struct sql_value values[DERIVED_FIELDS_MAX + 4] = {
        sql_integer(slice->levels.levels[part->level].every_ms), sql_integer(part->curve),
        sql_integer(part->at_ms), sql_integer(part->points)};
    int count = 4;
    for (int i = 0; fields[i].name; i++) {
        if (series_is_tag(&fields[i]))
            continue;
        values[count] = (struct sql_value){.kind = SQL_NULL};
        if (part->cells[i].count) {
            series_cell_write(&part->cells[i], fields[i].type, bytes[i]);
            values[count] = (struct sql_value){
                .kind = SQL_BLOB, .text = (const char *)bytes[i], .length = SERIES_CELL_SIZE};
        }
        count++;
    }
    text_printf(&slice->sql,
                "INSERT OR REPLACE INTO fh_derived_%lld_rollup (every, curve, at, points",
                (long long)slice->number);
    add_measured(slice, ", v");
    text_add(&slice->sql, ") VALUES (?1, ?2, ?3, ?4");
    for (int i = 4; i < count; i++)
        text_printf(&slice->sql, ", ?%d", i + 1);
    text_add(&slice->sql, ")");
    slice->writes--;
    return run_aging(slice, values, count, NULL, NULL, NULL);
}

static enum fh_code remove_part(struct aging_part *part)
{
    struct aging_slice *slice = part->slice;
    const struct sql_value values[] = {sql_integer(part->curve), sql_integer(part->last_ms)};
    int64_t removed = 0;
    text_add(&slice->sql, "DELETE FROM ");
    add_source_table(slice, part->source, "?1");
    text_add(&slice->sql, " AND at <= ?2");
    enum fh_code code = run_aging(slice, values, 2, NULL, NULL, &removed);
    slice->room -= removed;
    return code;
}

/* From now on no point of an earlier time is taken, whatever the clock says. */
static enum fh_code begin_moving(struct aging_slice *slice)
{
    const struct series_levels *levels = &slice->levels;
    enum fh_code code = FH_OK;
    if (!slice->begun)
        code = series_rollups_set(slice->work, slice->number, 0, levels->points_ms, slice->error);
    for (int i = 0; i < levels->count && code == FH_OK && !slice->begun; i++)
        code = series_rollups_set(slice->work, slice->number, levels->levels[i].every_ms,
                                  levels->levels[i].to_ms, slice->error);
    slice->begun = true;
    return code;
}

static enum fh_code move_part(struct aging_part *part)
{
    enum fh_code code = begin_moving(part->slice);
    bool kept = part->level < part->slice->levels.count;
    if (code == FH_OK && kept)
        code = read_interval(part);
    if (code == FH_OK && part->unknown)
        code = series_cell_unknown(part->slice->declared, part->slice->error);
    if (code == FH_OK && kept)
        code = write_aged_interval(part);
    CRASH_POINT("series.rolled");
    return code == FH_OK ? remove_part(part) : code;
}

/* ---- A slice ---- */

static bool is_aging_full(const struct aging_slice *slice)
{
    return slice->room <= 0 || slice->writes <= 0;
}

static enum fh_code age_source(struct aging_slice *slice, const struct aging_source *source,
                               int64_t curve)
{
    enum fh_code code = FH_OK;
    bool more = true;
    while (code == FH_OK && more && !is_aging_full(slice)) {
        struct aging_part part = {.slice = slice, .source = source, .curve = curve};
        code = read_aging_part(&part);
        more = part.found > 0;
        if (code == FH_OK && more)
            code = move_part(&part);
    }
    return code;
}

static enum fh_code remove_curve(struct aging_slice *slice, int64_t curve)
{
    const struct sql_value value = sql_integer(curve);
    text_printf(&slice->sql, "DELETE FROM fh_derived_%lld_curve WHERE id = ?1",
                (long long)slice->number);
    for (int i = 0; i < slice->source_count; i++) {
        text_add(&slice->sql, " AND NOT EXISTS (SELECT 1 FROM ");
        add_source_table(slice, &slice->sources[i], "?1");
        text_add(&slice->sql, ")");
    }
    return run_aging(slice, &value, 1, NULL, NULL, NULL);
}

/* Goes on with the same curve next time where there was no room for all of it. */
static enum fh_code age_curve(struct aging_slice *slice, const struct aging_curve *curve)
{
    bool moved = false;
    enum fh_code code = FH_OK;
    for (int i = 0; i < slice->source_count && code == FH_OK && !is_aging_full(slice); i++) {
        if (!(curve->old >> i & 1))
            continue;
        code = age_source(slice, &slice->sources[i], curve->id);
        moved = true;
    }
    if (code == FH_OK && !is_aging_full(slice) && (moved || curve->empty))
        code = remove_curve(slice, curve->id);
    return code;
}

static bool take_aging_curve(void *context, const struct sql_row *row)
{
    struct aging_slice *slice = context;
    struct aging_curve *curve = &slice->curves[slice->count++];
    *curve = (struct aging_curve){.id = row->values[0].integer, .empty = true};
    for (int i = 0; i < slice->source_count; i++) {
        const struct sql_value *first = &row->values[1 + i];
        curve->empty &= first->kind == SQL_NULL;
        if (first->kind == SQL_INTEGER && first->integer < slice->sources[i].to_ms)
            curve->old |= 1u << i;
    }
    return slice->count < SERIES_TRIM_ROWS;
}

static enum fh_code look_at_aging_curves(struct aging_slice *slice, int64_t after)
{
    const struct sql_value value = sql_integer(after);
    text_add(&slice->sql, "SELECT c.id");
    for (int i = 0; i < slice->source_count; i++) {
        text_add(&slice->sql, ", (SELECT min(at) FROM ");
        add_source_table(slice, &slice->sources[i], "c.id");
        text_add(&slice->sql, ")");
    }
    text_printf(&slice->sql,
                " FROM fh_derived_%lld_curve AS c WHERE c.id > ?1 ORDER BY c.id LIMIT %d",
                (long long)slice->number, SERIES_TRIM_ROWS);
    return run_aging(slice, &value, 1, take_aging_curve, slice, NULL);
}

static enum fh_code age_curves(struct aging_slice *slice, struct series_trimming *at)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < slice->count && code == FH_OK; i++) {
        code = age_curve(slice, &slice->curves[i]);
        if (is_aging_full(slice))
            return code;
        at->curve = slice->curves[i].id;
    }
    at->done = slice->count < SERIES_TRIM_ROWS;
    return code;
}

static enum fh_code age_slice(struct aging_slice *slice, int64_t oldest_ms,
                              struct series_trimming *at)
{
    enum fh_code code = series_rollups_lengths(slice->work, slice->declared, slice->number,
                                               &slice->lengths, slice->error);
    if (code != FH_OK)
        return code;
    series_levels_init(&slice->levels, slice->declared, &slice->lengths, oldest_ms);
    find_sources(slice);
    text_init(&slice->sql, DERIVED_SQL_SIZE);
    code = look_at_aging_curves(slice, at->curve);
    if (code == FH_OK)
        code = age_curves(slice, at);
    text_release(&slice->sql);
    at->removed += SERIES_TRIM_ROWS - slice->room;
    return code;
}

/* What is moved goes where its time belongs at once, so that nothing has to be moved twice. */
enum fh_code series_age(struct store_work *work, const struct fh_derived *declared, int64_t number,
                        int64_t oldest_ms, struct series_trimming *at, struct fh_error *error)
{
    struct aging_slice *slice = malloc(sizeof *slice); /* large for a stack */
    if (!slice)
        return error_set(error, FH_NO_MEMORY, "There is no memory to trim a series.");
    *slice = (struct aging_slice){.work = work,
                                  .declared = declared,
                                  .number = number,
                                  .room = SERIES_TRIM_ROWS,
                                  .writes = SERIES_ROLLED_MAX,
                                  .error = error};
    enum fh_code code = age_slice(slice, oldest_ms, at);
    free(slice);
    return code;
}
