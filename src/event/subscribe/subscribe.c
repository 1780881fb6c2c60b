/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription from start to end: reading its cursor, applying what its reader delivers (one
 * transaction at a time, see apply.c), and handling failures. `done` names only what a returned
 * commit has made durable: the publisher may trim it. Attempts on a failing event are counted in
 * memory: a restart counts from zero.
 */

#include "event/subscribe/subscribe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "event/subscribe/apply.h"
#include "event/subscribe/parked.h"
#include "event/resync/resync.h"
#include "event/subscribe/partitions.h"
#include "event/subscribe/replay.h"
#include "event/subscribe/subscription.h"
#include "event/sync/sync.h"
#include "work/work.h"
#include "world/world.h"

/* ---- the cursor ---- */

static bool cursor_equal(const struct ledger_cursor *a, const struct ledger_cursor *b)
{
    return a->position == b->position && a->epoch == b->epoch &&
           strcmp(a->incarnation, b->incarnation) == 0 && strcmp(a->event_id, b->event_id) == 0;
}

static enum fh_code read_cursor(struct subscription *s, struct ledger_cursor *ret,
                                struct fh_error *error)
{
    struct store_work *work;
    subscription_enter(s);
    enum fh_code code = store_begin(s->manager->context->store, STORE_READ, &work, error);
    if (code == FH_OK) {
        code = ledger_cursor_get(work, s->source, s->partition, ret, error);
        store_rollback(work);
    }
    subscription_leave(s);
    return code;
}

/* Tries until it can be read. False: the subscription ended first. */
static bool read_cursor_patiently(struct subscription *s, struct ledger_cursor *ret)
{
    struct fh_error error;
    for (int n = 1; subscription_goes_on(s); n++) {
        if (read_cursor(s, ret, &error) == FH_OK)
            return true;
        subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, error.message);
        subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
    return false;
}

/* ---- applying ---- */

/* After APPLY_MOVED: reads the cursor. True: it is at `next`, as intended. False: it is where it
 * was, so the same is tried again; or it is elsewhere (*ret_elsewhere); or the subscription
 * ends. */
static bool was_applied(struct subscription *s, const struct ledger_cursor *next,
                        bool *ret_elsewhere)
{
    struct ledger_cursor now, wanted = *next;
    wanted.epoch = s->cursor.epoch;
    *ret_elsewhere = false;
    if (!read_cursor_patiently(s, &now) || cursor_equal(&now, &s->cursor))
        return false;
    bool applied = cursor_equal(&now, &wanted);
    s->fenced = now.epoch != s->cursor.epoch;
    s->cursor = now;
    *ret_elsewhere = s->fenced;
    if (s->fenced) {
        level_lost(s);
        return false;
    }
    if (!replay_load(s))
        return false;
    level_moved(s);
    if (!applied) {
        log_warning("cursor-moved",
                    "The cursor of %s was moved to %lld by someone else; reading on from there.",
                    s->source, (long long)now.position);
        subscription_drop(s);
        *ret_elsewhere = true;
    }
    return applied;
}

/* The state of the attempts on the next events. */
struct attempts {
    int together;    /* the most events in the next transaction */
    int failures;    /* of the single event, tried in its own transactions */
    int interrupted; /* by outages and others' commits, in a row: not counted as failures */
    bool parks;      /* the next attempt parks it */
    char why[sizeof(((struct fh_error *)NULL)->message)];
};

static const struct attempts fresh = {.together = WORK_BATCH_MAX};

/* An event has failed in a transaction of its own. */
static void event_failed(struct subscription *s, const struct apply *apply,
                         struct attempts *attempts)
{
    const struct batch_event *event = apply->events;
    char reason[REASON_SIZE];
    int n = ++attempts->failures;
    snprintf(attempts->why, sizeof attempts->why, "%s", apply->error.message);
    snprintf(reason, sizeof reason, "%s %s at %lld fails (%d times): %s", event->type, event->id,
             (long long)event->position, n, apply->error.message);
    s->failure_count++;
    s->manager->counters.failures++;
    if (s->applying_hold.state != SUBSCRIPTION_FULL)
        subscription_hold(s, &s->applying_hold, SUBSCRIPTION_FAILING, reason);
    attempts->parks = n >= SUBSCRIBE_ATTEMPTS_MAX;
    if (!attempts->parks)
        subscription_pause(s, n, SUBSCRIBE_FAILURE_MS_MIN, SUBSCRIBE_FAILURE_MS_MAX);
}

