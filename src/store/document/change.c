/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes an update's changes, with MongoDB's meaning.
 *
 * They are made in the order of their paths: so new fields are added in the order of their names,
 * as MongoDB does, whatever operators name them.
 *
 * Two rules are stricter than MongoDB's. Integers stay integers: $inc and $mul of an integer by a
 * real number are refused, so that no amount becomes a real by accident, and so is overflow. And
 * `id` never changes.
 *
 * A document is changed in place, and is useless if a change failed midway: callers discard it.
 * Values are copied out of the update, so that later changes of one never show in the other.
 */

#define _GNU_SOURCE
#include <math.h>
#include <string.h>

#include "store/document/document.h"
#include "store/document/filter.h"
#include "store/document/update.h"
#include "store/document/value.h"

/* How many nulls $set may put between an array's end and the index that it names. */
#define PADDING_MAX 1000

/* ---- Places ---- */

struct place {
    json_t *parent; /* an object or an array; NULL: the path leads nowhere */
    const char *name;
    size_t index;
    json_t *value; /* NULL: it has no value yet */
    bool through_array;
};

/* Follows one part of the path, into `container`. False: it can't have such a part. */
static bool step_into(struct place *place, json_t *container, const char *part, size_t length)
{
    place->parent = NULL;
    place->value = NULL;
    if (json_is_object(container)) {
        place->name = part;
        place->value = json_object_getn(container, part, length);
    } else if (json_is_array(container)) {
        int index = document_index(part, length);
        if (index < 0)
            return false;
        place->index = (size_t)index;
        place->value = json_array_get(container, place->index);
        place->through_array = true;
    } else {
        return false;
    }
    place->parent = container;
    return true;
}

/* Takes ownership of `value`. */
static enum fh_code put_value(const struct place *place, size_t length, json_t *value,
                              struct fh_error *error)
{
    FH_ASSERT(value != NULL);
    if (json_is_object(place->parent)) {
        FH_ASSERT(json_object_setn_new(place->parent, place->name, length, value) == 0);
        return FH_OK;
    }
    size_t size = json_array_size(place->parent);
    if (place->index < size) {
        FH_ASSERT(json_array_set_new(place->parent, place->index, value) == 0);
        return FH_OK;
    }
    if (place->index - size > PADDING_MAX) {
        json_decref(value);
        return error_set(error, FH_CONFLICT,
                         "The array has %zu elements; index %zu is more than %d beyond its end.",
                         size, place->index, PADDING_MAX);
    }
    for (; size < place->index; size++)
        FH_ASSERT(json_array_append_new(place->parent, json_null()) == 0);
    FH_ASSERT(json_array_append_new(place->parent, value) == 0);
    return FH_OK;
}

/* Finds the place that `path` names. With `create`, missing parts on the way become objects, and a
 * path that is impossible is FH_CONFLICT; without, *ret then has no parent. */
