/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MONGODB_BSON_H
#define ENGINE_MONGODB_BSON_H

/*
 * Documents of the model as MongoDB stores them, there and back; and what of a filter a server may
 * be asked. Usable on any thread.
 */

#include <jansson.h>

#include "engine/mongodb/library.h"

/* How a server keeps arrays that are elements of arrays. */
enum mongodb_nesting {
    MONGODB_NESTED,  /* as they are */
    MONGODB_WRAPPED, /* it refuses them (FerretDB 1.x): each in an object with the name "%a" */
};

/* Appends all fields of `object` but `leave_out` (or NULL). False: it grew too large for BSON. */
bool mongodb_append_fields(bson_t *to, const json_t *object, const char *leave_out,
                           enum mongodb_nesting nesting);
bool mongodb_append_value(bson_t *to, const char *name, const json_t *value,
                          enum mongodb_nesting nesting);
/* The fields of a stored document but _id and _fh. `id` (or NULL) becomes its first field "id".
 * A new reference, on the heap when the caller has set no arena. NULL: it holds what JSON does
 * not. */
json_t *mongodb_object(const bson_t *document, const char *id);
json_t *mongodb_object_at(const bson_iter_t *at); /* of a document that is a field */

/*
 * Appends conditions that every document that matches `filter` (which was checked; NULL: all)
 * meets: those that all servers understand alike. What it leaves out the caller finds by
 * document_matches. `after` (or NULL): and whose _id is greater, `descending`: less.
 */
void mongodb_append_filter(bson_t *to, const json_t *filter, const char *after, bool descending);
/* A field's value, int32 or int64; 0: there is none. */
int64_t mongodb_integer_at(const bson_t *document, const char *name);
/* A text; NULL: it is none, or something else. */
const char *mongodb_text_of(const bson_iter_t *at);
const char *mongodb_text_at(const bson_t *document, const char *name);
bool mongodb_has(const bson_t *document, const char *name);
/* A field that is a document, which lives as long as `document`. False: it is none, or something
 * else. */
bool mongodb_document_at(const bson_t *document, const char *name, bson_t *ret);
/* The name of an indexed field, or of one in a filter: each of the path's parts as it is stored. */
void mongodb_path(char *out, size_t size, const char *path);

#endif
