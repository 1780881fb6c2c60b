/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was found for a question of a series, row by row: first the curves, then their points. It
 * knows no store: whoever reads the rows can do so anywhere.
 *
 * Curves are sorted by their tags, those that the answer is by first, so that the curves of one
 * group, which are one in the answer, are beside each other. With intervals, each field has a cell
 * for each interval of each group; what a quantile needs are the values themselves, which are
 * sorted once all are there. Without intervals points are kept, and sorted.
 */

#include "store/derived/series_rollup.h"

#include <stdlib.h>
#include <string.h>

#define SIGN (UINT64_C(1) << 63)
#define ROOM_MIN 64

static enum fh_code no_room(struct fh_error *error)
{
    return error_set(error, FH_NO_MEMORY, "There is no memory for an answer.");
}

/* Room for `more` rows behind `count` of them. NULL: there is none, and `rows` is as it was. */
static void *grow_rows(void *rows, size_t count, size_t more, size_t *room, size_t size)
{
    size_t wanted = *room ? *room : ROOM_MIN;
    if (count + more <= *room)
        return rows;
    while (wanted < count + more)
        wanted *= 2;
    rows = realloc(rows, wanted * size);
    *room = rows ? wanted : *room;
    return rows;
}

void series_tally_init(struct series_tally *tally, const struct series_question *question)
{
    *tally = (struct series_tally){.question = question};
}

void series_tally_release(struct series_tally *tally)
{
    for (size_t i = 0; i < tally->curve_count; i++)
        free(tally->curves[i]);
    free(tally->curves);
    free(tally->by_id);
    free(tally->counts);
    free(tally->cells);
    free(tally->samples);
    free(tally->points);
    free(tally->point_values);
}

/* ---- Curves ---- */

static int compare_groups(const struct series_curve *one, const struct series_curve *other)
{
    int order = 0;
    for (int i = 0; i < one->question->by_count && order == 0; i++) {
        int field = one->question->by[i];
        order = series_tag_compare(&one->tags[field], &other->tags[field]);
    }
    return order;
}

static int compare_curves(const void *one, const void *other)
{
    const struct series_curve *a = *(struct series_curve *const *)one;
    const struct series_curve *b = *(struct series_curve *const *)other;
    int order = compare_groups(a, b);
    for (int i = 0; a->question->declared->fields[i].name && order == 0; i++) {
        if (a->tags[i].kind != SQL_NULL)
            order = series_tag_compare(&a->tags[i], &b->tags[i]);
    }
    return order;
}

static int compare_curve_ids(const void *one, const void *other)
{
    int64_t a = (*(struct series_curve *const *)one)->id;
    int64_t b = (*(struct series_curve *const *)other)->id;
    return (a > b) - (a < b);
}

/* With its tags, and their texts behind them. NULL: there is no memory. */
static struct series_curve *curve_of_row(const struct series_question *question,
                                         const struct sql_row *row)
{
    const struct fh_derived_field *fields = question->declared->fields;
    size_t count = 0, size = 0;
    int column = 1;
    while (fields[count].name)
        count++;
    for (int i = 1; i < row->count; i++)
        size += row->values[i].length;
    struct series_curve *curve = calloc(1, sizeof *curve + count * sizeof *curve->tags + size);
    if (!curve)
        return NULL;
    char *text = (char *)&curve->tags[count];
    curve->question = question;
    curve->id = row->values[0].integer;
    for (size_t i = 0; i < count; i++) {
        if (!series_is_tag(&fields[i]))
            continue;
        curve->tags[i] = row->values[column++];
        if (curve->tags[i].kind != SQL_TEXT)
            continue;
        memcpy(text, curve->tags[i].text, curve->tags[i].length);
        curve->tags[i].text = text;
        text += curve->tags[i].length;
    }
    return curve;
}

static enum fh_code too_many_curves(struct fh_error *error)
{
    return derived_unfit(error, "tags",
                         "A question reads points of at most %d combinations of tags.",
                         SERIES_CURVES_MAX);
}

enum fh_code series_tally_curve(struct series_tally *tally, const struct sql_row *row,
                                struct fh_error *error)
{
    if (tally->curve_count - tally->past_count == SERIES_CURVES_MAX)
        return too_many_curves(error);
    void *curves =
        grow_rows(tally->curves, tally->curve_count, 1, &tally->curve_room, sizeof *tally->curves);
    if (!curves)
        return no_room(error);
    tally->curves = curves;
    struct series_curve *curve = curve_of_row(tally->question, row);
    if (!curve)
        return no_room(error);
    tally->curves[tally->curve_count++] = curve;
    return FH_OK;
}

/* ---- Groups ---- */

static enum fh_code check_answered(const struct series_tally *tally, struct fh_error *error)
{
    const struct series_question *question = tally->question;
    int64_t rows = question->intervals ? question->intervals : question->limit;
    int64_t values = question->value_count ? question->value_count : 1;
    long long answered = rows * values * tally->group_count;
    if (tally->group_count > SERIES_GROUPS_MAX)
        return derived_unfit(error, "tags", "A question is answered with at most %d curves.",
                             SERIES_GROUPS_MAX);
    if (answered <= SERIES_ANSWERED_MAX)
        return FH_OK;
    return derived_unfit(error, question->intervals ? "every_ms" : "limit",
                         "A question is answered with at most %d values: this one would have %lld, "
                         "in %d curves.",
                         SERIES_ANSWERED_MAX, answered, tally->group_count);
}

