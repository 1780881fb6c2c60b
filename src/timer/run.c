/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of the instance that fires:
 *
 *     look    one read of the first rows of each kind: what is due, and when the next one is
 *     fire    what is due, up to TIMER_BATCH_MAX in a commit (or some each in their own);
 *             a schedule, or one that has failed, alone
 *     sleep   until the next one is due, or something earlier is set
 *
 * Due times are the wall clock's, sleeping is by the monotonic one; so the wall clock is looked at
 * every TIMER_CLOCK_MS, in memory alone. One that was set back makes timers late by as much, and
 * none fires again: what has fired has no row.
 *
 * A handler that fails is tried alone, with growing pauses, then parked; those beside it go on. An
 * outage counts no attempt: if it is the store's, all wait; if a service is away that a handler
 * asks, its timer does.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "timer/manager.h"

#define NS_A_MS INT64_C(1000000)
#define STRANGER_MS 2000 /* until it is looked whether an instance that knows it fires now */
#define APART_MS 60000   /* until it is tried again whether a handler's timers can share a commit */
#define FULL_MS 10000    /* how often one is retried that can't be parked */

/* ---- Looking ---- */

struct timer_look {
    struct timer_manager *manager;
    struct arena arena;
    int64_t now_ms, now_ns;
    int64_t next_ms;     /* of those that are not due */
    int64_t retry_at_ns; /* of those that are held */
    struct ledger_timer due[TIMER_BATCH_MAX];
    int count;
    size_t size;               /* of their data */
    struct ledger_timer alone; /* of a schedule, or held, or not known to this program */
    bool has_alone, stranger;
};

static struct ledger_timer keep_timer(struct timer_look *look, const struct ledger_timer *timer)
{
    struct ledger_timer kept = *timer;
    kept.kind = arena_text(&look->arena, timer->kind);
    kept.name = arena_text(&look->arena, timer->name);
    kept.handler = arena_text(&look->arena, timer->handler);
    kept.data = arena_text(&look->arena, timer->data);
    kept.trace = timer->trace ? arena_text(&look->arena, timer->trace) : NULL;
    kept.error = "";
    return kept;
}

static bool see_due(void *context, const struct ledger_timer *timer)
{
    struct timer_look *look = context;
    struct timer_manager *manager = look->manager;
    if (timer->due_ms > look->now_ms) {
        if (timer->due_ms < look->next_ms)
            look->next_ms = timer->due_ms;
        return false;
    }
    struct timer_held *held = held_of(manager, timer);
    bool known = timer_handler(manager, timer) != NULL;
    /* Also one that an operator has had retried: several have one name then. */
    bool scheduled = strncmp(timer->name, SCHEDULE_PREFIX, strlen(SCHEDULE_PREFIX)) == 0;
    if (held)
        held->seen_ns = look->now_ns;
    if (held && held->retry_at_ns > look->now_ns) {
        if (held->retry_at_ns < look->retry_at_ns)
            look->retry_at_ns = held->retry_at_ns;
        return true;
    }
    if (held || !known || scheduled) {
        if (!look->has_alone) {
            look->alone = keep_timer(look, timer);
            look->stranger = !known;
        }
        look->has_alone = true;
        return true;
    }
    look->size += strlen(timer->data);
    if (look->count && look->size > TIMER_BATCH_SIZE_MAX)
        return false;
    look->due[look->count++] = keep_timer(look, timer);
    return look->count < manager->together;
}

static enum fh_code look_at_timers(struct timer_look *look, struct fh_error *error)
{
    struct timer_manager *manager = look->manager;
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    look->now_ms = world_wall_ms(timer_world(manager));
    look->now_ns = world_monotonic_ns(timer_world(manager));
    look->next_ms = look->retry_at_ns = INT64_MAX;
    forget_held(manager, look->now_ns);
    code = ledger_timers_read(work, LEDGER_TIMER_EVERY, SCHEDULE_ROWS_MAX, see_due, look, error);
    if (code == FH_OK)
        code = ledger_timers_read(work, LEDGER_TIMER_SET, manager->together + manager->held_count,
                                  see_due, look, error);
    store_rollback(work);
    return code;
}

/* ---- What became of it ---- */

static void timers_pause(struct timer_manager *manager, int n, int64_t ms_min, int64_t ms_max)
{
    int64_t most = ms_min;
    for (int i = 1; i < n && most < ms_max; i++)
        most *= 2;
    most = most < ms_max ? most : ms_max;
    int64_t ns = (int64_t)world_random_below(timer_world(manager), (uint64_t)(most * NS_A_MS));
    int64_t until_ns = world_monotonic_ns(timer_world(manager)) + ns + NS_A_MS;
    while (timer_goes_on(manager) &&
           fiber_wait_until(&manager->wake, timer_world(manager), until_ns))
        continue;
}

