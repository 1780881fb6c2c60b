/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as handlers see them: asked as derived stores are (derived.c), and answered as SQL is. */

#include "store/relational/report.h"

#include <stdarg.h>

#include "work/derived.h"

/* The public name is a macro that ends the list of objects. */
#undef fh_report

struct asked_report {
    const struct report *report;
    struct sql_value values[RELATIONAL_NAMES_MAX];
};

static const struct report *report_of_service(fh_work *w, const char *name)
{
    const struct reports *all = w->context->reports;
    const struct report *report = all ? reports_find(all, name) : NULL;
    if (w->context->service->model != FH_RELATIONAL)
        work_fault(w, "fh_report of %s: reports are for services of the relational model.", name);
    if (!report)
        work_fault(w, "fh_report of %s: %s has no such report; expected reports/%s.sql.", name,
                   w->context->service->name, name);
    return report;
}

static enum fh_code ask_named_report(fh_work *w, struct store_work *work,
                                     const struct fh_derived *declared, const void *what,
                                     json_t **ret, struct fh_error *error)
{
    const struct asked_report *asked = what;
    (void)w, (void)declared;
    return report_run(work, asked->report, asked->values, REPORT_OBJECTS, ret, error);
}

json_t *fh_report(fh_work *w, const char *name, ...)
{
    json_t *objects[WORK_OBJECTS_MAX];
    struct asked_report asked = {.report = report_of_service(w, name)};
    struct fh_error error;
    va_list args;
    va_start(args, name);
    int count = work_objects_of(w, args, objects);
    va_end(args);
    if (!asked.report->why[0] &&
        report_bind(asked.report, objects, count, asked.values, &error) != FH_OK)
        work_fail(w, &error);
    return derived_ask(w, "fh_report", NULL, ask_named_report, &asked);
}
