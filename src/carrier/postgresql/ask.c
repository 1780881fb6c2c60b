/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question is looked at, tallied and answered by the code of an embedded series
 * (store/derived/series.h): so the same is refused in the same words, and quantiles are as exact.
 * The server finds rows, by the index of curve and time, and no more: first the curves that have
 * points in the time, then those points, curve by curve, in one snapshot.
 *
 * Rows come from a cursor, in binary, some thousand at a time; each portion is tallied off the
 * loop, as is the answer made. No more points are asked for than a question reads. A statement that
 * takes longer than the question may is ended by the server itself (statement_timeout); if that
 * does not answer either, the link is closed, which ends it, too.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "carrier/postgresql/internal.h"
#include "store/derived/series_past.h"

#define ROWS_AT_ONCE 200 /* that are tallied on the loop */

struct asking {
    struct curves_session session;
    struct series_question question;
    struct series_tally tally;
    const struct series_past *past;
    char *filters[DERIVED_FIELDS_MAX]; /* texts of the tags' values */
    bool points;                       /* of a portion: rows of points, not of curves */
    json_t *answer;
    enum fh_code code;
};

/* ---- Rows ---- */

static int64_t integer_of_field(const unsigned char *at)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | at[i];
    return (int64_t)number;
}

static struct sql_value value_of_field(const PGresult *result, int row, int column,
                                       const struct fh_derived_field *field)
{
    struct sql_value value = {.kind = SQL_NULL};
    if (postgresql_pq.PQgetisnull(result, row, column))
        return value;
    const char *at = postgresql_pq.PQgetvalue(result, row, column);
    size_t length = (size_t)postgresql_pq.PQgetlength(result, row, column);
    if (field && field->type == FH_STRING) {
        value.kind = SQL_TEXT;
        value.text = at;
        value.length = length;
        return value;
    }
    if (length != sizeof(int64_t)) /* it is no number, whatever the server calls it */
        return value;
    int64_t bits = integer_of_field((const unsigned char *)at);
    if (!field || field->type != FH_NUMBER)
        return sql_integer(bits);
    value.kind = SQL_REAL;
    memcpy(&value.real, &bits, sizeof value.real);
    return value;
}

static enum fh_code tally_curve(struct asking *asking, int row)
{
    const PGresult *result = asking->session.result;
    const struct fh_derived_field *fields = asking->question.declared->fields;
    struct sql_value values[DERIVED_FIELDS_MAX + 1];
    int count = 0;
    values[count++] = value_of_field(result, row, 0, NULL);
    for (int i = 0; fields[i].name; i++) {
        if (!series_is_tag(&fields[i]))
            continue;
        values[count] = value_of_field(result, row, count, &fields[i]);
        count++;
    }
    const struct sql_row found = {.count = count, .values = values};
    return series_tally_curve(&asking->tally, &found, asking->session.error);
}

static enum fh_code tally_point(struct asking *asking, int row)
{
    const struct series_question *question = &asking->question;
    const PGresult *result = asking->session.result;
    struct sql_value values[DERIVED_FIELDS_MAX + 2];
    int count = 2 + question->read_count;
    values[0] = value_of_field(result, row, 0, NULL);
    values[1] = value_of_field(result, row, 1, NULL);
    for (int i = 0; i < question->read_count; i++)
        values[2 + i] =
            value_of_field(result, row, 2 + i, &question->declared->fields[question->reads[i]]);
    const struct sql_row found = {.count = count, .values = values};
    return series_tally_point(&asking->tally, &found, asking->session.error);
}

static void tally_portion(void *context)
{
    struct asking *asking = context;
    int count = curves_rows(&asking->session);
    for (int i = 0; i < count && asking->code == FH_OK; i++)
        asking->code = asking->points ? tally_point(asking, i) : tally_curve(asking, i);
}

/* ---- Cursors ---- */

