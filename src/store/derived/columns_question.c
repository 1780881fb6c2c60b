/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question of columns. What the service writes of it, names and functions, is the service's fault
 * where it is wrong; times, the length of an interval, the limit, the values of a filter and the
 * bounds of `having` may be a client's.
 */

#include <stdio.h>

#include "store/derived/columns.h"

/* ---- Its times, and its limit ---- */

static enum fh_code take_columns_times(struct columns_question *question, struct fh_error *error)
{
    const struct fh_columns *columns = question->columns;
    bool whenever = !columns->from_ms && !columns->to_ms;
    if (series_times_check("fact", columns->from_ms, columns->to_ms, columns->every_ms, error) !=
        FH_OK)
        return error->code;
    if (!whenever && columns->from_ms >= columns->to_ms)
        return derived_unfit(error, "to_ms", "`to_ms` must be after `from_ms`.");
    question->from_ms = whenever ? -SERIES_AT_MS_MAX : columns->from_ms;
    question->to_ms = whenever ? SERIES_AT_MS_MAX + 1 : columns->to_ms;
    question->every_ms = columns->every_ms;
    question->limit = columns->limit ? columns->limit : COLUMNS_LIMIT;
    if (question->limit < 1 || question->limit > COLUMNS_LIMIT_MAX)
        return derived_unfit(error, "limit", "`limit` must be from 1 to %d.", COLUMNS_LIMIT_MAX);
    return FH_OK;
}

/* ---- Its fields ---- */

static enum fh_code has_no_tag(const struct columns_question *question, const char *name,
                               struct fh_error *error)
{
    return error_set(error, FH_INVALID, "The columns %s have no field \"%.64s\" that is FH_TAG.",
                     question->declared->name, name);
}

/* The place of the field among those that are read, which it joins. */
static int read_asked_column(struct columns_question *question, int field)
{
    int place = 0;
    while (place < question->read_count && question->reads[place] != field)
        place++;
    if (place == question->read_count)
        question->reads[question->read_count++] = field;
    return place;
}

/* They are read first, each in its place. */
static enum fh_code take_columns_by(struct columns_question *question, struct fh_error *error)
{
    const char *const *by = question->columns->by;
    for (int i = 0; by && by[i]; i++) {
        int field = series_tag_at(question->declared, by[i]);
        if (field < 0)
            return has_no_tag(question, by[i], error);
        if (read_asked_column(question, field) != i)
            return error_set(error, FH_INVALID, "A question names \"%.64s\" twice in `by`.", by[i]);
        question->by[question->by_count++] = field;
    }
    return FH_OK;
}

static bool take_columns_function(const char *name, size_t length, struct columns_value *ret)
{
    static const struct {
        const char *name;
        enum columns_function function;
    } functions[] = {{"count", COLUMNS_COUNT}, {"sum", COLUMNS_SUM}, {"mean", COLUMNS_MEAN},
                     {"min", COLUMNS_MIN},     {"max", COLUMNS_MAX}, {"uniq", COLUMNS_UNIQ}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strlen(functions[i].name) != length || memcmp(functions[i].name, name, length) != 0)
            continue;
        *ret = (struct columns_value){.function = functions[i].function, .read = -1};
        return true;
    }
    return false;
}

/* "sum c", or "count" */
static enum fh_code take_columns_value(struct columns_question *question, const char *written,
                                       struct fh_error *error)
{
    struct columns_value *value = &question->values[question->value_count];
    size_t length = strcspn(written, " ");
    const char *name = written[length] ? written + length + 1 : NULL;
    if (question->value_count == SERIES_VALUES_MAX)
        return error_set(error, FH_INVALID, "A question has more than %d values.",
                         SERIES_VALUES_MAX);
    if (!take_columns_function(written, length, value))
        return error_set(error, FH_INVALID,
                         "A question of %s has the value \"%.64s\": expected sum, mean, min, max, "
                         "count or uniq, and a field.",
                         question->declared->name, written);
    question->value_count++;
    if (!name && value->function == COLUMNS_COUNT)
        return FH_OK;
    int field = name ? series_field_at(question->declared, name) : -1;
    bool counts = value->function == COLUMNS_UNIQ || value->function == COLUMNS_COUNT;
    if (field < 0 || (!counts && series_is_tag(&question->declared->fields[field])))
        return error_set(error, FH_INVALID, "The columns %s have no %sfield \"%.64s\".",
                         question->declared->name, counts ? "" : "measured ", name ? name : "");
    value->read = read_asked_column(question, field);
    value->uniq = value->function == COLUMNS_UNIQ ? question->uniq_count++ : -1;
    return FH_OK;
}

static enum fh_code take_columns_values(struct columns_question *question, struct fh_error *error)
{
    const char *const *values = question->columns->values;
    enum fh_code code = FH_OK;
    for (int i = 0; values && values[i] && code == FH_OK; i++)
        code = take_columns_value(question, values[i], error);
    if (code == FH_OK && !question->value_count)
        code = error_set(error, FH_INVALID, "A question of columns names no `values`.");
    return code;
}

/* ---- Its filter ---- */

