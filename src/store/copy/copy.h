/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_COPY_H
#define STORE_COPY_COPY_H

/*
 * Copies a whole relational store into another one, of any engines: the service's own tables, and
 * with them the ledger's outbox, inbox, command records and sagas. Both schemas exist already; rows
 * that an earlier attempt left in the target are replaced. Then both are read and compared.
 */

#include "base/progress.h"
#include "store/relational/sql.h"

/* Rows that were written, or read again to compare; each row goes through both passes. */
struct copy_step {
    int count; /* part of course.of */
    bool again;
    struct course course; /* of the whole copy: a row that was only written is half done */
};

/* Progress so far; zero at first. */
struct copy_count {
    int64_t total, passed; /* rows that exist; rows written plus rows read again */
    bool guessed;          /* the total is an estimate */
};

struct copy_options {
    struct store *from; /* nobody else writes to it meanwhile, except if the engine has snapshots */
    struct store *to;   /* nobody else uses it */
    /* The copied moment is fixed: from now on others may write to `from`. Never called if the
     * engine has no snapshots. NULL: nobody waits for it. */
    void (*began)(void *context);
    /* Called behind each slice: true stops the copy (FH_UNAVAILABLE). NULL: never. */
    bool (*stopped)(void *context);
    /* Called after each slice, if `count` is set. */
    void (*told)(void *context, const struct copy_step *step);
    struct copy_count *count; /* NULL: no progress is reported */
    /* Copies what else belongs to the outbox, in the copied moment. NULL: there is nothing. */
    enum fh_code (*along)(const fh_service *service, struct store_work *from, struct store_work *to,
                          struct fh_error *error);
    const fh_service *service;
    void *context;
};

struct copy_result {
    int tables;
    int64_t rows;
};

/* FH_UNSUPPORTED: the schemas don't fit, or a table has no primary key; says which. FH_CONFLICT,
 * not retryable: a table's rows differ; says which. */
enum fh_code relational_copy(const struct copy_options *options, struct copy_result *ret,
                             struct fh_error *error);
/* FH_UNAVAILABLE: it is, or what it reads does not stand any more. */
enum fh_code copy_stopped(const struct copy_options *options, struct fh_error *error);
/* Counts rows that exist; and rows of `table` that were written, or (`again`) read again, and says
 * whether to go on, as copy_stopped does. */
void copy_found(const struct copy_options *options, int64_t rows, bool guessed);
enum fh_code copy_passed(const struct copy_options *options, const char *table, int count,
                         bool again, struct fh_error *error) __attribute__((warn_unused_result));

#endif
