/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads updates in MongoDB's operators: the subset of docs/guide/documents.md.
 *
 * An update becomes a list of changes, one for each path, sorted by path; comparing neighbours then
 * finds every conflict (a path that equals another or is its prefix), which is refused. The whole
 * form is checked first, so that whether a wrong update is refused does not depend on the data.
 *
 * To add an operator: a row in `operators`, its argument's form in check_change_argument, its
 * meaning in change.c.
 */

#define _GNU_SOURCE
#include "store/document/update.h"

#include <stdlib.h>
#include <string.h>

#include "store/document/document.h"
#include "store/document/filter.h"
#include "store/document/value.h"

static const struct {
    const char *name;
    enum update_kind kind;
} operators[] = {
    {"$set", UPDATE_SET},       {"$unset", UPDATE_UNSET},
    {"$inc", UPDATE_INC},       {"$mul", UPDATE_MUL},
    {"$min", UPDATE_MIN},       {"$max", UPDATE_MAX},
    {"$push", UPDATE_PUSH},     {"$pull", UPDATE_PULL},
    {"$pop", UPDATE_POP},       {"$addToSet", UPDATE_ADD_TO_SET},
    {"$rename", UPDATE_RENAME},
};

/* ---- Form ---- */

static enum fh_code check_stored(const char *path, const json_t *value, struct fh_error *error)
{
    int depth = 1;
    for (const char *c = path; *c; c++)
        depth += *c == '.';
    if (document_value_check(value, depth, error) == FH_OK)
        return FH_OK;
    return document_place_below(error, path);
}

/* $push and $addToSet: a value, or {"$each": [values]} and nothing else. */
static enum fh_code check_elements(const char *name, const char *path, const json_t *argument,
                                   struct fh_error *error)
{
    if (!json_is_object(argument) || !document_is_operators(argument))
        return check_stored(path, argument, error);
    const char *modifier;
    json_t *values;
    json_object_foreach (document_iterable(argument), modifier, values) {
        if (strcmp(modifier, "$each") != 0)
            return error_set(error, FH_INVALID,
                             "'%.40s' in '%s' of '%.60s' is not in the subset of "
                             "docs/guide/documents.md; only $each is.",
                             modifier, name, path);
        if (!json_is_array(values))
            return error_set(error, FH_INVALID, "'$each' in '%s' of '%.60s' takes an array.", name,
                             path);
        enum fh_code code = check_stored(path, values, error);
        if (code)
            return code;
    }
    return FH_OK;
}

static enum fh_code check_pull(const char *path, const json_t *argument, struct fh_error *error)
{
    if (!json_is_object(argument))
        return check_stored(path, argument, error);
    if (!document_is_operators(argument) || document_is_logical(argument))
        return document_filter_check(argument, error);
    return document_operators_check(argument, path, error);
}

static bool is_id(const char *path)
{
    return strncmp(path, "id", 2) == 0 && (path[2] == '\0' || path[2] == '.');
}

static enum fh_code check_target(const char *path, struct fh_error *error)
{
    if (is_id(path))
        return update_at_field(
            error, error_set(error, FH_INVALID, "A document's 'id' never changes."), path);
    return document_path_check(path, error);
}

static enum fh_code check_change_argument(const struct change *change, struct fh_error *error)
{
    const json_t *argument = change->argument;
    switch (change->kind) {
    case UPDATE_SET:
    case UPDATE_MIN:
    case UPDATE_MAX:
        return check_stored(change->path, argument, error);
    case UPDATE_INC:
    case UPDATE_MUL:
        if (json_is_number(argument))
            return FH_OK;
        return error_set(error, FH_INVALID, "'%s' of '%.60s' takes a number, not %s.", change->name,
                         change->path, document_kind_name(argument));
    case UPDATE_PUSH:
    case UPDATE_ADD_TO_SET:
        return check_elements(change->name, change->path, argument, error);
    case UPDATE_PULL:
        return check_pull(change->path, argument, error);
    case UPDATE_POP:
        if (json_is_integer(argument) && llabs(json_integer_value(argument)) == 1)
            return FH_OK;
        return error_set(error, FH_INVALID,
                         "'$pop' of '%.60s' takes 1 (the last element) or -1 (the first).",
                         change->path);
    case UPDATE_UNSET:
    case UPDATE_RENAME:
    case UPDATE_RENAMED:
        break;
    }
    return FH_OK;
}

