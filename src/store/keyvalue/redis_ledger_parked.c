/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on Redis: parked events. parked_key has a record for each key whose events
 * wait: how many they are, where the first one is, and when that was published. It is there exactly
 * as long as there are events of its key.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/keyvalue/redis_ledger.h"

#define EVENTS "parked"
#define KEYS "parked_key"

static enum fh_code key_id(char id[static REDIS_ID_SIZE], const char *source, const char *share,
                           const char *key, struct fh_error *error)
{
    return redis_id(id, error, "%s" REDIS_SEPARATOR "%s" REDIS_SEPARATOR "%s", source, share, key);
}

static enum fh_code event_id(char id[static REDIS_ID_SIZE], const char *source, const char *share,
                             int64_t position, const char *key, struct fh_error *error)
{
    return redis_id(id, error,
                    "%s" REDIS_SEPARATOR "%s" REDIS_SEPARATOR "%s" REDIS_SEPARATOR REDIS_NUMBER,
                    source, share, key, position);
}

static enum fh_code of_subscription(char prefix[static REDIS_ID_SIZE], const char *source,
                                    const char *share, struct fh_error *error)
{
    return redis_id(prefix, error, "%s" REDIS_SEPARATOR "%s" REDIS_SEPARATOR, source, share);
}

/* The events of one key, in order; all of the subscriptions that begin so, where `key` is NULL. */
static struct redis_range range_of(const char *order, const char *prefix, int limit)
{
    return (struct redis_range){.order = order, .prefix = prefix, .limit = limit};
}

enum fh_code redis_ledger_parked_any(struct store_work *work, const char *source, const char *share,
                                     bool *ret, struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    json_t *list = NULL;
    enum fh_code code = of_subscription(prefix, source, share, error);
    struct redis_range one = range_of(KEYS ":ids", prefix, 1);
    if (!code)
        code = redis_range(work, KEYS, &one, &list, error);
    *ret = json_array_size(list) > 0;
    json_decref(list);
    return code;
}

enum fh_code redis_ledger_parked_has(struct store_work *work, const char *source, const char *share,
                                     const char *key, bool *ret, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *record = NULL;
    enum fh_code code = key_id(id, source, share, key, error);
    if (!code)
        code = redis_get(work, KEYS, id, &record, error);
    *ret = record != NULL;
    json_decref(record);
    return code;
}

static bool add_counts(void *context, const json_t *record)
{
    struct ledger_parked_counts *counts = context;
    int64_t oldest_ms = redis_integer(record, "oldest_ms");
    counts->keys++;
    counts->events += redis_integer(record, "events");
    if (counts->keys == 1 || oldest_ms < counts->oldest_ms)
        counts->oldest_ms = oldest_ms;
    return true;
}

enum fh_code redis_ledger_parked_count(struct store_work *work, const char *source,
                                       const char *share, struct ledger_parked_counts *ret,
                                       struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    *ret = (struct ledger_parked_counts){0};
    enum fh_code code = of_subscription(prefix, source, share, error);
    struct redis_range all = range_of(KEYS ":ids", prefix, 0);
    return code ? code : redis_each(work, KEYS, &all, add_counts, ret, error);
}

/* ---- Parking and taking ---------------------------------------------------------------------- */

static int64_t told_ms(const json_t *event)
{
    int64_t time_ms = redis_integer(event, "time_ms");
    return time_ms ? time_ms : redis_integer(event, "parked_ms");
}

static enum fh_code key_put(struct store_work *work, const struct ledger_parked *parked,
                            struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *key = NULL;
    enum fh_code code = key_id(id, parked->source, parked->share, parked->key, error);
    if (!code)
        code = redis_get(work, KEYS, id, &key, error);
    if (code)
        return code;
    int64_t time_ms = parked->time_ms ? parked->time_ms : parked->parked_ms;
    json_t *values =
        key ? redis_pack("{s:I}", "events", (json_int_t)redis_integer(key, "events") + 1)
            : redis_pack("{s:s, s:s, s:s, s:i, s:I, s:I}", "source", parked->source, "share",
                         parked->share, "key", parked->key, "events", 1, "first",
                         (json_int_t)parked->position, "oldest_ms", (json_int_t)time_ms);
    code = redis_set(work, KEYS, id, key, values, error);
    json_decref(key);
    return code;
}

enum fh_code redis_ledger_parked_put(struct store_work *work, const struct ledger_parked *parked,
                                     struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    enum fh_code code = key_put(work, parked, error);
    if (!code)
        code = event_id(id, parked->source, parked->share, parked->position, parked->key, error);
    if (code)
        return code;
    json_t *event = redis_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:s, s:I, s:s}", "source", parked->source,
        "share", parked->share, "key", parked->key, "position", (json_int_t)parked->position,
        "event_id", parked->event_id, "type", parked->type, "time_ms", (json_int_t)parked->time_ms,
        "attempts", (json_int_t)parked->attempts, "error", parked->error, "parked_ms",
        (json_int_t)parked->parked_ms, "event", parked->event);
    return redis_put(work, EVENTS, id, event, error);
}