static enum fh_code find_place(json_t *document, const char *path, bool create, struct place *ret,
                               struct fh_error *error)
{
    json_t *container = document;
    *ret = (struct place){0};
    for (const char *part = path;;) {
        const char *end = strchrnul(part, '.');
        size_t length = (size_t)(end - part);
        if (!step_into(ret, container, part, length)) {
            if (!create)
                return FH_OK;
            return update_at_field(
                error,
                error_set(error, FH_CONFLICT,
                          "'%.60s' cannot be changed: there is %s where '%.*s' would "
                          "have to be.",
                          path, document_kind_name(container), (int)(length < 60 ? length : 60),
                          part),
                path);
        }
        if (!*end)
            return FH_OK;
        if (!ret->value) {
            if (!create) {
                ret->parent = NULL;
                return FH_OK;
            }
            enum fh_code code = put_value(ret, length, json_object(), error);
            if (code)
                return code;
            step_into(ret, container, part, length);
        }
        container = ret->value;
        part = end + 1;
    }
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static enum fh_code store_value(const struct place *place, const char *path, json_t *value,
                                struct fh_error *error)
{
    enum fh_code code = put_value(place, strlen(last_part(path)), value, error);
    return code ? update_at_field(error, code, path) : FH_OK;
}

/* An array keeps its length: an element that is unset becomes null, as in MongoDB. */
static void clear_place(const struct place *place)
{
    if (!place->parent || !place->value)
        return;
    if (json_is_object(place->parent))
        json_object_del(place->parent, place->name);
    else
        json_array_set_new(place->parent, place->index, json_null());
}

/* ---- Changes ---- */

static enum fh_code unfit_value(const struct change *change, const json_t *value,
                                const char *wanted, struct fh_error *error)
{
    return update_at_field(error,
                           error_set(error, FH_CONFLICT,
                                     "'%s' of '%.60s' needs %s, and there is %s.", change->name,
                                     change->path, wanted, document_kind_name(value)),
                           change->path);
}

static enum fh_code out_of_range(const struct change *change, struct fh_error *error)
{
    return update_at_field(error,
                           error_set(error, FH_CONFLICT,
                                     "'%s' of '%.60s' passes the range of its numbers.",
                                     change->name, change->path),
                           change->path);
}

static enum fh_code compute_integer(const struct change *change, const json_t *value, json_t **ret,
                                    struct fh_error *error)
{
    json_int_t a = json_integer_value(value), b = json_integer_value(change->argument), result;
    bool overflow = change->kind == UPDATE_INC ? __builtin_add_overflow(a, b, &result)
                                               : __builtin_mul_overflow(a, b, &result);
    if (overflow)
        return out_of_range(change, error);
    *ret = json_integer(result);
    return FH_OK;
}

/* $inc, $mul. If there was no value, $inc leaves its argument and $mul a zero of its kind. */
static enum fh_code compute_number(const struct change *change, const json_t *value, json_t **ret,
                                   struct fh_error *error)
{
    const json_t *argument = change->argument;
    if (!value) {
        if (change->kind == UPDATE_INC)
            *ret = json_copy(document_iterable(argument));
        else
            *ret = json_is_integer(argument) ? json_integer(0) : json_real(0);
        return FH_OK;
    }
    if (!json_is_number(value))
        return unfit_value(change, value, "a number", error);
    if (json_is_integer(value) && json_is_integer(argument))
        return compute_integer(change, value, ret, error);
    if (json_is_integer(value))
        return unfit_value(change, value, "a real number, since it is given one", error);
    double a = json_real_value(value), b = json_number_value(argument);
    double result = change->kind == UPDATE_INC ? a + b : a * b;
    if (!isfinite(result))
        return out_of_range(change, error);
    *ret = json_real(result);
    return FH_OK;
}

static bool holds_equal(const json_t *array, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (document_compare(json_array_get(array, i), value) == 0)
            return true;
    return false;
}

static void add_element(const struct change *change, json_t *array, const json_t *value)
{
    if (change->kind == UPDATE_ADD_TO_SET && holds_equal(array, value))
        return;
    FH_ASSERT(json_array_append_new(array, json_deep_copy(value)) == 0);
}

/* $push, $addToSet */
static enum fh_code add_elements(const struct change *change, const struct place *place,
                                 struct fh_error *error)
{
    json_t *array = place->value;
    if (!array) {
        array = json_array();
        enum fh_code code = store_value(place, change->path, array, error);
        if (code)
            return code;
    }
    if (!json_is_array(array))
        return unfit_value(change, array, "an array", error);
    const json_t *each = json_object_get(change->argument, "$each");
    if (!each)
        add_element(change, array, change->argument);
    for (size_t i = 0; i < json_array_size(each); i++)
        add_element(change, array, json_array_get(each, i));
    return FH_OK;
}

static bool is_pulled(const json_t *element, const json_t *condition)
{
    if (!json_is_object(condition))
        return document_compare(element, condition) == 0;
    if (document_is_operators(condition) && !document_is_logical(condition))
        return document_value_matches(element, condition);
    return json_is_object(element) && document_matches_checked(element, condition);
}

/* $pull, $pop */
static enum fh_code remove_elements(const struct change *change, json_t *array,
                                    struct fh_error *error)
{
    if (!array)
        return FH_OK;
    if (!json_is_array(array))
        return unfit_value(change, array, "an array", error);
    size_t size = json_array_size(array);
    if (change->kind == UPDATE_POP) {
        if (size)
            json_array_remove(array, json_integer_value(change->argument) > 0 ? size - 1 : 0);
        return FH_OK;
    }
    for (size_t i = size; i-- > 0;)
        if (is_pulled(json_array_get(array, i), change->argument))
            json_array_remove(array, i);
    return FH_OK;
}

static enum fh_code rename_field(const struct change *change, json_t *document,
                                 struct fh_error *error)
{
    struct place from, to;
    enum fh_code code = find_place(document, change->from, false, &from, error);
    if (code || !from.value)
        return code;
    if (from.through_array)
        return unfit_value(change, from.parent, "fields that stand in no array", error);
    json_t *value = json_incref(from.value);
    clear_place(&from);
    code = find_place(document, change->path, true, &to, error);
    if (!code && to.through_array)
        code = unfit_value(change, to.parent, "fields that stand in no array", error);
    if (code)
        json_decref(value);
    return code ? code : store_value(&to, change->path, value, error);
}

static bool change_replaces(const struct change *change, const json_t *value)
{
    if (!value || change->kind == UPDATE_SET)
        return true;
    int order = document_compare(change->argument, value);
    return change->kind == UPDATE_MIN ? order < 0 : order > 0;
}

static enum fh_code make_change(const struct change *change, json_t *document,
                                struct fh_error *error)
{
    struct place place;
    bool create =
        change->kind != UPDATE_UNSET && change->kind != UPDATE_PULL && change->kind != UPDATE_POP;
    if (change->kind == UPDATE_RENAMED)
        return FH_OK;
    if (change->kind == UPDATE_RENAME)
        return rename_field(change, document, error);
    enum fh_code code = find_place(document, change->path, create, &place, error);
    json_t *value = NULL;
    if (code)
        return code;
    switch (change->kind) {
    case UPDATE_SET:
    case UPDATE_MIN:
    case UPDATE_MAX:
        if (!change_replaces(change, place.value))
            return FH_OK;
        return store_value(&place, change->path, json_deep_copy(change->argument), error);
    case UPDATE_INC:
    case UPDATE_MUL:
        code = compute_number(change, place.value, &value, error);
        return code ? code : store_value(&place, change->path, value, error);
    case UPDATE_PUSH:
    case UPDATE_ADD_TO_SET:
        return add_elements(change, &place, error);
    case UPDATE_PULL:
    case UPDATE_POP:
        return remove_elements(change, place.parent ? place.value : NULL, error);
    case UPDATE_UNSET:
        clear_place(&place);
        break;
    case UPDATE_RENAME:
    case UPDATE_RENAMED:
        break;
    }
    return FH_OK;
}

enum fh_code document_apply(json_t *document, const json_t *update, struct fh_error *error)
{
    struct changes changes;
    enum fh_code code = update_read(&changes, update, error);
    for (size_t i = 0; i < changes.count && !code; i++)
        code = make_change(&changes.items[i], document, error);
    return code;
}