static void tell_outage(struct timer_manager *manager, const struct fh_error *error)
{
    snprintf(manager->why, sizeof manager->why, "%s", error->message);
    if (!manager->waits)
        log_warning("timers-paused", "Timers have to wait: %s", error->message);
    manager->waits = true;
}

static void timers_outage_met(struct timer_manager *manager, const struct fh_error *error)
{
    tell_outage(manager, error);
    timers_pause(manager, ++manager->interrupted, TIMER_RETRY_MS_MIN, TIMER_RETRY_MS_MAX);
}

static void timers_outage_ended(struct timer_manager *manager)
{
    manager->interrupted = 0;
    for (int i = 0; i < manager->held_count; i++) {
        if (manager->held[i].interrupted)
            return;
    }
    if (manager->waits)
        log_info("timers-resumed", "Timers fire again.");
    manager->waits = false;
    manager->why[0] = '\0';
}

/* Those whose handlers ask a service that is away; the others go on. */
static void timers_wait(struct timer_manager *manager, const struct timer_firing *firing)
{
    struct world *world = timer_world(manager);
    tell_outage(manager, &firing->error);
    for (int i = 0; i < firing->count; i++) {
        struct timer_held *held = firing->waits[i] ? hold_timer(manager, &firing->timers[i]) : NULL;
        if (!held && i == firing->failed) /* as many wait as may: it is among the next again */
            timers_pause(manager, TIMER_HELD_MAX, TIMER_RETRY_MS_MIN, TIMER_RETRY_MS_MAX);
        if (!held)
            continue;
        int64_t most = TIMER_RETRY_MS_MIN;
        for (int n = 0; n < held->interrupted && most < TIMER_WAIT_MS_MAX; n++)
            most *= 2;
        most = most < TIMER_WAIT_MS_MAX ? most : TIMER_WAIT_MS_MAX;
        held->interrupted++;
        held->seen_ns = world_monotonic_ns(world);
        held->retry_at_ns =
            held->seen_ns + (int64_t)world_random_below(world, (uint64_t)(most * NS_A_MS));
    }
}

/* One failed alone, `held` for its next attempt. */
static void timer_failed(struct timer_manager *manager, const struct timer_firing *firing)
{
    const struct ledger_timer *timer = &firing->timers[0];
    struct timer_held *held = hold_timer(manager, timer);
    manager->counters.failures++;
    if (held)
        held->interrupted = 0;
    snprintf(manager->why, sizeof manager->why, "%s fails: %.150s", timer->handler,
             firing->error.message);
    if (!held) { /* as many wait as may: it is the first of the next look again */
        timers_pause(manager, 1, TIMER_FAILURE_MS_MAX, TIMER_FAILURE_MS_MAX);
        return;
    }
    int64_t most = TIMER_FAILURE_MS_MIN;
    for (int i = 0; i < held->attempts && most < TIMER_FAILURE_MS_MAX; i++)
        most *= 2;
    snprintf(held->why, sizeof held->why, "%s", firing->error.message);
    if (++held->attempts == 1)
        log_warning("timer-failed", "Timer %s, due at %" PRId64 " ms, fails: %s", timer->handler,
                    timer->due_ms, *firing->fault ? firing->fault : firing->error.message);
    held->parks = held->attempts % TIMER_ATTEMPTS_MAX == 0;
    int64_t ns =
        held->parks ? 0
                    : (int64_t)world_random_below(timer_world(manager), (uint64_t)(most * NS_A_MS));
    held->retry_at_ns = world_monotonic_ns(timer_world(manager)) + ns;
}

static void timers_fired(struct timer_manager *manager, const struct timer_firing *firing)
{
    manager->counters.fired += (uint64_t)firing->count;
    manager->together = TIMER_BATCH_MAX;
    for (int i = 0; i < firing->count && manager->held_count; i++)
        release_held(manager, &firing->timers[i]);
    if (firing->missed) {
        manager->counters.missed += (uint64_t)firing->missed;
        log_warning("schedule-runs-missed",
                    "Schedule %s ran late, once for %" PRId64 " more runs that were missed since "
                    "%" PRId64 " ms.",
                    firing->timers[0].handler, firing->missed, firing->timers[0].due_ms);
    }
}

static void batch_failed(struct timer_manager *manager, const struct timer_firing *firing)
{
    if (firing->failed < 0) /* the commit refused: halving finds the culprit */
        manager->together = firing->count / 2;
    else
        manager->together = firing->failed > 0 ? firing->failed : 1;
}