/* Whether the columns are those that were asked for: nothing is read past the end of a field. */
static bool is_portion(const struct asking *asking, int columns)
{
    const PGresult *result = asking->session.result;
    if (postgresql_pq.PQnfields(result) != columns)
        return false;
    for (int i = 0; i < columns; i++) {
        Oid type = postgresql_pq.PQftype(result, i);
        if (type != 20 && type != 25 && type != 701) /* bigint, text, double precision */
            return false;
    }
    return true;
}

static enum fh_code fetch_portions(struct asking *asking, int columns)
{
    struct curves_session *session = &asking->session;
    struct world *world = session->server->world;
    char sql[128];
    int count;
    do {
        int64_t left_ms = (session->deadline_ns - world_monotonic_ns(world)) / 1000000;
        snprintf(sql, sizeof sql, "SET LOCAL statement_timeout=%lld; FETCH %d FROM found",
                 (long long)(left_ms > 0 ? left_ms : 1), CURVES_PORTION);
        asking->code = curves_run(session, sql);
        if (asking->code != FH_OK)
            return asking->code;
        count = curves_rows(session);
        if (count && !is_portion(asking, columns))
            return asking->code = curves_strange(session->server, session->error);
        if (count <= ROWS_AT_ONCE)
            tally_portion(asking);
        else
            world_blocking(world, tally_portion, asking);
    } while (asking->code == FH_OK && count == CURVES_PORTION);
    if (asking->code == FH_OK)
        asking->code = curves_run(session, "CLOSE found");
    return asking->code;
}

static enum fh_code read_rows(struct asking *asking, const struct text *sql, int columns)
{
    FH_ASSERT(!sql->overflow);
    asking->code =
        curves_run_with(&asking->session, sql->data, (const char *const *)asking->filters,
                        asking->question.filter_count);
    return asking->code == FH_OK ? fetch_portions(asking, columns) : asking->code;
}

/* ---- What is asked of the server ---- */

static void write_time_bounds(struct text *sql, const struct series_question *question,
                              const char *table)
{
    text_printf(sql, "%s.at_ms >= %lld AND %s.at_ms < %lld", table, (long long)question->points_ms,
                table, (long long)question->to_ms);
}

static void write_tag_filters(struct text *sql, const struct series_question *question,
                              const char *before)
{
    for (int i = 0; i < question->filter_count; i++) {
        const struct fh_derived_field *field = &question->declared->fields[question->filters[i]];
        text_printf(sql, "%s c.t%d = $%d::%s", i ? " AND" : before, question->filters[i], i + 1,
                    field->type == FH_STRING ? "text" : "bigint");
    }
}

static enum fh_code ask_for_curves(struct asking *asking)
{
    const struct series_question *question = &asking->question;
    const struct fh_derived_field *fields = question->declared->fields;
    const char *schema = asking->session.schema;
    struct text sql;
    int columns = 1;
    text_init(&sql, CURVES_SQL_SIZE);
    text_add(&sql, "DECLARE found BINARY NO SCROLL CURSOR FOR SELECT c.id");
    for (int i = 0; fields[i].name; i++) {
        if (!series_is_tag(&fields[i]))
            continue;
        text_printf(&sql, ", c.t%d", i);
        columns++;
    }
    text_printf(&sql,
                " FROM \"%s\".curve AS c WHERE (SELECT true FROM \"%s\".point AS p WHERE"
                " p.curve = c.id AND ",
                schema, schema);
    write_time_bounds(&sql, question, "p");
    text_add(&sql, " LIMIT 1)");
    write_tag_filters(&sql, question, " AND");
    text_printf(&sql, " LIMIT %d", SERIES_CURVES_MAX + 1);
    asking->points = false;
    enum fh_code code = read_rows(asking, &sql, columns);
    text_release(&sql);
    return code;
}

