/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setting and cancelling timers, in the handler's own unit of work: the row is written and removed
 * at once, so a handler finds what it has set itself. Its id begins with the due time, so that
 * fh_cancel needs no other index. Only after the commit is the instance that fires told of it; if
 * that is lost, it is told by the next look at the leases, or finds the row when it next reads.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "shape/shape.h"
#include "timer/manager.h"
#include "work/spans.h"

#define DUE_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

/* What one run of a handler has set; on that run's arena. */
struct timers_set {
    int64_t earliest_ms;
    int count;
};

static void timers_committed(fh_work *w, void *argument)
{
    const struct timers_set *set = argument;
    timer_was_set(w->context->timers, set->earliest_ms);
}

static struct timers_set *timers_set_of(fh_work *w)
{
    for (struct work_hook *hook = w->hooks_first; hook; hook = hook->next) {
        if (hook->committed == timers_committed)
            return hook->argument;
    }
    struct timers_set *set = work_alloc(w, sizeof *set);
    *set = (struct timers_set){.earliest_ms = INT64_MAX};
    work_on_end(w, NULL, timers_committed, set);
    return set;
}

/* What can't be read again, since it is nested too deeply, must not be written. */
static void timer_text_check(fh_work *w, const char *name, const char *text)
{
    struct fh_error error;
    json_t *again = NULL;
    if (strlen(text) > TIMER_DATA_SIZE_MAX)
        work_fault(w, "The data of timer %s is larger than %zu bytes.", name, TIMER_DATA_SIZE_MAX);
    struct arena *before = json_arena_set(NULL);
    enum fh_code code = json_parse(text, strlen(text), &again, &error);
    json_decref(again);
    json_arena_set(before);
    if (code != FH_OK)
        work_fault(w, "The data of timer %s can't be kept: %s", name, error.message);
}

static void timer_data_check(fh_work *w, const struct fh_timer *timer, const json_t *data)
{
    json_t *faults = timer->data ? shape_check(timer->data, data) : NULL;
    const json_t *fault = json_array_get(faults, 0);
    if (fault)
        work_fault(w, "The data of timer %s does not fit its declared shape, at \"%s\": %s",
                   timer->name, json_string_at(fault, "pointer"), json_string_at(fault, "detail"));
}

static void timer_set(fh_work *w, const struct ledger_timer *timer)
{
    struct fh_error error;
    struct timers_set *set = timers_set_of(w);
    if (set->count++ >= TIMER_SET_MAX)
        work_fault(w, "One unit of work sets at most %d timers.", TIMER_SET_MAX);
    if (ledger_timer_put(w->store_work, timer, &error) != FH_OK)
        work_fail(w, &error);
    if (timer->due_ms < set->earliest_ms)
        set->earliest_ms = timer->due_ms;
}

const char *fh_at(fh_work *w, int64_t when_ms, const char *name, json_t *data)
{
    const struct fh_timer *declared = timer_declared(w->context->service, name);
    if (!declared)
        work_fault(w, "%s set timer %s, which is not among its declared `timers`.",
                   w->context->service->name, name);
    if (when_ms < 0 || when_ms > DUE_MS_MAX)
        work_fault(w,
                   "Timer %s can't be set for %lld: a time in milliseconds since 1970 is needed.",
                   name, (long long)when_ms);
    if (data && !json_is_object(data))
        work_fault(w, "The data of timer %s must be an object, or NULL.", name);
    work_store_write(w);
    json_t *given = data ? data : json_object();
    timer_data_check(w, declared, given);
    const char *text = json_text(given); /* on the run's arena */
    timer_text_check(w, name, text);
    const struct ledger_timer timer = {.kind = LEDGER_TIMER_SET,
                                       .due_ms = when_ms,
                                       .name = fh_id_new(w),
                                       .handler = declared->name,
                                       .data = text,
                                       .trace = spans_is_traceparent(w->trace) ? w->trace : NULL,
                                       .error = ""};
    if (work_reaches_out(w))
        timer_set(w, &timer);
    char *id = work_alloc(w, TIMER_ID_SIZE);
    timer_id_format(id, timer.due_ms, timer.name);
    return id;
}

bool fh_cancel(fh_work *w, const char *id)
{
    struct fh_error error;
    struct ledger_timer timer = {.kind = LEDGER_TIMER_SET};
    int64_t taken = 0;
    if (!id || !timer_id_parse(id, &timer.due_ms, &timer.name) ||
        strncmp(timer.name, SCHEDULE_PREFIX, strlen(SCHEDULE_PREFIX)) == 0)
        return false;
    struct store_work *work = work_store_write(w);
    if (!work_reaches_out(w))
        return false;
    enum fh_code code = ledger_timers_take(work, &timer, 1, &taken, &error);
    if (code == FH_OK && taken == 0) { /* it may have failed too often: it is pending as well */
        timer.kind = LEDGER_TIMER_PARKED;
        code = ledger_timers_take(work, &timer, 1, &taken, &error);
    }
    if (code != FH_OK)
        work_fail(w, &error);
    return taken > 0;
}

/* ---- What handlers see ---- */

static const struct ledger_timer *timer_of(fh_work *w, const char *what)
{
    if (!w->timer)
        work_fault(w, "%s is for handlers of `timers` and `every`.", what);
    return w->timer;
}

json_t *fh_timer_data(fh_work *w)
{
    timer_of(w, "fh_timer_data");
    json_t *copy = json_deep_copy(w->given.value);
    if (!copy)
        work_fault(w, "This unit of work has no memory left for its timer's data.");
    return copy;
}

int64_t fh_timer_due_ms(fh_work *w)
{
    return timer_of(w, "fh_timer_due_ms")->due_ms;
}