/* One of several handlers failed: those before it are applied first, then it is tried alone. */
static void events_failed(const struct apply *apply, struct attempts *attempts)
{
    if (apply->failed < 0) /* the commit refused: halving finds the culprit */
        attempts->together = apply->count / 2;
    else
        attempts->together = apply->failed > 0 ? apply->failed : 1;
}

/* The event is tried again when there is room to park it, and now and then without room. */
static void wait_for_room(struct subscription *s, const struct apply *apply,
                          struct attempts *attempts)
{
    char reason[2 * REASON_SIZE];
    attempts->parks = false;
    snprintf(reason, sizeof reason, "%s %s at %lld fails (%s), and can't be parked: %s",
             apply->events->type, apply->events->id, (long long)apply->events->position,
             *attempts->why ? attempts->why : "one before it did", apply->error.message);
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_FULL, reason);
    fiber_wait_until(&s->for_parking, subscription_world(s),
                     world_in_ms(subscription_world(s), SUBSCRIBE_FULL_MS));
}

static void outage_met(struct subscription *s, int n, const struct fh_error *error)
{
    s->manager->counters.outages++;
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, error->message);
    subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
}

/* The cursor's place after the next `count` events of a batch of which `done` are applied. */
static struct ledger_cursor cursor_after_events(const struct batch *batch, int done, int count)
{
    struct ledger_cursor next = batch->next;
    if (done + count < batch->count) {
        const struct batch_event *event = &batch->events[done + count - 1];
        next.position = event->position;
        snprintf(next.event_id, sizeof next.event_id, "%s", event->id);
    }
    return next;
}

/* Events before the one that met an outage are applied first. A transaction that met conflicts
 * until it gave up is halved: a shorter one is more likely to succeed. */
static void events_interrupted(struct subscription *s, const struct apply *apply,
                               struct attempts *attempts)
{
    int n = ++attempts->interrupted;
    bool beaten = apply->error.code == FH_CONFLICT && apply->error.retryable;
    if (apply->failed > 0)
        attempts->together = apply->failed;
    else if (beaten && apply->count > 1)
        attempts->together = apply->count / 2;
    else if (apply->error.code == FH_CONFLICT) /* another commit is in progress: soon over */
        subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    else
        outage_met(s, n, &apply->error);
}

static void events_applied(struct subscription *s, const struct apply *apply,
                           struct attempts *attempts)
{
    if (apply->events->unreadable)
        log_warning("event-parked", "A message of %s at %lld is parked with its key %s: %s",
                    s->source, (long long)apply->events->position, apply->events->key,
                    apply->events->unreadable);
    else if (attempts->parks)
        log_warning(
            "event-parked", "%s %s of %s at %lld is parked with its key %s after %d attempts: %s",
            apply->events->type, apply->events->id, s->source, (long long)apply->events->position,
            apply->events->key, attempts->failures, attempts->why);
    s->applied += apply->count;
    *attempts = fresh;
    subscription_release_hold(s, &s->applying_hold);
}

/* Of the next `count` events those before one that is unreadable, or that one: it is parked alone.
 */
static int count_readable(const struct batch *batch, int done, int count)
{
    for (int i = 0; i < count; i++) {
        if (batch->events[done + i].unreadable)
            return i > 0 ? i : 1;
    }
    return count;
}

/* One transaction. False: the cursor is elsewhere. */
static bool apply_next_events(struct subscription *s, struct attempts *attempts)
{
    const struct batch *batch = s->applying;
    int left = batch->count - s->applied;
    int most = work_batch_size(s->manager->context, &s->habits);
    int count = left < attempts->together ? left : attempts->together;
    if (count > most)
        count = most;
    count = count_readable(batch, s->applied, count);
    if (engine_can(s->manager->context->store->engine, ENGINE_ONE_DOCUMENT) && count > 1)
        count = 1; /* each handler may change another document */
    replay_mark(s, batch->events + s->applied, count);
    const char *unreadable = batch->events[s->applied].unreadable;
    if (unreadable)
        snprintf(attempts->why, sizeof attempts->why, "%s", unreadable);
    struct apply apply = {.subscription = s,
                          .events = batch->events + s->applied,
                          .count = count,
                          .next = cursor_after_events(batch, s->applied, count),
                          .park_error = unreadable || attempts->parks ? attempts->why : NULL,
                          .park_attempts = attempts->failures};
    bool elsewhere = false;
    enum apply_verdict verdict = apply_run(&apply);
    if (verdict == APPLY_MOVED && was_applied(s, &apply.next, &elsewhere)) {
        parked_recount(s);
        verdict = APPLY_DONE;
    }
    if (elsewhere) {
        if (!s->fenced)
            subscription_release_hold(s, &s->applying_hold);
        return false;
    }
    switch (verdict) {
    case APPLY_DONE:
        events_applied(s, &apply, attempts);
        break;
    case APPLY_FAILED:
        if (count > 1)
            events_failed(&apply, attempts);
        else
            event_failed(s, &apply, attempts);
        break;
    case APPLY_FULL:
        wait_for_room(s, &apply, attempts);
        break;
    case APPLY_STALE:
        subscription_pause(s, 1, 1, 1);
        break;
    case APPLY_MOVED:
    case APPLY_OUTAGE:
        events_interrupted(s, &apply, attempts);
        break;
    }
    return true;
}

