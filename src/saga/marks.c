/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A saga has to survive a crash with all that its steps need, so a secret that some step takes is
 * stored: apart from the input, in the row's state, which is written anew at each transition. With
 * the transition after which no step needs it any more it is gone, and with an element's own
 * transition it is gone from its stored request:
 *
 *     the element is     its request       the saga's secrets
 *     stored, sent       as it is sent     kept
 *     done               without secrets   kept while another element needs them
 *     refused            as it was sent    kept: a person may have it sent again
 *     any, going back    without secrets   gone: an undo names a key, and takes none
 *
 * A receiver does not compare secrets (work/command.c), so a request that is repeated without them,
 * after a restore, is still the same request.
 */

#include "saga/marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "shape/mark.h"

#define NAME_LENGTH_MAX 128

/* ---- What a source means ---- */

/* What the shape says of a name, or else of all others; NULL: nothing. */
static const fh_field *input_field(const fh_field *shape, const char *name, size_t length)
{
    const fh_field *others = NULL;
    for (; shape && shape->name; shape++) {
        if (strlen(shape->name) == length && memcmp(shape->name, name, length) == 0)
            return shape;
        if (strcmp(shape->name, "*") == 0)
            others = shape;
    }
    return others;
}

/* Of "address.street": the marks on the way to it, and in it. */
static unsigned marks_at(const fh_field *shape, const char *path)
{
    unsigned marks = 0;
    while (*path) {
        size_t length = strcspn(path, ".");
        const fh_field *field = input_field(shape, path, length);
        if (!field)
            return marks;
        marks |= shape_field_marks(field);
        shape = field->of;
        path += length + (path[length] == '.');
    }
    return marks | shape_marks(shape);
}

static const fh_field *named_field(const fh_field *shape, const char *source)
{
    const fh_field *field = input_field(shape, source, strcspn(source, "."));
    return field && strcmp(field->name, "*") != 0 ? field : NULL;
}

/* As in saga_type_render a name is one of the element or, if that has no such, of the input. Where
 * only the value tells which of them it is, it has the marks of both. */
static unsigned source_marks(const struct saga_type *type, int step, const char *source)
{
    const fh_field *input = type->definition->input;
    const char *each = type->calls[step].each;
    const fh_field *list = each ? input_field(input, each, strlen(each)) : NULL;
    if (!list)
        return marks_at(input, source);
    const fh_field *named = named_field(list->of, source);
    unsigned marks = shape_field_marks(list);
    if (strcmp(source, "element") == 0)
        marks |= shape_marks(list->of);
    else if (input_field(list->of, source, strcspn(source, ".")))
        marks |= marks_at(list->of, source);
    else if (list->of || list->elements || list->type != FH_ARRAY || named_field(input, source))
        marks = 0;
    return named && !named->optional && !strchr(source, '.') ? marks
                                                             : marks | marks_at(input, source);
}

/* The next "name=source" or "name" of a body's map. False: there is none. */
static bool next_of_body(const char **map, char name[static NAME_LENGTH_MAX], const char **source)
{
    if (!*map || !**map)
        return false;
    size_t length = strcspn(*map, ",");
    snprintf(name, NAME_LENGTH_MAX, "%.*s", (int)length, *map);
    char *equals = strchr(name, '=');
    if (equals)
        *equals = '\0';
    *source = equals ? equals + 1 : name;
    *map += length + ((*map)[length] == ',');
    return true;
}

static bool step_takes_secrets(const struct saga_type *type, int step)
{
    char name[NAME_LENGTH_MAX];
    const char *map = type->calls[step].body, *source;
    while (next_of_body(&map, name, &source)) {
        if (source_marks(type, step, source) & SHAPE_UNKEPT)
            return true;
    }
    return false;
}

/* ---- What can't be kept out ---- */

static enum fh_code check_marked_path(const struct saga_type *type, int step, const char *path,
                                      struct fh_error *error)
{
    for (const char *at = path; at && (at = strchr(at, '{')); at++) {
        char name[NAME_LENGTH_MAX];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "}:"), at + 1);
        if (source_marks(type, step, name))
            return error_set(error, FH_INVALID,
                             "Saga %s, step %s: \"%s\" is personal or secret, and can't be in a "
                             "path, which logs and traces show; send it in the body.",
                             type->rules.name, type->rules.steps[step].name, name);
    }
    return FH_OK;
}

