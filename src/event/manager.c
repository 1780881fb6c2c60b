/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's start, draining, end and reported state. */

#include "event/manager.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/broker_link.h"
#include "event/carried/bus.h"
#include "event/feed/bus.h"
#include "event/feed/snapshot.h"
#include "event/marks.h"
#include "event/outbox/slice.h"
#include "event/outbox/subscribers.h"
#include "event/relay/relay.h"
#include "event/source/bus.h"
#include "event/subscribe/subscription.h"
#include "event/sync/sync.h"
#include "store/ledger.h"
#include "work/work.h"

struct event_manager *event_manager_new(struct work_context *context)
{
    struct event_manager *manager = calloc(1, sizeof *manager);
    FH_ASSERT(manager != NULL);
    manager->context = context;
    manager->parked_keys_max = SUBSCRIBE_PARKED_KEYS_MAX;
    manager->parked_max = SUBSCRIBE_PARKED_MAX;
    map_init(&manager->subscribers);
    manager->bus = &feed_bus;
    for (size_t i = 0; i < sizeof context->service->routes / sizeof *context->service->routes; i++)
        manager->is_view |= context->service->routes[i].of_view;
    return manager;
}

/* Other processes have published, or positions were assigned late. */
static void outbox_heard(void *context)
{
    struct event_manager *manager = context;
    manager->commits++;
    fiber_wake_all(&manager->readers);
}

static void leases_looked(void *context, bool changed)
{
    (void)changed;
    subscribe_looked(context);
    relay_looked(context);
}

static json_t *report_own_subscriptions(void *context);

enum fh_code event_manager_start(struct event_manager *manager, struct fh_error *error)
{
    struct store_work *work;
    int64_t position;
    /* Events that a dead process has left without positions; if this fails, it is tried again
     * soon. */
    store_sequence(manager->context->store, NULL, 0, ERROR_UNHEEDED);
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_position(work, &position, error);
    store_rollback(work);
    if (code != FH_OK)
        return code;
    if (position > manager->position)
        manager->position = position;
    if (position > manager->context->position)
        manager->context->position = position;
    manager->watcher = (struct lease_watcher){
        .looked = leases_looked, .tell = report_own_subscriptions, .context = manager};
    lease_watch(manager->context->leases, &manager->watcher);
    manager->listener = (struct store_listener){.heard = outbox_heard, .context = manager};
    store_listen(manager->context->store, &manager->listener);
    event_look_start(manager);
    if (!manager->marks)
        manager->marks = event_marks_new(manager);
    code = snapshot_check(manager->context->service, error);
    if (code == FH_OK)
        code = subscribe_start(manager, error);
    if (code == FH_OK)
        relay_start(manager);
    return code;
}

void event_manager_drain(struct event_manager *manager)
{
    manager->draining = true;
    store_unlisten(manager->context->store, &manager->listener);
    fiber_wake_all(&manager->looker);
    fiber_wake_all(&manager->readers);
    fiber_wake_all(&manager->sleepers);
    subscribe_drain(manager);
}

void event_manager_answer(struct event_manager *manager)
{
    manager->answers++;
    fiber_wake_all(&manager->readers);
}

void event_manager_wait(struct event_manager *manager)
{
    while (manager->recording || !subscribe_idle(manager) || !relay_idle(manager))
        fiber_wait(&manager->idle);
}

bool event_manager_ended(const struct event_manager *manager)
{
    return manager->fibers == 0;
}

void event_manager_free(struct event_manager *manager)
{
    if (!manager)
        return;
    FH_ASSERT(event_manager_ended(manager));
    subscribe_release(manager);
    relay_free(manager);
    carried_free(manager);
    sources_free(manager);
    broker_links_free(manager);
    subscribers_release(manager);
    json_decref(manager->trimmed.subscribers);
    slice_free(manager);
    event_marks_free(manager->marks);
    free(manager);
}

static json_t *sync_state(const struct sync *sync)
{
    json_int_t checked = sync->all.checked + sync->now.checked;
    json_int_t differed = sync->all.differed + sync->now.differed;
    json_int_t unmended = sync->all.unmended + sync->now.unmended;
    json_t *state = json_pack("{s:b, s:I, s:I, s:I, s:I}", "running", sync->type >= 0, "checked",
                              checked, "differed", differed, "unmended", unmended, "finished_ms",
                              (json_int_t)sync->finished_ms);
    FH_ASSERT(state != NULL);
    if (*sync->reason)
        json_object_set_new(state, "reason", json_string(sync->reason));
    return state;
}

