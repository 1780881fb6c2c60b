/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader: asks the bus for what follows what was fetched, and queues the batches, so that the
 * next one is there while one is applied. It changes nothing durable: anything lost here is asked
 * for again.
 */

#include <stdio.h>
#include <string.h>

#include "event/bus.h"
#include "event/resync/resync.h"
#include "event/subscribe/subscription.h"
#include "world/world.h"

#define READERS_MAX 3 /* of one subscription; all but one only wait for an answer */

static bool reads_again(const struct subscription *s)
{
    return subscription_replays(s) && s->fetched.position < s->replay.until.position;
}

static struct bus_question question_of(const struct subscription *s)
{
    struct bus_question question = {
        .after = s->fetched,
        /* If the partition was taken away, its cursor may have moved beyond what this reader has
         * fetched. */
        .done = s->cursor.position < s->fetched.position ? s->cursor.position : s->fetched.position,
        .limit = portion_size(&s->answers, SUBSCRIBE_BATCH_MAX),
        /* The first answer comes at once: until then nobody knows how many events there are to
         * catch up with. So do those with events that are replayed, which no broker has. */
        .wait_s = s->reading.state != SUBSCRIPTION_FOLLOWING || reads_again(s) ? 0
                  : s->manager->is_view ? SUBSCRIBE_VIEW_WAIT_S
                                        : SUBSCRIBE_WAIT_S,
        .deadline_ns = world_in_ms(subscription_world(s), SUBSCRIBE_ANSWER_MS_MAX),
    };
    if (s->resync.phase == LEDGER_FOLLOW && s->resync.seen_position > s->fetched.position) {
        question.seen = s->resync.seen_position;
        memcpy(question.seen_id, s->resync.seen_id, sizeof question.seen_id);
    }
    return question;
}

/* Of a store that is filled to take another one's place, the cursor says which event was applied
 * last, not what was passed behind it: the other one must have applied that, too, and passes
 * others' types at other times. */
static void end_at_its_last_event(struct batch *batch)
{
    const struct batch_event *event = &batch->events[batch->count - 1];
    batch->next.position = event->position;
    snprintf(batch->next.event_id, sizeof batch->next.event_id, "%s", event->id);
}

static void take_batch(struct subscription *s, struct batch *batch)
{
    bool keeps_to_events = s->manager->context->holds_back;
    s->fetched = batch->next;
    s->last = batch->last;
    s->reached_ns = world_monotonic_ns(subscription_world(s));
    s->manager->counters.fetches++;
    subscription_release_hold(s, &s->reading);
    portion_passed(&s->answers, batch->count);
    if (batch->count > 0) {
        if (keeps_to_events)
            end_at_its_last_event(batch);
        subscription_put(s, batch);
        return;
    }
    if (!keeps_to_events) {
        s->skipped = batch->next;
        s->skipped_asked_ns = batch->asked_ns;
    }
    batch_free(batch);
    level_moved(s);
    fiber_wake_all(&s->for_batches);
}

/* The next events do not follow those that were applied. */
static void place_lost(struct subscription *s, const char *what)
{
    char reason[BUS_WHY_SIZE + REASON_SIZE], why[REASON_SIZE / 2] = "";
    s->resyncs = !s->outside && resync_possible(s, why, sizeof why);
    snprintf(reason, sizeof reason, "%s%s%s.", what, *why ? ", and " : "", why);
    subscription_hold(s, &s->reading, s->resyncs ? SUBSCRIPTION_RESYNC : SUBSCRIPTION_REFUSED,
                      reason);
    level_lost(s);
    subscription_drop(s);
    fiber_wake_all(&s->for_batches);
    fiber_wake_all(&s->for_parking);
}

/* Of another incarnation, which shares the place that was asked from, and perhaps not that up to
 * which events were applied. Frees the batch. */
static bool is_moved_away(struct subscription *s, struct batch *batch)
{
    if (!reads_again(s) || strcmp(batch->next.incarnation, s->replay.until.incarnation) == 0 ||
        !subscription_replay_lost(s, "The publisher's store was moved, or restored"))
        return false;
    batch_free(batch);
    return true;
}

