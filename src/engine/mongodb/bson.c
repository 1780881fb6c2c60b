/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON and BSON.
 *
 *     integer ↔ int64    real ↔ double    the rest as it is; int32, written by others, is read
 *
 * Fields keep their order. MongoDB and compatible servers do not accept every name that a document
 * may have, so a few are written differently: "%" is "%25", "." is "%2E", the empty name is "%",
 * and at a document's root "_id" and "_fh", which are the engine's, begin with "%5F". Nothing else
 * is changed, so that other programs that read the database see what the service wrote.
 *
 * Only part of a filter goes to the server: comparisons with strings, booleans, and integers that
 * a double holds exactly, and $and and $or of those. That yields candidates; the model's evaluator
 * decides about each, so a find gives the same result on every server.
 */

#include "engine/mongodb/bson.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "store/document/filter.h"
#include "store/document/value.h"

#define NAME_SIZE_MAX ((size_t)1 << 22) /* of the longest name, encoded */
#define EXACT_MAX ((json_int_t)1 << 53)
#define WRAP "%a"
#define PATH_SIZE (3 * DOCUMENT_PATH_LENGTH_MAX + 8)

/* ---- Reading single fields ---- */

int64_t mongodb_integer_at(const bson_t *document, const char *name)
{
    bson_iter_t at;
    if (!mongoc.bson_iter_init_find(&at, document, name))
        return 0;
    return mongoc.bson_iter_type(&at) == BSON_TYPE_INT32 ? mongoc.bson_iter_int32(&at)
                                                         : mongoc.bson_iter_int64(&at);
}

const char *mongodb_text_of(const bson_iter_t *at)
{
    return mongoc.bson_iter_type(at) == BSON_TYPE_UTF8 ? mongoc.bson_iter_utf8(at, NULL) : NULL;
}

const char *mongodb_text_at(const bson_t *document, const char *name)
{
    bson_iter_t at;
    return mongoc.bson_iter_init_find(&at, document, name) ? mongodb_text_of(&at) : NULL;
}

bool mongodb_has(const bson_t *document, const char *name)
{
    bson_iter_t at;
    return mongoc.bson_iter_init_find(&at, document, name);
}

bool mongodb_document_at(const bson_t *document, const char *name, bson_t *ret)
{
    bson_iter_t at;
    const uint8_t *data;
    uint32_t length;
    if (!mongoc.bson_iter_init_find(&at, document, name) ||
        mongoc.bson_iter_type(&at) != BSON_TYPE_DOCUMENT)
        return false;
    mongoc.bson_iter_document(&at, &length, &data);
    return mongoc.bson_init_static(ret, data, length);
}

/* ---- Names ---- */

static bool is_own_field(const char *name)
{
    return strcmp(name, "_id") == 0 || strcmp(name, "_fh") == 0;
}

static void add_encoded_name(struct text *out, const char *name, bool dots)
{
    for (; *name; name++) {
        if (*name == '%')
            text_append(out, "%25", 3);
        else if (*name == '.' && dots)
            text_append(out, "%2E", 3);
        else
            text_append(out, name, 1);
    }
}

