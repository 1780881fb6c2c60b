/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's types in terms of the relational model, in both directions.
 *
 *     boolean                    SQL_INTEGER, type "BOOLEAN"
 *     smallint, integer, bigint  SQL_INTEGER
 *     real, double precision     SQL_REAL; what is not a number ("NaN") stays text
 *     numeric                    SQL_TEXT, every digit of it; a sum of bigints, which is numeric
 *                                only here, is an integer again
 *     timestamptz, timestamp     SQL_TEXT, "2026-01-31T12:00:00.000Z", as fh_now writes it
 *     json, jsonb                SQL_TEXT, type "JSON"
 *     bytea                      SQL_BLOB
 *     arrays of these            SQL_TEXT, type "JSON": an array of what the elements would be
 *     all else                   SQL_TEXT as PostgreSQL writes it
 */

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/postgresql/internal.h"

#define SAFE_INTEGER ((int64_t)1 << 53)

enum kind {
    KIND_TEXT,
    KIND_BOOLEAN,
    KIND_INTEGER,
    KIND_REAL,
    KIND_NUMERIC,
    KIND_TIME,
    KIND_JSON,
    KIND_BYTES
};

/* Object ids from pg_type.dat: the same on every server. */
static const struct type {
    Oid type, array;
    enum kind kind;
} types[] = {
    {20, 1016, KIND_INTEGER}, {25, 1009, KIND_TEXT},    {23, 1007, KIND_INTEGER},
    {16, 1000, KIND_BOOLEAN}, {1184, 1185, KIND_TIME},  {1700, 1231, KIND_NUMERIC},
    {2950, 2951, KIND_TEXT},  {3802, 3807, KIND_JSON},  {1043, 1015, KIND_TEXT},
    {701, 1022, KIND_REAL},   {700, 1021, KIND_REAL},   {21, 1005, KIND_INTEGER},
    {17, 1001, KIND_BYTES},   {114, 199, KIND_JSON},    {1114, 1115, KIND_TIME},
    {1082, 1182, KIND_TEXT},  {26, 1028, KIND_INTEGER}, {1042, 1014, KIND_TEXT},
    {1083, 1183, KIND_TEXT},  {1186, 1187, KIND_TEXT},  {19, 1003, KIND_TEXT},
    {18, 1002, KIND_TEXT},    {1266, 1270, KIND_TEXT},  {869, 1041, KIND_TEXT},
    {3614, 3643, KIND_TEXT},
};

static enum kind kind_of_type(Oid oid, bool *ret_array)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].type == oid || types[i].array == oid) {
            *ret_array = types[i].array == oid;
            return types[i].kind;
        }
    }
    *ret_array = false;
    return KIND_TEXT;
}

bool postgresql_is_array(Oid type)
{
    bool array;
    kind_of_type(type, &array);
    return array;
}

/* ---- Single values ---- */

/* "2026-01-31 12:00:00.5+00" -> "2026-01-31T12:00:00.500Z". Infinity stays as it is. */
static void write_time(char out[static 48], const char *time)
{
    size_t day = strcspn(time, " "), length = strcspn(time, "+");
    size_t point = strcspn(time, ".");
    if (!time[day] || length - day != strspn(time + day, " 0123456789:.") || length > 40) {
        snprintf(out, 48, "%s", time);
        return;
    }
    size_t digits = point < length ? length - point - 1 : 0;
    snprintf(out, 48, "%.*sT%.*s%s%sZ", (int)day, time, (int)(length - day - 1), time + day + 1,
             digits ? "" : ".", digits >= 3 ? "" : &"000"[digits]);
}

/* Decodes "\x0aff" in place; the bytes are shorter than their text. */
static size_t decode_bytes(char *text, size_t length)
{
    size_t bytes = 0;
    if (length < 2 || sodium_hex2bin((unsigned char *)text, length, text + 2, length - 2, NULL,
                                     &bytes, NULL) != 0)
        return 0;
    return bytes;
}

static bool is_whole(const char *number)
{
    size_t sign = *number == '-';
    size_t digits = strspn(number + sign, "0123456789");
    return digits && digits <= 18 && !number[sign + digits];
}

/* ---- Arrays ---- */

