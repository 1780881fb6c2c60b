/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_MONGODB_LEDGER_H
#define STORE_MONGODB_LEDGER_H

/*
 * The ledger as documents, in collections of their own: mongodb_ledger.c says which. What a work
 * reads of them it reads through mongodb_get and mongodb_find, and so sees its own changes.
 */

#include "base/arena.h"
#include "store/document/mongodb.h"

#define LEDGER_SLOT(name) __typeof__(ledger_##name) mongodb_ledger_##name;
LEDGER_FUNCTIONS(LEDGER_SLOT)
#undef LEDGER_SLOT
extern const struct ledger_snapshot_ops mongodb_snapshots;

/* Parts of an _id, each but the first behind a separator. FH_INVALID: together they are too long.
 */
enum fh_code mongodb_id(char id[static MONGODB_ID_SIZE], struct fh_error *error, const char *format,
                        ...) __attribute__((format(printf, 3, 4)));
/* Of a document of the ledger, NULL and 0 where it has none. */
const char *mongodb_text(const json_t *document, const char *name);
int64_t mongodb_integer(const json_t *document, const char *name);
const char *mongodb_copy(struct arena *arena, const char *text); /* NULL stays NULL */

/* All that meet `filter` (taken, heap), in the order of ids; visit's false ends. */
enum fh_code mongodb_each(struct store_work *work, const char *collection, json_t *filter,
                          bool (*visit)(void *context, const json_t *document), void *context,
                          struct fh_error *error);
/* At most `limit` of them (up to DOCUMENTS_MAX), as an array on the heap. `descending`: the last
 * ones. `looks`: the work does not depend on what they are. */
enum fh_code mongodb_some(struct store_work *work, const char *collection, json_t *filter,
                          int limit, bool descending, bool looks, json_t **ret,
                          struct fh_error *error);
/* The document is `before` (heap, or NULL) with `values` (taken) in place of what it has. */
enum fh_code mongodb_set(struct store_work *work, const char *collection, const char *id,
                         const json_t *before, json_t *values, struct fh_error *error);

/* Filters for sagas (heap): by their status, and `filter` with what `more` (taken) says too. */
#define MONGODB_OPEN_SAGAS ((const char *const[]){"running", "compensating", "parked", NULL})
#define MONGODB_ENDED_SAGAS ((const char *const[]){"ended", "undone", "abandoned", NULL})
json_t *mongodb_sagas_which(const char *const *statuses);
json_t *mongodb_also(json_t *filter, json_t *more);
/* All steps of one saga: their _ids begin with its own. */
json_t *mongodb_steps_filter(const char *birth, int64_t number);

#endif
