/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_MIGRATION_H
#define SERVICE_MIGRATION_H

/*
 * Migrations as files: numbered SQL beside the service, "0001_create_orders.sql". An engine's own
 * variant is in a folder named after the engine ("sqlite/0001_...") and takes precedence over the
 * plain file of that number. Notes are comments that Freehold reads, each on a line of its own:
 *
 *     -- freehold: alone                                  before the file's first statement
 *     -- freehold: breaks older versions: REASON          before the statement that does
 */

#include "store/relational/script.h"

#define MIGRATIONS_MAX 1000

struct migration {
    int64_t version;
    char name[128]; /* the file's, with its folder: "sqlite/0001_create_orders.sql" */
    char *sql;
    char checksum[65]; /* hex, of the whole file */
    bool alone;        /* its statements can't run in a transaction */
    bool applied;
};

struct migrations {
    struct migration *rows; /* in order of their versions */
    int count;
};

/* `folder` NULL: there are none. FH_INVALID says which file is wrong, and why. */
enum fh_code migrations_read(const char *folder, const char *engine,
                             const struct sql_dialect *dialect, struct migrations *ret,
                             struct fh_error *error);
void migrations_release(struct migrations *all);
struct migration *migrations_find(const struct migrations *all, int64_t version);

/* A file of SQL, which is `what`: malloc'ed. FH_INVALID says why there is no text of it. */
enum fh_code sql_file_read(const char *path, const char *what, char **ret, struct fh_error *error);

/* Hex, of the first `length` bytes of a migration. */
void migration_checksum(const char *sql, size_t length, char ret[65]);
/* Why this statement may break older versions, according to the note before it; false: it has none.
 * The reason has no terminating NUL. */
bool migration_breaks(const struct migration *migration, const struct script_statement *statement,
                      const char **ret_reason, int *ret_length);

/* ---- Applying them: migrate.c, migrate_steps.c ---- */

/* Runs one statement of a migration. FH_UNSUPPORTED: it would begin or end a transaction. */
enum fh_code migrate_statement(struct store_work *work, const struct script_statement *statement,
                               bool outside, struct fh_error *error);
/* Runs the next statement of a migration that can't be one transaction, in an open STORE_MIGRATE
 * unit of work, which it ends. *ret_whole: no statement was left, and the migration is now
 * applied. */
enum fh_code migrate_step(struct store_work *work, const struct migration *migration,
                          bool *ret_whole, struct fh_error *error);

#endif
