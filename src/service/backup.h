/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_BACKUP_H
#define SERVICE_BACKUP_H

/*
 * A backup of the service's store, made by the process that serves from it while it serves: one
 * file, an embedded store of the same model, in the service's own folder, where `freehold backup`
 * takes it from (docs/operate/backup.md).
 *
 *     POST /_freehold/backup       for operators: {"id"}, or 409 while one is made
 *     SERVICE_BACKUP_STATUS        how far it has come: {"id", "pid", "state": "copying" | "done" |
 *                                  "failed", "done", "total", "unit"}: 0: no total is known;
 *                                  of "rows" it is the server's own estimate, of "pages" it is
 *                                  known; with "failed" "error", with "done" what the file holds:
 * "model", "engine", "incarnation", "position", "taken_ms", "migration", "rows"
 */

#include "freehold.h"
#include "service/runtime.h"

#define SERVICE_BACKUP_PATH "/_freehold/backup"
#define SERVICE_BACKUP_STATUS "backup.json"
#define SERVICE_BACKUP_NAME "backup" /* of the store: backup.db */

struct backup_facts {
    char incarnation[ID_SIZE];
    int64_t position, rows, migration; /* 0: none was applied */
};

/* The store, as it is at one moment, into the new embedded store NAME.db in `folder`, whole and
 * durable when it is FH_OK. What the engine can't show of one moment is held off meanwhile
 * (store_hold). `watch`: pages where the total is known, else rows. On a fiber. */
enum fh_code service_backup(const fh_service *service, const json_t *config, struct store *store,
                            const char *folder, const char *name, struct store_watch *watch,
                            struct backup_facts *ret, struct fh_error *error);
/* NAME.db in `folder`, and what SQLite and a store leave beside it. */
void service_backup_remove(struct world *world, const char *folder, const char *name);
/* An embedded store in `folder`, as such a file is one. On a fiber. */
enum fh_code service_backup_open(const fh_service *service, const char *folder, const char *name,
                                 struct world *world, struct store **ret, struct fh_error *error);
/* Closes it, and fails unless all of it is in its one file. On a fiber. */
enum fh_code service_backup_close(struct store *store, const char *folder, const char *name,
                                  struct fh_error *error);

/* The same by a process that serves nobody, of runtime->context.store: `result` gets "backup", what
 * SERVICE_BACKUP_STATUS says at last. On a fiber. */
enum fh_code backup_alone(struct runtime *runtime, json_t *result, struct fh_error *error);

/* The operators' route. While runtime->backup lives, the store stays open. */
void backup_answer(struct runtime *runtime, struct exchange *exchange);

#endif
