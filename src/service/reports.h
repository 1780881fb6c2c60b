/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_REPORTS_H
#define SERVICE_REPORTS_H

/*
 * Reports as files beside the service, "reports/sales_by_day.sql" (store/relational/report.h says
 * what is in one). An engine's own variant is in a folder named after the engine ("sqlite/...") and
 * takes precedence. A process serves those that were there when it started.
 */

#include "service/exchange.h"
#include "store/relational/report.h"

/* `folder` NULL: there are none. FH_INVALID: the folder can't be read, or has too many; what is
 * wrong with one file is kept with its report. */
enum fh_code reports_read(const char *folder, const char *engine, const struct sql_ops *sql,
                          struct reports *ret, struct fh_error *error);
/* Whether there are any for this engine; true also where that can't be read. */
bool reports_are_there(const char *folder, const char *engine);
void reports_release(struct reports *all);

/* Reads those of the configuration, and logs what can't be run. Nothing that is wrong with reports
 * keeps a service from serving. */
void service_reports_take(const fh_service *service, const json_t *config, const char *engine,
                          struct reports *ret);

/* Once migrations are done: who runs them may read what they made; and, where only the store's
 * server can say so, whether each can be run. Logs what can't. */
void service_reports_open(struct store *store, struct reports *all);

/* GET /_freehold/reports: {"reports": [{"name", "summary", "takes": [{"name", "type", "optional"}],
 * "why"}]}; `why`: it can't be run. */
void operators_reports(struct runtime *runtime, struct exchange *exchange);
/* GET /_freehold/report?name=&with=: `with` is an object of texts, as JSON. {"columns", "rows"}. */
void operators_report(struct runtime *runtime, struct exchange *exchange);

#endif
