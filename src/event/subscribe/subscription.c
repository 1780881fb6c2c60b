/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a subscription's reader and applier on it, and its reported state. */

#include "event/subscribe/subscription.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "event/subscribe/replay.h"
#include "work/fault.h"
#include "world/world.h"

#define STARTING_MS 5000

/* ---- pauses and states ---- */

struct world *subscription_world(const struct subscription *s)
{
    return s->manager->context->world;
}

bool subscription_goes_on(const struct subscription *s)
{
    return subscription_is_ours(s) && !s->fenced && !s->manager->draining &&
           !subscription_refused(s);
}

bool subscription_pause(struct subscription *s, int n, int64_t ms_min, int64_t ms_max)
{
    int64_t most = ms_min;
    for (int i = 1; i < n && most < ms_max; i++)
        most *= 2;
    most = most < ms_max ? most : ms_max;
    int64_t ns =
        (int64_t)world_random_below(subscription_world(s), (uint64_t)(most * NS_A_MS)) + NS_A_MS;
    return event_manager_sleep(s->manager, world_monotonic_ns(subscription_world(s)) + ns);
}

void subscription_hold(const struct subscription *s, struct hold *hold,
                       enum subscription_state state, const char *reason)
{
    bool begins = hold->state != state;
    hold->state = state;
    snprintf(hold->reason, sizeof hold->reason, "%s", reason);
    if (begins && state == SUBSCRIPTION_REFUSED)
        log_error("subscription-stopped", "The subscription to %s has stopped: %s", s->source,
                  reason);
    else if (begins)
        log_warning("subscription-paused", "Events of %s have to wait: %s", s->source, reason);
}

static bool is_held(const struct hold *hold)
{
    return hold->state != SUBSCRIPTION_FOLLOWING && hold->state != SUBSCRIPTION_STARTING;
}

void subscription_release_hold(const struct subscription *s, struct hold *hold)
{
    if (is_held(hold))
        log_info("subscription-resumed", "Events of %s go on.", s->source);
    hold->state = SUBSCRIPTION_FOLLOWING;
    hold->reason[0] = '\0';
}

void subscription_tell_fault(struct subscription *s, fh_work *w, const char *what, bool outage)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    const char *const parts[] = {what, w->failure.message};
    for (size_t i = 0; i < 2; i++) {
        for (const char *at = parts[i]; *at; at++)
            hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    }
    if (!w->fault_status)
        s->told_fault = 0; /* it has succeeded, or was refused: another one is news again */
    else if (outage || hash == s->told_fault)
        fault_is_told(w);
    else
        s->told_fault = hash;
    fault_tell(w);
}

void subscription_enter(struct subscription *s)
{
    s->busy++;
}

void subscription_leave(struct subscription *s)
{
    s->busy--;
    fiber_wake_all(&s->manager->idle);
}

void subscription_wake(struct subscription *s)
{
    fiber_wake_all(&s->for_batches);
    fiber_wake_all(&s->for_space);
    fiber_wake_all(&s->for_parking);
}

/* ---- the queue between reader and applier ---- */

void subscription_put(struct subscription *s, struct batch *batch)
{
    *(s->newest ? &s->newest->following : &s->first) = batch;
    s->newest = batch;
    s->queued++;
    fiber_wake_all(&s->for_batches);
}

struct batch *subscription_take(struct subscription *s)
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

void subscription_drop(struct subscription *s)
{
    struct batch *batch;
    while ((batch = subscription_take(s)))
        batch_free(batch);
    s->fetched = s->cursor;
    subscription_skip_none(s);
    s->generation++;
    level_moved(s);
}

/* What is left lies between the cursor and whatever was skipped behind it. */
void subscription_finish(struct subscription *s)
{
    bool whole = s->applied == s->applying->count;
    int64_t asked_ns = s->applying->asked_ns;
    batch_free(s->applying);
    s->applying = NULL;
    if (!whole)
        subscription_skip_none(s);
    level_moved(s);
    if (whole)
        level_current(s, asked_ns);
}

/* ---- a replay ---- */

bool subscription_replay_lost(struct subscription *s, const char *why)
{
    if (!subscription_replays(s) || s->replay.until.epoch == REPLAY_REBUILT)
        return false;
    snprintf(s->replay.why, sizeof s->replay.why, "%s", why);
    s->replay.lost = true;
    subscription_drop(s);
    fiber_wake_all(&s->for_batches);
    fiber_wake_all(&s->for_parking);
    return true;
}

/* ---- reported state ---- */

const struct subscription *subscription_next(const struct event_manager *manager,
                                             const struct subscription *subscription)
{
    return subscription ? subscription->next : manager->subscriptions;
}

