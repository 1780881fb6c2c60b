/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_REPORT_LINK_H
#define ENGINE_POSTGRESQL_REPORT_LINK_H

/* One report on the server: report_link.c, for report.c. */

#include "engine/postgresql/internal.h"

struct report_run {
    struct postgresql_store *store;
    struct postgresql_connection *link;
    struct postgresql_statement statement; /* a copy: its types are this run's */
    const struct sql_value *values;
    int count;
    const struct sql_taker *taker;
    int64_t deadline_ns;
    bool late, stopped; /* its time is over; its taker takes no more */
    bool shut;          /* its user is not let in, whatever the report is */
    bool part;          /* it is prepared as a part */
    bool valued;        /* it runs, with its values */
    bool by_value;      /* it has failed, and with others it may not */
    int untyped;        /* of a failed attempt: the parameter without a type, from 1 */
    int rows;           /* since others had their turn */
    struct fh_error *error;
};

/* The statement of this text. FH_UNSUPPORTED: it is none that a report may be, or there is nobody
 * who runs it. Else report_link_release. */
enum fh_code report_link_init(struct report_run *run, const char *sql);
void report_link_release(struct report_run *run);
/* For one report, or to try several; malloc'ed, and down. */
struct postgresql_connection *report_link_new(struct postgresql_store *store);
/* What sql_ops.report says. `snapshot`: another transaction's, or "". Leaves the link down. */
enum fh_code report_link_run(struct report_run *run, const char *snapshot);
/* Whether it could be run, but for its values, of which nothing is known: `values` are null. Its
 * columns are told. Leaves the link up, for the next one, unless it broke. */
enum fh_code report_link_try(struct report_run *run);

#endif
