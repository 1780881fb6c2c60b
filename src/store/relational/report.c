/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a report is run. It is a question (sql_ask): its values are bound before it begins, and what
 * it finds is made JSON of by the job that runs it. An answer is whole or there is none: whoever
 * adds up its rows must not add up a part of them.
 */

#include "store/relational/report.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define ROW_SIZE 4             /* of a row, and of a value, besides what it says */
#define REPORT_TOO_MUCH "rows" /* the field of an error */

struct report_taking {
    const struct report *report;
    const struct sql_value *values;
    enum report_form form;
    json_t *columns; /* REPORT_TABLE */
    json_t *rows;
    size_t size;
    bool failed; /* `error` says why */
    struct fh_error error;
};

static bool __attribute__((format(printf, 3, 4)))
taking_fails(struct report_taking *taking, enum fh_code code, const char *format, ...)
{
    char what[160];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    taking->failed = true;
    error_set(&taking->error, code, "The report %s %s.", taking->report->name, what);
    if (code == FH_INVALID)
        snprintf(taking->error.field, sizeof taking->error.field, REPORT_TOO_MUCH);
    return false;
}

static bool finds_too_much(struct report_taking *taking)
{
    return taking_fails(taking, FH_INVALID, "finds more than %d rows, or %d MiB; ask for less",
                        REPORT_ROWS_MAX, REPORT_SIZE_MAX >> 20);
}

enum fh_code report_columns_check(const char *const *names, int count, struct fh_error *error)
{
    for (int i = 0; i < count; i++) {
        if (!names[i] || !report_is_utf8(names[i]))
            return error_set(error, FH_UNSUPPORTED, "its column %d has no name", i + 1);
        for (int j = 0; j < i; j++) {
            if (strcmp(names[i], names[j]) == 0)
                return error_set(error, FH_UNSUPPORTED,
                                 "two of its columns are called \"%.64s\"; name one with AS",
                                 names[i]);
        }
    }
    return FH_OK;
}

static bool take_columns(void *context, const char *const *names, int count)
{
    struct report_taking *taking = context;
    struct fh_error error;
    if (report_columns_check(names, count, &error) != FH_OK)
        return taking_fails(taking, FH_UNSUPPORTED, "can't be answered: %.100s", error.message);
    for (int i = 0; i < count && taking->columns; i++) {
        if (json_array_append_new(taking->columns, json_string(names[i])) != 0)
            return finds_too_much(taking);
    }
    return true;
}

/* About as it is in JSON. */
static size_t answered_size(const struct sql_value *value)
{
    size_t size = 0;
    switch (value->kind) {
    case SQL_TEXT:
        for (size_t i = 0; i < value->length; i++)
            size += (unsigned char)value->text[i] < ' ' ? 6 : 1;
        return size;
    case SQL_BLOB:
        return value->length / 3 * 4;
    case SQL_NULL:
    case SQL_INTEGER:
    case SQL_REAL:
        break;
    }
    return sizeof(int64_t);
}

/* NULL: it has failed. */
static json_t *take_report_value(struct report_taking *taking, const struct sql_row *row, int i)
{
    const struct sql_value *value = &row->values[i];
    json_t *made = relational_json(value, row->types[i]);
    if (made)
        return made;
    if (value->kind == SQL_REAL && !isfinite(value->real)) {
        taking_fails(taking, FH_UNSUPPORTED, "finds a number in its column %.64s that JSON has not",
                     row->names[i]);
        return NULL;
    }
    struct arena *before = json_arena_set(NULL);
    json_t *text = value->kind == SQL_TEXT ? json_stringn(value->text, value->length) : json_null();
    json_arena_set(before);
    if (text)
        finds_too_much(taking); /* there is no memory for it */
    else
        taking_fails(taking, FH_UNSUPPORTED, "finds a text in its column %.64s that is not UTF-8",
                     row->names[i]);
    before = json_arena_set(NULL);
    json_decref(text);
    json_arena_set(before);
    return NULL;
}

static bool take_row(void *context, const struct sql_row *row)
{
    struct report_taking *taking = context;
    bool objects = taking->form == REPORT_OBJECTS;
    if (json_array_size(taking->rows) >= REPORT_ROWS_MAX)
        return finds_too_much(taking);
    json_t *made = objects ? json_object() : json_array();
    taking->size += ROW_SIZE;
    for (int i = 0; i < row->count && taking->size <= REPORT_SIZE_MAX; i++) {
        taking->size += ROW_SIZE + answered_size(&row->values[i]);
        taking->size += objects ? strlen(row->names[i]) + ROW_SIZE : 0;
        json_t *value = take_report_value(taking, row, i);
        if (value && (objects ? json_object_set_new_nocheck(made, row->names[i], value)
                              : json_array_append_new(made, value)) != 0)
            finds_too_much(taking);
        if (taking->failed)
            break;
    }
    if (taking->size > REPORT_SIZE_MAX && !taking->failed)
        finds_too_much(taking);
    if (json_array_append_new(taking->rows, made) != 0 && !taking->failed)
        finds_too_much(taking);
    return !taking->failed;
}

static enum fh_code answer_report(struct store_work *work, void *context, struct fh_error *error)
{
    struct report_taking *taking = context;
    const struct report *report = taking->report;
    const struct sql_taker taker = {take_columns, take_row, taking, REPORT_SIZE_MAX};
    struct fh_error why = {0};
    enum fh_code code = work->store->engine->sql->report(work, report->reading.sql, taking->values,
                                                         report->reading.count, &taker, &why);
    if (taking->failed) {
        *error = taking->error;
        return error->code;
    }
    *error = why;
    if (code == FH_INVALID || code == FH_UNSUPPORTED)
        snprintf(error->message, sizeof error->message, "The report %s can't be run: %.160s",
                 report->name, why.message);
    if (code == FH_INVALID)
        snprintf(error->field, sizeof error->field, REPORT_TOO_MUCH);
    return code;
}

enum fh_code report_run(struct store_work *work, const struct report *report,
                        const struct sql_value *values, enum report_form form, json_t **ret,
                        struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    if (!sql || !sql->report)
        return error_set(error, FH_UNSUPPORTED, "Stores on %s run no reports.",
                         work->store->engine->title);
    if (report->why[0])
        return error_set(error, FH_UNSUPPORTED, "The report %s can't be run: %s, line %d: %s.",
                         report->name, report->file, report->line, report->why);
    struct report_taking taking = {.report = report, .values = values, .form = form};
    work->asks_long = true;
    taking.rows = json_array();
    taking.columns = form == REPORT_TABLE ? json_array() : NULL;
    enum fh_code code = sql_ask(work, answer_report, &taking, error);
    work->asks_long = false;
    if (code == FH_OK)
        *ret = form == REPORT_TABLE
                   ? json_pack("{s:O, s:O}", "columns", taking.columns, "rows", taking.rows)
                   : json_incref(taking.rows);
    json_decref(taking.columns);
    json_decref(taking.rows);
    return code;
}
