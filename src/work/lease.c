/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an instance joins the others, stays among them, and leaves. One fiber does everything, every
 * LEASE_TICK_MS:
 *
 *   renew      increments the beat in our own row. If the row is no longer ours, we were taken
 *              for dead and have lost everything
 *   join       under a new session, when we have none. While another session under our name is
 *              alive we wait, except when a process starts: it was told to be this instance
 *   look       reads all rows (lease_look.c)
 *   bury       removes the rows of dead instances, unless they have beaten since
 *   give, take gives back what others should have, and takes what we should have and no live
 *              instance has
 *
 * An instance that dies between any two of these statements leaves rows whose owner no longer
 * beats, and others take them over. If two take the same lease at once, one statement changes a row
 * and the other none.
 */

#include "work/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "work/batch.h"
#include "work/lease_manager.h"
#include "world/world.h"

/* ---- statements ---- */

struct statement {
    enum fh_code (*run)(const struct statement *statement, struct store_work *work,
                        struct fh_error *error);
    struct lease_manager *manager;
    struct lease *lease;
    const char *name, *owner, *note;
    int64_t epoch, beat;
};

static enum fh_code change_lease(struct store_work *work, void *what, struct fh_error *error)
{
    const struct statement *statement = what;
    return statement->run(statement, work, error);
}

/* A statement that conflicts is retried for as long as a tick lasts. */
static enum fh_code write_lease_statement(struct statement *statement, struct fh_error *error)
{
    struct work_context *context = statement->manager->context;
    return work_write(context, change_lease, statement, world_in_ms(context->world, LEASE_TICK_MS),
                      error);
}

static enum fh_code run_renew(const struct statement *statement, struct store_work *work,
                              struct fh_error *error)
{
    return ledger_lease_renew(work, statement->name, statement->owner, statement->note, error);
}

static enum fh_code run_take(const struct statement *statement, struct store_work *work,
                             struct fh_error *error)
{
    struct lease *lease = statement->lease;
    enum fh_code code =
        ledger_lease_take(work, statement->name, statement->epoch, statement->owner, error);
    if (code == FH_OK && lease && *statement->owner && lease->take)
        code = lease->take(lease, work, statement->epoch + 1, error);
    CRASH_POINT("lease.taken");
    return code;
}

static enum fh_code run_drop(const struct statement *statement, struct store_work *work,
                             struct fh_error *error)
{
    return ledger_lease_drop(work, statement->name, statement->owner, statement->beat, error);
}

/* ---- our leases ---- */

static void end_lease(struct lease *lease, bool lost)
{
    lease->state = LEASE_ENDING;
    lease->lost = lost;
    lease->ended = false;
    lease->ends(lease);
}

void lease_ended(struct lease *lease)
{
    if (lease->state != LEASE_ENDING)
        return;
    if (lease->lost || !lease->manager) {
        lease->state = LEASE_AWAY;
        return;
    }
    lease->ended = true;
    fiber_wake_all(&lease->manager->wake);
}

void lease_give_up(struct lease *lease)
{
    if (lease->manager && lease->state == LEASE_OURS)
        end_lease(lease, false);
}

void lease_add(struct lease_manager *manager, struct lease *lease)
{
    lease->manager = manager;
    lease->state = LEASE_AWAY;
    if (!manager) {
        lease->state = LEASE_OURS;
        lease->epoch = 0;
        lease->taken(lease);
        return;
    }
    lease->next = manager->leases;
    manager->leases = lease;
    fiber_wake_all(&manager->wake);
}

static void lose_all(struct lease_manager *manager)
{
    log_warning("leases-lost",
                "This instance was taken for dead, and others have taken over its leases: it "
                "starts again as a new one.");
    manager->joined = false;
    for (struct lease *lease = manager->leases; lease; lease = lease->next) {
        if (lease->state == LEASE_OURS) {
            end_lease(lease, true);
        } else if (lease->state == LEASE_ENDING) {
            lease->lost = true;
            if (lease->ended)
                lease->state = LEASE_AWAY;
        }
    }
    for (struct lease_watcher *watcher = manager->watchers; watcher; watcher = watcher->next) {
        if (watcher->lost)
            watcher->lost(watcher->context);
    }
}

