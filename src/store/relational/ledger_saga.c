/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on relational engines: sagas, their steps' elements, and what is yet to be closed. */

#include <string.h>

#include "base/text.h"
#include "store/relational/ledger.h"

#define SAGA_COLUMNS "birth, number, name, input, state, status, epoch, deadline_ms, updated_ms"
#define OPEN_STATUSES "('running', 'compensating', 'parked')"

enum fh_code ledger_saga_insert(struct store_work *work, const struct ledger_saga *saga,
                                struct fh_error *error)
{
    struct sql_value values[] = {
        sql_text(saga->birth),    sql_integer(saga->number),      sql_text(saga->name),
        sql_text(saga->input),    sql_text(saga->state),          sql_text(saga->status),
        sql_integer(saga->epoch), sql_integer(saga->deadline_ms), sql_integer(saga->updated_ms)};
    return ledger_do(work,
                     "INSERT INTO fh_saga (" SAGA_COLUMNS ")"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                     values, LEDGER_COUNT(values), NULL, error);
}

enum fh_code ledger_saga_update(struct store_work *work, const struct ledger_saga *saga,
                                struct fh_error *error)
{
    struct sql_value values[] = {sql_text(saga->birth),        sql_integer(saga->number),
                                 sql_integer(saga->epoch),     sql_text(saga->state),
                                 sql_text(saga->status),       sql_integer(saga->deadline_ms),
                                 sql_integer(saga->updated_ms)};
    int64_t changed = 0;
    enum fh_code code = ledger_do(work,
                                  "UPDATE fh_saga SET state = ?4, status = ?5, deadline_ms = ?6,"
                                  " updated_ms = ?7 WHERE birth = ?1 AND number = ?2"
                                  " AND epoch = ?3",
                                  values, LEDGER_COUNT(values), &changed, error);
    if (code == FH_OK && changed == 0)
        return error_set(error, FH_CONFLICT, "The saga is run by another instance now.");
    return code;
}

static struct ledger_saga saga_of(const struct sql_row *row)
{
    const struct sql_value *v = row->values;
    return (struct ledger_saga){.birth = v[0].text,
                                .number = v[1].integer,
                                .name = v[2].text,
                                .input = v[3].text,
                                .state = v[4].text,
                                .status = v[5].text,
                                .epoch = v[6].integer,
                                .deadline_ms = v[7].integer,
                                .updated_ms = v[8].integer};
}

struct saga_found {
    struct arena *arena;
    struct ledger_saga *saga;
    bool found;
};

static bool take_saga(void *context, const struct sql_row *row)
{
    struct saga_found *found = context;
    struct ledger_saga saga = saga_of(row);
    saga.birth = arena_text(found->arena, saga.birth);
    saga.name = arena_text(found->arena, saga.name);
    saga.input = arena_text(found->arena, saga.input);
    saga.state = arena_text(found->arena, saga.state);
    saga.status = arena_text(found->arena, saga.status);
    *found->saga = saga;
    found->found = true;
    return true;
}

enum fh_code ledger_saga_get(struct store_work *work, struct arena *arena, const char *birth,
                             int64_t number, struct ledger_saga *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_integer(number)};
    struct saga_found found = {.arena = arena, .saga = ret};
    enum fh_code code =
        sql_run(work, "SELECT " SAGA_COLUMNS " FROM fh_saga WHERE birth = ?1 AND number = ?2",
                values, 2, take_saga, &found, NULL, error);
    if (code == FH_OK && !found.found)
        return error_set(error, FH_NOT_FOUND, "There is no such saga.");
    return code;
}

enum fh_code ledger_step_put(struct store_work *work, const struct ledger_step *step,
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
    return ledger_do(work,
                     "INSERT INTO fh_saga_step (birth, number, step, element, attempt, target,"
                     " request, state, answer, receiver, receiver_position)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                     " ON CONFLICT (birth, number, step, element) DO UPDATE SET"
                     " attempt = excluded.attempt, request = excluded.request,"
                     " state = excluded.state, answer = excluded.answer,"
                     " receiver = excluded.receiver,"
                     " receiver_position = excluded.receiver_position",
                     values, LEDGER_COUNT(values), NULL, error);
}

struct step_visit {
    bool (*visit)(void *context, const struct ledger_step *step);
    void *context;
    struct arena *arena;
};

static bool visit_step(void *context, const struct sql_row *row)
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

enum fh_code ledger_steps_get(struct store_work *work, struct arena *arena, const char *birth,
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
                   values, 2, visit_step, &to, NULL, error);
}

struct saga_visit {
    bool (*visit)(void *context, const struct ledger_saga *saga);
    void *context;
};