/* The name itself if it can stay as it is, else its encoding in `made`. */
static const char *encode_name(const char *name, bool root, struct text *made)
{
    bool own = root && is_own_field(name);
    if (*name && !own && !strpbrk(name, "%."))
        return name;
    text_init(made, NAME_SIZE_MAX);
    if (!*name)
        text_add(made, "%");
    else if (own)
        text_add(made, "%5F");
    add_encoded_name(made, own ? name + 1 : name, true);
    return made->overflow ? NULL : made->data;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static const char *decode_name(const char *name, struct text *made)
{
    if (!strchr(name, '%'))
        return name;
    text_init(made, NAME_SIZE_MAX);
    text_append(made, "", 0);
    for (; *name; name++) {
        int high = *name == '%' ? hex_digit(name[1]) : -1;
        int low = high >= 0 ? hex_digit(name[2]) : -1;
        if (low >= 0) {
            char byte = (char)(high * 16 + low);
            text_append(made, &byte, 1);
            name += 2;
        } else if (*name != '%') {
            text_append(made, name, 1);
        }
    }
    return made->data ? made->data : "";
}

void mongodb_path(char *out, size_t size, const char *path)
{
    struct text text;
    text_init(&text, size - 1);
    size_t first = strcspn(path, ".");
    char own[8] = "";
    if (first < sizeof own)
        memcpy(own, path, first);
    if (is_own_field(own)) {
        text_add(&text, "%5F");
        path++;
    }
    add_encoded_name(&text, path, false);
    snprintf(out, size, "%s", text.data ? text.data : "");
    text_release(&text);
}

/* ---- To BSON ---- */

static bool append_json(bson_t *to, const char *name, const json_t *value,
                        enum mongodb_nesting nesting, bool in_array);

static bool append_fields(bson_t *to, const json_t *object, bool root, const char *leave_out,
                          enum mongodb_nesting nesting)
{
    const char *name;
    json_t *value;
    json_object_foreach (document_iterable(object), name, value) {
        if (leave_out && strcmp(name, leave_out) == 0)
            continue;
        struct text made = {0};
        const char *stored = encode_name(name, root, &made);
        bool fits = stored && append_json(to, stored, value, nesting, false);
        text_release(&made);
        if (!fits)
            return false;
    }
    return true;
}

static bool append_array(bson_t *to, const char *name, const json_t *array,
                         enum mongodb_nesting nesting)
{
    bson_t child;
    size_t index;
    json_t *value;
    bool fits = mongoc.bson_append_array_begin(to, name, -1, &child);
    json_array_foreach (document_iterable(array), index, value) {
        char number[24];
        snprintf(number, sizeof number, "%zu", index);
        fits = fits && append_json(&child, number, value, nesting, true);
    }
    return mongoc.bson_append_array_end(to, &child) && fits;
}

static bool append_wrapped(bson_t *to, const char *name, const json_t *array,
                           enum mongodb_nesting nesting)
{
    bson_t child;
    bool fits = mongoc.bson_append_document_begin(to, name, -1, &child) &&
                append_array(&child, WRAP, array, nesting);
    return mongoc.bson_append_document_end(to, &child) && fits;
}

static bool append_json(bson_t *to, const char *name, const json_t *value,
                        enum mongodb_nesting nesting, bool in_array)
{
    bson_t child;
    bool fits;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        fits = mongoc.bson_append_document_begin(to, name, -1, &child) &&
               append_fields(&child, value, false, NULL, nesting);
        return mongoc.bson_append_document_end(to, &child) && fits;
    case JSON_ARRAY:
        return in_array && nesting == MONGODB_WRAPPED ? append_wrapped(to, name, value, nesting)
                                                      : append_array(to, name, value, nesting);
    case JSON_STRING:
        return mongoc.bson_append_utf8(to, name, -1, json_string_value(value),
                                       (int)json_string_length(value));
    case JSON_INTEGER:
        return mongoc.bson_append_int64(to, name, -1, json_integer_value(value));
    case JSON_REAL:
        return mongoc.bson_append_double(to, name, -1, json_real_value(value));
    case JSON_TRUE:
    case JSON_FALSE:
        return mongoc.bson_append_bool(to, name, -1, json_is_true(value));
    case JSON_NULL:
        break;
    }
    return mongoc.bson_append_null(to, name, -1);
}

bool mongodb_append_fields(bson_t *to, const json_t *object, const char *leave_out,
                           enum mongodb_nesting nesting)
{
    return append_fields(to, object, true, leave_out, nesting);
}

bool mongodb_append_value(bson_t *to, const char *name, const json_t *value,
                          enum mongodb_nesting nesting)
{
    return append_json(to, name, value, nesting, false);
}

/* ---- From BSON ---- */

/* `depth`: how many objects and arrays the value is in. No document that we write is nested deeper
 * than JSON_DEPTH_MAX, and a fiber's stack is not made for what somebody else may have written. */
static json_t *value_of_bson(const bson_iter_t *at, bool in_array, int depth);

static bool take_fields(json_t *object, bson_iter_t *at, bool root, int depth)
{
    while (mongoc.bson_iter_next(at)) {
        const char *name = mongoc.bson_iter_key(at);
        if (root && is_own_field(name))
            continue;
        struct text made = {0};
        json_t *value = value_of_bson(at, false, depth);
        bool set = value && json_object_set_new(object, decode_name(name, &made), value) == 0;
        text_release(&made);
        if (!set)
            return false;
    }
    return at->err_off == 0; /* else it ended where its bytes make no sense */
}

