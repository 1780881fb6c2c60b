/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MONGODB_BSON_H
#define ENGINE_MONGODB_BSON_H

/*
 * Converts the model's documents to and from MongoDB's form, and a filter to the part of it that a
 * server can be asked. Usable on any thread.
 */

#include <jansson.h>

#include "engine/mongodb/library.h"

/* How a server keeps arrays that are elements of arrays. */
enum mongodb_nesting {
    MONGODB_NESTED,  /* as they are */
    MONGODB_WRAPPED, /* FerretDB 1.x refuses them: each is put into an object under the name "%a" */
};

/* Appends all fields of `object` except `leave_out` (or NULL). False: too large for BSON. */
bool mongodb_append_fields(bson_t *to, const json_t *object, const char *leave_out,
                           enum mongodb_nesting nesting);
bool mongodb_append_value(bson_t *to, const char *name, const json_t *value,
                          enum mongodb_nesting nesting);
/* The fields of a stored document, without _id and _fh. `id` (or NULL) becomes its first field
 * "id". A new reference, on the heap unless the caller has set an arena. NULL: it holds something
 * that JSON does not have, is nested deeper than JSON_DEPTH_MAX, or is broken. */
json_t *mongodb_object(const bson_t *document, const char *id);

/*
 * Appends conditions that every document matching `filter` (already checked; NULL: all) meets: only
 * those that all servers understand alike. The caller applies the rest with document_matches.
 * `after` (or NULL): the _id must also be greater, or less if `descending`.
 */
void mongodb_append_filter(bson_t *to, const json_t *filter, const char *after, bool descending,
                           enum mongodb_nesting nesting);
/* A field's value, int32 or int64; 0 if there is none. */
int64_t mongodb_integer_at(const bson_t *document, const char *name);
/* A text; NULL if there is none, or it is something else. */
const char *mongodb_text_of(const bson_iter_t *at);
const char *mongodb_text_at(const bson_t *document, const char *name);
bool mongodb_has(const bson_t *document, const char *name);
/* A field that is a document; `ret` lives as long as `document`. False: there is none, or it is
 * something else. */
bool mongodb_document_at(const bson_t *document, const char *name, bson_t *ret);
/* The path of a field in an index or a filter: each of its parts as it is stored. */
void mongodb_path(char *out, size_t size, const char *path);

#endif
