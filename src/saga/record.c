/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas as rows. fh_saga holds the state of the whole saga, fh_saga_step one row for each element
 * that has begun: its request byte for byte as it is sent, and the answer that decided.
 *
 * The row's `state` is a JSON object: step, back, left_ms (what is left of the deadline: the runner
 * counts monotonic time, so that a jump of the wall clock expires nothing), version and digest of
 * the definition that it began with and must end on, steps (their names), and, if there are any,
 * trace, user (the statement of on whose behalf it began: it must outlive the credentials), reason,
 * why, secrets (of the input, which is kept without them; marks.h), times (of its steps; times.c),
 * and life (the incarnation that stored it, if the saga was born in another).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "call/user.h"
#include "saga/manager.h"
#include "saga/marks.h"

#define STATE_SIZE_MAX (16384 + USER_STATEMENT_SIZE + SAGA_SECRETS_SIZE_MAX)
#define REQUEST_SIZE_MAX ((size_t)8 << 20)

/* ---- Writing ---- */

static void add_named(struct text *text, const char *name, const char *string)
{
    if (!string)
        return;
    text_add(text, ",\"");
    text_add(text, name);
    text_add(text, "\":");
    json_write_string(text, string, strlen(string));
}

static void add_secrets(struct text *text, const json_t *secrets)
{
    char *json = json_text(secrets);
    text_add(text, ",\"secrets\":");
    text_add(text, json);
    json_text_free(json);
}

static const char *take_record_text(struct text *text, struct arena *arena)
{
    FH_ASSERT(!text->overflow);
    const char *copy = arena_copy(arena, text->data, text->length);
    text_release(text);
    return copy;
}

void saga_record_row(const struct saga_run *run, const struct saga_state *state,
                     struct arena *arena, struct ledger_saga *ret)
{
    struct world *world = run->manager->context->world;
    int64_t left_ms = (run->deadline_ns - world_monotonic_ns(world)) / 1000000;
    int64_t wall_ms = world_wall_ms(world);
    if (left_ms < 0 || state->status != SAGA_RUNNING)
        left_ms = 0;
    struct text text;
    text_init(&text, STATE_SIZE_MAX);
    text_add(&text, "{\"step\":");
    text_integer(&text, state->step);
    text_add(&text, state->back ? ",\"back\":true,\"left_ms\":" : ",\"back\":false,\"left_ms\":");
    text_integer(&text, left_ms);
    text_add(&text, ",\"version\":");
    text_integer(&text, run->type->version);
    add_named(&text, "digest", run->type->digest);
    add_named(&text, "steps", run->type->steps);
    add_named(&text, "trace", run->trace);
    add_named(&text, "user", run->user ? run->user->statement : NULL);
    const char *life = run->manager->context->store->incarnation;
    add_named(&text, "life", strcmp(life, run->birth) != 0 ? life : NULL);
    if (state->reason_step >= 0) {
        text_printf(&text, ",\"reason\":{\"step\":%d,\"status\":%d", state->reason_step,
                    state->reason_status);
        add_named(&text, "detail", state->reason_detail);
        text_add(&text, "}");
    }
    add_named(&text, "why", state->why[0] ? state->why : NULL);
    saga_times_take(run->times, &run->type->rules, state, wall_ms);
    saga_times_add(run->times, &run->type->rules, &text);
    bool keeps = run->secrets && saga_secrets_needed(run->type, state);
    if (keeps)
        add_secrets(&text, run->secrets);
    text_add(&text, "}");
    *ret = (struct ledger_saga){.birth = run->birth,
                                .number = run->number,
                                .name = run->type->rules.name,
                                .input = NULL,
                                .state = take_record_text(&text, arena),
                                .status = saga_status_name(state->status),
                                .epoch = run->epoch,
                                .deadline_ms = wall_ms + left_ms,
                                .updated_ms = wall_ms,
                                .spends = run->secrets && !keeps};
}

static const char *request_text(const struct saga_run *run, int step, const struct saga_part *part,
                                bool is_spent, struct arena *arena)
{
    const struct saga_call *call = &run->type->calls[step];
    if (call->run)
        return "{}";
    char *spent = is_spent && run->secrets ? saga_spent_body(run->type, step, part->body) : NULL;
    struct text text;
    text_init(&text, REQUEST_SIZE_MAX);
    text_add(&text, "{\"method\":");
    json_write_string(&text, call->method, strlen(call->method));
    add_named(&text, "path", part->path);
    add_named(&text, "body", spent ? spent : part->spent ? part->spent : part->body);
    add_named(&text, "undo_path", part->undo_path);
    text_add(&text, "}");
    free(spent);
    return take_record_text(&text, arena);
}

