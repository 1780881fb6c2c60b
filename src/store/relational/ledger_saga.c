/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on relational engines: sagas, the elements of their steps, and what is still to be
 * closed. */

#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/text.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

#define SAGA_PLACE_SIZE 32 /* "(block,offset)" */

#define SAGA_COLUMNS                                                                               \
    "birth, number, name, input, state, status, epoch, deadline_ms,"                               \
    " updated_ms, start_id"

static enum fh_code insert_saga(struct store_work *work, const struct ledger_saga *saga,
                                struct fh_error *error)
{
    struct sql_value values[] = {
        sql_text(saga->birth),    sql_integer(saga->number),      sql_text(saga->name),
        sql_text(saga->input),    sql_text(saga->state),          sql_text(saga->status),
        sql_integer(saga->epoch), sql_integer(saga->deadline_ms), sql_integer(saga->updated_ms),
        sql_text(saga->start_id), sql_text(work->store->instance)};
    return ledger_do(work,
                     "INSERT INTO fh_saga (" SAGA_COLUMNS ", owner)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                     values, LEDGER_COUNT(values), NULL, error);
}

/* What the sequencer makes the saga's rows from: see engine/postgresql/ledger_schema.c. New
 * reference, or NULL. */
static json_t *start_data(const struct store_work *work, const struct ledger_saga *saga,
                          const struct ledger_step *steps, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        const struct ledger_step *step = &steps[i];
        json_array_append_new(list, json_pack("{s:i, s:i, s:I, s:s, s:s, s:s}", "step", step->step,
                                              "element", step->element, "attempt",
                                              (json_int_t)step->attempt, "target", step->target,
                                              "request", step->request, "state", step->state));
    }
    bool whole = json_array_size(list) == (size_t)count;
    json_t *data = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:o}", "birth", saga->birth, "name",
        saga->name, "input", saga->input, "state", saga->state, "status", saga->status, "epoch",
        (json_int_t)saga->epoch, "deadline_ms", (json_int_t)saga->deadline_ms, "updated_ms",
        (json_int_t)saga->updated_ms, "owner", work->store->instance, "steps", list);
    if (data && whole)
        return data;
    json_decref(data);
    return NULL;
}

/* The event's id is its key: sagas don't wait for each other. */
static enum fh_code start_unnumbered(struct store_work *work, const struct ledger_event *event,
                                     const struct ledger_saga *saga,
                                     const struct ledger_step *steps, int count,
                                     struct fh_error *error)
{
    json_t *data = start_data(work, saga, steps, count);
    char *text = data ? json_text(data) : NULL;
    json_decref(data);
    if (!text)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a saga that starts.");
    struct ledger_event row = *event;
    row.key = event->id;
    row.data = text;
    enum fh_code code = ledger_append_unnumbered(work, &row, error);
    json_text_free(text);
    return code;
}

enum fh_code sql_ledger_saga_start(struct store_work *work, struct ledger_event *event,
                                   struct ledger_saga *saga, const struct ledger_step *steps,
                                   int count, struct fh_error *error)
{
    saga->start_id = event->id;
    if (work->store->ops->sequence) {
        saga->number = event->position = event->previous = 0;
        work->starts_saga = true;
        return start_unnumbered(work, event, saga, steps, count, error);
    }
    enum fh_code code = sql_ledger_outbox_append(work, event, error);
    saga->number = event->position;
    CRASH_POINT("start.numbered");
    if (code == FH_OK)
        code = insert_saga(work, saga, error);
    for (int i = 0; i < count && code == FH_OK; i++) {
        struct ledger_step step = steps[i];
        step.number = saga->number;
        code = sql_ledger_step_put(work, &step, error);
    }
    return code;
}