static enum fh_code not_as_read(int64_t position, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT,
                     "The event at %" PRId64 " is not the first that is parked under its key any "
                     "more, or was tried or edited meanwhile.",
                     position);
}

/* A key may begin as another one does, with the separator behind it: those are left out. */
static enum fh_code events_of_key(struct store_work *work, const struct redis_range *range,
                                  const char *key, int limit, json_t **ret, struct fh_error *error)
{
    enum fh_code code = redis_range(work, EVENTS, range, ret, error);
    for (size_t i = 0; !code && i < json_array_size(*ret);) {
        bool own = strcmp(redis_text(json_array_get(*ret, i), "key"), key) == 0;
        if (own && i < (size_t)limit)
            i++;
        else
            json_array_remove(*ret, i);
    }
    return code;
}

/* The key without its first event. */
static enum fh_code key_take(struct store_work *work, const char *id, const json_t *key,
                             bool *ret_unparked, struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    json_t *list = NULL;
    int64_t events = redis_integer(key, "events") - 1;
    *ret_unparked = events == 0;
    if (events == 0)
        return redis_put(work, KEYS, id, NULL, error);
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, id);
    struct redis_range all = range_of(EVENTS ":ids", prefix, 0);
    if (!code)
        code = events_of_key(work, &all, redis_text(key, "key"), 1, &list, error);
    if (!code) {
        const json_t *next = json_array_get(list, 0);
        json_t *values = redis_pack("{s:I, s:I, s:I}", "events", (json_int_t)events, "first",
                                    (json_int_t)redis_integer(next, "position"), "oldest_ms",
                                    (json_int_t)told_ms(next));
        code = redis_set(work, KEYS, id, key, values, error);
    }
    json_decref(list);
    return code;
}

/* As it was read: nobody has tried or edited it since. */
static enum fh_code get_as_read(struct store_work *work, const struct ledger_parked *parked,
                                char id[static REDIS_ID_SIZE], json_t **ret, struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code =
        event_id(id, parked->source, parked->share, parked->position, parked->key, error);
    if (!code)
        code = redis_get(work, EVENTS, id, ret, error);
    if (!code && (!*ret || redis_integer(*ret, "attempts") != parked->attempts))
        code = not_as_read(parked->position, error);
    return code;
}

enum fh_code redis_ledger_parked_take(struct store_work *work, const struct ledger_parked *parked,
                                      bool *ret_unparked, struct fh_error *error)
{
    char id[REDIS_ID_SIZE], first[REDIS_ID_SIZE];
    json_t *record = NULL, *event = NULL;
    *ret_unparked = false;
    enum fh_code code = key_id(id, parked->source, parked->share, parked->key, error);
    if (!code)
        code = redis_get(work, KEYS, id, &record, error);
    if (!code && (!record || redis_integer(record, "first") != parked->position))
        code = not_as_read(parked->position, error);
    if (!code)
        code = get_as_read(work, parked, first, &event, error);
    if (!code)
        code = redis_put(work, EVENTS, first, NULL, error);
    if (!code)
        code = key_take(work, id, record, ret_unparked, error);
    json_decref(event);
    json_decref(record);
    return code;
}

enum fh_code redis_ledger_parked_edit(struct store_work *work, const struct ledger_parked *parked,
                                      struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *event;
    enum fh_code code = get_as_read(work, parked, id, &event, error);
    if (!code)
        code = redis_set(work, EVENTS, id, event,
                         redis_pack("{s:I, s:s}", "attempts", (json_int_t)parked->attempts + 1,
                                    "event", parked->event),
                         error);
    json_decref(event);
    return code;
}

