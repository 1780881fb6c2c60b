/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_REPORT_H
#define ENGINE_POSTGRESQL_REPORT_H

/* Reports: report.c and report_link.c run them, report_words.c looks at their text, report_rights.c
 * says what their user may read. */

#include "base/error.h"
#include "store/relational/report_line.h"
#include "store/relational/sql.h"

#define POSTGRESQL_REPORT_MS_MAX 30000 /* without a deadline */

enum fh_code postgresql_report(struct store_work *work, const char *sql,
                               const struct sql_value *values, int count,
                               const struct sql_taker *taker, struct fh_error *error);
enum fh_code postgresql_report_try(struct store *store, struct sql_report_trial *trials, int count,
                                   struct fh_error *error);
/* Pure. FH_UNSUPPORTED: what it names no report may use, whoever runs it. */
enum fh_code postgresql_report_fits(const char *sql, struct fh_error *error);
/* Lets the user for reports read what the service itself keeps, and nothing else. */
enum fh_code postgresql_report_rights(struct store *store, struct fh_error *error);
/* FH_UNSUPPORTED: that user may do all that the service's user may. */
struct postgresql_store;
enum fh_code postgresql_report_unfit(const struct postgresql_store *store, struct fh_error *error);

#endif