/* ---- joining and renewing ---- */

static void new_life(struct lease_manager *manager)
{
    unsigned char random[8];
    world_random(manager->context->world, random, sizeof random);
    int length = snprintf(manager->life, sizeof manager->life, "%.14s.", manager->instance);
    for (size_t i = 0; i < sizeof random; i++)
        length += snprintf(manager->life + length, sizeof manager->life - (size_t)length, "%02x",
                           random[i]);
}

/* lease_look has found out who owns the row with our name. */
static enum fh_code join_instances(struct lease_manager *manager, struct fh_error *error)
{
    new_life(manager);
    struct statement statement = {.run = run_take,
                                  .manager = manager,
                                  .name = manager->name,
                                  .owner = manager->life,
                                  .epoch = manager->own_epoch};
    enum fh_code code = write_lease_statement(&statement, error);
    if (code != FH_OK)
        return code;
    manager->joined = true;
    manager->shut_out = false;
    free(manager->note);
    manager->note = NULL;
    snprintf(manager->context->store->instance, sizeof manager->context->store->instance, "%s",
             manager->life);
    return lease_look(manager, error);
}

/* After losing everything: not while another process is alive under our name. */
static void join_again(struct lease_manager *manager)
{
    struct fh_error error;
    struct lease_member *other = lease_member_named(manager, manager->name);
    if (other && !lease_member_dead(manager, other)) {
        if (!manager->shut_out)
            log_warning("instance-name-taken",
                        "Another process is instance %s of this service: this one applies no "
                        "events and runs no sagas while that one lives.",
                        manager->instance);
        manager->shut_out = true;
        return;
    }
    if (join_instances(manager, &error) != FH_OK)
        log_warning("instance-joining-failed",
                    "This instance can't join the others, and will try again: %s", error.message);
}

static int64_t tick_ms(const struct lease_manager *manager)
{
    return lease_members(manager) > 1 ? LEASE_TICK_MS : LEASE_TICK_ALONE_MS;
}

/* How often we beat, the groups we know, and what our watchers tell. NULL: unchanged. */
static char *next_note(const struct lease_manager *manager)
{
    json_t *note = json_object(), *knows = json_array(), *told = json_array();
    for (const struct lease *lease = manager->leases; lease; lease = lease->next) {
        json_t *group = json_stringn(lease->name, (size_t)lease_group_length(lease->name));
        size_t i = json_array_size(knows);
        while (i > 0 && !json_equal(json_array_get(knows, i - 1), group))
            i--;
        if (i == 0)
            json_array_append(knows, group);
        json_decref(group);
    }
    for (const struct lease_watcher *watcher = manager->watchers; watcher;
         watcher = watcher->next) {
        if (watcher->tell)
            json_array_append_new(told, watcher->tell(watcher->context));
    }
    json_object_set_new(note, "tick_ms", json_integer(tick_ms(manager)));
    json_object_set_new(note, "knows", knows);
    json_object_set_new(note, "told", told);
    char *text = json_text(note);
    json_decref(note);
    if (manager->note && strcmp(text, manager->note) == 0) {
        json_text_free(text);
        return NULL;
    }
    return text;
}

/* False: the store can't be reached; then nobody else can take anything either. */
static bool renew_instance(struct lease_manager *manager)
{
    struct fh_error error;
    char *note = next_note(manager);
    int64_t told_tick_ms = tick_ms(manager);
    struct statement statement = {.run = run_renew,
                                  .manager = manager,
                                  .name = manager->name,
                                  .owner = manager->life,
                                  .note = note};
    enum fh_code code = write_lease_statement(&statement, &error);
    if (code == FH_OK)
        manager->told_tick_ms = told_tick_ms;
    if (code == FH_OK && note) {
        free(manager->note);
        manager->note = strdup(note);
        FH_ASSERT(manager->note != NULL);
    }
    json_text_free(note);
    if (code == FH_CONFLICT && !error.retryable)
        lose_all(manager);
    return code == FH_OK || code == FH_CONFLICT;
}

