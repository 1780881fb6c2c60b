/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_LEDGER_H
#define STORE_COPY_LEDGER_H

/*
 * A store's ledger copied into another store's, of whichever engines: outbox, inbox, command
 * records and sagas, row by row as they are stored, since positions, ids and times stay what they
 * are. For the models whose engines do not all have tables; relational stores copy their ledger
 * as they copy all tables. What a store says of itself (fh_meta) is whose copy it is to write.
 */

#include "store/copy/copy.h"

/* Whether the ledger of this store can be copied. */
bool copy_knows(const struct store *store);
/* Both stores' ledgers can. What an earlier attempt has left in the target is replaced; afterwards
 * both were read and compared. Adds to *ret. FH_CONFLICT, not retryable: a table is not the same on
 * both sides; says which. */
enum fh_code copy_ledger(const struct copy_options *options, struct copy_result *ret,
                         struct fh_error *error);
/* Adds the rows of the source's ledger to those that there are, as far as they can be counted. */
void copy_ledger_count(const struct copy_options *options);
/* FH_CONFLICT: that is what reads otherwise; `rows` of it there and here. */
enum fh_code copy_differs(const struct copy_options *options, const char *name, int64_t there,
                          int64_t here, struct fh_error *error);

/* ---- For engines ------------------------------------------------------------------------------
 */

#define COPIED_COLUMNS_MAX 12
#define COPIED_PARTS_MAX 4
#define COPIED_ROWS_MAX 100 /* in a slice */
#define COPIED_SIZE_MAX ((size_t)8 << 20)

struct copied_column {
    const char *name;
    bool integer, nullable;
    bool in_id;          /* as documents have it: in the _id alone */
    const char *derived; /* as tables have it: computed of others */
};

/* A table, or a collection of documents; the same facts by the same names. */
struct copied_ledger {
    const char *collection, *table;
    struct copied_column columns[COPIED_COLUMNS_MAX]; /* ends with no name */
    const char *id[COPIED_PARTS_MAX];                 /* columns: its primary key, in their order */
    bool numbered;                                    /* the _id is a number, that one column */
};
extern const struct copied_ledger copied_ledgers[];
extern const int copied_ledger_count;
int copied_column_count(const struct copied_ledger *ledger);

/* `count` rows behind each other, each with all columns; borrowed until it returns. */
typedef enum fh_code copied_slice(void *context, const struct sql_value *rows, int count,
                                  struct fh_error *error);

struct copied_ops {
    enum fh_code (*read)(struct store *store, const struct copied_ledger *ledger,
                         copied_slice *slice, void *context, struct fh_error *error);
    enum fh_code (*write)(struct store *store, const struct copied_ledger *ledger,
                          const struct sql_value *rows, int count, struct fh_error *error);
    /* How many rows it has, or about. */
    enum fh_code (*count)(struct store *store, const struct copied_ledger *ledger, int64_t *ret,
                          struct fh_error *error);
    /* All of it goes. */
    enum fh_code (*empty)(struct store *store, struct fh_error *error);
    /* The last position given out; and up to which, and with what event, the outbox was trimmed. */
    enum fh_code (*number)(struct store *store, int64_t position, int64_t trimmed,
                           const char *trimmed_id, struct fh_error *error);
};
extern const struct copied_ops copied_sql; /* of SQLite's tables */

#endif
