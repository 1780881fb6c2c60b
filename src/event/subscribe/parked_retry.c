/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retrying parked events. One transaction per event, in the order of its key:
 *
 *   1. take the event from its key's list, and the key with its last event   (the fence)
 *   2. its handler
 *
 * All or nothing, so a death in between leaves the event parked as it was. While the handler asks
 * other services the transaction isn't open yet, and new events of the key are parked after it:
 * then step 1 finds that the list isn't empty yet, and the key stays parked until the retry reaches
 * them.
 */

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "event/subscribe/apply.h"
#include "event/envelope.h"
#include "event/subscribe/parked.h"
#include "event/subscribe/replay.h"
#include "world/world.h"

enum retried { RETRIED_APPLIED, RETRIED_FAILED, RETRIED_OUTAGE, RETRIED_OVERTAKEN };

struct take_fence {
    struct work_fence fence; /* first: it is cast from */
    const struct ledger_parked *parked;
    bool overtaken, unparked;
};

static enum work_verdict take_fence_check(struct work_fence *fence, struct store_work *work,
                                          struct fh_error *error)
{
    struct take_fence *own = (struct take_fence *)fence;
    const struct ledger_parked *parked = own->parked;
    enum fh_code code = ledger_parked_take(work, parked, &own->unparked, error);
    CRASH_POINT("retry.taken");
    own->overtaken = code == FH_CONFLICT && !error->retryable;
    return work_verdict_of(code, error);
}

/* The event stays where it is, now with the new error. */
static void note_retry_failure(struct subscription *s, struct ledger_parked *parked,
                               const char *why)
{
    struct store_work *work;
    struct fh_error error;
    parked->error = why;
    s->failure_count++;
    s->manager->counters.failures++;
    enum fh_code code = store_begin(s->manager->context->store, STORE_WRITE, &work, &error);
    if (code != FH_OK)
        return; /* the caller reports why it failed; only the count of attempts is one too low */
    code = ledger_parked_failed(work, parked, &error);
    CRASH_POINT("retry.failed");
    if (code == FH_OK)
        store_commit(work, ERROR_UNHEEDED);
    else
        store_rollback(work);
    CRASH_POINT("retry.noted");
}

static enum retried retry_event(struct subscription *s, struct ledger_parked *parked,
                                struct arena *arena, bool *ret_unparked, struct fh_error *error)
{
    struct take_fence fence = {.fence.check = take_fence_check, .parked = parked};
    struct batch_event event = {.position = parked->position,
                                .id = parked->event_id,
                                .type = parked->type,
                                .key = parked->key};
    int failed;
    bool outage;
    struct arena *before = json_arena_set(arena);
    enum fh_code code = json_parse(parked->event, strlen(parked->event), &event.said.tree, error);
    json_arena_set(before);
    if (code != FH_OK)
        return RETRIED_FAILED;
    const char *unreadable = s->outside ? json_string_at(event.said.tree, PARKED_UNREADABLE) : NULL;
    if (unreadable) {
        error_set(error, FH_INVALID, "%.180s", unreadable);
        return RETRIED_FAILED;
    }
    if (s->outside && !apply_handler(s, event.type)) {
        error_set(error, FH_INVALID,
                  "Nothing here subscribes to %.64s of %.64s: it can only be dropped.",
                  *event.type ? event.type : "events without a type", s->source);
        return RETRIED_FAILED;
    }
    event.trace = json_string_at(event.said.tree, "traceparent");
    event.replayed = json_is_true(json_object_get(event.said.tree, REPLAY_MARK));
    json_object_del(event.said.tree, REPLAY_MARK);
    event.version = batch_event_version(json_object_get(event.said.tree, "version"));
    code = apply_works(s, &event, 1, NULL, NULL, &fence.fence, &failed, &outage, error);
    CRASH_POINT("retry.durable");
    *ret_unparked = fence.unparked;
    if (code == FH_OK)
        return RETRIED_APPLIED;
    if (fence.overtaken)
        return RETRIED_OVERTAKEN; /* the list shows by whom */
    return outage ? RETRIED_OUTAGE : RETRIED_FAILED;
}

struct progress {
    int64_t applied, left;
    char why[sizeof(((struct fh_error *)NULL)->message)]; /* "": nothing went wrong */
};

/* Of a source outside the same key may be parked in several partitions. */
static struct subscription *partition_of_parked(struct subscription *s,
                                                const struct ledger_parked *parked)
{
    for (struct subscription *at = s->manager->subscriptions; at && s->outside; at = at->next) {
        if (strcmp(at->source, parked->source) == 0 &&
            strcmp(at->partition, parked->partition) == 0)
            return at;
    }
    return s;
}

/* Retries one event. False: no more of this key now. */
static bool retry_next(struct subscription *s, const char *key, struct progress *progress,
                       int *overtaken)
{
    struct arena arena;
    struct ledger_parked parked;
    struct fh_error error = {0};
    bool unparked = false, goes_on = false;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = parked_head(s->manager, &arena, s->source, key, &parked, &error);
    if (code == FH_NOT_FOUND) {
        progress->left = 0;
    } else if (code == FH_OK) {
        progress->left = parked.waiting;
        s = partition_of_parked(s, &parked);
        switch (retry_event(s, &parked, &arena, &unparked, &error)) {
        case RETRIED_APPLIED:
            progress->applied++;
            progress->left = unparked ? 0 : progress->left - 1;
            s->manager->counters.retried++;
            parked_taken(s, unparked);
            goes_on = !unparked;
            *overtaken = 0;
            break;
        case RETRIED_FAILED:
            note_retry_failure(s, &parked, error.message);
            break;
        case RETRIED_OUTAGE:
            break;
        case RETRIED_OVERTAKEN:
            error.message[0] = '\0';
            goes_on = ++*overtaken < PARKED_OVERTAKEN_MAX;
            break;
        }
    }
    if (code != FH_NOT_FOUND)
        memcpy(progress->why, error.message, sizeof progress->why);
    arena_release(&arena);
    return goes_on;
}

