/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters in MongoDB's operators: the subset of docs/guide/documents.md, with MongoDB's meaning.
 *
 * A filter is a conjunction of conditions. A condition on a path holds if ANY value that the path
 * reaches satisfies it: {"tags": "new"} holds for {"tags": ["old", "new"]}. The negative operators
 * ($ne, $nin, $not, {$exists: false}) are exact negations of their positive ones, so {"tags":
 * {"$ne": "new"}} does not hold there. Two conditions on one path may be satisfied by two different
 * elements; $elemMatch demands one element for all of them.
 *
 * Values are compared only with others of their own kind: {"price": {"$gt": 5}} is never true of
 * strings. null equals a missing value.
 *
 * The whole form of a filter is checked before anything is compared, so that whether a wrong filter
 * is refused does not depend on the data. Later code need not check it again.
 *
 * To add an operator: a row in `operators`, its argument's form in check_filter_argument, its
 * meaning in filter_holds.
 */

#include "store/document/filter.h"

#include <string.h>

#include "store/document/document.h"
#include "store/document/value.h"

enum filter_kind {
    FILTER_EQ,
    FILTER_GT,
    FILTER_GTE,
    FILTER_LT,
    FILTER_LTE,
    FILTER_NE,
    FILTER_IN,
    FILTER_NIN,
    FILTER_EXISTS,
    FILTER_NOT,
    FILTER_SIZE,
    FILTER_ALL,
    FILTER_ELEM_MATCH
};

static const struct {
    const char *name;
    enum filter_kind kind;
} operators[] = {
    {"$eq", FILTER_EQ},
    {"$gt", FILTER_GT},
    {"$gte", FILTER_GTE},
    {"$lt", FILTER_LT},
    {"$lte", FILTER_LTE},
    {"$ne", FILTER_NE},
    {"$in", FILTER_IN},
    {"$nin", FILTER_NIN},
    {"$exists", FILTER_EXISTS},
    {"$not", FILTER_NOT},
    {"$size", FILTER_SIZE},
    {"$all", FILTER_ALL},
    {"$elemMatch", FILTER_ELEM_MATCH},
};

static bool find_operator(const char *name, enum filter_kind *ret)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (strcmp(operators[i].name, name) == 0) {
            *ret = operators[i].kind;
            return true;
        }
    }
    return false;
}

static const char *first_name(const json_t *value)
{
    void *first = json_object_iter(document_iterable(value));
    return first ? json_object_iter_key(first) : "";
}

bool document_is_operators(const json_t *value)
{
    return first_name(value)[0] == '$';
}

static bool is_logical(const char *name)
{
    return strcmp(name, "$and") == 0 || strcmp(name, "$or") == 0 || strcmp(name, "$nor") == 0;
}

bool document_is_logical(const json_t *value)
{
    return is_logical(first_name(value));
}

/* ---- Form ---- */

static enum fh_code check_filter(const json_t *filter, int depth, struct fh_error *error);
static enum fh_code check_operators(const json_t *condition, const char *path, int depth,
                                    struct fh_error *error);

/* A value to compare stored values with. A wrong name in it is the filter's mistake, not a
 * document's. */
static enum fh_code check_filter_literal(const json_t *value, const char *path,
                                         struct fh_error *error)
{
    struct fh_error why;
    if (document_value_check(value, 0, &why) == FH_OK)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "The filter's value for '%.60s' holds '%.40s', which no document can: "
                     "operators stand directly after a field's path.",
                     path, why.field);
}

