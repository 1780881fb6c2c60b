/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every expectation is looked up in the description of the service it names. A finding tells who
 * expects what of whom, and the nearest match there is. Places are in the system file alone.
 *
 * A template ("/api/users/{user_id}?full={full}") is served by a route with the same literal
 * segments, whose names take the template's; its query may only use the route's own parameters.
 *
 * Other teams' services (file->others) are known by their descriptions alone. What is expected of
 * them is looked up as in the system itself, and so is what they expect of it.
 */

#define _GNU_SOURCE
#include "system/check/check.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "gateway/compose.h"
#include "shape/shape.h"
#include "system/check/auth.h"
#include "system/check/bodies.h"
#include "system/check/buses.h"
#include "system/check/sources.h"
#include "system/check/callers.h"
#include "system/check/event_versions.h"
#include "system/provision/keys.h"
#include "system/check/own.h"
#include "system/check/personal.h"
#include "system/file/nearest.h"

/* Names the party with the expectation, for messages: "orders: saga place_order, step reserve". */
struct expectation {
    struct system_file *file;
    struct findings *findings;
    struct place place;
    const char *who;
    bool of_others; /* it is another team's: what it expects of third ones is not ours to judge */
};

static const char *described_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && *text ? text : NULL;
}

static const json_t *find_service(const struct expectation *by, const char *name)
{
    struct system_service *service = system_file_service(by->file, name);
    const json_t *other = json_object_get(by->file->others, name);
    const char *other_name;
    json_t *unused;
    if (service || by->of_others)
        return service ? service->description : NULL;
    if (other)
        return other;
    struct nearest nearest = nearest_begin(name);
    json_object_foreach (by->file->others, other_name, unused)
        nearest_offer(&nearest, other_name);
    for (size_t i = 0; i < by->file->service_count; i++)
        nearest_offer(&nearest, by->file->services[i].name);
    for (size_t i = 0; i < by->file->source_count; i++)
        nearest_offer(&nearest, by->file->sources[i].name);
    findings_error(by->findings, by->place, "%s needs the service '%s', which %s%s%s%s", by->who,
                   name,
                   by->file->others ? "neither the system nor --others has" : "the system has not",
                   nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
                   nearest.word ? "'?" : "");
    return NULL;
}

/* ---- Routes ---- */

/* A schema that does not rule out additional properties accepts any. */
static bool accepts_unknown(const json_t *schema)
{
    return !json_is_false(json_object_get(schema, "additionalProperties"));
}

static void check_query(const struct expectation *by, const char *service, const char *path,
                        const json_t *route)
{
    const char *query = strchr(path, '?');
    const json_t *schema = json_object_get(route, "query");
    const json_t *known = json_object_get(schema, "properties");
    while (query && *++query) {
        size_t length = strcspn(query, "=&");
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), query);
        if (!(schema && accepts_unknown(schema)) && !json_object_get(known, name))
            findings_error(by->findings, by->place,
                           "%s sends the query parameter '%s', which %s %s of %s does not take",
                           by->who, name, described_text(route, "method"),
                           described_text(route, "path"), service);
        query = strchr(query, '&');
    }
}

static void report_no_route(const struct expectation *by, const json_t *description,
                            const struct callers_target *target, bool other_method)
{
    struct nearest nearest = nearest_begin(target->path);
    size_t i;
    json_t *route;
    json_array_foreach (json_object_get(description, "routes"), i, route) {
        if (strcmp(described_text(route, "method"), target->method) == 0)
            nearest_offer(&nearest, described_text(route, "path"));
    }
    findings_error(by->findings, by->place, "%s needs %s %s, which %s does not serve%s%s%s",
                   by->who, target->method, target->path, target->service,
                   other_method   ? "; it serves that path with other methods"
                   : nearest.word ? "; the nearest is "
                                  : "",
                   !other_method && nearest.word ? nearest.word : "", "");
}

static void check_types_are_json(const struct expectation *by, const struct callers_target *target,
                                 const json_t *route)
{
    const char *body = json_string_at(route, "body_type");
    const char *type = body ? body : json_string_at(route, "answer_type");
    if (type)
        findings_error(by->findings, by->place,
                       "%s uses %s %s of %s, whose %s is %s: expected JSON", by->who,
                       target->method, described_text(route, "path"), target->service,
                       body ? "body" : "answer", type);
}

