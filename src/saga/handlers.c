/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service's own part in its sagas: run and undone handlers, and what they see. The handler's
 * transaction begins with the transition that follows from its success (guarded by the epoch: it
 * fails if another instance has taken the saga over), so its changes and the saga's progress are
 * one commit. A handler that refuses or fails changes nothing, nor does the transition.
 */

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/doing.h"
#include "base/json.h"
#include "saga/manager.h"
#include "saga/marks.h"
#include "work/fault.h"
#include "work/spans.h"

#define HANDLER_DEADLINE_MS 10000

struct fh_saga_view {
    const struct saga_run *run;
    const struct saga_state *state; /* as it is when the handler runs */
};

struct handler_fence {
    struct work_fence fence; /* must be first */
    fh_work *w;
    struct saga_run *run;
    const struct saga_state *after;
    bool lost; /* another instance has the saga */
};

static enum work_verdict check_saga_epoch(struct work_fence *fence, struct store_work *work,
                                          struct fh_error *error)
{
    struct handler_fence *handler = (struct handler_fence *)fence;
    enum fh_code code =
        saga_record_put(work, handler->run, handler->after, &handler->w->arena, error);
    CRASH_POINT("saga.advanced");
    handler->lost = code == FH_CONFLICT && !error->retryable;
    return work_verdict_of(code, error);
}

/* The state after the handler's success, ready to be stored. */
static void state_after(struct saga_run *run, const struct saga_state *state,
                        struct saga_state *after)
{
    const struct saga_rules *rules = &run->type->rules;
    struct saga_happening handled = {.what = SAGA_HANDLED};
    struct fh_error error;
    saga_state_copy(rules, state, after, run->scratch + state->first[rules->step_count]);
    saga_decide(rules, after, &handled);
    if (saga_record_render(run, after, &error) != FH_OK) {
        struct saga_happening broken = {.what = SAGA_BROKEN, .detail = error.message};
        saga_decide(rules, after, &broken);
    }
}

static enum fh_code run_handler_work(struct saga_run *run, const struct saga_state *state,
                                     struct handler_fence *fence, struct saga_happening *happening,
                                     char detail[static SAGA_TEXT_SIZE],
                                     char fault[static FAULT_TEXT_SIZE])
{
    struct work_context *context = run->manager->context;
    struct fh_saga_view view = {.run = run, .state = state};
    bool undone = saga_due(&run->type->rules, state) == SAGA_DUE_UNDONE;
    fh_work w;
    work_init(&w, context,
              undone ? run->type->definition->undone : run->type->calls[state->step].run);
    w.deadline_ns = world_in_ms(context->world, HANDLER_DEADLINE_MS);
    fence->w = &w;
    w.fence = &fence->fence;
    w.saga = &view;
    w.given = (struct work_given){.cover = saga_given, .context = run};
    w.trace = run->trace;
    w.doing = doing_of((doing_function *)w.handler, "saga %s, %s%s", run->type->rules.name,
                       undone ? "undone" : "step ",
                       undone ? "" : run->type->rules.steps[state->step].name);
    w.user = run->user;
    w.command_key = arena_printf(&w.kept, "%s %s %s", context->service->name, run->reference,
                                 undone ? "undone" : run->type->rules.steps[state->step].name);
    int64_t began_ns = world_monotonic_ns(context->world);
    enum fh_code code = work_run(&w);
    struct span span = {.kind = SPAN_HANDLER,
                        .parent = run->trace,
                        .what = undone ? "undone" : run->type->rules.steps[state->step].name,
                        .key = run->reference,
                        .status = code == FH_OK ? 200 : w.reply_status,
                        .began_ns = began_ns};
    spans_keep(context->spans, &span);
    if (code == FH_CONFLICT && strcmp(w.failure.native, LEDGER_FENCED) == 0)
        fence->lost = true;
    happening->status = w.reply_status;
    snprintf(detail, SAGA_TEXT_SIZE, "%.*s", SAGA_TEXT_SIZE - 1, w.failure.message);
    happening->detail = detail;
    if (fault_take(&w))
        fault_text(&w, fault); /* for saga-handler-failed, which is not written with each attempt */
    work_release(&w);
    return code;
}

struct saga_happening saga_handler_run(struct saga_run *run, struct saga_state *state,
                                       char detail[static SAGA_TEXT_SIZE],
                                       char fault[static FAULT_TEXT_SIZE])
{
    const struct saga_rules *rules = &run->type->rules;
    struct saga_happening happening = {.what = SAGA_HANDLED};
    struct saga_state after;
    state_after(run, state, &after);
    bool ends = after.status == SAGA_ENDED || after.status == SAGA_UNDONE;
    if (ends)
        saga_closing_begin(run);
    struct handler_fence fence = {
        .fence = {.check = check_saga_epoch}, .run = run, .after = &after};
    enum fh_code code = run_handler_work(run, state, &fence, &happening, detail, fault);
    CRASH_POINT("saga.handled");
    if (ends)
        saga_closing_end(run, code == FH_OK);
    if (code == FH_OK) {
        saga_state_copy(rules, &after, state, state->elements);
        return happening;
    }
    run->gone = run->gone || fence.lost; /* it may have gone for another reason by now */
    bool refused = happening.status >= 400 && happening.status < 500;
    happening.what = refused && !fence.lost ? SAGA_HANDLER_REFUSED : SAGA_HANDLER_FAILED;
    return happening;
}

/* ---- What handlers see ---- */

static const struct fh_saga_view *saga_view_of(fh_work *w, const char *what)
{
    if (!w->saga)
        work_fault(w, "%s is for the run and undone handlers of sagas.", what);
    return w->saga;
}

json_t *fh_saga_input(fh_work *w)
{
    return json_deep_copy(saga_view_of(w, "fh_saga_input")->run->input);
}

static json_t *answer_body(const struct saga_part *part)
{
    json_t *answer = NULL;
    if (!part->answer ||
        json_parse(part->answer, strlen(part->answer), &answer, ERROR_UNHEEDED) != FH_OK)
        return NULL;
    return json_object_get(answer, "body");
}

json_t *fh_saga_answer(fh_work *w, const char *step)
{
    const struct fh_saga_view *view = saga_view_of(w, "fh_saga_answer");
    const struct saga_run *run = view->run;
    const struct saga_rules *rules = &run->type->rules;
    int index = 0;
    while (index < rules->step_count && strcmp(rules->steps[index].name, step) != 0)
        index++;
    if (index == rules->step_count)
        work_fault(w, "Saga %s has no step %s.", rules->name, step);
    const struct saga_part *parts = &run->parts[view->state->first[index]];
    if (!run->type->calls[index].each)
        return answer_body(&parts[0]);
    json_t *answers = json_array();
    for (int i = 0; i < saga_elements(view->state, index); i++) {
        json_t *body = answer_body(&parts[i]);
        json_array_append_new(answers, body ? json_incref(body) : json_null());
    }
    return answers;
}

json_t *fh_saga_reason(fh_work *w)
{
    const struct fh_saga_view *view = saga_view_of(w, "fh_saga_reason");
    const struct saga_state *state = view->state;
    json_t *reason = json_object();
    if (state->reason_step < 0)
        return reason;
    json_object_set_new(reason, "step",
                        json_string(view->run->type->rules.steps[state->reason_step].name));
    json_object_set_new(reason, "status", json_integer(state->reason_status));
    json_object_set_new(reason, "detail", json_string(state->reason_detail));
    return reason;
}
