/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applying: the hearing side's durable half.
 *
 * Each batch's work begins by moving the cursor from where this instance believes it to be, so an
 * event is applied exactly once however often it is fetched:
 *
 *   killed before the commit is durable   the cursor stands in front of the batch: fetched again
 *   killed behind it                      the cursor stands behind it: never fetched again
 *   outcome unknown, or paused and late   the first statement finds the cursor moved; it is read
 *                                         again, and decides whether the batch was applied
 *
 * `done` names only what a commit has returned for, which is durable then: the publisher may trim
 * it. Parking an event by its key, when it has failed often enough, will go into event_failed.
 */

#include "event/subscribe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "event/subscription.h"
#include "work/work.h"
#include "world/world.h"

/* ---- the cursor ---------------------------------------------------------------------------- */

static bool cursor_equal(const struct ledger_cursor *a, const struct ledger_cursor *b)
{
    return a->position == b->position && a->epoch == b->epoch &&
           strcmp(a->incarnation, b->incarnation) == 0 && strcmp(a->event_id, b->event_id) == 0;
}

/* While it is busy its store must stay open: see event_room_wait. */
static void busy_begins(struct subscription *s)
{
    s->busy = true;
}

static void busy_ends(struct subscription *s)
{
    s->busy = false;
    fiber_wake_all(&s->room->idle);
}

static enum fh_code cursor_read(struct subscription *s, struct ledger_cursor *ret,
                                struct fh_error *error)
{
    struct store_work *work;
    busy_begins(s);
    enum fh_code code = store_begin(s->room->context->store, STORE_READ, &work, error);
    if (code == FH_OK) {
        code = ledger_cursor_get(work, s->source, s->share, ret, error);
        store_rollback(work);
    }
    busy_ends(s);
    return code;
}

/* Until it can be read. False: the subscription ends first. */
static bool cursor_read_patiently(struct subscription *s, struct ledger_cursor *ret)
{
    struct fh_error error;
    for (int n = 1; subscription_goes_on(s); n++) {
        if (cursor_read(s, ret, &error) == FH_OK)
            return true;
        subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, error.message);
        subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
    return false;
}

/* Whose first statement moves the cursor. */
struct cursor_fence {
    struct work_fence fence; /* first: it is cast from */
    const struct subscription *subscription;
    struct ledger_cursor next;
    bool moved; /* it was not where it should be */
};

static enum fh_code cursor_fence_check(fh_work *w, struct work_fence *fence, bool *ret_replied,
                                       struct fh_error *error)
{
    struct cursor_fence *own = (struct cursor_fence *)fence;
    const struct subscription *s = own->subscription;
    *ret_replied = false;
    enum fh_code code =
        ledger_cursor_move(w->store_work, s->source, s->share, &s->cursor, &own->next, error);
    own->moved = code == FH_CONFLICT && !(error && error->retryable);
    return code;
}