/* The route that serves the target; a finding if there is none or it is only for operators. */
static const json_t *find_route(const struct expectation *by, const struct callers_target *target)
{
    const json_t *description = find_service(by, target->service);
    bool other_method;
    if (!description)
        return NULL;
    const json_t *best = callers_route(description, target->method, target->path, &other_method);
    if (!best) {
        report_no_route(by, description, target, other_method);
        return NULL;
    }
    if (strcmp(described_text(best, "audience"), "operators") == 0)
        findings_error(by->findings, by->place, "%s uses %s %s of %s, which is for operators only",
                       by->who, target->method, described_text(best, "path"), target->service);
    check_types_are_json(by, target, best);
    check_query(by, target->service, target->path, best);
    return best;
}

/* ---- Asks and subscriptions ---- */

static void check_asks(struct expectation *by, const struct system_service *service)
{
    size_t i;
    json_t *ask;
    char who[256];
    json_array_foreach (json_object_get(service->description, "asks"), i, ask) {
        struct callers_target target = {.method = "GET", .path = described_text(ask, "path")};
        snprintf(target.service, sizeof target.service, "%s", described_text(ask, "service"));
        snprintf(who, sizeof who, "%s asks %s and", service->name, target.service);
        by->who = who;
        find_route(by, &target);
    }
}

/* A step that was taken over must not be changed at its old service any more: no saga may still
 * send a step of that name there. */
static void check_left_alone(const struct expectation *by, const json_t *sagas, const char *giver,
                             const char *name)
{
    size_t i, j;
    json_t *saga, *step;
    json_array_foreach (sagas, i, saga) {
        json_array_foreach (json_object_get(saga, "steps"), j, step) {
            struct callers_target target;
            const char *call = described_text(step, "call");
            if (call && callers_target_parse(call, &target) && strcmp(target.service, giver) == 0 &&
                strcmp(described_text(step, "name"), name) == 0)
                findings_error(by->findings, by->place,
                               "%s the step %s from %s, but saga %s still sends it to %s", by->who,
                               name, giver, described_text(saga, "name"), giver);
        }
    }
}

static void check_taken_over(struct expectation *by, const struct system_service *service)
{
    size_t i;
    json_t *taken;
    char who[256];
    json_array_foreach (json_object_get(service->description, "takes_over"), i, taken) {
        struct callers_target target = {.method = "GET", .path = described_text(taken, "path")};
        snprintf(target.service, sizeof target.service, "%s", described_text(taken, "service"));
        snprintf(who, sizeof who, "%s takes over", service->name);
        by->who = who;
        find_route(by, &target);
        for (size_t j = 0; j < by->file->service_count; j++)
            check_left_alone(by, json_object_get(by->file->services[j].description, "sagas"),
                             target.service, described_text(taken, "step"));
    }
}

static void check_fields(const struct expectation *by, const char *type, const char *publisher,
                         const json_t *schema, const char *fields)
{
    const json_t *properties = json_object_get(schema, "properties");
    if (!fields || accepts_unknown(schema))
        return;
    while (*fields) {
        size_t length = strcspn(fields, ",");
        /* Of "address.city" only the first part: what is inside is the field's own shape. */
        size_t head = strcspn(fields, ".,");
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(head < 127 ? head : 127), fields);
        if (!json_object_get(properties, name)) {
            struct nearest nearest = nearest_begin(name);
            const char *known;
            json_t *unused;
            json_object_foreach ((json_t *)(uintptr_t)properties, known, unused)
                nearest_offer(&nearest, known);
            findings_error(by->findings, by->place,
                           "%s wants the field '%s' of %s, which %s publishes without it%s%s%s",
                           by->who, name, type, publisher, nearest.word ? "; did you mean '" : "",
                           nearest.word ? nearest.word : "", nearest.word ? "'?" : "");
        }
        fields += length + (fields[length] == ',');
    }
}

static void check_subscriptions(struct expectation *by, const struct system_service *service)
{
    size_t i, j;
    json_t *subscribed, *published;
    json_array_foreach (json_object_get(service->description, "hears"), i, subscribed) {
        const char *publisher = described_text(subscribed, "service"),
                   *type = described_text(subscribed, "type");
        const json_t *found = NULL;
        const struct system_source *source =
            by->of_others || !publisher ? NULL : system_file_source(by->file, publisher);
        by->who = service->name;
        if (source) {
            sources_check_subscription(source, service, subscribed, by->findings);
            continue;
        }
        const json_t *description = find_service(by, publisher);
        if (!description)
            continue;
        struct nearest nearest = nearest_begin(type);
        json_array_foreach (json_object_get(description, "publishes"), j, published) {
            nearest_offer(&nearest, described_text(published, "type"));
            if (strcmp(described_text(published, "type"), type) == 0)
                found = published;
        }
        if (found)
            check_fields(by, type, publisher, event_versions_read(found, subscribed),
                         described_text(subscribed, "fields"));
        else
            findings_error(by->findings, by->place,
                           "%s subscribes to %s, which %s does not publish%s%s%s", by->who, type,
                           publisher, nearest.word ? "; did you mean '" : "",
                           nearest.word ? nearest.word : "", nearest.word ? "'?" : "");
    }
}

