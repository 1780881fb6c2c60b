/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binds values to a statement's places. The elements of a list are bound as texts, numbers
 * included: the server compares a constant text in the column's own type, so that {"ids": ["5", 7]}
 * finds integers and texts alike, using their index.
 *
 * A DATETIME or TIMESTAMP column refuses a time as Freehold writes it ("2026-11-20T11:25:39.123Z")
 * because of its Z, though sessions are in UTC. Only the server knows which parameters go to such
 * columns, and only that error tells: see run_learning in statement.c. A value for a TEXT column is
 * sent unchanged.
 */

#define _GNU_SOURCE
#include <ctype.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "engine/mariadb/internal.h"

/* The binding's pointer is not const, but nothing is written through it. */
static void *lent_pointer(const void *pointer)
{
    return (void *)(uintptr_t)pointer;
}

static void bind_text(MYSQL_BIND *bind, enum enum_field_types type, const char *text, size_t length)
{
    bind->buffer_type = type;
    bind->buffer = lent_pointer(text ? text : "");
    bind->length_value = (unsigned long)length;
    bind->length = &bind->length_value;
    bind->buffer_length = (unsigned long)length;
}

/* dddd-dd-ddTdd:dd:dd, a fraction, Z */
static bool is_instant(const struct sql_value *value)
{
    static const char shape[] = "0000-00-00T00:00:00";
    size_t length = sizeof shape - 1;
    if (value->kind != SQL_TEXT || value->length <= length || value->length > length + 8)
        return false;
    for (size_t i = 0; i < length; i++) {
        bool digit = isdigit((unsigned char)value->text[i]);
        if (shape[i] == '0' ? !digit : value->text[i] != shape[i])
            return false;
    }
    return value->text[value->length - 1] == 'Z';
}

static void bind_value(MYSQL_BIND *bind, union mariadb_number *number,
                       const struct sql_value *value, bool instant)
{
    switch (value->kind) {
    case SQL_NULL:
        bind->buffer_type = MYSQL_TYPE_NULL;
        return;
    case SQL_INTEGER:
        number->integer = value->integer;
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = number;
        return;
    case SQL_REAL:
        number->real = value->real;
        bind->buffer_type = MYSQL_TYPE_DOUBLE;
        bind->buffer = number;
        return;
    case SQL_TEXT:
        bind_text(bind, MYSQL_TYPE_STRING, value->text,
                  value->length - (instant && is_instant(value) ? 1 : 0));
        return;
    case SQL_BLOB:
        bind_text(bind, MYSQL_TYPE_BLOB, value->text, value->length);
        return;
    }
}

static char *element_text(const json_t *element)
{
    char text[40];
    if (json_is_true(element) || json_is_false(element))
        return strdup(json_is_true(element) ? "1" : "0");
    if (json_is_integer(element)) {
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(element));
        return strdup(text);
    }
    char *made = json_text(element);
    char *kept = strdup(made);
    json_text_free(made);
    return kept;
}

static void bind_element(MYSQL_BIND *bind, char **ret_text, const json_t *element)
{
    if (json_is_null(element)) {
        bind->buffer_type = MYSQL_TYPE_NULL;
    } else if (json_is_string(element)) {
        bind_text(bind, MYSQL_TYPE_STRING, json_string_value(element), json_string_length(element));
    } else {
        *ret_text = element_text(element);
        FH_ASSERT(*ret_text != NULL);
        bind_text(bind, MYSQL_TYPE_STRING, *ret_text, strlen(*ret_text));
    }
}

enum fh_code mariadb_bind(const struct mariadb_text *text, const struct sql_value *values,
                          const struct mariadb_lists *lists, struct mariadb_bound *ret,
                          struct fh_error *error)
{
    size_t count = (size_t)text->position_count;
    *ret = (struct mariadb_bound){.count = text->position_count};
    if (!count)
        return FH_OK;
    ret->binds = calloc(count, sizeof *ret->binds);
    ret->numbers = calloc(count, sizeof *ret->numbers);
    ret->texts = lists ? calloc(count, sizeof *ret->texts) : NULL;
    if (!ret->binds || !ret->numbers || (lists && !ret->texts)) {
        mariadb_bound_release(ret);
        return error_set(error, FH_NO_MEMORY, "No memory for a statement's values.");
    }
    for (size_t i = 0; i < count; i++) {
        const struct mariadb_position *position = &text->positions[i];
        if (position->element < 0) {
            bind_value(&ret->binds[i], &ret->numbers[i], &values[position->parameter],
                       position->instant);
            continue;
        }
        const json_t *array = lists->arrays[position->parameter];
        size_t last = json_array_size(array) - 1, element = (size_t)position->element;
        bind_element(&ret->binds[i], &ret->texts[i],
                     json_array_get(array, element < last ? element : last));
    }
    return FH_OK;
}

void mariadb_bound_release(struct mariadb_bound *bound)
{
    for (int i = 0; bound->texts && i < bound->count; i++)
        free(bound->texts[i]);
    free(bound->texts);
    free(bound->binds);
    free(bound->numbers);
    *bound = (struct mariadb_bound){0};
}

bool mariadb_refuses_instant(const struct mariadb_failure *failure)
{
    return failure->number == ER_TRUNCATED_WRONG_VALUE &&
           strstr(failure->message, "datetime value") != NULL;
}

bool mariadb_may_be_instant(const struct mariadb_text *text, int i, const struct sql_value *values,
                            const struct mariadb_failure *failure)
{
    const struct mariadb_position *position = &text->positions[i];
    const struct sql_value *value = &values[position->parameter];
    return position->element < 0 && !position->instant && is_instant(value) &&
           memmem(failure->message, strlen(failure->message), value->text, value->length);
}
