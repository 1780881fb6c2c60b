/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series as handlers see them, and the sweep of what is older than they keep.
 *
 * Where a derived store of them lies on a server, the service's own store has them all the same,
 * and the server a copy (carried.c), which is what answers. But for those that are declared to be
 * on the server alone (work_carried.kept): of these the store has no more than the outbox, until
 * they are durable there.
 *
 * A point that is too old already is left out, once it was checked: whether it comes a moment
 * before or after it is too old makes no difference to whoever asks. Until the sweep comes by what
 * is too old is there, and no question reads it, unless it becomes roll-ups.
 *
 *     killed before a slice of the sweep is durable    the next one begins anew
 *     killed after it                                  the same, with less to remove
 */

#include <string.h>

#include "base/crash.h"
#include "store/derived/series.h"
#include "work/batch.h"
#include "work/carried.h"
#include "work/command.h"
#include "work/derived.h"

#define SERIES_POINTS_MAX 1000
#define DAY_MS INT64_C(86400000)

/* The public name is a macro that passes on how large the caller's struct is. */
#undef fh_series
#undef fh_columns

int64_t work_series_oldest_ms(struct work_context *context, const struct fh_derived *declared)
{
    int64_t wall_ms = world_wall_ms(context->world), clock_ms = command_clock_ms(context);
    if (!declared->keep_days)
        return INT64_MIN;
    return series_points_ms(declared, (wall_ms < clock_ms ? wall_ms : clock_ms) -
                                          declared->keep_days * DAY_MS);
}

/* With roll-ups a question reads points of a server from where its own store has moved none, which
 * is a moment before it asks: so a server keeps them for longer than any question takes, and an
 * interval begins. */
int64_t work_series_carried_ms(struct work_context *context, const struct fh_derived *declared)
{
    int64_t oldest_ms = work_series_oldest_ms(context, declared);
    if (!declared->keep_days || series_rollup_count(declared) == 0)
        return oldest_ms;
    return oldest_ms - declared->rollups[0].every_ms - DAY_MS;
}

/* ---- Handlers ---- */

/* A server has a copy of it, or is the only one to have it. */
static void note_fact(fh_work *w, const struct fh_derived *declared, int64_t id, int64_t at_ms,
                      const json_t *fact)
{
    bool alone = work_carries_alone(w->context, declared);
    struct sql_value values[DERIVED_FIELDS_MAX];
    for (int i = 0; declared->fields[i].name; i++)
        values[i] =
            series_value_of(&declared->fields[i], json_object_get(fact, declared->fields[i].name));
    (alone ? carried_note_kept : carried_note_fact)(w, declared,
                                                    &(struct derived_fact){id, at_ms, values});
}

/* Where the outbox is full of what the server has not got yet, there is no other place for more;
 * nor is there for what the server would refuse. */
static void note_kept_fact(fh_work *w, const struct fh_derived *declared, int64_t number,
                           int64_t at_ms, const json_t *fact)
{
    const struct work_carried *carried = w->context->carried;
    struct fh_error error;
    enum fh_code code =
        carried->takes ? carried->takes(w->context, declared, at_ms, &error) : FH_OK;
    if (code == FH_UNAVAILABLE)
        work_fail_as(w, PROBLEM_DEPENDENCY_UNAVAILABLE, NULL, error.message);
    else if (code != FH_OK)
        derived_fail(w, &error);
    note_fact(w, declared, number, at_ms, fact);
}

void fh_fact(fh_work *w, const char *name, int64_t at_ms, json_t *fact)
{
    const struct fh_derived *found = derived_find(w->context->service, name);
    bool columns = found && found->model == FH_COLUMNS;
    const struct fh_derived *declared =
        derived_declared(w, "fh_fact", name, columns ? FH_COLUMNS : FH_SERIES);
    struct store_work *work = work_store_write(w);
    int64_t *number = &w->series_numbers[declared - w->context->service->derives], id;
    struct fh_error error;
    if (++w->points > SERIES_POINTS_MAX)
        work_fault(w, "One unit of work has at most %d points.", SERIES_POINTS_MAX);
    if (series_fact_check(declared, at_ms, fact, &error) != FH_OK)
        derived_fail(w, &error);
    derived_marks_check(w, "fh_fact", declared, fact);
    if (at_ms < work_series_oldest_ms(w->context, declared))
        return;
    if (work_carries_alone(w->context, declared)) {
        note_kept_fact(w, declared, (*number)++, at_ms, fact);
        return;
    }
    work_waits(w);
    const struct derived_ops *derived = derived_engine(work->store);
    if ((columns ? derived->add : derived->measure)(work, declared, number, at_ms, fact, &id,
                                                    &error) != FH_OK)
        work_fail(w, &error);
    if (id && work_carries(w->context, declared))
        note_fact(w, declared, id, at_ms, fact);
}

