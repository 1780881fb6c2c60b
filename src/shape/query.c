/* SPDX-License-Identifier: Apache-2.0 */
/* Query parameters are first converted from text to the types that the shape names, and then
 * checked as a body is. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "shape/mark.h"
#include "shape/walk.h"

static void must_hold(int result)
{
    FH_ASSERT(result == 0);
}

static bool parse_query_integer(const char *text, size_t length, json_int_t *ret)
{
    const char *digits = text + (*text == '-');
    if (!*digits || digits[strspn(digits, "0123456789")] || strlen(text) != length)
        return false;
    errno = 0;
    *ret = strtoll(text, NULL, 10);
    return errno == 0;
}

/* JSON's numbers alone, so neither "nan" nor "0x1". */
static json_t *parse_query_number(const char *text, size_t length)
{
    json_t *value;
    bool numeric = length > 0 && strspn(text, "-+.eE0123456789") == length;
    if (!numeric || json_parse(text, length, &value, ERROR_UNHEEDED) != FH_OK)
        return NULL;
    json_t *real = json_real(json_number_value(value));
    json_decref(value);
    return real;
}

/* "1,2,3" as an array; NULL if an element is empty. An empty text is an empty array. */
static json_t *split_list(const char *text, size_t length)
{
    json_t *list = json_array();
    const char *end = text + length;
    while (list && text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma ? comma : end;
        if (stop == text || stop + 1 == end) {
            json_decref(list);
            return NULL;
        }
        must_hold(json_array_append_new(list, json_stringn(text, (size_t)(stop - text))));
        text = comma ? comma + 1 : end;
    }
    return list;
}

/* A parameter's typed value, or NULL if its text has no such value. New reference. */
json_t *shape_value_of_text(const fh_field *field, json_t *string)
{
    const char *text = json_string_value(string);
    size_t length = json_string_length(string);
    json_int_t integer;
    switch (field->type) {
    case FH_STRING:
    case FH_ANY:
        return json_incref(string);
    case FH_INT:
        return parse_query_integer(text, length, &integer) ? json_integer(integer) : NULL;
    case FH_BOOL:
        if (strcmp(text, "true") == 0)
            return json_true();
        return strcmp(text, "false") == 0 ? json_false() : NULL;
    case FH_LIST:
        return split_list(text, length);
    case FH_NUMBER:
        return parse_query_number(text, length);
    case FH_DECIMAL:
        return json_incref(string);
    case FH_OBJECT:
    case FH_ARRAY:
        break;
    }
    FH_ASSERT(field->type != FH_OBJECT && field->type != FH_ARRAY); /* has no form in a query */
    return NULL;
}

static void fault_query_value(struct shape_faults *faults, const struct shape_place *place,
                              const fh_field *field, const json_t *string)
{
    struct text detail;
    text_init(&detail, SHAPE_DETAIL_LENGTH_MAX);
    text_printf(&detail, "expected %s, found ",
                field->type == FH_LIST ? "values with one comma between two of them"
                                       : shape_type_expected(field));
    if (shape_field_marks(field))
        text_add(&detail, "something else");
    else
        shape_quote(&detail, json_string_value(string), json_string_length(string));
    shape_fault(faults, place, &detail);
}

json_t *shape_query(const fh_field *shape, const json_t *strings, json_t **ret)
{
    FH_ASSERT(shape != NULL && json_is_object(strings));
    struct shape_faults faults = {.of_query = true};
    struct shape_place whole = {0};
    json_t *typed = json_object();
    json_t *string;
    const char *name;
    json_object_foreach ((json_t *)(uintptr_t)strings, name, string) {
        const fh_field *field = shape_find_field(shape, name);
        struct shape_place below = {.parent = &whole, .name = name};
        json_t *value = field && strcmp(name, "*") != 0 ? shape_value_of_text(field, string)
                                                        : json_incref(string);
        if (value)
            must_hold(json_object_set_new(typed, name, value));
        else
            fault_query_value(&faults, &below, field, string);
    }
    *ret = NULL;
    shape_settle(shape, typed);
    /* All types are right from here on. A parameter that could not be converted is absent from
     * `typed` and must not be reported as missing, too. */
    if (!faults.found)
        shape_check_object(&faults, &whole, shape, typed);
    if (faults.found) {
        json_decref(typed);
        return faults.found;
    }
    *ret = typed;
    return NULL;
}
