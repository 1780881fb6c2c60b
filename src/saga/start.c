/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fh_saga_start: the saga begins in the handler's own transaction. Its number is the position of an
 * outbox row, its first step's requests are stored with it, and only once all that is durable does
 * the manager take it over. The handler's mistakes (an unknown saga, an input from which some
 * step's request can't be made) are reported at once, before anything is stored.
 *
 * Until the commit everything is on the unit of work's arena: a rerun starts from nothing.
 *
 * The store may have the saga's row long before this process learns that the commit is done, or
 * what the saga's number is. By then the manager may have read the row, run the saga and finished
 * it, with its epoch still the first. So if a row with so high a number has been read, the row says
 * where the saga is (unnumbered.c), not what was started here.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "call/user.h"
#include "saga/manager.h"
#include "saga/marks.h"
#include "shape/shape.h"

#define STARTED_TYPE "freehold.saga.started"
#define STARTED_KEY "freehold.saga" /* one order for all sagas of a store */

/* A run in the making: all of it is on the arena. */
struct starting {
    struct saga_run run;
    int counts[SAGA_STEPS_MAX];
    struct ledger_event event;      /* its start; it has a position once it is committed */
    char life[STORE_INSTANCE_SIZE]; /* the session that owns it, as in its row */
};

/* Paths and bodies, on the arena instead of the heap. */
static void take_rendered(struct saga_part *part, const struct saga_rendered *rendered)
{
    part->path = (char *)(uintptr_t)rendered->path;
    part->undo_path = (char *)(uintptr_t)rendered->undo_path;
    part->body = (char *)(uintptr_t)rendered->body;
}

/* What somebody has sent, or stored, is no fault of the handler's. */
static _Noreturn void refuse_saga(fh_work *w, const struct saga_type *type, int step,
                                  const struct fh_error *error)
{
    if (error->code == FH_NOT_FOUND)
        work_fail_as(w, PROBLEM_REFERENCE_MISSING, NULL,
                     work_printf(w, "Step %s of saga %s has no address. %s",
                                 type->rules.steps[step].name, type->rules.name, error->message));
    work_fault(w, "Saga %s can't start: %s", type->rules.name, error->message);
}

/* Makes every request once, so that a saga never finds out half-way that one can't be made. */
static void try_requests(fh_work *w, struct starting *starting)
{
    struct saga_run *run = &starting->run;
    const json_t *input = saga_whole_input(run);
    for (int step = 0; step < run->type->rules.step_count; step++) {
        for (int i = 0; i < starting->counts[step] && !run->type->calls[step].run; i++) {
            struct saga_rendered rendered;
            struct fh_error error;
            if (saga_type_render(run->type, step, i, input, &w->arena, &rendered, &error) != FH_OK)
                refuse_saga(w, run->type, step, &error);
            int at = run->state.first[step] + i;
            if (run->state.elements[at].state != SAGA_UNSTORED)
                take_rendered(&run->parts[at], &rendered);
        }
    }
}

/* The elements that have begun, as rows. */
static struct ledger_step *begun_steps(fh_work *w, const struct starting *starting, int *ret_count)
{
    const struct saga_run *run = &starting->run;
    int step_count = run->type->rules.step_count, count = 0;
    struct ledger_step *steps =
        work_alloc(w, ((size_t)run->state.first[step_count] + 1) * sizeof *steps);
    for (int step = 0; step < step_count; step++) {
        for (int i = 0; i < starting->counts[step]; i++) {
            if (saga_element(&run->state, step, i)->state != SAGA_UNSTORED)
                saga_record_step(run, &run->state, step, i, &w->arena, &steps[count++]);
        }
    }
    *ret_count = count;
    return steps;
}

static enum fh_code write_start(fh_work *w, void *argument, struct fh_error *error)
{
    struct starting *starting = argument;
    struct saga_run *run = &starting->run;
    starting->event = (struct ledger_event){
        .time_ms = w->now_ms,
        .version = 1,
        .id = fh_id_new(w),
        .type = STARTED_TYPE,
        .key = STARTED_KEY,
        .data = work_printf(w, "{\"saga\":\"%s\"}", run->type->rules.name),
        .trace = w->trace,
    };
    struct ledger_saga row;
    memcpy(starting->life, w->store_work->store->instance, sizeof starting->life);
    saga_record_row(run, &run->state, &w->arena, &row);
    row.input = json_text(run->input);
    int count;
    const struct ledger_step *steps = begun_steps(w, starting, &count);
    enum fh_code code =
        ledger_saga_start(w->store_work, &starting->event, &row, steps, count, error);
    work_appended(w, &starting->event);
    CRASH_POINT("start.recorded");
    /* The answer may be recorded, so it is the same before and after the saga has its number. */
    const char *reference = row.number
                                ? work_printf(w, "%s.%lld", run->birth, (long long)row.number)
                                : work_printf(w, "%s.~%s", run->birth, starting->event.id);
    if (!code && w->reply_header_count < WORK_REPLY_HEADERS_MAX + WORK_REPLY_HEADERS_OWN - 2)
        w->reply_headers[w->reply_header_count++] =
            (struct work_reply_header){SAGA_HEADER, reference};
    return code;
}

