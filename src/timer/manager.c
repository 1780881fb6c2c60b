/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instance fires, and what wakes it.
 *
 * The lease "timers" decides who reads and fires; it saves work and is no promise: two that believe
 * they have it both remove a row, and the store lets one of them. That another instance has set
 * some stands in that instance's own row of the leases (`tell`), which all instances read at each
 * look; if an instance comes or goes, the one that fires reads anew, since what a dead one had set
 * last was told to nobody. What is due sooner than it would learn of it that way is also told by
 * the store's notifications, which are hints: they come for other things, too, and may be lost.
 */

#include "timer/manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/notifier.h"

#define TOLD "timers_set" /* in what instances tell one another */
#define SOON_MS 1000      /* later ones are told by the leases in time: two looks, 0.6 s */
#define HINT_NS (INT64_C(50) * 1000000) /* between two looks, if there are hints all the time */

/* ---- Waking ---- */

static void look_anew(struct timer_manager *manager)
{
    manager->stale = true;
    fiber_wake_all(&manager->wake);
}

static void tell_others(void *argument)
{
    struct timer_manager *manager = argument;
    while (manager->tells) {
        manager->tells = false;
        store_notify_others(manager->context->store);
    }
    manager->telling = false;
    fiber_wake_all(&manager->ended);
}

void timer_was_set(struct timer_manager *manager, int64_t due_ms)
{
    struct world *world = timer_world(manager);
    bool others = lease_members(manager->context->leases) > 1;
    manager->set_count++;
    if (due_ms < manager->next_ms)
        look_anew(manager);
    if (manager->lease.state == LEASE_OURS || !others || manager->draining ||
        due_ms - world_wall_ms(world) > SOON_MS)
        return;
    manager->tells = true;
    if (!manager->telling)
        manager->telling = fiber_start(world->fibers, tell_others, manager);
}

static void hear_hint(void *context)
{
    struct timer_manager *manager = context;
    if (manager->lease.state != LEASE_OURS || manager->hint_ns != INT64_MAX)
        return;
    manager->hint_ns = manager->looked_ns + HINT_NS;
    fiber_wake_all(&manager->wake);
}

static json_t *tell_count(void *context)
{
    const struct timer_manager *manager = context;
    return json_pack("{s:I}", TOLD, (json_int_t)manager->set_count);
}

static void hear_count(void *context, const json_t *told)
{
    json_int_t count;
    if (json_integer_at(told, TOLD, &count))
        *(int64_t *)context += count;
}

/* Counts only grow, and those of instances that go are dropped when they go, which is a change
 * itself. */
static void hear_others(struct timer_manager *manager)
{
    int64_t heard = 0;
    lease_told(manager->context->leases, hear_count, &heard);
    if (heard != manager->heard)
        look_anew(manager);
    manager->heard = heard;
}

/* ---- The lease ---- */

static void run_timers(void *argument)
{
    struct timer_manager *manager = argument;
    timers_run(manager);
    manager->running = false;
    lease_ended(&manager->lease);
    fiber_wake_all(&manager->ended);
}

static void begin_firing(struct timer_manager *manager)
{
    if (!manager->running && timer_goes_on(manager))
        manager->running = fiber_start(timer_world(manager)->fibers, run_timers, manager);
}

static void timers_taken(struct lease *lease)
{
    struct timer_manager *manager = lease->owner;
    manager->reconciled = false;
    manager->held_count = 0;
    look_anew(manager);
    begin_firing(manager);
}

static void timers_ends(struct lease *lease)
{
    struct timer_manager *manager = lease->owner;
    fiber_wake_all(&manager->wake);
    if (!manager->running)
        lease_ended(lease);
}

static void instances_were_seen(void *context, bool changed)
{
    struct timer_manager *manager = context;
    begin_firing(manager); /* in case no fiber was free */
    if (manager->lease.state != LEASE_OURS)
        return;
    if (changed) {
        manager->reconciled = false;
        look_anew(manager);
    }
    hear_others(manager);
}

/* ---- Start and stop ---- */

enum fh_code timers_check(const fh_service *service, struct fh_error *error)
{
    struct schedule schedules[SCHEDULES_MAX];
    int count;
    return schedules_read(service, schedules, &count, error);
}

enum fh_code timer_manager_new(struct work_context *context, struct timer_manager **ret,
                               struct fh_error *error)
{
    struct timer_manager *manager = calloc(1, sizeof *manager);
    FH_ASSERT(manager != NULL);
    manager->context = context;
    manager->next_ms = manager->hint_ns = INT64_MAX;
    manager->together = TIMER_BATCH_MAX;
    enum fh_code code =
        schedules_read(context->service, manager->schedules, &manager->schedule_count, error);
    if (code == FH_OK)
        *ret = manager;
    else
        free(manager);
    return code;
}

/* Rows that a former program has left are this one's concern, too. */
static bool has_timers(struct timer_manager *manager)
{
    const struct fh_service *service = manager->context->service;
    struct store_work *work;
    int64_t set = 1, every = 1, parked = 1;
    if (service->timers[0].name || service->every[0].name)
        return true;
    if (store_begin(manager->context->store, STORE_READ_COMMITTED, &work, ERROR_UNHEEDED) != FH_OK)
        return true;
    if (ledger_timers_count(work, LEDGER_TIMER_SET, 1, &set, ERROR_UNHEEDED) == FH_OK &&
        ledger_timers_count(work, LEDGER_TIMER_EVERY, 1, &every, ERROR_UNHEEDED) == FH_OK)
        ledger_timers_count(work, LEDGER_TIMER_PARKED, 1, &parked, ERROR_UNHEEDED);
    store_rollback(work);
    return set || every || parked; /* an operator may have a parked one retried */
}

void timer_manager_start(struct timer_manager *manager)
{
    manager->fires = has_timers(manager);
    if (!manager->fires)
        return;
    manager->watcher = (struct lease_watcher){
        .looked = instances_were_seen, .tell = tell_count, .context = manager};
    manager->lease = (struct lease){
        .name = "timers", .taken = timers_taken, .ends = timers_ends, .owner = manager};
    lease_watch(manager->context->leases, &manager->watcher);
    manager->listener = (struct store_listener){.heard = hear_hint, .context = manager};
    store_listen(manager->context->store, &manager->listener);
    lease_add(manager->context->leases, &manager->lease);
}

void timer_manager_drain(struct timer_manager *manager)
{
    manager->draining = true;
    store_unlisten(manager->context->store, &manager->listener);
    fiber_wake_all(&manager->wake);
}

void timer_manager_wait(struct timer_manager *manager)
{
    while (manager->running || manager->telling)
        fiber_wait(&manager->ended);
}

void timer_manager_free(struct timer_manager *manager)
{
    free(manager);
}

struct timer_counters timer_counters(const struct timer_manager *manager)
{
    return manager->counters;
}
