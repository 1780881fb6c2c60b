/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matrix is built only from descriptions, so that `check` shows what `up` will grant. A need
 * that no route serves grants nothing; check.c reports it as a mistake.
 */

#include "system/check/callers.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "event/feed/grant.h"
#include "event/versions.h"
#include "gateway/compose.h"
#include "http/path.h"
#include "system/provision/keys.h"
#include "system/file/nearest.h"

static const char *declared_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && *text ? text : NULL;
}

/* ---- Targets and routes ---- */

static bool take_word(const char **text, char *word, size_t size)
{
    size_t length = strcspn(*text, " ");
    if (length == 0 || length >= size || (*text)[length] != ' ')
        return false;
    memcpy(word, *text, length);
    word[length] = '\0';
    *text += length + 1;
    return true;
}

bool callers_target_parse(const char *text, struct callers_target *ret)
{
    return take_word(&text, ret->service, sizeof ret->service) &&
           take_word(&text, ret->method, sizeof ret->method) && *text == '/' &&
           (ret->path = text) != NULL;
}

const json_t *callers_route(const json_t *description, const char *method, const char *path,
                            bool *ret_other_method)
{
    const json_t *best = NULL;
    size_t i;
    json_t *route;
    *ret_other_method = false;
    json_array_foreach (json_object_get(description, "routes"), i, route) {
        if (!compose_target_fits(path, declared_text(route, "path")))
            continue;
        if (strcmp(declared_text(route, "method"), method) != 0)
            *ret_other_method = true;
        else if (!best || path_literals(declared_text(route, "path")) >
                              path_literals(declared_text(best, "path")))
            best = route;
    }
    return best;
}

/* ---- The matrix ---- */

static void grant_caller(json_t *matrix, const char *receiver, const char *caller, const char *what)
{
    json_t *callers = json_object_get(matrix, receiver);
    json_t *grants = json_object_get(callers, caller), *known;
    size_t i;
    if (!callers)
        return; /* no such service */
    if (!grants) {
        grants = json_array();
        json_object_set_new(callers, caller, grants);
    }
    json_array_foreach (grants, i, known) {
        if (strcmp(json_string_value(known), what) == 0)
            return;
    }
    json_array_append_new(grants, json_string(what));
}

static void grant_route(struct system_file *file, json_t *matrix, const char *caller,
                        const struct callers_target *target, const char *prefix)
{
    bool unused;
    char what[512];
    struct system_service *receiver = system_file_service(file, target->service);
    const json_t *route =
        receiver ? callers_route(receiver->description, target->method, target->path, &unused)
                 : NULL;
    if (!route)
        return;
    snprintf(what, sizeof what, "%s%s %s", prefix, target->method, declared_text(route, "path"));
    grant_caller(matrix, receiver->name, caller, what);
}

/* `asked` has a "service" and a "path". */
static void grant_get(struct system_file *file, json_t *matrix, const char *caller,
                      const json_t *asked)
{
    struct callers_target target = {.method = "GET", .path = declared_text(asked, "path")};
    snprintf(target.service, sizeof target.service, "%s", declared_text(asked, "service"));
    grant_route(file, matrix, caller, &target, "");
}

static void grant_step(struct system_file *file, json_t *matrix, const char *caller,
                       const json_t *step)
{
    struct callers_target target;
    const char *call = declared_text(step, "call"), *undo = declared_text(step, "undo");
    if (!call || !callers_target_parse(call, &target))
        return;
    grant_route(file, matrix, caller, &target, "");
    grant_caller(matrix, target.service, caller, "POST /_freehold/closed");
    if (undo && callers_target_parse(undo, &target))
        grant_route(file, matrix, caller, &target, "undo ");
}

/* "id, name" → ":id,name"; without fields, or with none in the list: nothing, for all of the data.
 */
