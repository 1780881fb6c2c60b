/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing parked events, without what is marked in their data, and dropping them. Dropping is a
 * transaction of its own, which takes the event that it finds first under the key. It is logged
 * before it is committed. The publisher still has the event until it is trimmed.
 */

#include "event/subscribe/parked.h"

#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "event/marks.h"
#include "event/subscribe/apply.h"
#include "event/subscribe/subscription.h"
#include "shape/mark.h"
#include "work/work.h"
#include "world/world.h"

static struct store *manager_store(const struct event_manager *manager)
{
    return manager->context->store;
}

void parked_recount(struct subscription *s)
{
    struct store_work *work;
    struct ledger_parked_counts counts;
    uint64_t mine = ++s->recounts;
    subscription_enter(s);
    if (store_begin(manager_store(s->manager), STORE_READ, &work, ERROR_UNHEEDED) == FH_OK) {
        bool read =
            ledger_parked_count(work, s->source, s->partition, &counts, ERROR_UNHEEDED) == FH_OK;
        if (read && mine == s->recounts) /* else a later count knows better */
            s->parked = counts;
        store_rollback(work);
    }
    subscription_leave(s);
    fiber_wake_all(&s->for_parking);
}

void parked_taken(struct subscription *s, bool unparked)
{
    int64_t now_ns = world_monotonic_ns(subscription_world(s));
    if (now_ns - s->recounted_ns > PARKED_RECOUNT_MS * NS_A_MS) {
        s->recounted_ns = now_ns;
        parked_recount(s);
        return;
    }
    s->parked.events -= s->parked.events > 0;
    s->parked.keys -= unparked && s->parked.keys > 0;
    fiber_wake_all(&s->for_parking);
}

void parked_recount_source(struct event_manager *manager, const char *source)
{
    for (struct subscription *s = manager->subscriptions; s; s = s->next) {
        if (strcmp(s->source, source) == 0)
            parked_recount(s);
    }
}

/* ---- looking ---- */

static json_t *parked_json(const struct ledger_parked *parked, int64_t now_ms)
{
    int64_t age_ms = now_ms - parked->parked_ms;
    json_t *object = json_pack(
        "{s:I, s:s, s:s, s:I, s:s, s:I, s:I, s:I}", "position", (json_int_t)parked->position, "id",
        parked->event_id, "type", parked->type, "attempts", (json_int_t)parked->attempts, "error",
        parked->error, "parked_ms", (json_int_t)parked->parked_ms, "age_s",
        (json_int_t)(age_ms > 0 ? age_ms / 1000 : 0), "time_ms", (json_int_t)parked->time_ms);
    FH_ASSERT(object != NULL);
    return object;
}

struct listing {
    const struct event_manager *manager;
    const char *source;
    json_t *list;
    int64_t count, now_ms;
    size_t size; /* of the events in it */
};

json_t *parked_key_json(const struct ledger_parked *first, int64_t now_ms)
{
    json_t *object = parked_json(first, now_ms);
    json_object_set_new(object, "source", json_string(first->source));
    json_object_set_new(object, "share", json_string(first->partition));
    json_object_set_new(object, "key", json_string(first->key));
    json_object_set_new(object, "events", json_integer(first->waiting));
    return object;
}

static bool list_key(void *context, const struct ledger_parked *parked)
{
    struct listing *listing = context;
    if (listing->count++ == PARKED_LIST_MAX)
        return false;
    json_array_append_new(listing->list, parked_key_json(parked, listing->now_ms));
    return true;
}

