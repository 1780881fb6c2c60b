/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Showing sagas. Everything is read from the rows in one snapshot, so it is what a restart would
 * find: a request that was sent and not answered is "sent", however often it has been sent. What is
 * marked in the input, and in the steps' requests and answers, is not shown.
 */

#include "saga/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "saga/decide.h"
#include "saga/manager.h"
#include "saga/marks.h"
#include "store/ledger.h"

#define WHY_SIZE 768

enum fh_code saga_id_parse(const char *text, struct saga_id *ret, struct fh_error *error)
{
    const char *dot = text ? strchr(text, '.') : NULL;
    char *end = NULL;
    *ret = (struct saga_id){0};
    bool born = dot && (size_t)(dot - text) < sizeof ret->birth;
    if (born)
        memcpy(ret->birth, text, (size_t)(dot - text));
    if (born && dot[1] >= '0' && dot[1] <= '9')
        ret->number = strtoll(dot + 1, &end, 10);
    bool by_start = born && dot[1] == '~' && strlen(dot + 2) == sizeof ret->start_id - 1;
    if (by_start)
        memcpy(ret->start_id, dot + 2, sizeof ret->start_id);
    if (!by_start && (!end || *end))
        return error_set(error, FH_INVALID,
                         "`id` must be a saga's, BIRTH.NUMBER or BIRTH.~START, as in Freehold-Saga "
                         "and the list of sagas, its NUMBER, or NAME=VALUE of its input.");
    return FH_OK;
}

enum fh_code saga_id_resolve(struct work_context *context, struct saga_id *id,
                             struct fh_error *error)
{
    struct store_work *work;
    struct arena arena;
    struct ledger_saga row;
    if (id->number)
        return FH_OK;
    enum fh_code code = store_begin(context->store, STORE_READ_COMMITTED, &work, error);
    if (code)
        return code;
    arena_init(&arena, ARENA_SIZE_MAX);
    code = ledger_saga_find(work, &arena, id->birth, id->start_id, &row, error);
    store_rollback(work);
    if (!code)
        id->number = row.number;
    arena_release(&arena);
    return code;
}

/* The n-th of "reserve,charge", or "" if there is none. */
static void step_name(const char *steps, int64_t n, char *out, size_t size)
{
    const char *at = steps;
    for (; n > 0 && at && *at; n--) {
        at = strchr(at, ',');
        at = at ? at + 1 : NULL;
    }
    snprintf(out, size, "%.*s", at && n == 0 ? (int)strcspn(at, ",") : 0, at ? at : "");
}

/* What is known of the current step. */
struct saga_under_way {
    json_t *steps;                /* or NULL: only counted */
    const json_t *state;          /* of the saga */
    const struct saga_type *type; /* with steps; NULL: this program does not have it */
    const json_t *input;          /* with its secrets, if they are still there */
    int64_t step;
    int elements, open;
    int all, left; /* of the whole saga: requests, and those not undone */
    char target[64];
    const char *names;
};

static bool step_settled(const char *state, bool back)
{
    static const char *const forth_over[] = {"done", "refused"};
    static const char *const back_over[] = {"undone", "never", "stored"};
    const char *const *over = back ? back_over : forth_over;
    for (size_t i = 0; i < (back ? 3 : 2); i++) {
        if (strcmp(state, over[i]) == 0)
            return true;
    }
    return false;
}

struct step_visit {
    struct saga_under_way *way;
    bool back;
};

static json_t *text_as_json(const char *text)
{
    json_t *value = NULL;
    if (text && json_parse(text, strlen(text), &value, ERROR_UNHEEDED) == FH_OK)
        return value;
    return json_null();
}

static void add_time(json_t *object, const char *name, int64_t time_ms)
{
    if (time_ms > 0)
        json_object_set_new(object, name, json_integer(time_ms));
}

static void add_step_times(json_t *shown, const json_t *state, int step)
{
    struct saga_times times = saga_times_of(state, step);
    add_time(shown, "begun_ms", times.begun_ms);
    add_time(shown, "settled_ms", times.settled_ms);
    add_time(shown, "undone_ms", times.undone_ms);
}

static bool visit_shown_step(void *context, const struct ledger_step *step)
{
    struct step_visit *visit = context;
    struct saga_under_way *way = visit->way;
    char name[64];
    way->all++;
    way->left += strcmp(step->state, "done") == 0 || strcmp(step->state, "sent") == 0;
    if (step->step == way->step) {
        way->elements++;
        way->open += !step_settled(step->state, visit->back);
        snprintf(way->target, sizeof way->target, "%s", step->target);
    }
    if (!way->steps)
        return true;
    step_name(way->names, step->step, name, sizeof name);
    json_t *shown = json_pack("{s:s, s:i, s:s, s:s, s:I, s:o, s:o}", "step", name, "element",
                              step->element, "target", step->target, "state", step->state,
                              "attempt", (json_int_t)step->attempt, "request",
                              text_as_json(step->request), "answer", text_as_json(step->answer));
    add_step_times(shown, way->state, step->step);
    saga_redact_step(way->type, step->step, way->input, shown);
    json_array_append_new(way->steps, shown);
    return true;
}

/* " because step charge came to 402 (declined)"; "" if there is no reason. */
static void saga_reason_of(const json_t *state, const char *names, char *out, size_t size)
{
    json_int_t step = -1, status = 0;
    char name[64];
    const char *detail = json_string_at(state, "reason.detail");
    out[0] = '\0';
    if (!json_integer_at(state, "reason.step", &step))
        return;
    json_integer_at(state, "reason.status", &status);
    step_name(names, step, name, sizeof name);
    snprintf(out, size, " because step %s came to %lld%s%s%s", name, (long long)status,
             detail && *detail ? " (" : "", detail ? detail : "", detail && *detail ? ")" : "");
}