static json_t *subscription_state(const struct subscription *subscription)
{
    struct subscription_view view;
    subscription_view(subscription, &view);
    json_t *state = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "source", view.source, "share",
        view.partition, "state", view.state, "position", (json_int_t)view.position, "last",
        (json_int_t)view.last, "depth", (json_int_t)view.depth, "lag_ms", (json_int_t)view.lag_ms,
        "parked", "keys", (json_int_t)view.parked_keys, "events", (json_int_t)view.parked_events,
        "oldest_ms", (json_int_t)view.parked_ms);
    FH_ASSERT(state != NULL);
    if (*view.reason)
        json_object_set_new(state, "reason", json_string(view.reason));
    if (view.replayed)
        json_object_set_new(state, "replayed", json_integer(view.replayed));
    if (view.sync)
        json_object_set_new(state, "sync", sync_state(view.sync));
    return state;
}

json_t *event_manager_own(const struct event_manager *manager)
{
    json_t *subscriptions = json_array();
    const struct subscription *at = NULL;
    while ((at = subscription_next(manager, at))) {
        if (subscription_is_ours(at))
            json_array_append_new(subscriptions, subscription_state(at));
    }
    return subscriptions;
}

json_t *event_manager_relay(const struct event_manager *manager)
{
    struct relay_view view;
    relay_view(manager, &view);
    if (!view.ours)
        return NULL;
    json_t *state =
        json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:b}", "bus", view.driver, "connected",
                  view.connected, "position", (json_int_t)view.position, "depth",
                  (json_int_t)view.depth, "age_ms", (json_int_t)view.age_ms, "outside_kept_s",
                  (json_int_t)view.outside_kept_s, "outside_overflows", view.outside_overflows);
    FH_ASSERT(state != NULL);
    if (*view.reason)
        json_object_set_new(state, "reason", json_string(view.reason));
    return state;
}

/* What is told of the relay stands among the subscriptions, since they are all that older instances
 * read; it has no source. */
static json_t *report_own_subscriptions(void *context)
{
    json_t *own = event_manager_own(context), *relay = event_manager_relay(context);
    if (relay)
        json_array_append_new(own, json_pack("{s:o}", "relayed", relay));
    return own;
}

static void collect_reported(void *context, const json_t *told)
{
    json_array_extend(context, (json_t *)(uintptr_t)told);
}

static bool has_same_text(const json_t *a, const json_t *b, const char *name)
{
    const char *one = json_string_at(a, name), *other = json_string_at(b, name);
    return one && other && strcmp(one, other) == 0;
}

/* What another instance reports about the partition, if anything. Takes `mine`. */
static json_t *reported_state_or(const json_t *told, json_t *mine)
{
    size_t i;
    json_t *theirs;
    json_array_foreach (told, i, theirs) {
        if (!has_same_text(theirs, mine, "source") || !has_same_text(theirs, mine, "share"))
            continue;
        json_decref(mine);
        return json_incref(theirs);
    }
    json_object_set_new(mine, "state", json_string("waiting"));
    json_object_set_new(mine, "reason", json_string("No instance has this partition now."));
    return mine;
}

static void find_relay_state(void *context, const json_t *told)
{
    size_t i;
    json_t *theirs;
    json_array_foreach ((json_t *)(uintptr_t)told, i, theirs) {
        if (json_object_get(theirs, "relayed"))
            json_object_update(context, json_object_get(theirs, "relayed"));
    }
}

/* Of the relay: this instance's, or what the one that has it reports. */
static json_t *bus_state(const struct event_manager *manager)
{
    json_t *state = event_manager_relay(manager);
    if (state)
        return state;
    state = json_object();
    lease_told(manager->context->leases, find_relay_state, state);
    if (json_object_size(state) == 0)
        json_object_set_new(state, "reason", json_string("No instance relays events now."));
    return state;
}

json_t *event_manager_state(const struct event_manager *manager)
{
    json_t *subscriptions = json_array(), *told = json_array();
    const struct subscription *at = NULL;
    lease_told(manager->context->leases, collect_reported, told);
    while ((at = subscription_next(manager, at))) {
        json_t *state = subscription_state(at);
        json_array_append_new(subscriptions,
                              subscription_is_ours(at) ? state : reported_state_or(told, state));
    }
    json_decref(told);
    json_t *state = json_pack("{s:I, s:o}", "position", (json_int_t)manager->position,
                              "subscriptions", subscriptions);
    if (manager->relay)
        json_object_set_new(state, "bus", bus_state(manager));
    if (manager->carriers)
        json_object_set_new(state, "buses", carried_state(manager));
    if (manager->sources)
        json_object_set_new(state, "sources", sources_state(manager));
    if (manager->trimmed.subscribers) {
        json_object_set_new(state, "trimmed", json_integer(manager->trimmed.position));
        json_object_set_new(state, "expired", json_integer(manager->trimmed.expired));
        json_object_set_new(state, "subscribers", json_deep_copy(manager->trimmed.subscribers));
        if (manager->trimmed.outside_kept_ms)
            json_object_set_new(state, "outside",
                                json_pack("{s:I, s:I}", "kept_ms",
                                          (json_int_t)manager->trimmed.outside_kept_ms, "cut",
                                          (json_int_t)manager->trimmed.outside_cut));
    }
    return state;
}
