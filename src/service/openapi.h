/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_OPENAPI_H
#define SERVICE_OPENAPI_H

/*
 * OpenAPI 3.1.0 (https://spec.openapis.org/oas/v3.1.0) from descriptions (service_describe, what
 * `--describe` prints). Pure: a service makes its own document of its own description, and the
 * gateway one of all those that `up` gave it.
 */

#include <jansson.h>
#include <stdbool.h>

struct openapi {
    json_t *document;
    json_t *items; /* path items by their path without names */
    json_t *ids;   /* the operations' */
    bool inside;   /* read by services and operators: all audiences' routes, and their headers */
};

/* All JSON is made on the heap that is set (json_arena_set). */
void openapi_init(struct openapi *openapi, const char *title, bool inside);
/* The routes of one service, as far as the reader may use them. */
void openapi_add_service(struct openapi *openapi, const json_t *description);
/* One more GET; `answer` is its answer's JSON Schema (stolen). */
void openapi_add_get(struct openapi *openapi, const char *pattern, const char *tag,
                     const char *summary, json_t *answer);
/* A new reference; releases the rest. */
json_t *openapi_take(struct openapi *openapi);

/* A JSON Schema as a part of a document: a copy, without what only a whole schema has. */
json_t *openapi_schema(const json_t *schema);

#endif
