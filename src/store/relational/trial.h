/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_TRIAL_H
#define STORE_RELATIONAL_TRIAL_H

/*
 * An empty store of an engine, in memory, for trying SQL before any service runs it: it has the
 * ledger's tables and nothing else. No world and no fiber is needed. What takes more steps, or more
 * memory, than a trial is worth (some seconds) is FH_UNAVAILABLE: that says nothing of the
 * statement.
 */

#include "base/error.h"
#include "store/relational/sql.h"

struct sql_trial;
typedef void sql_trial_column(void *context, const char *table, const char *column,
                              const char *type);

struct sql_trial_ops {
    enum fh_code (*open)(struct sql_trial **ret, struct fh_error *error);
    void (*close)(struct sql_trial *trial); /* NULL is fine */
    /* A statement of a migration, with its effects. FH_UNSUPPORTED and others: it fails on an empty
     * store. */
    enum fh_code (*run)(struct sql_trial *trial, const char *sql, struct fh_error *error);
    /* Whether the store could run it; it is not run. Parameters are ?1, ?2. */
    enum fh_code (*prepare)(struct sql_trial *trial, const char *sql, struct fh_error *error);
    /* The same of a report's statement, which is told its columns: FH_UNSUPPORTED, too, what a
     * store would not do for a report (sql_ops.report). NULL: the engine runs no reports. */
    enum fh_code (*report)(struct sql_trial *trial, const char *sql, int count,
                           const struct sql_taker *taker, struct fh_error *error);
    /* Visits the columns that other engines keep exact decimals in, and this one doubles. NULL: it
     * keeps them exactly. */
    void (*rounding)(struct sql_trial *trial, sql_trial_column *visit, void *context);
};

#endif