/* ---- the others ---- */

static void bury_dead(struct lease_manager *manager)
{
    for (int i = manager->member_count - 1; i >= 0; i--) {
        const struct lease_member *member = &manager->members[i];
        struct fh_error error;
        if (!lease_member_dead(manager, member))
            continue;
        struct statement statement = {.run = run_drop,
                                      .manager = manager,
                                      .name = member->name,
                                      .owner = member->owner,
                                      .beat = member->beat};
        if (write_lease_statement(&statement, &error) != FH_OK)
            continue; /* it has beaten, another instance was quicker, or the store is away */
        log_warning("instance-expired", "%s (%s) does not respond: its leases are taken over.",
                    member->name, member->owner);
        lease_member_forget(manager, i);
        /* Events that it committed but that have no positions yet. */
        if (store_sequence(manager->context->store, NULL, 0, &error) != FH_OK)
            log_info("event-positions-delayed",
                     "The last events of an instance that does not respond get their positions "
                     "with the next ones: %s",
                     error.message);
    }
}

static void take_lease(struct lease_manager *manager, const struct lease_entry *entry)
{
    struct lease *lease = entry->lease;
    struct fh_error error;
    struct statement statement = {.run = run_take,
                                  .manager = manager,
                                  .lease = lease,
                                  .name = lease->name,
                                  .owner = manager->life,
                                  .epoch = entry->epoch};
    enum fh_code code = write_lease_statement(&statement, &error);
    CRASH_POINT("lease.durable");
    if (code == FH_OK && !manager->draining) {
        lease->epoch = entry->epoch + 1;
        lease->state = LEASE_OURS;
        lease->taken(lease);
    } else if (code != FH_OK && code != FH_CONFLICT) {
        log_info("lease-taking-failed", "%s can't be taken now: %s", lease->name, error.message);
    }
}

/* Gives the lease to nobody. False: the store is away. */
static bool give_back(struct lease_manager *manager, const char *name, int64_t epoch)
{
    struct fh_error error;
    struct statement statement = {
        .run = run_take, .manager = manager, .name = name, .owner = "", .epoch = epoch};
    enum fh_code code = write_lease_statement(&statement, &error);
    return code == FH_OK || (code == FH_CONFLICT && !error.retryable);
}

static void give_back_ended(struct lease_manager *manager)
{
    for (struct lease *lease = manager->leases; lease; lease = lease->next) {
        if (lease->state == LEASE_ENDING && lease->ended &&
            give_back(manager, lease->name, lease->epoch) && lease->state == LEASE_ENDING)
            lease->state = LEASE_AWAY;
    }
}

static void settle_lease(struct lease_manager *manager, const struct lease_entry *entry)
{
    struct lease *lease = entry->lease;
    bool ours = strcmp(entry->owner, manager->life) == 0;
    switch (lease->state) {
    case LEASE_OURS:
        if (!ours || entry->epoch != lease->epoch)
            end_lease(lease, true);
        else if (!entry->wanted)
            end_lease(lease, false);
        break;
    case LEASE_AWAY:
        if (entry->wanted && entry->free && !manager->draining)
            take_lease(manager, entry);
        else if (ours) /* we took it, but did not want it any more by then */
            give_back(manager, lease->name, entry->epoch);
        break;
    case LEASE_ENDING:
        break;
    }
}

static void notify_looked(struct lease_manager *manager)
{
    bool changed = manager->changed;
    manager->changed = false;
    for (struct lease_watcher *watcher = manager->watchers; watcher; watcher = watcher->next) {
        if (watcher->looked)
            watcher->looked(watcher->context, changed);
    }
}