/* Applies all of s->applying, however long it takes; returns early when the subscription ends or
 * the cursor is elsewhere. */
static void batch_apply(struct subscription *s)
{
    struct attempts attempts = fresh;
    while (subscription_goes_on(s) && !subscription_resyncs(s) && !replay_calls(s) &&
           s->applied < s->applying->count) {
        if (!apply_next_events(s, &attempts))
            return;
    }
}

/* Of a source the cursor also says which topic it is, and where in it reading began. */
static bool has_skipped(const struct subscription *s)
{
    bool other = s->outside && strcmp(s->skipped.incarnation, s->cursor.incarnation) != 0;
    return subscription_skips(s) && (other || s->skipped.position > s->cursor.position);
}

/* Moves only the cursor, past events of other types. */
static void skip_apply(struct subscription *s)
{
    bool elsewhere = false;
    struct apply apply = {.subscription = s, .next = s->skipped};
    s->skipped_ns = world_monotonic_ns(subscription_world(s));
    enum apply_verdict verdict = apply_run(&apply);
    if (verdict == APPLY_MOVED && was_applied(s, &apply.next, &elsewhere))
        verdict = APPLY_DONE;
    if (verdict == APPLY_DONE || (elsewhere && !s->fenced))
        subscription_release_hold(s, &s->applying_hold);
    else if (verdict != APPLY_MOVED)
        outage_met(s, 1, &apply.error); /* the next attempt comes in a second */
}

static void apply_what_came(struct subscription *s)
{
    int64_t due_ns = s->skipped_ns + SUBSCRIBE_SKIP_INTERVAL_MS * NS_A_MS;
    if (replay_calls(s)) /* since something else was looked at */
        return;
    s->applying = subscription_take(s);
    if (s->applying) {
        s->applied = 0;
        batch_apply(s);
        subscription_finish(s);
    } else if (!has_skipped(s)) {
        sync_wait(s, INT64_MAX);
    } else if (world_monotonic_ns(subscription_world(s)) < due_ns) {
        sync_wait(s, due_ns);
    } else {
        skip_apply(s);
    }
}

/* ---- a partition's life ---- */

/* Reads the cursor, left by its former owner; it must have our lease's epoch by now. */
static bool cursor_is_ours(struct subscription *s)
{
    if (!read_cursor_patiently(s, &s->cursor))
        return false;
    s->fenced = s->manager->context->leases && s->cursor.epoch != s->lease.epoch;
    return !s->fenced;
}

static void hold_as_fenced(struct subscription *s)
{
    char reason[REASON_SIZE];
    snprintf(reason, sizeof reason,
             "Another instance has taken over this partition: its cursor is of epoch %lld, our "
             "lease of %lld.",
             (long long)s->cursor.epoch, (long long)s->lease.epoch);
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, reason);
}

/* Reads the cursor, starts the reader there, and applies what it delivers, while the partition is
 * ours. */
static void run_applier(void *argument)
{
    struct subscription *s = argument;
    level_lost(s);
    if (cursor_is_ours(s) && replay_load(s) && resync_load(s)) {
        if (subscription_resyncs(s))
            subscription_hold(s, &s->reading, SUBSCRIPTION_RESYNC,
                              "A snapshot was under way when this process began.");
        subscription_drop(s);
        parked_recount(s);
        s->loaded = true;
        if (s->parked.keys > 0 && !event_manager_fiber(s->manager, parked_retry_at_start, s))
            log_warning("parked-retry-delayed",
                        "Parked events of %s can't be retried now: no fiber is free.", s->source);
        subscription_begin_reading(s);
    }
    while (subscription_goes_on(s)) {
        if (replay_step(s))
            continue;
        if (subscription_resyncs(s))
            resync_step(s);
        else if (!resync_forget(s) && !sync_step(s))
            apply_what_came(s);
    }
    if (s->fenced && subscription_is_ours(s))
        hold_as_fenced(s);
    if (!s->manager->draining)
        subscription_drop(s);
    s->applies = s->loaded = false;
    replay_refuse(s);
    lease_ended(&s->lease);
    event_manager_fiber_ends(s->manager);
}

