/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question is looked at, and what was found tallied and answered, as those of an embedded series
 * are (store/derived/series.h), so that the same is refused in the same words, and answered with
 * the same numbers. The server finds points, and computes nothing: it does not know which version
 * of a point stands.
 *
 * First it is asked which curves there are, then for their points; without intervals for some of
 * the last ones of each, and for more of them until no curve lacks any. Answers are read off the
 * loop, where they lie.
 */

#include "base/json.h"
#include "carrier/influxdb/internal.h"
#include "store/derived/series_past.h"

#define ROWS_MORE 8                                  /* times as many, in the next answer */
#define ROWS_MAX (INT64_C(4) * SERIES_FOUND_MAX)     /* of a curve */
#define VERSIONS_MAX (INT64_C(2) * SERIES_FOUND_MAX) /* of all points of all curves */

struct series_asking {
    struct influxdb *server;
    const struct series_question *question;
    char measurement[INFLUXDB_NAME_SIZE];
    bool kept;              /* versions have lives */
    int64_t from_ms, to_ms; /* within the server's times */
    int64_t deadline_ns;
    struct influxdb_state state;
    struct influxdb_curves curves;
    struct series_tally tally;
    const struct series_past *past;
    struct influxdb_points points;
    struct influxdb_call call;
    json_t *answer;
    enum fh_code code;
    struct fh_error *error;
};

/* ---- Statements ---- */

static void add_range(struct text *statement, const struct series_asking *asking)
{
    const struct series_question *question = asking->question;
    text_add(statement, " FROM ");
    influxdb_add_identifier(statement, asking->measurement);
    text_printf(statement, " WHERE time >= %lld AND time < %lld",
                (long long)asking->from_ms * INFLUXDB_MS, (long long)asking->to_ms * INFLUXDB_MS);
    for (int i = 0; i < question->filter_count; i++) {
        const struct fh_derived_field *field = &question->declared->fields[question->filters[i]];
        char name[INFLUXDB_FIELD_SIZE], word[INFLUXDB_WORD_SIZE];
        influxdb_field_name(field, name);
        influxdb_write_word(&question->filter_values[i], field->type, word);
        text_add(statement, " AND ");
        influxdb_add_identifier(statement, name);
        text_add(statement, " = ");
        influxdb_add_string(statement, word, strlen(word));
    }
}

static void add_curve_tags(struct text *statement, const struct series_question *question)
{
    const char *comma = " GROUP BY ";
    for (const struct fh_derived_field *field = question->declared->fields; field->name; field++) {
        char name[INFLUXDB_FIELD_SIZE];
        if (!series_is_tag(field))
            continue;
        influxdb_field_name(field, name);
        text_add(statement, comma);
        influxdb_add_identifier(statement, name);
        comma = ",";
    }
}

static void add_points_statement(struct text *statement, const struct series_asking *asking,
                                 int64_t rows_max)
{
    const struct series_question *question = asking->question;
    text_add(statement, "SELECT \"fh_p\"");
    for (int i = 0; i < question->read_count; i++) {
        char name[INFLUXDB_FIELD_SIZE];
        influxdb_field_name(&question->declared->fields[question->reads[i]], name);
        text_add(statement, ",");
        influxdb_add_identifier(statement, name);
    }
    text_add(statement, asking->kept ? ",\"fh_has\",\"fh_life\"" : ",\"fh_has\"");
    add_range(statement, asking);
    add_curve_tags(statement, question);
    if (rows_max)
        text_printf(statement, " ORDER BY time DESC LIMIT %lld", (long long)rows_max);
}

/* ---- One request ---- */

/* Nothing was to be done, so it was not. */
static enum fh_code series_not_answered(const struct series_asking *asking)
{
    if (asking->call.request.oversized)
        return derived_unfit(asking->error, "tags",
                             "The points that a question reads have more than %zu MiB: expected "
                             "fewer tags, or a shorter time.",
                             INFLUXDB_POINTS_MAX >> 20);
    if (asking->error->code == FH_OUTCOME_UNKNOWN)
        asking->error->code = FH_UNAVAILABLE;
    return asking->error->code;
}

