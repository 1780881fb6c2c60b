/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are written as texts: parameters of queries, and the defaults of fields. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "shape/walk.h"

static void must_append(int result)
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
        must_append(json_array_append_new(list, json_stringn(text, (size_t)(stop - text))));
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

json_t *shape_default(const fh_field *field)
{
    json_t *value = NULL, *text = json_string(field->default_value);
    if (field->nullable && strcmp(field->default_value, "null") == 0)
        value = json_null();
    else if (text &&
             (field->type == FH_STRING || field->type == FH_DECIMAL || field->type == FH_LIST))
        value = shape_value_of_text(field, text);
    else if (text)
        (void)json_parse(field->default_value, strlen(field->default_value), &value,
                         ERROR_UNHEEDED);
    json_decref(text);
    if (field->type != FH_NUMBER || !json_is_integer(value))
        return value;
    json_t *real = json_real(json_number_value(value));
    json_decref(value);
    return real;
}
