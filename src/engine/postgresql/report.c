/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs a report, and when: one is under way at once, on a link of its own (report_link.c), and
 * others wait in line. One that is asked for in a snapshot reads in the same one, which is handed
 * on; the unit of work keeps its connection meanwhile, and goes on in it.
 */

#include "engine/postgresql/report_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/relational/report.h"

#define TRIALS_MS_MAX 10000 /* a start waits no longer */

/* ---- A report ---- */

static bool take_snapshot_name(void *context, const struct sql_row *row)
{
    snprintf(context, 64, "%s", row->values[0].text);
    return false;
}

/* That of the unit of work, which stays as it is while the report runs. */
static enum fh_code share_snapshot(struct store_work *work, char ret[static 64],
                                   struct fh_error *error)
{
    enum fh_code code = postgresql_patient(work, error);
    return code == FH_OK ? postgresql_run(work, "SELECT pg_export_snapshot()", NULL, 0,
                                          take_snapshot_name, ret, NULL, error)
                         : code;
}

enum fh_code postgresql_report(struct store_work *work, const char *sql,
                               const struct sql_value *values, int count,
                               const struct sql_taker *taker, struct fh_error *error)
{
    struct report_run run = {.store = (struct postgresql_store *)work->store,
                             .values = values,
                             .count = count,
                             .taker = taker,
                             .deadline_ns = work->deadline_ns,
                             .error = error};
    char snapshot[64] = "";
    bool holds = work->mode != STORE_READ_COMMITTED;
    if (store_writes(work->mode))
        return error_set(error, FH_UNSUPPORTED,
                         "A question is asked in a unit of work that only reads.");
    if (!run.deadline_ns)
        run.deadline_ns = world_in_ms(work->store->world, POSTGRESQL_REPORT_MS_MAX);
    enum fh_code code = report_link_init(&run, sql);
    if (code != FH_OK)
        return code;
    code = report_line_enter(&run.store->reports, work->store, run.deadline_ns, holds,
                             run.store->options.connections / 2, error);
    if (code == FH_OK) {
        run.link = report_link_new(run.store);
        if (holds)
            code = share_snapshot(work, snapshot, error);
        if (code == FH_OK)
            code = report_link_run(&run, snapshot);
        free(run.link);
        report_line_leave(&run.store->reports, holds);
    }
    report_link_release(&run);
    return code;
}

/* ---- Before any is asked for ---- */

static bool take_tried_columns(void *context, const char *const *names, int count)
{
    return report_columns_check(names, count, context) == FH_OK;
}

static bool pass_over(void *context, const struct sql_row *row)
{
    (void)context, (void)row;
    return true;
}

static void try_report(struct report_run *run, struct sql_report_trial *trial)
{
    static const struct sql_value nulls[SQL_VALUES_MAX];
    struct fh_error columns = {0};
    const struct sql_taker taker = {take_tried_columns, pass_over, &columns, 0};
    run->taker = &taker;
    run->values = nulls;
    run->count = trial->count;
    run->error = &trial->error;
    trial->error = (struct fh_error){0};
    if (report_link_init(run, trial->sql) != FH_OK)
        return;
    if (report_link_try(run) == FH_OK)
        trial->error = columns; /* an attempt may have left another one */
    report_link_release(run);
}

/* Of all of them there is one answer only where the server gives none, or lets nobody in. */
enum fh_code postgresql_report_try(struct store *base, struct sql_report_trial *trials, int count,
                                   struct fh_error *error)
{
    struct postgresql_store *store = (struct postgresql_store *)base;
    struct report_run run = {.store = store, .link = report_link_new(store)};
    enum fh_code code = FH_OK;
    run.deadline_ns = world_in_ms(base->world, TRIALS_MS_MAX);
    for (int i = 0; i < count && code == FH_OK; i++) {
        try_report(&run, &trials[i]);
        if (trials[i].error.code == FH_UNAVAILABLE || run.late || run.shut) {
            *error = trials[i].error;
            trials[i].error = (struct fh_error){0};
            code = error->code;
        }
    }
    postgresql_disconnect(run.link);
    free(run.link);
    return code;
}
