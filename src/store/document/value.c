/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of values and the meaning of paths, as in MongoDB, so that a service whose documents
 * move from the embedded engine to a MongoDB server gets the same answers. Where its manual is
 * silent the rules are those of its matcher (ElementPath, BSONElement::compareElements), written
 * from scratch.
 *
 * Invariant: all recursion is bounded, by JSON_DEPTH_MAX for values that were parsed or checked,
 * and by DOCUMENT_PATH_PARTS_MAX for paths.
 */

#define _GNU_SOURCE
#include "store/document/value.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/document.h"

enum document_kind document_kind(const json_t *value)
{
    if (!value)
        return DOCUMENT_NULL;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return DOCUMENT_OBJECT;
    case JSON_ARRAY:
        return DOCUMENT_ARRAY;
    case JSON_STRING:
        return DOCUMENT_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return DOCUMENT_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return DOCUMENT_BOOLEAN;
    case JSON_NULL:
        break;
    }
    return DOCUMENT_NULL;
}

const char *document_kind_name(const json_t *value)
{
    if (!value)
        return "nothing";
    switch (document_kind(value)) {
    case DOCUMENT_NULL:
        return "null";
    case DOCUMENT_NUMBER:
        return json_is_integer(value) ? "an integer" : "a real number";
    case DOCUMENT_STRING:
        return "a string";
    case DOCUMENT_OBJECT:
        return "an object";
    case DOCUMENT_ARRAY:
        return "an array";
    case DOCUMENT_BOOLEAN:
        break;
    }
    return "a boolean";
}

/* ---- Order ---- */

static int compare_sizes(size_t left, size_t right)
{
    return left < right ? -1 : left > right;
}

