/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A description as OpenAPI. It says only what the runtime does: what a route takes is what
 * exchange.c checks, what it answers is what it declares (fh_reply keeps to that), and every error
 * is a problem document.
 *
 * OpenAPI has one operation per method and path, where names do not count, but two patterns
 * ("/a/{id:int}", "/a/{name}") may share one: then the first one added stays, and mentions the
 * other. Schemas of shapes without a name are written out where they are used; those that have one
 * are components (openapi_named.c).
 */

#include "service/openapi.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/as_of.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "call/auth.h"
#include "call/identity.h"
#include "shape/shape.h"
#include "work/command.h"

/* What a path or a query can't hold, whatever a shape says: see http/path.h. */
#define PATH_INTEGER_MAX INT64_C(999999999999999999)
#define PATH_SEGMENT_PATTERN "^([^.\\u0000]|[.][^.\\u0000]|[.]{2}[^\\u0000])[^\\u0000]*$"
#define QUERY_PATTERN "^[^\\u0000]*$"
#define QUERY_ELEMENT_PATTERN "^[^,\\u0000]+$"

#define OPENAPI_USER "user"            /* the security scheme of people */
#define NAME_LENGTH_MAX ((size_t)4096) /* of anything made from a path */

static void put_openapi(json_t *object, const char *name, json_t *value)
{
    int result = json_object_set_new(object, name, value);
    FH_ASSERT(result == 0);
}

static void append_member(json_t *array, json_t *value)
{
    int result = json_array_append_new(array, value);
    FH_ASSERT(result == 0);
}

/* What is secret is taken, and not told: in answers the same names may be there. */
static void set_write_only(json_t *schema)
{
    const char *name;
    json_t *inner;
    bool told = !json_is_true(json_object_get(schema, SHAPE_SCHEMA_SECRET)) &&
                !json_is_true(json_object_get(schema, SHAPE_SCHEMA_CARD));
    json_object_foreach (schema, name, inner)
        set_write_only(inner);
    if (!told)
        put_openapi(schema, "writeOnly", json_true());
}

static json_t *taken_schema(const json_t *schema, const char *service)
{
    json_t *copy = openapi_schema_of(schema, service);
    set_write_only(copy);
    return copy;
}

/* ---- Paths ---- */

struct pattern_name {
    const char *at;
    size_t length;
    bool integer;
};

/* The next {name} in a pattern; false: no more. */
static bool next_name(const char **pattern, struct pattern_name *ret)
{
    const char *open = strchr(*pattern, '{'), *close = open ? strchr(open, '}') : NULL;
    if (!close)
        return false;
    const char *colon = memchr(open, ':', (size_t)(close - open));
    *ret = (struct pattern_name){open + 1, (size_t)((colon ? colon : close) - open - 1), colon};
    *pattern = close + 1;
    return true;
}

/* "/api/users/{id:int}" as "/api/users/{id}", or with `bare` as "/api/users/{}". */
static char *openapi_path_of(const char *pattern, bool bare)
{
    struct text text;
    struct pattern_name name;
    const char *from = pattern, *at = pattern;
    text_init(&text, NAME_LENGTH_MAX);
    while (next_name(&at, &name)) {
        text_append(&text, from, (size_t)(name.at - from));
        text_append(&text, name.at, bare ? 0 : name.length);
        text_append(&text, "}", 1);
        from = at;
    }
    text_add(&text, from);
    return text_take(&text);
}

static json_t *parameter_of(const char *in, const char *name, size_t length, bool required,
                            const char *description, json_t *schema)
{
    json_t *object = json_pack("{s:s, s:s%, s:b, s:o}", "in", in, "name", name, length, "required",
                               required, "schema", schema);
    FH_ASSERT(object != NULL);
    if (description)
        put_openapi(object, "description", json_string(description));
    return object;
}

/* Types from `pattern`, names from `path`, which differ only in names. */
static json_t *path_parameters(const char *pattern, const char *path)
{
    json_t *parameters = json_array();
    struct pattern_name typed, name;
    while (next_name(&pattern, &typed) && next_name(&path, &name)) {
        json_t *schema =
            typed.integer ? json_pack("{s:s, s:s, s:I, s:I}", "type", "integer", "format", "int64",
                                      "minimum", -PATH_INTEGER_MAX, "maximum", PATH_INTEGER_MAX)
                          : json_pack("{s:s, s:i, s:s}", "type", "string", "minLength", 1,
                                      "pattern", PATH_SEGMENT_PATTERN);
        append_member(parameters, parameter_of("path", name.at, name.length, true, NULL, schema));
    }
    return parameters;
}