/* The row's physical place, looked up outside the unit of work; "": not there now. */
static enum fh_code saga_place(struct store_work *work, const struct sql_value *values,
                               char ret[SAGA_PLACE_SIZE], struct fh_error *error)
{
    struct store_work *beside;
    enum fh_code code = store_begin(work->store, STORE_READ_COMMITTED, &beside, error);
    if (code != FH_OK)
        return code;
    code = ledger_text(beside,
                       "SELECT CAST(ctid AS text) FROM fh_saga WHERE birth = ?1 AND number = ?2",
                       values, 2, ret, SAGA_PLACE_SIZE, error);
    store_rollback(beside);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

/* Uses the statement that itself fails if it changes nothing. In a serializable unit of work it
 * finds the row by its physical place, which conflicts with nobody; if the row has moved, the unit
 * of work is rerun. */
static enum fh_code saga_advance(struct store_work *work, struct sql_value *values, int count,
                                 struct fh_error *error)
{
    char place[SAGA_PLACE_SIZE] = "";
    enum fh_code code = FH_OK;
    if (ledger_looks_beside(work))
        code = saga_place(work, values, place, error);
    if (code != FH_OK)
        return code;
    if (!place[0])
        return ledger_do(work, ledger_sql(work, LEDGER_SAGA_ADVANCE), values, count, NULL, error);
    values[count] = sql_text(place);
    return ledger_do(work, ledger_sql(work, LEDGER_SAGA_ADVANCE_AT), values, count + 1, NULL,
                     error);
}

/* The rows were made of it (start_data) and nobody reads it again. */
static enum fh_code empty_start(struct store_work *work, const struct ledger_saga *saga,
                                struct fh_error *error)
{
    struct sql_value values[] = {sql_text(saga->birth), sql_integer(saga->number)};
    if (!work->store->ops->sequence)
        return FH_OK;
    return ledger_do(work,
                     "UPDATE fh_outbox SET data = '{}' WHERE position = ?2"
                     " AND type = 'freehold.saga.started' AND event_id ="
                     " (SELECT start_id FROM fh_saga WHERE birth = ?1 AND number = ?2)",
                     values, LEDGER_COUNT(values), NULL, error);
}

enum fh_code sql_ledger_saga_update(struct store_work *work, const struct ledger_saga *saga,
                                    struct fh_error *error)
{
    struct sql_value values[8] = {sql_text(saga->birth),        sql_integer(saga->number),
                                  sql_integer(saga->epoch),     sql_text(saga->state),
                                  sql_text(saga->status),       sql_integer(saga->deadline_ms),
                                  sql_integer(saga->updated_ms)};
    int count = LEDGER_COUNT(values) - 1;
    int64_t changed = 0;
    enum fh_code code = saga->spends ? empty_start(work, saga, error) : FH_OK;
    if (code != FH_OK)
        return code;
    if (ledger_sql(work, LEDGER_SAGA_ADVANCE))
        return saga_advance(work, values, count, error);
    const char *stay = saga->stays ? ledger_sql(work, LEDGER_SAGA_STAY) : NULL;
    code = ledger_do(
        work,
        stay ? stay
             : "UPDATE fh_saga SET state = ?4, status = ?5, deadline_ms = ?6, updated_ms = ?7"
               " WHERE birth = ?1 AND number = ?2 AND epoch = ?3 AND " LEDGER_SAGA_IS_OPEN,
        values, count, &changed, error);
    if (code == FH_OK && changed == 0)
        return error_set(error, FH_CONFLICT, LEDGER_SAGA_FENCED);
    return code;
}

static struct ledger_saga saga_of_row(const struct sql_row *row)
{
    const struct sql_value *v = row->values;
    return (struct ledger_saga){.birth = ledger_word(&v[0]),
                                .number = v[1].integer,
                                .name = ledger_word(&v[2]),
                                .input = ledger_word(&v[3]),
                                .state = ledger_word(&v[4]),
                                .status = ledger_word(&v[5]),
                                .epoch = v[6].integer,
                                .deadline_ms = v[7].integer,
                                .updated_ms = v[8].integer,
                                .start_id = ledger_word(&v[9])};
}

struct saga_found {
    struct arena *arena;
    struct ledger_saga *saga;
    bool found;
};

static bool take_saga(void *context, const struct sql_row *row)
{
    struct saga_found *found = context;
    struct ledger_saga saga = saga_of_row(row);
    saga.birth = arena_text(found->arena, saga.birth);
    saga.name = arena_text(found->arena, saga.name);
    saga.input = arena_text(found->arena, saga.input);
    saga.state = arena_text(found->arena, saga.state);
    saga.status = arena_text(found->arena, saga.status);
    saga.start_id = arena_text(found->arena, saga.start_id);
    *found->saga = saga;
    found->found = true;
    return true;
}

static enum fh_code get_saga(struct store_work *work, struct arena *arena, const char *sql,
                             const struct sql_value *values, struct ledger_saga *ret,
                             struct fh_error *error)
{
    struct saga_found found = {.arena = arena, .saga = ret};
    enum fh_code code = sql_run(work, sql, values, 2, take_saga, &found, NULL, error);
    if (code == FH_OK && !found.found)
        return error_set(error, FH_NOT_FOUND, "There is no such saga.");
    return code;
}

enum fh_code sql_ledger_saga_get(struct store_work *work, struct arena *arena, const char *birth,
                                 int64_t number, struct ledger_saga *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_integer(number)};
    return get_saga(work, arena,
                    "SELECT " SAGA_COLUMNS " FROM fh_saga WHERE birth = ?1 AND number = ?2", values,
                    ret, error);
}

