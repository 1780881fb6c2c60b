/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MARIADB_REPORT_LINK_H
#define ENGINE_MARIADB_REPORT_LINK_H

/* One report on the server: report_link.c, for report.c and report_rights.c. */

#include "engine/mariadb/internal.h"

struct mariadb_report_run {
    struct mariadb_store *store;
    struct mariadb_connection *link; /* NULL: it is down */
    struct mariadb_text *text;
    const char *sql;
    const struct sql_value *values;
    const struct sql_taker *taker;
    int count;
    int64_t deadline_ns;
    bool late, stopped; /* its time is over; its taker takes no more */
    bool shut;          /* its user is not let in, whatever the report is */
    bool valued;        /* it runs, with its values */
    int rows;           /* since others had their turn */
    int line;           /* of the statement, from 1: where the server found a fault; 0: unknown */
    struct fh_error *error;
};

/* The text of this statement. FH_UNSUPPORTED: it is none that a report may be, or there is nobody
 * who runs it. Else mariadb_report_link_release. */
enum fh_code mariadb_report_link_init(struct mariadb_report_run *run, const char *sql);
void mariadb_report_link_release(struct mariadb_report_run *run);
/* Up, as the user for reports, in no database. */
enum fh_code mariadb_report_link_connect(struct mariadb_report_run *run);
/* Whether he may do more than a report may: FH_UNSUPPORTED. */
enum fh_code mariadb_report_link_check(struct mariadb_report_run *run);
/* Down. What the server still does for it ends. */
void mariadb_report_link_close(struct mariadb_report_run *run);
/* What sql_ops.report says. Leaves the link down. */
enum fh_code mariadb_report_link_run(struct mariadb_report_run *run);
/* Whether it could be run, but for its values. Its columns are told. Leaves the link up, for the
 * next one, unless it broke. */
enum fh_code mariadb_report_link_try(struct mariadb_report_run *run);

#endif
