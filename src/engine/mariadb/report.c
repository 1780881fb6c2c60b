/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs a report, and when: one is under way at once, on a link of its own (report_link.c), and
 * others wait in line. It reads what is committed when it begins, also in a unit of work with a
 * snapshot: the server has no way to hand that on to another link.
 */

#include "engine/mariadb/report_link.h"
#include "store/relational/report.h"

#define REPORT_TRIALS_MS_MAX 10000 /* a start waits no longer */
#define REPORT_OTHERWISE_MS 30000  /* without a deadline */

enum fh_code mariadb_report(struct store_work *work, const char *sql,
                            const struct sql_value *values, int count,
                            const struct sql_taker *taker, struct fh_error *error)
{
    struct mariadb_store *store = (struct mariadb_store *)work->store;
    struct mariadb_report_run run = {.store = store,
                                     .values = values,
                                     .count = count,
                                     .taker = taker,
                                     .deadline_ns = work->deadline_ns,
                                     .error = error};
    bool holds = work->mode != STORE_READ_COMMITTED;
    if (store_writes(work->mode))
        return error_set(error, FH_UNSUPPORTED,
                         "A question is asked in a unit of work that only reads.");
    if (!run.deadline_ns)
        run.deadline_ns = world_in_ms(work->store->world, REPORT_OTHERWISE_MS);
    enum fh_code code = mariadb_report_link_init(&run, sql);
    if (code != FH_OK)
        return code;
    code = report_line_enter(&store->reports, work->store, run.deadline_ns, holds,
                             store->reads.count_max / 2, error);
    if (code == FH_OK) {
        code = mariadb_report_link_run(&run);
        report_line_leave(&store->reports, holds);
    }
    mariadb_report_link_release(&run);
    return code;
}

/* ---- Before any is asked for ---- */

static bool take_tried_names(void *context, const char *const *names, int count)
{
    return report_columns_check(names, count, context) == FH_OK;
}

static void try_one_report(struct mariadb_report_run *run, struct sql_report_trial *trial)
{
    static const struct sql_value nulls[SQL_VALUES_MAX];
    struct fh_error columns = {0};
    const struct sql_taker taker = {take_tried_names, NULL, &columns, 0};
    run->taker = &taker;
    run->values = nulls;
    run->count = trial->count;
    run->error = &trial->error;
    trial->error = (struct fh_error){0};
    if (mariadb_report_link_init(run, trial->sql) != FH_OK)
        return;
    if (mariadb_report_link_try(run) == FH_OK)
        trial->error = columns; /* an attempt may have left another one */
    trial->line = run->line;
    mariadb_report_link_release(run);
}

/* Of all of them there is one answer only where the server gives none, or lets nobody in. */
enum fh_code mariadb_report_try(struct store *base, struct sql_report_trial *trials, int count,
                                struct fh_error *error)
{
    struct mariadb_report_run run = {.store = (struct mariadb_store *)base};
    enum fh_code code = FH_OK;
    run.deadline_ns = world_in_ms(base->world, REPORT_TRIALS_MS_MAX);
    for (int i = 0; i < count && code == FH_OK; i++) {
        try_one_report(&run, &trials[i]);
        if (trials[i].error.code == FH_UNAVAILABLE || run.late || run.shut) {
            *error = trials[i].error;
            trials[i].error = (struct fh_error){0};
            code = error->code;
        }
    }
    mariadb_report_link_close(&run);
    return code;
}
