/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_OPENING_H
#define STORE_RELATIONAL_OPENING_H

/* This process's row of fh_opening, and the removal of those that are gone: see opening.c. */

#include "store/relational/mark.h"
#include "store/relational/sql.h"

/* How a server is told. */
struct opening_words {
    /* A statement by itself, sent once more if its link breaks. */
    enum fh_code (*run)(struct store *store, const char *sql, const struct sql_value *values,
                        int count, sql_visit *visit, void *context, struct fh_error *error);
    const char *begin; /* 1: the opening, 2: its process; nothing where it is there */
    const char *seen;  /* 1: the opening; a row if it is there, unless `look` tells that */
    const char *look;  /* 1: the opening; a row if it is there. NULL: `seen` has told it */
    const char *const *removals; /* in this order; then NULL */
    /* What no single statement does, behind those; or NULL. */
    enum fh_code (*remove)(struct store *store);
};

/* In fh_opening, from before the first mark. */
enum fh_code opening_new(struct store *store, const struct opening_words *words,
                         struct marks *marks, const char *process, struct fh_error *error);
/* Now and then: says that it lives, and removes what others have left. By one fiber at a time. */
void opening_keep(struct store *store, const struct opening_words *words, struct marks *marks,
                  const char *process);

#endif
