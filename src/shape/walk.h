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

/* Appends ", found ..." with the text or number, or without it where it is marked. */
void shape_found(const struct shape_faults *faults, struct text *detail, const json_t *value);

const char *shape_type_expected(const fh_field *field);
const fh_field *shape_find_field(const fh_field *shape, const char *name); /* NULL: none */
void shape_check_object(struct shape_faults *faults, const struct shape_place *place,
                        const fh_field *shape, const json_t *object);
void shape_check_number(struct shape_faults *faults, const struct shape_place *place,
                        const fh_field *field, const json_t *value);
void shape_check_decimal(struct shape_faults *faults, const struct shape_place *place,
                         const fh_field *field, const json_t *value);
bool shape_bounds_meet(const fh_field *field); /* of a number: some number is within them */
/* What a query, or the default of a field, says in its text; NULL: it has no such value. New
 * reference. */
json_t *shape_value_of_text(const fh_field *field, json_t *string);

/* What the elements of an array or a list are; its type is 0 if nothing is said of them. */
static inline fh_field shape_element(const fh_field *field)
{
    fh_field element = *field;
    element.type = field->type == FH_LIST ? FH_STRING : field->of ? FH_OBJECT : field->elements;
    element.min = element.max = 0;
    if (element.type != FH_STRING)
        element.one_of = NULL;
    element.default_value = NULL;
    element.elements = (enum fh_type)0;
    element.optional = element.nullable = element.personal = element.secret = element.card = false;
    return element;
}

/* Integers up to here are exact as doubles. */
#define SHAPE_EXACT_MAX 9007199254740992.0

/* A max below its min means none, and so do min and max both 0. */
static inline bool shape_has_upper_bound(const fh_field *field)
{
    return field->max >= field->min && (field->max != 0 || field->min != 0);
}

#endif
