/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from values whose types the compiler knows, and rows that are nested in others. */

#include "work/object.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "work/batch.h"
#include "work/work.h"

/* ---- Objects and arrays ---- */

static json_t *text_or_null(const char *text, const char **ret_fault)
{
    if (!text)
        return json_null();
    json_t *value = json_string(text);
    if (value)
        return value;
    value = json_string_nocheck(text);
    if (value)
        *ret_fault = "is a text that is not UTF-8";
    json_decref(value);
    return NULL;
}

/* A new reference; NULL: *ret_fault says why, or there is no memory. */
static json_t *value_build(const struct fh_value *value, bool take_over, const char **ret_fault)
{
    switch (value->type) {
    case FH_VALUE_INT:
        return json_integer(value->of.integer);
    case FH_VALUE_NATURAL:
        if (value->of.natural <= INT64_MAX)
            return json_integer((json_int_t)value->of.natural);
        *ret_fault = "is an integer beyond 2^63 - 1: give it as a text";
        return NULL;
    case FH_VALUE_BOOL:
        return json_boolean(value->of.integer);
    case FH_VALUE_REAL:
        if (isfinite(value->of.real))
            return json_real(value->of.real);
        *ret_fault = "is no finite number, and JSON has no other";
        return NULL;
    case FH_VALUE_TEXT:
        return text_or_null(value->of.text, ret_fault);
    case FH_VALUE_JSON:
        if (!value->of.json)
            return json_null();
        return take_over ? value->of.json : json_incref(value->of.json);
    }
    *ret_fault = "has a type that this library does not know: compile with its freehold.h";
    return NULL;
}

/* What was to be taken over, and has no place any more. */
static void value_drop(const struct fh_value *value, bool take_over)
{
    if (take_over && value->type == FH_VALUE_JSON)
        json_decref(value->of.json);
}

static json_t *build_failed(json_t *made, const char *what, const char *name, const char *fault,
                            struct fh_error *error)
{
    json_decref(made);
    if (!fault)
        error_set(error, FH_NO_MEMORY, WORK_MEMORY_FAULT);
    else
        error_set(error, FH_UNSUPPORTED, "%s: \"%.64s\" %s.", what, name, fault);
    return NULL;
}

json_t *object_build(const struct fh_member_value *members, size_t count, bool take_over,
                     struct fh_error *error)
{
    const char *fault = NULL, *name = "";
    json_t *object = json_object();
    bool made = object != NULL;
    for (size_t i = 0; i < count; i++) {
        if (!made) {
            value_drop(&members[i].value, take_over);
            continue;
        }
        name = members[i].name ? members[i].name : "";
        if (!members[i].name)
            fault = "is no name: it is NULL";
        json_t *value = fault ? NULL : value_build(&members[i].value, take_over, &fault);
        if (fault)
            value_drop(&members[i].value, take_over);
        made = value && json_object_set_new(object, name, value) == 0;
        if (made && json_object_size(object) == i) { /* it has replaced another */
            made = false;
            fault = "is a name that stands there twice";
        }
        if (!made && value && !fault && json_object_set_new(object, "", json_null()) == 0) {
            fault = "stands for a name that is not UTF-8";
            name = "?"; /* raw bytes are for no log */
        }
    }
    return made ? object : build_failed(object, "fh_object", name, fault, error);
}

json_t *object_build_array(const struct fh_value *values, size_t count, bool take_over,
                           struct fh_error *error)
{
    const char *fault = NULL;
    char at[24] = "";
    json_t *array = json_array();
    bool made = array != NULL;
    for (size_t i = 0; i < count; i++) {
        if (!made) {
            value_drop(&values[i], take_over);
            continue;
        }
        snprintf(at, sizeof at, "%zu", i);
        json_t *value = value_build(&values[i], take_over, &fault);
        made = value && json_array_append_new(array, value) == 0;
    }
    return made ? array : build_failed(array, "fh_array", at, fault, error);
}

json_t *fh_object_of(fh_work *w, const struct fh_member_value *members, size_t count)
{
    struct fh_error error;
    json_t *object = object_build(members, count, false, &error);
    if (!object)
        work_fail(w, &error);
    return object;
}

json_t *fh_array_of(fh_work *w, const struct fh_value *values, size_t count)
{
    struct fh_error error;
    json_t *array = object_build_array(values, count, false, &error);
    if (!array)
        work_fail(w, &error);
    return array;
}

/* ---- Rows in rows ---- */

struct nesting {
    fh_work *w;
    const char *name;             /* of the member that rows get */
    const char *of_item, *of_row; /* the members that are equal */
    json_t *lists;                /* by a row's key */
};

static _Noreturn void nesting_failed(const struct nesting *nesting, const char *who,
                                     const char *member)
{
    work_fail_with(nesting->w, FH_UNSUPPORTED,
                   work_printf(nesting->w, "fh_nest \"%.64s\": %s has no \"%.64s\".", nesting->name,
                               who, member));
}

static void nesting_must_have(const struct nesting *nesting, const void *made)
{
    if (!made)
        work_fail_with(nesting->w, FH_NO_MEMORY, WORK_MEMORY_FAULT);
}

/* Integers and texts differ: 7 is not "7". NULL: it is neither. */
static const char *key_text(fh_work *w, const json_t *key)
{
    if (json_is_integer(key))
        return work_printf(w, "i%" JSON_INTEGER_FORMAT, json_integer_value(key));
    if (json_is_string(key))
        return work_printf(w, "s%s", json_string_value(key));
    return NULL;
}

static void row_begin(const struct nesting *nesting, json_t *row)
{
    const char *key = key_text(nesting->w, json_object_get(row, nesting->of_row));
    if (!key)
        nesting_failed(nesting, "one of the rows", nesting->of_row);
    json_t *list = json_object_get(nesting->lists, key);
    if (!list) {
        list = json_array();
        nesting_must_have(nesting, list);
        if (json_object_set_new(nesting->lists, key, list) != 0)
            nesting_must_have(nesting, NULL);
    }
    if (json_object_set(row, nesting->name, list) != 0)
        nesting_must_have(nesting, NULL);
}

static void item_place(const struct nesting *nesting, json_t *item)
{
    const json_t *value = json_object_get(item, nesting->of_item);
    if (!value)
        nesting_failed(nesting, "one of the items", nesting->of_item);
    const char *key = key_text(nesting->w, value);
    json_t *list = key ? json_object_get(nesting->lists, key) : NULL;
    if (!list)
        return;
    json_object_del(item, nesting->of_item);
    if (json_array_append(list, item) != 0)
        nesting_must_have(nesting, NULL);
}

json_t *fh_nest(fh_work *w, json_t *rows, const char *name, json_t *items, const char *key)
{
    const char *equals = strchr(key, '=');
    struct nesting nesting = {.w = w,
                              .name = name,
                              .of_item =
                                  equals ? work_printf(w, "%.*s", (int)(equals - key), key) : key,
                              .of_row = equals ? equals + 1 : "id",
                              .lists = json_object()};
    size_t i;
    json_t *row, *item;
    nesting_must_have(&nesting, nesting.lists);
    if (json_is_object(rows))
        row_begin(&nesting, rows);
    json_array_foreach (rows, i, row)
        row_begin(&nesting, row);
    json_array_foreach (items, i, item)
        item_place(&nesting, item);
    return rows;
}
