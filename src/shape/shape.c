/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a JSON value against a shape, in one walk over both. A `struct shape_place` on the stack
 * for each level says where the walk is, so a value that fits costs no allocation, and a JSON
 * Pointer is built only for a fault. The walk is as deep as the value, whose depth the parser has
 * limited.
 *
 * A fault says what was expected and what was found, except in a marked field (shape/mark.h), of
 * which neither values nor lengths nor unknown names are told: faults are recorded, and come to
 * logs. Up to SHAPE_FAULTS_MAX faults are
 * collected, so that a caller can fix all of them at once.
 *
 * If only one of min and max is set, the other one, 0, is a bound too,
 * unless that puts max below min, which means no upper bound: {.min = 1} is "1 or more".
 *
 * To add a type: add its name to shape_type_expected, what fits it to type_fits and
 * check_fitting_type, its form to schema.c and read.c, and, if a query may have it, how its text is
 * read to query.c.
 */

#include "shape/shape.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "shape/mark.h"
#include "shape/text.h"
#include "shape/walk.h"

/* ---- What was found ---- */

static const char *type_found(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return fabs(json_real_value(value)) > SHAPE_EXACT_MAX
                   ? "a number that is larger than integers can be"
                   : "a number that is not an integer";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static bool type_fits(enum fh_type type, const json_t *value)
{
    switch (type) {
    case FH_STRING:
        return json_is_string(value);
    case FH_INT:
        return json_is_integer(value);
    case FH_BOOL:
        return json_is_boolean(value);
    case FH_OBJECT:
        return json_is_object(value);
    case FH_ARRAY:
    case FH_LIST:
        return json_is_array(value);
    case FH_ANY:
        return true;
    case FH_NUMBER:
        return json_is_number(value);
    case FH_DECIMAL:
        return json_is_string(value);
    }
    FH_ASSERT(type >= FH_STRING && type <= FH_DECIMAL); /* a field was declared without a type */
    return false;
}

static void fault_type(struct shape_faults *faults, const struct shape_place *place,
                       const fh_field *field, const json_t *value)
{
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    text_printf(&detail, "expected %s%s, found %s", shape_type_expected(field),
                field->nullable ? " or null" : "", type_found(value));
    shape_fault(faults, place, &detail);
}

static bool within_bounds(const fh_field *field, int64_t found)
{
    return found >= field->min && (!shape_has_upper_bound(field) || found <= field->max);
}

static void check_text(struct shape_faults *faults, const struct shape_place *place,
                       const fh_field *field, const json_t *value)
{
    const char *found = json_string_value(value);
    size_t length = json_string_length(value);
    bool formed = shape_format_fits(field->format, found, length);
    if (formed && field->pattern && (int64_t)length <= SHAPE_PATTERN_VALUE_MAX &&
        shape_pattern_fits(field->pattern, found, length))
        return;
    if (formed && !field->pattern)
        return;
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    if (formed)
        text_printf(&detail, "expected a string that matches %s", field->pattern);
    else
        text_printf(&detail, "expected %s", shape_format_expected(field->format));
    shape_found(faults, &detail, value);
    shape_fault(faults, place, &detail);
}

/* A length in bytes or a number of elements: "expected a string of at most 9 bytes, found 12". */
static void check_count(struct shape_faults *faults, const struct shape_place *place,
                        const fh_field *field, size_t count, const char *unit)
{
    if (within_bounds(field, (int64_t)count))
        return;
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    text_printf(&detail, "expected %s ", shape_type_expected(field));
    int64_t last = shape_has_upper_bound(field) ? field->max : field->min;
    if (count == 0 && field->min == 1 && !shape_has_upper_bound(field)) {
        text_add(&detail, "that is not empty");
    } else {
        if (!shape_has_upper_bound(field))
            text_printf(&detail, "of at least %" PRId64, field->min);
        else if (field->min <= 0)
            text_printf(&detail, "of at most %" PRId64, field->max);
        else
            text_printf(&detail, "of %" PRId64 " to %" PRId64, field->min, field->max);
        text_printf(&detail, " %s%s", unit, last == 1 ? "" : "s");
        if (!faults->in_marked)
            text_printf(&detail, ", found %zu", count);
    }
    shape_fault(faults, place, &detail);
}

static void check_one_of(struct shape_faults *faults, const struct shape_place *place,
                         const fh_field *field, const json_t *value)
{
    const char *found = json_string_value(value);
    size_t length = json_string_length(value);
    for (int i = 0; field->one_of[i]; i++) {
        if (strlen(field->one_of[i]) == length && memcmp(field->one_of[i], found, length) == 0)
            return;
    }
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    text_add(&detail, field->one_of[0] && field->one_of[1] ? "expected one of " : "expected ");
    for (int i = 0; field->one_of[i]; i++)
        text_printf(&detail, "%s\"%s\"", i ? ", " : "", field->one_of[i]);
    shape_found(faults, &detail, value);
    shape_fault(faults, place, &detail);
}

/* ---- The walk ---- */

static void check_integer(struct shape_faults *faults, const struct shape_place *place,
                          const fh_field *field, const json_t *value)
{
    int64_t found = json_integer_value(value);
    if ((field->min == 0 && field->max == 0) || within_bounds(field, found))
        return;
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    if (shape_has_upper_bound(field))
        text_printf(&detail, "expected an integer from %" PRId64 " to %" PRId64, field->min,
                    field->max);
    else
        text_printf(&detail, "expected an integer of at least %" PRId64, field->min);
    if (!faults->in_marked)
        text_printf(&detail, ", found %" PRId64, found);
    shape_fault(faults, place, &detail);
}

static void check_shape_value(struct shape_faults *faults, const struct shape_place *place,
                              const fh_field *field, const json_t *value);

static void check_array(struct shape_faults *faults, const struct shape_place *place,
                        const fh_field *field, const json_t *value)
{
    check_count(faults, place, field, json_array_size(value), "element");
    fh_field element = shape_element(field);
    if (!element.type)
        return;
    for (size_t i = 0; i < json_array_size(value) && !shape_faults_full(faults); i++) {
        struct shape_place below = {.parent = place, .index = i};
        check_shape_value(faults, &below, &element, json_array_get(value, i));
    }
}

static void check_fitting_type(struct shape_faults *faults, const struct shape_place *place,
                               const fh_field *field, const json_t *value)
{
    switch (field->type) {
    case FH_STRING:
        check_count(faults, place, field, json_string_length(value), "byte");
        if (field->one_of)
            check_one_of(faults, place, field, value);
        if (field->format || field->pattern)
            check_text(faults, place, field, value);
        return;
    case FH_INT:
        check_integer(faults, place, field, value);
        return;
    case FH_NUMBER:
        shape_check_number(faults, place, field, value);
        return;
    case FH_DECIMAL:
        shape_check_decimal(faults, place, field, value);
        return;
    case FH_OBJECT:
        if (field->of)
            shape_check_object(faults, place, field->of, value);
        return;
    case FH_ARRAY:
    case FH_LIST:
        check_array(faults, place, field, value);
        return;
    case FH_BOOL:
    case FH_ANY:
        return;
    }
}

static void check_shape_value(struct shape_faults *faults, const struct shape_place *place,
                              const fh_field *field, const json_t *value)
{
    bool around = faults->in_marked;
    if (field->type == FH_ANY || (field->nullable && json_is_null(value)))
        return;
    faults->in_marked = around || shape_field_marks(field);
    if (type_fits(field->type, value))
        check_fitting_type(faults, place, field, value);
    else
        fault_type(faults, place, field, value);
    faults->in_marked = around;
}

static bool takes_any_field(const fh_field *shape)
{
    for (; shape->name; shape++) {
        if (strcmp(shape->name, "*") == 0)
            return true;
    }
    return false;
}

const fh_field *shape_find_field(const fh_field *shape, const char *name)
{
    for (; shape->name; shape++) {
        if (strcmp(shape->name, name) == 0)
            return shape;
    }
    return NULL;
}

static void fault_missing(struct shape_faults *faults, const struct shape_place *place,
                          const fh_field *field)
{
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    text_printf(&detail, "missing: expected %s%s", shape_type_expected(field),
                field->nullable ? " or null" : "");
    shape_fault(faults, place, &detail);
}

static void fault_unknown(struct shape_faults *faults, const struct shape_place *place,
                          const fh_field *shape)
{
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    text_add(&detail, "unknown: ");
    text_add(&detail, shape->name ? "expected only " : "nothing is expected here");
    for (const fh_field *field = shape; field->name; field++)
        text_printf(&detail, "%s%s", field == shape ? "" : ", ", field->name);
    shape_fault(faults, place, &detail);
}

static void check_unknown(struct shape_faults *faults, const struct shape_place *place,
                          const fh_field *shape, const json_t *object)
{
    json_t *value;
    const char *name;
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        if (!shape_find_field(shape, name) && !shape_faults_full(faults)) {
            struct shape_place below = {.parent = place, .name = name};
            fault_unknown(faults, faults->in_marked ? place : &below, shape); /* nor its name */
        }
    }
}

