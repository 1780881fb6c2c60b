/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an instance among others. One fiber does all of it, every LEASE_TICK_MS:
 *
 *   renew      our own row: one beat more. Not ours any more: we were taken for dead; all is lost
 *   join       under a new life, when we have none; the place of one of our name only once that is
 *              dead, but for a process that starts: it has been told that it is this instance
 *   look       at all rows (lease_look.c)
 *   bury       who is dead: its row goes, unless it has stirred meanwhile
 *   give, take what others should have, and what we should have and nobody who lives has
 *
 * A death between any two of these statements leaves rows whose owner's beats stop: others take
 * them over. Two who take the same at once: one statement changes a row, the other none.
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

/* ---- statements ---------------------------------------------------------------------------- */

struct statement {
    enum fh_code (*run)(const struct statement *statement, struct store_work *work,
                        struct fh_error *error);
    struct lease_room *room;
    struct lease *lease;
    const char *name, *owner, *note;
    int64_t epoch, beat;
};

static enum fh_code run_once(const struct statement *statement, enum store_mode mode,
                             struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(statement->room->context->store, mode, &work, error);
    if (code != FH_OK)
        return code;
    code = statement->run(statement, work, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* What meets others' works for as long as a tick is left to the next one. */
static enum fh_code run(const struct statement *statement, struct fh_error *error)
{
    struct work_context *context = statement->room->context;
    struct work_tries tries = {0};
    int64_t deadline_ns = world_in_ms(context->world, LEASE_TICK_MS);
    enum fh_code code;
    do {
        *error = (struct fh_error){0};
        code = run_once(statement, tries.alone ? STORE_WRITE_ALONE : STORE_WRITE, error);
    } while (code == FH_CONFLICT && error->retryable && work_retry(context, &tries, deadline_ns));
    return code;
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

/* ---- what we have -------------------------------------------------------------------------- */

static void end(struct lease *lease, bool lost)
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
    if (lease->lost || !lease->room) {
        lease->state = LEASE_AWAY;
        return;
    }
    lease->ended = true;
    fiber_wake_all(&lease->room->wake);
}

void lease_give_up(struct lease *lease)
{
    if (lease->room && lease->state == LEASE_OURS)
        end(lease, false);
}

void lease_add(struct lease_room *room, struct lease *lease)
{
    lease->room = room;
    lease->state = LEASE_AWAY;
    if (!room) {
        lease->state = LEASE_OURS;
        lease->epoch = 0;
        lease->taken(lease);
        return;
    }
    lease->next = room->leases;
    room->leases = lease;
    fiber_wake_all(&room->wake);
}

static void lose_all(struct lease_room *room)
{
    log_warning("This instance was taken for dead: what it had is others' now; it begins anew.");
    room->joined = false;
    for (struct lease *lease = room->leases; lease; lease = lease->next) {
        if (lease->state == LEASE_OURS) {
            end(lease, true);
        } else if (lease->state == LEASE_ENDING) {
            lease->lost = true;
            if (lease->ended)
                lease->state = LEASE_AWAY;
        }
    }
    for (struct lease_watcher *watcher = room->watchers; watcher; watcher = watcher->next) {
        if (watcher->lost)
            watcher->lost(watcher->context);
    }
}

/* ---- joining and renewing ------------------------------------------------------------------ */

static void new_life(struct lease_room *room)
{
    unsigned char random[8];
    world_random(room->context->world, random, sizeof random);
    int length = snprintf(room->life, sizeof room->life, "%.14s.", room->instance);
    for (size_t i = 0; i < sizeof random; i++)
        length +=
            snprintf(room->life + length, sizeof room->life - (size_t)length, "%02x", random[i]);
}

/* `look` has told who has our name. */
static enum fh_code join(struct lease_room *room, struct fh_error *error)
{
    new_life(room);
    struct statement statement = {.run = run_take,
                                  .room = room,
                                  .name = room->name,
                                  .owner = room->life,
                                  .epoch = room->own_epoch};
    enum fh_code code = run(&statement, error);
    if (code != FH_OK)
        return code;
    room->joined = true;
    room->shut_out = false;
    free(room->note);
    room->note = NULL;
    snprintf(room->context->store->instance, sizeof room->context->store->instance, "%s",
             room->life);
    return lease_look(room, error);
}

/* After a loss: not as long as another process lives under our name. */
static void join_again(struct lease_room *room)
{
    struct fh_error error;
    struct lease_member *other = lease_member_named(room, room->name);
    if (other && !lease_member_dead(room, other)) {
        if (!room->shut_out)
            log_warning("Another process is instance %s of this service: this one applies no "
                        "events and runs no sagas as long as that lives.",
                        room->instance);
        room->shut_out = true;
        return;
    }
    if (join(room, &error) != FH_OK)
        log_warning("This instance can't join the others, and will try again: %s", error.message);
}

static int64_t tick_ms(const struct lease_room *room)
{
    return lease_members(room) > 1 ? LEASE_TICK_MS : LEASE_TICK_ALONE_MS;
}

/* How often we beat, the groups that we know of, and what our watchers tell. NULL: as it was. */
static char *next_note(const struct lease_room *room)
{
    json_t *note = json_object(), *knows = json_array(), *told = json_array();
    for (const struct lease *lease = room->leases; lease; lease = lease->next) {
        json_t *group = json_stringn(lease->name, (size_t)lease_group_length(lease->name));
        size_t i = json_array_size(knows);
        while (i > 0 && !json_equal(json_array_get(knows, i - 1), group))
            i--;
        if (i == 0)
            json_array_append(knows, group);
        json_decref(group);
    }
    for (const struct lease_watcher *watcher = room->watchers; watcher; watcher = watcher->next) {
        if (watcher->tell)
            json_array_append_new(told, watcher->tell(watcher->context));
    }
    json_object_set_new(note, "tick_ms", json_integer(tick_ms(room)));
    json_object_set_new(note, "knows", knows);
    json_object_set_new(note, "told", told);
    char *text = json_text(note);
    json_decref(note);
    if (room->note && strcmp(text, room->note) == 0) {
        json_text_free(text);
        return NULL;
    }
    return text;
}

/* False: the store can't be reached; nobody else can take anything then either. */
static bool renew(struct lease_room *room)
{
    struct fh_error error;
    char *note = next_note(room);
    int64_t told_tick_ms = tick_ms(room);
    struct statement statement = {
        .run = run_renew, .room = room, .name = room->name, .owner = room->life, .note = note};
    enum fh_code code = run(&statement, &error);
    if (code == FH_OK)
        room->told_tick_ms = told_tick_ms;
    if (code == FH_OK && note) {
        free(room->note);
        room->note = strdup(note);
        FH_ASSERT(room->note != NULL);
    }
    json_text_free(note);
    if (code == FH_CONFLICT && !error.retryable)
        lose_all(room);
    return code == FH_OK || code == FH_CONFLICT;
}

/* ---- the others ---------------------------------------------------------------------------- */

static void bury_dead(struct lease_room *room)
{
    for (int i = room->member_count - 1; i >= 0; i--) {
        const struct lease_member *member = &room->members[i];
        struct fh_error error;
        if (!lease_member_dead(room, member))
            continue;
        struct statement statement = {.run = run_drop,
                                      .room = room,
                                      .name = member->name,
                                      .owner = member->owner,
                                      .beat = member->beat};
        if (run(&statement, &error) != FH_OK)
            continue; /* it has stirred, another one was quicker, or the store is away */
        log_warning("%s (%s) shows no life: what it had is taken over.", member->name,
                    member->owner);
        lease_member_forget(room, i);
        /* What it had committed and not had numbered. */
        if (store_sequence(room->context->store, NULL, 0, &error) != FH_OK)
            log_info("Its last events get their positions with the next ones: %s", error.message);
    }
}

static void take(struct lease_room *room, const struct lease_entry *entry)
{
    struct lease *lease = entry->lease;
    struct fh_error error;
    struct statement statement = {.run = run_take,
                                  .room = room,
                                  .lease = lease,
                                  .name = lease->name,
                                  .owner = room->life,
                                  .epoch = entry->epoch};
    enum fh_code code = run(&statement, &error);
    CRASH_POINT("lease.durable");
    if (code == FH_OK && !room->draining) {
        lease->epoch = entry->epoch + 1;
        lease->state = LEASE_OURS;
        lease->taken(lease);
    } else if (code != FH_OK && code != FH_CONFLICT) {
        log_info("%s can't be taken now: %s", lease->name, error.message);
    }
}

/* To nobody. False: the store is away. */
static bool give_back(struct lease_room *room, const char *name, int64_t epoch)
{
    struct fh_error error;
    struct statement statement = {
        .run = run_take, .room = room, .name = name, .owner = "", .epoch = epoch};
    enum fh_code code = run(&statement, &error);
    return code == FH_OK || (code == FH_CONFLICT && !error.retryable);
}

static void give_back_ended(struct lease_room *room)
{
    for (struct lease *lease = room->leases; lease; lease = lease->next) {
        if (lease->state == LEASE_ENDING && lease->ended &&
            give_back(room, lease->name, lease->epoch) && lease->state == LEASE_ENDING)
            lease->state = LEASE_AWAY;
    }
}

static void settle(struct lease_room *room, const struct lease_entry *entry)
{
    struct lease *lease = entry->lease;
    bool ours = strcmp(entry->owner, room->life) == 0;
    switch (lease->state) {
    case LEASE_OURS:
        if (!ours || entry->epoch != lease->epoch)
            end(lease, true);
        else if (!entry->wanted)
            end(lease, false);
        break;
    case LEASE_AWAY:
        if (entry->wanted && entry->free && !room->draining)
            take(room, entry);
        else if (ours) /* it was taken, and not wanted any more then */
            give_back(room, lease->name, entry->epoch);
        break;
    case LEASE_ENDING:
        break;
    }
}

static void tell_looked(struct lease_room *room)
{
    bool changed = room->changed;
    room->changed = false;
    for (struct lease_watcher *watcher = room->watchers; watcher; watcher = watcher->next) {
        if (watcher->looked)
            watcher->looked(watcher->context, changed);
    }
}

static void tick(struct lease_room *room)
{
    struct fh_error error;
    if (room->joined && !renew(room))
        return;
    if (lease_look(room, &error) != FH_OK)
        return;
    if (!room->joined)
        join_again(room);
    if (!room->joined)
        return;
    if (room->told_tick_ms != tick_ms(room) && !renew(room))
        return; /* others must know at once how soon to miss us */
    bury_dead(room);
    lease_plan(room);
    for (int i = 0; i < room->entry_count && room->joined; i++) {
        if (room->entries[i].lease)
            settle(room, &room->entries[i]);
    }
    tell_looked(room);
}

static bool any_ended(const struct lease_room *room)
{
    for (const struct lease *lease = room->leases; lease; lease = lease->next) {
        if (lease->state == LEASE_ENDING && lease->ended)
            return true;
    }
    return false;
}

static void live(void *argument)
{
    struct lease_room *room = argument;
    struct world *world = room->context->world;
    while (!room->stopping) {
        int64_t began_ns = world_monotonic_ns(world);
        tick(room);
        give_back_ended(room);
        int64_t next_ns = began_ns + tick_ms(room) * INT64_C(1000000);
        while (!room->stopping && world_monotonic_ns(world) < next_ns) {
            bool woken = fiber_wait_until(&room->wake, world, next_ns);
            if (woken && any_ended(room) && room->joined)
                give_back_ended(room);
        }
    }
    room->alive = false;
    fiber_wake_all(&room->ended);
}

/* ---- beginning and end --------------------------------------------------------------------- */

struct lease_room *lease_room_new(struct work_context *context, const char *instance)
{
    if (!engine_can(context->store->engine, ENGINE_MANY_INSTANCES))
        return NULL;
    struct lease_room *room = calloc(1, sizeof *room);
    FH_ASSERT(room != NULL);
    room->context = context;
    arena_init(&room->arena, ARENA_SIZE_MAX);
    snprintf(room->instance, sizeof room->instance, "%s", instance ? instance : "0");
    snprintf(room->name, sizeof room->name, LEDGER_INSTANCE "%.64s", room->instance);
    return room;
}

enum fh_code lease_room_start(struct lease_room *room, struct fh_error *error)
{
    enum fh_code code = lease_look(room, error);
    if (code == FH_OK)
        code = join(room, error);
    if (code != FH_OK)
        return code;
    room->alive = fiber_start(room->context->world->fibers, live, room);
    if (!room->alive)
        return error_set(error, FH_NO_MEMORY, "There is no fiber left for this instance's life.");
    return FH_OK;
}

void lease_room_drain(struct lease_room *room)
{
    if (room)
        room->draining = true;
}

void lease_room_stop(struct lease_room *room)
{
    struct fh_error error;
    if (!room)
        return;
    room->stopping = room->draining = true;
    fiber_wake_all(&room->wake);
    while (room->alive)
        fiber_wait(&room->ended);
    struct statement statement = {
        .run = run_drop, .room = room, .name = room->name, .owner = room->life, .beat = -1};
    if (room->joined && run(&statement, &error) != FH_OK)
        log_info("The others find out by themselves that this instance has left: %s",
                 error.message);
    room->joined = false;
}

void lease_room_free(struct lease_room *room)
{
    if (!room)
        return;
    FH_ASSERT(!room->alive);
    while (room->member_count > 0)
        lease_member_forget(room, room->member_count - 1);
    arena_release(&room->arena);
    free(room->note);
    free(room);
}

/* ---- what is known ------------------------------------------------------------------------- */

int lease_members(const struct lease_room *room)
{
    return room && room->member_count > 0 ? room->member_count : 1;
}

void lease_watch(struct lease_room *room, struct lease_watcher *watcher)
{
    if (!room)
        return;
    watcher->next = room->watchers;
    room->watchers = watcher;
}

void lease_told(const struct lease_room *room, void (*visit)(void *context, const json_t *told),
                void *context)
{
    for (int i = 0; room && i < room->member_count; i++) {
        size_t n;
        json_t *told;
        if (strcmp(room->members[i].owner, room->life) == 0)
            continue;
        json_array_foreach (json_object_get(room->members[i].note, "told"), n, told)
            visit(context, told);
    }
}
