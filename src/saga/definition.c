/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions. The whole definition is checked before a service starts, so that a saga never finds
 * out half-way that it can't go back.
 *
 * Requests are made from the element and the saga's input alone, never from answers: so they can be
 * tried when the saga starts, and rendering one again gives the same bytes.
 */

#include "saga/definition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "http/outside.h"
#include "http/path.h"
#include "saga/manager.h"
#include "saga/marks.h"
#include "saga/run.h"

#define TYPE_ARENA_SIZE_MAX ((size_t)1 << 20)
#define BODY_NAME_LENGTH_MAX 120
#define BODY_SIZE_MAX ((size_t)1 << 20)

static const int no_by_default[] = {402, 409, 422};
static const int no_outside_by_default[] = {410}; /* Gone: it must not be asked again */

/* "SERVICE METHOD /path" */
static bool parse_call(struct arena *arena, const char *text, const char **ret_target,
                       const char **ret_method, const char **ret_path)
{
    const char *method = strchr(text, ' ');
    const char *path = method ? strchr(method + 1, ' ') : NULL;
    if (!path || method == text || path == method + 1 || path[1] != '/' || strchr(path + 1, ' '))
        return false;
    *ret_target = arena_copy(arena, text, (size_t)(method - text));
    *ret_method = arena_copy(arena, method + 1, (size_t)(path - method - 1));
    *ret_path = path + 1;
    return strspn(*ret_method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(*ret_method) &&
           strcmp(*ret_method, "GET") != 0;
}

static bool is_step_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= 40 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               length;
}

#define FAULT(error, definition, step, ...)                                                        \
    definition_fault(error, (definition)->name, (step)->name, __VA_ARGS__)

static enum fh_code definition_fault(struct fh_error *error, const char *saga, const char *step,
                                     const char *sentence)
{
    return error_set(error, FH_INVALID, "Saga %s, step %s: %s", saga, step, sentence);
}

static enum fh_code init_call(struct saga_type *type, int index, const struct fh_step *step,
                              struct fh_error *error)
{
    const struct fh_saga_definition *definition = type->definition;
    struct saga_call *call = &type->calls[index];
    call->each = step->each;
    call->body = step->body;
    call->run = step->run;
    call->timeout_ms = step->timeout_ms ? step->timeout_ms : SAGA_TIMEOUT_MS;
    for (const char *map = step->body; map && *map; map += strcspn(map, ",")) {
        map += *map == ',';
        if (strcspn(map, ",") == 0 || strcspn(map, ",") > BODY_NAME_LENGTH_MAX)
            return FAULT(error, definition, step,
                         "its body must be \"name=source,name,...\", each of at most 120 bytes.");
    }
    if ((step->call != NULL) + (step->run != NULL) + (step->outside != NULL) != 1)
        return FAULT(error, definition, step,
                     "it must have either a call, a run handler, or an outside URL.");
    call->outside = step->outside;
    call->method = "POST";
    if (step->outside)
        return step->undo ? FAULT(error, definition, step,
                                  "it goes outside, where nothing can be undone by its key.")
                          : FH_OK;
    if (step->run)
        return step->undo || step->body || step->each
                   ? FAULT(error, definition, step,
                           "a run handler takes no undo, body or each; the saga's undone handler "
                           "takes back what it did.")
                   : FH_OK;
    if (!parse_call(&type->arena, step->call, &call->target, &call->method, &call->path))
        return FAULT(error, definition, step,
                     "its call must be \"SERVICE METHOD /path\", and no GET.");
    const char *target = call->target;
    if (step->undo &&
        !parse_call(&type->arena, step->undo, &target, &call->undo_method, &call->undo_path))
        return FAULT(error, definition, step,
                     "its undo must be \"SERVICE METHOD /path\", and no GET.");
    if (strcmp(target, call->target) != 0)
        return FAULT(error, definition, step,
                     "its undo must go to the service that its call went to.");
    return FH_OK;
}

static void init_rule(struct saga_rules *rules, int index, const struct fh_step *step)
{
    rules->steps[index].name = step->name;
    rules->steps[index].run = step->run != NULL;
    rules->steps[index].undo = step->undo != NULL;
    rules->steps[index].outside = step->outside != NULL;
    if (step->no[0])
        memcpy(rules->steps[index].no, step->no, sizeof step->no);
    else if (step->outside)
        memcpy(rules->steps[index].no, no_outside_by_default, sizeof no_outside_by_default);
    else
        memcpy(rules->steps[index].no, no_by_default, sizeof no_by_default);
}

