/* SPDX-License-Identifier: Apache-2.0 */
/* A schema's words. Where one is absent or not as schema.c writes it, its value may be anything. */

#include "shape/accept_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "shape/shape.h"
#include "shape/text.h"
#include "shape/walk.h"

/* ---- Types ---- */

static const struct type_word {
    const char *name, *words;
    unsigned types;
} type_words[] = {{"boolean", "true or false", ACCEPT_BOOLEAN},
                  {"integer", "an integer", ACCEPT_INTEGER},
                  {"number", "a number", ACCEPT_NUMBERS},
                  {"string", "a text", ACCEPT_STRING},
                  {"object", "an object", ACCEPT_OBJECT},
                  {"array", "an array", ACCEPT_ARRAY},
                  {"null", "null", ACCEPT_NULL}};
#define TYPE_WORDS (sizeof type_words / sizeof type_words[0])

static unsigned accept_type_named(const char *name)
{
    for (size_t i = 0; name && i < TYPE_WORDS; i++) {
        if (strcmp(type_words[i].name, name) == 0)
            return type_words[i].types;
    }
    return ACCEPT_ANYTHING;
}

unsigned accept_types(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    unsigned types = json_is_array(type) ? 0 : accept_type_named(json_string_value(type));
    size_t i;
    json_t *one;
    json_array_foreach (type, i, one)
        types |= accept_type_named(json_string_value(one));
    return types;
}

void accept_type_words(unsigned types, char out[static ACCEPT_WORDS_SIZE])
{
    size_t used = 0;
    if (types == ACCEPT_ANYTHING) {
        snprintf(out, ACCEPT_WORDS_SIZE, "any value");
        return;
    }
    out[0] = '\0';
    for (size_t i = 0; i < TYPE_WORDS; i++) {
        const struct type_word *word = &type_words[i];
        bool half = word->types == ACCEPT_INTEGER && (types & ACCEPT_NUMBERS) == ACCEPT_NUMBERS;
        if ((types & word->types) == word->types && !half)
            used += (size_t)snprintf(out + used, ACCEPT_WORDS_SIZE - used, "%s%s",
                                     used ? " or " : "", word->words);
    }
}

/* ---- Strings ---- */

bool accept_is_decimal(const json_t *schema)
{
    const char *format = json_string_at(schema, "format");
    return format && strcmp(format, SHAPE_SCHEMA_DECIMAL) == 0;
}

const char *accept_format_of(const json_t *schema)
{
    const char *hidden = json_string_at(schema, SHAPE_SCHEMA_FORMAT),
               *format = hidden ? hidden : json_string_at(schema, "format");
    bool known = shape_format_named(format) || accept_is_decimal(schema);
    return known ? format : NULL;
}

struct accept_digits accept_digits_of(const json_t *schema)
{
    json_int_t precision = json_integer_value(json_object_get(schema, SHAPE_SCHEMA_PRECISION));
    json_int_t scale = json_integer_value(json_object_get(schema, SHAPE_SCHEMA_SCALE));
    if (precision < 1 || precision > SHAPE_DECIMAL_PRECISION_MAX)
        precision = SHAPE_DECIMAL_PRECISION;
    if (scale < 0 || scale > precision)
        scale = 0;
    return (struct accept_digits){.before = (int)(precision - scale), .after = (int)scale};
}

/* A sign, digits, of which there is one before the point at least, and the point. */
static struct accept_length decimal_length(const json_t *schema)
{
    struct accept_digits digits = accept_digits_of(schema);
    int before = digits.before > 0 ? digits.before : 1;
    return (struct accept_length){1, 1 + before + (digits.after ? 1 + digits.after : 0)};
}

struct accept_length accept_length_of(const json_t *schema)
{
    struct accept_length length = {0, INT64_MAX};
    json_int_t number;
    if (accept_is_decimal(schema))
        return decimal_length(schema);
    if (json_integer_at(schema, "minLength", &number) && number > 0)
        length.least = number;
    if (json_integer_at(schema, "maxLength", &number) && number >= 0)
        length.most = number;
    const json_t *least = json_object_get(schema, SHAPE_SCHEMA_LEAST_BYTES);
    if (json_is_integer(least) && json_integer_value(least) > length.least)
        length.least = json_integer_value(least);
    if (json_object_get(schema, "pattern") && length.most > SHAPE_PATTERN_VALUE_MAX)
        length.most = SHAPE_PATTERN_VALUE_MAX;
    return length;
}

void accept_length_words(const struct accept_length *length, char out[static ACCEPT_WORDS_SIZE])
{
    if (length->most == INT64_MAX && length->least == 0)
        snprintf(out, ACCEPT_WORDS_SIZE, "any");
    else if (length->most == INT64_MAX)
        snprintf(out, ACCEPT_WORDS_SIZE, "at least %" PRId64 " bytes", length->least);
    else
        snprintf(out, ACCEPT_WORDS_SIZE, "%" PRId64 " to %" PRId64 " bytes", length->least,
                 length->most);
}

void accept_quoted(const char *string, char out[static ACCEPT_WORDS_SIZE])
{
    struct text text;
    if (!string) {
        snprintf(out, ACCEPT_WORDS_SIZE, "none");
        return;
    }
    text_init(&text, ACCEPT_WORDS_SIZE);
    shape_quote(&text, string, strlen(string));
    snprintf(out, ACCEPT_WORDS_SIZE, "%s", text.data);
    text_release(&text);
}

/* ---- Numbers ---- */

int accept_number_order(const json_t *left, const json_t *right)
{
    if (json_is_integer(left) && json_is_integer(right)) {
        json_int_t a = json_integer_value(left), b = json_integer_value(right);
        return (a > b) - (a < b);
    }
    double a = json_number_value(left), b = json_number_value(right);
    return (a > b) - (a < b);
}

void accept_bound_words(const json_t *bound, char out[static ACCEPT_WORDS_SIZE])
{
    json_int_t whole = json_integer_value(bound);
    bool none = !bound || (json_is_integer(bound) && (whole == INT64_MIN || whole == INT64_MAX));
    char *text = none ? NULL : json_text(bound);
    snprintf(out, ACCEPT_WORDS_SIZE, "%s", none ? "none" : text);
    json_text_free(text);
}

/* ---- Objects ---- */

bool accept_is_open(const json_t *schema)
{
    return !json_is_false(json_object_get(schema, "additionalProperties"));
}

unsigned accept_marks(const json_t *schema)
{
    return (json_is_true(json_object_get(schema, SHAPE_SCHEMA_PERSONAL)) ? 1u : 0u) |
           (json_is_true(json_object_get(schema, SHAPE_SCHEMA_SECRET)) ? 2u : 0u) |
           (json_is_true(json_object_get(schema, SHAPE_SCHEMA_CARD)) ? 4u : 0u);
}

json_t *accept_set_of(const json_t *array)
{
    json_t *set = json_object(), *one;
    size_t i;
    json_array_foreach (array, i, one) {
        if (json_is_string(one))
            FH_ASSERT(json_object_set_new(set, json_string_value(one), json_true()) == 0);
    }
    return set;
}