/* ---- What a route takes ---- */

static bool is_required(const json_t *schema, const char *name)
{
    size_t i;
    json_t *required;
    json_array_foreach (json_object_get(schema, "required"), i, required) {
        if (strcmp(json_string_value(required), name) == 0)
            return true;
    }
    return false;
}

/* A NUL is refused in any query, and an element of "1,2,3" is neither empty nor has a comma. */
static json_t *query_schema(const json_t *property, bool list)
{
    json_t *schema = openapi_schema(property), *items = json_object_get(schema, "items");
    const char *type = json_string_at(schema, "type");
    json_t *text = list ? items : type && strcmp(type, "string") == 0 ? schema : NULL;
    if (text && !json_object_get(text, "pattern") && !json_object_get(text, "format") &&
        !json_object_get(text, "enum"))
        put_openapi(text, "pattern", json_string(list ? QUERY_ELEMENT_PATTERN : QUERY_PATTERN));
    return schema;
}

static void add_query(json_t *parameters, const json_t *query)
{
    const char *name;
    json_t *property;
    json_object_foreach (json_object_get(query, "properties"), name, property) {
        const char *type = json_string_at(property, "type");
        bool list = type && strcmp(type, "array") == 0; /* "1,2,3" */
        json_t *added = parameter_of("query", name, strlen(name), is_required(query, name), NULL,
                                     query_schema(property, list));
        if (list) {
            put_openapi(added, "style", json_string("form"));
            put_openapi(added, "explode", json_false());
        }
        append_member(parameters, added);
    }
}

static void add_header_parameter(json_t *parameters, const char *name, const char *description,
                                 json_t *schema)
{
    append_member(parameters,
                  parameter_of("header", name, strlen(name), false, description, schema));
}

#define PLACE_PATTERN "[A-Za-z0-9_.-]{1,64}@[A-Za-z0-9-]{1,36},[0-9]{1,19}" /* base/as_of.h */

