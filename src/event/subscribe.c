/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions. Where each one stands is known three times:
 *
 *   cursor   committed, in the store: what a restart finds, and what `done` tells the publisher
 *   fetched  in memory: behind the last event that is in the queue; `after` of the next request
 *   skipped  in memory: the feed was scanned to here behind the queue, and nobody hears what was
 *            passed; the cursor follows with the next batch, or by itself once a second
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
#include "base/text.h"
#include "event/batch.h"
#include "event/feed.h"
#include "work/work.h"
#include "world/world.h"

#define NS_A_MS INT64_C(1000000)
#define HEARD_MAX (sizeof(((struct fh_service *)NULL)->hears) / sizeof(struct fh_heard))
#define PATH_LENGTH_MAX ((size_t)32 << 10)
#define REASON_SIZE 320

/* What holds one side of a subscription up. */
struct hold {
    enum subscription_state state;
    char reason[REASON_SIZE];
};

struct subscription {
    struct event_room *room;
    struct subscription *next;
    const char *source;
    char share[16];
    const struct fh_heard *heard[HEARD_MAX]; /* of this source */
    int heard_count;
    struct ledger_cursor cursor, fetched, skipped;
    int64_t last;
    struct batch *first, *newest; /* fetched, not yet applied */
    int queued;
    struct batch *applying;
    int applied;         /* of its events */
    bool busy;           /* its store is in use */
    uint64_t generation; /* rises when what was fetched is thrown away */
    struct fiber_queue for_batches, for_space;
    struct hold reading, applying_hold;
    int64_t reached_ns; /* the last good answer */
    int64_t skipped_ns; /* the last work that only moved the cursor */
    uint64_t applied_count, failure_count;
};

/* ---- pauses and states --------------------------------------------------------------------- */

static struct world *world_of(const struct subscription *s)
{
    return s->room->context->world;
}

static bool refused(const struct subscription *s)
{
    return s->reading.state == SUBSCRIPTION_REFUSED;
}

static bool goes_on(const struct subscription *s)
{
    return !s->room->draining && !refused(s);
}

/* The n-th pause, n from 1: doubling, with full jitter. False: the room drains. */
static bool take_pause(struct subscription *s, int n, int64_t ms_min, int64_t ms_max)
{
    int64_t most = ms_min;
    for (int i = 1; i < n && most < ms_max; i++)
        most *= 2;
    most = most < ms_max ? most : ms_max;
    int64_t ns = (int64_t)world_random_below(world_of(s), (uint64_t)(most * NS_A_MS)) + NS_A_MS;
    return event_room_sleep(s->room, world_monotonic_ns(world_of(s)) + ns);
}

/* Said in the log once, when it begins and when the reason's kind changes. */
static void hold_set(const struct subscription *s, struct hold *hold, enum subscription_state state,
                     const char *reason)
{
    bool new = hold->state != state;
    hold->state = state;
    snprintf(hold->reason, sizeof hold->reason, "%s", reason);
    if (new &&state == SUBSCRIPTION_REFUSED)
        log_error("The subscription to %s has stopped: %s", s->source, reason);
    else if (new)
        log_warning("Events of %s have to wait: %s", s->source, reason);
}

static void hold_clear(const struct subscription *s, struct hold *hold)
{
    if (hold->state != SUBSCRIPTION_FOLLOWING && hold->state != SUBSCRIPTION_STARTING)
        log_info("Events of %s go on.", s->source);
    hold->state = SUBSCRIPTION_FOLLOWING;
    hold->reason[0] = '\0';
}

/* ---- the queue between reader and applier -------------------------------------------------- */

static void queue_put(struct subscription *s, struct batch *batch)
{
    *(s->newest ? &s->newest->following : &s->first) = batch;
    s->newest = batch;
    s->queued++;
    fiber_wake_all(&s->for_batches);
}

static struct batch *queue_take(struct subscription *s)
{
    struct batch *batch = s->first;
    if (!batch)
        return NULL;
    s->first = batch->following;
    if (!s->first)
        s->newest = NULL;
    s->queued--;
    fiber_wake_all(&s->for_space);
    return batch;
}