enum fh_code sql_ledger_saga_find(struct store_work *work, struct arena *arena, const char *birth,
                                  const char *start_id, struct ledger_saga *ret,
                                  struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_text(start_id)};
    return get_saga(work, arena,
                    "SELECT " SAGA_COLUMNS " FROM fh_saga WHERE birth = ?1 AND start_id = ?2",
                    values, ret, error);
}

enum fh_code sql_ledger_step_put(struct store_work *work, const struct ledger_step *step,
                                 struct fh_error *error)
{
    struct sql_value values[] = {sql_text(step->birth),
                                 sql_integer(step->number),
                                 sql_integer(step->step),
                                 sql_integer(step->element),
                                 sql_integer(step->attempt),
                                 sql_text(step->target),
                                 sql_text(step->request),
                                 sql_text(step->state),
                                 sql_text(step->answer),
                                 sql_text(step->receiver),
                                 sql_integer(step->receiver_position)};
    return ledger_do(work, ledger_sql(work, LEDGER_STEP_PUT), values, LEDGER_COUNT(values), NULL,
                     error);
}

struct step_visit {
    bool (*visit)(void *context, const struct ledger_step *step);
    void *context;
    struct arena *arena;
};

static bool visit_step_row(void *context, const struct sql_row *row)
{
    const struct step_visit *to = context;
    const struct sql_value *v = row->values;
    struct ledger_step step = {.birth = ledger_copy(to->arena, &v[0]),
                               .number = v[1].integer,
                               .step = (int)v[2].integer,
                               .element = (int)v[3].integer,
                               .attempt = v[4].integer,
                               .target = ledger_copy(to->arena, &v[5]),
                               .request = ledger_copy(to->arena, &v[6]),
                               .state = ledger_copy(to->arena, &v[7]),
                               .answer = ledger_copy(to->arena, &v[8]),
                               .receiver = ledger_copy(to->arena, &v[9]),
                               .receiver_position = v[10].integer};
    return to->visit(to->context, &step);
}

enum fh_code sql_ledger_steps_get(struct store_work *work, struct arena *arena, const char *birth,
                                  int64_t number,
                                  bool (*visit)(void *context, const struct ledger_step *step),
                                  void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_integer(number)};
    struct step_visit to = {visit, context, arena};
    return sql_run(work,
                   "SELECT birth, number, step, element, attempt, target, request, state, answer,"
                   " receiver, receiver_position FROM fh_saga_step"
                   " WHERE birth = ?1 AND number = ?2 ORDER BY step, element",
                   values, 2, visit_step_row, &to, NULL, error);
}

struct saga_visit {
    bool (*visit)(void *context, const struct ledger_saga *saga);
    void *context;
};