/* Compares without converting the integer, which would round it beyond 2^53. */
static int compare_integer_real(json_int_t integer, double real)
{
    if (real >= 9223372036854775808.0)
        return -1;
    if (real < -9223372036854775808.0)
        return 1;
    json_int_t whole = (json_int_t)real;
    if (integer != whole)
        return integer < whole ? -1 : 1;
    double rest = real - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

static int compare_json_numbers(const json_t *left, const json_t *right)
{
    if (json_is_integer(left)) {
        json_int_t a = json_integer_value(left);
        if (json_is_real(right))
            return compare_integer_real(a, json_real_value(right));
        json_int_t b = json_integer_value(right);
        return a < b ? -1 : a > b;
    }
    double a = json_real_value(left);
    if (json_is_integer(right))
        return -compare_integer_real(json_integer_value(right), a);
    double b = json_real_value(right);
    return a < b ? -1 : a > b;
}

static int compare_strings(const json_t *left, const json_t *right)
{
    size_t a = json_string_length(left), b = json_string_length(right);
    int order = memcmp(json_string_value(left), json_string_value(right), a < b ? a : b);
    return order ? order : compare_sizes(a, b);
}

static int compare_objects(const json_t *left, const json_t *right)
{
    void *a = json_object_iter(document_iterable(left)),
         *b = json_object_iter(document_iterable(right));
    while (a && b) {
        const json_t *value_a = json_object_iter_value(a), *value_b = json_object_iter_value(b);
        int order = (int)document_kind(value_a) - (int)document_kind(value_b);
        if (!order)
            order = strcmp(json_object_iter_key(a), json_object_iter_key(b));
        if (!order)
            order = document_compare(value_a, value_b);
        if (order)
            return order;
        a = json_object_iter_next(document_iterable(left), a);
        b = json_object_iter_next(document_iterable(right), b);
    }
    return a ? 1 : b ? -1 : 0;
}

static int compare_arrays(const json_t *left, const json_t *right)
{
    size_t a = json_array_size(left), b = json_array_size(right);
    for (size_t i = 0; i < a && i < b; i++) {
        int order = document_compare(json_array_get(left, i), json_array_get(right, i));
        if (order)
            return order;
    }
    return compare_sizes(a, b);
}

int document_compare(const json_t *left, const json_t *right)
{
    enum document_kind kind = document_kind(left);
    if (kind != document_kind(right))
        return (int)kind - (int)document_kind(right);
    switch (kind) {
    case DOCUMENT_NULL:
        return 0;
    case DOCUMENT_NUMBER:
        return compare_json_numbers(left, right);
    case DOCUMENT_STRING:
        return compare_strings(left, right);
    case DOCUMENT_OBJECT:
        return compare_objects(left, right);
    case DOCUMENT_ARRAY:
        return compare_arrays(left, right);
    case DOCUMENT_BOOLEAN:
        break;
    }
    return json_is_true(left) - json_is_true(right);
}

/* ---- Paths ---- */

int document_index(const char *part, size_t length)
{
    if (length == 0 || length > 7 || (part[0] == '0' && length > 1))
        return -1;
    int index = 0;
    for (size_t i = 0; i < length; i++) {
        if (part[i] < '0' || part[i] > '9')
            return -1;
        index = index * 10 + (part[i] - '0');
    }
    return index;
}

struct walk {
    enum document_leaf leaf;
    document_visit *visit;
    void *context;
};

static bool visit_leaf(const struct walk *walk, const json_t *value)
{
    if (!json_is_array(value) || walk->leaf == DOCUMENT_LEAF_WHOLE)
        return walk->visit(walk->context, value);
    size_t count = json_array_size(value);
    for (size_t i = 0; i < count; i++)
        if (walk->visit(walk->context, json_array_get(value, i)))
            return true;
    /* An index has the empty array itself: there is nothing else to find it by. */
    return (walk->leaf == DOCUMENT_LEAF_BOTH || count == 0) && walk->visit(walk->context, value);
}

static bool walk_from(const struct walk *walk, const json_t *value, const char *path);

/*
 * `path` continues inside an array: with the whole rest into each of its objects, and with what
 * follows the next part into the element that this part numbers. MongoDB follows both, in this
 * order. Other arrays and scalars among the elements are not entered.
 */
static bool walk_array(const struct walk *walk, const json_t *array, const char *path)
{
    const char *end = strchrnul(path, '.');
    int index = document_index(path, (size_t)(end - path));
    size_t count = json_array_size(array);
    for (size_t i = 0; i < count; i++) {
        const json_t *element = json_array_get(array, i);
        if (json_is_object(element) && walk_from(walk, element, path))
            return true;
        if (index < 0 || (size_t)index != i)
            continue;
        if (!*end) { /* an element named by number is taken as it is, even an array */
            if (walk->visit(walk->context, element))
                return true;
        } else if (json_is_object(element) || json_is_array(element)) {
            if (walk_from(walk, element, end + 1))
                return true;
        }
    }
    return false;
}

static bool walk_from(const struct walk *walk, const json_t *value, const char *path)
{
    for (;;) {
        if (json_is_array(value))
            return walk_array(walk, value, path);
        if (!json_is_object(value))
            return walk->visit(walk->context, NULL);
        const char *end = strchrnul(path, '.');
        value = json_object_getn(value, path, (size_t)(end - path));
        if (!*end)
            return visit_leaf(walk, value);
        path = end + 1;
    }
}

bool document_each(const json_t *document, const char *path, enum document_leaf leaf,
                   document_visit *visit, void *context)
{
    struct walk walk = {leaf, visit, context};
    if (!*path)
        return visit_leaf(&walk, document);
    return walk_from(&walk, document, path);
}

/* ---- What may be stored ---- */

static enum fh_code refuse_document(struct fh_error *error, const char *field, const char *message)
{
    error_set(error, FH_INVALID, "%s", message);
    strncpy(error->field, field, sizeof error->field - 1);
    return FH_INVALID;
}

enum fh_code document_path_check(const char *path, struct fh_error *error)
{
    if (strlen(path) > DOCUMENT_PATH_LENGTH_MAX)
        return refuse_document(error, path, "A field's path is longer than 512 bytes.");
    int parts = 0;
    for (const char *part = path;;) {
        const char *end = strchrnul(part, '.');
        if (end == part)
            return refuse_document(error, path,
                                   "A field's path has an empty part: names stand between "
                                   "single dots, as in 'owner.id'.");
        if (*part == '$')
            return refuse_document(error, path,
                                   "A part of a field's path begins with '$': positional "
                                   "operators are not in the subset of docs/guide/documents.md.");
        if (++parts > DOCUMENT_PATH_PARTS_MAX)
            return refuse_document(error, path, "A field's path has more than 32 parts.");
        if (!*end)
            return FH_OK;
        part = end + 1;
    }
}

#define WHOLE "document" /* error->field for a place that can't be named */

/* Puts a name in front of the place in error->field, which is a JSON Pointer without its first '/'.
 * If both do not fit, the inner part is left out: a place further out is correct, too. */
static void place_within(struct fh_error *error, const char *name)
{
    char place[sizeof error->field];
    size_t length = 0;
    for (; *name && length + 2 < sizeof place; name++) {
        bool escaped = *name == '~' || *name == '/';
        place[length++] = escaped ? '~' : *name;
        if (escaped)
            place[length++] = *name == '~' ? '0' : '1';
    }
    place[*name ? 0 : length] = '\0';
    size_t inner = strlen(error->field);
    if (!*name && inner && length + 1 + inner < sizeof place) {
        place[length] = '/';
        memcpy(place + length + 1, error->field, inner + 1);
    }
    memcpy(error->field, place, strlen(place) + 1);
}

static void place_whole(struct fh_error *error)
{
    if (!error->field[0])
        memcpy(error->field, WHOLE, sizeof WHOLE);
}

/* Finds the first name that begins with '$', with its place. */
static enum fh_code check_field_names(const json_t *value, struct fh_error *error)
{
    char number[24];
    const char *name;
    json_t *member;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (check_field_names(json_array_get(value, i), error) == FH_OK)
            continue;
        snprintf(number, sizeof number, "%zu", i);
        place_within(error, number);
        return FH_INVALID;
    }
    json_object_foreach (document_iterable(value), name, member) {
        if (*name == '$')
            refuse_document(error, "",
                            "A field's name in a document may not begin with '$': "
                            "that is what operators look like.");
        else if (check_field_names(member, error) == FH_OK)
            continue;
        place_within(error, name);
        return FH_INVALID;
    }
    return FH_OK;
}