static enum fh_code check_list(const json_t *list, const char *name, const char *path,
                               struct fh_error *error)
{
    if (!json_is_array(list))
        return error_set(error, FH_INVALID, "'%s' of '%.60s' takes an array, not %s.", name, path,
                         document_kind_name(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        enum fh_code code = check_filter_literal(json_array_get(list, i), path, error);
        if (code)
            return code;
    }
    return FH_OK;
}

static enum fh_code check_elem_match(const json_t *argument, const char *path, int depth,
                                     struct fh_error *error)
{
    if (!json_is_object(argument))
        return error_set(error, FH_INVALID, "'$elemMatch' of '%.60s' takes an object, not %s.",
                         path, document_kind_name(argument));
    if (document_is_operators(argument) && !document_is_logical(argument))
        return check_operators(argument, path, depth, error);
    return check_filter(argument, depth, error);
}

static enum fh_code check_filter_argument(enum filter_kind kind, const char *name,
                                          const json_t *argument, const char *path, int depth,
                                          struct fh_error *error)
{
    switch (kind) {
    case FILTER_EQ:
    case FILTER_NE:
        return check_filter_literal(argument, path, error);
    case FILTER_GT:
    case FILTER_GTE:
    case FILTER_LT:
    case FILTER_LTE:
        if (!json_is_object(argument) && !json_is_array(argument))
            return FH_OK;
        return error_set(error, FH_INVALID,
                         "'%s' of '%.60s' compares with a number, a string, a boolean or null, "
                         "not with %s.",
                         name, path, document_kind_name(argument));
    case FILTER_IN:
    case FILTER_NIN:
    case FILTER_ALL:
        return check_list(argument, name, path, error);
    case FILTER_EXISTS:
        if (json_is_boolean(argument))
            return FH_OK;
        return error_set(error, FH_INVALID, "'$exists' of '%.60s' takes true or false, not %s.",
                         path, document_kind_name(argument));
    case FILTER_SIZE:
        if (json_is_integer(argument) && json_integer_value(argument) >= 0)
            return FH_OK;
        return error_set(error, FH_INVALID,
                         "'$size' of '%.60s' takes a whole number of elements, not below 0.", path);
    case FILTER_NOT:
        if (json_is_object(argument) && document_is_operators(argument))
            return check_operators(argument, path, depth, error);
        return error_set(error, FH_INVALID,
                         "'$not' of '%.60s' takes an object of operators, as in {\"$not\": "
                         "{\"$gt\": 5}}.",
                         path);
    case FILTER_ELEM_MATCH:
        return check_elem_match(argument, path, depth, error);
    }
    return FH_OK;
}

static enum fh_code check_depth(int depth, struct fh_error *error)
{
    if (depth <= DOCUMENT_FILTER_DEPTH_MAX)
        return FH_OK;
    return error_set(error, FH_INVALID, "The filter is nested deeper than %d levels.",
                     DOCUMENT_FILTER_DEPTH_MAX);
}

static enum fh_code check_operators(const json_t *condition, const char *path, int depth,
                                    struct fh_error *error)
{
    enum fh_code code = check_depth(depth, error);
    const char *name;
    json_t *argument;
    json_object_foreach (document_iterable(condition), name, argument) {
        if (code)
            break;
        enum filter_kind kind;
        if (*name != '$')
            code = error_set(error, FH_INVALID,
                             "The condition on '%.60s' mixes operators with the field '%.60s'.",
                             path, name);
        else if (!find_operator(name, &kind))
            code = error_set(error, FH_INVALID,
                             "'%.40s' on '%.60s' is none of the filter operators of "
                             "docs/guide/documents.md.",
                             name, path);
        else
            code = check_filter_argument(kind, name, argument, path, depth + 1, error);
    }
    return code;
}

static enum fh_code check_logical(const char *name, const json_t *list, int depth,
                                  struct fh_error *error)
{
    if (!json_is_array(list) || json_array_size(list) == 0)
        return error_set(error, FH_INVALID, "'%s' takes an array of at least one filter.", name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        enum fh_code code = check_filter(json_array_get(list, i), depth + 1, error);
        if (code)
            return code;
    }
    return FH_OK;
}

static enum fh_code check_condition(const char *path, const json_t *condition, int depth,
                                    struct fh_error *error)
{
    struct fh_error why;
    if (document_path_check(path, &why))
        return error_set(error, FH_INVALID, "Wrong field '%.60s' in the filter: %.160s", path,
                         why.message);
    if (json_is_object(condition) && document_is_operators(condition))
        return check_operators(condition, path, depth + 1, error);
    return check_filter_literal(condition, path, error);
}

static enum fh_code check_filter(const json_t *filter, int depth, struct fh_error *error)
{
    if (!json_is_object(filter))
        return error_set(error, FH_INVALID, "A filter is an object, not %s.",
                         document_kind_name(filter));
    enum fh_code code = check_depth(depth, error);
    const char *name;
    json_t *condition;
    json_object_foreach (document_iterable(filter), name, condition) {
        if (code)
            break;
        if (is_logical(name))
            code = check_logical(name, condition, depth + 1, error);
        else if (*name == '$')
            code =
                error_set(error, FH_INVALID,
                          "'%.40s' is none of the filter operators of docs/guide/documents.md that "
                          "stand before all fields: $and, $or, $nor.",
                          name);
        else
            code = check_condition(name, condition, depth, error);
    }
    return code;
}

enum fh_code document_operators_check(const json_t *condition, const char *path,
                                      struct fh_error *error)
{
    return check_operators(condition, path, 0, error);
}

enum fh_code document_filter_check(const json_t *filter, struct fh_error *error)
{
    return filter ? check_filter(filter, 0, error) : FH_OK;
}

/* ---- Meaning ---- */

/* What a condition is tested on: everything that `path` reaches in `value`, or `value` itself. */
struct subject {
    const json_t *value;
    const char *path; /* NULL: the value itself, as an element of $elemMatch */
};

struct test {
    enum filter_kind kind;
    const json_t *argument;
};

static bool holds_operators(const struct subject *subject, const json_t *condition);

static bool elem_matches(const json_t *array, const json_t *argument)
{
    bool operators_only = document_is_operators(argument) && !document_is_logical(argument);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *element = json_array_get(array, i);
        if (operators_only ? holds_operators(&(struct subject){element, NULL}, argument)
                           : json_is_object(element) && document_matches_checked(element, argument))
            return true;
    }
    return false;
}