void saga_record_step(const struct saga_run *run, const struct saga_state *state, int step,
                      int element, struct arena *arena, struct ledger_step *ret)
{
    int at = state->first[step] + element;
    const struct saga_part *part = &run->parts[at];
    const struct saga_call *call = &run->type->calls[step];
    *ret = (struct ledger_step){
        .birth = run->birth,
        .number = run->number,
        .step = step,
        .element = element,
        .attempt = state->elements[at].attempt,
        .target = call->target ? call->target : "",
        .request = request_text(run, step, part, saga_part_is_spent(state, at), arena),
        .state = saga_element_state_name((enum saga_element_state)state->elements[at].state),
        .answer = part->answer,
        .receiver = part->receiver[0] ? part->receiver : NULL,
        .receiver_position = part->receiver_position};
}

enum fh_code saga_record_put(struct store_work *work, const struct saga_run *run,
                             const struct saga_state *state, struct arena *arena,
                             struct fh_error *error)
{
    struct ledger_saga row;
    saga_record_row(run, state, arena, &row);
    row.stays = run->state.status == state->status;
    enum fh_code code = ledger_saga_update(work, &row, error);
    for (int step = 0; step < run->type->rules.step_count; step++) {
        for (int at = state->first[step]; at < state->first[step + 1] && !code; at++) {
            const struct saga_element *old = &run->state.elements[at],
                                      *fresh = &state->elements[at];
            if (old->state == fresh->state && old->attempt == fresh->attempt &&
                !run->parts[at].dirty)
                continue;
            struct ledger_step put;
            saga_record_step(run, state, step, at - state->first[step], arena, &put);
            code = ledger_step_put(work, &put, error);
        }
    }
    return code;
}

static char *copy_stored_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    FH_ASSERT(!text || copy);
    return copy;
}

enum fh_code saga_record_render(struct saga_run *run, const struct saga_state *state,
                                struct fh_error *error)
{
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = FH_OK;
    json_t *input = saga_whole_input(run);
    for (int step = 0; step < run->type->rules.step_count && !code; step++) {
        if (run->type->calls[step].run)
            continue;
        for (int at = state->first[step]; at < state->first[step + 1] && !code; at++) {
            struct saga_part *part = &run->parts[at];
            if (state->elements[at].state == SAGA_UNSTORED || part->path)
                continue;
            struct saga_rendered rendered;
            code = saga_type_render(run->type, step, at - state->first[step], input, &arena,
                                    &rendered, error);
            if (code == FH_NOT_FOUND) /* nor will there ever be */
                code = error->code = FH_INVALID;
            if (code)
                break;
            part->path = copy_stored_text(rendered.path);
            part->undo_path = copy_stored_text(rendered.undo_path);
            part->body = copy_stored_text(rendered.body);
        }
    }
    json_decref(input);
    arena_release(&arena);
    return code;
}

/* ---- Reading ---- */

struct load {
    struct saga_run *run;
    struct arena arena;
    struct fh_error error;
    enum fh_code code;
};

static bool load_request(const struct saga_call *call, const char *text, struct saga_part *part)
{
    json_t *request = NULL;
    if (json_parse(text, strlen(text), &request, ERROR_UNHEEDED) != FH_OK)
        return false;
    part->path = copy_stored_text(json_string_at(request, "path"));
    part->undo_path = copy_stored_text(json_string_at(request, "undo_path"));
    part->body = copy_stored_text(json_string_at(request, "body"));
    json_decref(request);
    return call->run || part->path;
}

static bool load_step(void *context, const struct ledger_step *row)
{
    struct load *load = context;
    struct saga_run *run = load->run;
    const struct saga_type *type = run->type;
    int state = saga_element_state_of(row->state);
    if (row->step < 0 || row->step >= type->rules.step_count || row->element < 0 || state < 0 ||
        row->element >= saga_elements(&run->state, row->step)) {
        load->code = error_set(&load->error, FH_INVALID,
                               "The stored steps of saga %s do not fit its definition any more.",
                               type->rules.name);
        return false;
    }
    struct saga_element *element = saga_element(&run->state, row->step, row->element);
    struct saga_part *part = &run->parts[run->state.first[row->step] + row->element];
    element->state = (int16_t)state;
    element->attempt = (int16_t)row->attempt;
    part->answer = copy_stored_text(row->answer);
    part->receiver_position = row->receiver_position;
    if (row->receiver)
        snprintf(part->receiver, sizeof part->receiver, "%s", row->receiver);
    if (!load_request(&type->calls[row->step], row->request, part))
        load->code = error_set(&load->error, FH_INVALID,
                               "A stored request of saga %s can't be read.", type->rules.name);
    return load->code == FH_OK;
}

