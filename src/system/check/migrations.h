/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_MIGRATIONS_H
#define SYSTEM_CHECK_MIGRATIONS_H

/* What is wrong with the services' migrations, and which of the new ones break the version that
 * runs (breaks.h). */

#include "store/relational/sql.h"
#include "system/file/file.h"

const struct sql_dialect *migrations_dialect(const char *engine);
/* Whether the service's files can be read at all. */
void migrations_check(const struct system_service *service, struct findings *findings);
/* For all services, by what each has written down in the state folder when it last started. What
 * can't be known so is added to `not_judged`, as sentences. */
void migrations_check_recorded(struct system_file *file, const char *state_folder,
                               struct findings *findings, json_t *not_judged);

/* What the service's store has and its files say, together, in the order of their versions:
 *
 *   [{"version", "name", "checksum", "state", "applied_ms", "statements", "done", "line", "todo",
 *     "sql"}]
 *
 *   applied    and the file is as it was
 *   pending    the next start applies it
 *   stopped    begun statement by statement; `done` of its `statements` stand, the next is at
 * `line` unknown    the same, and nobody knows whether that next one was done: a person has to look
 *   changed    applied, and its file is another one since
 *   gone       applied or begun, and there is no such file
 *   newer      applied by a newer version of the service; this one runs on
 *   late       new, with a lower number than one that was applied
 *
 * `todo` is a sentence for what a person has to do something about. `has` is what
 * service_migrations tells (service/task.h), NULL where there is no store yet. `sql`: with the text
 * of those that are not applied. FH_INVALID: the files can't be read. New reference. */
enum fh_code migrations_state(const struct system_service *service, const json_t *has, bool sql,
                              json_t **ret, struct fh_error *error);
/* Is it one that the next start would apply, or that stops it? */
bool migrations_applies(const json_t *migration);
bool migrations_hinders(const json_t *migration);

/* Judges those newer than `applied`, the newest that the store has. */
void migrations_check_new(struct system_file *file, const struct system_service *service,
                          int64_t applied, struct findings *findings);

#endif
