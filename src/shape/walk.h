/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_WALK_H
#define SHAPE_WALK_H

/* Shared by this layer's files: where a walk over a value is, and the faults it has found. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "shape/shape.h"

#define SHAPE_DETAIL_LENGTH_MAX ((size_t)2048)

struct shape_place {
    const struct shape_place *parent; /* NULL: the whole value */
    const char *name;                 /* NULL: an element of an array */
    size_t index;
};

struct shape_faults {
    json_t *found;      /* NULL until there is a fault */
    bool of_query;      /* faults name a parameter instead of a pointer */
    bool lacks_secrets; /* these may be missing */
    bool in_marked;     /* the walk is in a field with a mark: its value is not quoted */
};

/* SHAPE_FAULTS_MAX were found: the walk can stop. */
bool shape_faults_full(const struct shape_faults *faults);
/* Releases `detail`, which must not be empty. */
void shape_fault(struct shape_faults *faults, const struct shape_place *place, struct text *detail);
/* Appends it in quotes, shortened if it is long, but never cut inside a UTF-8 character. */
void shape_quote(struct text *text, const char *value, size_t length);

/* A max below its min means none, and so do min and max both 0. */
static inline bool shape_has_upper_bound(const fh_field *field)
{
    return field->max >= field->min && (field->max != 0 || field->min != 0);
}

#endif
