/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_FIT_H
#define SYSTEM_CHECK_FIT_H

/*
 * What can be known of values from their schemas alone (shape_schema's, in descriptions). Only what
 * is certain counts: whatever a schema does not say, or says with words that are not known here,
 * may be anything.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"

enum fit_there {
    FIT_NEVER,     /* no value of the schema has it */
    FIT_UNKNOWN,   /* nothing is known of it */
    FIT_SOMETIMES, /* it may be absent */
    FIT_ALWAYS
};

/* The schema of the member at "address.city". *ret is NULL for the first two. */
enum fit_there fit_find(const json_t *schema, const char *path, const json_t **ret);

#define FIT_NULL (1u << 0)
#define FIT_BOOLEAN (1u << 1)
#define FIT_INTEGER (1u << 2)
#define FIT_NUMBER (1u << 3) /* and no integer */
#define FIT_STRING (1u << 4)
#define FIT_OBJECT (1u << 5)
#define FIT_ARRAY (1u << 6)
#define FIT_ANYTHING ((1u << 7) - 1)

/* Which types its values may have. */
unsigned fit_types(const json_t *schema);

/* Whether no value of `from` is one of `to`. Then `why` is appended to: "\"/city\" is an integer,
 * and a string is expected". `place` is the JSON Pointer to the value, "" for the whole. */
bool fit_clashes(const json_t *from, const json_t *to, const char *place, struct text *why);

#endif
