/* SPDX-License-Identifier: Apache-2.0 */
/* The room's life: start, draining, end, and what it shows of itself. */

#include "event/manager.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/feed/feed.h"
#include "event/outbox/slice.h"
#include "event/subscribe/subscription.h"
#include "store/ledger.h"
#include "work/work.h"

struct event_room *event_room_new(struct work_context *context)
{
    struct event_room *room = calloc(1, sizeof *room);
    FH_ASSERT(room != NULL);
    room->context = context;
    room->parked_keys_max = SUBSCRIBE_PARKED_KEYS_MAX;
    room->parked_max = SUBSCRIBE_PARKED_MAX;
    map_init(&room->subscribers);
    return room;
}

/* Others have published, or positions came late. */
static void heard(void *context)
{
    struct event_room *room = context;
    room->commits++;
    fiber_wake_all(&room->readers);
}

static void looked(void *context, bool changed)
{
    (void)changed;
    subscribe_looked(context);
}

static json_t *tell_own(void *context);

enum fh_code event_room_start(struct event_room *room, struct fh_error *error)
{
    struct store_work *work;
    int64_t position;
    /* What a process that died has left without a position; if not now, then soon. */
    store_sequence(room->context->store, NULL, 0, NULL);
    enum fh_code code = store_begin(room->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(work, &position, error);
    store_rollback(work);
    if (code != FH_OK)
        return code;
    if (position > room->position)
        room->position = position;
    if (position > room->context->position)
        room->context->position = position;
    room->watcher = (struct lease_watcher){.looked = looked, .tell = tell_own, .context = room};
    lease_watch(room->context->leases, &room->watcher);
    room->listener = (struct store_listener){.heard = heard, .context = room};
    store_listen(room->context->store, &room->listener);
    event_look_start(room);
    return subscribe_start(room, error);
}

void event_room_committed(struct event_room *room, int64_t position, int count)
{
    if (position > room->position)
        room->position = position;
    room->commits++;
    room->counters.published += (uint64_t)count;
    fiber_wake_all(&room->readers);
}

bool event_room_fiber(struct event_room *room, void (*entry)(void *), void *argument)
{
    if (!fiber_start(room->context->world->fibers, entry, argument))
        return false;
    room->fibers++;
    return true;
}

void event_room_fiber_ends(struct event_room *room)
{
    room->fibers--;
    fiber_wake_all(&room->idle);
}

bool event_room_sleep(struct event_room *room, int64_t until_ns)
{
    struct world *world = room->context->world;
    while (!room->draining && world_monotonic_ns(world) < until_ns)
        fiber_wait_until(&room->sleepers, world, until_ns);
    return !room->draining;
}

void event_room_drain(struct event_room *room)
{
    room->draining = true;
    store_unlisten(room->context->store, &room->listener);
    fiber_wake_all(&room->looker);
    fiber_wake_all(&room->readers);
    fiber_wake_all(&room->sleepers);
    subscribe_drain(room);
}

void event_room_wait(struct event_room *room)
{
    while (room->recording || !subscribe_idle(room))
        fiber_wait(&room->idle);
}

bool event_room_ended(const struct event_room *room)
{
    return room->fibers == 0;
}

void event_room_free(struct event_room *room)
{
    if (!room)
        return;
    FH_ASSERT(event_room_ended(room));
    subscribe_release(room);
    feed_release(room);
    json_decref(room->trimmed.subscribers);
    slice_free(room);
    free(room);
}

static json_t *subscription_state(const struct subscription *subscription)
{
    struct subscription_view view;
    subscription_view(subscription, &view);
    json_t *state =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "source", view.source,
                  "share", view.share, "state", view.state, "position", (json_int_t)view.position,
                  "last", (json_int_t)view.last, "depth", (json_int_t)view.depth, "lag_ms",
                  (json_int_t)view.lag_ms, "parked", "keys", (json_int_t)view.parked_keys, "events",
                  (json_int_t)view.parked_events, "oldest_ms", (json_int_t)view.parked_ms);
    FH_ASSERT(state != NULL);
    if (*view.reason)
        json_object_set_new(state, "reason", json_string(view.reason));
    return state;
}

json_t *event_room_own(const struct event_room *room)
{
    json_t *subscriptions = json_array();
    const struct subscription *at = NULL;
    while ((at = subscription_next(room, at))) {
        if (subscription_is_ours(at))
            json_array_append_new(subscriptions, subscription_state(at));
    }
    return subscriptions;
}

static json_t *tell_own(void *context)
{
    return event_room_own(context);
}

static void collect(void *context, const json_t *told)
{
    json_array_extend(context, (json_t *)(uintptr_t)told);
}

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
    const char *one = json_string_at(a, name), *other = json_string_at(b, name);
    return one && other && strcmp(one, other) == 0;
}

/* Another instance's word on it, where there is one. Takes `mine`. */
static json_t *told_or(const json_t *told, json_t *mine)
{
    size_t i;
    json_t *theirs;
    json_array_foreach (told, i, theirs) {
        if (!same_text(theirs, mine, "source") || !same_text(theirs, mine, "share"))
            continue;
        json_decref(mine);
        return json_incref(theirs);
    }
    json_object_set_new(mine, "state", json_string("waiting"));
    json_object_set_new(mine, "reason", json_string("No instance has this share now."));
    return mine;
}

json_t *event_room_state(const struct event_room *room)
{
    json_t *subscriptions = json_array(), *told = json_array();
    const struct subscription *at = NULL;
    lease_told(room->context->leases, collect, told);
    while ((at = subscription_next(room, at))) {
        json_t *state = subscription_state(at);
        json_array_append_new(subscriptions,
                              subscription_is_ours(at) ? state : told_or(told, state));
    }
    json_decref(told);
    json_t *state = json_pack("{s:I, s:o}", "position", (json_int_t)room->position, "subscriptions",
                              subscriptions);
    if (room->trimmed.subscribers) {
        json_object_set_new(state, "trimmed", json_integer(room->trimmed.position));
        json_object_set_new(state, "expired", json_integer(room->trimmed.expired));
        json_object_set_new(state, "subscribers", json_deep_copy(room->trimmed.subscribers));
    }
    return state;
}