enum fh_code parked_list(struct event_manager *manager, const char *source, json_t **ret,
                         struct fh_error *error)
{
    struct store_work *work;
    struct listing listing = {.now_ms = world_wall_ms(manager->context->world)};
    enum fh_code code = store_begin(manager_store(manager), STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    listing.list = json_array();
    code = ledger_parked_keys(work, source, PARKED_LIST_MAX + 1, list_key, &listing, error);
    store_rollback(work);
    if (code != FH_OK) {
        json_decref(listing.list);
        return code;
    }
    *ret = json_pack("{s:o, s:b}", "keys", listing.list, "more", listing.count > PARKED_LIST_MAX);
    return FH_OK;
}

/* The data, and those before each edit. */
static void redact_parked_event(const struct event_manager *manager, const char *source,
                                const char *type, json_t *event)
{
    int version = batch_event_version(json_object_get(event, "version"));
    const fh_field *shape = event_marks_of(manager, source, type, version);
    size_t i;
    json_t *edit;
    event_marks_redact(manager, source, event);
    json_array_foreach (json_object_get(event, PARKED_EDITS), i, edit) {
        const json_t *before = json_object_get(edit, "before");
        if (shape && before)
            json_object_set_new(edit, "before", shape_redacted(shape, before, SHAPE_MARKED));
    }
}

static bool list_event(void *context, const struct ledger_parked *parked)
{
    struct listing *listing = context;
    json_t *object = parked_json(parked, listing->now_ms), *event;
    if (json_parse(parked->event, strlen(parked->event), &event, ERROR_UNHEEDED) == FH_OK) {
        redact_parked_event(listing->manager, listing->source, parked->type, event);
        if (json_object_get(event, PARKED_EDITS))
            json_object_set(object, PARKED_EDITS, json_object_get(event, PARKED_EDITS));
        json_object_del(event, PARKED_EDITS);
        json_object_set_new(object, "event", event);
    }
    json_array_append_new(listing->list, object);
    listing->count = parked->waiting;
    listing->size += strlen(parked->event);
    return listing->size < PARKED_SHOW_SIZE_MAX;
}

enum fh_code parked_show(struct event_manager *manager, const char *source, const char *key,
                         json_t **ret, struct fh_error *error)
{
    struct store_work *work;
    struct listing listing = {
        .manager = manager, .source = source, .now_ms = world_wall_ms(manager->context->world)};
    enum fh_code code = store_begin(manager_store(manager), STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    listing.list = json_array();
    code = ledger_parked_events(work, source, key, PARKED_SHOW_MAX, list_event, &listing, error);
    store_rollback(work);
    if (code == FH_OK && listing.count == 0)
        code = error_set(error, FH_NOT_FOUND, "Nothing of %s is parked under the key %s.", source,
                         key);
    if (code != FH_OK) {
        json_decref(listing.list);
        return code;
    }
    *ret = json_pack("{s:s, s:s, s:I, s:o}", "source", source, "key", key, "count",
                     (json_int_t)listing.count, "events", listing.list);
    return FH_OK;
}

struct head {
    struct arena *arena;
    struct ledger_parked *parked;
    bool found;
};

static bool take_parked_head(void *context, const struct ledger_parked *parked)
{
    struct head *head = context;
    *head->parked = *parked;
    head->parked->source = arena_text(head->arena, parked->source);
    head->parked->partition = arena_text(head->arena, parked->partition);
    head->parked->key = arena_text(head->arena, parked->key);
    head->parked->event_id = arena_text(head->arena, parked->event_id);
    head->parked->type = arena_text(head->arena, parked->type);
    head->parked->error = arena_text(head->arena, parked->error);
    head->parked->event = arena_text(head->arena, parked->event);
    head->found = true;
    return true;
}

static enum fh_code head_of(struct store_work *work, struct arena *arena, const char *source,
                            const char *key, struct ledger_parked *ret, struct fh_error *error)
{
    struct head head = {arena, ret, false};
    enum fh_code code = ledger_parked_events(work, source, key, 1, take_parked_head, &head, error);
    if (code == FH_OK && !head.found)
        return error_set(error, FH_NOT_FOUND, "Nothing of %s is parked under the key %s.", source,
                         key);
    return code;
}

enum fh_code parked_head(struct event_manager *manager, struct arena *arena, const char *source,
                         const char *key, struct ledger_parked *ret, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager_store(manager), STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = head_of(work, arena, source, key, ret, error);
    store_rollback(work);
    return code;
}

/* ---- dropping ---- */

bool parked_is_chosen(const struct parked_choice *choice, const struct ledger_parked *first)
{
    if (choice->id)
        return strcmp(first->event_id, choice->id) == 0 && first->attempts == choice->attempts;
    return first->position <= choice->until;
}

/* One transaction finds and takes the first event of the key. So it sees events that a retry has
 * taken but not yet committed, and a failed retry in between does not save the event. */
static enum fh_code drop_first_parked(struct event_manager *manager, struct arena *arena,
                                      const struct parked_choice *choice, struct ledger_parked *ret,
                                      struct fh_error *error)
{
    const char *source = choice->source, *key = choice->key;
    struct store_work *work;
    bool unparked;
    enum fh_code code = store_begin(manager_store(manager), STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    code = head_of(work, arena, source, key, ret, error);
    if (code == FH_OK && !parked_is_chosen(choice, ret))
        code = error_set(error, FH_NOT_FOUND, "Another event of %s is the first under the key %s.",
                         source, key);
    if (code == FH_OK)
        code = ledger_parked_take(work, ret, &unparked, error);
    CRASH_POINT("drop.taken");
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    log_warning("parked-event-dropped",
                "An operator drops the parked event %s %s of %s at %lld, key %s: %s", ret->type,
                ret->event_id, source, (long long)ret->position, key,
                *ret->error ? ret->error : "it waited for another one");
    code = store_commit(work, error);
    CRASH_POINT("drop.durable");
    return code;
}

/* Adds the dropped event to `list`, unless that is NULL. */
static enum fh_code drop_one_parked(struct event_manager *manager,
                                    const struct parked_choice *choice, json_t *list, int64_t *left,
                                    struct fh_error *error)
{
    struct arena arena;
    struct ledger_parked parked;
    enum fh_code code = FH_CONFLICT;
    arena_init(&arena, ARENA_SIZE_MAX);
    for (int i = 0; i < PARKED_OVERTAKEN_MAX && code == FH_CONFLICT; i++)
        code = drop_first_parked(manager, &arena, choice, &parked, error);
    if (code == FH_OK)
        *left = parked.waiting - 1;
    if (code == FH_OK && list) {
        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s}", "position",
                                              (json_int_t)parked.position, "id", parked.event_id,
                                              "type", parked.type, "error", parked.error));
    }
    arena_release(&arena);
    return code;
}

