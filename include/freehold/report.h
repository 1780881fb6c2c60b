/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_REPORT_H
#define FREEHOLD_REPORT_H

/* A part of freehold.h, which includes it: reports (docs/guide/reports.md). */

/*
 * A report is a statement in a file beside the service, "reports/sales_by_day.sql", for questions
 * over much of what its store holds. It only reads, and notes before it say what it takes:
 *
 *     -- What was sold, by day.
 *     -- freehold: takes from_day text
 *     SELECT day, sum(cents) AS cents FROM sale WHERE day >= :from_day GROUP BY day ORDER BY day
 *
 * fh_report(w, "sales_by_day", fh_query(w)) answers as fh_rows does, [{"day": "...", "cents": 7}],
 * and looks for what it takes in the objects, in order. At most 100,000 rows, and 8 MiB; 422
 * beyond. Others are answered meanwhile; it ends, with 503, at the deadline of the unit of work,
 * and at once where too many wait. In stores on SQLite.
 *
 * When it may be asked: as fh_search, in a GET handler, in others before the store is first used.
 */
FH_API json_t *fh_report(fh_work *w, const char *name, ...) FH_OBJECTS;

/* A macro of this name ends the list of objects. `freehold check` looks for the report. */
#define fh_report(...) FH_SQL(fh_report, #__VA_ARGS__, __VA_ARGS__)

#endif