static bool is_value_in(const json_t *value, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (document_compare(value, json_array_get(list, i)) == 0)
            return true;
    return false;
}

/* The positive operators, on one value. A document_visit. */
static bool test_value(void *context, const json_t *value)
{
    const struct test *test = context;
    const json_t *argument = test->argument;
    bool comparable = document_kind(value) == document_kind(argument);
    int order = comparable ? document_compare(value, argument) : 0;
    switch (test->kind) {
    case FILTER_EQ:
        return comparable && order == 0;
    case FILTER_GT:
        return comparable && order > 0;
    case FILTER_GTE:
        return comparable && order >= 0;
    case FILTER_LT:
        return comparable && order < 0;
    case FILTER_LTE:
        return comparable && order <= 0;
    case FILTER_IN:
        return is_value_in(value, argument);
    case FILTER_EXISTS:
        return value != NULL;
    case FILTER_SIZE:
        return json_is_array(value) &&
               json_array_size(value) == (size_t)json_integer_value(argument);
    case FILTER_ELEM_MATCH:
        return json_is_array(value) && elem_matches(value, argument);
    case FILTER_NE:
    case FILTER_NIN:
    case FILTER_NOT:
    case FILTER_ALL:
        break; /* composed of the others by filter_holds */
    }
    FH_ASSERT(false);
    return false;
}

static bool any_value(const struct subject *subject, enum filter_kind kind, const json_t *argument)
{
    struct test test = {kind, argument};
    if (!subject->path)
        return test_value(&test, subject->value);
    /* These ask for the array's own size, existence and elements, not those of its elements. */
    bool whole = kind == FILTER_SIZE || kind == FILTER_EXISTS || kind == FILTER_ELEM_MATCH;
    return document_each(subject->value, subject->path,
                         whole ? DOCUMENT_LEAF_WHOLE : DOCUMENT_LEAF_BOTH, test_value, &test);
}

static bool filter_holds(const struct subject *subject, enum filter_kind kind,
                         const json_t *argument)
{
    switch (kind) {
    case FILTER_NE:
        return !any_value(subject, FILTER_EQ, argument);
    case FILTER_NIN:
        return !any_value(subject, FILTER_IN, argument);
    case FILTER_NOT:
        return !holds_operators(subject, argument);
    case FILTER_EXISTS:
        return any_value(subject, FILTER_EXISTS, argument) == json_is_true(argument);
    case FILTER_ALL:
        for (size_t i = 0; i < json_array_size(argument); i++)
            if (!any_value(subject, FILTER_EQ, json_array_get(argument, i)))
                return false;
        return json_array_size(argument) > 0;
    case FILTER_EQ:
    case FILTER_GT:
    case FILTER_GTE:
    case FILTER_LT:
    case FILTER_LTE:
    case FILTER_IN:
    case FILTER_SIZE:
    case FILTER_ELEM_MATCH:
        break;
    }
    return any_value(subject, kind, argument);
}

static bool holds_operators(const struct subject *subject, const json_t *condition)
{
    const char *name;
    json_t *argument;
    json_object_foreach (document_iterable(condition), name, argument) {
        enum filter_kind kind;
        FH_ASSERT(find_operator(name, &kind));
        if (!filter_holds(subject, kind, argument))
            return false;
    }
    return true;
}

bool document_value_matches(const json_t *value, const json_t *condition)
{
    return holds_operators(&(struct subject){value, ""}, condition);
}

static bool holds_logical(const json_t *document, const char *name, const json_t *list)
{
    bool all = strcmp(name, "$and") == 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (document_matches_checked(document, json_array_get(list, i)) != all)
            return strcmp(name, "$or") == 0;
    return strcmp(name, "$or") != 0;
}

bool document_matches_checked(const json_t *document, const json_t *filter)
{
    const char *name;
    json_t *condition;
    json_object_foreach (document_iterable(filter), name, condition) {
        struct subject subject = {document, name};
        bool matches = is_logical(name) ? holds_logical(document, name, condition)
                       : json_is_object(condition) && document_is_operators(condition)
                           ? holds_operators(&subject, condition)
                           : any_value(&subject, FILTER_EQ, condition);
        if (!matches)
            return false;
    }
    return true;
}

bool document_matches(const json_t *document, const json_t *filter, enum fh_code *code,
                      struct fh_error *error)
{
    *code = document_filter_check(filter, error);
    return *code == FH_OK && document_matches_checked(document, filter);
}