static bool visit_saga(void *context, const struct sql_row *row)
{
    const struct saga_visit *to = context;
    struct ledger_saga saga = saga_of(row);
    return to->visit(to->context, &saga);
}

enum fh_code ledger_sagas_open(struct store_work *work,
                               bool (*visit)(void *context, const struct ledger_saga *saga),
                               void *context, struct fh_error *error)
{
    struct saga_visit to = {visit, context};
    return sql_run(work,
                   "SELECT " SAGA_COLUMNS " FROM fh_saga WHERE status IN " OPEN_STATUSES
                   " ORDER BY birth, number",
                   NULL, 0, visit_saga, &to, NULL, error);
}

/* ---- closing ---- */

static bool add_number(void *context, const struct sql_row *row)
{
    struct text *text = context;
    text_printf(text, "%s%lld", text->length > 1 ? "," : "", (long long)row->values[0].integer);
    return true;
}

enum fh_code ledger_sagas_closable(struct store_work *work, struct arena *arena, const char *birth,
                                   struct ledger_caller *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_integer(0)};
    *ret = (struct ledger_caller){.still_open = "[]"};
    enum fh_code code =
        ledger_integer(work,
                       "SELECT coalesce(max(number), 0) FROM (SELECT max(number) AS number"
                       " FROM fh_saga WHERE status = 'ended' AND birth = ?1 UNION ALL"
                       " SELECT max(number) FROM fh_saga WHERE status = 'undone' AND birth = ?1)"
                       " AS ended",
                       values, 1, &ret->closed_through, error);
    if (code != FH_OK)
        return code;
    struct text open;
    text_init(&open, TEXT_LENGTH_MAX);
    text_add(&open, "[");
    values[1] = sql_integer(ret->closed_through);
    code = sql_run(work,
                   "SELECT number FROM fh_saga WHERE birth = ?1 AND number < ?2"
                   " AND status IN " OPEN_STATUSES " ORDER BY number",
                   values, 2, add_number, &open, NULL, error);
    text_add(&open, "]");
    if (code == FH_OK && open.overflow)
        code = error_set(error, FH_NO_MEMORY, "Too many sagas are open.");
    if (code == FH_OK)
        ret->still_open = arena_copy(arena, open.data, open.length);
    text_release(&open);
    return code;
}

enum fh_code ledger_sagas_closed(struct store_work *work, const char *birth,
                                 const struct ledger_caller *closed, int64_t *ret_marked,
                                 struct fh_error *error)
{
    struct sql_value values[] = {sql_text(birth), sql_integer(closed->closed_through),
                                 sql_text(closed->still_open)};
    return ledger_do(work,
                     "UPDATE fh_saga SET closed = 1 WHERE closed = 0 AND birth = ?1"
                     " AND number <= ?2 AND status IN ('ended', 'undone')"
                     " AND number NOT IN (SELECT value FROM json_each(?3))",
                     values, LEDGER_COUNT(values), ret_marked, error);
}

struct unclosed_visit {
    bool (*visit)(void *context, const char *birth, const char *target);
    void *context;
};

static bool visit_unclosed(void *context, const struct sql_row *row)
{
    const struct unclosed_visit *to = context;
    return to->visit(to->context, row->values[0].text, row->values[1].text);
}

enum fh_code ledger_sagas_unclosed(struct store_work *work,
                                   bool (*visit)(void *context, const char *birth,
                                                 const char *target),
                                   void *context, struct fh_error *error)
{
    struct unclosed_visit to = {visit, context};
    return sql_run(work,
                   "SELECT DISTINCT fh_saga.birth, target FROM fh_saga JOIN fh_saga_step"
                   " ON fh_saga_step.birth = fh_saga.birth AND fh_saga_step.number = fh_saga.number"
                   " WHERE closed = 0 AND status IN ('ended', 'undone') AND target <> ''",
                   NULL, 0, visit_unclosed, &to, NULL, error);
}

static bool take_count(void *context, const struct sql_row *row)
{
    struct ledger_counts *counts = context;
    const struct {
        const char *status;
        int64_t *count;
    } known[] = {{"running", &counts->running},
                 {"compensating", &counts->compensating},
                 {"ended", &counts->ended},
                 {"undone", &counts->undone},
                 {"parked", &counts->parked}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].status, row->values[0].text) == 0)
            *known[i].count = row->values[1].integer;
    }
    return true;
}

enum fh_code ledger_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                struct fh_error *error)
{
    *ret = (struct ledger_counts){0};
    return sql_run(work, "SELECT status, count(*) FROM fh_saga GROUP BY status", NULL, 0,
                   take_count, ret, NULL, error);
}