static enum fh_code take_columns_filter_value(struct columns_question *question,
                                              struct columns_filter *filter, const json_t *value,
                                              struct fh_error *error)
{
    const struct fh_derived_field *field = &question->declared->fields[filter->field];
    if (question->filter_value_count == COLUMNS_FILTER_VALUES_MAX)
        return derived_unfit(error, field->name, "A question filters by at most %d values.",
                             COLUMNS_FILTER_VALUES_MAX);
    if (!series_tag_value(field, value, &question->filter_values[question->filter_value_count]))
        return derived_unfit(error, field->name, "A filter's value must be of the field's type.");
    question->filter_value_count++;
    filter->count++;
    return derived_word_check(field, value, error);
}

static enum fh_code take_columns_filter(struct columns_question *question, struct fh_error *error)
{
    json_t *given = question->columns->filter, *value, *one;
    const char *name;
    size_t i;
    if (given && !json_is_object(given))
        return error_set(error, FH_INVALID, "The filter of a question is not an object.");
    json_object_foreach (given, name, value) {
        int field = series_tag_at(question->declared, name);
        if (field < 0)
            return has_no_tag(question, name, error);
        struct columns_filter *filter = &question->filters[question->filter_count++];
        enum fh_code code = FH_OK;
        *filter = (struct columns_filter){.field = field, .first = question->filter_value_count};
        if (!json_is_array(value))
            code = take_columns_filter_value(question, filter, value, error);
        json_array_foreach (value, i, one) {
            if (code == FH_OK)
                code = take_columns_filter_value(question, filter, one, error);
        }
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

/* ---- What becomes of its rows ---- */

/* -1: no value is written so. */
static int columns_value_called(const struct columns_question *question, const char *written)
{
    for (int i = 0; i < question->value_count; i++) {
        if (strcmp(question->columns->values[i], written) == 0)
            return i;
    }
    return -1;
}

/* An integer, or a text of digits, is taken whole: sums of them are compared with it. */
static enum fh_code take_bound(const json_t *bounds, const char *name, bool *ret_has,
                               long double *ret, struct fh_error *error)
{
    const json_t *bound = json_object_get(bounds, name);
    int64_t integer;
    *ret_has = bound != NULL;
    *ret = 0;
    if (series_integer(bound, &integer))
        *ret = (long double)integer;
    else if (json_is_real(bound))
        *ret = (long double)json_real_value(bound);
    else if (bound)
        return derived_unfit(error, "having", "\"%s\" of `having` must be a number.", name);
    return FH_OK;
}

static enum fh_code take_having(struct columns_question *question, struct fh_error *error)
{
    json_t *having = question->columns->having, *bounds;
    const char *written;
    if (having && !json_is_object(having))
        return error_set(error, FH_INVALID, "The `having` of a question is not an object.");
    json_object_foreach (having, written, bounds) {
        int at = columns_value_called(question, written);
        size_t known =
            (json_object_get(bounds, "min") ? 1U : 0) + (json_object_get(bounds, "max") ? 1U : 0);
        if (at < 0 || !json_is_object(bounds) || json_object_size(bounds) != known)
            return error_set(error, FH_INVALID,
                             "`having` of a question has \"%.64s\": expected one of its `values`, "
                             "with {\"min\", \"max\"}.",
                             written);
        struct columns_value *value = &question->values[at];
        enum fh_code code = take_bound(bounds, "min", &value->has_min, &value->min, error);
        if (code == FH_OK)
            code = take_bound(bounds, "max", &value->has_max, &value->max, error);
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

/* Columns of the answer are the time, those of `by`, and the values. */
static enum fh_code take_columns_sort(struct columns_question *question, struct fh_error *error)
{
    const char *sort = question->columns->sort;
    int keys = columns_keys(question), timed = keys - question->by_count;
    question->sort = -1;
    if (!sort)
        return FH_OK;
    if (timed && strcmp(sort, "at_ms") == 0)
        question->sort = 0;
    for (int i = 0; i < question->by_count; i++) {
        if (strcmp(question->columns->by[i], sort) == 0)
            question->sort = timed + i;
    }
    int value = columns_value_called(question, sort);
    if (value >= 0)
        question->sort = keys + value;
    if (question->sort >= 0)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "A question sorts by \"%.64s\": expected one of its `values` or `by`.", sort);
}

/* ---- All of it ---- */

enum fh_code columns_question_init(struct columns_question *question,
                                   const struct fh_derived *declared,
                                   const struct fh_columns *columns, int64_t oldest_ms,
                                   struct fh_error *error)
{
    static enum fh_code (*const takes[])(struct columns_question *, struct fh_error *) = {
        take_columns_times,  take_columns_by, take_columns_values,
        take_columns_filter, take_having,     take_columns_sort};
    enum fh_code code = FH_OK;
    *question = (struct columns_question){.declared = declared, .columns = columns};
    for (size_t i = 0; i < sizeof takes / sizeof *takes && code == FH_OK; i++)
        code = takes[i](question, error);
    if (question->from_ms < oldest_ms)
        question->from_ms = oldest_ms;
    return code;
}

enum fh_code columns_asked_check(const struct fh_derived *declared,
                                 const struct fh_columns *columns, int64_t oldest_ms,
                                 struct fh_error *error)
{
    struct columns_question question;
    return columns_question_init(&question, declared, columns, oldest_ms, error);
}
