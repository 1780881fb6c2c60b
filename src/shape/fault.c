/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults: where a value does not fit, as a JSON Pointer (RFC 6901) or a parameter's name, and a
 * sentence. Names and values come from outside, so each is cut at a bound, but never inside a UTF-8
 * character: half a character can't be in a JSON string.
 */

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "shape/walk.h"

#define POINTER_LENGTH_MAX ((size_t)4096)
#define NAME_LENGTH_MAX ((size_t)1024)
#define QUOTED_LENGTH_MAX ((size_t)40)

/* Of the first `length_max` bytes of valid UTF-8, how many are whole characters. */
static size_t utf8_cut(const char *text, size_t length, size_t length_max)
{
    if (length <= length_max)
        return length;
    size_t cut = length_max;
    while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    return cut;
}

void shape_quote(struct text *text, const char *value, size_t length)
{
    size_t cut = utf8_cut(value, length, QUOTED_LENGTH_MAX);
    text_add(text, "\"");
    text_append(text, value, cut);
    text_add(text, cut < length ? "…\"" : "\"");
}

const char *shape_type_expected(const fh_field *field)
{
    switch (field->type) {
    case FH_STRING:
        return "a string";
    case FH_INT:
        return "an integer";
    case FH_BOOL:
        return "true or false";
    case FH_OBJECT:
        return "an object";
    case FH_ARRAY:
    case FH_LIST:
        return "an array";
    case FH_ANY:
        return "a value";
    case FH_NUMBER:
        return "a number";
    case FH_DECIMAL:
        return "a decimal number in a string";
    }
    return "a value";
}

void shape_found(const struct shape_faults *faults, struct text *detail, const json_t *value)
{
    text_add(detail, ", found ");
    if (faults->in_marked) {
        text_add(detail, "something else");
    } else if (json_is_string(value)) {
        shape_quote(detail, json_string_value(value), json_string_length(value));
    } else {
        char *text = json_text(value);
        text_append(detail, text, utf8_cut(text, strlen(text), QUOTED_LENGTH_MAX));
        json_text_free(text);
    }
}

static void add_pointer(struct text *pointer, const struct shape_place *place)
{
    if (!place->parent)
        return;
    add_pointer(pointer, place->parent);
    text_add(pointer, "/");
    if (!place->name) {
        text_printf(pointer, "%zu", place->index);
        return;
    }
    /* Only an unknown field's name, which is always the last, can be long; all others are a
     * shape's. */
    size_t left = utf8_cut(place->name, strlen(place->name), NAME_LENGTH_MAX);
    for (const char *at = place->name; left > 0;) {
        size_t plain = strcspn(at, "~/");
        if (plain > left)
            plain = left;
        text_append(pointer, at, plain);
        at += plain;
        left -= plain;
        if (left > 0) {
            text_add(pointer, *at == '~' ? "~0" : "~1");
            at++;
            left--;
        }
    }
}

bool shape_faults_full(const struct shape_faults *faults)
{
    return json_array_size(faults->found) >= SHAPE_FAULTS_MAX;
}

/* Its name; of an element, which has none, that of its list. */
static void add_parameter(struct text *parameter, const struct shape_place *place)
{
    while (!place->name && place->parent)
        place = place->parent;
    if (place->name)
        text_append(parameter, place->name,
                    utf8_cut(place->name, strlen(place->name), NAME_LENGTH_MAX));
}

static json_t *fault_new(const struct shape_faults *faults, const struct shape_place *place,
                         const struct text *detail)
{
    struct text where;
    text_init(&where, POINTER_LENGTH_MAX);
    if (faults->of_query)
        add_parameter(&where, place);
    else
        add_pointer(&where, place);
    json_t *fault = json_object();
    int failed = json_object_set_new(fault, faults->of_query ? "parameter" : "pointer",
                                     json_stringn(where.data ? where.data : "", where.length));
    failed |= json_object_set_new(fault, "detail", json_stringn(detail->data, detail->length));
    FH_ASSERT(!failed);
    text_release(&where);
    return fault;
}

void shape_fault(struct shape_faults *faults, const struct shape_place *place, struct text *detail)
{
    if (!shape_faults_full(faults)) {
        if (!faults->found)
            faults->found = json_array();
        int failed = json_array_append_new(faults->found, fault_new(faults, place, detail));
        FH_ASSERT(!failed);
    }
    text_release(detail);
}
