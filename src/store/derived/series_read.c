/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what a question of a series is about: the curves that have points in its time, and then
 * those points, curve by curve, each by one statement. Both are only handed on, to series_tally.c.
 *
 * Of time that is kept as roll-ups these are read as well as points: some may not be in them yet.
 *
 * Of the last points of each curve the statement begins at the time of the first of them, which is
 * looked up in the index once for each curve.
 */

#include <stdio.h>

#include "store/derived/series_past.h"
#include "store/derived/series_rollup.h"

struct series_reading {
    struct store_work *work;
    struct series_question *question;
    int64_t oldest_ms, number;
    struct series_past *past;      /* for a server; NULL: this store answers alone */
    struct series_lengths lengths; /* of the roll-ups that are read */
    struct series_tally tally;
    struct sql_value values[DERIVED_FIELDS_MAX + 3];
    int value_count;
    struct text sql;
    json_t *answer;
    enum fh_code code; /* of a visit */
    struct fh_error *error;
};

static bool take_curve_row(void *context, const struct sql_row *row)
{
    struct series_reading *reading = context;
    reading->code = series_tally_curve(&reading->tally, row, reading->error);
    return reading->code == FH_OK;
}

static bool take_point_row(void *context, const struct sql_row *row)
{
    struct series_reading *reading = context;
    reading->code = series_tally_point(&reading->tally, row, reading->error);
    return reading->code == FH_OK;
}

static bool take_rollup_row(void *context, const struct sql_row *row)
{
    struct series_reading *reading = context;
    reading->code = series_tally_rollup(&reading->tally, row, reading->error);
    return reading->code == FH_OK;
}

static enum fh_code run_reading(struct series_reading *reading, sql_visit *visit)
{
    FH_ASSERT(!reading->sql.overflow);
    enum fh_code code = sql_run(reading->work, reading->sql.data, reading->values,
                                reading->value_count, visit, reading, NULL, reading->error);
    text_clear(&reading->sql);
    return code == FH_OK ? reading->code : code;
}

/* From ?1 on and before ?2, and with the tags in ?3 and so on. */
static void bind_reading(struct series_reading *reading)
{
    const struct series_question *question = reading->question;
    reading->values[reading->value_count++] = sql_integer(question->from_ms);
    reading->values[reading->value_count++] = sql_integer(question->to_ms);
    for (int i = 0; i < question->filter_count; i++)
        reading->values[reading->value_count++] = question->filter_values[i];
}

/* A server has the points from there on. */
static void add_end_of_points(struct series_reading *reading)
{
    if (reading->past)
        text_printf(&reading->sql, " AND p.at < %lld", (long long)reading->past->points_ms);
}

static void add_tag_filters(struct series_reading *reading)
{
    for (int i = 0; i < reading->question->filter_count; i++)
        text_printf(&reading->sql, " AND c.t%d = ?%d", reading->question->filters[i], i + 3);
}

static void add_rollups_within(struct series_reading *reading)
{
    text_add(&reading->sql, "r.every IN (");
    series_rollups_list(&reading->sql, &reading->lengths);
    text_add(&reading->sql, ") AND r.curve = c.id AND r.at >= ?1 AND r.at < ?2");
}

static enum fh_code read_curves(struct series_reading *reading)
{
    const struct fh_derived_field *fields = reading->question->declared->fields;
    text_add(&reading->sql, "SELECT c.id");
    for (int i = 0; fields[i].name; i++) {
        if (series_is_tag(&fields[i]))
            text_printf(&reading->sql, ", c.t%d", i);
    }
    text_printf(&reading->sql,
                " FROM fh_derived_%lld_curve AS c WHERE (EXISTS (SELECT 1 FROM fh_derived_%lld AS p"
                " WHERE p.curve = c.id AND p.at >= ?1 AND p.at < ?2",
                (long long)reading->number, (long long)reading->number);
    add_end_of_points(reading);
    text_add(&reading->sql, ")");
    if (reading->lengths.count) {
        text_printf(&reading->sql, " OR EXISTS (SELECT 1 FROM fh_derived_%lld_rollup AS r WHERE ",
                    (long long)reading->number);
        add_rollups_within(reading);
        text_add(&reading->sql, ")");
    }
    text_add(&reading->sql, ")");
    add_tag_filters(reading);
    return run_reading(reading, take_curve_row);
}

static void add_first_time(struct series_reading *reading)
{
    const struct series_question *question = reading->question;
    if (question->intervals) {
        text_add(&reading->sql, "?1");
        return;
    }
    text_printf(&reading->sql,
                "coalesce((SELECT q.at FROM fh_derived_%lld AS q WHERE q.curve = c.id AND "
                "q.at >= ?1 AND q.at < ?2 ORDER BY q.at DESC LIMIT 1 OFFSET ?%d), ?1)",
                (long long)reading->number, reading->value_count + 1);
    reading->values[reading->value_count++] = sql_integer(question->limit - 1);
}

