/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOY_INTERNAL_H
#define TOY_INTERNAL_H

/*
 * What the files of the toy share. All that a store holds is one JSON value, its state: tables by
 * name, and in each of them values by id. What is committed is never changed again: a unit of work
 * that writes makes shallow copies of the tables that it changes, and its commit replaces the state
 * by its own. So a reader keeps the state that there was when it began.
 */

#include <jansson.h>

#include "store/document/document.h"
#include "store/document/engine.h"
#include "store/records/records.h"
#include "store/store.h"

#define TOY_OUTBOX "outbox" /* by position; positions' ids have 19 digits, as the records' */
#define TOY_PLACE "place"   /* by key: the position of its last event */
#define TOY_COUNTER "counter"
#define TOY_COLLECTION "collection"
#define TOY_DOCUMENTS "document " /* and the collection's name */

extern const struct engine engine_toy;
extern const struct ledger_ops toy_ledger;
extern const struct record_ops toy_records;
extern const struct document_ops toy_documents;
extern const struct copied_ops toy_copied_ledger;
extern const struct copied_documents_ops toy_copied_documents;

/* What is left of a store while it is closed. */
struct toy_shelf {
    json_t *state;
    bool busy; /* a unit of work writes */
    struct fiber_queue waiting;
};

struct toy_store {
    struct store store;
    struct toy_shelf *shelf;
};

struct toy_work {
    struct store_work work;
    json_t *before, *state; /* the same until something is changed */
    json_t *clearings;      /* [table, within] each, for the commit; NULL: none */
};

/* ---- state.c ---- */

/* Of the unit of work's state, borrowed until it changes the table; NULL: there is none. */
json_t *toy_table(const struct store_work *work, const char *table);
json_t *toy_get(const struct store_work *work, const char *table, const char *id);
/* Takes `value`, which is on the heap; NULL: removes what is there. FH_UNSUPPORTED: the unit of
 * work reads. */
enum fh_code toy_put(struct store_work *work, const char *table, const char *id, json_t *value,
                     struct fh_error *error);
/* Removes what goes; NULL: all. */
enum fh_code toy_remove(struct store_work *work, const char *table,
                        bool (*goes)(void *context, const char *id, const json_t *value),
                        void *context, struct fh_error *error);
/* Whether the id begins with `within` and a separator. */
bool toy_is_within(const char *id, const char *within);

/* ---- document.c ---- */

#define TOY_TABLE_SIZE (sizeof TOY_DOCUMENTS + ENGINE_NAME_LENGTH_MAX)
/* The table of a collection. FH_INVALID: there is no such collection. */
enum fh_code toy_documents_table(const struct store_work *work, const char *collection,
                                 char ret[static TOY_TABLE_SIZE], struct fh_error *error);

#endif