static void take_verdict(struct timer_manager *manager, const struct timer_firing *firing,
                         enum timer_verdict verdict)
{
    switch (verdict) {
    case TIMER_FIRED:
        timers_fired(manager, firing);
        timers_outage_ended(manager);
        break;
    case TIMER_GONE:
        release_held(manager, &firing->timers[0]);
        timers_pause(manager, 1, 1, 1);
        break;
    case TIMER_FAILED:
        if (firing->count > 1)
            batch_failed(manager, firing);
        else
            timer_failed(manager, firing);
        break;
    case TIMER_WAITS:
        timers_wait(manager, firing);
        break;
    case TIMER_APART: /* fire_jointly takes it */
        break;
    case TIMER_OUTAGE:
    case TIMER_FULL:
        if (firing->count > 1 && firing->failed > 0)
            manager->together = firing->failed;
        else if (firing->count > 1 && firing->error.code == FH_CONFLICT)
            manager->together = firing->count / 2; /* a shorter one meets fewer conflicts */
        timers_outage_met(manager, &firing->error);
        break;
    }
}

/* ---- One alone ---- */

static void park_alone(struct timer_manager *manager, struct timer_firing *firing, const char *why,
                       int attempts)
{
    char error[sizeof firing->error.message];
    snprintf(error, sizeof error, "%s", why);
    enum timer_verdict verdict = timer_park(firing, error, attempts);
    const struct ledger_timer *timer = &firing->timers[0];
    struct timer_held *held = verdict == TIMER_FULL ? hold_timer(manager, timer) : NULL;
    if (held) {
        held->parks = false;
        held->retry_at_ns = world_in_ms(timer_world(manager), FULL_MS);
        snprintf(manager->why, sizeof manager->why, "%s fails, and can't be parked: %.100s",
                 timer->handler, firing->error.message);
        return;
    }
    if (verdict == TIMER_FIRED) {
        manager->counters.parked++;
        manager->why[0] = '\0';
        release_held(manager, timer);
        log_warning("timer-parked",
                    "Timer %s, due at %" PRId64 " ms, is parked after %d attempts: %s",
                    timer->handler, timer->due_ms, attempts, error);
        return;
    }
    take_verdict(manager, firing, verdict);
}

/* This program does not know it. An instance of another program may; if there is none, it waits for
 * an operator. */
static void meet_stranger(struct timer_manager *manager, struct timer_firing *firing)
{
    char why[160];
    const struct ledger_timer *timer = &firing->timers[0];
    bool schedule = strcmp(timer->kind, LEDGER_TIMER_EVERY) == 0;
    if (schedule || lease_members(manager->context->leases) > 1) {
        struct timer_held *held = hold_timer(manager, timer);
        if (held)
            held->retry_at_ns = world_in_ms(timer_world(manager), STRANGER_MS);
        else
            timers_pause(manager, 1, STRANGER_MS, STRANGER_MS);
        return;
    }
    snprintf(why, sizeof why, "The program declares no timer %.100s.", timer->handler);
    park_alone(manager, firing, why, 0);
}

static void fire_alone(struct timer_look *look)
{
    struct timer_manager *manager = look->manager;
    struct timer_firing firing = {.manager = manager,
                                  .timers = &look->alone,
                                  .count = 1,
                                  .schedule = schedule_named(manager, look->alone.name),
                                  .failed = -1};
    struct timer_held *held = held_of(manager, &look->alone);
    if (strcmp(look->alone.kind, LEDGER_TIMER_EVERY) != 0)
        firing.schedule = NULL;
    if (look->stranger)
        meet_stranger(manager, &firing);
    else if (held && held->parks)
        park_alone(manager, &firing, held->why, held->attempts);
    else
        take_verdict(manager, &firing, timers_fire(&firing));
}

/* ---- Together ---- */

/* Until when timers of that handler fire apart. */
static int64_t *apart_until(struct timer_manager *manager, const struct ledger_timer *timer)
{
    const fh_service *service = manager->context->service;
    return &manager->apart_until_ns[timer_declared(service, timer->handler) - service->timers];
}

/* Those that may share a commit to the front, in their order: how many. */
static int sort_apart(struct timer_look *look)
{
    struct ledger_timer apart[TIMER_BATCH_MAX];
    int count = 0, apart_count = 0;
    for (int i = 0; i < look->count; i++) {
        if (*apart_until(look->manager, &look->due[i]) > look->now_ns)
            apart[apart_count++] = look->due[i];
        else
            look->due[count++] = look->due[i];
    }
    for (int i = 0; i < apart_count; i++)
        look->due[count + i] = apart[i];
    return count;
}

/* Where a commit changes one document of the service, it may still make many: so those whose
 * handlers do no more share one. How many need not fire any more, of the first; all of them, if
 * what is left is to be looked at anew. */