static enum fh_code cursor_move_alone(struct subscription *s, struct cursor_fence *fence,
                                      struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(s->room->context->store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_cursor_move(work, s->source, s->share, &s->cursor, &fence->next, error);
    if (code != FH_OK) {
        fence->moved = code == FH_CONFLICT && !error->retryable;
        store_rollback(work);
        return code;
    }
    return store_commit(work, error);
}

/* ---- applying ------------------------------------------------------------------------------ */

enum verdict {
    VERDICT_APPLIED,
    VERDICT_OUTAGE, /* nothing was done, and the events are not to blame */
    VERDICT_FAILED, /* nothing was done, and one of them is */
    VERDICT_MOVED,  /* look where the cursor is */
};

static fh_handler *handler_of(const struct subscription *s, const char *type)
{
    for (int i = 0; i < s->heard_count; i++) {
        if (strcmp(s->heard[i]->type, type) == 0)
            return s->heard[i]->handler;
    }
    return NULL;
}

static bool is_outage(enum fh_code code, const struct fh_error *error, const fh_work *failed)
{
    if (failed && code == FH_UNAVAILABLE) /* a service that it asks; a fault of its own is 500 */
        return failed->reply_status >= 502 && failed->reply_status <= 504;
    return code == FH_UNAVAILABLE || (code == FH_CONFLICT && error->retryable);
}

/* The events' handlers in one work, behind the fence. */
static enum fh_code works_run(struct subscription *s, const struct batch_event *events, int count,
                              struct cursor_fence *fence, bool *ret_outage, struct fh_error *error)
{
    struct work_context *context = s->room->context;
    fh_work *works = calloc((size_t)count, sizeof *works);
    fh_work **heard = calloc((size_t)count, sizeof(fh_work *));
    int heard_count = 0, failed = -1;
    FH_ASSERT(works != NULL && heard != NULL);
    for (int i = 0; i < count; i++) {
        fh_handler *handler = handler_of(s, events[i].type);
        if (!handler)
            continue;
        fh_work *w = &works[heard_count];
        work_init(w, context, handler);
        w->event = events[i].envelope;
        w->trace = events[i].trace;
        w->deadline_ns = world_in_ms(context->world, SUBSCRIBE_HANDLER_MS_MAX);
        heard[heard_count++] = w;
    }
    enum fh_code code = heard_count
                            ? work_batch(context, heard, heard_count, &fence->fence, &failed, error)
                            : cursor_move_alone(s, fence, error);
    *ret_outage = code != FH_OK && is_outage(code, error, failed >= 0 ? heard[failed] : NULL);
    for (int i = 0; i < heard_count; i++)
        work_release(heard[i]);
    free(heard);
    free(works);
    if (code == FH_OK) {
        s->applied_count += (uint64_t)heard_count;
        s->room->counters.applied += (uint64_t)heard_count;
    }
    return code;
}

/* The next `count` events of a batch (0: only the cursor, to `next`). */
static enum verdict apply(struct subscription *s, const struct batch_event *events, int count,
                          const struct ledger_cursor *next, struct fh_error *error)
{
    struct cursor_fence fence = {
        .fence.check = cursor_fence_check, .subscription = s, .next = *next};
    bool outage = false;
    fence.next.epoch = s->cursor.epoch;
    *error = (struct fh_error){0};
    busy_begins(s);
    enum fh_code code = works_run(s, events, count, &fence, &outage, error);
    busy_ends(s);
    if (code == FH_OK) {
        s->cursor = fence.next;
        return VERDICT_APPLIED;
    }
    if (fence.moved || code == FH_OUTCOME_UNKNOWN)
        return VERDICT_MOVED;
    return outage ? VERDICT_OUTAGE : VERDICT_FAILED;
}

/* After VERDICT_MOVED: reads the cursor. True: it stands at `next`, where it should have come to;
 * false: it stands where it was, and the same is tried again, or elsewhere (*ret_elsewhere), or
 * the subscription ends. */
static bool was_applied(struct subscription *s, const struct ledger_cursor *next,
                        bool *ret_elsewhere)
{
    struct ledger_cursor now, wanted = *next;
    wanted.epoch = s->cursor.epoch;
    *ret_elsewhere = false;
    if (!cursor_read_patiently(s, &now) || cursor_equal(&now, &s->cursor))
        return false;
    bool applied = cursor_equal(&now, &wanted);
    s->cursor = now;
    if (!applied) {
        log_warning("The cursor of %s was moved to %lld by someone else; reading on from there.",
                    s->source, (long long)now.position);
        subscription_drop(s);
        *ret_elsewhere = true;
    }
    return applied;
}

/* An event has failed in a work of its own, for the n-th time. It is tried again as long as it
 * takes, and what follows waits. Parking it by its key, so that other keys go on, belongs here. */
static void event_failed(struct subscription *s, const struct batch_event *event, int n,
                         const struct fh_error *error)
{
    char reason[REASON_SIZE];
    snprintf(reason, sizeof reason, "%s %s at %lld fails (%d times): %s", event->type, event->id,
             (long long)event->position, n, error->message);
    if ((n & (n - 1)) == 0 && n > 1) /* at 2, 4, 8 …; hold_set says the first */
        log_warning("Events of %s have to wait: %s", s->source, reason);
    s->failure_count++;
    s->room->counters.failures++;
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_FAILING, reason);
    subscription_pause(s, n, SUBSCRIBE_FAILURE_MS_MIN, SUBSCRIBE_FAILURE_MS_MAX);
}

static void outage_met(struct subscription *s, int n, const struct fh_error *error)
{
    s->room->counters.outages++;
    subscription_hold(s, &s->applying_hold, SUBSCRIPTION_WAITING, error->message);
    subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
}

/* Where the cursor stands behind the first `count` of what is left of a batch. */
static struct ledger_cursor cursor_behind(const struct batch *batch, int done, int count)
{
    struct ledger_cursor next = batch->next;
    if (done + count < batch->count) {
        const struct batch_event *event = &batch->events[done + count - 1];
        next.position = event->position;
        snprintf(next.event_id, sizeof next.event_id, "%s", event->id);
    }
    return next;
}

/* All of s->applying, however long it takes; returns early when the subscription ends or the
 * cursor turned out to be elsewhere. */