void shape_check_object(struct shape_faults *faults, const struct shape_place *place,
                        const fh_field *shape, const json_t *object)
{
    size_t known = 0;
    for (const fh_field *field = shape; field->name && !shape_faults_full(faults); field++) {
        if (strcmp(field->name, "*") == 0)
            break;
        const json_t *value = json_object_get(object, field->name);
        struct shape_place below = {.parent = place, .name = field->name};
        if (value) {
            known++;
            check_shape_value(faults, &below, field, value);
        } else if (!field->optional && !field->default_value &&
                   !(faults->lacks_secrets && (shape_field_marks(field) & SHAPE_UNKEPT))) {
            fault_missing(faults, &below, field);
        }
    }
    if (known < json_object_size(object) && !takes_any_field(shape))
        check_unknown(faults, place, shape, object);
}

static json_t *check_whole_shape(struct shape_faults faults, const fh_field *shape,
                                 const json_t *value)
{
    FH_ASSERT(shape != NULL && value != NULL);
    struct shape_place whole = {0};
    fh_field field = {.type = FH_OBJECT, .of = shape};
    check_shape_value(&faults, &whole, &field, value);
    return faults.found;
}

json_t *shape_check(const fh_field *shape, const json_t *value)
{
    return check_whole_shape((struct shape_faults){0}, shape, value);
}

json_t *shape_check_undo(const fh_field *shape, const json_t *value)
{
    return check_whole_shape((struct shape_faults){.lacks_secrets = true}, shape, value);
}
