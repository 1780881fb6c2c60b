/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_OPENING_H
#define STORE_RELATIONAL_OPENING_H

/* This process's row of fh_opening, and the removal of rows of processes that are gone: see
 * opening.c. */

#include "store/relational/mark.h"
#include "store/relational/sql.h"

/* The statements, and how to run them. */
struct opening_words {
    /* Runs a separate statement, sent once more if its link breaks. */
    enum fh_code (*run)(struct store *store, const char *sql, const struct sql_value *values,
                        int count, sql_visit *visit, void *context, struct fh_error *error);
    const char *begin; /* 1: the opening, 2: its process; does nothing if the row exists */
    const char *seen;  /* 1: the opening; returns a row if it exists, unless `look` does */
    const char *look;  /* 1: the opening; returns a row if it exists. NULL: `seen` does */
    const char *const *removals; /* run in this order; ends with NULL */
    /* Runs after those, for what no single statement can do; or NULL. */
    enum fh_code (*remove)(struct store *store);
};

/* Adds it to fh_opening, before the first mark. */
enum fh_code opening_new(struct store *store, const struct opening_words *words,
                         struct marks *marks, const char *process, struct fh_error *error);
/* Called now and then: records that the opening is alive, and removes what others have left. By one
 * fiber at a time. */
void opening_keep(struct store *store, const struct opening_words *words, struct marks *marks,
                  const char *process);

#endif