/* NULL also for one that was signed with a former key: receivers would refuse it for ever, so the
 * saga goes on as nobody's. */
static struct work_user *load_user(struct user_verifier *users, const char *statement)
{
    const char *why;
    return statement ? user_verify(users, statement, &why) : NULL;
}

static enum fh_code load_state(struct saga_run *run, const struct ledger_saga *row,
                               const json_t *stored, struct fh_error *error)
{
    struct saga_state *state = &run->state;
    enum fh_code code = FH_OK;
    json_int_t step = -1, left_ms = run->type->deadline_ms, reason_step = -1, reason_status = 0;
    json_integer_at(stored, "step", &step);
    json_integer_at(stored, "left_ms", &left_ms);
    json_integer_at(stored, "reason.step", &reason_step);
    json_integer_at(stored, "reason.status", &reason_status);
    int status = saga_status_of(row->status);
    if (status < 0 || step < -1 || step > run->type->rules.step_count || reason_step < -1 ||
        reason_step >= run->type->rules.step_count)
        code = error_set(error, FH_INVALID, "The stored state of saga %s can't be read.",
                         run->type->rules.name);
    state->status = (enum saga_status)status;
    state->step = (int)step;
    state->back = json_is_true(json_object_get(stored, "back"));
    state->reason_step = (int)reason_step;
    state->reason_status = (int)reason_status;
    const char *detail = json_string_at(stored, "reason.detail");
    const char *why = json_string_at(stored, "why");
    snprintf(state->reason_detail, sizeof state->reason_detail, "%s", detail ? detail : "");
    snprintf(state->why, sizeof state->why, "%s", why ? why : "");
    const char *life = json_string_at(stored, "life");
    state->lived = lives_restored_since(&run->manager->lives, run->birth);
    run->relives = lives_restored_since(&run->manager->lives, life ? life : run->birth);
    run->trace = copy_stored_text(json_string_at(stored, "trace"));
    run->user = load_user(run->manager->context->users, json_string_at(stored, "user"));
    run->deadline_ns = world_in_ms(run->manager->context->world, left_ms);
    return code;
}

/* A row from before its fields were marked has its secrets in the input. */
static void load_secrets(struct saga_run *run, const json_t *stored)
{
    const json_t *kept = json_object_get(stored, "secrets");
    json_t *rest;
    if (!run->type->definition->input && !kept)
        return;
    struct arena *before = json_arena_set(NULL);
    saga_secrets_part(run->type, run->input, &rest, &run->secrets);
    json_decref(run->input);
    run->input = rest;
    if (json_is_object(kept) && !run->secrets)
        run->secrets = json_copy_out(kept);
    json_arena_set(before);
}

/* `input` and `state` are the row's, parsed. */
static enum fh_code load_parsed(struct saga_manager *manager, struct store_work *work,
                                const struct ledger_saga *row, const json_t *input,
                                const json_t *state, struct saga_run **ret, struct fh_error *error)
{
    int counts[SAGA_STEPS_MAX];
    const struct saga_type *type = saga_manager_type_of(manager, row->name, state, error);
    enum fh_code code = type ? saga_type_counts(type, input, counts, error) : FH_UNSUPPORTED;
    if (code)
        return code;
    struct load load = {.run = saga_run_new(manager, type, row->birth, row->number, input, counts)};
    load.run->epoch = row->epoch;
    load_secrets(load.run, state);
    arena_init(&load.arena, ARENA_SIZE_MAX);
    code = load_state(load.run, row, state, error);
    if (!code)
        code =
            ledger_steps_get(work, &load.arena, row->birth, row->number, load_step, &load, error);
    arena_release(&load.arena);
    saga_times_load(load.run->times, &type->rules, &load.run->state, state);
    if (!code && load.code) {
        code = load.code;
        *error = load.error;
    }
    if (code)
        saga_run_release(load.run);
    else
        *ret = load.run;
    return code;
}

enum fh_code saga_record_load(struct saga_manager *manager, struct store_work *work,
                              const struct ledger_saga *row, struct saga_run **ret,
                              struct fh_error *error)
{
    json_t *input = NULL, *state = NULL;
    *ret = NULL;
    bool ours = strcmp(row->birth, manager->context->store->incarnation) == 0;
    if (ours && row->number > manager->read_through)
        manager->read_through = row->number;
    enum fh_code code = json_parse(row->input, strlen(row->input), &input, error);
    if (!code)
        code = json_parse(row->state, strlen(row->state), &state, error);
    if (!code)
        code = load_parsed(manager, work, row, input, state, ret, error);
    json_decref(input);
    json_decref(state);
    return code;
}
