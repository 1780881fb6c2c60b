/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_BACKUP_H
#define SERVICE_BACKUP_H

/*
 * A backup of the service's store, made by the process that serves from it while it serves: one
 * file, an embedded store of the same model, in the service's own folder, from which `freehold
 * backup` takes it (docs/operate/backup.md).
 *
 *     POST /_freehold/backup       for operators: {"id"}, or 409 while one is being made
 *     SERVICE_BACKUP_STATUS        its progress: {"id", "pid", "state": "copying" | "done" |
 *                                  "failed", "done", "total", "unit"}. "total" 0: not known; of
 *                                  "rows" it is the server's estimate, of "pages" it is exact. With
 *                                  "failed" also "error"; with "done" what the file holds:
 *                                  "engine", "incarnation", "position", "taken_ms", "migration",
 *                                  "rows"
 */

#include "freehold.h"
#include "service/runtime.h"

#define SERVICE_BACKUP_PATH "/_freehold/backup"
#define SERVICE_BACKUP_STATUS "backup.json"
#define SERVICE_BACKUP_NAME "backup" /* the store's name: backup.db */

struct backup_facts {
    char incarnation[ID_SIZE];
    int64_t position, rows, migration; /* 0: none was applied */
};

/* Copies the store, as of one moment, into the new embedded store NAME.db in `folder`; FH_OK: it is
 * complete and durable. If the engine can't show one moment, writers are held off during the copy
 * (store_hold). `watch` counts pages if the total is known, else rows. On a fiber. */
enum fh_code service_backup(const fh_service *service, const json_t *config, struct store *store,
                            const char *folder, const char *name, struct store_watch *watch,
                            struct backup_facts *ret, struct fh_error *error);
/* Removes NAME.db from `folder`, and what SQLite and a store leave beside it. */
void service_backup_remove(struct world *world, const char *folder, const char *name);
/* Opens such a file, an embedded store, in `folder`. On a fiber. */
enum fh_code service_backup_open(const fh_service *service, const char *folder, const char *name,
                                 struct world *world, struct store **ret, struct fh_error *error);
/* Closes it, and fails unless everything is in that one file. On a fiber. */
enum fh_code service_backup_close(struct store *store, const char *folder, const char *name,
                                  struct fh_error *error);

/* The same in a process that does not serve, of runtime->context.store: `result` gets "backup", the
 * final SERVICE_BACKUP_STATUS. On a fiber. */
enum fh_code backup_alone(struct runtime *runtime, json_t *result, struct fh_error *error);

/* The operators' route. The store stays open until runtime->backup is NULL. */
void backup_answer(struct runtime *runtime, struct exchange *exchange);

#endif