/* What was done and not undone, for a reader who finds it years later. */
static void say_abandoned(const json_t *state, const struct saga_under_way *way,
                          char out[static WHY_SIZE])
{
    const char *by = json_string_at(state, "abandoned.by");
    const char *why = json_string_at(state, "abandoned.why");
    snprintf(
        out, WHY_SIZE,
        "It was given up by %s (%s), when %d of its %d steps and elements had been done, or may "
        "have been, and were not undone.",
        by ? by : "a person", why ? why : "nobody said why", way->left, way->all);
}

static void saga_why_of(const struct ledger_saga *row, const json_t *state,
                        const struct saga_under_way *way, char out[static WHY_SIZE])
{
    char name[64], reason[WHY_SIZE / 2], where[160];
    const char *parked = json_string_at(state, "why");
    step_name(way->names, way->step, name, sizeof name);
    saga_reason_of(state, way->names, reason, sizeof reason);
    if (way->target[0])
        snprintf(where, sizeof where, "%d of its %d requests to %s not settled", way->open,
                 way->elements, way->target);
    else
        snprintf(where, sizeof where, "which runs here");
    if (strcmp(row->status, "parked") == 0)
        snprintf(out, WHY_SIZE, "It needs an operator: %s", parked ? parked : "nobody said why.");
    else if (strcmp(row->status, "abandoned") == 0)
        say_abandoned(state, way, out);
    else if (strcmp(row->status, "ended") == 0)
        snprintf(out, WHY_SIZE, "All its steps are done.");
    else if (strcmp(row->status, "undone") == 0)
        snprintf(out, WHY_SIZE, "All that was done is undone%s.", reason);
    else if (strcmp(row->status, "compensating") == 0 && !name[0])
        snprintf(out, WHY_SIZE, "It goes back%s; all is undone but its own end.", reason);
    else if (strcmp(row->status, "compensating") == 0)
        snprintf(out, WHY_SIZE, "It goes back%s; it is at step %s, %s.", reason, name, where);
    else
        snprintf(out, WHY_SIZE, "It is at step %s, %s.", name, where);
}

bool saga_is_over(const char *status)
{
    int known = saga_status_of(status);
    return known == SAGA_ENDED || known == SAGA_UNDONE || known == SAGA_ABANDONED;
}

/* A saga's start event has an id with its time; a row is not changed after the saga's end. */
static void add_saga_times(json_t *shown, const struct ledger_saga *row)
{
    add_time(shown, "begun_ms", id_time_ms(row->start_id));
    if (saga_is_over(row->status))
        add_time(shown, "ended_ms", row->updated_ms);
}

enum fh_code saga_describe(struct store_work *work, const struct ledger_saga *row,
                           const struct saga_under_way *shown, json_t **ret, struct fh_error *error)
{
    struct arena arena;
    struct saga_under_way way = shown ? *shown : (struct saga_under_way){0};
    way.step = -1;
    json_int_t step = -1;
    char why[WHY_SIZE], name[64];
    json_t *state = text_as_json(row->state);
    way.names = json_string_at(state, "steps");
    way.state = state;
    if (json_integer_at(state, "step", &step))
        way.step = step;
    struct step_visit visit = {&way, json_is_true(json_object_get(state, "back"))};
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code =
        ledger_steps_get(work, &arena, row->birth, row->number, visit_shown_step, &visit, error);
    arena_release(&arena);
    saga_why_of(row, state, &way, why);
    step_name(way.names, way.step, name, sizeof name);
    *ret =
        json_pack("{s:o, s:s, s:s, s:s, s:s, s:I}", "id",
                  json_sprintf("%s.%" PRId64, row->birth, row->number), "name", row->name, "status",
                  row->status, "step", name, "why", why, "updated_ms", (json_int_t)row->updated_ms);
    json_decref(state);
    FH_ASSERT(*ret != NULL);
    add_saga_times(*ret, row);
    return code;
}

const struct saga_type *saga_shown_type(const struct work_context *context, const char *name,
                                        const json_t *state)
{
    struct fh_error error;
    if (!context->sagas)
        return NULL;
    const struct saga_type *type = saga_manager_type_of(context->sagas, name, state, &error);
    return type ? type : saga_manager_type(context->sagas, name);
}

enum fh_code saga_show(struct work_context *context, const struct saga_id *id, json_t **ret,
                       struct fh_error *error)
{
    struct arena arena;
    struct store_work *work;
    struct ledger_saga row;
    enum fh_code code = store_begin(context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    arena_init(&arena, ARENA_SIZE_MAX);
    code = ledger_saga_get(work, &arena, id->birth, id->number, &row, error);
    if (code == FH_OK) {
        json_t *steps = json_array(), *input = text_as_json(row.input);
        json_t *state = text_as_json(row.state), *whole = json_copy(input);
        struct saga_under_way shown = {
            .steps = steps, .type = saga_shown_type(context, row.name, state), .input = whole};
        json_object_update(whole, json_object_get(state, "secrets"));
        code = saga_describe(work, &row, &shown, ret, error);
        json_decref(whole);
        saga_redact_input(shown.type, &input);
        json_object_set_new(*ret, "input", input);
        if (json_string_at(state, "trace"))
            json_object_set(*ret, "trace", json_object_get(state, "trace"));
        json_object_set_new(*ret, "deadline_ms", json_integer(row.deadline_ms));
        json_object_set_new(*ret, "steps", steps);
        json_decref(state);
        if (code != FH_OK)
            json_decref(*ret);
    }
    store_rollback(work);
    arena_release(&arena);
    return code;
}