static enum fh_code ask_statements(struct series_asking *asking, const struct text *statements,
                                   void (*read)(void *asking))
{
    asking->call = (struct influxdb_call){.body = statements->data,
                                          .body_length = statements->length,
                                          .deadline_ns = asking->deadline_ns,
                                          .answer_max = INFLUXDB_POINTS_MAX};
    asking->code = influxdb_query(asking->server, &asking->call, asking->error);
    if (asking->code != FH_OK)
        asking->code = series_not_answered(asking);
    else
        world_blocking(asking->server->world, read, asking);
    influxdb_call_release(&asking->call);
    return asking->code;
}

/* With functions that leave what is wrong in asking->code and asking->error. */
static void read_by(struct series_asking *asking, struct influxdb_reader *reader)
{
    struct fh_error unread;
    enum fh_code code = influxdb_read(asking->server, &asking->call, reader, &unread);
    if (code == FH_OK || asking->code != FH_OK)
        return;
    *asking->error = unread;
    asking->code = code;
}

/* ---- Which curves there are ---- */

/* What is in a generation that is not there, of pages that came late, does not matter. */
static bool take_curve_series(void *context, const struct influxdb_rows *rows)
{
    struct series_asking *asking = context;
    if (rows->statement < 2 || !asking->state.made)
        return true;
    return influxdb_curves_add(&asking->curves, rows, &asking->tally, &asking->code, asking->error);
}

static bool take_curve_count(void *context, const struct influxdb_rows *rows)
{
    struct series_asking *asking = context;
    int64_t count;
    if (rows->statement < 2)
        return influxdb_state_row(&asking->state, rows);
    if (rows->column_count != 2 || !influxdb_cell_integer(&rows->cells[1], &count))
        return false;
    asking->curves.points += count;
    return true;
}

static void group_curves(struct series_asking *asking)
{
    asking->code = series_past_curves(asking->past, &asking->tally, asking->error);
    if (asking->code == FH_OK)
        asking->code = series_tally_group(&asking->tally, asking->error);
}

static void read_curve_rows(void *context)
{
    struct series_asking *asking = context;
    struct influxdb_reader reader = {
        .context = asking, .series = take_curve_series, .row = take_curve_count};
    read_by(asking, &reader);
    if (asking->code != FH_OK)
        return;
    influxdb_curves_sort(&asking->curves);
    group_curves(asking);
}

/* The number of versions of each is asked for only where all of them are read: of a long history
 * it takes long. */
static enum fh_code ask_curves(struct series_asking *asking)
{
    bool counted = asking->question->intervals > 0;
    struct text statements;
    text_init(&statements, INFLUXDB_SMALL);
    influxdb_add_state(&statements, asking->server, asking->measurement);
    text_add(&statements, counted ? ";SELECT count(\"fh_p\")" : ";SELECT last(\"fh_p\")");
    add_range(&statements, asking);
    add_curve_tags(&statements, asking->question);
    enum fh_code code = ask_statements(asking, &statements, read_curve_rows);
    if (code == FH_OK)
        code = influxdb_state_check(asking->server, &asking->state, asking->error);
    text_release(&statements);
    if (code == FH_OK && counted && asking->curves.points > VERSIONS_MAX)
        code = derived_unfit(asking->error, "tags",
                             "A question reads at most %d points: expected fewer tags, or a "
                             "shorter time.",
                             SERIES_FOUND_MAX);
    return code;
}

/* ---- Their points ---- */

static void scan_points(struct series_asking *asking, struct series_tally *tally, int64_t rows_max)
{
    struct influxdb_points *points = &asking->points;
    struct influxdb_reader reader = {
        .context = points, .series = influxdb_points_series, .row = influxdb_points_row};
    *points = (struct influxdb_points){.question = asking->question,
                                       .curves = &asking->curves,
                                       .tally = tally,
                                       .kept = asking->kept,
                                       .rows_max = rows_max,
                                       .error = asking->error};
    enum fh_code code;
    struct fh_error unread;
    code = influxdb_read(asking->server, &asking->call, &reader, &unread);
    if (code == FH_OK)
        influxdb_points_end(points);
    asking->code = points->code;
    if (asking->code != FH_OK || code == FH_OK)
        return;
    *asking->error = unread;
    asking->code = code;
}

