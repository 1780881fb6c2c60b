/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_LEDGER_H
#define STORE_COPY_LEDGER_H

/*
 * Copies a store's ledger into another store's, of any engines: outbox, inbox, command records and
 * sagas, row by row as they are stored, since positions, ids and times don't change. For the models
 * whose engines do not all have tables; relational stores copy their ledger like all other tables.
 * What a store says of itself (fh_meta) is written by whoever makes the copy.
 */

#include "store/copy/copy.h"
#include "store/records/records.h"

/* Whether the ledger of this store can be copied. */
bool copy_knows(const struct store *store);
/* For two stores whose ledgers can be copied. What an earlier attempt left in the target is
 * replaced; then both are read and compared. Adds to *ret. FH_CONFLICT, not retryable: a table
 * differs; says which. */
enum fh_code copy_ledger(const struct copy_options *options, struct copy_result *ret,
                         struct fh_error *error);
/* In the open unit of work `into` of another store: what `from` is to others, in place of what is
 * there: what it has published, and who of its subscribers has come how far; its sagas; its
 * incarnation, and what it knows of others'. For engines with `put`. */
enum fh_code copy_published(struct store *from, struct store_work *into, struct fh_error *error);
/* How many rows the store's ledger has in a table; for the same engines. */
enum fh_code copy_ledger_rows(struct store *store, const char *table, int64_t *ret,
                              struct fh_error *error);
/* Adds the rows of the source's ledger to the progress's total, as far as they can be counted. */
void copy_ledger_count(const struct copy_options *options);
/* FH_CONFLICT: `name` is what differs; it has `there` rows in the source, `here` in the target. */
enum fh_code copy_differs(const struct copy_options *options, const char *name, int64_t there,
                          int64_t here, struct fh_error *error);

/* ---- For engines ---- */

#define COPIED_COLUMNS_MAX 12
#define COPIED_PARTS_MAX 4
#define COPIED_ROWS_MAX 100 /* in one slice */
#define COPIED_SIZE_MAX ((size_t)8 << 20)

struct copied_column {
    const char *name;
    bool integer, nullable;
    bool in_id;          /* in records: only part of the id */
    const char *derived; /* in tables: computed from other columns */
};

/* A table, or a collection of records; both have the same fields by the same names. */
struct copied_ledger {
    const char *collection, *table;
    struct copied_column columns[COPIED_COLUMNS_MAX]; /* ends with one without a name */
    const char *id[COPIED_PARTS_MAX];                 /* the columns of its primary key, in order */
    bool numbered;                                    /* the id is a number, that one column */
};
extern const struct copied_ledger copied_ledgers[];
extern const int copied_ledger_count;
int copied_column_count(const struct copied_ledger *ledger);
/* The value of a row in the column of this name. */
const struct sql_value *copied_value(const struct copied_ledger *ledger,
                                     const struct sql_value *row, const char *name);
/* The id of a row's record, as in records.h: `parts` of the row, in order. FH_INVALID: it is too
 * long. */
enum fh_code copied_id(const struct copied_ledger *ledger,
                       const char *const parts[static COPIED_PARTS_MAX],
                       const struct sql_value *row, char id[static RECORD_ID_SIZE],
                       struct fh_error *error);

/* `count` rows one after another, each with all columns; borrowed until it returns. */
typedef enum fh_code copied_slice(void *context, const struct sql_value *rows, int count,
                                  struct fh_error *error);

struct copied_ops {
    enum fh_code (*read)(struct store *store, const struct copied_ledger *ledger,
                         copied_slice *slice, void *context, struct fh_error *error);
    enum fh_code (*write)(struct store *store, const struct copied_ledger *ledger,
                          const struct sql_value *rows, int count, struct fh_error *error);
    /* How many rows it has, roughly or exactly. */
    enum fh_code (*count)(struct store *store, const struct copied_ledger *ledger, int64_t *ret,
                          struct fh_error *error);
    /* Removes everything. */
    enum fh_code (*empty)(struct store *store, struct fh_error *error);
    /* Sets the last position assigned; and the position and event up to which the outbox was
     * trimmed. */
    enum fh_code (*number)(struct store *store, int64_t position, int64_t trimmed,
                           const char *trimmed_id, struct fh_error *error);
    /* The same as `write` and `number`, in an open unit of work; and `clear` removes a table's rows
     * there. All three NULL: the ledger is only copied as a whole. */
    enum fh_code (*put)(struct store_work *work, const struct copied_ledger *ledger,
                        const struct sql_value *rows, int count, struct fh_error *error);
    enum fh_code (*put_number)(struct store_work *work, int64_t position, int64_t trimmed,
                               const char *trimmed_id, struct fh_error *error);
    enum fh_code (*clear)(struct store_work *work, const struct copied_ledger *ledger,
                          struct fh_error *error);
};
extern const struct copied_ops copied_sql; /* of SQLite's tables */
/* How many rows a table of the ledger has, where it is in tables, of any engine. */
enum fh_code copied_table_rows(struct store *store, const char *table, int64_t *ret,
                               struct fh_error *error);

#endif
