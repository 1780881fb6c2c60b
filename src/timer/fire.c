/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firing: a batch of timers in one unit of work, whose first statements remove their rows. If one
 * of them was gone, nothing is done: somebody else has fired it, or it was cancelled. A schedule's
 * row is moved to its next run instead, and runs alone.
 *
 *   killed before the commit is durable   the rows are there, and fire again
 *   killed after it                       they are gone, and what the handlers did is there
 *
 * A timer that is parked goes on as a row of another kind, in the unit of work that removes it; of
 * a schedule that run does, and the schedule itself goes on with its next one.
 */

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/doing.h"
#include "base/json.h"
#include "timer/manager.h"
#include "work/batch.h"
#include "work/redact.h"
#include "work/spans.h"

/* ---- The fence ---- */

struct timer_fence {
    struct work_fence fence; /* first: it is cast from */
    const struct timer_firing *firing;
    bool gone;
};

static enum fh_code take_due_timers(struct store_work *work, const struct timer_firing *firing,
                                    bool *ret_gone, struct fh_error *error)
{
    int64_t taken = 0;
    enum fh_code code = ledger_timers_take(work, firing->timers, firing->count, &taken, error);
    CRASH_POINT("timer.taken");
    *ret_gone = code == FH_OK && taken != firing->count;
    if (*ret_gone)
        return error_set(error, FH_CONFLICT, "A timer was fired or cancelled meanwhile.");
    return code;
}

static enum fh_code move_schedule(struct store_work *work, const struct timer_firing *firing,
                                  struct fh_error *error)
{
    int64_t missed;
    if (!firing->schedule)
        return FH_OK;
    struct ledger_timer next = schedule_next(firing->schedule, firing->timers[0].due_ms,
                                             world_wall_ms(timer_world(firing->manager)), &missed);
    return ledger_timer_put(work, &next, error);
}

static enum work_verdict timer_fence_check(struct work_fence *fence, struct store_work *work,
                                           struct fh_error *error)
{
    struct timer_fence *own = (struct timer_fence *)fence;
    enum fh_code code = take_due_timers(work, own->firing, &own->gone, error);
    if (code == FH_OK)
        code = move_schedule(work, own->firing, error);
    CRASH_POINT("timer.moved");
    return work_verdict_of(code, error);
}

/* ---- Firing ---- */

/* Runs instead of the handler, which would find no data and take that for what was given. */
static void refuse_damaged_timer(fh_work *w)
{
    work_fault(w, "The data of timer %s can't be read.", w->timer->handler);
}

static void prepare_timer(const struct timer_firing *firing, int index, fh_work *w)
{
    const struct ledger_timer *timer = &firing->timers[index];
    struct work_context *context = firing->manager->context;
    const struct fh_timer *declared = timer_declared(context->service, timer->handler);
    bool scheduled = strncmp(timer->name, SCHEDULE_PREFIX, strlen(SCHEDULE_PREFIX)) == 0;
    json_t *data = NULL;
    work_init(w, context, timer_handler(firing->manager, timer));
    struct arena *before = json_arena_set(&w->kept);
    if (json_parse(timer->data, strlen(timer->data), &data, ERROR_UNHEEDED) != FH_OK)
        w->handler = refuse_damaged_timer;
    json_arena_set(before);
    w->timer = timer;
    w->doing = timer_doing(firing->manager, timer);
    w->given =
        (struct work_given){.shape = declared && !scheduled ? declared->data : NULL, .value = data};
    w->trace = timer->trace;
    w->deadline_ns = world_in_ms(context->world, TIMER_HANDLER_MS_MAX);
}

static void keep_spans(const struct timer_firing *firing, fh_work *const *works, enum fh_code code,
                       int64_t began_ns)
{
    for (int i = 0; i < firing->count; i++) {
        char id[TIMER_ID_SIZE];
        timer_id_format(id, firing->timers[i].due_ms, firing->timers[i].name);
        struct span span = {.kind = SPAN_HANDLER,
                            .parent = firing->timers[i].trace,
                            .what = firing->timers[i].handler,
                            .key = id,
                            .status = code == FH_OK         ? 200
                                      : i == firing->failed ? works[i]->reply_status
                                                            : 0,
                            .began_ns = began_ns};
        spans_keep(firing->manager->context->spans, &span);
    }
}

/* For timer-failed, which is not written with each attempt, and for a test. Those after the one to
 * blame were only stopped. */
static void take_timer_fault(struct timer_firing *firing, fh_work *const *works, bool outage)
{
    fh_work *w = firing->failed >= 0 ? works[firing->failed] : NULL;
    firing->fault[0] = '\0';
    if (w && !outage)
        fault_text(w, firing->fault);
    if (w)
        fault_take(w);
    for (int i = 0; i < firing->count; i++)
        fault_is_told(works[i]);
}

