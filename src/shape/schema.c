/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shape as a JSON Schema (draft 2020-12). The schema accepts everything that shape_check accepts,
 * and is equally strict except for three things that JSON Schema can't express. Shapes count
 * lengths in bytes, JSON Schema in characters: the schema has the widest bounds that can hold, and
 * its description gives the bytes. A decimal is a string, whose bounds are told in an extension.
 * And a shape inside itself is cut off: its second occurrence is any object, with a mark that
 * documents make a reference of if the shape has a name.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "shape/mark.h"
#include "shape/text.h"
#include "shape/walk.h"

#define SCHEMA_PATTERN_LENGTH_MAX ((size_t)64 << 10)
#define UTF8_CHARACTER_SIZE_MAX 4

/* The shapes around a field, innermost first: ends the walk when a shape contains itself. The
 * outermost has none. */
struct around {
    const struct around *outer;
    const fh_field *shape;
    const struct fh_named_shape *names; /* ends with {0}; NULL: none */
};

static void put_member(json_t *object, const char *name, json_t *value)
{
    int result = json_object_set_new(object, name, value);
    FH_ASSERT(result == 0);
}

static void append_to_array(json_t *array, json_t *value)
{
    int result = json_array_append_new(array, value);
    FH_ASSERT(result == 0);
}

static json_t *schema_of_object(const fh_field *shape, const struct around *outer);

static const char *type_name(enum fh_type type)
{
    switch (type) {
    case FH_STRING:
        return "string";
    case FH_INT:
        return "integer";
    case FH_BOOL:
        return "boolean";
    case FH_OBJECT:
        return "object";
    case FH_ARRAY:
    case FH_LIST:
        return "array";
    case FH_NUMBER:
        return "number";
    case FH_DECIMAL:
        return "string";
    case FH_ANY:
        break;
    }
    FH_ASSERT(type == FH_ANY); /* or a field was declared without a type */
    return NULL;
}

static void put_length(json_t *schema, const fh_field *field)
{
    char words[96];
    if (field->min > 0)
        put_member(
            schema, "minLength",
            json_integer((field->min + UTF8_CHARACTER_SIZE_MAX - 1) / UTF8_CHARACTER_SIZE_MAX));
    if (field->min > 1)
        put_member(schema, SHAPE_SCHEMA_LEAST_BYTES, json_integer(field->min));
    if (shape_has_upper_bound(field)) {
        put_member(schema, "maxLength", json_integer(field->max));
        snprintf(words, sizeof words, "%" PRId64 " to %" PRId64 " bytes of UTF-8", field->min,
                 field->max);
        put_member(schema, "description", json_string(words));
    } else if (field->min > 1) {
        snprintf(words, sizeof words, "at least %" PRId64 " bytes of UTF-8", field->min);
        put_member(schema, "description", json_string(words));
    }
}

/* What a string with a pattern or a format is; of a decimal it is made of both. */
static void put_text_rules(json_t *schema, const fh_field *field)
{
    struct text pattern;
    text_init(&pattern, SCHEMA_PATTERN_LENGTH_MAX);
    if (field->type == FH_DECIMAL) {
        shape_decimal_pattern(&pattern, field);
        put_member(schema, "format", json_string(SHAPE_SCHEMA_DECIMAL));
        put_member(schema, SHAPE_SCHEMA_PRECISION, json_integer(shape_decimal_precision(field)));
        put_member(schema, SHAPE_SCHEMA_SCALE, json_integer(field->scale));
    } else {
        if (field->pattern)
            shape_pattern_write(&pattern, field->pattern);
        if (shape_format_known(field->format))
            put_member(schema, "format", json_string(shape_format_name(field->format)));
        if (field->pattern && !shape_has_upper_bound(field))
            put_member(schema, "maxLength", json_integer(SHAPE_PATTERN_VALUE_MAX));
    }
    if (pattern.length > 0)
        put_member(schema, "pattern", json_stringn(pattern.data, pattern.length));
    text_release(&pattern);
}

/* A bound of a number: whole, or as its text says; a decimal's, which is a string in JSON, is told
 * in an extension, since JSON Schema has no bounds for strings. */
static void put_bound(json_t *schema, const fh_field *field, bool upper)
{
    const char *text = upper ? field->maximum : field->minimum;
    bool whole = upper ? shape_has_upper_bound(field) : field->min != 0 || field->max != 0;
    json_t *bound = NULL;
    if (text)
        (void)json_parse(text, strlen(text), &bound, ERROR_UNHEEDED);
    else if (whole)
        bound = json_integer(upper ? field->max : field->min);
    if (bound && field->type == FH_DECIMAL) {
        char *written = text ? NULL : json_text(bound);
        put_member(schema, upper ? SHAPE_SCHEMA_MAXIMUM : SHAPE_SCHEMA_MINIMUM,
                   json_string(text ? text : written));
        json_text_free(written);
    } else if (bound) {
        put_member(schema, upper ? "maximum" : "minimum", json_incref(bound));
    }
    json_decref(bound);
}

/* Integers have 64 bits: what no bound says of them, the type does. */
static void put_number_rules(json_t *schema, const fh_field *field)
{
    put_bound(schema, field, false);
    put_bound(schema, field, true);
    if (field->type == FH_NUMBER)
        put_member(schema, "format", json_string("double"));
    if (field->type != FH_INT)
        return;
    put_member(schema, "format", json_string("int64"));
    if (!json_object_get(schema, "minimum"))
        put_member(schema, "minimum", json_integer(INT64_MIN));
    if (!json_object_get(schema, "maximum"))
        put_member(schema, "maximum", json_integer(INT64_MAX));
}

/* That of a secret, or of an object with secrets in it, is not told; the field is optional all the
 * same. */
