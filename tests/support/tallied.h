/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TALLIED_H
#define TESTS_TALLIED_H

/*
 * What a question of points or facts is to be answered with, of a list of them: by the code that
 * answers for services' own stores, without a store. For the server in memory, and to judge others.
 * Header only.
 */

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "store/derived/columns.h"
#include "store/derived/series_past.h"

/* Each is there once. */
struct tallied_fact {
    int64_t at_ms;
    const json_t *value;
    int curve; /* its own */
};

static inline struct sql_value tallied_value(const struct fh_derived *declared, int field,
                                             const json_t *fact)
{
    const struct fh_derived_field *of = &declared->fields[field];
    return series_value_of(of, json_object_get(fact, of->name));
}

static inline int tallied_fields(const struct fh_derived *declared)
{
    int count = 0;
    while (declared->fields[count].name)
        count++;
    return count;
}

static inline int tallied_time_order(const void *one, const void *other)
{
    const struct tallied_fact *a = one, *b = other;
    return (a->at_ms > b->at_ms) - (a->at_ms < b->at_ms);
}

/* ---- Columns ---- */

static inline bool tallied_passes(const struct columns_question *question, const json_t *fact)
{
    bool passes = true;
    for (int i = 0; i < question->filter_count && passes; i++) {
        const struct columns_filter *filter = &question->filters[i];
        const struct sql_value value = tallied_value(question->declared, filter->field, fact);
        passes = false;
        for (int j = 0; j < filter->count; j++)
            passes |= series_tag_compare(&value, &question->filter_values[filter->first + j]) == 0;
    }
    return passes;
}

static inline enum fh_code tallied_columns(const struct fh_derived *declared,
                                           struct tallied_fact *facts, int count,
                                           const struct fh_columns *columns, int64_t oldest_ms,
                                           json_t **ret, struct fh_error *error)
{
    struct columns_question question;
    struct columns_tally tally;
    struct sql_value values[DERIVED_FIELDS_MAX + 1];
    enum fh_code code = columns_question_init(&question, declared, columns, oldest_ms, error);
    if (code != FH_OK)
        return code;
    columns_tally_init(&tally, &question);
    qsort(facts, (size_t)count, sizeof *facts, tallied_time_order);
    for (int i = 0; i < count && code == FH_OK; i++) {
        const struct tallied_fact *fact = &facts[i];
        const struct sql_row row = {.count = question.read_count + 1, .values = values};
        if (fact->at_ms < question.from_ms || fact->at_ms >= question.to_ms ||
            !tallied_passes(&question, fact->value))
            continue;
        values[0] = sql_integer(fact->at_ms);
        for (int j = 0; j < question.read_count; j++)
            values[j + 1] = tallied_value(declared, question.reads[j], fact->value);
        code = columns_tally_fact(&tally, &row, error);
    }
    if (code == FH_OK)
        code = columns_answer(&tally, ret, error);
    columns_tally_release(&tally);
    return code;
}

/* ---- Series ---- */

static inline bool tallied_same_curve(const struct fh_derived *declared, const json_t *one,
                                      const json_t *other)
{
    bool same = true;
    for (int i = 0; declared->fields[i].name && same; i++) {
        const struct sql_value a = tallied_value(declared, i, one);
        const struct sql_value b = tallied_value(declared, i, other);
        same = !series_is_tag(&declared->fields[i]) || series_tag_compare(&a, &b) == 0;
    }
    return same;
}

/* Of those that the question is about; -1: others. Returns how many curves there are. */
static inline int tallied_find_curves(const struct series_question *question,
                                      struct tallied_fact *facts, int count)
{
    int curves = 0;
    for (int i = 0; i < count; i++) {
        struct tallied_fact *fact = &facts[i];
        bool asked = fact->at_ms >= question->points_ms && fact->at_ms < question->to_ms;
        for (int j = 0; j < question->filter_count && asked; j++) {
            const struct sql_value value =
                tallied_value(question->declared, question->filters[j], fact->value);
            asked = series_tag_compare(&value, &question->filter_values[j]) == 0;
        }
        fact->curve = asked ? curves : -1;
        for (int j = 0; j < i && fact->curve == curves; j++) {
            if (facts[j].curve >= 0 &&
                tallied_same_curve(question->declared, facts[j].value, fact->value))
                fact->curve = facts[j].curve;
        }
        curves += fact->curve == curves;
    }
    return curves;
}

