/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question of a series. What the service writes of it, names and functions, is the service's
 * fault where it is wrong; times, the length of an interval, the limit and the values of tags may
 * be a client's.
 *
 * Intervals begin at the multiples of their length, also before 1970: a curve that is asked for
 * again a little later has the same ones. Of the first and the last only what is asked for counts.
 */

#include <stdio.h>

#include "store/derived/series.h"

#define FUNCTION_SIZE 16

/* ---- Its times ---- */

static enum fh_code take_times(struct series_question *question, struct fh_error *error)
{
    const struct fh_series *series = question->series;
    if (series_times_check("point", series->from_ms, series->to_ms, series->every_ms, error) !=
        FH_OK)
        return error->code;
    question->from_ms = series->from_ms;
    question->to_ms = series->to_ms;
    if (!series->every_ms && !series->from_ms && !series->to_ms) {
        question->from_ms = -SERIES_AT_MS_MAX;
        question->to_ms = SERIES_AT_MS_MAX + 1;
    } else if (series->from_ms >= series->to_ms) {
        return derived_unfit(error, "to_ms", "`to_ms` must be after `from_ms`.");
    }
    if (!series->every_ms)
        return FH_OK;
    question->first_ms = series_floor(question->from_ms, series->every_ms);
    int64_t intervals = (question->to_ms - 1 - question->first_ms) / series->every_ms + 1;
    if (intervals > SERIES_ANSWERED_MAX)
        return derived_unfit(error, "every_ms",
                             "A question is answered with at most %d values: expected longer "
                             "intervals, or a shorter time.",
                             SERIES_ANSWERED_MAX);
    question->intervals = (int)intervals;
    return FH_OK;
}

/* The service asks for what only intervals have, so that they have no length may be a client's. */
static enum fh_code needs_intervals(struct fh_error *error)
{
    return derived_unfit(error, "every_ms", "`every_ms` must be positive in this question.");
}

static enum fh_code take_series_limit(struct series_question *question, struct fh_error *error)
{
    const struct fh_series *series = question->series;
    question->limit = series->limit ? series->limit : 1;
    if (series->every_ms && series->limit)
        return derived_unfit(error, "limit", "A question by intervals has no `limit`.");
    if (!series->every_ms && series->fill != FH_GAPS)
        return needs_intervals(error);
    if (series->fill != FH_GAPS && series->fill != FH_PREVIOUS && series->fill != FH_LINEAR)
        return error_set(error, FH_INVALID, "A question has the unknown `fill` %d.",
                         (int)series->fill);
    if (question->limit < 1 || question->limit > SERIES_LIMIT_MAX)
        return derived_unfit(error, "limit", "`limit` must be from 1 to %d.", SERIES_LIMIT_MAX);
    return FH_OK;
}

/* ---- Its values ---- */

/* -1: there is no such field that is measured. */
static int measured_field(const struct fh_derived *declared, const char *name)
{
    int field = series_field_at(declared, name);
    return field >= 0 && !series_is_tag(&declared->fields[field]) ? field : -1;
}

static bool take_function(const char *name, struct series_value *ret)
{
    static const struct {
        const char *name;
        enum series_function function;
        int percent;
    } functions[] = {{"count", SERIES_COUNT, 0},   {"mean", SERIES_MEAN, 0},
                     {"sum", SERIES_SUM, 0},       {"min", SERIES_MIN, 0},
                     {"max", SERIES_MAX, 0},       {"first", SERIES_FIRST, 0},
                     {"last", SERIES_LAST, 0},     {"p50", SERIES_QUANTILE, 50},
                     {"p95", SERIES_QUANTILE, 95}, {"p99", SERIES_QUANTILE, 99}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(functions[i].name, name) != 0)
            continue;
        *ret = (struct series_value){functions[i].function, functions[i].percent, -1};
        return true;
    }
    return false;
}

/* The place of the field among those that are read, which it joins. */
static int read_field(struct series_question *question, int field)
{
    int place = 0;
    while (place < question->read_count && question->reads[place] != field)
        place++;
    if (place == question->read_count)
        question->reads[question->read_count++] = field;
    return place;
}

