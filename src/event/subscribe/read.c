/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader: asks the bus for what follows what was fetched, and queues the batches, so that the
 * next one is there while one is applied. It changes nothing durable: anything lost here is asked
 * for again.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "event/feed/feed.h"
#include "event/resync/resync.h"
#include "event/subscribe/subscription.h"
#include "world/world.h"

#define PATH_LENGTH_MAX ((size_t)32 << 10)
#define READERS_MAX 3 /* of one subscription, but for one they only wait for an answer */

void subscription_encode(struct text *out, const char *value)
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
void subscription_add_fields(struct text *out, const struct fh_subscription *heard,
                             const char **separator)
{
    const char *at = heard->fields;
    while (at && *at) {
        size_t length = strcspn(at, ", ");
        if (length) {
            char *field = strndup(at, length);
            FH_ASSERT(field != NULL);
            text_add(out, *separator);
            subscription_encode(out, heard->type);
            text_add(out, ":");
            subscription_encode(out, field);
            *separator = ",";
            free(field);
        }
        at += length + (at[length] != '\0');
    }
}

static void feed_path(const struct subscription *s, struct text *out)
{
    const char *separator = "&types=";
    /* A share that was taken away may have been moved on by then, behind what is read here. */
    int64_t done =
        s->cursor.position < s->fetched.position ? s->cursor.position : s->fetched.position;
    text_init(out, PATH_LENGTH_MAX);
    text_printf(out, FEED_PATH "?name=%s&share=%s", s->manager->context->service->name,
                s->partition);
    if (s->fetched.incarnation[0])
        text_printf(out, "&incarnation=%s&after=%lld&id=%s&done=%lld", s->fetched.incarnation,
                    (long long)s->fetched.position, s->fetched.event_id, (long long)done);
    if (s->resync.phase == LEDGER_FOLLOW && s->resync.seen_position > s->fetched.position)
        text_printf(out, "&seen=%lld&seen_id=%s", (long long)s->resync.seen_position,
                    s->resync.seen_id);
    for (int i = 0; i < s->subscribed_count; i++) {
        text_add(out, separator);
        subscription_encode(out, s->subscribed[i]->type);
        separator = ",";
    }
    separator = "&fields=";
    for (int i = 0; i < s->subscribed_count; i++)
        subscription_add_fields(out, s->subscribed[i], &separator);
    /* The first answer comes at once: until then nobody knows how far there is to go. */
    text_printf(out, "&limit=%d&wait=%d", portion_size(&s->answers, SUBSCRIBE_BATCH_MAX),
                s->reading.state == SUBSCRIPTION_FOLLOWING ? SUBSCRIBE_WAIT_S : 0);
    FH_ASSERT(!out->overflow);
}

static void take_batch(struct subscription *s, struct batch *batch)
{
    s->fetched = batch->next;
    s->last = batch->last;
    s->reached_ns = world_monotonic_ns(subscription_world(s));
    s->manager->counters.fetches++;
    subscription_release_hold(s, &s->reading);
    portion_passed(&s->answers, batch->count);
    if (batch->count > 0) {
        subscription_put(s, batch);
        return;
    }
    s->skipped = batch->next;
    batch_free(batch);
    fiber_wake_all(&s->for_batches);
}

/* The next events do not follow those that were applied. */
static void refuse(struct subscription *s, int status)
{
    char reason[REASON_SIZE], why[REASON_SIZE / 2] = "";
    const char *what =
        status == 409 ? "The publisher's store is not the one that was read so far (409): it was "
                        "restored or replaced"
                      : "The publisher has trimmed events that were not read yet (410)";
    s->resyncs = resync_possible(s, why, sizeof why);
    snprintf(reason, sizeof reason, "%s%s%s.", what, *why ? ", and " : "", why);
    subscription_hold(s, &s->reading, s->resyncs ? SUBSCRIPTION_RESYNC : SUBSCRIPTION_REFUSED,
                      reason);
    subscription_drop(s);
    fiber_wake_all(&s->for_batches);
    fiber_wake_all(&s->for_parking);
}

/* Asks one question. False: it failed, and `why` says why. */
static void unreachable(const struct subscription *s, const struct world_request *request,
                        char reason[REASON_SIZE])
{
    if (request->status)
        snprintf(reason, REASON_SIZE, "%s answers the feed with %d.", s->source, request->status);
    else
        snprintf(reason, REASON_SIZE, "%s can't be reached: %s.", s->source,
                 request->failure ? request->failure : "no answer");
}

/* What takes too much memory when it is read may come in smaller portions. */
static void unreadable(struct subscription *s, int limit, const char *why, char reason[REASON_SIZE])
{
    portion_failed(&s->answers, limit / 2);
    snprintf(reason, REASON_SIZE, "%s answered the feed with what can't be read: %s", s->source,
             why);
}

/* One request. False: nothing came of it, and `reason` says why. */
static bool read_once(struct subscription *s, char reason[REASON_SIZE])
{
    struct work_context *context = s->manager->context;
    struct fh_error error;
    struct batch *batch = NULL;
    struct text path;
    char from[128];
    uint64_t generation = s->generation;
    struct ledger_cursor after = s->fetched;
    int limit = portion_size(&s->answers, SUBSCRIBE_BATCH_MAX);
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
    if (generation == s->generation && !s->manager->draining) {
        if (request.status == 200) {
            good = batch_parse(&request, &after, SUBSCRIBE_BATCH_MAX, &batch, &error) == FH_OK;
            if (good)
                take_batch(s, batch);
            else
                unreadable(s, limit, error.message, reason);
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

/* If a wait ends early without anything new (the publisher drains), the question is not repeated at
 * once. */
static void read_on(struct subscription *s, int *failures)
{
    char reason[REASON_SIZE] = "";
    int64_t began_ns = world_monotonic_ns(subscription_world(s));
    int64_t before = s->fetched.position;
    bool waits = s->reading.state == SUBSCRIPTION_FOLLOWING;
    if (!read_once(s, reason)) {
        subscription_hold(s, &s->reading, SUBSCRIPTION_UNREACHABLE, reason);
        subscription_pause(s, ++*failures, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
        return;
    }
    *failures = 0;
    if (waits && s->fetched.position == before &&
        world_monotonic_ns(subscription_world(s)) - began_ns < SUBSCRIBE_RETRY_MS_MAX * NS_A_MS)
        subscription_pause(s, 1, SUBSCRIBE_RETRY_MS_MAX / 10, SUBSCRIBE_RETRY_MS_MAX / 10);
}

static void reader(void *argument)
{
    struct subscription *s = argument;
    int failures = 0;
    uint64_t own = ++s->reader;
    s->generation++; /* answers to earlier readers' questions no longer count */
    while (subscription_goes_on(s) && s->reader == own) {
        if (subscription_resyncs(s) || s->queued >= SUBSCRIBE_PREFETCH_MAX)
            fiber_wait(&s->for_space);
        else
            read_on(s, &failures);
    }
    s->readers--;
    if (s->reader == own)
        s->reads = false;
    event_manager_fiber_ends(s->manager);
}

/* If a partition is given up and ours again during one long poll, waiting for that poll would hold
 * up its events, so a new fiber reads. Only if that happens again and again does the last one
 * continue. */
void subscription_begin_reading(struct subscription *s)
{
    for (int n = 1; (!s->reads || s->readers < READERS_MAX) && subscription_goes_on(s); n++) {
        if (event_manager_fiber(s->manager, reader, s)) {
            s->readers++;
            s->reads = true;
            return;
        }
        if (s->reads)
            return;
        subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
}