static enum fh_code init_step(struct saga_type *type, const struct fh_step *step,
                              struct fh_error *error)
{
    struct saga_rules *rules = &type->rules;
    if (rules->step_count == SAGA_STEPS_MAX)
        return error_set(error, FH_INVALID, "Saga %s has more than %d steps.",
                         type->definition->name, SAGA_STEPS_MAX);
    if (!is_step_name(step->name))
        return FAULT(error, type->definition, step,
                     "a step's name has 1 to 40 letters, digits, '_' or '-'.");
    for (int i = 0; i < rules->step_count; i++)
        if (strcmp(rules->steps[i].name, step->name) == 0)
            return FAULT(error, type->definition, step, "another step has the same name.");
    if (step->pivot && rules->pivot >= 0)
        return FAULT(error, type->definition, step, "there is a pivot before it already.");
    if (step->pivot)
        rules->pivot = rules->step_count;
    init_rule(rules, rules->step_count, step);
    return init_call(type, rules->step_count++, step, error);
}

static enum fh_code check_undos(struct saga_type *type, struct fh_error *error)
{
    struct saga_rules *rules = &type->rules;
    bool has_pivot = rules->pivot >= 0;
    if (!has_pivot)
        rules->pivot = rules->step_count;
    for (int i = 0; i < rules->pivot; i++)
        if (!rules->steps[i].undo && !rules->steps[i].run)
            return definition_fault(
                error, rules->name, rules->steps[i].name,
                has_pivot ? "it comes before the pivot, so it needs an undo."
                          : "it needs an undo, or some step must be marked as the pivot.");
    return FH_OK;
}

/* ---- Digest ---- */

static void digest_bytes(uint64_t *digest, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++)
        *digest = (*digest ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

/* Includes the terminator, so that "ab", "c" differs from "a", "bc"; NULL differs from "". */
static void digest_text(uint64_t *digest, const char *text)
{
    digest_bytes(digest, text ? text : "\1", (text ? strlen(text) : 1) + 1);
}

static void digest_number(uint64_t *digest, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    digest_text(digest, text);
}

static void digest_step(uint64_t *digest, const struct saga_type *type, int step)
{
    const struct saga_call *call = &type->calls[step];
    const int *no = type->rules.steps[step].no;
    const char *const texts[] = {type->rules.steps[step].name,
                                 call->each,
                                 call->outside,
                                 call->run ? "run" : call->method,
                                 call->path,
                                 call->undo_method,
                                 call->undo_path,
                                 call->body};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        digest_text(digest, texts[i]);
    for (size_t i = 0; i < sizeof type->rules.steps[step].no / sizeof *no && no[i]; i++)
        digest_number(digest, no[i]);
}

/* Everything that a running saga depends on. The target service is not part of it: what a step
 * changes may have moved to another service, with its records (docs/guide/boundaries.md). */
static void init_digest(struct saga_type *type)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < type->rules.step_count; i++)
        digest_step(&digest, type, i);
    digest_number(&digest, type->rules.pivot);
    digest_number(&digest, type->rules.undone);
    snprintf(type->digest, sizeof type->digest, "%016" PRIx64, digest);
}

void saga_type_tag(const struct saga_type *type, char out[static SAGA_TYPE_TAG_SIZE])
{
    snprintf(out, SAGA_TYPE_TAG_SIZE, "%s %d %s", type->rules.name, type->version, type->digest);
}

enum fh_code saga_types_check(const struct saga_type *types, int count, struct fh_error *error)
{
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) {
            if (types[i].version == types[j].version &&
                strcmp(types[i].rules.name, types[j].rules.name) == 0)
                return error_set(error, FH_INVALID,
                                 "Saga %s has two definitions of version %d: give the newer one a "
                                 "higher `version`.",
                                 types[i].rules.name, types[i].version);
        }
    }
    return FH_OK;
}

