/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_REPORTS_H
#define SYSTEM_CHECK_REPORTS_H

/* The reports of a service (service/reports.h): whether each can be run, before any is. */

#include "service/reports.h"
#include "store/relational/trial.h"
#include "system/file/file.h"

/* Finds those of a service whose store runs none. `engine` NULL: it is not known, which is reported
 * elsewhere. */
void reports_check_store(const struct system_service *service, const struct engine *engine,
                         struct findings *findings);
/* Reads them; *ret: those that there are, to be released. What is wrong with their files is found.
 */
void reports_check(struct system_file *file, const struct system_service *service,
                   const struct engine *engine, struct findings *findings, struct reports *ret);
/* Tries their statements on a store that has all that the migrations make. */
void reports_check_statements(struct system_file *file, const struct system_service *service,
                              const struct engine *engine, struct sql_trial *trial,
                              const struct reports *all, struct findings *findings);

/* For an engine that has no store for trying: by a parser. What that does not read is a warning,
 * its grammar may be older than the server's; what can't be a part of another statement does
 * something else than to read. */
typedef enum fh_code reports_parse(const void *context, const char *sql, struct fh_error *error);
void reports_check_parsed(struct system_file *file, const struct system_service *service,
                          const struct reports *all, reports_parse *parse, const void *context,
                          struct findings *findings);

#endif