static void batch_apply(struct subscription *s)
{
    const struct batch *batch = s->applying;
    struct fh_error error;
    bool singly = false, elsewhere = false;
    int tries = 0;
    while (subscription_goes_on(s) && !elsewhere && s->applied < batch->count) {
        int left = batch->count - s->applied;
        int count = singly ? 1 : left < SUBSCRIBE_WORK_MAX ? left : SUBSCRIBE_WORK_MAX;
        const struct batch_event *events = batch->events + s->applied;
        struct ledger_cursor next = cursor_behind(batch, s->applied, count);
        enum verdict verdict = apply(s, events, count, &next, &error);
        if (verdict == VERDICT_MOVED && was_applied(s, &next, &elsewhere))
            verdict = VERDICT_APPLIED;
        if (verdict == VERDICT_APPLIED) {
            s->applied += count;
            tries = 0;
            subscription_release_hold(s, &s->applying_hold);
        } else if (verdict == VERDICT_FAILED && count > 1) {
            singly = true;
            tries = 0;
        } else if (verdict == VERDICT_FAILED) {
            event_failed(s, events, ++tries, &error);
        } else if (elsewhere) {
            subscription_release_hold(s, &s->applying_hold);
        } else if (error.code == FH_CONFLICT) {
            /* Someone else's commit is under way, or the group broke: soon over. */
            subscription_pause(s, ++tries, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
        } else {
            outage_met(s, ++tries, &error);
        }
    }
}

/* The cursor alone, past what nobody hears. */
static void skip_apply(struct subscription *s)
{
    struct fh_error error;
    bool elsewhere;
    struct ledger_cursor next = s->skipped;
    s->skipped_ns = world_monotonic_ns(subscription_world(s));
    enum verdict verdict = apply(s, NULL, 0, &next, &error);
    if (verdict == VERDICT_MOVED && was_applied(s, &next, &elsewhere))
        verdict = VERDICT_APPLIED;
    if (verdict == VERDICT_APPLIED)
        subscription_release_hold(s, &s->applying_hold);
    else if (verdict != VERDICT_MOVED)
        outage_met(s, 1, &error); /* the next round comes in a second */
}

static void apply_what_came(struct subscription *s)
{
    int64_t due_ns = s->skipped_ns + SUBSCRIBE_SKIP_INTERVAL_MS * NS_A_MS;
    s->applying = subscription_take(s);
    if (s->applying) {
        s->applied = 0;
        batch_apply(s);
        batch_free(s->applying);
        s->applying = NULL;
    } else if (s->skipped.position <= s->cursor.position) {
        fiber_wait(&s->for_batches);
    } else if (world_monotonic_ns(subscription_world(s)) < due_ns) {
        fiber_wait_until(&s->for_batches, subscription_world(s), due_ns);
    } else {
        skip_apply(s);
    }
}

/* Reads the cursor, lets the reader begin there, and applies what it brings. */
static void applier(void *argument)
{
    struct subscription *s = argument;
    if (cursor_read_patiently(s, &s->cursor)) {
        subscription_release_hold(s, &s->applying_hold);
        s->fetched = s->skipped = s->cursor;
        for (int n = 1; subscription_goes_on(s) && !event_room_fiber(s->room, subscription_read, s);
             n++)
            subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
    while (subscription_goes_on(s))
        apply_what_came(s);
    event_room_fiber_ends(s->room);
}

/* ---- start, drain, end --------------------------------------------------------------------- */

static struct subscription *subscription_of(struct event_room *room, const char *source)
{
    struct subscription **at = &room->subscriptions;
    for (; *at; at = &(*at)->next) {
        if (strcmp((*at)->source, source) == 0)
            return *at;
    }
    struct subscription *s = calloc(1, sizeof *s);
    FH_ASSERT(s != NULL);
    s->room = room;
    s->source = source;
    s->reached_ns = world_monotonic_ns(room->context->world);
    snprintf(s->share, sizeof s->share, "0/1");
    *at = s;
    return s;
}

static enum fh_code hear(struct event_room *room, const struct fh_heard *heard,
                         struct fh_error *error)
{
    struct subscription *s = subscription_of(room, heard->service);
    if (!heard->type || !heard->handler)
        return error_set(error, FH_INVALID, "`hears` of %s lacks a type or a handler.",
                         heard->service);
    if (handler_of(s, heard->type))
        return error_set(error, FH_INVALID, "`hears` names %s of %s twice.", heard->type,
                         heard->service);
    s->heard[s->heard_count++] = heard;
    return FH_OK;
}

enum fh_code subscribe_start(struct event_room *room, struct fh_error *error)
{
    const struct fh_service *service = room->context->service;
    for (size_t i = 0; i < HEARD_MAX; i++) {
        if (!service->hears[i].service)
            continue;
        enum fh_code code = hear(room, &service->hears[i], error);
        if (code != FH_OK)
            return code;
    }
    for (struct subscription *s = room->subscriptions; s; s = s->next) {
        if (!event_room_fiber(room, applier, s))
            return error_set(error, FH_NO_MEMORY, "There is no fiber left for a subscription.");
    }
    return FH_OK;
}

bool subscribe_idle(const struct event_room *room)
{
    for (const struct subscription *s = room->subscriptions; s; s = s->next) {
        if (s->busy)
            return false;
    }
    return true;
}

void subscribe_drain(struct event_room *room)
{
    for (struct subscription *s = room->subscriptions; s; s = s->next) {
        fiber_wake_all(&s->for_batches);
        fiber_wake_all(&s->for_space);
    }
}

void subscribe_release(struct event_room *room)
{
    while (room->subscriptions) {
        struct subscription *s = room->subscriptions;
        room->subscriptions = s->next;
        subscription_drop(s);
        free(s);
    }
}
