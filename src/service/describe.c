/* SPDX-License-Identifier: Apache-2.0 */
/* A declaration as JSON: what `--describe` prints, and everything else relies on
 * (docs/internals/processes.md). */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "call/auth.h"
#include "saga/run.h"
#include "service/declared.h"
#include "service/runtime.h"
#include "shape/shape.h"
#include "store/derived/derived.h"
#include "store/model.h"
#include "work/page.h"

static const char *const audiences[] = {
    [FH_PUBLIC] = "public", [FH_SERVICES] = "services", [FH_OPERATORS] = "operators"};

static void set_member(json_t *object, const char *name, json_t *value)
{
    if (value)
        json_object_set_new(object, name, value);
}

static void set_member_text(json_t *object, const char *name, const char *text)
{
    if (text)
        json_object_set_new(object, name, json_string(text));
}

/* Shapes that have names are described with them. */
static const struct fh_named_shape *shape_names;

static json_t *named_schema(const fh_field *shape)
{
    return shape_schema_named(shape, shape_names);
}

static json_t *describe_answer(const struct fh_answer *answer)
{
    json_t *object = json_object();
    set_member(object, "status", json_integer(answer->status));
    if (answer->shape)
        set_member(object, "schema", named_schema(answer->shape));
    else if (answer->each)
        set_member(object, "schema",
                   json_pack("{s:s, s:o}", "type", "array", "items", named_schema(answer->each)));
    return object;
}

static json_t *describe_route(const struct fh_route *route)
{
    json_t *object = json_object();
    set_member_text(object, "method", route->method);
    set_member_text(object, "path", route->path);
    set_member_text(object, "audience", audiences[route->audience]);
    set_member_text(object, "name", route->name);
    set_member_text(object, "summary", route->summary);
    set_member_text(object, "location", route->location);
    if (route->auth)
        set_member(object, "auth", auth_text(route->auth));
    set_member(object, "undo", json_boolean(route->undo != NULL));
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    const fh_field *query = page_query_shape(&arena, route);
    if (query)
        set_member(object, "query", named_schema(query));
    arena_release(&arena);
    if (route->page.by)
        set_member(object, "page", json_string(route->page.by));
    if (route->of_view)
        set_member(object, "of_view", json_true());
    if (route->body)
        set_member(object, "body", named_schema(route->body));
    set_member_text(object, "body_type", route->body_type);
    set_member_text(object, "answer_type", route->answer_type);
    if (route->answer.status)
        set_member(object, "answer", describe_answer(&route->answer));
    set_member(object, "deadline_ms",
               json_integer(route->deadline_ms ? route->deadline_ms : RUNTIME_DEADLINE_MS));
    return object;
}

/* The versions that are made for subscribers who read an earlier one. */
static json_t *describe_downcasts(const fh_service *service, const char *type)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof service->downcasts / sizeof *service->downcasts; i++) {
        const struct fh_downcast *downcast = &service->downcasts[i];
        if (downcast->type && strcmp(downcast->type, type) == 0)
            json_array_append_new(list, json_pack("{s:i, s:o}", "to", downcast->to, "schema",
                                                  named_schema(downcast->into)));
    }
    return list;
}

/* What makes the version that is read of earlier ones: `schema` is what comes in, `into` what is
 * made of it. */
static json_t *describe_upcasts(const fh_service *service, const struct fh_subscription *subscribed)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof service->upcasts / sizeof *service->upcasts; i++) {
        const struct fh_upcast *upcast = &service->upcasts[i];
        if (upcast->service && strcmp(upcast->service, subscribed->service) == 0 &&
            strcmp(upcast->type, subscribed->type) == 0)
            json_array_append_new(list, json_pack("{s:i, s:o, s:o}", "from", upcast->from, "schema",
                                                  named_schema(upcast->shape), "into",
                                                  named_schema(upcast->into)));
    }
    return list;
}

static void set_member_list(json_t *object, const char *name, json_t *list)
{
    if (json_array_size(list))
        set_member(object, name, list);
    else
        json_decref(list);
}

/* Whose parts are described. */
static const fh_service *described_service;

static json_t *describe_published(const struct fh_published *published)
{
    json_t *object = json_object();
    set_member_text(object, "type", published->type);
    set_member(object, "version", json_integer(published->version));
    set_member_text(object, "key", published->key);
    if (published->actor)
        set_member(object, "actor", json_true());
    if (published->shape)
        set_member(object, "schema", named_schema(published->shape));
    set_member_list(object, "downcasts", describe_downcasts(described_service, published->type));
    return object;
}

