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

static const fh_field *input_field(const fh_field *shape, const char *name, size_t length)
{
    for (; shape && shape->name; shape++) {
        if (strlen(shape->name) == length && memcmp(shape->name, name, length) == 0)
            return shape;
    }
    return NULL;
}

/* Of "address.street": the marks on the way to it, and in it. False: the shape has no such. */
static bool marks_at(const fh_field *shape, const char *path, unsigned *ret_marks)
{
    const fh_field *field = NULL;
    unsigned marks = 0;
    while (*path) {
        size_t length = strcspn(path, ".");
        field = input_field(shape, path, length);
        if (!field)
            break;
        marks |= shape_field_marks(field);
        shape = field->of;
        path += length + (path[length] == '.');
    }
    if (!field && !marks)
        return false;
    *ret_marks = marks | shape_marks(field ? field->of : NULL);
    return true;
}

/* As in saga_type_render: names of the element come before those of the input. */
static unsigned source_marks(const struct saga_type *type, int step, const char *source)
{
    const fh_field *input = type->definition->input;
    const char *each = type->calls[step].each;
    const fh_field *list = each ? input_field(input, each, strlen(each)) : NULL;
    unsigned marks = 0, around = list ? shape_field_marks(list) : 0;
    if (list && (marks_at(list->of, source, &marks) || strcmp(source, "element") == 0))
        return marks | around;
    return marks_at(input, source, &marks) ? marks : 0;
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

static void redact_step_answers(const struct saga_run *run, char *text, size_t size)
{
    const struct saga_type *type = run->type;
    for (int step = 0; step < type->rules.step_count; step++) {
        struct shape_named named;
        const fh_field *shape = shape_named(&named, type->definition->steps[step].personal, true);
        for (int at = run->state.first[step]; shape && at < run->state.first[step + 1]; at++) {
            const char *kept = run->parts[at].answer;
            json_t *answer = NULL;
            if (kept && json_parse(kept, strlen(kept), &answer, ERROR_UNHEEDED) == FH_OK)
                shape_redact_text(shape, json_object_get(answer, "body"), SHAPE_MARKED, text, size);
            json_decref(answer);
        }
    }
}

void saga_redact_text(const struct saga_run *run, char *text, size_t size)
{
    const fh_field *shape = run->type->definition->input;
    if (!*text)
        return;
    shape_redact_text(shape, run->input, SHAPE_MARKED, text, size);
    shape_redact_text(shape, run->secrets, SHAPE_MARKED, text, size);
    redact_step_answers(run, text, size);
}

/* ---- Showing ---- */

static void replace_shown(json_t *object, const char *name, json_t *value)
{
    FH_ASSERT(json_object_set_new(object, name, value) == 0);
}

void saga_redact_input(const struct saga_type *type, json_t **input)
{
    if (!type || !type->definition->input)
        return;
    json_t *redacted = shape_redacted(type->definition->input, *input, SHAPE_MARKED);
    json_decref(*input);
    *input = redacted;
}

/* The request's body is a text within the JSON. */
static void redact_shown_request(const struct saga_type *type, int step, json_t *request)
{
    char name[NAME_LENGTH_MAX];
    const char *map = type->calls[step].body, *source, *body = json_string_at(request, "body");
    json_t *parsed = NULL;
    if (!body || json_parse(body, strlen(body), &parsed, ERROR_UNHEEDED) != FH_OK)
        return;
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
    char *text = json_text(parsed);
    replace_shown(request, "body", json_string(text));
    json_text_free(text);
    json_decref(parsed);
}

static void redact_shown_answer(const struct saga_type *type, int step, const json_t *input,
                                json_t *answer)
{
    struct shape_named named;
    char told[SAGA_TEXT_SIZE];
    json_t *body = json_object_get(answer, "body");
    const char *detail = json_is_object(body) ? json_string_at(body, "detail") : NULL;
    const fh_field *shape = shape_named(&named, type->definition->steps[step].personal, true);
    if (detail) {
        snprintf(told, sizeof told, "%s", detail);
        shape_redact_text(type->definition->input, input, SHAPE_MARKED, told, sizeof told);
        replace_shown(body, "detail", json_string(told));
    }
    if (body && shape)
        replace_shown(answer, "body", shape_redacted(shape, body, SHAPE_MARKED));
}

void saga_redact_step(const struct saga_type *type, int step, const json_t *input, json_t *shown)
{
    json_t *request = json_object_get(shown, "request"), *answer = json_object_get(shown, "answer");
    if (!type || step < 0 || step >= type->rules.step_count)
        return;
    if (json_is_object(request))
        redact_shown_request(type, step, request);
    if (json_is_object(answer))
        redact_shown_answer(type, step, input, answer);
}
