/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was tallied, as JSON. Of each curve of the answer its values are made first, one after the
 * other over all intervals, so that those without one can be filled from their neighbours.
 *
 * A quantile is the nearest rank: of n values in their order the one at n * percent / 100, rounded
 * up, so always one that was measured.
 */

#include "store/derived/series.h"

#include <math.h>
#include <stdlib.h>

#define SAFE_INTEGER ((int64_t)1 << 53)

enum series_kind { SERIES_NOTHING, SERIES_INTEGER, SERIES_REAL };

/* A value of the answer. */
struct series_result {
    enum series_kind kind;
    union series_number number;
};

struct series_answering {
    const struct series_tally *tally;
    struct series_result *results; /* of a group: all intervals of a value after each other */
    size_t point;                  /* of the tally's, without intervals: the next one */
    struct fh_error *error;
};

/* ---- One value ---- */

static struct series_result number_result(enum fh_type type, union series_number number)
{
    return (struct series_result){type == FH_INT ? SERIES_INTEGER : SERIES_REAL, number};
}

static struct series_result real_result(long double real)
{
    return (struct series_result){SERIES_REAL, {.real = (double)real}};
}

static struct series_result sum_of_cell(const struct series_cell *cell, enum fh_type type)
{
    if (type != FH_INT)
        return real_result(cell->sum.real);
    if (cell->sum.integer > INT64_MAX || cell->sum.integer < INT64_MIN)
        return real_result((long double)cell->sum.integer);
    return number_result(type, (union series_number){.integer = (int64_t)cell->sum.integer});
}

static struct series_result mean_of_cell(const struct series_cell *cell, enum fh_type type)
{
    long double sum = type == FH_INT ? (long double)cell->sum.integer : cell->sum.real;
    return real_result(sum / (long double)cell->count);
}

static struct series_result integer_result(int64_t integer)
{
    return number_result(FH_INT, (union series_number){.integer = integer});
}

static struct series_result value_of_interval(const struct series_tally *tally,
                                              const struct series_value *value, size_t interval)
{
    const struct series_question *question = tally->question;
    if (value->read < 0)
        return integer_result(tally->counts[interval]);
    size_t at = series_cell_at(tally, interval, value->read);
    const struct series_cell *cell = &tally->cells[at];
    enum fh_type type = question->declared->fields[question->reads[value->read]].type;
    if (value->function == SERIES_COUNT)
        return integer_result(cell->count);
    if (cell->count == 0)
        return (struct series_result){.kind = SERIES_NOTHING};
    switch (value->function) {
    case SERIES_MEAN:
        return mean_of_cell(cell, type);
    case SERIES_SUM:
        return sum_of_cell(cell, type);
    case SERIES_MIN:
        return number_result(type, cell->min);
    case SERIES_MAX:
        return number_result(type, cell->max);
    case SERIES_FIRST:
        return number_result(type, cell->first);
    case SERIES_LAST:
        return number_result(type, cell->last);
    case SERIES_QUANTILE:
        return number_result(
            type, series_tally_ranked(tally, at, (cell->count * value->percent + 99) / 100, type));
    case SERIES_COUNT:
    case SERIES_PLAIN:
        break;
    }
    return (struct series_result){.kind = SERIES_NOTHING};
}

/* ---- Intervals without a value ---- */

static long double real_of_result(const struct series_result *result)
{
    return result->kind == SERIES_INTEGER ? (long double)result->number.integer
                                          : (long double)result->number.real;
}

static void fill_between(struct series_result *results, int before, int after)
{
    long double from = real_of_result(&results[before]), to = real_of_result(&results[after]);
    for (int i = before + 1; i < after; i++) {
        long double part = (long double)(i - before) / (long double)(after - before);
        results[i] = real_result(from * (1 - part) + to * part);
    }
}

/* Before the first value, and for FH_LINEAR after the last one, there is nothing to fill from. */
static void fill_results(struct series_result *results, int count, enum fh_fill fill)
{
    int known = -1;
    for (int i = 0; i < count; i++) {
        if (results[i].kind == SERIES_NOTHING) {
            if (fill == FH_PREVIOUS && known >= 0)
                results[i] = results[known];
            continue;
        }
        if (fill == FH_LINEAR && known >= 0)
            fill_between(results, known, i);
        known = i;
    }
}

/* ---- As JSON ---- */

static json_t *json_of_integer(int64_t integer)
{
    if (integer <= SAFE_INTEGER && integer >= -SAFE_INTEGER)
        return json_integer(integer);
    return json_sprintf("%lld", (long long)integer);
}

static json_t *json_of_result(const struct series_result *result)
{
    switch (result->kind) {
    case SERIES_INTEGER:
        return json_of_integer(result->number.integer);
    case SERIES_REAL:
        return json_real(result->number.real);
    case SERIES_NOTHING:
        break;
    }
    return json_null();
}

