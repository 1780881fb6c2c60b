/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came from outside, in the one form that handlers meet: absent fields have their defaults, a
 * number that JSON Schema calls an integer ("1.0") is one where a double says it exactly, and an
 * FH_NUMBER is a real even where no fraction was written. Whatever does not fit stays as it is, for
 * shape_check to find.
 */

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "shape/walk.h"

static void settle_object(const fh_field *shape, json_t *object);

/* NULL: it stays as it is. A new reference otherwise. */
static json_t *settled_number(const fh_field *field, const json_t *value)
{
    if (field->type == FH_NUMBER && json_is_integer(value))
        return json_real(json_number_value(value));
    if (field->type != FH_INT || !json_is_real(value))
        return NULL;
    double real = json_real_value(value);
    bool exact = fabs(real) <= SHAPE_EXACT_MAX && trunc(real) == real;
    return exact ? json_integer((json_int_t)real) : NULL;
}

/* NULL: it stays. */
static void set_settled(json_t *object, const char *name, json_t *settled)
{
    if (settled)
        FH_ASSERT(json_object_set_new(object, name, settled) == 0);
}

static void settle_elements(const fh_field *field, json_t *array)
{
    fh_field element = shape_element(field);
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *value = json_array_get(array, i), *settled = settled_number(&element, value);
        if (settled)
            FH_ASSERT(json_array_set_new(array, i, settled) == 0);
        else if (element.type == FH_OBJECT && element.of)
            settle_object(element.of, value);
    }
}

static void settle_object(const fh_field *shape, json_t *object)
{
    if (!json_is_object(object))
        return;
    for (const fh_field *field = shape; field->name && strcmp(field->name, "*") != 0; field++) {
        if (field->default_value && !json_object_get(object, field->name))
            set_settled(object, field->name, shape_default(field));
        if (field->type == FH_STRING || field->type == FH_BOOL)
            continue;
        json_t *value = json_object_get(object, field->name);
        if (!value)
            continue;
        set_settled(object, field->name, settled_number(field, value));
        if (field->type == FH_ARRAY || field->type == FH_LIST)
            settle_elements(field, value);
        else if (field->type == FH_OBJECT && field->of)
            settle_object(field->of, value);
    }
}

void shape_settle(const fh_field *shape, json_t *value)
{
    settle_object(shape, value);
}