static const struct hold *hold_in_effect(const struct subscription *s)
{
    if (subscription_refused(s) || s->applying_hold.state == SUBSCRIPTION_FOLLOWING)
        return &s->reading;
    return &s->applying_hold;
}

static int64_t age_ms(const struct subscription *s, int64_t wall_ms)
{
    int64_t age = wall_ms ? world_wall_ms(subscription_world(s)) - wall_ms : 0;
    return age > 0 ? age : 0;
}

/* For whatever reason it can't go on. */
static bool stands_still(const struct subscription *s)
{
    return !subscription_is_ours(s) || s->fenced || s->reading.state != SUBSCRIPTION_FOLLOWING ||
           is_held(&s->applying_hold);
}

/* Of the oldest event that was fetched and not applied; 0: there is none. */
static int64_t oldest_fetched_ms(const struct subscription *s)
{
    if (s->applying && s->applied < s->applying->count)
        return batch_event_time_ms(&s->applying->events[s->applied]);
    return s->first ? batch_event_time_ms(&s->first->events[0]) : 0;
}

/* The age of the oldest event that is known and not applied, parked or not. If none is known but
 * the subscription stands still, there may be events published since the publisher last answered:
 * then it is the time since that answer. */
static int64_t lag_ms(const struct subscription *s)
{
    int64_t lag = 0, parked = age_ms(s, s->parked.oldest_ms);
    int64_t oldest_ms = oldest_fetched_ms(s);
    if (subscription_replays(s)) /* events are waiting since then, if there are any */
        lag = s->last > s->replay.until.position
                  ? (world_monotonic_ns(subscription_world(s)) - s->replay.began_ns) / NS_A_MS
                  : 0;
    else if (oldest_ms)
        lag = age_ms(s, oldest_ms);
    else if (stands_still(s))
        lag = (world_monotonic_ns(subscription_world(s)) - s->reached_ns) / NS_A_MS;
    return lag > parked ? lag : parked;
}

static bool has_stopped(const struct subscription *s, const struct hold *hold)
{
    return hold->state == SUBSCRIPTION_REFUSED || hold->state == SUBSCRIPTION_FULL ||
           (hold->state == SUBSCRIPTION_FAILING && subscription_resyncs(s) &&
            s->resync_tries >= SUBSCRIBE_ATTEMPTS_MAX);
}

/* A publisher that has more than it told of last answers the next question at once. */
static bool has_caught_up(const struct subscription *s)
{
    int64_t read =
        s->fetched.position > s->skipped.position ? s->fetched.position : s->skipped.position;
    return !stands_still(s) && !subscription_resyncs(s) && !subscription_replays(s) &&
           read >= s->last && age_ms(s, oldest_fetched_ms(s)) < SUBSCRIBE_CAUGHT_UP_MS;
}

/* A subscription that hasn't begun after STARTING_MS gets a reason. */
static const char *hold_reason(const struct subscription *s, const struct hold *hold)
{
    if (hold->state != SUBSCRIPTION_STARTING || lag_ms(s) < STARTING_MS)
        return hold->reason;
    return s->reads ? "The publisher has not answered yet."
                    : "Its place in the store is not read yet.";
}

void subscription_view(const struct subscription *s, struct subscription_view *ret)
{
    static const char *const names[] = {
        [SUBSCRIPTION_STARTING] = "starting",       [SUBSCRIPTION_FOLLOWING] = "following",
        [SUBSCRIPTION_UNREACHABLE] = "unreachable", [SUBSCRIPTION_WAITING] = "waiting",
        [SUBSCRIPTION_FAILING] = "failing",         [SUBSCRIPTION_FULL] = "full",
        [SUBSCRIPTION_RESYNC] = "resynchronising",  [SUBSCRIPTION_REFUSED] = "refused"};
    const struct hold *hold = hold_in_effect(s);
    int64_t replayed = subscription_replays(s) ? s->replay.until.position : 0;
    int64_t reached = replayed ? replayed : s->cursor.position;
    *ret = (struct subscription_view){
        .source = s->source,
        .partition = s->partition,
        .state =
            replayed && hold->state == SUBSCRIPTION_FOLLOWING ? "replaying" : names[hold->state],
        .reason = hold_reason(s, hold),
        .position = s->cursor.position,
        .replayed = replayed,
        .last = s->last,
        .depth = (s->last > reached ? s->last - reached : 0) + s->parked.events,
        .lag_ms = lag_ms(s),
        .parked_keys = s->parked.keys,
        .parked_events = s->parked.events,
        .parked_ms = age_ms(s, s->parked.oldest_ms),
        .applied = s->applied_count,
        .failures = s->failure_count,
        .resynced = s->resynced_count,
        .stopped = has_stopped(s, hold),
        .caught_up = has_caught_up(s),
        .sync = s->sync,
    };
}