static bool visit_saga_row(void *context, const struct sql_row *row)
{
    const struct saga_visit *to = context;
    struct ledger_saga saga = saga_of_row(row);
    return to->visit(to->context, &saga);
}

enum fh_code sql_ledger_sagas_adopt(struct store_work *work, const char *owner,
                                    int64_t *ret_adopted, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(owner)};
    return ledger_do(
        work,
        "UPDATE fh_saga SET owner = ?1, epoch = epoch + 1 WHERE status IN " LEDGER_SAGA_OPEN
        " AND owner NOT IN (SELECT fh_lease.owner FROM fh_lease"
        " WHERE name LIKE '" LEDGER_INSTANCE "%')",
        values, 1, ret_adopted, error);
}

enum fh_code sql_ledger_saga_take(struct store_work *work, const char *birth, int64_t number,
                                  const char *owner, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_integer(number), sql_text(owner)};
    return ledger_do(work,
                     "UPDATE fh_saga SET owner = ?3, epoch = epoch + 1"
                     " WHERE birth = ?1 AND number = ?2",
                     values, LEDGER_COUNT(values), NULL, error);
}

/* Reads each status's index from the given saga on, and no further than needed: there may be tens
 * of thousands of open sagas, which are read a few hundred at a time. */
#define OPEN_OF(status, owned, name)                                                               \
    "SELECT * FROM (SELECT " SAGA_COLUMNS " FROM fh_saga WHERE status = '" status "'" owned        \
    " AND (birth, number) > (?1, ?2) ORDER BY birth, number LIMIT ?3) AS " name
#define OPEN_SOME(owned)                                                                           \
    OPEN_OF("running", owned, "running")                                                           \
    " UNION ALL " OPEN_OF("compensating", owned, "compensating") " UNION ALL " OPEN_OF(            \
        "parked", owned, "parked") " ORDER BY birth, number LIMIT ?3"

enum fh_code sql_ledger_sagas_open(struct store_work *work, const struct ledger_open *open,
                                   bool (*visit)(void *context, const struct ledger_saga *saga),
                                   void *context, struct fh_error *error)
{
    struct saga_visit to = {visit, context};
    struct sql_value values[] = {
        sql_text(open->birth ? open->birth : ""), sql_integer(open->number),
        sql_integer(open->limit ? open->limit : INT32_MAX), sql_text(open->owner)};
    if (open->owner)
        return sql_run(work, OPEN_SOME(" AND owner = ?4"), values, 4, visit_saga_row, &to, NULL,
                       error);
    return sql_run(work, OPEN_SOME(""), values, 3, visit_saga_row, &to, NULL, error);
}

/* Reads the index of each status backwards, `limit` of them at most. */
#define OVER_OF(status, name)                                                                      \
    "SELECT * FROM (SELECT " SAGA_COLUMNS " FROM fh_saga WHERE status = '" status                  \
    "' AND birth = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3) AS " name

enum fh_code sql_ledger_sagas_over(struct store_work *work, const struct ledger_over *over,
                                   bool (*visit)(void *context, const struct ledger_saga *saga),
                                   void *context, struct fh_error *error)
{
    struct saga_visit to = {visit, context};
    struct sql_value values[] = {sql_text(over->birth),
                                 sql_integer(over->below ? over->below : INT64_MAX),
                                 sql_integer(over->limit)};
    return sql_run(
        work,
        OVER_OF("ended", "ended") " UNION ALL " OVER_OF("undone", "undone") " UNION ALL " OVER_OF(
            "abandoned", "abandoned") " ORDER BY number DESC LIMIT ?3",
        values, LEDGER_COUNT(values), visit_saga_row, &to, NULL, error);
}

/* ---- closing ---- */

static bool add_number_row(void *context, const struct sql_row *row)
{
    struct text *text = context;
    text_printf(text, "%s%lld", text->length > 1 ? "," : "", (long long)row->values[0].integer);
    return true;
}

/* Each from the index of its status: a list of three could make a planner read all that are over.
 */