/* Of `declared`, which says what `what` is. */
static enum fh_code ask_measured(fh_work *w, struct store_work *work,
                                 const struct fh_derived *declared, const void *what, json_t **ret,
                                 struct fh_error *error)
{
    const struct derived_ops *derived = derived_engine(work->store);
    int64_t oldest_ms = work_series_oldest_ms(w->context, declared);
    return declared->model == FH_COLUMNS
               ? derived->columns(work, declared, what, oldest_ms, ret, error)
               : derived->series(work, declared, what, oldest_ms, ret, error);
}

static enum fh_code check_measured(fh_work *w, const struct fh_derived *declared, const void *what,
                                   struct fh_error *error)
{
    int64_t oldest_ms = work_series_oldest_ms(w->context, declared);
    return declared->model == FH_COLUMNS ? columns_asked_check(declared, what, oldest_ms, error)
                                         : series_asked_check(declared, what, oldest_ms, error);
}

json_t *fh_series(fh_work *w, const char *name, size_t size, const struct fh_series *series)
{
    const struct fh_derived *declared = derived_declared(w, "fh_series", name, FH_SERIES);
    struct fh_series known = {0};
    memcpy(&known, series, size < sizeof known ? size : sizeof known);
    if (work_carries(w->context, declared))
        return derived_ask_server(w, "fh_series", declared, check_measured, &known);
    return derived_ask(w, "fh_series", declared, ask_measured, &known);
}

json_t *fh_columns(fh_work *w, const char *name, size_t size, const struct fh_columns *columns)
{
    const struct fh_derived *declared = derived_declared(w, "fh_columns", name, FH_COLUMNS);
    struct fh_columns known = {0};
    memcpy(&known, columns, size < sizeof known ? size : sizeof known);
    if (work_carries(w->context, declared))
        return derived_ask_server(w, "fh_columns", declared, check_measured, &known);
    return derived_ask(w, "fh_columns", declared, ask_measured, &known);
}

/* ---- The sweep ---- */

struct series_slice {
    const struct fh_derived *declared;
    int64_t oldest_ms;
    struct series_trimming before, after;
};

/* After a conflict it runs again, from where it began. */
static enum fh_code trim_series(struct store_work *work, void *what, struct fh_error *error)
{
    struct series_slice *slice = what;
    slice->after = slice->before;
    enum fh_code code = derived_engine(work->store)
                            ->trim(work, slice->declared, slice->oldest_ms, &slice->after, error);
    CRASH_POINT("series.trimmed");
    return code;
}

/* The next one from there on of which the service's own store has something that it does not keep,
 * or words to erase; NULL: there is none. */
static const struct fh_derived *swept_series(const struct work_context *context,
                                             struct series_sweep *sweep)
{
    const fh_service *service = context->service;
    for (; sweep->derived < derived_count(service); sweep->derived++) {
        const struct fh_derived *declared = &service->derives[sweep->derived];
        bool keeps_some = declared->keep_days && !work_carries_alone(context, declared);
        bool erases = derived_erases_words(declared) && !work_carries(context, declared);
        if (keeps_some || erases)
            return declared;
    }
    return NULL;
}

enum fh_code work_series_sweep(struct work_context *context, struct series_sweep *sweep,
                               struct fh_error *error)
{
    struct series_slice slice = {.declared = swept_series(context, sweep), .before = sweep->at};
    sweep->done = !slice.declared;
    if (sweep->done)
        return FH_OK;
    slice.oldest_ms = work_series_oldest_ms(context, slice.declared);
    enum fh_code code = work_write(context, trim_series, &slice, -1, error);
    CRASH_POINT("series.durable");
    sweep->at = slice.after;
    if (code == FH_OK && !slice.after.done)
        return FH_OK;
    *sweep = (struct series_sweep){.derived = sweep->derived + 1};
    return code;
}