static void put_default(json_t *schema, const fh_field *field)
{
    bool secret =
        field->secret || field->card || (field->of && (shape_marks(field->of) & SHAPE_UNKEPT));
    json_t *value = field->default_value && !secret ? shape_default(field) : NULL;
    if (value)
        put_member(schema, "default", value);
}

static void put_one_of(json_t *schema, const fh_field *field)
{
    json_t *values = json_array();
    for (int i = 0; field->one_of[i]; i++)
        append_to_array(values, json_string(field->one_of[i]));
    if (field->nullable)
        append_to_array(values, json_null());
    put_member(schema, "enum", values);
}

static json_t *schema_of_field(const fh_field *field, const struct around *outer);

static void put_elements(json_t *schema, const fh_field *field, const struct around *outer)
{
    fh_field element = shape_element(field);
    if (element.type)
        put_member(schema, "items", schema_of_field(&element, outer));
    if (field->min > 0)
        put_member(schema, "minItems", json_integer(field->min));
    if (shape_has_upper_bound(field))
        put_member(schema, "maxItems", json_integer(field->max));
}

/* "password" is the format by which tools hide what is typed or shown. */
static void put_marks(json_t *schema, const fh_field *field)
{
    if (field->personal)
        put_member(schema, SHAPE_SCHEMA_PERSONAL, json_true());
    if (field->secret)
        put_member(schema, SHAPE_SCHEMA_SECRET, json_true());
    if (field->card)
        put_member(schema, SHAPE_SCHEMA_CARD, json_true());
    if (field->type != FH_STRING || !(field->secret || field->card))
        return;
    if (shape_format_known(field->format))
        put_member(schema, SHAPE_SCHEMA_FORMAT, json_string(shape_format_name(field->format)));
    put_member(schema, "format", json_string("password"));
}

static json_t *schema_of_field(const fh_field *field, const struct around *outer)
{
    const char *name = type_name(field->type);
    json_t *schema =
        field->type == FH_OBJECT && field->of ? schema_of_object(field->of, outer) : json_object();
    if (name && field->nullable)
        put_member(schema, "type", json_pack("[ss]", name, "null"));
    else if (name)
        put_member(schema, "type", json_string(name));
    if (field->type == FH_STRING)
        put_length(schema, field);
    if (field->type == FH_STRING && field->one_of)
        put_one_of(schema, field);
    if (field->type == FH_STRING || field->type == FH_DECIMAL)
        put_text_rules(schema, field);
    if (field->type == FH_INT || field->type == FH_NUMBER || field->type == FH_DECIMAL)
        put_number_rules(schema, field);
    if (field->type == FH_ARRAY || field->type == FH_LIST)
        put_elements(schema, field, outer);
    put_default(schema, field);
    put_marks(schema, field);
    return schema;
}

/* `field` is "*", or NULL: the object has no other fields. Where they are marked a schema that
 * accepts everything says so. */
static void put_others(json_t *schema, const fh_field *field)
{
    json_t *others = json_object();
    if (field)
        put_marks(others, field);
    if (!field)
        put_member(schema, "additionalProperties", json_false());
    else if (json_object_size(others) > 0)
        put_member(schema, "additionalProperties", json_incref(others));
    json_decref(others);
}

/* Of the second occurrence: what is marked somewhere in it is marked wherever it is in it. */
static void put_marks_within(json_t *schema, const fh_field *shape)
{
    unsigned marks = shape_marks(shape);
    const fh_field others = {.name = "*",
                             .type = FH_ANY,
                             .personal = (marks & SHAPE_PERSONAL) != 0,
                             .secret = (marks & SHAPE_SECRET) != 0,
                             .card = (marks & SHAPE_CARD) != 0};
    if (!marks)
        return;
    put_member(schema, "properties", json_object());
    put_others(schema, &others);
}

static void put_title(json_t *schema, const fh_field *shape, const struct fh_named_shape *names)
{
    for (; names && names->name; names++) {
        if (names->shape == shape)
            put_member(schema, "title", json_string(names->name));
    }
}

static json_t *schema_of_object(const fh_field *shape, const struct around *outer)
{
    json_t *schema = json_object();
    put_member(schema, "type", json_string("object"));
    put_title(schema, shape, outer->names);
    int levels = 0;
    for (const struct around *at = outer; at; at = at->outer) {
        levels += at->shape != NULL;
        if (at->shape == shape) {
            put_member(schema, SHAPE_SCHEMA_AGAIN, json_true());
            put_member(schema, SHAPE_SCHEMA_LEVELS, json_integer(levels));
            put_marks_within(schema, shape);
            return schema;
        }
    }
    struct around here = {.outer = outer, .shape = shape, .names = outer->names};
    json_t *properties = json_object();
    json_t *required = json_array();
    const fh_field *others = NULL;
    for (const fh_field *field = shape; field->name && !others; field++) {
        if (strcmp(field->name, "*") == 0) {
            others = field;
            continue;
        }
        put_member(properties, field->name, schema_of_field(field, &here));
        if (!field->optional && !field->default_value)
            append_to_array(required, json_string(field->name));
    }
    put_member(schema, "properties", properties);
    if (json_array_size(required) > 0)
        put_member(schema, "required", required);
    else
        json_decref(required);
    put_others(schema, others);
    return schema;
}

json_t *shape_schema(const fh_field *shape)
{
    return shape_schema_named(shape, NULL);
}

json_t *shape_schema_named(const fh_field *shape, const struct fh_named_shape *names)
{
    FH_ASSERT(shape != NULL);
    struct around nothing = {.names = names};
    json_t *schema = schema_of_object(shape, &nothing);
    put_member(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    return schema;
}