static bool nests_beyond(const json_t *value, int depth)
{
    const char *name;
    json_t *member;
    if (!json_is_object(value) && !json_is_array(value))
        return false;
    if (depth >= JSON_DEPTH_MAX)
        return true;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (nests_beyond(json_array_get(value, i), depth + 1))
            return true;
    json_object_foreach (document_iterable(value), name, member)
        if (nests_beyond(member, depth + 1))
            return true;
    return false;
}

enum fh_code document_value_check(const json_t *value, int depth, struct fh_error *error)
{
    if (nests_beyond(value, depth))
        return refuse_document(error, WHOLE, "The document is nested deeper than 64 levels.");
    if (check_field_names(value, error) == FH_OK)
        return FH_OK;
    place_whole(error);
    return FH_INVALID;
}

enum fh_code document_place_below(struct fh_error *error, const char *path)
{
    char part[DOCUMENT_PATH_LENGTH_MAX + 1];
    size_t end = strlen(path);
    if (strcmp(error->field, WHOLE) == 0)
        return FH_INVALID;
    while (end > 0 && end <= DOCUMENT_PATH_LENGTH_MAX) {
        size_t begin = end;
        while (begin > 0 && path[begin - 1] != '.')
            begin--;
        memcpy(part, path + begin, end - begin);
        part[end - begin] = '\0';
        place_within(error, part);
        end = begin ? begin - 1 : 0;
    }
    place_whole(error);
    return FH_INVALID;
}

enum fh_code document_check(const json_t *document, struct fh_error *error)
{
    const json_t *id = json_object_get(document, "id");
    if (!json_is_object(document))
        return refuse_document(error, WHOLE, "A document is a JSON object.");
    if (!json_is_string(id))
        return refuse_document(error, "id", "A document's 'id' is a string.");
    size_t length = json_string_length(id);
    if (length == 0 || length > DOCUMENT_ID_LENGTH_MAX || strlen(json_string_value(id)) != length)
        return refuse_document(error, "id", "A document's 'id' has 1 to 512 bytes, and no NUL.");
    return document_value_check(document, 0, error);
}
