/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_COPY_H
#define STORE_COPY_COPY_H

/*
 * A whole relational store copied into another one, of whichever engines: the service's own tables,
 * and with them the ledger's outbox, inbox, command records and sagas. Both schemas are there
 * already; the target's rows, if an earlier attempt left any, are replaced. Afterwards the two
 * were read and compared.
 */

#include "base/progress.h"
#include "store/relational/sql.h"

/* Rows that were written, or read again; in both passes it is the same row. */
struct copy_step {
    int count; /* of course.of */
    bool again;
    struct course course; /* of the whole: a row that was only written is half done */
};

/* How far it has come; zero at first. */
struct copy_count {
    int64_t total, passed; /* rows that there are; that were written, and that were read again */
    bool guessed;          /* the total */
};

struct copy_options {
    struct store *from; /* nobody else writes it meanwhile, but where the engine has snapshots */
    struct store *to;   /* nobody else uses it */
    /* The moment that is copied stands: from now on others may write `from`. Engines without
     * snapshots never call it. NULL: nobody waits. */
    void (*began)(void *context);
    /* Before each slice: whether it shall end early (FH_UNAVAILABLE). NULL: never. */
    bool (*stopped)(void *context);
    /* After each slice, if it is counted. */
    void (*told)(void *context, const struct copy_step *step);
    struct copy_count *count; /* NULL: nobody is told */
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
/* So many rows more are there; and of `table` so many more were written, or read again. */
void copy_found(const struct copy_options *options, int64_t rows, bool guessed);
void copy_passed(const struct copy_options *options, const char *table, int count, bool again);

#endif