/* ---- Sagas ---- */

static void check_undo(const struct expectation *by, const struct bodies_step *sent,
                       const char *undo, const struct callers_target *call)
{
    struct callers_target target;
    if (!callers_target_parse(undo, &target)) {
        findings_error(by->findings, by->place,
                       "%s: the undo '%s' is not written SERVICE METHOD /path", by->who, undo);
        return;
    }
    if (strcmp(target.service, call->service) != 0)
        findings_error(by->findings, by->place,
                       "%s calls %s but is undone at %s; the service that did it must undo it",
                       by->who, call->service, target.service);
    const json_t *route = find_route(by, &target);
    if (route && !json_is_true(json_object_get(route, "undo")))
        findings_error(by->findings, by->place,
                       "%s is undone by %s %s of %s, which undoes nothing: the route has no undo "
                       "handler",
                       by->who, target.method, described_text(route, "path"), target.service);
    else if (route)
        bodies_check(sent, target.path, true, target.service, route);
}

static void check_step(const struct expectation *by, const struct bodies_step *sent,
                       bool before_pivot)
{
    const json_t *step = sent->step;
    const char *call = described_text(step, "call"), *undo = described_text(step, "undo");
    struct callers_target target;
    if (json_is_true(json_object_get(step, "run"))) {
        if (call)
            findings_error(by->findings, by->place, "%s both calls and runs; expected one of them",
                           by->who);
        return;
    }
    bodies_check_sources(sent);
    if (described_text(step, "outside")) {
        if (before_pivot)
            findings_error(by->findings, by->place,
                           "%s comes before the pivot and goes outside, where nothing is undone",
                           by->who);
        return;
    }
    if (!call) {
        findings_error(by->findings, by->place, "%s neither calls nor runs", by->who);
        return;
    }
    if (!callers_target_parse(call, &target)) {
        findings_error(by->findings, by->place,
                       "%s: the call '%s' is not written SERVICE METHOD /path", by->who, call);
        return;
    }
    if (strcmp(target.method, "GET") == 0)
        findings_error(by->findings, by->place,
                       "%s is a GET, which changes nothing; ask in the handler instead", by->who);
    const json_t *route = find_route(by, &target);
    if (route)
        bodies_check(sent, target.path, false, target.service, route);
    if (undo)
        check_undo(by, sent, undo, &target);
    else if (before_pivot)
        findings_error(by->findings, by->place,
                       "%s comes before the pivot and cannot be undone; give it an undo", by->who);
}

static void check_saga(struct expectation *by, const struct system_service *service,
                       const json_t *saga)
{
    char who[256];
    size_t i, pivots = 0, calls = 0, passed = 0;
    json_t *step;
    const json_t *steps = json_object_get(saga, "steps");
    json_array_foreach (steps, i, step) {
        pivots += json_is_true(json_object_get(step, "pivot"));
        calls += described_text(step, "call") != NULL;
    }
    snprintf(who, sizeof who, "%s: saga %s", service->name, described_text(saga, "name"));
    by->who = who;
    if (pivots == 0 && calls > 0)
        findings_warning(by->findings, by->place,
                         "%s has no pivot: no step decides that it will be completed", who);
    if (pivots > 1)
        findings_error(by->findings, by->place, "%s has %zu pivots; one step decides", who, pivots);
    json_array_foreach (steps, i, step) {
        bool pivot = json_is_true(json_object_get(step, "pivot"));
        snprintf(who, sizeof who, "%s: saga %s, step %s", service->name,
                 described_text(saga, "name"), described_text(step, "name"));
        struct bodies_step sent = {by->findings, by->place, who, saga, step};
        check_step(by, &sent, passed == 0 && !pivot);
        passed += pivot;
    }
}

/* ---- Other teams ---- */