static json_t *describe_step(const struct fh_step *step)
{
    json_t *object = json_object();
    set_member_text(object, "name", step->name);
    set_member_text(object, "each", step->each);
    set_member_text(object, "call", step->call);
    set_member_text(object, "outside", step->outside);
    set_member_text(object, "undo", step->undo);
    set_member_text(object, "body", step->body);
    set_member(object, "run", json_boolean(step->run != NULL));
    set_member(object, "pivot", json_boolean(step->pivot));
    set_member_text(object, "personal", step->personal);
    return object;
}

static json_t *describe_saga(const struct fh_saga_definition *saga)
{
    json_t *object = json_object(), *steps = json_array();
    char digest[SAGA_DIGEST_SIZE];
    saga_definition_digest(saga, digest);
    set_member_text(object, "name", saga->name);
    set_member(object, "version", json_integer(saga->version ? saga->version : 1));
    set_member_text(object, "digest", digest);
    set_member(object, "deadline_s", json_integer(saga->deadline_s ? saga->deadline_s : 600));
    set_member(object, "undone", json_boolean(saga->undone != NULL));
    if (saga->input)
        set_member(object, "input", named_schema(saga->input));
    for (const fh_step *step = saga->steps; step->name; step++)
        json_array_append_new(steps, describe_step(step));
    set_member(object, "steps", steps);
    return object;
}

static json_t *describe_collection(const struct fh_collection *collection)
{
    json_t *indexes = json_array();
    for (size_t i = 0; i < sizeof collection->indexes / sizeof collection->indexes[0]; i++) {
        if (collection->indexes[i])
            json_array_append_new(indexes, json_string(collection->indexes[i]));
    }
    json_t *object = json_object();
    set_member_text(object, "name", collection->name);
    set_member(object, "indexes", indexes);
    return object;
}

static json_t *describe_uses(unsigned use)
{
    static const struct {
        enum fh_use use;
        const char *name;
    } uses[] = {{FH_TEXT, "text"}, {FH_FACET, "facet"}, {FH_TAG, "tag"}, {FH_SORTED, "sorted"}};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        if (use & (unsigned)uses[i].use)
            json_array_append_new(list, json_string(uses[i].name));
    }
    return list;
}

static json_t *describe_rollups(const struct fh_derived *derived)
{
    json_t *list = json_array();
    for (int i = 0; i < series_rollup_count(derived); i++)
        json_array_append_new(list, json_pack("{s:I, s:i}", "every_ms",
                                              (json_int_t)derived->rollups[i].every_ms, "keep_days",
                                              derived->rollups[i].keep_days));
    return list;
}

static json_t *describe_derived(const struct fh_derived *derived)
{
    json_t *object = json_object(), *fields = json_array();
    for (const struct fh_derived_field *field = derived->fields; field->name; field++) {
        json_t *one =
            json_pack("{s:s, s:o}", "name", field->name, "use", describe_uses(field->use));
        if (field->personal)
            set_member(one, SHAPE_SCHEMA_PERSONAL, json_true());
        json_array_append_new(fields, one);
    }
    set_member_text(object, "name", derived->name);
    set_member_text(object, "model",
                    derived->model == FH_SERIES    ? "series"
                    : derived->model == FH_COLUMNS ? "columns"
                                                   : "search");
    set_member_text(object, "language", derived->language);
    if (derived->keep_days)
        set_member(object, "keep_days", json_integer(derived->keep_days));
    if (series_rollup_count(derived))
        set_member(object, "rollups", describe_rollups(derived));
    set_member(object, "state", json_boolean(derived->state != NULL));
    set_member(object, "fields", fields);
    return object;
}

/* Each list ends at its first empty row, or after its last. */
#define DESCRIBE_ALL(object, name, rows, is_there, describe)                                       \
    do {                                                                                           \
        json_t *list = json_array();                                                               \
        for (size_t i = 0; i < sizeof(rows) / sizeof((rows)[0]) && (rows)[i].is_there; i++)        \
            json_array_append_new(list, describe(&(rows)[i]));                                     \
        if (json_array_size(list))                                                                 \
            set_member(object, name, list);                                                        \
        else                                                                                       \
            json_decref(list);                                                                     \
    } while (0)

