/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_COPY_H
#define STORE_RELATIONAL_COPY_H

/*
 * A whole relational store copied into another one, of whichever engines: the service's own tables,
 * and with them the ledger's outbox, inbox, command records and sagas. Both schemas are there
 * already; the target's rows, if an earlier attempt left any, are replaced. Afterwards the two
 * were read and compared.
 */

#include "store/relational/sql.h"

struct copy_options {
    struct store *from; /* nobody else writes it meanwhile, but where the engine has snapshots */
    struct store *to;   /* nobody else uses it */
    /* The moment that is copied stands: from now on others may write `from`. Engines without
     * snapshots never call it. NULL: nobody waits. */
    void (*began)(void *context);
    /* Before each slice: whether it shall end early (FH_UNAVAILABLE). NULL: never. */
    bool (*stopped)(void *context);
    /* After each slice: how far a table has come, `rows` of it. */
    void (*told)(void *context, const char *table, int64_t rows);
    void *context;
};

struct copy_result {
    int tables;
    int64_t rows;
};

/* FH_UNSUPPORTED: the schemas don't fit, or a table has no primary key; says which. FH_CONFLICT,
 * not retryable: a table's rows are not the same on both sides; says which. */
enum fh_code relational_copy(const struct copy_options *options, struct copy_result *ret,
                             struct fh_error *error);
enum fh_code copy_stopped(const struct copy_options *options, struct fh_error *error);

#endif