static inline enum fh_code tallied_take_curve(struct series_tally *tally,
                                              const struct tallied_fact *fact,
                                              struct fh_error *error)
{
    const struct fh_derived *declared = tally->question->declared;
    struct sql_value values[DERIVED_FIELDS_MAX + 1] = {sql_integer(fact->curve)};
    struct sql_row row = {.count = 1, .values = values};
    for (int i = 0; declared->fields[i].name; i++) {
        if (series_is_tag(&declared->fields[i]))
            values[row.count++] = tallied_value(declared, i, fact->value);
    }
    return series_tally_curve(tally, &row, error);
}

static inline enum fh_code tallied_take_points(struct series_tally *tally,
                                               const struct tallied_fact *facts, int count,
                                               int curve, struct fh_error *error)
{
    const struct series_question *question = tally->question;
    struct sql_value values[DERIVED_FIELDS_MAX + 2];
    enum fh_code code = FH_OK;
    int skipped = 0;
    for (int i = 0; i < count; i++)
        skipped += facts[i].curve == curve;
    skipped = question->intervals || skipped < question->limit ? 0 : skipped - question->limit;
    for (int i = 0; i < count && code == FH_OK; i++) {
        const struct sql_row row = {.count = question->read_count + 2, .values = values};
        if (facts[i].curve != curve || skipped-- > 0)
            continue;
        values[0] = sql_integer(curve);
        values[1] = sql_integer(facts[i].at_ms);
        for (int j = 0; j < question->read_count; j++)
            values[j + 2] = tallied_value(question->declared, question->reads[j], facts[i].value);
        code = series_tally_point(tally, &row, error);
    }
    return code;
}

static inline enum fh_code tallied_series(const struct fh_derived *declared,
                                          struct tallied_fact *facts, int count,
                                          const struct fh_series *series, int64_t oldest_ms,
                                          const struct series_past *past, json_t **ret,
                                          struct fh_error *error)
{
    struct series_question question;
    struct series_tally tally;
    enum fh_code code = series_question_init(&question, declared, series, oldest_ms, error);
    if (code != FH_OK)
        return code;
    series_question_past(&question, past);
    series_tally_init(&tally, &question);
    qsort(facts, (size_t)count, sizeof *facts, tallied_time_order);
    int curves = tallied_find_curves(&question, facts, count), next = 0;
    for (int i = 0; i < count && code == FH_OK; i++) {
        if (facts[i].curve == next) { /* the first of its points */
            next++;
            code = tallied_take_curve(&tally, &facts[i], error);
        }
    }
    if (code == FH_OK)
        code = series_past_curves(past, &tally, error);
    if (code == FH_OK)
        code = series_tally_group(&tally, error);
    for (int curve = 0; curve < curves && code == FH_OK; curve++)
        code = tallied_take_points(&tally, facts, count, curve, error);
    if (code == FH_OK)
        code = series_past_cells(past, &tally, error);
    if (code == FH_OK) {
        series_tally_sort(&tally);
        code = series_answer(&tally, ret, error);
    }
    series_tally_release(&tally);
    return code;
}

/* Either of them, by the model; of facts that lie there in any order, and are sorted. */
static inline enum fh_code tallied(const struct fh_derived *declared, struct tallied_fact *facts,
                                   int count, const void *question, int64_t oldest_ms, json_t **ret,
                                   struct fh_error *error)
{
    return declared->model == FH_SERIES
               ? tallied_series(declared, facts, count, question, oldest_ms, NULL, ret, error)
               : tallied_columns(declared, facts, count, question, oldest_ms, ret, error);
}

/* The same values, but for what a sum of reals in another order makes of its last digits. */
static inline bool tallied_same(const json_t *one, const json_t *other)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_real(one) && json_is_real(other)) {
        double a = json_real_value(one), b = json_real_value(other);
        double most = (a < 0 ? -a : a) + (b < 0 ? -b : b), apart = a > b ? a - b : b - a;
        return apart <= most * 1e-12;
    }
    if (!one || !other || json_typeof(one) != json_typeof(other))
        return false;
    if (json_is_array(one)) {
        bool same = json_array_size(one) == json_array_size(other);
        json_array_foreach (one, i, value)
            same = same && tallied_same(value, json_array_get(other, i));
        return same;
    }
    if (json_is_object(one)) {
        bool same = json_object_size(one) == json_object_size(other);
        json_object_foreach ((json_t *)(uintptr_t)one, key, value)
            same = same && tallied_same(value, json_object_get(other, key));
        return same;
    }
    return json_equal(one, other);
}

#endif
