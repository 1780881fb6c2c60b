/* SPDX-License-Identifier: Apache-2.0 */
/* What a route answers, as OpenAPI: what it declares, what a client may wait for, and problems. */

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "http/media.h"
#include "service/declared.h"
#include "service/openapi.h"

static void put_answered(json_t *object, const char *name, json_t *value)
{
    int result = json_object_set_new(object, name, value);
    FH_ASSERT(result == 0);
}

json_t *openapi_content(const char *type, json_t *schema)
{
    return json_pack("{s:{s:o}}", type, "schema", schema);
}

/* The GET route that answers where a route's `location` is; NULL: it has none. */
static const json_t *located_route(const json_t *route, const json_t *description)
{
    const char *location = json_string_at(route, "location");
    size_t i;
    json_t *other;
    json_array_foreach (json_object_get(description, "routes"), i, other) {
        if (location && strcmp(json_string_at(other, "method"), "GET") == 0 &&
            declared_answers(json_string_at(other, "path"), location))
            return other;
    }
    return NULL;
}

/* Whether a client may wait for the end of what the route begins. */
bool openapi_may_wait(const json_t *route, const json_t *description)
{
    return json_integer_value(json_object_get(json_object_get(route, "answer"), "status")) == 202 &&
           json_array_size(json_object_get(description, "sagas")) > 0 &&
           located_route(route, description);
}

void openapi_add_response(json_t *responses, const char *status, const char *description)
{
    put_answered(responses, status,
                 json_pack("{s:s, s:o}", "description", description, "content",
                           openapi_content("application/problem+json",
                                           json_pack("{s:s}", "$ref",
                                                     "#/components/schemas/" OPENAPI_PROBLEM))));
}

static json_t *answer_header_of(const char *description, const char *type)
{
    return json_pack("{s:s, s:{s:s}}", "description", description, "schema", "type", type);
}

json_t *openapi_typed(const char *type, int length_min)
{
    json_t *schema = json_pack("{s:s}", "type", "string");
    if (!media_is_text(type))
        put_answered(schema, "format", json_string("binary"));
    if (length_min > 0)
        put_answered(schema, "minLength", json_integer(length_min));
    return openapi_content(type, schema);
}

static json_t *success_content(const json_t *answer, const json_t *description)
{
    const json_t *schema = json_object_get(answer, "schema");
    return openapi_content("application/json",
                           schema ? openapi_schema_of(schema, json_string_at(description, "name"))
                                  : json_object());
}

/* With `Prefer: wait` and in time: what the route at Location answers. */
static void add_waited(json_t *responses, const json_t *route, const json_t *description)
{
    const json_t *located = located_route(route, description);
    const json_t *answer = json_object_get(located, "answer");
    const char *type = json_string_at(located, "answer_type");
    char status[8];
    json_int_t declared = json_integer_value(json_object_get(answer, "status"));
    snprintf(status, sizeof status, "%d", declared ? (int)declared : 200);
    json_t *headers = json_pack("{s:o}", "Preference-Applied",
                                answer_header_of("The wait that was applied.", "string"));
    put_answered(responses, status,
                 json_pack("{s:s, s:o, s:o}", "description",
                           "With `Prefer: wait`, once it has ended: what is at `Location`.",
                           "content",
                           type ? openapi_typed(type, 0) : success_content(answer, description),
                           "headers", headers));
}

/* New reference. */
static json_t *success_headers(const json_t *route, const json_t *description, json_int_t status)
{
    json_t *headers = json_object();
    bool gets = strcmp(json_string_at(route, "method"), "GET") == 0;
    if (status == 201 || status == 202)
        put_answered(headers, "Location", answer_header_of("Where it can be found.", "string"));
    if (json_object_get(route, "page"))
        put_answered(headers, "Link",
                     answer_header_of("The next page's address, with `rel=\"next\"`; absent "
                                      "on the last page.",
                                      "string"));
    if (json_object_get(route, "of_view")) {
        put_answered(headers, "Freehold-As-Of",
                     answer_header_of("The positions this answer reflects, of the services whose "
                                      "events it is made of: for `Freehold-Wait`.",
                                      "string"));
        put_answered(headers, "Age",
                     answer_header_of("For how many seconds, at most, events may be missing; "
                                      "absent where that is not known.",
                                      "integer"));
    }
    if (!gets && json_array_size(json_object_get(description, "publishes")))
        put_answered(headers, "Freehold-At",
                     answer_header_of("The position of what this has published: for the "
                                      "`Freehold-Wait` of a view.",
                                      "string"));
    return headers;
}

static void add_success(json_t *responses, const json_t *route, const json_t *description)
{
    char status[8] = "2XX";
    const json_t *answer = json_object_get(route, "answer");
    json_int_t declared = json_integer_value(json_object_get(answer, "status"));
    if (declared)
        snprintf(status, sizeof status, "%d", (int)declared);
    json_t *response = json_pack("{s:s}", "description",
                                 declared == 202   ? "Accepted; the work continues."
                                 : declared == 201 ? "Made."
                                                   : "Done.");
    if (json_string_at(route, "answer_type"))
        put_answered(response, "content", openapi_typed(json_string_at(route, "answer_type"), 0));
    else if (json_object_get(answer, "schema") || (declared != 204 && declared))
        put_answered(response, "content", success_content(answer, description));
    json_t *headers = success_headers(route, description, declared);
    if (json_object_size(headers))
        put_answered(response, "headers", headers);
    else
        json_decref(headers);
    put_answered(responses, status, response);
    if (openapi_may_wait(route, description))
        add_waited(responses, route, description);
}

json_t *openapi_responses(const json_t *route, const json_t *description, bool inside)
{
    json_t *responses = json_object();
    bool body = json_object_get(route, "body") != NULL;
    add_success(responses, route, description);
    openapi_add_response(responses, "400", "The request can't be read, or a parameter is wrong.");
    if (inside) {
        openapi_add_response(responses, "401", "The caller is unknown to this service.");
        openapi_add_response(responses, "403", "This caller may not use it.");
    }
    if (strchr(json_string_at(route, "path"), '{'))
        openapi_add_response(responses, "404", "There is no such resource.");
    if (json_string_at(route, "answer_type"))
        openapi_add_response(responses, "406",
                             "The request does not accept the type of the answer.");
    if (json_string_at(route, "body_type"))
        openapi_add_response(responses, "415", "The body was sent as another type.");
    if (json_object_get(route, "of_view")) {
        openapi_add_response(responses, "409",
                             "What `Freehold-Wait` names is of a store that was replaced since.");
        openapi_add_response(responses, "504",
                             "What `Freehold-Wait` names was not applied in time.");
    }
    if (body) {
        openapi_add_response(responses, "415", "The body was not sent as JSON.");
        openapi_add_response(responses, "422", "The body does not have the expected form.");
    }
    openapi_add_response(responses, "503",
                         "Not available now; `Retry-After` says when to try again.");
    put_answered(json_object_get(responses, "503"), "headers",
                 json_pack("{s:o}", "Retry-After", answer_header_of("Seconds.", "integer")));
    openapi_add_response(responses, "default", "Anything else that went wrong.");
    return responses;
}