static int fire_jointly(struct timer_look *look)
{
    struct timer_firing firing = {.manager = look->manager,
                                  .timers = look->due,
                                  .count = sort_apart(look),
                                  .tries = true,
                                  .failed = -1};
    if (firing.count < 2)
        return 0;
    enum timer_verdict verdict = timers_fire(&firing);
    if (verdict == TIMER_APART) {
        if (firing.parts)
            *apart_until(look->manager, &look->due[firing.failed]) =
                look->now_ns + APART_MS * NS_A_MS;
        return 0;
    }
    take_verdict(look->manager, &firing, verdict);
    return verdict == TIMER_FIRED ? firing.count : look->count;
}

/* Fibers that take one slice after the other. */
struct timer_lanes {
    struct timer_look *look;
    int slice, next, running;
    bool stops; /* something was not as expected: what is left is looked at anew */
    struct fiber_queue ended;
};

static void fire_slices(void *argument)
{
    struct timer_lanes *lanes = argument;
    struct timer_look *look = lanes->look;
    while (lanes->next < look->count && !lanes->stops && timer_goes_on(look->manager)) {
        int left = look->count - lanes->next;
        struct timer_firing firing = {.manager = look->manager,
                                      .timers = look->due + lanes->next,
                                      .count = left < lanes->slice ? left : lanes->slice,
                                      .failed = -1};
        lanes->next += firing.count;
        enum timer_verdict verdict = timers_fire(&firing);
        bool own = verdict == TIMER_FIRED || verdict == TIMER_WAITS || verdict == TIMER_FAILED;
        bool first = !lanes->stops;
        lanes->stops |= verdict != TIMER_FIRED;
        if (own || first) /* an outage that several meet is one */
            take_verdict(look->manager, &firing, verdict);
    }
    lanes->running--;
    fiber_wake_all(&lanes->ended);
}

/* In one commit; or side by side in one for each timer, if the engine's take one document each and
 * they do more than make some. */
static void fire_together(struct timer_look *look)
{
    const struct work_context *context = look->manager->context;
    bool apart = engine_can(context->store->engine, ENGINE_ONE_DOCUMENT);
    struct timer_lanes lanes = {.look = look,
                                .slice = apart ? 1 : look->count,
                                .next = apart ? fire_jointly(look) : 0,
                                .running = 1};
    for (int i = 1; apart && i < look->count - lanes.next && i < TIMER_LANES; i++) {
        lanes.running++;
        lanes.running -= !fiber_start(context->world->fibers, fire_slices, &lanes);
    }
    fire_slices(&lanes);
    while (lanes.running)
        fiber_wait(&lanes.ended);
}

/* ---- The loop ---- */

static void sleep_until_due(struct timer_manager *manager, const struct timer_look *look)
{
    struct world *world = timer_world(manager);
    manager->next_ms = look->next_ms;
    while (timer_goes_on(manager) && !manager->stale) {
        int64_t now_ms = world_wall_ms(world), now_ns = world_monotonic_ns(world);
        int64_t at_ns = look->retry_at_ns < manager->hint_ns ? look->retry_at_ns : manager->hint_ns;
        if (look->next_ms <= now_ms || at_ns <= now_ns)
            break;
        int64_t ms =
            look->next_ms - now_ms < TIMER_CLOCK_MS ? look->next_ms - now_ms : TIMER_CLOCK_MS;
        int64_t until_ns = now_ns + ms * NS_A_MS;
        if (look->next_ms == INT64_MAX)
            until_ns = -1; /* nothing that a clock could make due */
        if (at_ns != INT64_MAX && (until_ns < 0 || at_ns < until_ns))
            until_ns = at_ns;
        fiber_wait_until(&manager->wake, world, until_ns);
    }
    manager->next_ms = INT64_MAX; /* awake */
}

static void timers_turn(struct timer_manager *manager, struct timer_look *look)
{
    struct fh_error error;
    enum fh_code code = FH_OK;
    manager->stale = false;
    manager->hint_ns = INT64_MAX;
    manager->looked_ns = world_monotonic_ns(timer_world(manager));
    if (!manager->reconciled)
        code = schedules_reconcile(manager, &error);
    manager->reconciled |= code == FH_OK;
    if (code == FH_OK)
        code = look_at_timers(look, &error);
    if (code != FH_OK) {
        timers_outage_met(manager, &error);
        return;
    }
    if (look->has_alone)
        fire_alone(look);
    if (look->count && timer_goes_on(manager))
        fire_together(look);
    if (!look->has_alone && !look->count)
        sleep_until_due(manager, look);
}

void timers_run(struct timer_manager *manager)
{
    struct timer_look *look = calloc(1, sizeof *look);
    FH_ASSERT(look != NULL);
    while (timer_goes_on(manager)) {
        *look = (struct timer_look){.manager = manager};
        arena_init(&look->arena, ARENA_SIZE_MAX);
        timers_turn(manager, look);
        arena_release(&look->arena);
    }
    manager->next_ms = INT64_MAX;
    free(look);
}