static enum fh_code read_points(struct series_reading *reading)
{
    const struct series_question *question = reading->question;
    text_add(&reading->sql, "SELECT p.curve, p.at");
    for (int i = 0; i < question->read_count; i++)
        text_printf(&reading->sql, ", p.v%d", question->reads[i]);
    text_printf(&reading->sql,
                " FROM fh_derived_%lld_curve AS c CROSS JOIN fh_derived_%lld AS p"
                " WHERE p.curve = c.id AND p.at >= ",
                (long long)reading->number, (long long)reading->number);
    add_first_time(reading);
    text_add(&reading->sql, " AND p.at < ?2");
    add_end_of_points(reading);
    add_tag_filters(reading);
    return run_reading(reading, take_point_row);
}

static enum fh_code read_rollups(struct series_reading *reading)
{
    const struct series_question *question = reading->question;
    text_add(&reading->sql, "SELECT r.curve, r.at, r.points");
    for (int i = 0; i < question->read_count; i++)
        text_printf(&reading->sql, ", r.v%d", question->reads[i]);
    text_printf(&reading->sql,
                " FROM fh_derived_%lld_curve AS c CROSS JOIN fh_derived_%lld_rollup AS r WHERE ",
                (long long)reading->number, (long long)reading->number);
    add_rollups_within(reading);
    add_tag_filters(reading);
    return run_reading(reading, take_rollup_row);
}

/* Which time is kept how is known of the same moment as what is in it. */
static enum fh_code look_at_levels(struct series_reading *reading)
{
    struct series_question *question = reading->question;
    struct series_levels levels;
    enum fh_code code = series_rollups_lengths(reading->work, question->declared, reading->number,
                                               &reading->lengths, reading->error);
    if (code != FH_OK)
        return code;
    series_levels_init(&levels, question->declared, &reading->lengths, reading->oldest_ms);
    code = series_question_roll(question, &levels, reading->error);
    if (!question->rolled)
        reading->lengths.count = 0;
    if (reading->past)
        reading->past->points_ms = levels.points_ms;
    return code;
}

static enum fh_code read_series(struct series_reading *reading)
{
    enum fh_code code = FH_OK;
    if (series_rollup_count(reading->question->declared))
        code = look_at_levels(reading);
    if (code != FH_OK || (reading->past && !reading->question->rolled))
        return code;
    bind_reading(reading);
    code = read_curves(reading);
    if (code == FH_OK)
        code = series_tally_group(&reading->tally, reading->error);
    if (code == FH_OK && reading->tally.curve_count)
        code = read_points(reading);
    if (code == FH_OK && reading->tally.curve_count && reading->lengths.count)
        code = read_rollups(reading);
    return code;
}

/* Off the loop, where the engine lives in this process: sql_ask. */
static enum fh_code answer_series(struct store_work *work, void *context, struct fh_error *error)
{
    struct series_reading *reading = context;
    reading->error = error;
    enum fh_code code =
        derived_number(work, reading->question->declared->name, &reading->number, error);
    if (code == FH_OK)
        code = read_series(reading);
    if (code == FH_OK) {
        series_tally_sort(&reading->tally);
        code = series_answer(&reading->tally, &reading->answer, error);
    }
    return code;
}

enum fh_code derived_sql_series(struct store_work *work, const struct fh_derived *declared,
                                const struct fh_series *series, int64_t oldest_ms, json_t **ret,
                                struct fh_error *error)
{
    struct series_question question;
    struct series_reading reading = {.work = work, .question = &question, .oldest_ms = oldest_ms};
    *ret = NULL;
    enum fh_code code = series_question_init(&question, declared, series, oldest_ms, error);
    if (code != FH_OK)
        return code;
    series_tally_init(&reading.tally, &question);
    text_init(&reading.sql, DERIVED_SQL_SIZE);
    code = sql_ask(work, answer_series, &reading, error);
    if (code == FH_OK)
        *ret = reading.answer;
    else
        json_decref(reading.answer);
    text_release(&reading.sql);
    series_tally_release(&reading.tally);
    return code;
}

static enum fh_code read_past(struct store_work *work, void *context, struct fh_error *error)
{
    struct series_reading *reading = context;
    reading->error = error;
    enum fh_code code =
        derived_number(work, reading->question->declared->name, &reading->number, error);
    return code == FH_OK ? read_series(reading) : code;
}

enum fh_code derived_sql_past(struct store_work *work, const struct fh_derived *declared,
                              const struct fh_series *series, int64_t oldest_ms,
                              struct series_past **ret, struct fh_error *error)
{
    struct series_reading reading = {.work = work, .oldest_ms = oldest_ms};
    *ret = NULL;
    reading.past = series_past_new(declared, series, oldest_ms, error);
    if (!reading.past)
        return error->code;
    reading.question = &reading.past->question;
    series_tally_init(&reading.tally, reading.question);
    text_init(&reading.sql, DERIVED_SQL_SIZE);
    enum fh_code code = sql_ask(work, read_past, &reading, error);
    text_release(&reading.sql);
    reading.past->tally = reading.tally;
    if (code == FH_OK)
        *ret = reading.past;
    else
        series_past_free(reading.past);
    return code;
}