/* Of their sagas only what is sent is known, not of which values. */
static void check_others_sagas(struct expectation *by, const char *name, const json_t *sagas)
{
    size_t i, j;
    json_t *saga, *step;
    char who[256];
    json_array_foreach (sagas, i, saga) {
        json_array_foreach (json_object_get(saga, "steps"), j, step) {
            const char *const written[] = {described_text(step, "call"),
                                           described_text(step, "undo")};
            snprintf(who, sizeof who, "%s: saga %s, step %s", name, described_text(saga, "name"),
                     described_text(step, "name"));
            by->who = who;
            struct bodies_step sent = {by->findings, by->place, who, saga, step};
            for (int k = 0; k < 2; k++) {
                struct callers_target target;
                const json_t *route = written[k] && callers_target_parse(written[k], &target)
                                          ? find_route(by, &target)
                                          : NULL;
                if (route)
                    bodies_check(&sent, target.path, k == 1, target.service, route);
            }
        }
    }
}

/* What other teams' services expect of this system. */
static void check_others(struct expectation *by)
{
    const char *name;
    json_t *description;
    by->of_others = true;
    by->place = (struct place){by->file->path, 0, 0};
    json_object_foreach (by->file->others, name, description) {
        struct system_service service = {.name = name, .description = description};
        check_asks(by, &service);
        check_subscriptions(by, &service);
        check_others_sagas(by, name, json_object_get(description, "sagas"));
    }
    by->of_others = false;
}

/* ---- The gateway ---- */

static void check_composition(struct expectation *by, const struct system_composition *composition)
{
    struct fh_error error;
    struct compose *parsed;
    json_t *declared = system_file_composition(composition);
    by->place = composition->place;
    if (compose_parse(declared, &parsed, &error) != FH_OK) {
        findings_error(by->findings, by->place, "%s", error.message);
        json_decref(declared);
        return;
    }
    json_decref(declared);
    for (int i = 0; i < parsed->part_count; i++) {
        const struct compose_part *part = &parsed->parts[i];
        struct callers_target target = {.method = "GET", .path = part->target};
        char who[256];
        snprintf(target.service, sizeof target.service, "%s", part->service);
        snprintf(who, sizeof who, "%s, part %s,", composition->path, part->name);
        by->who = who;
        by->place = composition->parts[i].place;
        const json_t *route = find_route(by, &target);
        if (route && strcmp(described_text(route, "audience"), "services") == 0)
            findings_error(by->findings, by->place,
                           "%s uses GET %s of %s, which is not for the public", who,
                           described_text(route, "path"), target.service);
        const struct system_service *service = system_file_service(by->file, part->service);
        if (service && !callers_take(service, KEYS_GATEWAY))
            findings_error(by->findings, by->place,
                           "%s uses %s, which services.%s.callers closes to the gateway", who,
                           service->name, service->name);
    }
    compose_free(parsed);
}

void check_system(struct system_file *file, struct findings *findings)
{
    struct expectation by = {.file = file, .findings = findings};
    size_t errors = findings->errors, described = 0, i, j;
    json_t *saga;
    for (i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        by.place = service->place;
        if (!service->description)
            continue;
        described++;
        own_check(file, service, findings);
        check_asks(&by, service);
        check_taken_over(&by, service);
        check_subscriptions(&by, service);
        event_versions_check(file, service, findings);
        json_array_foreach (json_object_get(service->description, "sagas"), j, saga)
            check_saga(&by, service, saga);
    }
    if (described < file->service_count)
        return;
    check_others(&by);
    callers_check(file, findings);
    auth_check_routes(file, findings);
    personal_check(file, findings);
    buses_check(file, findings);
    sources_check(file, findings);
    for (i = 0; i < file->composition_count; i++)
        check_composition(&by, &file->compositions[i]);
    if (findings->errors == errors)
        own_check_gateway(file, findings);
}

struct check_counts check_count(const struct system_file *file)
{
    struct check_counts counts = {.services = file->service_count,
                                  .compositions = file->composition_count};
    for (size_t i = 0; i < file->service_count; i++) {
        const json_t *description = file->services[i].description;
        size_t j;
        json_t *route;
        json_array_foreach (json_object_get(description, "routes"), j, route) {
            counts.routes++;
            counts.public_routes += strcmp(described_text(route, "audience"), "public") == 0;
        }
        counts.subscriptions += json_array_size(json_object_get(description, "hears"));
        counts.sagas += json_array_size(json_object_get(description, "sagas"));
    }
    return counts;
}