/* Throws away what was fetched, and what is being fetched: the reader goes on behind the cursor. */
static void queue_drop(struct subscription *s)
{
    struct batch *batch;
    while ((batch = queue_take(s)))
        batch_free(batch);
    s->fetched = s->skipped = s->cursor;
    s->generation++;
}

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
    for (int n = 1; goes_on(s); n++) {
        if (cursor_read(s, ret, &error) == FH_OK)
            return true;
        hold_set(s, &s->applying_hold, SUBSCRIPTION_WAITING, error.message);
        take_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
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
        queue_drop(s);
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
    hold_set(s, &s->applying_hold, SUBSCRIPTION_FAILING, reason);
    take_pause(s, n, SUBSCRIBE_FAILURE_MS_MIN, SUBSCRIBE_FAILURE_MS_MAX);
}

static void outage_met(struct subscription *s, int n, const struct fh_error *error)
{
    s->room->counters.outages++;
    hold_set(s, &s->applying_hold, SUBSCRIPTION_WAITING, error->message);
    take_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
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
    while (goes_on(s) && !elsewhere && s->applied < batch->count) {
        int count = singly ? 1 : batch->count - s->applied;
        const struct batch_event *events = batch->events + s->applied;
        struct ledger_cursor next = cursor_behind(batch, s->applied, count);
        enum verdict verdict = apply(s, events, count, &next, &error);
        if (verdict == VERDICT_MOVED && was_applied(s, &next, &elsewhere))
            verdict = VERDICT_APPLIED;
        if (verdict == VERDICT_APPLIED) {
            s->applied += count;
            tries = 0;
            hold_clear(s, &s->applying_hold);
        } else if (verdict == VERDICT_FAILED && count > 1) {
            singly = true;
            tries = 0;
        } else if (verdict == VERDICT_FAILED) {
            event_failed(s, events, ++tries, &error);
        } else if (elsewhere) {
            hold_clear(s, &s->applying_hold);
        } else if (error.code == FH_CONFLICT) {
            /* Someone else's commit is under way, or the group broke: soon over. */
            take_pause(s, ++tries, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
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
    s->skipped_ns = world_monotonic_ns(world_of(s));
    enum verdict verdict = apply(s, NULL, 0, &next, &error);
    if (verdict == VERDICT_MOVED && was_applied(s, &next, &elsewhere))
        verdict = VERDICT_APPLIED;
    if (verdict == VERDICT_APPLIED)
        hold_clear(s, &s->applying_hold);
    else if (verdict != VERDICT_MOVED)
        outage_met(s, 1, &error); /* the next round comes in a second */
}

static void apply_what_came(struct subscription *s)
{
    int64_t due_ns = s->skipped_ns + SUBSCRIBE_SKIP_INTERVAL_MS * NS_A_MS;
    s->applying = queue_take(s);
    if (s->applying) {
        s->applied = 0;
        batch_apply(s);
        batch_free(s->applying);
        s->applying = NULL;
    } else if (s->skipped.position <= s->cursor.position) {
        fiber_wait(&s->for_batches);
    } else if (world_monotonic_ns(world_of(s)) < due_ns) {
        fiber_wait_until(&s->for_batches, world_of(s), due_ns);
    } else {
        skip_apply(s);
    }
}

/* ---- reading ------------------------------------------------------------------------------- */

static void add_encoded(struct text *out, const char *value)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *value; value++) {
        if (strchr(plain, *value))
            text_append(out, value, 1);
        else
            text_printf(out, "%%%02X", (unsigned char)*value);
    }
}

/* "UserUpdated:id,UserUpdated:name": a type that needs all of its data is not named. */
static void add_fields(struct text *out, const struct fh_heard *heard, const char **separator)
{
    const char *at = heard->fields;
    while (at && *at) {
        size_t length = strcspn(at, ", ");
        if (length) {
            char *field = strndup(at, length);
            FH_ASSERT(field != NULL);
            text_add(out, *separator);
            add_encoded(out, heard->type);
            text_add(out, ":");
            add_encoded(out, field);
            *separator = ",";
            free(field);
        }
        at += length + (at[length] != '\0');
    }
}

static void feed_path(const struct subscription *s, struct text *out)
{
    const char *separator = "&types=";
    text_init(out, PATH_LENGTH_MAX);
    text_printf(out, FEED_PATH "?name=%s&share=%s", s->room->context->service->name, s->share);
    if (s->fetched.incarnation[0])
        text_printf(out, "&incarnation=%s&after=%lld&id=%s&done=%lld", s->fetched.incarnation,
                    (long long)s->fetched.position, s->fetched.event_id,
                    (long long)s->cursor.position);
    for (int i = 0; i < s->heard_count; i++) {
        text_add(out, separator);
        add_encoded(out, s->heard[i]->type);
        separator = ",";
    }
    separator = "&fields=";
    for (int i = 0; i < s->heard_count; i++)
        add_fields(out, s->heard[i], &separator);
    /* The first answer comes at once: until then nobody knows how far there is to go. */
    text_printf(out, "&limit=%d&wait=%d", SUBSCRIBE_BATCH_MAX,
                s->reading.state == SUBSCRIPTION_FOLLOWING ? SUBSCRIBE_WAIT_S : 0);
    FH_ASSERT(!out->overflow); /* at most 32 short names */
}

static void take_batch(struct subscription *s, struct batch *batch)
{
    s->fetched = batch->next;
    s->last = batch->last;
    s->reached_ns = world_monotonic_ns(world_of(s));
    s->room->counters.fetches++;
    hold_clear(s, &s->reading);
    if (batch->count > 0) {
        queue_put(s, batch);
        return;
    }
    s->skipped = batch->next;
    batch_free(batch);
    fiber_wake_all(&s->for_batches);
}

static void refuse(struct subscription *s, int status)
{
    hold_set(s, &s->reading, SUBSCRIPTION_REFUSED,
             status == 409 ? "The publisher's store is not the one that was read so far (409): it "
                             "was restored or replaced. What was applied must be brought in line "
                             "with it before its events can be followed again."
                           : "The publisher has trimmed events that were not read yet (410). What "
                             "was missed must be brought in line before its events can be followed "
                             "again.");
    queue_drop(s);
    fiber_wake_all(&s->for_batches);
}

static void unreachable(const struct subscription *s, const struct world_request *request,
                        char reason[REASON_SIZE])
{
    if (request->status)
        snprintf(reason, REASON_SIZE, "%s answers the feed with %d.", s->source, request->status);
    else
        snprintf(reason, REASON_SIZE, "%s can't be reached: %s.", s->source,
                 request->failure ? request->failure : "no answer");
}

/* One request. False: nothing came of it, and `reason` says why. */
static bool read_once(struct subscription *s, char reason[REASON_SIZE])
{
    struct work_context *context = s->room->context;
    struct fh_error error;
    struct batch *batch = NULL;
    struct text path;
    char from[128];
    uint64_t generation = s->generation;
    int64_t after = s->fetched.position;
    feed_path(s, &path);
    snprintf(from, sizeof from, "%s/%s", context->service->name, context->store->incarnation);
    struct world_request request = {
        .service = s->source,
        .method = "GET",
        .path = path.data,
        .headers = {{"Accept", FEED_CONTENT_TYPE}, {"Freehold-From", from}},
        .deadline_ns = world_in_ms(context->world, SUBSCRIBE_ANSWER_MS_MAX),
    };
    world_request_wait(context->world, &request);
    bool good = true;
    if (generation == s->generation && !s->room->draining) {
        if (request.status == 200) {
            good = batch_parse(&request, after, SUBSCRIBE_BATCH_MAX, &batch, &error) == FH_OK;
            if (good)
                take_batch(s, batch);
            else
                snprintf(reason, REASON_SIZE, "%s answered the feed with what can't be read: %s",
                         s->source, error.message);
        } else if (request.status == 409 || request.status == 410) {
            refuse(s, request.status);
        } else {
            good = false;
            unreachable(s, &request, reason);
        }
    }
    world_request_release(&request);
    text_release(&path);
    return good;
}

/* An answer that told nothing new before its time (the publisher drains) must not be asked for
 * again at once. */
static void read_on(struct subscription *s, int *failures)
{
    char reason[REASON_SIZE] = "";
    int64_t began_ns = world_monotonic_ns(world_of(s));
    int64_t before = s->fetched.position;
    bool waits = s->reading.state == SUBSCRIPTION_FOLLOWING;
    if (!read_once(s, reason)) {
        hold_set(s, &s->reading, SUBSCRIPTION_UNREACHABLE, reason);
        take_pause(s, ++*failures, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
        return;
    }
    *failures = 0;
    if (waits && s->fetched.position == before &&
        world_monotonic_ns(world_of(s)) - began_ns < SUBSCRIBE_RETRY_MS_MAX * NS_A_MS)
        take_pause(s, 1, SUBSCRIBE_RETRY_MS_MAX / 10, SUBSCRIBE_RETRY_MS_MAX / 10);
}

static void reader(void *argument)
{
    struct subscription *s = argument;
    int failures = 0;
    while (goes_on(s)) {
        if (s->queued >= SUBSCRIBE_PREFETCH_MAX)
            fiber_wait(&s->for_space);
        else
            read_on(s, &failures);
    }
    event_room_fiber_ends(s->room);
}

/* Reads the cursor, lets the reader begin there, and applies what it brings. */
static void applier(void *argument)
{
    struct subscription *s = argument;
    if (cursor_read_patiently(s, &s->cursor)) {
        hold_clear(s, &s->applying_hold);
        s->fetched = s->skipped = s->cursor;
        for (int n = 1; goes_on(s) && !event_room_fiber(s->room, reader, s); n++)
            take_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
    while (goes_on(s))
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
        queue_drop(s);
        free(s);
    }
}

/* ---- what is known ------------------------------------------------------------------------- */

const struct subscription *subscription_next(const struct event_room *room,
                                             const struct subscription *subscription)
{
    return subscription ? subscription->next : room->subscriptions;
}

static const struct hold *holding(const struct subscription *s)
{
    if (refused(s) || s->applying_hold.state == SUBSCRIPTION_FOLLOWING)
        return &s->reading;
    return &s->applying_hold;
}

/* The age of the oldest event that is known and not applied. Where none is known because the
 * publisher can't be heard, there may be some since it was last: that is told then. */
static int64_t lag_ms(const struct subscription *s)
{
    const struct batch_event *oldest = NULL;
    int64_t age_ms = 0;
    if (s->applying && s->applied < s->applying->count)
        oldest = &s->applying->events[s->applied];
    else if (s->first)
        oldest = &s->first->events[0];
    if (oldest && oldest->time_ms)
        age_ms = world_wall_ms(world_of(s)) - oldest->time_ms;
    else if (s->reading.state != SUBSCRIPTION_FOLLOWING)
        age_ms = (world_monotonic_ns(world_of(s)) - s->reached_ns) / NS_A_MS;
    return age_ms > 0 ? age_ms : 0;
}

void subscription_view(const struct subscription *s, struct subscription_view *ret)
{
    static const char *const names[] = {
        [SUBSCRIPTION_STARTING] = "starting",       [SUBSCRIPTION_FOLLOWING] = "following",
        [SUBSCRIPTION_UNREACHABLE] = "unreachable", [SUBSCRIPTION_WAITING] = "waiting",
        [SUBSCRIPTION_FAILING] = "failing",         [SUBSCRIPTION_REFUSED] = "refused"};
    const struct hold *hold = holding(s);
    *ret = (struct subscription_view){
        .source = s->source,
        .share = s->share,
        .state = names[hold->state],
        .reason = hold->reason,
        .position = s->cursor.position,
        .last = s->last,
        .depth = s->last > s->cursor.position ? s->last - s->cursor.position : 0,
        .lag_ms = lag_ms(s),
        .applied = s->applied_count,
        .failures = s->failure_count,
    };
}