static void begin_applying(struct subscription *s)
{
    if (!s->applies && subscription_goes_on(s))
        s->applies = event_manager_fiber(s->manager, run_applier, s);
}

static void partition_taken(struct lease *lease)
{
    struct subscription *s = lease->owner;
    s->fenced = s->resyncs = false; /* an owner in between may have resolved it */
    s->reading.state = SUBSCRIPTION_STARTING;
    s->reading.reason[0] = '\0';
    begin_applying(s);
}

static void partition_ends(struct lease *lease)
{
    struct subscription *s = lease->owner;
    level_lost(s);
    level_wake(s->manager);
    subscription_wake(s);
    if (!s->applies)
        lease_ended(lease);
}

/* The fence: transactions that know an older epoch can't move the cursor any more. */
static enum fh_code partition_take(struct lease *lease, struct store_work *work, int64_t epoch,
                                   struct fh_error *error)
{
    const struct subscription *s = lease->owner;
    return ledger_cursor_take(work, s->source, s->partition, epoch, error);
}

/* A partition of ours that found no fiber gets another chance. A fenced one would stand still for
 * ever, however the cursor got its epoch: it is given back, and the next owner, usually we again,
 * gives the cursor a new one. If it was another's all along, giving it back does nothing. */
void subscribe_looked(struct event_manager *manager)
{
    for (struct subscription *s = manager->subscriptions; s; s = s->next) {
        if (!subscription_is_ours(s))
            continue;
        if (!s->fenced) {
            begin_applying(s);
        } else if (!s->applies && !manager->draining) {
            log_warning("partition-lease-returned",
                        "The cursor of partition %s of %s has epoch %lld, and this instance's "
                        "lease of it %lld: the lease is given back, to be taken again.",
                        s->partition, s->source, (long long)s->cursor.epoch,
                        (long long)s->lease.epoch);
            lease_give_up(&s->lease);
        }
    }
}

/* ---- start, drain, end ---- */

static enum fh_code begin_partition(struct subscription *s, struct fh_error *error)
{
    if (s->outside) /* its topic's partitions, of which there may be more one day */
        snprintf(s->partition, sizeof s->partition, "%u", s->partition_index);
    else
        snprintf(s->partition, sizeof s->partition, "%u/%u", s->partition_index,
                 s->partition_count);
    s->reached_ns = world_monotonic_ns(subscription_world(s));
    s->sync = sync_new(s);
    s->lease = (struct lease){
        .take = partition_take, .taken = partition_taken, .ends = partition_ends, .owner = s};
    snprintf(s->lease.name, sizeof s->lease.name, "share %.64s %s", s->source, s->partition);
    lease_add(s->manager->context->leases, &s->lease);
    if (subscription_is_ours(s) && !s->applies)
        return error_set(error, FH_NO_MEMORY, "There is no fiber left for a subscription.");
    return FH_OK;
}

enum fh_code subscribe_start(struct event_manager *manager, struct fh_error *error)
{
    unsigned count = 1;
    enum fh_code declared = subscribe_declare(manager, error);
    if (declared != FH_OK)
        return declared;
    for (struct subscription *s = manager->subscriptions; s; s = s->next) {
        count = event_manager_source(manager, s->source);
        enum fh_code code = count ? FH_OK : partitions_count(manager, s->source, &count, error);
        if (code != FH_OK)
            return code;
        s = partitions_spread(s, count);
    }
    for (struct subscription *s = manager->subscriptions; s; s = s->next) {
        enum fh_code code = begin_partition(s, error);
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

bool subscribe_idle(const struct event_manager *manager)
{
    for (const struct subscription *s = manager->subscriptions; s; s = s->next)
        if (s->busy)
            return false;
    return true;
}

void subscribe_drain(struct event_manager *manager)
{
    level_wake(manager);
    for (struct subscription *s = manager->subscriptions; s; s = s->next) {
        subscription_wake(s);
        subscription_cancel_reading(s);
    }
}

void subscribe_release(struct event_manager *manager)
{
    while (manager->subscriptions) {
        struct subscription *s = manager->subscriptions;
        manager->subscriptions = s->next;
        subscription_drop(s);
        sync_free(s->sync);
        free(s);
    }
}