/* Retries all of a key, until one fails or time runs out. */
static void retry_key(struct subscription *s, const char *key, int64_t deadline_ns,
                      struct progress *progress)
{
    int overtaken = 0;
    *progress = (struct progress){0};
    subscription_enter(s);
    while (!s->manager->draining && retry_next(s, key, progress, &overtaken) &&
           world_monotonic_ns(subscription_world(s)) < deadline_ns)
        ;
    subscription_leave(s);
    if (progress->applied > 0)
        log_info("parked-events-applied",
                 "%lld parked events of %s, key %s, were applied; %lld are left.",
                 (long long)progress->applied, s->source, key, (long long)progress->left);
    if (s->outside)
        parked_recount_source(s->manager, s->source);
    else
        parked_recount(s);
}

/* The partition that a key belongs to. It need not be ours now: the key's list is a fence of its
 * own. */
struct subscription *parked_subscription(struct event_manager *manager, const char *source,
                                         const char *key)
{
    for (struct subscription *s = manager->subscriptions; s; s = s->next) {
        if (strcmp(s->source, source) == 0 &&
            envelope_partition(key, s->partition_count) == s->partition_index)
            return s;
    }
    return NULL;
}

json_t *parked_retry_key(struct event_manager *manager, const char *source, const char *key,
                         int64_t deadline_ns)
{
    struct subscription *s = parked_subscription(manager, source, key);
    struct progress progress = {0};
    if (s)
        retry_key(s, key, deadline_ns, &progress);
    else
        snprintf(progress.why, sizeof progress.why,
                 "Nothing here subscribes to %s any more: its parked events can only be dropped.",
                 source);
    json_t *told = json_pack("{s:s, s:s, s:I, s:I}", "source", source, "key", key, "applied",
                             (json_int_t)progress.applied, "left", (json_int_t)progress.left);
    if (*progress.why)
        json_object_set_new(told, "error", json_string(progress.why));
    return told;
}

/* Retries one key and adds the result to `all`. */
static void retry_and_report(struct event_manager *manager, const char *source, const char *key,
                             int64_t deadline_ns, json_t *all, int64_t *applied)
{
    json_t *told = parked_retry_key(manager, source, key, deadline_ns);
    *applied += json_integer_value(json_object_get(told, "applied"));
    json_array_append_new(all, told);
}

static enum fh_code is_parked(struct event_manager *manager, const char *source, const char *key,
                              struct fh_error *error)
{
    struct arena arena;
    struct ledger_parked parked;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = parked_head(manager, &arena, source, key, &parked, error);
    arena_release(&arena);
    return code;
}

static bool is_beyond_retried(const struct event_retried *last, const json_t *one)
{
    return parked_place_compare(last, json_string_at(one, "source"), json_string_at(one, "share"),
                                json_integer_value(json_object_get(one, "position"))) > 0;
}

/* From the key after the last one that was tried, and then from the first on: keys that fail again,
 * each after a long time, keep none of the others waiting for ever. */
static void retry_keys(struct event_manager *manager, const json_t *keys, int64_t deadline_ns,
                       json_t *told, int64_t *applied)
{
    struct world *world = manager->context->world;
    size_t count = json_array_size(keys), first = 0;
    while (first < count && !is_beyond_retried(&manager->retried, json_array_get(keys, first)))
        first++;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(keys, (first + i) % count);
        if (manager->draining || world_monotonic_ns(world) >= deadline_ns)
            return;
        parked_place_of(&manager->retried, one);
        retry_and_report(manager, json_string_at(one, "source"), json_string_at(one, "key"),
                         deadline_ns, told, applied);
    }
}

enum fh_code parked_retry(struct event_manager *manager, const char *source, const char *key,
                          json_t **ret, struct fh_error *error)
{
    int64_t deadline_ns = world_in_ms(manager->context->world, PARKED_RETRY_MS), applied = 0;
    json_t *list = NULL;
    enum fh_code code =
        key ? is_parked(manager, source, key, error) : parked_list(manager, source, &list, error);
    if (code != FH_OK)
        return code;
    json_t *told = json_array();
    if (key)
        retry_and_report(manager, source, key, deadline_ns, told, &applied);
    else
        retry_keys(manager, json_object_get(list, "keys"), deadline_ns, told, &applied);
    json_decref(list);
    *ret = json_pack("{s:I, s:o}", "applied", (json_int_t)applied, "keys", told);
    return FH_OK;
}

void parked_retry_at_start(void *argument)
{
    struct subscription *s = argument;
    struct event_manager *manager = s->manager;
    struct progress progress;
    json_t *list = NULL, *one;
    size_t i;
    subscription_enter(s);
    enum fh_code code = parked_list(manager, s->source, &list, ERROR_UNHEEDED);
    subscription_leave(s);
    if (code == FH_OK) {
        json_array_foreach (json_object_get(list, "keys"), i, one) {
            if (subscription_goes_on(s) && strcmp(json_string_at(one, "share"), s->partition) == 0)
                retry_key(s, json_string_at(one, "key"), INT64_MAX, &progress);
        }
        json_decref(list);
    }
    event_manager_fiber_ends(manager);
}
