/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two schemas clash if they have no value in common. They are compared type by type: a value of a
 * type that only one of them has is no common one. What is left of one type clashes if a bound, or
 * a member that both are certain to have, does. Where several types are left, some value of one of
 * them may fit, and nothing is certain.
 */

#include "system/check/fit.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define PLACE_SIZE 512

static const struct type_word {
    const char *name, *words;
    unsigned types;
} type_words[] = {{"null", "null", FIT_NULL},
                  {"boolean", "a boolean", FIT_BOOLEAN},
                  {"integer", "an integer", FIT_INTEGER},
                  {"number", "a number", FIT_INTEGER | FIT_NUMBER},
                  {"string", "a string", FIT_STRING},
                  {"object", "an object", FIT_OBJECT},
                  {"array", "an array", FIT_ARRAY}};
#define TYPE_WORDS (sizeof type_words / sizeof type_words[0])

/* ---- Members ---- */

static bool fit_requires(const json_t *schema, const char *name)
{
    size_t i;
    json_t *required;
    json_array_foreach (json_object_get(schema, "required"), i, required) {
        const char *text = json_string_value(required);
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

/* A schema that may hold of a value by other words than its own properties. */
static bool is_open(const json_t *schema)
{
    static const char *const words[] = {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (json_object_get(schema, words[i]))
            return true;
    }
    return !json_is_false(json_object_get(schema, "additionalProperties"));
}

static enum fit_there find_fit_member(const json_t *schema, const char *name, const json_t **ret)
{
    unsigned types = fit_types(schema);
    *ret = NULL;
    if (!(types & FIT_OBJECT))
        return FIT_NEVER;
    const json_t *property = json_object_get(json_object_get(schema, "properties"), name);
    if (!property)
        return is_open(schema) ? FIT_UNKNOWN : FIT_NEVER;
    *ret = property;
    return types == FIT_OBJECT && fit_requires(schema, name) ? FIT_ALWAYS : FIT_SOMETIMES;
}

enum fit_there fit_find(const json_t *schema, const char *path, const json_t **ret)
{
    enum fit_there there = FIT_ALWAYS;
    *ret = schema;
    while (*path) {
        char name[PLACE_SIZE];
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        if (length >= sizeof name)
            return *ret = NULL, FIT_UNKNOWN;
        enum fit_there part = find_fit_member(*ret, name, ret);
        if (part < FIT_SOMETIMES)
            return part;
        there = part < there ? part : there;
        path += length + (path[length] == '.');
    }
    return there;
}

/* ---- Types ---- */

static unsigned type_named(const char *name)
{
    for (size_t i = 0; name && i < TYPE_WORDS; i++) {
        if (strcmp(type_words[i].name, name) == 0)
            return type_words[i].types;
    }
    return FIT_ANYTHING;
}

static unsigned type_of_value(const json_t *value)
{
    static const unsigned types[] = {
        [JSON_NULL] = FIT_NULL,       [JSON_TRUE] = FIT_BOOLEAN, [JSON_FALSE] = FIT_BOOLEAN,
        [JSON_INTEGER] = FIT_INTEGER, [JSON_REAL] = FIT_NUMBER,  [JSON_STRING] = FIT_STRING,
        [JSON_OBJECT] = FIT_OBJECT,   [JSON_ARRAY] = FIT_ARRAY};
    return types[json_typeof(value)];
}

unsigned fit_types(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type"), *values = json_object_get(schema, "enum");
    unsigned types = json_is_array(type) ? 0 : type_named(json_string_value(type)), listed = 0;
    size_t i;
    json_t *member;
    json_array_foreach (type, i, member)
        types |= type_named(json_string_value(member));
    json_array_foreach (values, i, member)
        listed |= type_of_value(member);
    return listed ? types & listed : types;
}

static const char *words_of_types(unsigned types)
{
    unsigned but_null = types & ~FIT_NULL;
    for (size_t i = 0; i < TYPE_WORDS; i++) {
        if (type_words[i].types == (but_null ? but_null : types))
            return type_words[i].words;
    }
    return "something else";
}

/* ---- Clashes ---- */

/* False: the schema has no such bound. */
static bool bound_of(const json_t *schema, const char *word, double *ret)
{
    const json_t *value = json_object_get(schema, word);
    *ret = json_number_value(value);
    return json_is_number(value);
}

static bool bounds_clash(const json_t *from, const json_t *to, const char *least, const char *most,
                         const char *what, const char *place, struct text *why)
{
    double low, high;
    if (bound_of(from, least, &low) && bound_of(to, most, &high) && low > high) {
        text_printf(why, "\"%s\" has %s of at least %.15g, and at most %.15g is expected", place,
                    what, low, high);
        return true;
    }
    if (bound_of(from, most, &high) && bound_of(to, least, &low) && high < low) {
        text_printf(why, "\"%s\" has %s of at most %.15g, and at least %.15g is expected", place,
                    what, high, low);
        return true;
    }
    return false;
}

static bool lists_clash(const json_t *from, const json_t *to, const char *place, struct text *why)
{
    const json_t *sent = json_object_get(from, "enum"), *taken = json_object_get(to, "enum");
    size_t i, j;
    json_t *one, *other;
    json_array_foreach (taken ? sent : NULL, i, one) {
        json_array_foreach (taken, j, other) {
            if (json_equal(one, other))
                return false;
        }
    }
    if (!sent || !taken)
        return false;
    text_printf(why, "\"%s\" has none of the values that are expected", place);
    return true;
}

static void place_below(char below[static PLACE_SIZE], const char *place, const char *name)
{
    snprintf(below, PLACE_SIZE, "%s/%s", place, name);
}

/* Members that `to` needs, and `from` never has. */
static bool lacks_member(const json_t *from, const json_t *to, const char *place, struct text *why)
{
    char below[PLACE_SIZE];
    size_t i;
    json_t *required;
    const json_t *unused;
    json_array_foreach (json_object_get(to, "required"), i, required) {
        const char *name = json_string_value(required);
        if (!name || find_fit_member(from, name, &unused) != FIT_NEVER)
            continue;
        place_below(below, place, name);
        text_printf(why, "\"%s\" is lacking", below);
        return true;
    }
    return false;
}

/* A member that is always sent: `to` has no such, or other values of it. One that may be absent
 * must be there for `to`. */
static bool members_clash(const json_t *from, const json_t *to, const char *place, struct text *why)
{
    char below[PLACE_SIZE];
    const char *name;
    json_t *member;
    const json_t *expected;
    json_object_foreach (json_object_get(from, "properties"), name, member) {
        enum fit_there taken = find_fit_member(to, name, &expected);
        place_below(below, place, name);
        if (taken == FIT_NEVER && fit_requires(from, name)) {
            text_printf(why, "\"%s\" is not taken there", below);
            return true;
        }
        if (expected && (fit_requires(from, name) || fit_requires(to, name)) &&
            fit_clashes(member, expected, below, why))
            return true;
    }
    return false;
}

static bool elements_clash(const json_t *from, const json_t *to, const char *place,
                           struct text *why)
{
    char below[PLACE_SIZE];
    double least;
    if (bounds_clash(from, to, "minItems", "maxItems", "a length", place, why))
        return true;
    if (!bound_of(from, "minItems", &least) || least < 1)
        return false; /* an empty one fits */
    place_below(below, place, "0");
    return fit_clashes(json_object_get(from, "items"), json_object_get(to, "items"), below, why);
}

bool fit_clashes(const json_t *from, const json_t *to, const char *place, struct text *why)
{
    unsigned sent = fit_types(from), taken = fit_types(to), common = sent & taken;
    if (!common) {
        text_printf(why, "\"%s\" is %s, and %s is expected", place, words_of_types(sent),
                    words_of_types(taken));
        return true;
    }
    if (lists_clash(from, to, place, why))
        return true;
    switch (common) {
    case FIT_INTEGER:
    case FIT_NUMBER:
    case FIT_INTEGER | FIT_NUMBER:
        return bounds_clash(from, to, "minimum", "maximum", "a value", place, why);
    case FIT_STRING:
        return bounds_clash(from, to, "minLength", "maxLength", "a length", place, why);
    case FIT_OBJECT:
        return lacks_member(from, to, place, why) || members_clash(from, to, place, why);
    case FIT_ARRAY:
        return elements_clash(from, to, place, why);
    default:
        return false;
    }
}
