/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_CATALOG_H
#define STORE_RELATIONAL_CATALOG_H

/*
 * The tables of a relational store: their columns, keys and parents, read from the engine's own
 * catalog, the ledger's tables included. For code that handles a store as a whole (copy/).
 */

#include "base/arena.h"
#include "store/relational/sql.h"

#define CATALOG_TABLES_MAX 1000
/* Of one table: as many as SQLite takes, and more than PostgreSQL and InnoDB do. */
#define CATALOG_COLUMNS_MAX 2000

struct catalog_table {
    const char *name;
    const char **columns; /* without generated columns */
    int column_count;
    const char **key; /* of the primary key, in its order; none: key_count 0 */
    int key_count;
    const char **parents; /* tables that its foreign keys reference, except itself */
    int parent_count;
};

struct catalog {
    struct catalog_table *tables; /* sorted by name */
    int count;
};

/* Everything is on `arena`. FH_UNSUPPORTED names what there is too much of. */
enum fh_code catalog_read(struct store_work *work, struct arena *arena, struct catalog *ret,
                          struct fh_error *error);
/* FH_UNSUPPORTED: a row with so many columns, followed by those of either key, is too wide. */
enum fh_code catalog_width_check(const struct catalog_table *from, const struct catalog_table *to,
                                 int columns, struct fh_error *error);
enum fh_code catalog_has_table(struct store_work *work, const char *name, bool *ret,
                               struct fh_error *error);
const struct catalog_table *catalog_find(const struct catalog *catalog, const char *name);
bool catalog_has_column(const struct catalog_table *table, const char *column);
/* Puts parents before children. FH_UNSUPPORTED names a table whose foreign keys form a circle. */
enum fh_code catalog_order(struct catalog *catalog, struct fh_error *error);

/* About how many rows all tables have, by the server's own statistics, which may be old or lack new
 * tables; 0 where it keeps none. */
enum fh_code catalog_rows_guessed(struct store_work *work, int64_t *ret, struct fh_error *error);

/* Appends the name to `out`, quoted in the dialect's way. */
struct text;
void catalog_quote(struct text *out, const struct sql_dialect *dialect, const char *name);

/* The result of `sql` for the table ?1: an integer, or 0. For dialects. */
enum fh_code catalog_number(struct store_work *work, const char *sql,
                            const struct catalog_table *table, int64_t *ret,
                            struct fh_error *error);
/* The next number of the table's own counter; 0: it has none, or none that is known. */
enum fh_code catalog_next_number(struct store_work *work, const struct catalog_table *table,
                                 int64_t *ret, struct fh_error *error);
/* From now on the next number is at least `next`; does nothing for a table without a counter. Call
 * it outside anything that could be rolled back (on MariaDB it commits). */
enum fh_code catalog_set_next_number(struct store_work *work, const struct catalog_table *table,
                                     int64_t next, struct fh_error *error);

#endif
