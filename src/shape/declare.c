/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a shape is one: what a compiler can't see of it, found before anything is served by
 * it. */

#include <string.h>

#include "base/json.h"
#include "shape/mark.h"
#include "shape/text.h"
#include "shape/walk.h"

#define SHAPES_WITHIN_MAX 64

/* The shapes around a field: one that contains itself is looked at once. */
struct declared_around {
    const struct declared_around *outer;
    const fh_field *shape;
    bool unfolds; /* the field that it is of has a default with such an object in it */
};

/* As JSON writes it, since the schema has it, too. */
static bool is_number_text(const char *text)
{
    json_t *value = NULL;
    size_t length = strlen(text);
    bool number = length > 0 && strspn(text, "-+.eE0123456789") == length &&
                  json_parse(text, length, &value, ERROR_UNHEEDED) == FH_OK;
    json_decref(value);
    return number;
}

static enum fh_code check_bound(const fh_field *field, const char *bound, struct fh_error *error)
{
    bool numeric = field->type == FH_NUMBER && bound && is_number_text(bound);
    bool decimal = field->type == FH_DECIMAL && bound && shape_is_decimal(bound, strlen(bound));
    if (!bound || numeric || decimal)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "the bound \"%.64s\" is not a number as .minimum and .maximum of an FH_NUMBER "
                     "or FH_DECIMAL are, such as \"0.5\"",
                     bound);
}

static enum fh_code check_pattern(const fh_field *field, struct fh_error *error)
{
    bool own = field->type == FH_STRING, bounded = own && shape_has_upper_bound(field);
    int64_t max = bounded ? field->max : SHAPE_PATTERN_VALUE_MAX;
    int64_t most = shape_pattern_value_max(field->pattern);
    enum fh_code code = shape_pattern_check(field->pattern, error);
    if (code != FH_OK || max <= most)
        return code;
    return error_set(error, FH_INVALID, "the pattern \"%.60s\" is for values of at most %d bytes%s",
                     field->pattern, (int)most,
                     own ? ": say in .max that there are no more" : ", and elements may have 4096");
}

static enum fh_code check_text_rules(const fh_field *field, struct fh_error *error)
{
    bool of_strings =
        field->type == FH_STRING || field->type == FH_LIST || field->elements == FH_STRING;
    if ((field->pattern || field->format) && !of_strings)
        return error_set(error, FH_INVALID, "only an FH_STRING has a pattern or a format");
    if (field->one_of && !of_strings)
        return error_set(error, FH_INVALID, "only an FH_STRING has a list of values");
    if (field->format && !shape_format_known(field->format))
        return error_set(error, FH_INVALID, "%d is no enum fh_string_format", (int)field->format);
    return field->pattern ? check_pattern(field, error) : FH_OK;
}

static enum fh_code check_number_rules(const fh_field *field, struct fh_error *error)
{
    int precision = shape_decimal_precision(field);
    fh_field bounded = field->type == FH_ARRAY ? shape_element(field) : *field;
    enum fh_code code = check_bound(&bounded, field->minimum, error);
    if (code == FH_OK)
        code = check_bound(&bounded, field->maximum, error);
    if (code != FH_OK)
        return code;
    if ((field->minimum || field->maximum) && !shape_bounds_meet(&bounded))
        return error_set(error, FH_INVALID, "no number is within its bounds");
    if ((field->precision || field->scale) && field->type != FH_DECIMAL &&
        field->elements != FH_DECIMAL)
        return error_set(error, FH_INVALID, "only an FH_DECIMAL has a precision and a scale");
    if (precision < 1 || precision > SHAPE_DECIMAL_PRECISION_MAX || field->scale < 0 ||
        field->scale > SHAPE_DECIMAL_SCALE_MAX || field->scale > precision)
        return error_set(
            error, FH_INVALID,
            "a precision is from 1 to %d, and a scale from 0 to %d, within the precision",
            SHAPE_DECIMAL_PRECISION_MAX, SHAPE_DECIMAL_SCALE_MAX);
    return FH_OK;
}

/* What is marked is not quoted. */
static const char *shown_default(const fh_field *field)
{
    return shape_field_marks(field) || (field->of && shape_marks(field->of)) ? "..."
                                                                             : field->default_value;
}

static enum fh_code check_default(const fh_field *field, struct fh_error *error)
{
    if (!field->default_value)
        return FH_OK;
    fh_field own[2] = {*field};
    json_t *value = shape_default(field), *object = json_object();
    if (!value) {
        json_decref(object);
        return error_set(error, FH_INVALID, "the default \"%.64s\" has no value of its type",
                         shown_default(field));
    }
    own[0].default_value = NULL;
    json_object_set_new(object, field->name, value);
    shape_settle(own, object);
    json_t *faults = shape_check(own, object);
    enum fh_code code = FH_OK;
    if (faults)
        code = error_set(error, FH_INVALID, "the default \"%.64s\" does not fit: %.100s",
                         shown_default(field), json_string_at(json_array_get(faults, 0), "detail"));
    json_decref(faults);
    json_decref(object);
    return code;
}

static enum fh_code declare_field(const fh_field *field, const struct declared_around *outer,
                                  int depth, struct fh_error *error);

/* Whether an object of its shape may stand where the field is absent. */
static bool default_unfolds(const fh_field *field)
{
    return field->default_value && strcmp(field->default_value, "null") != 0 &&
           strcmp(field->default_value, "[]") != 0;
}

/* `within` has this shape; NULL: the outermost. */
static enum fh_code declare_fields(const fh_field *shape, const fh_field *within,
                                   const struct declared_around *outer, int depth,
                                   struct fh_error *error)
{
    struct declared_around here = {
        .outer = outer, .shape = shape, .unfolds = within && default_unfolds(within)};
    bool unfolds = here.unfolds;
    for (const struct declared_around *at = outer; at; at = at->outer) {
        if (at->shape == shape)
            return unfolds ? error_set(error, FH_INVALID,
                                       "the default has itself in it, without end: of a shape "
                                       "within itself it can be null or []")
                           : FH_OK;
        unfolds = unfolds && at->unfolds;
    }
    if (depth > SHAPES_WITHIN_MAX)
        return error_set(error, FH_INVALID, "it has more than %d shapes within one another",
                         SHAPES_WITHIN_MAX);
    for (const fh_field *field = shape; field->name; field++) {
        struct fh_error why;
        if (declare_field(field, &here, depth, &why) != FH_OK)
            return error_set(error, FH_INVALID, "%.60s: %.120s", field->name, why.message);
    }
    return FH_OK;
}

static enum fh_code declare_field(const fh_field *field, const struct declared_around *outer,
                                  int depth, struct fh_error *error)
{
    if (strcmp(field->name, "*") == 0)
        return FH_OK;
    if (field->type < FH_STRING || field->type > FH_DECIMAL)
        return error_set(error, FH_INVALID, "it has no type");
    enum fh_code code = check_text_rules(field, error);
    if (code == FH_OK)
        code = check_number_rules(field, error);
    if (code == FH_OK && field->of)
        code = declare_fields(field->of, field, outer, depth + 1, error);
    if (code == FH_OK) /* now that it is known to end */
        code = check_default(field, error);
    return code;
}

enum fh_code shape_declared(const fh_field *shape, struct fh_error *error)
{
    return declare_fields(shape, NULL, NULL, 0, error);
}