static void add_granted_fields(struct text *what, const char *fields)
{
    const char *separator = ":";
    while (fields && *fields) {
        size_t length = strcspn(fields, ", ");
        if (length) {
            text_add(what, separator);
            text_append(what, fields, length);
            separator = ",";
        }
        fields += length + (fields[length] != '\0');
    }
}

/* Of versions that are cast the fields that their shapes name: without `fields` all is granted. */
static void grant_versions(json_t *matrix, const char *publisher, const char *subscriber,
                           const char *kind, const json_t *subscribed)
{
    const char *fields = declared_text(subscribed, "fields"), *name;
    json_t *upcast, *unused;
    size_t i;
    json_array_foreach (json_object_get(subscribed, "upcasts"), i, upcast) {
        struct text what;
        const char *separator = ":";
        char type[VERSIONS_TYPE_SIZE];
        if (!versions_names_fields(fields))
            return;
        versions_type(type, declared_text(subscribed, "type"),
                      (int)json_integer_value(json_object_get(upcast, "from")));
        text_init(&what, TEXT_LENGTH_MAX);
        text_printf(&what, "%s %s", kind, type);
        json_object_foreach (json_object_get(json_object_get(upcast, "schema"), "properties"), name,
                             unused) {
            text_printf(&what, "%s%s", separator, name);
            separator = ",";
        }
        if (*separator == ',') /* else it would be all of them */
            grant_caller(matrix, publisher, subscriber, what.data);
        text_release(&what);
    }
}

static void grant_events(json_t *matrix, const char *publisher, const char *subscriber,
                         const char *kind, const json_t *subscribed)
{
    struct text what;
    text_init(&what, TEXT_LENGTH_MAX);
    text_printf(&what, "%s %s", kind, declared_text(subscribed, "type"));
    add_granted_fields(&what, declared_text(subscribed, "fields"));
    grant_caller(matrix, publisher, subscriber, what.data);
    text_release(&what);
    grant_versions(matrix, publisher, subscriber, kind, subscribed);
}

static void grant_subscription(json_t *matrix, const char *subscriber, const json_t *subscribed)
{
    const char *publisher = declared_text(subscribed, "service");
    grant_caller(matrix, publisher, subscriber, "GET /_freehold/feed");
    grant_events(matrix, publisher, subscriber, GRANT_EVENTS, subscribed);
    if (!json_is_true(json_object_get(subscribed, "snapshot")))
        return;
    grant_caller(matrix, publisher, subscriber, "GET /_freehold/snapshot");
    grant_events(matrix, publisher, subscriber, GRANT_STATE, subscribed);
}

static void grant_needs(struct system_file *file, json_t *matrix,
                        const struct system_service *service)
{
    size_t i, j;
    json_t *ask, *saga, *step, *subscribed, *taken;
    json_array_foreach (json_object_get(service->description, "asks"), i, ask)
        grant_get(file, matrix, service->name, ask);
    json_array_foreach (json_object_get(service->description, "takes_over"), i, taken) {
        grant_get(file, matrix, service->name, taken);
        grant_caller(matrix, declared_text(taken, "service"), service->name,
                     "GET /_freehold/commands");
    }
    json_array_foreach (json_object_get(service->description, "sagas"), i, saga) {
        json_array_foreach (json_object_get(saga, "steps"), j, step)
            grant_step(file, matrix, service->name, step);
    }
    json_array_foreach (json_object_get(service->description, "hears"), i, subscribed)
        grant_subscription(matrix, service->name, subscribed);
}

static void grant_public(json_t *matrix, const struct system_service *service)
{
    size_t i;
    json_t *route;
    json_array_foreach (json_object_get(service->description, "routes"), i, route) {
        if (strcmp(declared_text(route, "audience"), "public") == 0)
            grant_caller(matrix, service->name, KEYS_GATEWAY, "public");
    }
    grant_caller(matrix, service->name, KEYS_OPERATOR, "*");
}