static enum fh_code add_change(struct changes *changes, const struct change *change,
                               struct fh_error *error)
{
    enum fh_code code = check_target(change->path, error);
    if (!code)
        code = check_change_argument(change, error);
    if (code)
        return code;
    if (changes->count == DOCUMENT_CHANGES_MAX)
        return error_set(error, FH_INVALID, "The update changes more than %d fields.",
                         DOCUMENT_CHANGES_MAX);
    changes->items[changes->count++] = *change;
    return FH_OK;
}

static enum fh_code add_rename(struct changes *changes, const struct change *change,
                               struct fh_error *error)
{
    const char *target = json_string_value(change->argument);
    if (!target || strlen(target) != json_string_length(change->argument))
        return error_set(error, FH_INVALID,
                         "'$rename' of '%.60s' takes the new name, a string, not %s.", change->path,
                         document_kind_name(change->argument));
    struct change from = *change, to = *change;
    from.kind = UPDATE_RENAMED;
    to.path = target;
    to.from = change->path;
    enum fh_code code = add_change(changes, &from, error);
    return code ? code : add_change(changes, &to, error);
}

static enum fh_code read_operator(struct changes *changes, const char *name, const json_t *fields,
                                  struct fh_error *error)
{
    struct change change = {.kind = UPDATE_RENAMED, .name = name};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (strcmp(operators[i].name, name) == 0)
            change.kind = operators[i].kind;
    if (change.kind == UPDATE_RENAMED)
        return error_set(error, FH_INVALID,
                         *name == '$' ? "'%.40s' is none of the update operators of "
                                        "docs/guide/documents.md."
                                      : "An update consists of operators such as $set, and "
                                        "'%.40s' is none: a document is not replaced whole.",
                         name);
    if (!json_is_object(fields))
        return error_set(error, FH_INVALID, "'%s' takes an object of fields, not %s.", name,
                         document_kind_name(fields));
    enum fh_code code = FH_OK;
    json_t *argument;
    json_object_foreach (document_iterable(fields), change.path, argument) {
        change.argument = argument;
        code = change.kind == UPDATE_RENAME ? add_rename(changes, &change, error)
                                            : add_change(changes, &change, error);
        if (code)
            break;
    }
    return code;
}

/* Numbers by value and before names, so that an array grows at its end. */
static int compare_parts(const char *left, size_t left_length, const char *right,
                         size_t right_length)
{
    int a = document_index(left, left_length), b = document_index(right, right_length);
    if (a >= 0 || b >= 0)
        return a < 0 ? 1 : b < 0 ? -1 : a < b ? -1 : a > b;
    int order = memcmp(left, right, left_length < right_length ? left_length : right_length);
    return order ? order : left_length < right_length ? -1 : left_length > right_length;
}

/* Part by part; a path comes directly before all those that it is a prefix of. */
static int compare_paths(const char *left, const char *right)
{
    for (;;) {
        const char *left_end = strchrnul(left, '.'), *right_end = strchrnul(right, '.');
        int order =
            compare_parts(left, (size_t)(left_end - left), right, (size_t)(right_end - right));
        if (order || !*left_end || !*right_end)
            return order ? order : *right_end ? -1 : *left_end != '\0';
        left = left_end + 1;
        right = right_end + 1;
    }
}

static int compare_changes(const void *left, const void *right)
{
    return compare_paths(((const struct change *)left)->path, ((const struct change *)right)->path);
}

enum fh_code update_read(struct changes *changes, const json_t *update, struct fh_error *error)
{
    changes->count = 0;
    if (!json_is_object(update) || json_object_size(update) == 0)
        return error_set(error, FH_INVALID,
                         "An update is an object of at least one operator, such as {\"$set\": "
                         "{\"name\": \"x\"}}.");
    const char *name;
    json_t *fields;
    json_object_foreach (document_iterable(update), name, fields) {
        enum fh_code code = read_operator(changes, name, fields, error);
        if (code)
            return code;
    }
    qsort(changes->items, changes->count, sizeof *changes->items, compare_changes);
    for (size_t i = 1; i < changes->count; i++) {
        const char *before = changes->items[i - 1].path, *path = changes->items[i].path;
        size_t length = strlen(before);
        if (strncmp(before, path, length) == 0 && (path[length] == '\0' || path[length] == '.'))
            return error_set(error, FH_INVALID,
                             "The update changes '%.60s' and '%.60s', which conflict: each place "
                             "is changed once.",
                             before, path);
    }
    return FH_OK;
}

enum fh_code document_update_check(const json_t *update, struct fh_error *error)
{
    struct changes changes;
    return update_read(&changes, update, error);
}
