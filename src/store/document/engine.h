/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_ENGINE_H
#define STORE_DOCUMENT_ENGINE_H

/* What the files of document_sql share: a collection as the store knows it, and how a find chooses
 * its candidates. The tables are described in engine.c. */

#include <jansson.h>
#include <stdbool.h>

#include "store/document/document.h"
#include "store/document/key.h"
#include "store/relational/sql.h"

#define ENGINE_INDEXES_MAX 8
#define ENGINE_FIELD_SIZE 128 /* of an indexed field's path, with its NUL */
#define ENGINE_NAME_LENGTH_MAX 48
#define ENGINE_SQL_SIZE 4096

struct engine_collection {
    const char *name;
    char fields[ENGINE_INDEXES_MAX][ENGINE_FIELD_SIZE]; /* indexed */
    int field_count;
};

/* FH_INVALID: it can't be a collection's name. Only checked names get into the text of SQL. */
enum fh_code engine_name_check(const char *name, struct fh_error *error);
/* FH_INVALID when there is no such collection. `name` is borrowed. */
enum fh_code engine_collection_read(struct store_work *work, const char *name,
                                    struct engine_collection *ret, struct fh_error *error);
/* Which of the collection's indexes is on `path`, or -1. */
int engine_field(const struct engine_collection *collection, const char *path);

/* FH_NOT_FOUND when there is no such document. */
enum fh_code engine_get(struct store_work *work, const char *name, const char *id, json_t **ret,
                        struct fh_error *error);

/* Replaces the keys of the old document by those of the new one. Either may be NULL: the document
 * is inserted, removed. */
enum fh_code engine_field_change(struct store_work *work, const char *collection, const char *field,
                                 const char *id, const json_t *old, const json_t *fresh,
                                 struct fh_error *error);
/* The same in all indexes of the collection. */
enum fh_code engine_indexes_change(struct store_work *work,
                                   const struct engine_collection *collection, const char *id,
                                   const json_t *old, const json_t *fresh, struct fh_error *error);

enum fh_code engine_prepare(struct store_work *work, const struct fh_collection *collections,
                            int count, struct fh_error *error);
enum fh_code engine_find(struct store_work *work, const char *name,
                         const struct document_find *find, json_t **ret, struct fh_error *error);

/* ---- What a filter implies ---- */

#define PLAN_POINTS_MAX 16

/* The document must have a key within these bounds: low <= key < high. */
struct plan_range {
    struct text low, high; /* without data: the filter has no bound on this side */
    int kind;              /* of both bounds */
};

/*
 * The candidates of a find: what its filter implies, as far as the collection's indexes can tell;
 * never fewer than match. Ids: the document's id is one of these. Points: the document has one of
 * these keys in the index on points_field. Ranges, one for each index: the document has keys within
 * the bounds, perhaps different keys for the two bounds.
 */
struct plan {
    bool by_id;
    const char **ids;
    int id_count;
    int points_field; /* -1: none */
    struct text points[PLAN_POINTS_MAX];
    int point_count;
    struct plan_range ranges[ENGINE_INDEXES_MAX];
};

/* `filter` was checked; it outlives the plan. */
void plan_init(struct plan *plan, const struct engine_collection *collection, const json_t *filter);
void plan_release(struct plan *plan);

#endif
