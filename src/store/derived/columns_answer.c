/* SPDX-License-Identifier: Apache-2.0 */
/* What was tallied, as JSON: the groups that `having` leaves, in the order that is asked for, and
 * of these as many as are. Of the same value they are in the order of time, and then of their tags.
 */

#define _GNU_SOURCE
#include "store/derived/columns.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

_Static_assert(LDBL_MANT_DIG >= 64, "integers are compared as they are");

#define SAFE_INTEGER ((int64_t)1 << 53)

enum columns_kind { COLUMNS_NOTHING, COLUMNS_INTEGER, COLUMNS_REAL };

struct columns_result {
    enum columns_kind kind;
    int64_t integer;
    long double real; /* of both */
};

/* ---- One value ---- */

static struct columns_result integer_of_group(int64_t integer)
{
    return (struct columns_result){COLUMNS_INTEGER, integer, (long double)integer};
}

static struct columns_result real_of_group(long double real)
{
    return (struct columns_result){.kind = COLUMNS_REAL, .real = real};
}

static struct columns_result number_of_group(enum fh_type type, union series_number number)
{
    return type == FH_INT ? integer_of_group(number.integer)
                          : real_of_group((long double)number.real);
}

static struct columns_result sum_of_group(const struct columns_cell *cell, enum fh_type type)
{
    if (type != FH_INT)
        return real_of_group(cell->sum.real);
    if (cell->sum.integer > INT64_MAX || cell->sum.integer < INT64_MIN)
        return real_of_group((long double)cell->sum.integer);
    return integer_of_group((int64_t)cell->sum.integer);
}

static struct columns_result value_of_group(const struct columns_question *question,
                                            const struct columns_group *group, int at)
{
    const struct columns_value *value = &question->values[at];
    if (value->read < 0)
        return integer_of_group(group->count);
    const struct columns_cell *cell = &group->cells[value->read];
    enum fh_type type = question->declared->fields[question->reads[value->read]].type;
    if (value->function == COLUMNS_COUNT)
        return integer_of_group(cell->count);
    if (value->function == COLUMNS_UNIQ)
        return integer_of_group(group->uniq[value->uniq]);
    if (cell->count == 0)
        return (struct columns_result){.kind = COLUMNS_NOTHING};
    switch (value->function) {
    case COLUMNS_SUM:
        return sum_of_group(cell, type);
    case COLUMNS_MEAN:
        return real_of_group((type == FH_INT ? (long double)cell->sum.integer : cell->sum.real) /
                             (long double)cell->count);
    case COLUMNS_MIN:
        return number_of_group(type, cell->min);
    case COLUMNS_MAX:
        return number_of_group(type, cell->max);
    case COLUMNS_COUNT:
    case COLUMNS_UNIQ:
        break;
    }
    return (struct columns_result){.kind = COLUMNS_NOTHING};
}

/* ---- Which groups, in which order ---- */

static bool has_group(const struct columns_question *question, const struct columns_group *group)
{
    for (int i = 0; i < question->value_count; i++) {
        const struct columns_value *value = &question->values[i];
        if (!value->has_min && !value->has_max)
            continue;
        struct columns_result result = value_of_group(question, group, i);
        if (result.kind == COLUMNS_NOTHING || (value->has_min && result.real < value->min) ||
            (value->has_max && result.real > value->max))
            return false;
    }
    return true;
}

static int compare_group_keys(const struct columns_question *question,
                              const struct columns_group *one, const struct columns_group *other)
{
    int order = (one->at_ms > other->at_ms) - (one->at_ms < other->at_ms);
    for (int i = 0; i < question->by_count && order == 0; i++)
        order = series_tag_compare(&one->keys[i], &other->keys[i]);
    return order;
}

/* Groups without the value come last, either way. */
static int compare_group_values(const struct columns_question *question,
                                const struct columns_group *one, const struct columns_group *other)
{
    int at = question->sort - columns_keys(question), sign = question->columns->descending ? -1 : 1;
    struct columns_result a = value_of_group(question, one, at);
    struct columns_result b = value_of_group(question, other, at);
    if (a.kind == COLUMNS_NOTHING || b.kind == COLUMNS_NOTHING)
        return (a.kind == COLUMNS_NOTHING) - (b.kind == COLUMNS_NOTHING);
    if (a.kind == COLUMNS_INTEGER && b.kind == COLUMNS_INTEGER)
        return sign * ((a.integer > b.integer) - (a.integer < b.integer));
    return sign * ((a.real > b.real) - (a.real < b.real));
}