/* Whose handlers met an outage that is not the store's: those before the first use of the store ran
 * side by side, so there may be many. */
static bool find_waiting(struct timer_firing *firing, fh_work *const *works)
{
    for (int i = 0; i < firing->count; i++) {
        const fh_work *w = works[i];
        firing->waits[i] = w->failure.code == FH_UNAVAILABLE && !w->by_store &&
                           work_batch_is_outage(w->failure.code, &w->failure, w);
    }
    return firing->failed >= 0 && firing->waits[firing->failed];
}

/* What is known of the failure of a batch that is tried: nothing is told, since all that it met is
 * met again. */
static bool fires_apart(struct timer_firing *firing, fh_work *const *works, bool outage)
{
    if (!firing->tries || firing->failed < 0 || outage)
        return false;
    firing->parts = works[firing->failed]->parts;
    for (int i = 0; i < firing->count; i++)
        fault_is_told(works[i]);
    return true;
}

enum timer_verdict timers_fire(struct timer_firing *firing)
{
    struct work_context *context = firing->manager->context;
    int64_t began_ns = world_monotonic_ns(context->world), missed;
    fh_work *works = calloc((size_t)firing->count, sizeof *works);
    fh_work **list = calloc((size_t)firing->count, sizeof(fh_work *));
    struct timer_fence fence = {.fence.check = timer_fence_check, .firing = firing};
    FH_ASSERT(works != NULL && list != NULL && firing->count > 0);
    firing->failed = -1;
    firing->error = (struct fh_error){0};
    if (firing->schedule)
        schedule_next(firing->schedule, firing->timers[0].due_ms, world_wall_ms(context->world),
                      &missed);
    firing->missed = firing->schedule ? missed : 0;
    for (int i = 0; i < firing->count; i++) {
        prepare_timer(firing, i, &works[i]);
        list[i] = &works[i];
    }
    enum fh_code code = work_batch(context, list, firing->count, &fence.fence, NULL,
                                   &firing->failed, &firing->error);
    CRASH_POINT("timer.fired");
    const fh_work *to_blame = firing->failed >= 0 ? list[firing->failed] : NULL;
    for (int i = 0; code != FH_OK && i < firing->count; i++)
        work_redact(list[i], SHAPE_MARKED, firing->error.message, sizeof firing->error.message);
    bool outage = code != FH_OK && work_batch_is_outage(code, &firing->error, to_blame);
    bool waits = outage && find_waiting(firing, list);
    bool apart = code != FH_OK && fires_apart(firing, list, outage);
    if (!apart) {
        take_timer_fault(firing, list, outage);
        keep_spans(firing, list, code, began_ns);
    }
    for (int i = 0; i < firing->count; i++)
        work_release(&works[i]);
    free(list);
    free(works);
    if (code == FH_OK)
        return TIMER_FIRED;
    if (fence.gone)
        return TIMER_GONE;
    if (apart)
        return TIMER_APART;
    return waits ? TIMER_WAITS : outage ? TIMER_OUTAGE : TIMER_FAILED;
}

/* ---- Parking ---- */

struct parking {
    struct timer_firing *firing;
    const char *why;
    int attempts;
    bool gone, full;
};

static enum fh_code park_timer_row(struct store_work *work, void *what, struct fh_error *error)
{
    struct parking *parking = what;
    const struct timer_firing *firing = parking->firing;
    struct ledger_timer parked = firing->timers[0];
    int64_t count = 0;
    parking->gone = parking->full = false;
    enum fh_code code = take_due_timers(work, firing, &parking->gone, error);
    if (code == FH_OK)
        code = ledger_timers_count(work, LEDGER_TIMER_PARKED, TIMER_PARKED_MAX, &count, error);
    parking->full = code == FH_OK && count >= TIMER_PARKED_MAX;
    if (parking->full)
        return error_set(error, FH_CONFLICT,
                         "%d timers are parked, as many as may be: that is no longer the fault of "
                         "single timers.",
                         TIMER_PARKED_MAX);
    if (code == FH_OK)
        code = move_schedule(work, firing, error);
    parked.kind = LEDGER_TIMER_PARKED;
    parked.attempts = parking->attempts;
    parked.error = parking->why;
    if (code == FH_OK)
        code = ledger_timer_put(work, &parked, error);
    CRASH_POINT("timer.parked");
    return code;
}

enum timer_verdict timer_park(struct timer_firing *firing, const char *why, int attempts)
{
    struct parking parking = {firing, why, attempts, false, false};
    firing->error = (struct fh_error){0};
    enum fh_code code =
        work_write(firing->manager->context, park_timer_row, &parking, -1, &firing->error);
    if (code == FH_OK)
        return TIMER_FIRED;
    return parking.gone ? TIMER_GONE : parking.full ? TIMER_FULL : TIMER_OUTAGE;
}