static enum fh_code make_cells(struct series_tally *tally, struct fh_error *error)
{
    size_t intervals = (size_t)tally->group_count * (size_t)tally->question->intervals;
    size_t reads = (size_t)tally->question->read_count;
    if (intervals == 0)
        return FH_OK;
    tally->counts = calloc(intervals, sizeof *tally->counts);
    if (reads)
        tally->cells = calloc(intervals * reads, sizeof *tally->cells);
    return tally->counts && (tally->cells || !reads) ? FH_OK : no_room(error);
}

enum fh_code series_tally_group(struct series_tally *tally, struct fh_error *error)
{
    if (tally->curve_count == 0)
        return FH_OK;
    qsort(tally->curves, tally->curve_count, sizeof(struct series_curve *), compare_curves);
    int place = -1; /* which those with the same tags share */
    for (size_t i = 0; i < tally->curve_count; i++) {
        if (i == 0 || compare_groups(tally->curves[i - 1], tally->curves[i]) != 0)
            tally->group_count++;
        if (i == 0 || compare_curves(&tally->curves[i - 1], &tally->curves[i]) != 0)
            place++;
        tally->curves[i]->group = tally->group_count - 1;
        tally->curves[i]->place = place;
    }
    enum fh_code code =
        place < SERIES_CURVES_MAX ? check_answered(tally, error) : too_many_curves(error);
    if (code != FH_OK)
        return code;
    tally->by_id = calloc(tally->curve_count, sizeof(struct series_curve *));
    if (!tally->by_id)
        return no_room(error);
    memcpy(tally->by_id, tally->curves, tally->curve_count * sizeof(struct series_curve *));
    qsort(tally->by_id, tally->curve_count, sizeof(struct series_curve *), compare_curve_ids);
    return make_cells(tally, error);
}

/* ---- Points ---- */

/* NULL: it is none of them. */
static const struct series_curve *curve_with_id(struct series_tally *tally, int64_t id)
{
    struct series_curve wanted = {.id = id}, *key = &wanted;
    if (tally->at && tally->at->id == id)
        return tally->at;
    if (tally->curve_count == 0)
        return NULL;
    struct series_curve *const *found = bsearch(&key, tally->by_id, tally->curve_count,
                                                sizeof(struct series_curve *), compare_curve_ids);
    tally->at = found ? *found : NULL;
    return tally->at;
}

const struct series_curve *series_tally_known(struct series_tally *tally, int64_t id)
{
    return curve_with_id(tally, id);
}

static uint64_t order_of(enum fh_type type, union series_number number)
{
    uint64_t bits;
    if (type == FH_INT)
        return (uint64_t)number.integer ^ SIGN;
    memcpy(&bits, &number.real, sizeof bits);
    return bits & SIGN ? ~bits : bits | SIGN;
}

static union series_number number_of_order(enum fh_type type, uint64_t order)
{
    union series_number number;
    if (type == FH_INT)
        return (union series_number){.integer = (int64_t)(order ^ SIGN)};
    uint64_t bits = order & SIGN ? order ^ SIGN : ~order;
    memcpy(&number.real, &bits, sizeof bits);
    return number;
}

static enum fh_code add_sample(struct series_tally *tally, size_t cell, uint64_t order,
                               struct fh_error *error)
{
    if (tally->sample_count == SERIES_FOUND_MAX)
        return derived_unfit(error, "tags", "Quantiles are of at most %d values.",
                             SERIES_FOUND_MAX);
    void *samples = grow_rows(tally->samples, tally->sample_count, 1, &tally->sample_room,
                              sizeof *tally->samples);
    if (!samples)
        return no_room(error);
    tally->samples = samples;
    tally->samples[tally->sample_count++] = (struct series_sample){cell, order};
    return FH_OK;
}

/* A server may answer with any time. */
static enum fh_code interval_place(const struct series_tally *tally,
                                   const struct series_curve *curve, int64_t at_ms, size_t *ret,
                                   struct fh_error *error)
{
    const struct series_question *question = tally->question;
    int64_t since_ms, every_ms = question->series->every_ms;
    if (__builtin_sub_overflow(at_ms, question->first_ms, &since_ms) || since_ms < 0 ||
        since_ms / every_ms >= question->intervals)
        return error_set(error, FH_UNAVAILABLE,
                         "The answer has a point of another time than was asked for.");
    *ret = series_interval_at(tally, curve->group, (int)(since_ms / every_ms));
    return FH_OK;
}

