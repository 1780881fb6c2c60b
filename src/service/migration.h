/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_MIGRATION_H
#define SERVICE_MIGRATION_H

/*
 * Migrations as files: numbered SQL beside the service, "0001_create_orders.sql". An engine's own
 * variant stands in a folder of the engine's name ("sqlite/0001_...") and wins over the plain one
 * of that number. Notes are comments that Freehold reads, each on a line of its own:
 *
 *     -- freehold: alone                                  before the file's first statement
 *     -- freehold: breaks older versions: REASON          before the statement that does
 */

#include "store/relational/script.h"

#define MIGRATIONS_MAX 1000

struct migration {
    int64_t version;
    char name[128]; /* the file's, with the variant's folder: "sqlite/0001_create_orders.sql" */
    char *sql;
    char checksum[65]; /* hex, of all of it */
    bool alone;        /* its statements refuse to run in a transaction */
    bool applied;
};

struct migrations {
    struct migration *rows; /* in order of their versions */
    int count;
};

/* `folder` NULL: there are none. FH_INVALID tells which file is wrong, and why. */
enum fh_code migrations_read(const char *folder, const char *engine,
                             const struct sql_dialect *dialect, struct migrations *ret,
                             struct fh_error *error);
void migrations_release(struct migrations *all);
struct migration *migrations_find(const struct migrations *all, int64_t version);

/* Hex, of the first `length` bytes of a migration. */
void migration_checksum(const char *sql, size_t length, char ret[65]);
/* Why older versions may be broken by this statement, as the note before it says; false: it has
 * none. The reason is not ended by NUL. */
bool migration_breaks(const struct migration *migration, const struct script_statement *statement,
                      const char **ret_reason, int *ret_length);

/* ---- Applying them: migrate.c, migrate_steps.c ---- */

/* Runs one statement of a migration; FH_UNSUPPORTED for one that would end the transaction. */
enum fh_code migrate_statement(struct store_work *work, const struct script_statement *statement,
                               bool outside, struct fh_error *error);
/* The next statement of a migration that can't be one transaction, in an open STORE_MIGRATE work,
 * which it ends. *ret_whole: it was the last one, and the migration is applied. */
enum fh_code migrate_step(struct store_work *work, const struct migration *migration,
                          bool *ret_whole, struct fh_error *error);

#endif