/* JSON escapes control characters; an array literal keeps them. */
static void write_quoted(struct text *json, const char *text, size_t length, bool literal)
{
    text_add(json, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            text_printf(json, "\\%c", c);
        else if (c < 0x20 && !literal)
            text_printf(json, "\\u%04x", c);
        else
            text_append(json, text + i, 1);
    }
    text_add(json, "\"");
}

static void write_array_string(struct text *json, const char *text, size_t length)
{
    write_quoted(json, text, length, false);
}

static void write_element(struct text *json, char *text, size_t length, enum kind kind)
{
    char time[48];
    bool number = false;
    switch (kind) {
    case KIND_BOOLEAN:
        text_add(json, *text == 't' ? "true" : "false");
        return;
    case KIND_INTEGER: {
        long long integer = strtoll(text, NULL, 10);
        number = integer >= -SAFE_INTEGER && integer <= SAFE_INTEGER;
        break;
    }
    case KIND_REAL:
        number = isfinite(strtod(text, NULL));
        break;
    case KIND_JSON:
        text_append(json, text, length);
        return;
    case KIND_TIME:
        write_time(time, text);
        write_array_string(json, time, strlen(time));
        return;
    case KIND_BYTES: {
        size_t bytes = decode_bytes(text, length);
        size_t size = sodium_base64_encoded_len(bytes, sodium_base64_VARIANT_ORIGINAL);
        char *encoded = malloc(size);
        FH_ASSERT(encoded != NULL);
        sodium_bin2base64(encoded, size, (unsigned char *)text, bytes,
                          sodium_base64_VARIANT_ORIGINAL);
        write_array_string(json, encoded, size - 1);
        free(encoded);
        return;
    }
    case KIND_TEXT:
    case KIND_NUMERIC:
        break;
    }
    if (number)
        text_append(json, text, length);
    else
        write_array_string(json, text, length);
}

/* Reads one element at `at`, unquoting it in place; returns the position after it. */
static char *read_element(struct text *json, char *at, enum kind kind)
{
    char *end = at, *to = at;
    bool quoted = *at == '"';
    if (quoted)
        end++;
    while (*end && (quoted ? *end != '"' : !strchr(",}", *end))) {
        if (*end == '\\' && end[1])
            end++;
        *to++ = *end++;
    }
    char *behind = quoted && *end ? end + 1 : end;
    char stop = *behind;
    size_t length = (size_t)(to - at);
    *to = '\0';
    if (!quoted && strcmp(at, "NULL") == 0)
        text_add(json, "null");
    else
        write_element(json, at, length, kind);
    *behind = stop; /* if nothing was escaped, the NUL just written is here */
    return behind;
}

/* "{1,NULL,{...}}" as JSON. Bounds before it ("[0:1]={...}") are dropped. */
static void array_as_json(struct text *json, char *text, enum kind kind)
{
    char *at = strchr(text, '{');
    for (int depth = 0; at && *at;) {
        if (*at == '{') {
            text_add(json, "[");
            depth++;
            at++;
        } else if (*at == '}') {
            text_add(json, "]");
            at++;
            if (--depth == 0)
                break;
        } else if (*at == ',') {
            text_add(json, ",");
            at++;
        } else {
            at = read_element(json, at, kind);
        }
    }
}

static void write_literal(struct text *literal, const json_t *value)
{
    size_t i;
    json_t *element;
    switch (json_typeof(value)) {
    case JSON_ARRAY:
        text_add(literal, "{");
        json_array_foreach (value, i, element) {
            if (i)
                text_add(literal, ",");
            write_literal(literal, element);
        }
        text_add(literal, "}");
        return;
    case JSON_NULL:
        text_add(literal, "NULL");
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        text_add(literal, json_is_true(value) ? "1" : "0");
        return;
    case JSON_STRING:
        write_quoted(literal, json_string_value(value), json_string_length(value), true);
        return;
    case JSON_INTEGER:
    case JSON_REAL:
    case JSON_OBJECT:
        break;
    }
    char *text = json_text(value);
    if (json_is_object(value))
        write_quoted(literal, text, strlen(text), true);
    else
        text_add(literal, text);
    json_text_free(text);
}

