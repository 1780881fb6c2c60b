/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_SHAPE_H
#define SHAPE_SHAPE_H

/*
 * Shapes: whether a JSON value is as declared (fh_field of freehold.h); if not, up to
 * SHAPE_FAULTS_MAX places where it is not, each as a JSON Pointer (RFC 6901) with a sentence.
 */

#include <jansson.h>

#include "base/arena.h"
#include "freehold.h"

#define SHAPE_FAULTS_MAX 20

/* NULL if `value` fits, otherwise a new array of {"pointer": "/items/0/quantity", "detail": "..."}.
 * Never changes `value`. */
json_t *shape_check(const fh_field *shape, const json_t *value);
/* The same for a request that undoes a step: what is secret or a card's may be missing, since sagas
 * don't keep it until then (saga/marks.h). */
json_t *shape_check_undo(const fh_field *shape, const json_t *value);
/* Converts query parameters, an object of strings (path_query), to an object typed by `shape`, and
 * checks it. Faults have "parameter" instead of "pointer". If it returns NULL, *ret is a new
 * object. */
json_t *shape_query(const fh_field *shape, const json_t *strings, json_t **ret);
/* The shape as a JSON Schema (2020-12), for --describe and OpenAPI. New reference. A mark is a
 * member of one of these names, true; secrets and cards that are strings have the format
 * "password", too. */
#define SHAPE_SCHEMA_PERSONAL "x-freehold-personal"
#define SHAPE_SCHEMA_SECRET "x-freehold-secret"
#define SHAPE_SCHEMA_CARD "x-freehold-card"
json_t *shape_schema(const fh_field *shape);
/* The shape that shape_schema turned into `schema`, in `arena`; its strings are borrowed from
 * `schema`. Anything else that a schema may say is ignored. NULL: says nothing about the object's
 * fields. */
#define SHAPE_READ_DEPTH_MAX 32 /* anything goes at deeper levels */
const fh_field *shape_of_schema(struct arena *arena, const json_t *schema);

#endif