static void lease_tick(struct lease_manager *manager)
{
    struct fh_error error;
    if (manager->joined && !renew_instance(manager))
        return;
    if (lease_look(manager, &error) != FH_OK)
        return;
    if (!manager->joined)
        join_again(manager);
    if (!manager->joined)
        return;
    if (manager->told_tick_ms != tick_ms(manager) && !renew_instance(manager))
        return; /* others must learn at once how soon to take us for dead */
    bury_dead(manager);
    lease_plan(manager);
    for (int i = 0; i < manager->entry_count && manager->joined; i++) {
        if (manager->entries[i].lease)
            settle_lease(manager, &manager->entries[i]);
    }
    notify_looked(manager);
}

static bool any_ended(const struct lease_manager *manager)
{
    for (const struct lease *lease = manager->leases; lease; lease = lease->next) {
        if (lease->state == LEASE_ENDING && lease->ended)
            return true;
    }
    return false;
}

static void run_lease_manager(void *argument)
{
    struct lease_manager *manager = argument;
    struct world *world = manager->context->world;
    while (!manager->stopping) {
        int64_t began_ns = world_monotonic_ns(world);
        lease_tick(manager);
        give_back_ended(manager);
        int64_t next_ns = began_ns + tick_ms(manager) * INT64_C(1000000);
        while (!manager->stopping && world_monotonic_ns(world) < next_ns) {
            bool woken = fiber_wait_until(&manager->wake, world, next_ns);
            if (woken && any_ended(manager) && manager->joined)
                give_back_ended(manager);
        }
    }
    manager->alive = false;
    fiber_wake_all(&manager->ended);
}

/* ---- beginning and end ---- */

struct lease_manager *lease_manager_new(struct work_context *context, const char *instance)
{
    if (!engine_can(context->store->engine, ENGINE_MANY_INSTANCES))
        return NULL;
    struct lease_manager *manager = calloc(1, sizeof *manager);
    FH_ASSERT(manager != NULL);
    manager->context = context;
    arena_init(&manager->arena, ARENA_SIZE_MAX);
    snprintf(manager->instance, sizeof manager->instance, "%s", instance ? instance : "0");
    snprintf(manager->name, sizeof manager->name, LEDGER_INSTANCE "%.64s", manager->instance);
    return manager;
}

enum fh_code lease_manager_start(struct lease_manager *manager, struct fh_error *error)
{
    enum fh_code code = lease_look(manager, error);
    if (code == FH_OK)
        code = join_instances(manager, error);
    if (code != FH_OK)
        return code;
    manager->alive = fiber_start(manager->context->world->fibers, run_lease_manager, manager);
    if (!manager->alive)
        return error_set(error, FH_NO_MEMORY, "There is no fiber left for this instance's leases.");
    return FH_OK;
}

void lease_manager_drain(struct lease_manager *manager)
{
    if (manager)
        manager->draining = true;
}

void lease_manager_stop(struct lease_manager *manager)
{
    struct fh_error error;
    if (!manager)
        return;
    manager->stopping = manager->draining = true;
    fiber_wake_all(&manager->wake);
    while (manager->alive)
        fiber_wait(&manager->ended);
    struct statement statement = {.run = run_drop,
                                  .manager = manager,
                                  .name = manager->name,
                                  .owner = manager->life,
                                  .beat = -1};
    if (manager->joined && write_lease_statement(&statement, &error) != FH_OK)
        log_info("instance-leaving-unannounced",
                 "The others find out by themselves that this instance has left: %s",
                 error.message);
    manager->joined = false;
}

void lease_manager_free(struct lease_manager *manager)
{
    if (!manager)
        return;
    FH_ASSERT(!manager->alive);
    while (manager->member_count > 0)
        lease_member_forget(manager, manager->member_count - 1);
    arena_release(&manager->arena);
    free(manager->note);
    free(manager);
}

/* ---- queries ---- */

int lease_members(const struct lease_manager *manager)
{
    return manager && manager->member_count > 0 ? manager->member_count : 1;
}

void lease_watch(struct lease_manager *manager, struct lease_watcher *watcher)
{
    if (!manager)
        return;
    watcher->next = manager->watchers;
    manager->watchers = watcher;
}
