/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_SHAPE_H
#define SHAPE_SHAPE_H

/*
 * Shapes: whether a JSON value is what a declaration says (fh_field of freehold.h), and if not,
 * every place where it is not, up to SHAPE_FAULTS_MAX, as JSON Pointers (RFC 6901) with a sentence.
 */

#include <jansson.h>

#include "base/arena.h"
#include "freehold.h"

#define SHAPE_FAULTS_MAX 20

/* NULL when `value` fits; else a new array of {"pointer": "/items/0/quantity", "detail": "..."}.
 * Where it fits and `value` holds an absent optional field, nothing is added. */
json_t *shape_check(const fh_field *shape, const json_t *value);
/* Query parameters, an object of strings (path_query), into an object typed by `shape`. Faults'
 * "pointer" is replaced by "parameter". NULL faults: *ret is a new object. */
json_t *shape_query(const fh_field *shape, const json_t *strings, json_t **ret);
/* The shape as a JSON Schema (2020-12), for --describe and OpenAPI. New reference. */
json_t *shape_schema(const fh_field *shape);
/* The shape that shape_schema made `schema` of, on `arena`; its texts are borrowed from `schema`.
 * What else a schema may say is not looked at. NULL: it says nothing of an object's fields. */
#define SHAPE_READ_DEPTH_MAX 32 /* what is deeper may be anything */
const fh_field *shape_of_schema(struct arena *arena, const json_t *schema);

#endif