static json_t *array_of_bson(bson_iter_t *at, int depth)
{
    json_t *array = json_array();
    while (array && mongoc.bson_iter_next(at)) {
        json_t *value = value_of_bson(at, true, depth);
        if (!value || json_array_append_new(array, value) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    if (at->err_off == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *object_of_bson(bson_iter_t *at, bool root, const char *id, int depth)
{
    json_t *object = json_object();
    bool fits = object && (!id || json_object_set_new(object, "id", json_string(id)) == 0) &&
                take_fields(object, at, root, depth);
    if (fits)
        return object;
    json_decref(object);
    return NULL;
}

/* The object that stands for an array in an array on servers that do not support these. */
static bool is_wrapped(const bson_iter_t *at, bson_iter_t *ret_array)
{
    bson_iter_t child;
    return mongoc.bson_iter_recurse(at, &child) && mongoc.bson_iter_next(&child) &&
           strcmp(mongoc.bson_iter_key(&child), WRAP) == 0 &&
           mongoc.bson_iter_recurse(&child, ret_array);
}

static json_t *value_of_bson(const bson_iter_t *at, bool in_array, int depth)
{
    bson_iter_t child;
    uint32_t length;
    const char *text;
    switch ((int)mongoc.bson_iter_type(at)) {
    case BSON_TYPE_UTF8:
        text = mongoc.bson_iter_utf8(at, &length);
        return json_stringn(text, length);
    case BSON_TYPE_INT64:
        return json_integer(mongoc.bson_iter_int64(at));
    case BSON_TYPE_INT32:
        return json_integer(mongoc.bson_iter_int32(at));
    case BSON_TYPE_DOUBLE:
        return json_real(mongoc.bson_iter_double(at));
    case BSON_TYPE_BOOL:
        return json_boolean(mongoc.bson_iter_bool(at));
    case BSON_TYPE_NULL:
        return json_null();
    case BSON_TYPE_ARRAY:
        return depth < JSON_DEPTH_MAX && mongoc.bson_iter_recurse(at, &child)
                   ? array_of_bson(&child, depth + 1)
                   : NULL;
    case BSON_TYPE_DOCUMENT:
        if (depth >= JSON_DEPTH_MAX)
            return NULL;
        if (in_array && is_wrapped(at, &child))
            return array_of_bson(&child, depth + 1);
        return mongoc.bson_iter_recurse(at, &child) ? object_of_bson(&child, false, NULL, depth + 1)
                                                    : NULL;
    default:
        return NULL;
    }
}

json_t *mongodb_object(const bson_t *document, const char *id)
{
    bson_iter_t at;
    return mongoc.bson_iter_init(&at, document) ? object_of_bson(&at, true, id, 1) : NULL;
}

/* ---- Filters ---- */

static bool is_plain(const json_t *value)
{
    if (json_is_integer(value))
        return json_integer_value(value) <= EXACT_MAX && json_integer_value(value) >= -EXACT_MAX;
    return json_is_string(value) || json_is_boolean(value);
}

static bool are_plain(const json_t *list)
{
    size_t index;
    json_t *value;
    json_array_foreach (document_iterable(list), index, value) {
        if (!is_plain(value))
            return false;
    }
    return true;
}

static bool is_asked(const char *operator_name, const json_t *operand)
{
    static const char *const comparisons[] = {"$eq", "$gt", "$gte", "$lt", "$lte"};
    for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++) {
        if (strcmp(operator_name, comparisons[i]) == 0)
            return is_plain(operand);
    }
    return strcmp(operator_name, "$in") == 0 && are_plain(operand);
}

/* A list of conditions that must all hold. */
struct conditions {
    bson_t *list;
    enum mongodb_nesting nesting;
    int count;
};

static void begin_condition(struct conditions *to, bson_t *condition)
{
    char number[24];
    snprintf(number, sizeof number, "%d", to->count++);
    mongoc.bson_append_document_begin(to->list, number, -1, condition);
}

/* Each operator is a condition of its own: different elements of an array may meet two of them, and
 * not all servers allow for that when the two are in one object. */
static void append_operators(struct conditions *to, const char *path, const json_t *operators)
{
    bson_t condition, child;
    const char *name;
    json_t *operand;
    json_object_foreach (document_iterable(operators), name, operand) {
        if (!is_asked(name, operand))
            continue;
        begin_condition(to, &condition);
        mongoc.bson_append_document_begin(&condition, path, -1, &child);
        append_json(&child, name, operand, MONGODB_NESTED, false);
        mongoc.bson_append_document_end(&condition, &child);
        mongoc.bson_append_document_end(to->list, &condition);
    }
}

static void append_conditions(struct conditions *to, const json_t *filter);

static int count_conditions(const json_t *filter, enum mongodb_nesting nesting)
{
    bson_t ignored;
    struct conditions counted = {.list = &ignored, .nesting = nesting};
    mongoc.bson_init(&ignored);
    append_conditions(&counted, filter);
    mongoc.bson_destroy(&ignored);
    return counted.count;
}

/* Every branch must have a condition for the server; otherwise the $or says nothing. */
static void append_or(struct conditions *to, const json_t *branches)
{
    bson_t condition, list, branch;
    size_t index;
    json_t *filter;
    json_array_foreach (document_iterable(branches), index, filter) {
        if (count_conditions(filter, to->nesting) == 0)
            return;
    }
    begin_condition(to, &condition);
    mongoc.bson_append_array_begin(&condition, "$or", -1, &list);
    json_array_foreach (document_iterable(branches), index, filter) {
        char number[24];
        snprintf(number, sizeof number, "%zu", index);
        mongoc.bson_append_document_begin(&list, number, -1, &branch);
        mongodb_append_filter(&branch, filter, NULL, false, to->nesting);
        mongoc.bson_append_document_end(&list, &branch);
    }
    mongoc.bson_append_array_end(&condition, &list);
    mongoc.bson_append_document_end(to->list, &condition);
}

/* With MONGODB_WRAPPED an array in an array is an object for the server, which finds no element by
 * its number in it: the evaluator alone does. A first part is a field's name. */
static bool has_index(const char *path)
{
    path += strcspn(path, ".");
    path += *path == '.';
    for (size_t length; *path; path += length + (path[length] == '.')) {
        length = strcspn(path, ".");
        if (document_index(path, length) >= 0)
            return true;
    }
    return false;
}

static void append_field(struct conditions *to, const char *name, const json_t *value)
{
    bson_t condition;
    char path[PATH_SIZE];
    if (to->nesting == MONGODB_WRAPPED && has_index(name))
        return;
    if (strcmp(name, "id") == 0)
        snprintf(path, sizeof path, "_id");
    else
        mongodb_path(path, sizeof path, name);
    if (document_is_operators(value)) {
        append_operators(to, path, value);
    } else if (is_plain(value)) {
        begin_condition(to, &condition);
        append_json(&condition, path, value, MONGODB_NESTED, false);
        mongoc.bson_append_document_end(to->list, &condition);
    }
}

static void append_conditions(struct conditions *to, const json_t *filter)
{
    const char *name;
    json_t *value, *branch;
    size_t index;
    json_object_foreach (document_iterable(filter), name, value) {
        if (strcmp(name, "$and") == 0) {
            json_array_foreach (value, index, branch)
                append_conditions(to, branch);
        } else if (strcmp(name, "$or") == 0) {
            append_or(to, value);
        } else if (*name != '$') {
            append_field(to, name, value);
        }
    }
}

void mongodb_append_filter(bson_t *to, const json_t *filter, const char *after, bool descending,
                           enum mongodb_nesting nesting)
{
    bson_t list, condition, bound;
    struct conditions conditions = {.list = &list, .nesting = nesting};
    if (!after && (!filter || count_conditions(filter, nesting) == 0))
        return;
    mongoc.bson_append_array_begin(to, "$and", -1, &list);
    if (filter)
        append_conditions(&conditions, filter);
    if (after) {
        begin_condition(&conditions, &condition);
        mongoc.bson_append_document_begin(&condition, "_id", -1, &bound);
        mongoc.bson_append_utf8(&bound, descending ? "$lt" : "$gt", -1, after, -1);
        mongoc.bson_append_document_end(&condition, &bound);
        mongoc.bson_append_document_end(&list, &condition);
    }
    mongoc.bson_append_array_end(to, &list);
}