enum fh_code saga_type_init(struct saga_type *type, const struct fh_saga_definition *definition,
                            struct fh_error *error)
{
    memset(type, 0, sizeof *type);
    arena_init(&type->arena, TYPE_ARENA_SIZE_MAX);
    type->definition = definition;
    type->rules.name = definition->name;
    type->rules.pivot = -1;
    type->rules.undone = definition->undone != NULL;
    int deadline_s = definition->deadline_s ? definition->deadline_s : SAGA_DEADLINE_S;
    type->deadline_ms = (int64_t)deadline_s * 1000;
    type->version = definition->version ? definition->version : 1;
    if (type->version < 1)
        return error_set(error, FH_INVALID, "Saga %s has the version %d; versions begin with 1.",
                         definition->name, type->version);
    if (!definition->steps || !definition->steps[0].name)
        return error_set(error, FH_INVALID, "Saga %s has no steps.", definition->name);
    struct text steps;
    text_init(&steps, TEXT_LENGTH_MAX);
    enum fh_code code = FH_OK;
    for (const struct fh_step *step = definition->steps; step->name && !code; step++) {
        code = init_step(type, step, error);
        text_printf(&steps, "%s%s", steps.length ? "," : "", step->name);
    }
    if (!code && steps.overflow)
        code =
            error_set(error, FH_NO_MEMORY, "No memory for the steps of saga %s.", definition->name);
    if (!code)
        type->steps = arena_text(&type->arena, steps.data);
    text_release(&steps);
    if (!code)
        code = check_undos(type, error);
    if (!code)
        code = saga_marks_check(type, error);
    if (!code)
        init_digest(type);
    return code;
}

void saga_type_release(struct saga_type *type)
{
    arena_release(&type->arena);
}

enum fh_code saga_definition_check(const struct fh_saga_definition *definition,
                                   struct fh_error *error)
{
    struct saga_type type;
    enum fh_code code = saga_type_init(&type, definition, error);
    saga_type_release(&type);
    return code;
}

void saga_definition_digest(const struct fh_saga_definition *definition,
                            char out[static SAGA_DIGEST_SIZE])
{
    struct saga_type type;
    struct fh_error error;
    saga_type_init(&type, definition, &error);
    memcpy(out, type.digest, SAGA_DIGEST_SIZE);
    saga_type_release(&type);
}

enum fh_code saga_type_counts(const struct saga_type *type, const json_t *input,
                              int counts[static SAGA_STEPS_MAX], struct fh_error *error)
{
    for (int i = 0; i < type->rules.step_count; i++) {
        const char *each = type->calls[i].each;
        const json_t *list = each ? json_at(input, each) : NULL;
        counts[i] = each ? (int)json_array_size(list) : 1;
        if (each && (!json_is_array(list) || json_array_size(list) > SAGA_ELEMENTS_MAX))
            return error_set(
                error, FH_INVALID,
                "Saga %s, step %s: \"%s\" of the input must be an array of at most %d.",
                type->rules.name, type->rules.steps[i].name, each, SAGA_ELEMENTS_MAX);
    }
    return FH_OK;
}

/* An element that is no object ("ids": ["a", "b"]) gets the name {element}. New reference. */
static json_t *element_of(const struct saga_call *call, const json_t *input, int element)
{
    if (!call->each)
        return NULL;
    json_t *value = json_array_get(json_at(input, call->each), (size_t)element);
    if (json_is_object(value))
        return json_incref(value);
    json_t *object = json_object();
    json_object_set(object, "element", value);
    return object;
}

static enum fh_code render_body(const struct saga_type *type, int step, json_t *const *objects,
                                int count, struct arena *arena, const char **ret,
                                struct fh_error *error)
{
    const char *map = type->calls[step].body;
    *ret = NULL;
    if (!map)
        return FH_OK;
    json_t *body = json_object();
    enum fh_code code = FH_OK;
    while (*map && !code) {
        char name[BODY_NAME_LENGTH_MAX + 1];
        size_t length = strcspn(map, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, map);
        char *equals = strchr(name, '=');
        const char *source = equals ? equals + 1 : name;
        json_t *value = NULL;
        for (int i = 0; i < count && !value; i++)
            value = json_at(objects[i], source);
        if (equals)
            *equals = '\0';
        if (value)
            json_object_set(body, name, value);
        else
            code = error_set(error, FH_INVALID, "Saga %s, step %s: the input has no \"%s\".",
                             type->rules.name, type->rules.steps[step].name, source);
        map += length + (map[length] == ',');
    }
    char *text = json_text(body);
    if (!code && strlen(text) > BODY_SIZE_MAX)
        code = error_set(error, FH_INVALID, "Saga %s, step %s: the request's body is too large.",
                         type->rules.name, type->rules.steps[step].name);
    if (!code)
        *ret = arena_text(arena, text);
    json_text_free(text);
    json_decref(body);
    return code;
}