static void answer_points(struct series_asking *asking)
{
    if (asking->code == FH_OK)
        asking->code = series_past_cells(asking->past, &asking->tally, asking->error);
    if (asking->code != FH_OK)
        return;
    series_tally_sort(&asking->tally);
    asking->code = series_answer(&asking->tally, &asking->answer, asking->error);
}

static void read_all_points(void *context)
{
    scan_points(context, &((struct series_asking *)context)->tally, 0);
    answer_points(context);
}

/* Twice: they are tallied once it is known that none is lacking. */
static void read_last_points(void *context)
{
    struct series_asking *asking = context;
    int64_t rows_max = asking->points.rows_max;
    scan_points(asking, NULL, rows_max);
    if (asking->code != FH_OK || asking->points.lacking)
        return;
    scan_points(asking, &asking->tally, rows_max);
    answer_points(asking);
}

static enum fh_code ask_points(struct series_asking *asking, int64_t rows_max)
{
    struct text statement;
    text_init(&statement, INFLUXDB_SMALL);
    add_points_statement(&statement, asking, rows_max);
    asking->points.rows_max = rows_max;
    enum fh_code code =
        ask_statements(asking, &statement, rows_max ? read_last_points : read_all_points);
    text_release(&statement);
    return code;
}

static enum fh_code ask_last_points(struct series_asking *asking)
{
    enum fh_code code = FH_OK;
    int64_t rows = asking->question->limit + 1;
    do {
        if (rows > ROWS_MAX)
            return derived_unfit(asking->error, "limit",
                                 "A question reads at most %lld versions of the points of a curve.",
                                 (long long)ROWS_MAX);
        code = ask_points(asking, rows);
        rows *= ROWS_MORE;
    } while (code == FH_OK && asking->points.lacking);
    return code;
}

/* ---- All of it ---- */

static enum fh_code ask_series(struct series_asking *asking)
{
    enum fh_code code = FH_OK;
    if (asking->from_ms >= asking->to_ms) { /* there is no such time */
        code = influxdb_look(asking->server, asking->question->declared, asking->measurement,
                             asking->error);
        asking->code = code;
        if (code == FH_OK)
            group_curves(asking);
        answer_points(asking);
        return asking->code;
    }
    code = ask_curves(asking);
    if (code != FH_OK)
        return code;
    if (asking->curves.count == 0) {
        answer_points(asking);
        return asking->code;
    }
    return asking->question->intervals ? ask_points(asking, 0) : ask_last_points(asking);
}

static int64_t within_times(int64_t at_ms)
{
    if (at_ms < INFLUXDB_AT_MS_MIN)
        return INFLUXDB_AT_MS_MIN;
    return at_ms > INFLUXDB_AT_MS_MAX ? INFLUXDB_AT_MS_MAX : at_ms;
}

enum fh_code influxdb_series(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, const struct fh_series *series,
                             int64_t oldest_ms, const struct series_past *past, int64_t deadline_ns,
                             json_t **ret, struct fh_error *error)
{
    struct influxdb *server = influxdb_of(base);
    struct series_question question;
    struct series_asking asking = {.server = server,
                                   .question = &question,
                                   .past = past,
                                   .kept = generation->kept,
                                   .error = error};
    *ret = NULL;
    enum fh_code code = series_question_init(&question, declared, series, oldest_ms, error);
    if (code != FH_OK)
        return code;
    series_question_past(&question, past);
    influxdb_measurement(declared, generation, "", asking.measurement);
    influxdb_state_init(&asking.state, declared);
    asking.from_ms = within_times(question.points_ms);
    asking.to_ms = within_times(question.to_ms);
    asking.deadline_ns =
        deadline_ns > 0 ? deadline_ns : world_in_ms(server->world, INFLUXDB_REQUEST_MS);
    influxdb_curves_init(&asking.curves, &question);
    series_tally_init(&asking.tally, &question);
    code = ask_series(&asking);
    if (code == FH_OK)
        *ret = asking.answer;
    else
        json_decref(asking.answer);
    series_tally_release(&asking.tally);
    influxdb_curves_release(&asking.curves);
    return code;
}
