/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a shape from its own JSON Schema: the inverse of schema.c, for callers that have another
 * service's description but not its declaration. Schemas written by schema.c keep their meaning,
 * except for a string's least length, of which the schema has only a quarter (see there). Anything
 * else that a schema may say is ignored.
 */

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "shape/text.h"
#include "shape/walk.h"

static const fh_field *read_object(struct arena *arena, const json_t *schema, int depth);

static bool is_of(const json_t *type, const char *name)
{
    size_t i;
    json_t *one;
    if (json_is_string(type))
        return strcmp(json_string_value(type), name) == 0;
    json_array_foreach (type, i, one) {
        if (json_is_string(one) && strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

/* For one type, or one type and null; otherwise FH_ANY. */
static enum fh_type read_type(const json_t *schema)
{
    static const struct {
        const char *name;
        enum fh_type type;
    } known[] = {{"string", FH_STRING}, {"integer", FH_INT},   {"number", FH_NUMBER},
                 {"boolean", FH_BOOL},  {"object", FH_OBJECT}, {"array", FH_ARRAY}};
    const json_t *type = json_object_get(schema, "type");
    if (json_array_size(type) > (is_of(type, "null") ? 2 : 1))
        return FH_ANY;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (is_of(type, known[i].name))
            return known[i].type;
    }
    return FH_ANY;
}

static const char *own_text(struct arena *arena, char *text)
{
    const char *copy = text ? arena_text(arena, text) : NULL;
    free(text);
    return copy;
}

/* A default is written as a field's text has it. */
static void read_default(struct arena *arena, fh_field *field, const json_t *schema)
{
    const json_t *value = json_object_get(schema, "default");
    if (!value)
        return;
    if (json_is_string(value)) {
        field->default_value = json_string_value(value);
        return;
    }
    char *text = json_text(value);
    field->default_value = arena_text(arena, text);
    json_text_free(text);
}

static void read_text_rules(struct arena *arena, fh_field *field, const json_t *schema)
{
    const char *pattern = json_string_at(schema, "pattern");
    field->format = shape_format_named(json_string_at(schema, "format"));
    if (pattern)
        field->pattern = own_text(arena, shape_pattern_read(pattern));
    if (field->pattern && field->max == SHAPE_PATTERN_VALUE_MAX && field->min == 0)
        field->max = 0;
}

static bool is_decimal(const json_t *schema)
{
    const char *format = json_string_at(schema, "format");
    return format && strcmp(format, SHAPE_SCHEMA_DECIMAL) == 0;
}

static int read_digits(const json_t *schema, const char *name, int most)
{
    json_int_t digits = json_integer_value(json_object_get(schema, name));
    return digits < 0 || digits > most ? 0 : (int)digits;
}

static void read_decimal(fh_field *field, const json_t *schema)
{
    const char *least = json_string_at(schema, SHAPE_SCHEMA_MINIMUM);
    const char *most = json_string_at(schema, SHAPE_SCHEMA_MAXIMUM);
    field->type = FH_DECIMAL;
    field->precision = read_digits(schema, SHAPE_SCHEMA_PRECISION, SHAPE_DECIMAL_PRECISION_MAX);
    field->scale = read_digits(schema, SHAPE_SCHEMA_SCALE, SHAPE_DECIMAL_SCALE_MAX);
    if (field->scale > shape_decimal_precision(field))
        field->scale = 0;
    field->minimum = least && shape_is_decimal(least, strlen(least)) ? least : NULL;
    field->maximum = most && shape_is_decimal(most, strlen(most)) ? most : NULL;
}

static void read_number_bounds(struct arena *arena, fh_field *field, const json_t *schema)
{
    const char *const names[] = {"minimum", "maximum"};
    for (int i = 0; i < 2; i++) {
        const json_t *bound = json_object_get(schema, names[i]);
        if (!json_is_number(bound))
            continue;
        char *text = json_text(bound);
        *(i ? &field->maximum : &field->minimum) = arena_text(arena, text);
        json_text_free(text);
    }
}

static void read_bounds(fh_field *field, const json_t *schema, const char *least, const char *most)
{
    json_int_t min = field->type == FH_INT ? INT64_MIN : 0, max = INT64_MAX;
    bool has_min = json_integer_at(schema, least, &min) && min != INT64_MIN;
    bool has_max = json_integer_at(schema, most, &max) && max != INT64_MAX;
    if (!has_min && !has_max)
        return;
    field->min = min;
    field->max = has_max || min <= 0 ? max : 0; /* a max below its min means none */
}

/* NULL unless it is a list of strings, possibly with null. */
static const char *const *read_one_of(struct arena *arena, const json_t *schema)
{
    const json_t *values = json_object_get(schema, "enum");
    size_t count = 0, i;
    json_t *one;
    if (!json_is_array(values))
        return NULL;
    const char **texts = arena_alloc(arena, (json_array_size(values) + 1) * sizeof *texts);
    json_array_foreach (values, i, one) {
        if (json_is_string(one))
            texts[count++] = json_string_value(one);
        else if (!json_is_null(one))
            return NULL;
    }
    texts[count] = NULL;
    return texts;
}

static void read_marks(fh_field *field, const json_t *schema)
{
    field->personal = json_is_true(json_object_get(schema, SHAPE_SCHEMA_PERSONAL));
    field->secret = json_is_true(json_object_get(schema, SHAPE_SCHEMA_SECRET));
    field->card = json_is_true(json_object_get(schema, SHAPE_SCHEMA_CARD));
}

static fh_field read_schema_field(struct arena *arena, const json_t *schema, int depth)
{
    fh_field field = {.type = read_type(schema),
                      .nullable = is_of(json_object_get(schema, "type"), "null")};
    const json_t *items = json_object_get(schema, "items");
    if (field.type == FH_STRING && is_decimal(schema)) {
        read_decimal(&field, schema);
    } else if (field.type == FH_STRING) {
        read_bounds(&field, schema, "minLength", "maxLength");
        field.one_of = read_one_of(arena, schema);
        read_text_rules(arena, &field, schema);
    } else if (field.type == FH_NUMBER) {
        read_number_bounds(arena, &field, schema);
    } else if (field.type == FH_INT) {
        read_bounds(&field, schema, "minimum", "maximum");
    } else if (field.type == FH_OBJECT) {
        field.of = read_object(arena, schema, depth + 1);
    } else if (field.type == FH_ARRAY) {
        read_bounds(&field, schema, "minItems", "maxItems");
        fh_field element = json_is_object(items) ? read_schema_field(arena, items, depth + 1)
                                                 : (fh_field){.type = FH_ANY};
        field.of = element.nullable ? NULL : element.of;
        field.elements = element.nullable || field.of ? FH_ANY : element.type;
        field.one_of = element.one_of;
        field.format = element.format;
        field.pattern = element.pattern;
        field.minimum = element.minimum;
        field.maximum = element.maximum;
        field.precision = element.precision;
        field.scale = element.scale;
    }
    read_default(arena, &field, schema);
    read_marks(&field, schema);
    return field;
}

/* NULL: the schema says nothing about the object's fields. */
static const fh_field *read_object(struct arena *arena, const json_t *schema, int depth)
{
    json_t *properties = json_object_get(schema, "properties"), *property;
    const json_t *required = json_object_get(schema, "required");
    const char *name;
    size_t count = 0, i;
    json_t *one;
    if (!json_is_object(properties) || depth > SHAPE_READ_DEPTH_MAX)
        return NULL;
    fh_field *fields = arena_alloc(arena, (json_object_size(properties) + 2) * sizeof *fields);
    json_object_foreach (properties, name, property) {
        fh_field *field = &fields[count++];
        *field = read_schema_field(arena, property, depth);
        field->name = name;
        field->optional = true;
        json_array_foreach (required, i, one) {
            if (json_is_string(one) && strcmp(json_string_value(one), name) == 0)
                field->optional = false;
        }
    }
    const json_t *others = json_object_get(schema, "additionalProperties");
    if (!json_is_false(others)) {
        fields[count] = (fh_field){"*", FH_ANY, .optional = true};
        read_marks(&fields[count++], others);
    }
    fields[count] = (fh_field){0};
    return fields;
}

const fh_field *shape_of_schema(struct arena *arena, const json_t *schema)
{
    return read_object(arena, schema, 0);
}