static json_t *json_of_tag(const struct fh_derived_field *field, const struct sql_value *tag)
{
    if (tag->kind == SQL_TEXT)
        return json_stringn(tag->text, tag->length);
    return field->type == FH_BOOL ? json_boolean(tag->integer) : json_of_integer(tag->integer);
}

static json_t *json_of_measured(const struct fh_derived_field *field, const struct sql_value *value)
{
    if (value->kind == SQL_NULL)
        return json_null();
    return field->type == FH_INT ? json_of_integer(value->integer) : json_real(value->real);
}

/* ---- A curve ---- */

static enum fh_code make_results(struct series_answering *answering, int group)
{
    const struct series_question *question = answering->tally->question;
    for (int i = 0; i < question->value_count; i++) {
        struct series_result *results = &answering->results[i * question->intervals];
        for (int j = 0; j < question->intervals; j++) {
            size_t interval = series_interval_at(answering->tally, group, j);
            results[j] = value_of_interval(answering->tally, &question->values[i], interval);
            if (results[j].kind == SERIES_REAL && !isfinite(results[j].number.real))
                return derived_unfit(answering->error, "values",
                                     "\"%.64s\" is greater than a number can be.",
                                     question->series->values[i]);
        }
        fill_results(results, question->intervals, question->series->fill);
    }
    return FH_OK;
}

static enum fh_code add_intervals(struct series_answering *answering, int group, json_t *points)
{
    const struct series_question *question = answering->tally->question;
    enum fh_code code = make_results(answering, group);
    for (int j = 0; j < question->intervals && code == FH_OK; j++) {
        json_t *point = json_array();
        json_array_append_new(point,
                              json_integer(question->first_ms + j * question->series->every_ms));
        for (int i = 0; i < question->value_count; i++)
            json_array_append_new(point,
                                  json_of_result(&answering->results[i * question->intervals + j]));
        json_array_append_new(points, point);
    }
    return code;
}

/* The last ones of the group, which are in their order. */
static void add_points(struct series_answering *answering, int group, json_t *points)
{
    const struct series_tally *tally = answering->tally;
    const struct series_question *question = tally->question;
    size_t from = answering->point, end = from, limit = (size_t)question->limit;
    while (end < tally->point_count && tally->points[end].group == group)
        end++;
    answering->point = end;
    for (size_t at = end - from > limit ? end - limit : from; at < end; at++) {
        json_t *point = json_array();
        json_array_append_new(point, json_integer(tally->points[at].at_ms));
        for (int i = 0; i < question->value_count; i++) {
            int read = question->values[i].read;
            const struct fh_derived_field *field =
                &question->declared->fields[question->reads[read]];
            json_array_append_new(
                point, json_of_measured(
                           field, &tally->point_values[tally->points[at].values + (size_t)read]));
        }
        json_array_append_new(points, point);
    }
}

static enum fh_code add_curve(struct series_answering *answering, const struct series_curve *curve,
                              json_t *curves)
{
    const struct series_question *question = answering->tally->question;
    json_t *tags = json_object(), *points = json_array();
    enum fh_code code = FH_OK;
    for (int i = 0; i < question->by_count; i++) {
        const struct fh_derived_field *field = &question->declared->fields[question->by[i]];
        json_object_set_new(tags, field->name, json_of_tag(field, &curve->tags[question->by[i]]));
    }
    if (question->intervals)
        code = add_intervals(answering, curve->group, points);
    else
        add_points(answering, curve->group, points);
    json_array_append_new(curves, json_pack("{s:o, s:o}", "tags", tags, "points", points));
    return code;
}

static json_t *names_of_values(const struct series_question *question)
{
    json_t *names = json_array();
    for (int i = 0; i < question->value_count; i++)
        json_array_append_new(
            names, json_string(question->series->values
                                   ? question->series->values[i]
                                   : question->declared->fields[question->reads[i]].name));
    return names;
}

static enum fh_code add_curves(struct series_answering *answering, json_t *curves)
{
    const struct series_tally *tally = answering->tally;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < tally->curve_count && code == FH_OK; i++) {
        if (i == 0 || tally->curves[i]->group != tally->curves[i - 1]->group)
            code = add_curve(answering, tally->curves[i], curves);
    }
    return code;
}

enum fh_code series_answer(const struct series_tally *tally, json_t **ret, struct fh_error *error)
{
    const struct series_question *question = tally->question;
    struct series_answering answering = {.tally = tally, .error = error};
    *ret = NULL;
    if (question->intervals) {
        answering.results = calloc((size_t)question->intervals * (size_t)question->value_count,
                                   sizeof *answering.results);
        if (!answering.results)
            return error_set(error, FH_NO_MEMORY, "There is no memory for an answer.");
    }
    json_t *curves = json_array();
    enum fh_code code = add_curves(&answering, curves);
    free(answering.results);
    if (code == FH_OK)
        *ret = json_pack("{s:o, s:o}", "values", names_of_values(question), "curves", curves);
    else
        json_decref(curves);
    return code;
}
