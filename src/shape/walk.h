/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_WALK_H
#define SHAPE_WALK_H

/* What the files of this room share: where a walk over a value is, and the faults it has found. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "shape/shape.h"

#define SHAPE_DETAIL_LENGTH_MAX ((size_t)2048)

struct shape_place {
    const struct shape_place *parent; /* NULL: the whole value */
    const char *name;                 /* NULL: an element */
    size_t index;
};

struct shape_faults {
    json_t *found; /* NULL until there is one */
    bool of_query; /* they name a parameter instead of a pointer */
};

/* SHAPE_FAULTS_MAX are known: nothing more needs looking at. */
bool shape_faults_full(const struct shape_faults *faults);
/* Releases `detail`, which is not empty. */
void shape_fault(struct shape_faults *faults, const struct shape_place *place, struct text *detail);
/* In quotes and cut where it is long, never inside a UTF-8 character. */
void shape_quote(struct text *text, const char *value, size_t length);

/* A max below its min, or both 0, is none. */
static inline bool shape_has_upper_bound(const fh_field *field)
{
    return field->max >= field->min && (field->max != 0 || field->min != 0);
}

#endif