enum fh_code postgresql_array_literal(const char *json, size_t length, struct arena *arena,
                                      const char **ret, struct fh_error *error)
{
    json_t *array;
    if (json_parse(json, length, &array, ERROR_UNHEEDED) != FH_OK)
        return error_set(error, FH_INVALID, "A list is not a JSON array.");
    struct text literal;
    text_init(&literal, TEXT_LENGTH_MAX);
    write_literal(&literal, array);
    json_decref(array);
    *ret = literal.overflow ? NULL : arena_copy(arena, literal.data, literal.length);
    text_release(&literal);
    return *ret ? FH_OK : error_set(error, FH_INVALID, "A list is too large for the store.");
}

/* ---- Rows ---- */

struct column {
    enum kind kind;
    bool array, own; /* own: a table's column, not an expression */
};

static void read_text(const struct column *column, char *text, struct arena *arena,
                      struct sql_value *ret)
{
    struct text json;
    if (column->array) {
        text_init(&json, TEXT_LENGTH_MAX);
        array_as_json(&json, text, column->kind);
        ret->text = arena_copy(arena, json.data ? json.data : "[]", json.data ? json.length : 2);
        ret->length = strlen(ret->text);
        text_release(&json);
    } else if (column->kind == KIND_TIME) {
        char time[48];
        write_time(time, text);
        ret->text = arena_text(arena, time);
        ret->length = strlen(ret->text);
    }
}

/* Writes into libpq's memory: the result is ours, and each value is read only once. */
static void read_column_value(const PGresult *result, int row, int i, const struct column *column,
                              struct arena *arena, struct sql_value *ret)
{
    if (postgresql_pq.PQgetisnull(result, row, i)) {
        *ret = (struct sql_value){.kind = SQL_NULL};
        return;
    }
    char *text = postgresql_pq.PQgetvalue(result, row, i);
    *ret = (struct sql_value){.kind = SQL_TEXT,
                              .text = text,
                              .length = (size_t)postgresql_pq.PQgetlength(result, row, i)};
    if (column->array || column->kind == KIND_TIME) {
        read_text(column, text, arena, ret);
    } else if (column->kind == KIND_BOOLEAN) {
        *ret = sql_integer(*text == 't');
    } else if (column->kind == KIND_INTEGER) {
        *ret = sql_integer(strtoll(text, NULL, 10));
    } else if (column->kind == KIND_NUMERIC && !column->own && is_whole(text)) {
        *ret = sql_integer(strtoll(text, NULL, 10));
    } else if (column->kind == KIND_BYTES) {
        ret->kind = SQL_BLOB;
        ret->length = decode_bytes(text, ret->length);
    } else if (column->kind == KIND_REAL) {
        double real = strtod(text, NULL);
        if (isfinite(real))
            *ret = (struct sql_value){.kind = SQL_REAL, .real = real};
    }
}

bool postgresql_visit_rows(PGresult *result, sql_visit *visit, void *context)
{
    const char *names[POSTGRESQL_COLUMNS_MAX], *declared[POSTGRESQL_COLUMNS_MAX];
    struct sql_value values[POSTGRESQL_COLUMNS_MAX];
    struct column columns[POSTGRESQL_COLUMNS_MAX];
    int count = postgresql_pq.PQnfields(result), rows = postgresql_pq.PQntuples(result);
    FH_ASSERT(count <= POSTGRESQL_COLUMNS_MAX);
    for (int i = 0; i < count; i++) {
        struct column *column = &columns[i];
        column->kind = kind_of_type(postgresql_pq.PQftype(result, i), &column->array);
        column->own = column->kind == KIND_NUMERIC && postgresql_pq.PQftable(result, i) != 0;
        names[i] = postgresql_pq.PQfname(result, i);
        bool json = column->array || column->kind == KIND_JSON;
        declared[i] = json ? "JSON" : column->kind == KIND_BOOLEAN ? "BOOLEAN" : NULL;
    }
    struct arena arena;
    arena_init(&arena, TEXT_LENGTH_MAX * 4);
    sql_values_fill(values, count);
    bool more = true;
    for (int row = 0; row < rows && more; row++) {
        for (int i = 0; i < count; i++)
            read_column_value(result, row, i, &columns[i], &arena, &values[i]);
        struct sql_row visited = {count, names, declared, values};
        more = visit(context, &visited);
        arena_release(&arena);
    }
    return more;
}