static char *copy_start_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    FH_ASSERT(!text || copy);
    return copy;
}

static struct saga_run *copy_run(const struct starting *starting)
{
    const struct saga_run *from = &starting->run;
    struct saga_run *run = saga_run_new(from->manager, from->type, from->birth,
                                        starting->event.position, from->input, starting->counts);
    run->epoch = from->epoch;
    run->losses = from->losses;
    run->secrets = from->secrets ? json_copy_out(from->secrets) : NULL;
    run->trace = copy_start_text(from->trace);
    run->user = from->user ? user_ref(from->user) : NULL;
    run->deadline_ns = from->deadline_ns;
    memcpy(run->times, from->times, (size_t)from->type->rules.step_count * sizeof *run->times);
    saga_state_copy(&from->type->rules, &from->state, &run->state, run->state.elements);
    for (int i = 0; i < from->state.first[from->type->rules.step_count]; i++) {
        run->parts[i].path = copy_start_text(from->parts[i].path);
        run->parts[i].undo_path = copy_start_text(from->parts[i].undo_path);
        run->parts[i].body = copy_start_text(from->parts[i].body);
    }
    return run;
}

static void start_committed(fh_work *w, void *argument)
{
    (void)w;
    const struct starting *starting = argument;
    struct saga_manager *manager = starting->run.manager;
    ++*saga_manager_count(manager, starting->run.state.status);
    if (saga_due(&starting->run.type->rules, &starting->run.state) == SAGA_DUE_NOTHING ||
        manager->stopping)
        return;
    if (manager->away || strcmp(starting->life, manager->context->store->instance) != 0)
        return; /* its row belongs to a dead session: another instance adopts it */
    if (saga_manager_waits(manager, starting->run.birth, starting->event.position))
        return;
    if (starting->event.position <= manager->read_through) {
        saga_manager_await(manager, starting->run.birth, starting->event.id);
        return;
    }
    struct arena *before = json_arena_set(NULL);
    saga_manager_begin(manager, copy_run(starting));
    json_arena_set(before);
}

static void check_saga_input(fh_work *w, const struct saga_type *type, const json_t *input)
{
    const fh_field *shape = type->definition->input;
    json_t *faults = shape ? shape_check(shape, input) : NULL, *rest, *secrets;
    const json_t *fault = json_array_get(faults, 0);
    if (fault)
        work_fault(w, "The input of saga %s does not fit its declared shape, at \"%s\": %s",
                   type->rules.name, json_string_at(fault, "pointer"),
                   json_string_at(fault, "detail"));
    saga_secrets_part(type, input, &rest, &secrets);
    if (secrets && strlen(json_text(secrets)) > SAGA_SECRETS_SIZE_MAX)
        work_fault(w, "The secrets of saga %s have more than %zu bytes.", type->rules.name,
                   SAGA_SECRETS_SIZE_MAX);
}

void fh_saga_start(fh_work *w, const char *name, json_t *input)
{
    struct saga_manager *manager = w->context->sagas;
    const struct saga_type *type = manager ? saga_manager_type(manager, name) : NULL;
    if (!type)
        work_fault(w, "%s started saga %s, which is not among its declared `sagas`.",
                   w->context->service->name, name);
    if (!json_is_object(input))
        work_fault(w, "The input of saga %s must be an object.", name);
    check_saga_input(w, type, input);
    if (!work_reaches_out(w)) {
        work_refuse_drawn(w, name, input);
        return;
    }
    struct starting *starting = work_alloc(w, sizeof *starting);
    struct saga_run *run = &starting->run;
    struct fh_error error;
    run->manager = manager;
    run->type = type;
    /* Copies: the handler may change it afterwards. */
    saga_secrets_part(type, input, &run->input, &run->secrets);
    run->epoch = SAGA_EPOCH_FIRST;
    run->losses = w->context->store->losses; /* as of before its commit */
    run->trace = w->trace ? work_printf(w, "%s", w->trace) : NULL;
    run->user = w->user; /* which outlives the unit of work */
    run->deadline_ns = world_in_ms(w->context->world, type->deadline_ms);
    memcpy(run->birth, w->context->store->incarnation, ID_SIZE);
    if (saga_type_counts(type, run->input, starting->counts, &error) != FH_OK)
        work_fault(w, "Saga %s can't start: %s", name, error.message);
    size_t elements = 1;
    for (int i = 0; i < type->rules.step_count; i++)
        elements += (size_t)starting->counts[i];
    run->parts = work_alloc(w, elements * sizeof *run->parts);
    run->times = work_alloc(w, SAGA_STEPS_MAX * sizeof *run->times);
    saga_state_init(&type->rules, starting->counts, &run->state,
                    work_alloc(w, elements * sizeof *run->state.elements));
    struct saga_happening started = {.what = SAGA_STARTED};
    saga_decide(&type->rules, &run->state, &started);
    try_requests(w, starting);
    work_on_end(w, write_start, start_committed, starting);
}
