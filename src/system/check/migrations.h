/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_MIGRATIONS_H
#define SYSTEM_CHECK_MIGRATIONS_H

/* Checks the services' migrations, and which new ones break the running version (breaks.h). */

#include "store/relational/sql.h"
#include "system/file/file.h"

const struct sql_dialect *migrations_dialect(const char *engine);
/* Whether the service's files can be read at all. */
void migrations_check(const struct system_service *service, struct findings *findings);
/* For all services, by what each recorded in the state folder when it was last ready. What can't be
 * known that way is added to `not_judged`, as clauses. */
void migrations_check_recorded(struct system_file *file, const char *state_folder,
                               struct findings *findings, json_t *not_judged);

/*
 * Compares the migrations in the service's store with those in its files, in version order:
 *
 *   [{"version", "name", "checksum", "state", "applied_ms", "statements", "done", "line", "todo",
 *     "sql"}]
 *
 *   applied  and the file is unchanged
 *   pending  the next start applies it
 *   stopped  begun statement by statement; `done` of its `statements` stand, the next is at `line`
 *   unknown  the same, but whether that next one was done is unknown: needs an operator
 *   changed  applied, and its file has changed since
 *   gone     applied or begun, and there is no such file
 *   newer    applied by a newer version of the service; this one can still run
 *   late     new, with a lower number than one that was applied
 *
 * `todo` is a sentence, where an operator has to do something. `has` is the result of
 * service_migrations (service/task.h), NULL if there is no store yet. `sql`: include the text of
 * those not applied. FH_INVALID: the files can't be read. New reference.
 */
enum fh_code migrations_state(const struct system_service *service, const json_t *has, bool sql,
                              json_t **ret, struct fh_error *error);
/* Whether the next start would apply it, or be stopped by it. */
bool migrations_applies(const json_t *migration);
bool migrations_hinders(const json_t *migration);

/* Judges those newer than `applied`, the newest in the store. */
void migrations_check_new(struct system_file *file, const struct system_service *service,
                          int64_t applied, struct findings *findings);

#endif