static int compare_rows(const void *left, const void *right, void *context)
{
    const struct columns_question *question = context;
    const struct columns_group *one = *(struct columns_group *const *)left;
    const struct columns_group *other = *(struct columns_group *const *)right;
    int timed = columns_keys(question) - question->by_count, order = 0;
    if (question->sort >= columns_keys(question))
        order = compare_group_values(question, one, other);
    else if (question->sort >= timed)
        order = series_tag_compare(&one->keys[question->sort - timed],
                                   &other->keys[question->sort - timed]);
    else if (question->sort == 0)
        order = (one->at_ms > other->at_ms) - (one->at_ms < other->at_ms);
    if (question->sort < columns_keys(question) && question->columns->descending)
        order = question->sort < 0 ? -compare_group_keys(question, one, other) : -order;
    return order ? order : compare_group_keys(question, one, other);
}

/* ---- As JSON ---- */

static enum fh_code no_answer_room(struct fh_error *error)
{
    return error_set(error, FH_NO_MEMORY, "There is no memory for an answer.");
}

static json_t *columns_integer(int64_t integer)
{
    if (integer <= SAFE_INTEGER && integer >= -SAFE_INTEGER)
        return json_integer(integer);
    return json_sprintf("%lld", (long long)integer);
}

static json_t *columns_key(const struct fh_derived_field *field, const struct sql_value *key)
{
    if (key->kind == SQL_TEXT)
        return json_stringn(key->text, key->length);
    return field->type == FH_BOOL ? json_boolean(key->integer) : columns_integer(key->integer);
}

static enum fh_code add_columns_row(const struct columns_question *question,
                                    const struct columns_group *group, json_t *rows,
                                    struct fh_error *error)
{
    json_t *row = json_array();
    if (question->every_ms)
        json_array_append_new(row, json_integer(group->at_ms));
    for (int i = 0; i < question->by_count; i++)
        json_array_append_new(
            row, columns_key(&question->declared->fields[question->by[i]], &group->keys[i]));
    enum fh_code code = FH_OK;
    for (int i = 0; i < question->value_count && code == FH_OK; i++) {
        struct columns_result result = value_of_group(question, group, i);
        if (result.kind == COLUMNS_REAL && !isfinite((double)result.real))
            code = derived_unfit(error, "values", "\"%.64s\" is greater than a number can be.",
                                 question->columns->values[i]);
        json_array_append_new(row, result.kind == COLUMNS_INTEGER ? columns_integer(result.integer)
                                   : result.kind == COLUMNS_REAL
                                       ? json_real(code == FH_OK ? (double)result.real : 0)
                                       : json_null());
    }
    size_t values = (size_t)columns_keys(question) + (size_t)question->value_count;
    bool whole = json_array_size(row) == values || code != FH_OK;
    if ((json_array_append_new(rows, row) != 0 || !whole) && code == FH_OK)
        code = no_answer_room(error);
    return code;
}

static json_t *columns_names(const struct columns_question *question)
{
    json_t *names = json_array();
    if (question->every_ms)
        json_array_append_new(names, json_string("at_ms"));
    for (int i = 0; i < question->by_count; i++)
        json_array_append_new(names, json_string(question->columns->by[i]));
    for (int i = 0; i < question->value_count; i++)
        json_array_append_new(names, json_string(question->columns->values[i]));
    return names;
}

enum fh_code columns_answer(struct columns_tally *tally, json_t **ret, struct fh_error *error)
{
    const struct columns_question *question = tally->question;
    size_t count = 0, limit = (size_t)question->limit;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < tally->group_count; i++) {
        if (has_group(question, tally->groups[i]))
            tally->groups[count++] = tally->groups[i];
    }
    tally->group_count = count;
    if (count)
        qsort_r(tally->groups, count, sizeof(struct columns_group *), compare_rows,
                (void *)(uintptr_t)question);
    json_t *rows = json_array();
    for (size_t i = 0; i < count && i < limit && code == FH_OK; i++)
        code = add_columns_row(question, tally->groups[i], rows, error);
    if (code == FH_OK)
        *ret = json_pack("{s:o, s:o, s:b}", "columns", columns_names(question), "rows", rows,
                         "more", count > limit);
    else
        json_decref(rows);
    if (code == FH_OK && !*ret)
        code = no_answer_room(error);
    return code;
}
