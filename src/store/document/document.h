/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_H
#define STORE_DOCUMENT_H

/*
 * The document model: collections of JSON objects, each with a string `id`, filtered and updated
 * with MongoDB's operators (a documented subset; anything else is FH_INVALID, which names it). An
 * engine is one `const struct document_ops`. One unit of work changes one document; changing a
 * second is FH_UNSUPPORTED (the layer above counts).
 */

#include <jansson.h>
#include <stdbool.h>

#include "store/store.h"

#define DOCUMENT_ID_LENGTH_MAX 512
#define DOCUMENTS_MAX 1000 /* that one find returns */
/* As JSON text. Parsed it may take 36 times as much, and a unit of work's arena has 64 MiB. */
#define DOCUMENT_SIZE_MAX (1 << 20)

struct document_find {
    const json_t *filter; /* NULL: all */
    const json_t *sort;   /* {"price": -1}; NULL: by id */
    const char *after;    /* continue after the document with this id, or NULL */
    int limit;            /* 1..DOCUMENTS_MAX */
};

struct document_ops {
    /* Creates declared collections and indexes that are missing; drops indexes that are no longer
     * declared. */
    enum fh_code (*prepare)(struct store_work *work, const struct fh_collection *collections,
                            int count, struct fh_error *error);
    /* FH_NOT_FOUND: no such document. *ret is a new reference. */
    enum fh_code (*get)(struct store_work *work, const char *collection, const char *id,
                        json_t **ret, struct fh_error *error);
    enum fh_code (*find)(struct store_work *work, const char *collection,
                         const struct document_find *find, json_t **ret, struct fh_error *error);
    /* `document` has its id. FH_CONFLICT: the id is taken. */
    enum fh_code (*insert)(struct store_work *work, const char *collection, const json_t *document,
                           struct fh_error *error);
    /* Like insert, for a new random id that nothing else can have, so the engine need not look for
     * it. NULL: insert is used. */
    enum fh_code (*add)(struct store_work *work, const char *collection, const json_t *document,
                        struct fh_error *error);
    /* Atomic: finds by id, compares with filter (NULL: any), applies update. FH_NOT_FOUND: no such
     * id; FH_CONFLICT: it does not match. *ret: the updated document, new reference. */
    enum fh_code (*update)(struct store_work *work, const char *collection, const char *id,
                           const json_t *filter, const json_t *update, json_t **ret,
                           struct fh_error *error);
    enum fh_code (*remove)(struct store_work *work, const char *collection, const char *id,
                           bool *ret_existed, struct fh_error *error);
};

extern const struct document_ops document_sql; /* on sql_run; today SQLite's */

/* The engine's documents, or NULL. */
const struct document_ops *document_engine(const struct store *store);

/* The following are pure, for engines that have no such operators of their own. */
/* Whether it matches; FH_INVALID through *code names an operator that is not in the subset. */
bool document_matches(const json_t *document, const json_t *filter, enum fh_code *code,
                      struct fh_error *error);
/* Whether it may be stored: an object with an `id` of 1 to DOCUMENT_ID_LENGTH_MAX bytes, no field
 * that begins with '$', nested at most 64 levels. FH_INVALID with the offending field. */
enum fh_code document_check(const json_t *document, struct fh_error *error);
/* Changes `document` in place; after a failure it is half changed and useless. FH_INVALID: the
 * update is wrong; FH_CONFLICT: the document's content does not allow it ($inc of a string). `id`
 * never changes. */
enum fh_code document_apply(json_t *document, const json_t *update, struct fh_error *error);
/* Checks only the form of a filter or an update. If error->field is set, that field's value (or its
 * name) is unfit, and a client may have sent it; else the filter or update itself is wrong, which
 * is the service's mistake. */
enum fh_code document_filter_check(const json_t *filter, struct fh_error *error);
enum fh_code document_update_check(const json_t *update, struct fh_error *error);

#endif
