/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the facts that a question of columns is about, by one statement, and hands them on to
 * columns_tally.c; and removes those that are too old. */

#include <stdio.h>

#include "base/crash.h"
#include "store/derived/columns.h"

struct columns_reading {
    const struct columns_question *question;
    struct columns_tally tally;
    json_t *answer;
    enum fh_code code; /* of a visit */
    struct fh_error *error;
};

static bool take_fact_row(void *context, const struct sql_row *row)
{
    struct columns_reading *reading = context;
    reading->code = columns_tally_fact(&reading->tally, row, reading->error);
    return reading->code == FH_OK;
}

static void write_columns_filters(const struct columns_question *question, struct text *sql)
{
    for (int i = 0; i < question->filter_count; i++) {
        const struct columns_filter *filter = &question->filters[i];
        text_printf(sql, " AND f%d IN (", filter->field);
        for (int j = 0; j < filter->count; j++)
            text_printf(sql, "%s?%d", j ? ", " : "", filter->first + j + 3);
        text_add(sql, ")");
    }
}

static enum fh_code read_facts(struct columns_reading *reading, struct store_work *work,
                               int64_t number)
{
    const struct columns_question *question = reading->question;
    struct sql_value values[COLUMNS_FILTER_VALUES_MAX + 2] = {sql_integer(question->from_ms),
                                                              sql_integer(question->to_ms)};
    struct text sql;
    text_init(&sql, DERIVED_SQL_SIZE);
    text_add(&sql, "SELECT at");
    for (int i = 0; i < question->read_count; i++)
        text_printf(&sql, ", f%d", question->reads[i]);
    text_printf(&sql, " FROM fh_derived_%lld WHERE at >= ?1 AND at < ?2", (long long)number);
    write_columns_filters(question, &sql);
    for (int i = 0; i < question->filter_value_count; i++)
        values[i + 2] = question->filter_values[i];
    FH_ASSERT(!sql.overflow);
    enum fh_code code = sql_run(work, sql.data, values, question->filter_value_count + 2,
                                take_fact_row, reading, NULL, reading->error);
    text_release(&sql);
    return code == FH_OK ? reading->code : code;
}

/* Off the loop, where the engine lives in this process: sql_ask. */
static enum fh_code answer_columns(struct store_work *work, void *context, struct fh_error *error)
{
    struct columns_reading *reading = context;
    int64_t number;
    reading->error = error;
    enum fh_code code = derived_number(work, reading->question->declared->name, &number, error);
    if (code == FH_OK)
        code = read_facts(reading, work, number);
    return code == FH_OK ? columns_answer(&reading->tally, &reading->answer, error) : code;
}

enum fh_code derived_sql_columns(struct store_work *work, const struct fh_derived *declared,
                                 const struct fh_columns *columns, int64_t oldest_ms, json_t **ret,
                                 struct fh_error *error)
{
    struct columns_question question;
    struct columns_reading reading = {.question = &question};
    *ret = NULL;
    enum fh_code code = columns_question_init(&question, declared, columns, oldest_ms, error);
    if (code != FH_OK)
        return code;
    columns_tally_init(&reading.tally, &question);
    code = sql_ask(work, answer_columns, &reading, error);
    if (code == FH_OK)
        *ret = reading.answer;
    else
        json_decref(reading.answer);
    columns_tally_release(&reading.tally);
    return code;
}

enum fh_code columns_trim(struct store_work *work, int64_t number, int64_t oldest_ms,
                          struct series_trimming *at, struct fh_error *error)
{
    char sql[256];
    int64_t removed = 0;
    const struct sql_value value = sql_integer(oldest_ms);
    snprintf(sql, sizeof sql,
             "DELETE FROM fh_derived_%lld WHERE (at, seq) IN (SELECT at, seq FROM fh_derived_%lld"
             " WHERE at < ?1 ORDER BY at, seq LIMIT %d)",
             (long long)number, (long long)number, SERIES_TRIM_ROWS);
    enum fh_code code = sql_run(work, sql, &value, 1, NULL, NULL, &removed, error);
    CRASH_POINT("columns.trimmed");
    at->removed += removed;
    at->done = removed < SERIES_TRIM_ROWS;
    return code;
}