enum fh_code redis_ledger_parked_failed(struct store_work *work, const struct ledger_parked *parked,
                                        struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *event = NULL;
    enum fh_code code =
        event_id(id, parked->source, parked->share, parked->position, parked->key, error);
    if (!code)
        code = redis_get(work, EVENTS, id, &event, error);
    if (code || !event)
        return code;
    json_t *values =
        redis_pack("{s:I, s:s}", "attempts", (json_int_t)redis_integer(event, "attempts") + 1,
                   "error", parked->error);
    code = redis_set(work, EVENTS, id, event, values, error);
    json_decref(event);
    return code;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static struct ledger_parked parked_of(const json_t *event, bool whole, int64_t waiting)
{
    return (struct ledger_parked){.source = redis_text(event, "source"),
                                  .share = redis_text(event, "share"),
                                  .key = redis_text(event, "key"),
                                  .position = redis_integer(event, "position"),
                                  .event_id = redis_text(event, "event_id"),
                                  .type = redis_text(event, "type"),
                                  .time_ms = redis_integer(event, "time_ms"),
                                  .attempts = redis_integer(event, "attempts"),
                                  .error = redis_text(event, "error"),
                                  .parked_ms = redis_integer(event, "parked_ms"),
                                  .event = whole ? redis_text(event, "event") : "",
                                  .waiting = waiting};
}

struct keys {
    json_t *list;
};

static bool gather_key(void *context, const json_t *record)
{
    struct arena *arena = json_arena_set(NULL);
    json_array_append_new(((struct keys *)context)->list, json_deep_copy(record));
    json_arena_set(arena);
    return true;
}

static int compare_keys(const void *left, const void *right)
{
    const json_t *const *a = left, *const *b = right;
    int order = strcmp(redis_text(*a, "source"), redis_text(*b, "source"));
    if (order == 0)
        order = strcmp(redis_text(*a, "share"), redis_text(*b, "share"));
    int64_t first = redis_integer(*a, "first"), other = redis_integer(*b, "first");
    return order ? order : (first > other) - (first < other);
}

static enum fh_code visit_first(struct store_work *work, const json_t *key,
                                bool (*visit)(void *context, const struct ledger_parked *parked),
                                void *context, bool *goes_on, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *event = NULL;
    enum fh_code code = event_id(id, redis_text(key, "source"), redis_text(key, "share"),
                                 redis_integer(key, "first"), redis_text(key, "key"), error);
    if (!code)
        code = redis_get(work, EVENTS, id, &event, error);
    if (!code && event) { /* else it was taken just now */
        struct ledger_parked parked = parked_of(event, false, redis_integer(key, "events"));
        *goes_on = visit(context, &parked);
    }
    json_decref(event);
    return code;
}

enum fh_code redis_ledger_parked_keys(struct store_work *work, const char *source, int limit,
                                      bool (*visit)(void *context,
                                                    const struct ledger_parked *parked),
                                      void *context, struct fh_error *error)
{
    struct keys keys = {.list = redis_pack("[]")};
    char prefix[REDIS_ID_SIZE] = "";
    enum fh_code code = source ? redis_id(prefix, error, "%s" REDIS_SEPARATOR, source) : FH_OK;
    struct redis_range all = range_of(KEYS ":ids", prefix, 0);
    if (!code)
        code = redis_each(work, KEYS, &all, gather_key, &keys, error);
    size_t count = json_array_size(keys.list);
    const json_t **sorted = calloc(count + 1, sizeof(const json_t *));
    FH_ASSERT(sorted != NULL);
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(keys.list, i);
    qsort(sorted, count, sizeof *sorted, compare_keys);
    bool goes_on = true;
    for (size_t i = 0; i < count && i < (size_t)limit && goes_on && !code; i++)
        code = visit_first(work, sorted[i], visit, context, &goes_on, error);
    free(sorted);
    json_decref(keys.list);
    return code;
}

/* A key's events are in one share, as long as their subscription has the same shares. */
static enum fh_code visit_events(struct store_work *work, const json_t *key, int *left,
                                 bool (*visit)(void *context, const struct ledger_parked *parked),
                                 void *context, struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    json_t *list = NULL, *event;
    size_t index;
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, redis_text(key, "id"));
    struct redis_range all = range_of(EVENTS ":ids", prefix, 0);
    if (!code)
        code = events_of_key(work, &all, redis_text(key, "key"), *left, &list, error);
    json_array_foreach (list, index, event) {
        struct ledger_parked parked = parked_of(event, true, redis_integer(key, "events"));
        if (*left > 0 && !visit(context, &parked))
            *left = 0;
        *left -= *left > 0;
    }
    json_decref(list);
    return code;
}

enum fh_code
redis_ledger_parked_events(struct store_work *work, const char *source, const char *key, int limit,
                           bool (*visit)(void *context, const struct ledger_parked *parked),
                           void *context, struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    struct keys keys = {.list = redis_pack("[]")};
    json_t *one;
    size_t index;
    enum fh_code code = redis_id(prefix, error, "%s" REDIS_SEPARATOR, source);
    struct redis_range all = range_of(KEYS ":ids", prefix, 0);
    if (!code)
        code = redis_each(work, KEYS, &all, gather_key, &keys, error);
    json_array_foreach (keys.list, index, one) {
        if (!code && strcmp(redis_text(one, "key"), key) == 0)
            code = visit_events(work, one, &limit, visit, context, error);
    }
    json_decref(keys.list);
    return code;
}