#define OPEN_NUMBERS_OF(status)                                                                    \
    "SELECT number FROM fh_saga WHERE status = '" status "' AND birth = ?1 AND number < ?2"

enum fh_code sql_ledger_sagas_closable(struct store_work *work, struct arena *arena,
                                       const char *birth, struct ledger_caller *ret,
                                       struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_integer(0)};
    *ret = (struct ledger_caller){.still_open = "[]"};
    enum fh_code code =
        ledger_integer(work,
                       "SELECT coalesce(max(number), 0) FROM (SELECT max(number) AS number"
                       " FROM fh_saga WHERE status = 'ended' AND birth = ?1 UNION ALL"
                       " SELECT max(number) FROM fh_saga WHERE status = 'undone' AND birth = ?1"
                       " UNION ALL SELECT max(number) FROM fh_saga WHERE status = 'abandoned'"
                       " AND birth = ?1)"
                       " AS ended",
                       values, 1, &ret->closed_through, error);
    if (code != FH_OK)
        return code;
    struct text open;
    text_init(&open, TEXT_LENGTH_MAX);
    text_add(&open, "[");
    values[1] = sql_integer(ret->closed_through);
    code = sql_run(work,
                   OPEN_NUMBERS_OF("running") " UNION ALL " OPEN_NUMBERS_OF(
                       "compensating") " UNION ALL " OPEN_NUMBERS_OF("parked") " ORDER BY number",
                   values, 2, add_number_row, &open, NULL, error);
    text_add(&open, "]");
    if (code == FH_OK && open.overflow)
        code = error_set(error, FH_NO_MEMORY, "Too many sagas are open.");
    if (code == FH_OK)
        ret->still_open = arena_copy(arena, open.data, open.length);
    text_release(&open);
    return code;
}

enum fh_code sql_ledger_sagas_closed(struct store_work *work, const char *birth,
                                     const struct ledger_caller *closed, int64_t *ret_marked,
                                     struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_integer(closed->closed_through),
                                 sql_text(closed->still_open)};
    return ledger_do(work, ledger_sql(work, LEDGER_SAGAS_CLOSED), values, LEDGER_COUNT(values),
                     ret_marked, error);
}

struct unclosed_visit {
    bool (*visit)(void *context, const char *birth, const char *target);
    void *context;
};

static bool visit_unclosed(void *context, const struct sql_row *row)
{
    const struct unclosed_visit *to = context;
    return to->visit(to->context, ledger_word(&row->values[0]), ledger_word(&row->values[1]));
}

enum fh_code sql_ledger_sagas_unclosed(struct store_work *work,
                                       bool (*visit)(void *context, const char *birth,
                                                     const char *target),
                                       void *context, struct fh_error *error)
{
    struct unclosed_visit to = {visit, context};
    return sql_run(work,
                   "SELECT DISTINCT fh_saga.birth, target FROM fh_saga JOIN fh_saga_step"
                   " ON fh_saga_step.birth = fh_saga.birth AND fh_saga_step.number = fh_saga.number"
                   " WHERE closed = 0 AND status IN " LEDGER_SAGA_OVER " AND target <> ''",
                   NULL, 0, visit_unclosed, &to, NULL, error);
}

/* ---- counts ---- */

static bool take_status_count(void *context, const struct sql_row *row)
{
    struct ledger_counts *counts = context;
    const struct {
        const char *status;
        int64_t *count;
    } known[] = {{"running", &counts->running}, {"compensating", &counts->compensating},
                 {"ended", &counts->ended},     {"undone", &counts->undone},
                 {"parked", &counts->parked},   {"abandoned", &counts->abandoned}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].status, ledger_word(&row->values[0])) == 0)
            *known[i].count = row->values[1].integer;
    }
    return true;
}

enum fh_code sql_ledger_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                    struct fh_error *error)
{
    *ret = (struct ledger_counts){0};
    return sql_run(work, "SELECT status, count(*) FROM fh_saga GROUP BY status", NULL, 0,
                   take_status_count, ret, NULL, error);
}