enum fh_code parked_drop_chosen(struct event_manager *manager, const struct parked_choice *choice,
                                int64_t *left, struct fh_error *error)
{
    return drop_one_parked(manager, choice, NULL, left, error);
}

/* When dropping all, it is no error if a retry took the last one. */
static enum fh_code drop_all_parked(struct event_manager *manager, const struct parked_choice *any,
                                    json_t *list, int64_t *left, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    do {
        code = drop_one_parked(manager, any, list, left, error);
    } while (code == FH_OK && *left > 0 && json_array_size(list) < PARKED_LIST_MAX);
    if (code != FH_NOT_FOUND || json_array_size(list) == 0)
        return code;
    *left = 0;
    return FH_OK;
}

enum fh_code parked_drop(struct event_manager *manager, const char *source, const char *key,
                         bool all, json_t **ret, struct fh_error *error)
{
    json_t *list = json_array();
    int64_t left = 0;
    const struct parked_choice any = {.source = source, .key = key, .until = INT64_MAX};
    enum fh_code code = all ? drop_all_parked(manager, &any, list, &left, error)
                            : drop_one_parked(manager, &any, list, &left, error);
    parked_recount_source(manager, source);
    if (code != FH_OK && json_array_size(list) == 0) {
        json_decref(list);
        return code;
    }
    *ret = json_pack("{s:o, s:I}", "dropped", list, "left", (json_int_t)left);
    return FH_OK;
}