/* What is declared, regardless of what the file takes away. */
static json_t *declared_needs(struct system_file *file)
{
    json_t *matrix = json_object();
    for (size_t i = 0; i < file->service_count; i++)
        json_object_set_new(matrix, file->services[i].name, json_object());
    for (size_t i = 0; i < file->service_count; i++)
        grant_public(matrix, &file->services[i]);
    for (size_t i = 0; i < file->service_count; i++)
        grant_needs(file, matrix, &file->services[i]);
    return matrix;
}

/* ---- What the file takes away ---- */

bool callers_take(const struct system_service *service, const char *caller)
{
    if (!service->callers_restricted || strcmp(caller, KEYS_OPERATOR) == 0)
        return true;
    for (size_t i = 0; i < service->caller_count; i++) {
        if (strcmp(service->callers[i].name, caller) == 0)
            return true;
    }
    return false;
}

/* A service that sagas send to may announce to their service that it was restored, whatever the
 * file says. */
static void grant_announcing(struct system_file *file, json_t *matrix,
                             const struct system_service *service)
{
    size_t i, j;
    json_t *saga, *step;
    struct callers_target target;
    json_array_foreach (json_object_get(service->description, "sagas"), i, saga) {
        json_array_foreach (json_object_get(saga, "steps"), j, step) {
            const char *call = declared_text(step, "call");
            if (call && callers_target_parse(call, &target) &&
                system_file_service(file, target.service))
                grant_caller(matrix, service->name, target.service,
                             "POST /_freehold/restored/announce");
        }
    }
}

json_t *callers_matrix(struct system_file *file)
{
    json_t *matrix = declared_needs(file), *grants;
    const char *caller;
    void *next;
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        json_object_foreach_safe (json_object_get(matrix, service->name), next, caller, grants) {
            if (!callers_take(service, caller))
                json_object_del(json_object_get(matrix, service->name), caller);
        }
        grant_announcing(file, matrix, service);
    }
    return matrix;
}

void callers_add(json_t *matrix, json_t *more)
{
    const char *receiver, *caller;
    json_t *callers, *grants, *what;
    size_t i;
    json_object_foreach (more, receiver, callers) {
        json_object_foreach (callers, caller, grants) {
            json_array_foreach (grants, i, what)
                grant_caller(matrix, receiver, caller, json_string_value(what));
        }
    }
}

static void check_caller_names(struct system_file *file, const struct system_service *service,
                               struct findings *findings)
{
    for (size_t i = 0; i < service->caller_count; i++) {
        const struct system_caller *caller = &service->callers[i];
        if (strcmp(caller->name, KEYS_GATEWAY) == 0 || system_file_service(file, caller->name) ||
            json_object_get(file->others, caller->name))
            continue;
        struct nearest nearest = nearest_begin(caller->name);
        nearest_offer(&nearest, KEYS_GATEWAY);
        for (size_t j = 0; j < file->service_count; j++)
            nearest_offer(&nearest, file->services[j].name);
        findings_error(findings, caller->place,
                       "services.%s.callers: the system has no service '%s'%s%s%s", service->name,
                       caller->name, nearest.word ? "; did you mean '" : "",
                       nearest.word ? nearest.word : "", nearest.word ? "'?" : "");
    }
}

void callers_check(struct system_file *file, struct findings *findings)
{
    json_t *matrix = declared_needs(file), *grants;
    const char *caller;
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        check_caller_names(file, service, findings);
        json_object_foreach (json_object_get(matrix, service->name), caller, grants) {
            /* The list may well be there to close its public routes to the gateway. */
            if (!callers_take(service, caller) && strcmp(caller, KEYS_GATEWAY) != 0)
                findings_error(findings, service->place,
                               "%s needs %s of %s, which services.%s.callers does not let through; "
                               "add it there, or take the need out of the program",
                               caller, json_string_value(json_array_get(grants, 0)), service->name,
                               service->name);
        }
    }
    json_decref(matrix);
}