static json_t *describe_subscription(const struct fh_subscription *subscribed)
{
    json_t *object = json_object();
    set_member_text(object, "service", subscribed->service);
    set_member_text(object, "type", subscribed->type);
    set_member_text(object, "fields", subscribed->fields);
    set_member_text(object, "personal", subscribed->personal);
    if (subscribed->upsert)
        set_member(object, "snapshot", json_true());
    if (subscribed->version)
        set_member(object, "version", json_integer(subscribed->version));
    set_member_list(object, "upcasts", describe_upcasts(described_service, subscribed));
    return object;
}

static json_t *describe_asked(const struct fh_asked *asked)
{
    json_t *object = json_object();
    set_member_text(object, "service", asked->service);
    set_member_text(object, "path", asked->path);
    set_member_text(object, "personal", asked->personal);
    return object;
}

static json_t *describe_taken_over(const struct fh_taken_over *taken)
{
    json_t *object = json_object();
    set_member_text(object, "service", taken->service);
    set_member_text(object, "path", taken->path);
    set_member_text(object, "step", taken->step);
    return object;
}

static json_t *describe_timer(const struct fh_timer *timer)
{
    json_t *object = json_object();
    set_member_text(object, "name", timer->name);
    if (timer->data)
        set_member(object, "data", shape_schema(timer->data));
    return object;
}

static json_t *describe_every(const struct fh_every *every)
{
    json_t *object = json_object();
    set_member_text(object, "name", every->name);
    set_member_text(object, "cron", every->cron);
    set_member_text(object, "zone", every->zone ? every->zone : "UTC");
    return object;
}

static json_t *describe_fetches(const fh_service *service)
{
    json_t *hosts = json_array();
    for (size_t i = 0; i < sizeof service->fetches / sizeof *service->fetches; i++) {
        if (service->fetches[i])
            json_array_append_new(hosts, json_string(service->fetches[i]));
    }
    return hosts;
}

json_t *service_describe(const fh_service *service)
{
    const struct model *model = model_of(service->model);
    json_t *object = json_object();
    shape_names = service->shapes;
    described_service = service;
    set_member(object, "freehold", json_integer(1));
    set_member_text(object, "name", service->name);
    set_member_text(object, "model", model ? model->name : NULL);
    DESCRIBE_ALL(object, "routes", service->routes, method, describe_route);
    DESCRIBE_ALL(object, "publishes", service->publishes, type, describe_published);
    DESCRIBE_ALL(object, "hears", service->subscribes, service, describe_subscription);
    DESCRIBE_ALL(object, "asks", service->asks, service, describe_asked);
    if (service->fetches[0])
        set_member(object, "fetches", describe_fetches(service));
    DESCRIBE_ALL(object, "takes_over", service->takes_over, service, describe_taken_over);
    DESCRIBE_ALL(object, "collections", service->collections, name, describe_collection);
    DESCRIBE_ALL(object, "derives", service->derives, name, describe_derived);
    DESCRIBE_ALL(object, "sagas", service->sagas, name, describe_saga);
    DESCRIBE_ALL(object, "timers", service->timers, name, describe_timer);
    DESCRIBE_ALL(object, "every", service->every, name, describe_every);
    if (service->settings)
        set_member(object, "settings", named_schema(service->settings));
    return object;
}

json_t *service_statements(const struct declared *declared, const struct fh_program *program)
{
    json_t *services = json_array(), *statements = json_array();
    for (size_t i = 0; i < declared->count; i++)
        json_array_append_new(services, json_string(declared->services[i]->name));
    for (const struct fh_statement *const *at = program->statements_begin;
         at != program->statements_end; at++) {
        const struct fh_statement *statement = *at;
        json_t *object = json_object();
        set_member_text(object, "call", statement->call);
        set_member_text(object, "sql", statement->sql);
        set_member_text(object, "written", statement->written);
        set_member_text(object, "file", statement->file);
        set_member(object, "line", json_integer(statement->line));
        json_array_append_new(statements, object);
    }
    return json_pack("{s:i, s:o, s:o}", "freehold", 1, "services", services, "statements",
                     statements);
}

int service_print(json_t *object)
{
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return fflush(stdout) == 0 ? 0 : PROCESS_EXIT_FAILED;
}
