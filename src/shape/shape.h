/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_SHAPE_H
#define SHAPE_SHAPE_H

/*
 * Shapes: whether a JSON value is as declared (fh_field of freehold.h); if not, up to
 * SHAPE_FAULTS_MAX places where it is not, each as a JSON Pointer (RFC 6901) with a sentence.
 */

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "freehold.h"

#define SHAPE_FAULTS_MAX 20

/* NULL if `value` fits, otherwise a new array of {"pointer": "/items/0/quantity", "detail": "..."}.
 * Never changes `value`. */
json_t *shape_check(const fh_field *shape, const json_t *value);
/* The same for a request that undoes a step: what is secret or a card's may be missing, since sagas
 * don't keep it until then (saga/marks.h). */
json_t *shape_check_undo(const fh_field *shape, const json_t *value);
/* Changes what came from outside, before it is checked: sets the defaults of absent fields, makes
 * integers of numbers like 1.0 where an FH_INT is expected, and reals of all that an FH_NUMBER is.
 * For anything but an object it does nothing. */
void shape_settle(const fh_field *shape, json_t *value);
json_t *shape_default(const fh_field *field); /* NULL: its text has no such value. New reference. */
/* FH_INVALID if a declaration of this shape can't work: patterns, formats, bounds, defaults. The
 * message begins with the field's name. */
enum fh_code shape_declared(const fh_field *shape, struct fh_error *error);
/* Converts query parameters, an object of strings (path_query), to an object typed by `shape`, and
 * checks it, settled. Faults have "parameter" instead of "pointer". If it returns NULL, *ret is a
 * new object. */
json_t *shape_query(const fh_field *shape, const json_t *strings, json_t **ret);
/* The shape as a JSON Schema (2020-12), for --describe and OpenAPI. New reference. A mark is a
 * member of one of these names, true; secrets and cards that are strings have the format
 * "password", too. */
#define SHAPE_SCHEMA_PERSONAL "x-freehold-personal"
#define SHAPE_SCHEMA_SECRET "x-freehold-secret"
#define SHAPE_SCHEMA_CARD "x-freehold-card"
json_t *shape_schema(const fh_field *shape);
/* The same, in which shapes that have a name have it as their title. */
json_t *shape_schema_named(const fh_field *shape, const struct fh_named_shape *names);
#define SHAPE_SCHEMA_AGAIN "x-freehold-again"   /* true: what has this title is around it */
#define SHAPE_SCHEMA_LEVELS "x-freehold-levels" /* and so many objects out: 1, the innermost */
/* What JSON Schema's own words do not say exactly: a string's least length, where it is more than a
 * byte, and the format of a secret, whose "format" is "password". */
#define SHAPE_SCHEMA_LEAST_BYTES "x-freehold-least-bytes"
#define SHAPE_SCHEMA_FORMAT "x-freehold-format"
/* Of an FH_DECIMAL: its format, its digits, and its bounds as strings. */
#define SHAPE_SCHEMA_DECIMAL "decimal"
#define SHAPE_SCHEMA_PRECISION "x-freehold-precision"
#define SHAPE_SCHEMA_SCALE "x-freehold-scale"
#define SHAPE_SCHEMA_MINIMUM "x-freehold-minimum"
#define SHAPE_SCHEMA_MAXIMUM "x-freehold-maximum"
/* The shape that shape_schema turned into `schema`, in `arena`; its strings are borrowed from
 * `schema`. Anything else that a schema may say is ignored. NULL: says nothing about the object's
 * fields. */
#define SHAPE_READ_DEPTH_MAX 32 /* anything goes at deeper levels */
const fh_field *shape_of_schema(struct arena *arena, const json_t *schema);

#endif
