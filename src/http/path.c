/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths and queries: pure functions of text.
 *
 * One rule applies everywhere: split first, decode afterwards. A raw path is split at '/', a raw
 * query at '&' and '=', and each piece is decoded separately, once. So an encoded separator is
 * data, never structure, and path_match and path_query return each value that path_fill inserts
 * unchanged, unless path_fill refuses it.
 *
 * Anything that would not survive this round trip is refused at both ends: NUL, text that is not
 * UTF-8, empty segments, and "." and ".." (intermediaries may remove such segments, encoded or
 * not).
 *
 * Matching compares literal segments first and makes values only if all of those fit, since a
 * router tries many patterns on one path.
 */

#define _GNU_SOURCE
#include "http/path.h"

#include <stdlib.h>
#include <string.h>

#include "http/path_text.h"

#define INTEGER_DIGITS_MAX 18
#define QUERY_NAMES_MAX 64

/* A piece of a longer text. */
struct slice {
    const char *at;
    size_t length;
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Decodes into `out`, which must be as long as the slice. Returns NULL, or what is wrong. */
static const char *decode_percent(struct slice raw, bool plus_is_space, char *out,
                                  size_t *ret_length)
{
    size_t length = 0;
    for (size_t i = 0; i < raw.length; i++) {
        char c = raw.at[i];
        if (c == '%') {
            int high = i + 1 < raw.length ? hex_value(raw.at[i + 1]) : -1;
            int low = i + 2 < raw.length ? hex_value(raw.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return "a '%' that two hexadecimal digits do not follow";
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return "a NUL character (%00)";
        out[length++] = c;
    }
    *ret_length = length;
    return NULL;
}

/* A new JSON string, or NULL and what is wrong. */
static json_t *decoded_string(struct slice raw, bool plus_is_space, const char **ret_wrong)
{
    char small[256];
    char *out = raw.length <= sizeof small ? small : malloc(raw.length);
    FH_ASSERT(out != NULL);
    size_t length = 0;
    json_t *value = NULL;
    *ret_wrong = decode_percent(raw, plus_is_space, out, &length);
    if (!*ret_wrong) {
        value = json_stringn(out, length);
        if (!value)
            *ret_wrong = "bytes that are not UTF-8";
    }
    if (out != small)
        free(out);
    return value;
}

/* ---- Matching ---- */

/* Takes the next segment from *rest, which follows a '/'. False at the end. */
static bool next_segment(const char **rest, struct slice *ret)
{
    if (!*rest)
        return false;
    const char *end = strchrnul(*rest, '/');
    *ret = (struct slice){*rest, (size_t)(end - *rest)};
    *rest = *end ? end + 1 : NULL;
    return true;
}

static bool is_pattern_name(struct slice segment)
{
    return segment.length > 2 && segment.at[0] == '{' && segment.at[segment.length - 1] == '}';
}

/* Literal segments may contain escapes: "/api/%75sers" is "/api/users" (RFC 3986, 6.2.2.2). */
static bool literal_fits(struct slice literal, struct slice segment)
{
    if (literal.length == segment.length)
        return memcmp(literal.at, segment.at, literal.length) == 0;
    if (segment.length < literal.length)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < segment.length; i++) {
        char c = segment.at[i];
        if (c == '%') {
            char decoded[3];
            size_t left = segment.length - i, length;
            struct slice escape = {segment.at + i, left < 3 ? left : 3};
            if (decode_percent(escape, false, decoded, &length))
                return false;
            c = decoded[0];
            i += 2;
        }
        if (at >= literal.length || literal.at[at++] != c)
            return false;
    }
    return at == literal.length;
}

static bool parse_path_integer(const char *text, size_t length, json_int_t *ret)
{
    bool negative = length > 0 && text[0] == '-';
    size_t i = negative ? 1 : 0;
    size_t digits = length - i;
    if (digits < 1 || digits > INTEGER_DIGITS_MAX)
        return false;
    if (text[i] == '0' && (digits > 1 || negative))
        return false; /* one number has one path */
    json_int_t value = 0;
    for (; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret = negative ? -value : value;
    return true;
}

/* Puts the segment into `values` under the name in "{id}" or "{id:int}". False: it does not fit. */
static bool take_value(struct slice name, struct slice segment, json_t *values)
{
    struct slice inside = {name.at + 1, name.length - 2};
    const char *colon = memchr(inside.at, ':', inside.length);
    bool integer = false;
    if (colon) {
        integer = strncmp(colon, ":int}", 5) == 0;
        if (!integer)
            return false;
        inside.length = (size_t)(colon - inside.at);
    }
    const char *wrong;
    json_int_t number;
    if (integer && parse_path_integer(segment.at, segment.length, &number)) /* without escapes */
        return json_object_setn_new_nocheck(values, inside.at, inside.length,
                                            json_integer(number)) == 0;
    json_t *value = decoded_string(segment, false, &wrong);
    if (!value)
        return false;
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    bool fits = length > 0 && !is_dots(text, length);
    if (fits && integer) {
        fits = parse_path_integer(text, length, &number);
        json_decref(value);
        if (!fits)
            return false;
        value = json_integer(number);
    }
    if (!fits) {
        json_decref(value);
        return false;
    }
    return json_object_setn_new_nocheck(values, inside.at, inside.length, value) == 0;
}

static bool literals_fit(const char *pattern, const char *path)
{
    struct slice wanted, segment;
    while (next_segment(&pattern, &wanted)) {
        if (!next_segment(&path, &segment))
            return false;
        if (!is_pattern_name(wanted) && !literal_fits(wanted, segment))
            return false;
        if (is_pattern_name(wanted) && segment.length == 0)
            return false;
    }
    return path == NULL;
}

bool path_match(const char *pattern, const char *path, json_t **ret_values)
{
    if (ret_values)
        *ret_values = NULL;
    if (pattern[0] != '/' || path[0] != '/' || !literals_fit(pattern + 1, path + 1))
        return false;
    json_t *values = json_object();
    FH_ASSERT(values != NULL);
    const char *pattern_rest = pattern + 1, *path_rest = path + 1;
    struct slice wanted, segment;
    bool fits = true;
    while (fits && next_segment(&pattern_rest, &wanted) && next_segment(&path_rest, &segment))
        if (is_pattern_name(wanted))
            fits = take_value(wanted, segment, values);
    if (fits && ret_values)
        *ret_values = values;
    else
        json_decref(values);
    return fits;
}

int path_literals(const char *pattern)
{
    int count = 0;
    const char *rest = pattern[0] == '/' ? pattern + 1 : pattern;
    struct slice segment;
    while (next_segment(&rest, &segment))
        if (!is_pattern_name(segment))
            count++;
    return count;
}

/* ---- Checking a pattern ---- */

static enum fh_code check_name(const char *pattern, struct slice segment, json_t *names,
                               struct fh_error *error)
{
    struct slice inside = {segment.at + 1, segment.length - 2};
    const char *colon = memchr(inside.at, ':', inside.length);
    struct slice name = {inside.at, colon ? (size_t)(colon - inside.at) : inside.length};
    if (colon && (inside.length != name.length + 4 || memcmp(colon, ":int", 4) != 0))
        return error_set(error, FH_INVALID,
                         "The path %s has %.*s: the only type is int, {%.*s:int}.", pattern,
                         (int)segment.length, segment.at, (int)name.length, name.at);
    if (!is_word(name.at, name.length) || name.length > PATH_NAME_LENGTH_MAX)
        return error_set(error, FH_INVALID,
                         "The path %s has %.*s: a name is made of at most %d letters, digits "
                         "and '_'.",
                         pattern, (int)segment.length, segment.at, PATH_NAME_LENGTH_MAX);
    if (json_object_getn(names, name.at, name.length))
        return error_set(error, FH_INVALID, "The path %s has the name %.*s twice.", pattern,
                         (int)name.length, name.at);
    json_object_setn_new(names, name.at, name.length, json_true());
    return FH_OK;
}

static enum fh_code check_literal_segment(const char *pattern, struct slice segment,
                                          struct fh_error *error)
{
    bool fits = !is_dots(segment.at, segment.length);
    for (size_t i = 0; fits && i < segment.length; i++)
        fits = is_unreserved(segment.at[i]);
    if (fits)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "The path %s has the segment \"%.*s\": expected letters, digits, '-', '.', "
                     "'_', '~', or nothing but a {name}.",
                     pattern, (int)segment.length, segment.at);
}

enum fh_code path_check(const char *pattern, struct fh_error *error)
{
    if (pattern[0] != '/')
        return error_set(error, FH_INVALID, "The path \"%s\" does not begin with '/'.", pattern);
    json_t *names = json_object();
    FH_ASSERT(names != NULL);
    const char *rest = pattern + 1;
    struct slice segment;
    enum fh_code code = FH_OK;
    while (!code && next_segment(&rest, &segment)) {
        if (segment.length == 0 && pattern[1])
            code = error_set(error, FH_INVALID, "The path %s has an empty segment.", pattern);
        else if (is_pattern_name(segment))
            code = check_name(pattern, segment, names, error);
        else
            code = check_literal_segment(pattern, segment, error);
    }
    json_decref(names);
    return code;
}

/* ---- Queries ---- */

/* Adds one "name=value" to `parameters`. */
static enum fh_code take_parameter(struct slice part, json_t *parameters, struct fh_error *error)
{
    const char *equals = memchr(part.at, '=', part.length);
    struct slice name = {part.at, equals ? (size_t)(equals - part.at) : part.length};
    struct slice value = {part.at + part.length, 0};
    if (equals)
        value = (struct slice){equals + 1, part.length - name.length - 1};

    const char *wrong;
    json_t *name_string = decoded_string(name, true, &wrong);
    if (!name_string)
        return error_set(error, FH_INVALID, "A query parameter's name has %s.", wrong);
    const char *name_text = json_string_value(name_string);
    enum fh_code code = FH_OK;
    json_t *value_string = NULL;
    if (!*name_text)
        code = error_set(error, FH_INVALID, "A query parameter has no name: expected name=value.");
    else if (json_object_get(parameters, name_text))
        code = error_set(error, FH_INVALID, "The query parameter \"%.64s\" is given twice.",
                         name_text);
    else if (json_object_size(parameters) >= QUERY_NAMES_MAX)
        code =
            error_set(error, FH_INVALID, "The query has more than %d parameters.", QUERY_NAMES_MAX);
    else if (!(value_string = decoded_string(value, true, &wrong)))
        code =
            error_set(error, FH_INVALID, "The query parameter \"%.64s\" has %s.", name_text, wrong);
    else
        json_object_set_new(parameters, name_text, value_string);
    json_decref(name_string);
    return code;
}

enum fh_code path_query(const char *query, json_t **ret, struct fh_error *error)
{
    *ret = NULL;
    json_t *parameters = json_object();
    FH_ASSERT(parameters != NULL);
    while (*query) {
        const char *end = strchrnul(query, '&');
        if (end != query) {
            struct slice part = {query, (size_t)(end - query)};
            enum fh_code code = take_parameter(part, parameters, error);
            if (code) {
                json_decref(parameters);
                return code;
            }
        }
        query = *end ? end + 1 : end;
    }
    *ret = parameters;
    return FH_OK;
}