static enum fh_code add_to_interval(struct series_tally *tally, const struct series_curve *curve,
                                    const struct sql_row *row, struct fh_error *error)
{
    const struct series_question *question = tally->question;
    int64_t at_ms = row->values[1].integer;
    size_t place = 0;
    enum fh_code code = interval_place(tally, curve, at_ms, &place, error);
    if (code != FH_OK)
        return code;
    tally->counts[place]++;
    for (int i = 0; i < question->read_count && code == FH_OK; i++) {
        const struct sql_value *value = &row->values[2 + i];
        enum fh_type type = question->declared->fields[question->reads[i]].type;
        size_t cell = series_cell_at(tally, place, i);
        if (value->kind == SQL_NULL)
            continue;
        union series_number number = series_number_of(type, value);
        series_cell_add(&tally->cells[cell], type, number, at_ms, curve->place);
        if (question->sampled[i])
            code = add_sample(tally, cell, order_of(type, number), error);
    }
    return code;
}

static enum fh_code add_point(struct series_tally *tally, const struct series_curve *curve,
                              const struct sql_row *row, struct fh_error *error)
{
    size_t reads = (size_t)tally->question->read_count;
    if (tally->point_value_count + reads > SERIES_VALUES_FOUND_MAX)
        return derived_unfit(error, "limit",
                             "A question keeps at most %d values of points: expected a smaller "
                             "limit, fewer values or fewer tags.",
                             SERIES_VALUES_FOUND_MAX);
    void *points =
        grow_rows(tally->points, tally->point_count, 1, &tally->point_room, sizeof *tally->points);
    if (!points)
        return no_room(error);
    tally->points = points;
    void *values = grow_rows(tally->point_values, tally->point_value_count, reads + 1,
                             &tally->point_value_room, sizeof *tally->point_values);
    if (!values)
        return no_room(error);
    tally->point_values = values;
    tally->points[tally->point_count++] = (struct series_point){
        row->values[1].integer, curve->group, curve->place, tally->point_value_count};
    for (size_t i = 0; i < reads; i++)
        tally->point_values[tally->point_value_count++] = row->values[2 + i];
    return FH_OK;
}

static enum fh_code too_many_points(struct fh_error *error)
{
    return derived_unfit(error, "tags",
                         "A question reads at most %d points: expected fewer tags, or a shorter "
                         "time.",
                         SERIES_FOUND_MAX);
}

enum fh_code series_tally_more(struct series_tally *tally, int64_t count, struct fh_error *error)
{
    tally->found += count;
    return tally->found > SERIES_FOUND_MAX ? too_many_points(error) : FH_OK;
}

enum fh_code series_tally_point(struct series_tally *tally, const struct sql_row *row,
                                struct fh_error *error)
{
    const struct series_curve *curve = curve_with_id(tally, row->values[0].integer);
    if (!curve)
        return FH_OK;
    if (++tally->found > SERIES_FOUND_MAX)
        return too_many_points(error);
    return tally->question->intervals ? add_to_interval(tally, curve, row, error)
                                      : add_point(tally, curve, row, error);
}

/* The values of the row behind the first three are its cells. */
enum fh_code series_tally_rollup(struct series_tally *tally, const struct sql_row *row,
                                 struct fh_error *error)
{
    const struct series_question *question = tally->question;
    const struct series_curve *curve = curve_with_id(tally, row->values[0].integer);
    if (!curve)
        return FH_OK;
    if (++tally->found > SERIES_FOUND_MAX)
        return too_many_points(error);
    size_t place = 0;
    enum fh_code code = interval_place(tally, curve, row->values[1].integer, &place, error);
    if (code != FH_OK)
        return code;
    tally->counts[place] += row->values[2].integer;
    for (int i = 0; i < question->read_count; i++) {
        enum fh_type type = question->declared->fields[question->reads[i]].type;
        struct series_cell cell;
        if (!series_cell_read(&row->values[3 + i], type, &cell))
            return series_cell_unknown(question->declared, error);
        cell.first_curve = cell.last_curve = curve->place;
        series_cell_merge(&tally->cells[series_cell_at(tally, place, i)], type, &cell);
    }
    return FH_OK;
}

/* ---- After the last one ---- */

static int compare_samples(const void *one, const void *other)
{
    const struct series_sample *a = one, *b = other;
    if (a->cell != b->cell)
        return a->cell < b->cell ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static int compare_points(const void *one, const void *other)
{
    const struct series_point *a = one, *b = other;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return (a->curve > b->curve) - (a->curve < b->curve);
}

void series_tally_sort(struct series_tally *tally)
{
    if (tally->sample_count)
        qsort(tally->samples, tally->sample_count, sizeof *tally->samples, compare_samples);
    if (tally->point_count)
        qsort(tally->points, tally->point_count, sizeof *tally->points, compare_points);
}

union series_number series_tally_ranked(const struct series_tally *tally, size_t cell, int64_t rank,
                                        enum fh_type type)
{
    size_t low = 0, high = tally->sample_count;
    while (low < high) { /* the first sample of the cell */
        size_t middle = low + (high - low) / 2;
        if (tally->samples[middle].cell < cell)
            low = middle + 1;
        else
            high = middle;
    }
    return number_of_order(type, tally->samples[low + (size_t)rank - 1].order);
}
