/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_OPENAPI_H
#define SERVICE_OPENAPI_H

/*
 * OpenAPI 3.1.0 (https://spec.openapis.org/oas/v3.1.0) from descriptions (service_describe, which
 * `--describe` prints). Pure: a service makes its own document from its description, and the
 * gateway one from all those that `up` gave it.
 */

#include <jansson.h>
#include <stdbool.h>

struct openapi {
    json_t *document;
    json_t *items; /* path items, by their paths with names removed */
    bool inside;   /* for services and operators: routes of all audiences, and their headers */
};

/* JSON is allocated where json_arena_set says. */
void openapi_init(struct openapi *openapi, const char *title, bool inside);
/* Adds the routes of one service that the reader may use. */
void openapi_add_service(struct openapi *openapi, const json_t *description);
/* Adds one more GET for those whom `auth` (call/auth.h; NULL: everybody) lets; `answer` is its
 * answer's JSON Schema (stolen). */
void openapi_add_get(struct openapi *openapi, const char *pattern, const char *tag,
                     const char *summary, const char *auth, json_t *answer);
/* Returns the document, a new reference, and releases the rest. */
json_t *openapi_take(struct openapi *openapi);

/* A JSON Schema as part of a document: a copy, without the members that only a complete schema
 * has. */
json_t *openapi_schema(const json_t *schema);
/* The same of one of a service's schemas: what is named in it becomes a component. */
json_t *openapi_schema_of(const json_t *schema, const char *service);

/* Of openapi_answers.c. `schema` is stolen. */
json_t *openapi_content(const char *type, json_t *schema);
/* Of other than JSON, at least so long. */
json_t *openapi_typed(const char *type, int length_min);
/* Whether a client may wait for the end of what the route begins (`Prefer: wait`). */
bool openapi_may_wait(const json_t *route, const json_t *description);
json_t *openapi_responses(const json_t *route, const json_t *description, bool inside);
void openapi_add_response(json_t *responses, const char *status, const char *description);

/* Of openapi_named.c: see there. */
#define OPENAPI_PROBLEM "Problem"  /* the component that all errors have */
#define OPENAPI_OF "x-freehold-of" /* whose a named schema is, until it is a component */
/* `where` is the member of the document in which they are used. */
void openapi_name_schemas(json_t *document, const char *where);
void openapi_name_operations(json_t *document);

#endif
