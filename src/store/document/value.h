/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_VALUE_H
#define STORE_DOCUMENT_VALUE_H

/*
 * Values inside documents: their order, their paths (dotted) and what may be stored. Shared by the
 * files of this folder; nothing here knows filters, updates or SQL.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DOCUMENT_PATH_LENGTH_MAX 512
#define DOCUMENT_PATH_PARTS_MAX 32
/* How deep a filter may nest, including its operators. */
#define DOCUMENT_FILTER_DEPTH_MAX 32

/* MongoDB's order of types, for those that JSON has. A missing value counts as null. */
enum document_kind {
    DOCUMENT_NULL = 2, /* 1 is the empty array in a sort, see key.h */
    DOCUMENT_NUMBER,
    DOCUMENT_STRING,
    DOCUMENT_OBJECT,
    DOCUMENT_ARRAY,
    DOCUMENT_BOOLEAN
};

/* jansson's iterators take values that are not const, though they do not change them. */
static inline json_t *document_iterable(const json_t *value)
{
    return (json_t *)(uintptr_t)value;
}

enum document_kind document_kind(const json_t *value);
const char *document_kind_name(const json_t *value); /* "a string", "nothing" when NULL */

/*
 * <0, 0, >0. Kinds first; numbers by their exact value, so 1 equals 1.0 and no integer is rounded;
 * strings by their bytes; objects field by field in their order, as MongoDB does: kind, name,
 * value; arrays element by element.
 */
int document_compare(const json_t *left, const json_t *right);

/* What is visited where a path ends at an array. */
enum document_leaf {
    DOCUMENT_LEAF_WHOLE,    /* the array */
    DOCUMENT_LEAF_BOTH,     /* its elements, then the array: what comparisons look at */
    DOCUMENT_LEAF_ELEMENTS, /* its elements: what an index holds */
};

/* True stops the visiting. `value` NULL: the path leads nowhere here. */
typedef bool document_visit(void *context, const json_t *value);

/* Visits everything that `path` reaches in an object, MongoDB's way: an array on the way is
 * followed into each of its objects, and into the element that a number names. The path "" stops at
 * `document` itself, which may then be any value. True if a visit returned true. */
bool document_each(const json_t *document, const char *path, enum document_leaf leaf,
                   document_visit *visit, void *context);

/* A path's part as an array index ("0", "17"; not "01"), or -1. */
int document_index(const char *part, size_t length);

/* FH_INVALID with the path as field: empty parts, too long, too many parts, a part with '$'. */
enum fh_code document_path_check(const char *path, struct fh_error *error);
/* Checks for what no document may hold at `depth` levels below its root: names that begin with '$',
 * nesting beyond JSON_DEPTH_MAX. FH_INVALID with the offending name's place as field (a JSON
 * Pointer without its first '/'). */
enum fh_code document_value_check(const json_t *value, int depth, struct fh_error *error);
/* Puts a dotted path in front of that place. Returns FH_INVALID. */
enum fh_code document_place_below(struct fh_error *error, const char *path);

#endif
