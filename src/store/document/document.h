/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_H
#define STORE_DOCUMENT_H

/*
 * The document model: collections of JSON objects, each with a string `id`, filtered and updated
 * with MongoDB's operators (a documented subset; what is outside it is FH_INVALID by name).
 * An engine is one `const struct document_ops`. One unit of work changes one document; a change
 * of a second is FH_UNSUPPORTED (the room above counts).
 */

#include <jansson.h>
#include <stdbool.h>

#include "store/store.h"

#define DOCUMENT_ID_LENGTH_MAX 512
#define DOCUMENTS_MAX 1000 /* a find returns at most */
/* As JSON text. Parsed it may take 36 times as much, and a work's arena has 64 MiB. */
#define DOCUMENT_SIZE_MAX (1 << 20)

struct document_find {
    const json_t *filter; /* NULL: all */
    const json_t *sort;   /* {"price": -1}; NULL: by id */
    const char *after;    /* go on behind the document of this id, or NULL */
    int limit;            /* 1..DOCUMENTS_MAX */
};

struct document_ops {
    /* Makes collections and indexes that are declared and missing; drops indexes no longer
     * declared. */
    enum fh_code (*prepare)(struct store_work *work, const struct fh_collection *collections,
                            int count, struct fh_error *error);
    /* FH_NOT_FOUND: none. *ret is a new reference. */
    enum fh_code (*get)(struct store_work *work, const char *collection, const char *id,
                        json_t **ret, struct fh_error *error);
    enum fh_code (*find)(struct store_work *work, const char *collection,
                         const struct document_find *find, json_t **ret, struct fh_error *error);
    /* `document` has its id. FH_CONFLICT when it is taken. */
    enum fh_code (*insert)(struct store_work *work, const char *collection, const json_t *document,
                           struct fh_error *error);
    /* As insert, of one whose id was drawn for it, so that nobody can have it: it need not be
     * looked for. NULL: insert does it. */
    enum fh_code (*add)(struct store_work *work, const char *collection, const json_t *document,
                        struct fh_error *error);
    /* Atomic: finds by id, compares with filter (NULL: any), applies update. FH_NOT_FOUND: no such
     * id; FH_CONFLICT: it does not match. *ret: as it is afterwards, new reference. */
    enum fh_code (*update)(struct store_work *work, const char *collection, const char *id,
                           const json_t *filter, const json_t *update, json_t **ret,
                           struct fh_error *error);
    enum fh_code (*remove)(struct store_work *work, const char *collection, const char *id,
                           bool *ret_existed, struct fh_error *error);
};

extern const struct document_ops document_sql; /* on any relational engine's sql_run; SQLite now */

/* The engine's documents, or NULL. */
const struct document_ops *document_engine(const struct store *store);

/* Pure, shared by engines that have no operators of their own. */
/* True when it matches; FH_INVALID through *code names an operator that is not in the subset. */
bool document_matches(const json_t *document, const json_t *filter, enum fh_code *code,
                      struct fh_error *error);
/* What may be stored: an object with an `id` of 1 to DOCUMENT_ID_LENGTH_MAX bytes, no field that
 * begins with '$', nested at most 64 levels. FH_INVALID with the offending field. */
enum fh_code document_check(const json_t *document, struct fh_error *error);
/* Changes `document` in place; after a failure it is half changed and of no use. FH_INVALID for a
 * wrong update, FH_CONFLICT where the document's content does not allow it ($inc of a string). `id`
 * never changes. */
enum fh_code document_apply(json_t *document, const json_t *update, struct fh_error *error);
/* Looks at a filter's or update's form alone. Where error->field is set, the value of that field
 * (or its name) is unfit, and a client may have sent it; else the filter or update itself is wrong,
 * which is the service's mistake. */
enum fh_code document_filter_check(const json_t *filter, struct fh_error *error);
enum fh_code document_update_check(const json_t *update, struct fh_error *error);

#endif
