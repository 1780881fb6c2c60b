/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills templates from JSON: the inverse of path.c. Everything but unreserved characters is
 * percent-encoded, so an inserted value never ends a segment or a parameter. A value that would not
 * come back unchanged from path_match and path_query is refused here, where it can be named.
 */

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "http/path.h"
#include "http/path_text.h"

#define FILLED_LENGTH_MAX ((size_t)12 << 10) /* below the server's limit for a request's head */

static void append_encoded(struct text *text, const char *data, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)data[i];
        char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        if (is_unreserved(data[i]))
            text_append(text, data + i, 1);
        else
            text_append(text, escape, sizeof escape);
    }
}

static enum fh_code append_word(struct text *text, const json_t *value, bool in_list,
                                const char **ret_unfit)
{
    const char *data = json_string_value(value);
    size_t length = json_string_length(value);
    if (memchr(data, '\0', length))
        *ret_unfit = "a string with a NUL character";
    else if (in_list && memchr(data, ',', length))
        *ret_unfit = "a list with a string that holds a comma";
    else
        append_encoded(text, data, length);
    return *ret_unfit ? FH_NOT_FOUND : FH_OK;
}

/* NULL, or the type of a value that can't be inserted. */
static const char *append_other(struct text *text, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        text_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return NULL;
    case JSON_TRUE:
        text_add(text, "true");
        return NULL;
    case JSON_FALSE:
        text_add(text, "false");
        return NULL;
    case JSON_NULL:
        return "null";
    case JSON_REAL:
        return "a number that is not an integer";
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list within a list";
    case JSON_STRING:
        break;
    }
    return "a value of unknown type";
}

/* FH_NOT_FOUND and FH_INVALID as in path.h; *ret_unfit, which is NULL before, says what it is. */
static enum fh_code append_plain(struct text *text, const json_t *value, bool in_list,
                                 const char **ret_unfit)
{
    if (json_is_string(value))
        return append_word(text, value, in_list, ret_unfit);
    *ret_unfit = append_other(text, value);
    return *ret_unfit ? FH_INVALID : FH_OK;
}

static enum fh_code append_filled(struct text *text, const json_t *value, const char **ret_unfit)
{
    enum fh_code code = FH_OK;
    if (!json_is_array(value))
        return append_plain(text, value, false, ret_unfit);
    for (size_t i = 0; !code && i < json_array_size(value); i++) {
        if (i)
            text_add(text, ",");
        code = append_plain(text, json_array_get(value, i), true, ret_unfit);
    }
    return code;
}

static json_t *look_up_value(const char *name, json_t *const *objects, int count)
{
    for (int i = 0; i < count; i++) {
        json_t *value = objects[i] ? json_at(objects[i], name) : NULL;
        if (value)
            return value;
    }
    return NULL;
}

/* What follows a '?' may be a key of the service's: messages come to logs. */
static int shown_length(const char *pattern)
{
    return (int)strcspn(pattern, "?");
}

/* Inserts the value of the name at `open`; *ret_rest is what follows its '}'. */
static enum fh_code insert_value(struct text *text, const char *pattern, const char *open,
                                 json_t *const *objects, int count, const char **ret_rest,
                                 struct fh_error *error)
{
    if (*open == '}')
        return error_set(error, FH_INVALID, "The path template %.*s has a '}' without a '{'.",
                         shown_length(pattern), pattern);
    char name[PATH_NAME_LENGTH_MAX + 1];
    size_t length = strcspn(open + 1, "{}");
    if (open[1 + length] != '}' || length == 0 || length >= sizeof name)
        return error_set(
            error, FH_INVALID,
            "The path template %.*s has a '{' that no name of at most %zu characters and "
            "'}' follow.",
            shown_length(pattern), pattern, sizeof name - 1);
    memcpy(name, open + 1, length);
    name[length] = '\0';
    *ret_rest = open + 1 + length + 1;

    const json_t *value = look_up_value(name, objects, count);
    if (!value)
        return error_set(error, FH_INVALID, "The path %.*s needs {%s}, and none was given.",
                         shown_length(pattern), pattern, name);
    size_t before = text->length;
    const char *unfit = NULL;
    enum fh_code code = append_filled(text, value, &unfit);
    if (code)
        return error_set(error, code,
                         "The path %.*s needs {%s}, which is %s: expected a string, an integer, a "
                         "boolean or a list of such.",
                         shown_length(pattern), pattern, name, unfit);
    if (memchr(pattern, '?', (size_t)(open - pattern)) || text->overflow)
        return FH_OK;
    /* A value that fills a whole segment must not leave it empty or mean a step up. */
    bool whole = text->data[before - 1] == '/' && strchr("/?", **ret_rest);
    if (whole && (text->length == before || is_dots(text->data + before, text->length - before)))
        return error_set(
            error, FH_NOT_FOUND,
            "The path %.*s needs {%s}, which is empty, \".\" or \"..\": that is not a segment "
            "of a path.",
            shown_length(pattern), pattern, name);
    return FH_OK;
}

enum fh_code path_fill(struct arena *arena, const char *pattern, json_t *const *objects, int count,
                       const char **ret, struct fh_error *error)
{
    *ret = NULL;
    if (pattern[0] != '/')
        return error_set(error, FH_INVALID, "The path template \"%s\" does not begin with '/'.",
                         pattern);
    struct text text;
    text_init(&text, FILLED_LENGTH_MAX);
    enum fh_code code = FH_OK;
    const char *rest = pattern;
    while (!code && *rest) {
        size_t plain = strcspn(rest, "{}");
        text_append(&text, rest, plain);
        rest += plain;
        if (*rest)
            code = insert_value(&text, pattern, rest, objects, count, &rest, error);
    }
    if (!code && text.overflow)
        code = error_set(error, FH_NOT_FOUND,
                         "The path %.*s is longer than %zu bytes when it is filled.",
                         shown_length(pattern), pattern, FILLED_LENGTH_MAX);
    if (!code)
        *ret = arena_copy(arena, text.data, text.length);
    text_release(&text);
    return code;
}