bool fh_is_url(const char *text)
{
    return outside_is_url(text);
}

const char *fh_url_refusal(fh_work *w, const char *url)
{
    const struct outside_rules *rules = w->context->outside;
    if (!url || !fh_is_url(url))
        return "must be an http or https URL, percent-encoded, of at most 2,048 bytes, with "
               "neither a user nor a fragment";
    return rules ? outside_refusal(rules, url) : NULL;
}

static enum fh_code render_url(const struct saga_type *type, int step, json_t *const *objects,
                               int count, struct arena *arena, const char **ret,
                               struct fh_error *error)
{
    const char *name = type->calls[step].outside, *url = NULL;
    for (int i = 0; i < count && !url; i++)
        url = json_string_value(json_at(objects[i], name));
    if (!url || !fh_is_url(url))
        return error_set(
            error, FH_INVALID,
            "Saga %s, step %s: \"%s\" of the input must be an http or https URL, "
            "percent-encoded, of at most %d bytes, with neither a user nor a fragment.",
            type->rules.name, type->rules.steps[step].name, name, OUTSIDE_URL_LENGTH_MAX);
    *ret = arena_text(arena, url);
    return FH_OK;
}

enum fh_code saga_type_render(const struct saga_type *type, int step, int element,
                              const json_t *input, struct arena *arena, struct saga_rendered *ret,
                              struct fh_error *error)
{
    const struct saga_call *call = &type->calls[step];
    json_t *of_element = element_of(call, input, element);
    json_t *objects[2];
    int count = 0;
    if (of_element)
        objects[count++] = of_element;
    objects[count] = json_incref((json_t *)(uintptr_t)input); /* only read */
    count++;
    memset(ret, 0, sizeof *ret);
    enum fh_code code = call->outside
                            ? render_url(type, step, objects, count, arena, &ret->path, error)
                            : path_fill(arena, call->path, objects, count, &ret->path, error);
    if (!code && call->undo_path)
        code = path_fill(arena, call->undo_path, objects, count, &ret->undo_path, error);
    if (!code)
        code = render_body(type, step, objects, count, arena, &ret->body, error);
    for (int i = 0; i < count; i++)
        json_decref(objects[i]);
    return code;
}

/* ---- A saga's own definition ---- */

struct saga_type *saga_manager_type(struct saga_manager *manager, const char *name)
{
    struct saga_type *newest = NULL;
    for (int i = 0; i < manager->type_count; i++) {
        struct saga_type *type = &manager->types[i];
        if (strcmp(type->rules.name, name) == 0 && (!newest || type->version > newest->version))
            newest = type;
    }
    return newest;
}

/* Sagas that are older than versions are matched by their steps. */
static bool began_with(const struct saga_type *type, const json_t *state)
{
    const char *digest = json_string_at(state, "digest"), *steps = json_string_at(state, "steps");
    json_int_t version = 0;
    if (!digest || !json_integer_at(state, "version", &version))
        return steps && strcmp(type->steps, steps) == 0;
    return version == type->version && strcmp(type->digest, digest) == 0;
}

struct saga_type *saga_manager_type_of(struct saga_manager *manager, const char *name,
                                       const json_t *state, struct fh_error *error)
{
    const struct saga_type *newest = saga_manager_type(manager, name);
    struct saga_type *found = NULL;
    const char *steps = json_string_at(state, "steps");
    json_int_t version = 1;
    for (int i = 0; i < manager->type_count; i++) {
        struct saga_type *type = &manager->types[i];
        if (strcmp(type->rules.name, name) == 0 && began_with(type, state) &&
            (!found || type->version > found->version))
            found = type;
    }
    json_integer_at(state, "version", &version);
    if (!newest)
        error_set(error, FH_UNSUPPORTED, "This service has no saga %s any more.", name);
    else if (!found)
        error_set(error, FH_UNSUPPORTED,
                  "Saga %s began with its version %lld (%.48s), which this program does not have: "
                  "deploy one that has it.",
                  name, (long long)version, steps ? steps : "?");
    return found;
}