/* Asks one question. False: it failed, and `why` says why. */
static bool fetch_from_bus(struct subscription *s, struct bus_reader *from, char why[BUS_WHY_SIZE])
{
    struct batch *batch;
    uint64_t generation = s->generation;
    struct bus_question question = question_of(s);
    enum bus_verdict verdict = s->bus->fetch(from, &question, &batch, why);
    if (generation != s->generation || s->manager->draining) {
        batch_free(batch);
        return true;
    }
    switch (verdict) {
    case BUS_BATCH:
        if (!is_moved_away(s, batch))
            take_batch(s, batch);
        return true;
    case BUS_RESYNC:
        if (!subscription_replay_lost(s, why))
            place_lost(s, why);
        return true;
    case BUS_UNREADABLE: /* it may take too much memory; fewer events take less */
        portion_failed(&s->answers, question.limit / 2);
        return false;
    case BUS_UNREACHABLE:
        return false;
    }
    return false;
}

/* If a wait ends early without anything new (the publisher drains), the question is not repeated at
 * once. */
static void read_next_batch(struct subscription *s, struct bus_reader *from, int *failures)
{
    char why[BUS_WHY_SIZE] = "";
    int64_t began_ns = world_monotonic_ns(subscription_world(s));
    int64_t before = s->fetched.position;
    bool waits = s->reading.state == SUBSCRIPTION_FOLLOWING;
    if (!fetch_from_bus(s, from, why)) {
        subscription_hold(s, &s->reading, SUBSCRIPTION_UNREACHABLE, why);
        subscription_pause(s, ++*failures, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
        return;
    }
    *failures = 0;
    if (waits && s->fetched.position == before &&
        world_monotonic_ns(subscription_world(s)) - began_ns < SUBSCRIBE_RETRY_MS_MAX * NS_A_MS)
        subscription_pause(s, 1, SUBSCRIBE_RETRY_MS_MAX / 10, SUBSCRIBE_RETRY_MS_MAX / 10);
}

static void run_subscription_reader(void *argument)
{
    struct subscription *s = argument;
    const struct bus_subscriber subscriber = {.context = s->manager->context,
                                              .source = s->source,
                                              .partition = s->partition,
                                              .subscribed = s->subscribed,
                                              .subscribed_count = s->subscribed_count};
    struct bus_reader *from = s->bus->open(s->bus, &subscriber);
    int failures = 0;
    uint64_t own = ++s->reader;
    s->from = from;
    s->generation++; /* answers to earlier readers' questions no longer count */
    while (subscription_goes_on(s) && s->reader == own) {
        if (subscription_resyncs(s) || s->replay.lost || s->queued >= SUBSCRIBE_PREFETCH_MAX)
            fiber_wait(&s->for_space);
        else
            read_next_batch(s, from, &failures);
    }
    if (s->from == from)
        s->from = NULL;
    s->bus->close(from);
    s->readers--;
    if (s->reader == own)
        s->reads = false;
    event_manager_fiber_ends(s->manager);
}

void subscription_cancel_reading(struct subscription *s)
{
    if (s->from && s->bus->cancel)
        s->bus->cancel(s->from);
}

/* If a partition is given up and ours again during one long poll, waiting for that poll would hold
 * up its events, so a new fiber reads. Only if that happens again and again does the last one
 * continue. */
void subscription_begin_reading(struct subscription *s)
{
    for (int n = 1; (!s->reads || s->readers < READERS_MAX) && subscription_goes_on(s); n++) {
        if (event_manager_fiber(s->manager, run_subscription_reader, s)) {
            subscription_cancel_reading(s); /* one that is abandoned now; the new one runs later */
            s->readers++;
            s->reads = true;
            return;
        }
        if (s->reads)
            return;
        subscription_pause(s, n, SUBSCRIBE_RETRY_MS_MIN, SUBSCRIBE_RETRY_MS_MAX);
    }
}