/* Outside it is what the gateway has sealed. */
static void add_view_parameters(json_t *parameters, bool inside)
{
    add_header_parameter(
        parameters, "Freehold-Wait",
        inside ? "Positions, as `Freehold-As-Of` of a view says them: `NAME@INCARNATION,POSITION`, "
                 "several with `; ` between them. The answer comes once all of them are among "
                 "what is shown; if that takes too long, it is 504."
               : "What `Freehold-At` of a command or `Freehold-As-Of` of a view said; several "
                 "with commas between them. The answer comes once all of that is among what is "
                 "shown; if that takes too long, it is 504.",
        json_pack("{s:s, s:i, s:i, s:s}", "type", "string", "minLength", 1, "maxLength",
                  (int)(inside ? AS_OF_LENGTH_MAX : AS_OF_TOKENS_LENGTH_MAX), "pattern",
                  inside ? "^" PLACE_PATTERN "(; " PLACE_PATTERN ")*$" : "^[!-~]+(, [!-~]+)*$"));
    add_header_parameter(
        parameters, "Freehold-Max-Age",
        "Seconds: an older answer, or one of an unknown age, is refused with 503.",
        json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum", 0, "maximum", 999999999));
}

static void add_header_parameters(json_t *parameters, const json_t *route,
                                  const json_t *description, bool inside)
{
    bool gets = strcmp(json_string_at(route, "method"), "GET") == 0;
    bool undoes = json_is_true(json_object_get(route, "undo"));
    if (gets) {
        add_header_parameter(parameters, "Cache-Control",
                             "`no-cache`: from the owner's own store, not from a replica.",
                             json_pack("{s:s}", "type", "string"));
        if (json_object_get(route, "of_view"))
            add_view_parameters(parameters, inside);
        return;
    }
    add_header_parameter(
        parameters, "Idempotency-Key",
        "The request's identity: sent again under the same key, it is done once and answered "
        "again; another request under that key is refused with 422.",
        json_pack("{s:s, s:i, s:i, s:s}", "type", "string", "minLength", 1, "maxLength",
                  COMMAND_KEY_LENGTH_MAX, "pattern", "^[!-~]+$"));
    if (openapi_may_wait(route, description))
        add_header_parameter(
            parameters, "Prefer",
            "`wait=N`: waits up to N seconds (RFC 7240) for the end of what the request "
            "begins, and answers with what is at `Location`.",
            json_pack("{s:s, s:[s]}", "type", "string", "examples", "wait=5"));
    if (undoes && inside)
        add_header_parameter(parameters, "Freehold-Undo",
                             "The key of the step that is to be undone.",
                             json_pack("{s:s}", "type", "string"));
}

/* ---- Operations ---- */

/* "post_orders", "get_orders_by_id": what client generators name functions after where the route
 * has no name. It depends on nothing but the route. */
static json_t *made_operation_id(const char *method, const char *path)
{
    struct text text;
    text_init(&text, NAME_LENGTH_MAX);
    text_add(&text, method);
    if (strncmp(path, "/api/", 5) == 0)
        path += 4;
    for (const char *at = path; *at; at++) {
        if (*at == '{')
            text_add(&text, "by_");
        else if (*at != '}')
            text_append(&text, isalnum((unsigned char)*at) ? at : "_", 1);
    }
    char *id = text_take(&text);
    for (char *at = id; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    json_t *value = json_string(id);
    free(id);
    return value;
}

static json_t *operation_id(const json_t *route, const char *path)
{
    const char *name = json_string_at(route, "name");
    return name ? json_string(name) : made_operation_id(json_string_at(route, "method"), path);
}

/* {"path", "item"}: where the operations of a pattern go. */
static json_t *path_item(struct openapi *openapi, const char *pattern)
{
    char *bare = openapi_path_of(pattern, true);
    json_t *known = json_object_get(openapi->items, bare);
    if (!known) {
        char *path = openapi_path_of(pattern, false);
        json_t *item = json_object();
        known = json_pack("{s:s, s:o}", "path", path, "item", item);
        put_openapi(openapi->items, bare, known);
        json_object_set(json_object_get(openapi->document, "paths"), path, item);
        free(path);
    }
    free(bare);
    return known;
}

/* Adds the tag of a service's operations, once there is one. */
static void add_tag(struct openapi *openapi, const char *tag)
{
    json_t *tags = json_object_get(openapi->document, "tags");
    const json_t *last = json_array_get(tags, json_array_size(tags) - 1);
    if (!last || strcmp(json_string_at(last, "name"), tag) != 0)
        append_member(tags, json_pack("{s:s}", "name", tag));
}

static void add_path_operation(struct openapi *openapi, const char *method, const char *pattern,
                               json_t *operation)
{
    add_tag(openapi, json_string_value(json_array_get(json_object_get(operation, "tags"), 0)));
    char name[16] = "";
    for (size_t i = 0; method[i] && i < sizeof name - 1; i++)
        name[i] = (char)tolower((unsigned char)method[i]);
    json_t *item = json_object_get(path_item(openapi, pattern), "item");
    json_t *first = json_object_get(item, name);
    if (!first) {
        put_openapi(item, name, operation);
        return;
    }
    put_openapi(first, "description", json_sprintf("Also: %s %s.", method, pattern));
    json_decref(operation);
}

/* OpenAPI lets schemes other than OAuth's list "role names" beside them: here, scopes and roles. */
static void demand_user(struct openapi *openapi, json_t *operation, const char *auth)
{
    json_t *components = json_object_get(openapi->document, "components");
    json_t *demanded = auth_demanded(auth, "scopes"), *roles = auth_demanded(auth, "roles");
    json_array_extend(demanded, roles);
    json_decref(roles);
    if (!json_object_get(components, "securitySchemes"))
        put_openapi(components, "securitySchemes",
                    json_pack("{s:{s:s, s:s}}", OPENAPI_USER, "type", "http", "scheme", "bearer"));
    put_openapi(operation, "security", json_pack("[{s:o}]", OPENAPI_USER, demanded));
    json_t *responses = json_object_get(operation, "responses");
    openapi_add_response(responses, "401", "Nobody is logged in, or the credentials are invalid.");
    openapi_add_response(responses, "403", "The user lacks a scope or a role that this needs.");
}

static void add_route(struct openapi *openapi, const json_t *description, const json_t *route)
{
    const char *method = json_string_at(route, "method"), *pattern = json_string_at(route, "path");
    const char *tag = json_string_at(description, "name");
    const char *path = json_string_at(path_item(openapi, pattern), "path");
    const json_t *query = json_object_get(route, "query"), *body = json_object_get(route, "body");
    json_t *parameters = path_parameters(pattern, path);
    add_query(parameters, query);
    add_header_parameters(parameters, route, description, openapi->inside);
    json_t *operation = json_pack("{s:[s], s:o, s:o, s:o}", "tags", tag, "operationId",
                                  operation_id(route, path), "parameters", parameters, "responses",
                                  openapi_responses(route, description, openapi->inside));
    FH_ASSERT(operation != NULL);
    if (json_string_at(route, "summary"))
        put_openapi(operation, "summary", json_string(json_string_at(route, "summary")));
    if (body)
        put_openapi(operation, "requestBody",
                    json_pack("{s:b, s:o}", "required", 1, "content",
                              openapi_content("application/json", taken_schema(body, tag))));
    if (json_string_at(route, "body_type"))
        put_openapi(operation, "requestBody",
                    json_pack("{s:b, s:o}", "required", 1, "content",
                              openapi_typed(json_string_at(route, "body_type"), 1)));
    if (openapi->inside)
        put_openapi(operation, "x-freehold-audience",
                    json_string(json_string_at(route, "audience")));
    else if (!auth_is_open(json_string_at(route, "auth")))
        demand_user(openapi, operation, json_string_at(route, "auth"));
    add_path_operation(openapi, method, pattern, operation);
}

void openapi_add_service(struct openapi *openapi, const json_t *description)
{
    size_t i;
    json_t *route;
    json_array_foreach (json_object_get(description, "routes"), i, route) {
        if (openapi->inside || strcmp(json_string_at(route, "audience"), "public") == 0)
            add_route(openapi, description, route);
    }
}

void openapi_add_get(struct openapi *openapi, const char *pattern, const char *tag,
                     const char *summary, const char *auth, json_t *answer)
{
    json_t *route = json_pack("{s:s, s:s, s:{s:i, s:o}}", "method", "GET", "path", pattern,
                              "answer", "status", 200, "schema", answer);
    const char *path = json_string_at(path_item(openapi, pattern), "path");
    json_t *operation =
        json_pack("{s:[s], s:s, s:o, s:o, s:o}", "tags", tag, "summary", summary, "operationId",
                  operation_id(route, path), "parameters", path_parameters(pattern, path),
                  "responses", openapi_responses(route, NULL, false));
    FH_ASSERT(operation != NULL);
    if (!auth_is_open(auth))
        demand_user(openapi, operation, auth);
    add_path_operation(openapi, "GET", pattern, operation);
    json_decref(route);
}

/* ---- The document ---- */

/* RFC 9457, with the faults found in the request: see shape/problem.h. */
static json_t *problem_schema(void)
{
    json_t *fault = json_pack(
        "{s:s, s:{s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s}}}", "type", "object", "properties", "pointer",
        "type", "string", "description", "A JSON Pointer into the body.", "parameter", "type",
        "string", "description", "A parameter of the query.", "detail", "type", "string");
    json_t *kind =
        json_pack("{s:s, s:s, s:s}", "type", "string", "format", "uri-reference", "description",
                  "What kind of problem: urn:freehold:problem:NAME; about:blank where "
                  "the service's own handler refuses the request.");
    return json_pack("{s:s, s:[s, s, s], s:{s:o, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s, s:o}, s:{s:s, "
                     "s:s}}}",
                     "type", "object", "required", "type", "title", "status", "properties", "type",
                     kind, "title", "type", "string", "status", "type", "integer", "detail", "type",
                     "string", "errors", "type", "array", "items", fault, "trace_id", "type",
                     "string", "description",
                     "Of a status of 500 and more: what to ask the operator for.");
}

void openapi_init(struct openapi *openapi, const char *title, bool inside)
{
    json_t *components = json_pack("{s:{s:o}}", "schemas", OPENAPI_PROBLEM, problem_schema());
    openapi->inside = inside;
    openapi->items = json_object();
    openapi->document =
        json_pack("{s:s, s:{s:s, s:s}, s:[], s:{}, s:o}", "openapi", "3.1.0", "info", "title",
                  title, "version", "1", "tags", "paths", "components", components);
    FH_ASSERT(openapi->document != NULL && components != NULL);
    if (!inside)
        return;
    put_openapi(components, "securitySchemes",
                json_pack("{s:{s:s, s:s, s:s}}", "caller", "type", "apiKey", "in", "header", "name",
                          IDENTITY_HEADER));
    put_openapi(openapi->document, "security", json_pack("[{s:[]}]", "caller"));
}

json_t *openapi_take(struct openapi *openapi)
{
    json_t *document = openapi->document;
    openapi_name_schemas(document, "paths");
    openapi_name_operations(document);
    json_decref(openapi->items);
    *openapi = (struct openapi){0};
    return document;
}