/* "mean c", or "count"; without intervals "c". */
static enum fh_code take_asked_value(struct series_question *question, const char *written,
                                     struct fh_error *error)
{
    struct series_value *value = &question->values[question->value_count];
    char function[FUNCTION_SIZE];
    size_t length = strcspn(written, " ");
    const char *field = written[length] ? written + length + 1 : NULL;
    snprintf(function, sizeof function, "%.*s", (int)length, written);
    if (question->value_count == SERIES_VALUES_MAX)
        return error_set(error, FH_INVALID, "A question has more than %d values.",
                         SERIES_VALUES_MAX);
    if (!question->series->every_ms) {
        if (length < sizeof function && take_function(function, value) &&
            measured_field(question->declared, written) < 0)
            return needs_intervals(error);
        *value = (struct series_value){.function = SERIES_PLAIN};
        field = written;
    } else if (length >= sizeof function || !take_function(function, value)) {
        return error_set(error, FH_INVALID,
                         "A question of %s has the value \"%.64s\": expected mean, sum, min, max, "
                         "first, last, count, p50, p95 or p99, and a field.",
                         question->declared->name, written);
    }
    if (field || value->function != SERIES_COUNT) {
        int index = field ? measured_field(question->declared, field) : -1;
        if (index < 0)
            return error_set(error, FH_INVALID, "The series %s has no measured field \"%.64s\".",
                             question->declared->name, field ? field : "");
        value->read = read_field(question, index);
        question->sampled[value->read] |= value->function == SERIES_QUANTILE;
    }
    question->value_count++;
    return FH_OK;
}

static enum fh_code take_asked_values(struct series_question *question, struct fh_error *error)
{
    const struct fh_derived_field *fields = question->declared->fields;
    const char *const *values = question->series->values;
    enum fh_code code = FH_OK;
    for (int i = 0; values && values[i] && code == FH_OK; i++)
        code = take_asked_value(question, values[i], error);
    for (int i = 0; !values && !question->series->every_ms && fields[i].name && code == FH_OK;
         i++) {
        if (!series_is_tag(&fields[i]))
            code = take_asked_value(question, fields[i].name, error);
    }
    if (code == FH_OK && question->series->every_ms && !question->value_count)
        code = error_set(error, FH_INVALID, "A question by intervals names no `values`.");
    return code;
}

/* ---- Its tags ---- */

static enum fh_code no_such_tag(const struct series_question *question, const char *name,
                                struct fh_error *error)
{
    return error_set(error, FH_INVALID, "The series %s has no field \"%.64s\" that is FH_TAG.",
                     question->declared->name, name);
}

static enum fh_code take_by(struct series_question *question, struct fh_error *error)
{
    const char *const *by = question->series->by;
    for (int i = 0; by && by[i]; i++) {
        int field = series_tag_at(question->declared, by[i]);
        if (field < 0)
            return no_such_tag(question, by[i], error);
        for (int j = 0; j < i; j++) {
            if (question->by[j] == field)
                return error_set(error, FH_INVALID, "A question names \"%.64s\" twice in `by`.",
                                 by[i]);
        }
        question->by[question->by_count++] = field;
    }
    return FH_OK;
}

static enum fh_code take_tags(struct series_question *question, struct fh_error *error)
{
    json_t *tags = question->series->tags, *value;
    const char *name;
    if (tags && !json_is_object(tags))
        return error_set(error, FH_INVALID, "The tags of a question are not an object.");
    json_object_foreach (tags, name, value) {
        int field = series_tag_at(question->declared, name), at = question->filter_count;
        if (field < 0)
            return no_such_tag(question, name, error);
        if (!series_tag_value(&question->declared->fields[field], value,
                              &question->filter_values[at]))
            return derived_unfit(error, name, "A tag's value must be of the field's type.");
        if (derived_word_check(&question->declared->fields[field], value, error) != FH_OK)
            return FH_INVALID;
        question->filters[question->filter_count++] = field;
    }
    return FH_OK;
}

/* ---- All of it ---- */

enum fh_code series_question_init(struct series_question *question,
                                  const struct fh_derived *declared, const struct fh_series *series,
                                  int64_t oldest_ms, struct fh_error *error)
{
    *question = (struct series_question){.declared = declared, .series = series};
    enum fh_code code = take_times(question, error);
    if (code == FH_OK)
        code = take_series_limit(question, error);
    if (code == FH_OK)
        code = take_asked_values(question, error);
    if (code == FH_OK)
        code = take_by(question, error);
    if (code == FH_OK)
        code = take_tags(question, error);
    if (question->from_ms < oldest_ms && series_rollup_count(declared) == 0)
        question->from_ms = oldest_ms;
    question->points_ms = question->from_ms;
    return code;
}

enum fh_code series_asked_check(const struct fh_derived *declared, const struct fh_series *series,
                                int64_t oldest_ms, struct fh_error *error)
{
    struct series_question question;
    return series_question_init(&question, declared, series, oldest_ms, error);
}