/* A subquery with an order is a loop over curves, each by the index: no other plan can be. */
static enum fh_code ask_for_points(struct asking *asking)
{
    const struct series_question *question = &asking->question;
    const char *schema = asking->session.schema;
    struct text sql;
    text_init(&sql, CURVES_SQL_SIZE);
    text_add(&sql, "DECLARE found BINARY NO SCROLL CURSOR FOR SELECT p.* FROM (SELECT c.id FROM ");
    text_printf(&sql, "\"%s\".curve AS c", schema);
    write_tag_filters(&sql, question, " WHERE");
    text_add(&sql, " ORDER BY c.id) AS k CROSS JOIN LATERAL (SELECT q.curve, q.at_ms");
    for (int i = 0; i < question->read_count; i++)
        text_printf(&sql, ", q.v%d", question->reads[i]);
    text_printf(&sql, " FROM \"%s\".point AS q WHERE q.curve = k.id AND ", schema);
    write_time_bounds(&sql, question, "q");
    text_add(&sql, question->intervals ? " ORDER BY q.at_ms" : " ORDER BY q.at_ms DESC");
    if (!question->intervals)
        text_printf(&sql, " LIMIT %d", question->limit);
    text_printf(&sql, ") AS p LIMIT %d", SERIES_FOUND_MAX + 1);
    asking->points = true;
    enum fh_code code = read_rows(asking, &sql, 2 + question->read_count);
    text_release(&sql);
    return code;
}

/* ---- The answer ---- */

static void make_answer(void *context)
{
    struct asking *asking = context;
    struct arena *before = json_arena_set(NULL);
    asking->code = series_past_cells(asking->past, &asking->tally, asking->session.error);
    series_tally_sort(&asking->tally);
    if (asking->code == FH_OK)
        asking->code = series_answer(&asking->tally, &asking->answer, asking->session.error);
    json_arena_set(before);
}

static enum fh_code answer_asking(struct asking *asking)
{
    enum fh_code code = ask_for_curves(asking);
    if (code == FH_OK)
        code = series_past_curves(asking->past, &asking->tally, asking->session.error);
    if (code == FH_OK)
        code = series_tally_group(&asking->tally, asking->session.error);
    if (code == FH_OK && asking->tally.curve_count)
        code = ask_for_points(asking);
    if (code != FH_OK)
        return code;
    world_blocking(asking->session.server->world, make_answer, asking);
    return asking->code;
}

static void take_tag_filters(struct asking *asking)
{
    const struct series_question *question = &asking->question;
    for (int i = 0; i < question->filter_count; i++) {
        const struct sql_value *value = &question->filter_values[i];
        char digits[TEXT_INTEGER_SIZE];
        asking->filters[i] = value->kind == SQL_TEXT
                                 ? strndup(value->text, value->length)
                                 : strdup(text_of_integer(value->integer, digits));
        FH_ASSERT(asking->filters[i] != NULL);
    }
}

enum fh_code curves_series(struct carried_server *base, const struct fh_derived *declared,
                           const struct carried_name *generation, const struct fh_series *series,
                           int64_t oldest_ms, const struct series_past *past, int64_t deadline_ns,
                           json_t **ret, struct fh_error *error)
{
    struct curves_server *server = curves_of(base);
    struct asking *asking = calloc(1, sizeof *asking);
    FH_ASSERT(asking != NULL);
    *ret = NULL;
    enum fh_code code = series_question_init(&asking->question, declared, series, oldest_ms, error);
    series_question_past(&asking->question, past);
    asking->past = past;
    series_tally_init(&asking->tally, &asking->question);
    curves_schema(server, declared, generation, asking->session.schema);
    if (code == FH_OK) {
        take_tag_filters(asking);
        code = curves_begin(&asking->session, server, &server->asking, deadline_ns, error);
        if (code == FH_OK)
            code = answer_asking(asking);
        curves_end(&asking->session);
    }
    if (code == FH_OK)
        *ret = asking->answer;
    else
        json_decref(asking->answer);
    for (int i = 0; i < asking->question.filter_count; i++)
        free(asking->filters[i]);
    series_tally_release(&asking->tally);
    free(asking);
    return code;
}
