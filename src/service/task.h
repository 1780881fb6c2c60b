/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_TASK_H
#define SERVICE_TASK_H

/*
 * What a service's program does to its store instead of serving, if its configuration says so:
 *
 *     "task": {"do": "look"}                                      reports what its store has
 *     "task": {"do": "apply"}                                     applies what is new
 *     "task": {"do": "adopt", "from": "flyway", "version": 12}    see adopt.h
 *     "task": {"do": "backup"}                                    see backup.h
 *     "task": {"do": "try"}                                       see trial.h
 *
 * The service's own process does it: with its user, its confinement and its access to the store,
 * while no other process serves from it; a trial only reads it, and works on a copy. The result is
 * in the service's folder, in SERVICE_TASK_RESULT: what service_migrations reports (with "store":
 * false if there is no store yet), "applied_now" or "adopted_now", "backup", or "tried": true,
 * which tells a trial that failed from a library that is too old to know trials; and "error", a
 * sentence, if it failed.
 */

#include "service/runtime.h"

#define SERVICE_TASK_RESULT "task-result.json"
#define SERVICE_TASK_TRY "try"
#define SERVICE_TASK_TRIED "tried"

/* What was applied to the store, and what was begun: {"engine", "applied": [{"version", "name",
 * "checksum", "applied_ms"}], "open": [{"version", "name", "done", "running"}]}. For a relational
 * store. On a fiber. New reference. */
enum fh_code service_migrations(struct store *store, json_t **ret, struct fh_error *error);
/* GET /_freehold/migrations: the same for operators. 404: another model; 503: the store can't be
 * used now. */
struct exchange;
void migrations_answer(struct runtime *runtime, struct exchange *exchange);
/* Records in the service's folder which engine has its data, for the next `up`, and its newest
 * migration, for `check`. If that can't be written, they treat it as unknown. */
void service_record_store(const struct runtime *runtime);

/* Before the process confines itself: a trial makes and enters its folder. FH_OK: there is none. */
enum fh_code service_try_enter(const json_t *config, struct fh_error *error);
/* The exit code. On a fiber; the store is closed when it returns. */
int service_task(struct runtime *runtime);

#endif
