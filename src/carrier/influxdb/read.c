/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The points of an answer. Rows are curve by curve, and of a curve in the order of time, in either
 * direction; all versions of a point are of one millisecond, so they are beside each other, and the
 * one of the highest position stands; where they have lives, of the latest life's. What is not
 * whole is being written, and not there yet.
 *
 * Where the last points of each curve are asked for, an answer has a number of rows of each, the
 * last ones. If it has so many, more versions of its last point may follow, and more points: so
 * that point does not count, and if the others are too few, more rows have to be asked for.
 */

#include <string.h>

#include "carrier/influxdb/internal.h"

static bool wants_more(const struct influxdb_points *points)
{
    return points->question->intervals || points->emitted < points->question->limit;
}

/* What is held is a point. */
static bool emit_point(struct influxdb_points *points)
{
    points->holds = false;
    if (!wants_more(points))
        return true;
    points->emitted++;
    if (!points->tally)
        return true;
    struct sql_row row = {.count = 2 + points->question->read_count, .values = points->values};
    points->code = series_tally_point(points->tally, &row, points->error);
    return points->code == FH_OK;
}

static bool end_curve(struct influxdb_points *points)
{
    bool whole = !points->rows_max || points->rows < points->rows_max;
    bool taken = true;
    if (points->holds && whole)
        taken = emit_point(points);
    points->lacking |= points->curve && !whole && wants_more(points);
    points->holds = false;
    points->rows = points->emitted = 0;
    return taken;
}

bool influxdb_points_series(void *context, const struct influxdb_rows *rows)
{
    struct influxdb_points *points = context;
    struct influxdb_curve *curve = influxdb_curves_find(points->curves, rows);
    if (curve && curve == points->curve) /* it goes on in another chunk */
        return true;
    bool taken = end_curve(points);
    points->curve = curve;
    return taken;
}

/* Whether it has what it should (line.c). */
static bool is_whole_row(const struct influxdb_points *points, const struct influxdb_rows *rows)
{
    const struct series_question *question = points->question;
    int64_t has = INT64_MAX;
    const struct influxdb_cell *mask = &rows->cells[2 + question->read_count];
    if (mask->kind != INFLUXDB_NULL && !influxdb_cell_integer(mask, &has))
        return false;
    for (int i = 0; i < question->read_count; i++) {
        bool there = rows->cells[2 + i].kind != INFLUXDB_NULL;
        if (there != (has >> question->reads[i] & 1))
            return false;
    }
    return rows->cells[1].kind != INFLUXDB_NULL;
}

static bool read_values(struct influxdb_points *points, const struct influxdb_rows *rows)
{
    const struct series_question *question = points->question;
    for (int i = 0; i < question->read_count; i++) {
        const struct influxdb_cell *cell = &rows->cells[2 + i];
        struct sql_value *value = &points->values[2 + i];
        *value = (struct sql_value){.kind = SQL_NULL};
        if (cell->kind == INFLUXDB_NULL)
            continue;
        bool integer = question->declared->fields[question->reads[i]].type == FH_INT;
        value->kind = integer ? SQL_INTEGER : SQL_REAL;
        if (!(integer ? influxdb_cell_integer(cell, &value->integer)
                      : influxdb_cell_real(cell, &value->real)))
            return false;
    }
    return true;
}

/* < 0: the version of this row is older than the one that is held. */
static int compare_with_held(const struct influxdb_points *points, const char *life,
                             int64_t position)
{
    int order = strcmp(life, points->life);
    return order ? order : (position > points->position) - (position < points->position);
}

bool influxdb_points_row(void *context, const struct influxdb_rows *rows)
{
    struct influxdb_points *points = context;
    int64_t at_ns, position;
    char life[ID_SIZE] = "";
    int columns = 3 + points->question->read_count + points->kept;
    if (!points->curve) /* of tags that came after the curves had been asked for */
        return true;
    if (rows->column_count != columns)
        return false;
    points->rows++;
    if (!is_whole_row(points, rows))
        return true;
    if (!influxdb_cell_integer(&rows->cells[0], &at_ns) ||
        !influxdb_cell_integer(&rows->cells[1], &position) ||
        (points->kept && !influxdb_cell_copy(&rows->cells[columns - 1], life, ID_SIZE)))
        return false;
    int64_t at_ms = series_floor(at_ns, INFLUXDB_MS) / INFLUXDB_MS;
    if (points->holds && at_ms == points->at_ms && compare_with_held(points, life, position) < 0)
        return true;
    if (points->holds && at_ms != points->at_ms && !emit_point(points))
        return false;
    points->holds = true;
    points->at_ms = at_ms;
    points->position = position;
    memcpy(points->life, life, ID_SIZE);
    points->values[0] = sql_integer(points->curve->id);
    points->values[1] = sql_integer(at_ms);
    return read_values(points, rows);
}

bool influxdb_points_end(struct influxdb_points *points)
{
    bool taken = end_curve(points);
    points->curve = NULL;
    return taken;
}