enum fh_code saga_marks_check(const struct saga_type *type, struct fh_error *error)
{
    const fh_field *input = type->definition->input;
    for (const fh_field *field = input; field && field->name; field++) {
        bool named = strcmp(field->name, "*") != 0;
        if ((shape_marks(field->of) & SHAPE_UNKEPT) ||
            (!named && (shape_field_marks(field) & SHAPE_UNKEPT)))
            return error_set(error, FH_INVALID,
                             "Saga %s: a secret or a card within \"%s\" of its input can't be "
                             "dropped when it was used; make it a field of the input itself.",
                             type->rules.name, field->name);
    }
    for (int step = 0; input && step < type->rules.step_count; step++) {
        const struct saga_call *call = &type->calls[step];
        enum fh_code code = check_marked_path(type, step, call->path, error);
        if (code == FH_OK)
            code = check_marked_path(type, step, call->undo_path, error);
        if (code == FH_OK && call->outside &&
            (source_marks(type, step, call->outside) & SHAPE_UNKEPT))
            code = error_set(error, FH_INVALID,
                             "Saga %s, step %s: the URL \"%s\" can't be marked as secret: it is "
                             "kept as long as the saga.",
                             type->rules.name, type->rules.steps[step].name, call->outside);
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

/* ---- Secrets, and when they go ---- */

void saga_secrets_part(const struct saga_type *type, const json_t *input, json_t **ret_rest,
                       json_t **ret_secrets)
{
    const fh_field *shape = type->definition->input;
    bool any = false;
    *ret_secrets = NULL;
    *ret_rest = shape_without(shape, input, SHAPE_UNKEPT, &any);
    if (any)
        *ret_secrets = shape_only(shape, input, SHAPE_UNKEPT);
}

json_t *saga_whole_input(const struct saga_run *run)
{
    if (!run->secrets)
        return json_incref(run->input);
    json_t *whole = json_copy(run->input);
    FH_ASSERT(whole && json_object_update(whole, run->secrets) == 0);
    return whole;
}

bool saga_part_is_spent(const struct saga_state *state, int at)
{
    return state->back || state->elements[at].state == SAGA_DONE || state->status == SAGA_ENDED ||
           state->status == SAGA_UNDONE;
}

bool saga_secrets_needed(const struct saga_type *type, const struct saga_state *state)
{
    /* A program of before the marks has begun again: it does not know what takes them. */
    if (!type->definition->input)
        return !state->back && state->status != SAGA_ENDED && state->status != SAGA_UNDONE;
    for (int step = 0; step < type->rules.step_count; step++) {
        for (int at = state->first[step];
             at < state->first[step + 1] && step_takes_secrets(type, step); at++) {
            if (!saga_part_is_spent(state, at))
                return true;
        }
    }
    return false;
}

char *saga_spent_body(const struct saga_type *type, int step, const char *body)
{
    char name[NAME_LENGTH_MAX];
    const char *map = type->calls[step].body, *source;
    json_t *parsed = NULL;
    if (!body || !step_takes_secrets(type, step))
        return NULL;
    struct arena *before = json_arena_set(NULL);
    char *text = NULL;
    if (json_parse(body, strlen(body), &parsed, ERROR_UNHEEDED) == FH_OK) {
        while (next_of_body(&map, name, &source)) {
            if (source_marks(type, step, source) & SHAPE_UNKEPT)
                json_object_del(parsed, name);
        }
        char *rest = json_text(parsed);
        text = strdup(rest);
        FH_ASSERT(text != NULL);
        json_text_free(rest);
    }
    json_decref(parsed);
    json_arena_set(before);
    return text;
}

/* ---- Texts ---- */

static void cover_step_answers(struct shape_cover *cover, const struct saga_run *run)
{
    const struct saga_type *type = run->type;
    for (int step = 0; step < type->rules.step_count; step++) {
        struct shape_named named;
        const fh_field *shape = shape_named(&named, type->definition->steps[step].personal, true);
        for (int at = run->state.first[step]; shape && at < run->state.first[step + 1]; at++) {
            const char *kept = run->parts[at].answer;
            json_t *answer = NULL;
            if (kept && json_parse(kept, strlen(kept), &answer, ERROR_UNHEEDED) == FH_OK)
                shape_cover_given(cover, shape, json_object_get(answer, "body"));
            json_decref(answer);
        }
    }
}

void saga_given(struct shape_cover *cover, const void *context)
{
    const struct saga_run *run = context;
    const fh_field *input = run->type->definition->input;
    shape_cover_given(cover, input, run->input);
    shape_cover_given(cover, input, run->secrets);
    cover_step_answers(cover, run);
}

struct answered {
    const struct saga_run *run;
    int step;
    const json_t *body;
};

static void answer_given(struct shape_cover *cover, const void *context)
{
    const struct answered *answered = context;
    const struct saga_run *run = answered->run;
    struct shape_named named;
    saga_given(cover, run);
    shape_cover_given(
        cover, shape_named(&named, run->type->definition->steps[answered->step].personal, true),
        answered->body);
}

void saga_redact_detail(const struct saga_run *run, int step, const json_t *body, char *detail,
                        size_t size)
{
    const struct answered answered = {run, step, body};
    shape_redact_text(detail, size, SHAPE_MARKED, answer_given, &answered);
}

json_t *saga_refusal_to_keep(const struct saga_run *run, const json_t *body)
{
    return run->secrets ? shape_redacted_told(body, SHAPE_UNKEPT, saga_given, run) : NULL;
}

/* ---- Showing ---- */

/* This program does not have the saga any more: it can't tell what of it is marked. */
#define UNKNOWN_LABEL "[unknown]"

static void replace_shown(json_t *object, const char *name, json_t *value)
{
    FH_ASSERT(json_object_set_new(object, name, value) == 0);
}

void saga_redact_input(const struct saga_type *type, json_t **input)
{
    json_t *redacted = type ? shape_redacted(type->definition->input, *input, SHAPE_MARKED)
                            : json_string(UNKNOWN_LABEL);
    json_decref(*input);
    *input = redacted;
}

struct input_told {
    const fh_field *shape;
    const json_t *input;
};

static void input_given(struct shape_cover *cover, const void *context)
{
    const struct input_told *told = context;
    shape_cover_given(cover, told->shape, told->input);
}

/* What of the input is in it, wherever. */
static json_t *without_input(const struct saga_type *type, const json_t *input, const json_t *told)
{
    const struct input_told given = {type->definition->input, input};
    return shape_redacted_told(told, SHAPE_MARKED, input_given, &given);
}

/* The request's body is a text within the JSON, its path may be a URL that is personal. */
static void redact_shown_request(const struct saga_type *type, int step, const json_t *input,
                                 json_t *request)
{
    char name[NAME_LENGTH_MAX];
    const char *map = type->calls[step].body, *source, *body = json_string_at(request, "body");
    const char *url = type->calls[step].outside;
    json_t *parsed = NULL;
    if (url && source_marks(type, step, url))
        replace_shown(request, "path", json_string("[personal]"));
    if (!body)
        return;
    if (json_parse(body, strlen(body), &parsed, ERROR_UNHEEDED) != FH_OK) {
        replace_shown(request, "body", json_string(UNKNOWN_LABEL)); /* whatever is marked in it */
        return;
    }
    while (next_of_body(&map, name, &source)) {
        unsigned marks = source_marks(type, step, source);
        const fh_field field = {.name = name,
                                .type = FH_ANY,
                                .personal = (marks & SHAPE_PERSONAL) != 0,
                                .secret = (marks & SHAPE_SECRET) != 0,
                                .card = (marks & SHAPE_CARD) != 0};
        const fh_field shape[] = {field, {0}};
        json_t *redacted = shape_redacted(shape, parsed, SHAPE_MARKED);
        json_decref(parsed);
        parsed = redacted;
    }
    json_t *redacted = without_input(type, input, parsed);
    char *text = json_text(redacted);
    replace_shown(request, "body", json_string(text));
    json_text_free(text);
    json_decref(redacted);
    json_decref(parsed);
}

static void redact_shown_answer(const struct saga_type *type, int step, const json_t *input,
                                json_t *answer)
{
    struct shape_named named;
    const fh_field *shape = shape_named(&named, type->definition->steps[step].personal, true);
    const json_t *body = json_object_get(answer, "body");
    if (!body)
        return;
    json_t *redacted = shape_redacted(shape, body, SHAPE_MARKED);
    replace_shown(answer, "body", without_input(type, input, redacted));
    json_decref(redacted);
}

void saga_redact_step(const struct saga_type *type, int step, const json_t *input, json_t *shown)
{
    json_t *request = json_object_get(shown, "request"), *answer = json_object_get(shown, "answer");
    if (!type || step < 0 || step >= type->rules.step_count) {
        replace_shown(shown, "request", json_string(UNKNOWN_LABEL));
        replace_shown(shown, "answer", json_string(UNKNOWN_LABEL));
        return;
    }
    if (json_is_object(request))
        redact_shown_request(type, step, input, request);
    if (json_is_object(answer))
        redact_shown_answer(type, step, input, answer);
}
