/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on MongoDB: parked events. fh_parked_key has a document for each key whose events
 * wait: how many they are, where the first one is, and when that was published. It is there exactly
 * as long as there are events of its key.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/document/mongodb_ledger.h"

#define EVENTS "fh_parked"
#define KEYS "fh_parked_key"

static enum fh_code key_id(char id[static MONGODB_ID_SIZE], const char *source, const char *share,
                           const char *key, struct fh_error *error)
{
    return mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s" MONGODB_SEPARATOR "%s", source, share,
                      key);
}

static enum fh_code event_id(char id[static MONGODB_ID_SIZE], const char *source, const char *share,
                             int64_t position, const char *key, struct fh_error *error)
{
    return mongodb_id(id, error,
                      "%s" MONGODB_SEPARATOR "%s" MONGODB_SEPARATOR "%019" PRId64 MONGODB_SEPARATOR
                      "%s",
                      source, share, position, key);
}

static json_t *of_subscription(const char *source, const char *share)
{
    return mongodb_pack("{s:s, s:s}", "source", source, "share", share);
}

enum fh_code mongodb_ledger_parked_any(struct store_work *work, const char *source,
                                       const char *share, bool *ret, struct fh_error *error)
{
    json_t *list;
    enum fh_code code =
        mongodb_some(work, KEYS, of_subscription(source, share), 1, false, false, &list, error);
    *ret = json_array_size(list) > 0;
    json_decref(list);
    return code;
}

enum fh_code mongodb_ledger_parked_has(struct store_work *work, const char *source,
                                       const char *share, const char *key, bool *ret,
                                       struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *document = NULL;
    enum fh_code code = key_id(id, source, share, key, error);
    if (!code)
        code = mongodb_get(work, KEYS, id, &document, error);
    *ret = document != NULL;
    json_decref(document);
    return code;
}

static bool add_counts(void *context, const json_t *document)
{
    struct ledger_parked_counts *counts = context;
    int64_t oldest_ms = mongodb_integer(document, "oldest_ms");
    counts->keys++;
    counts->events += mongodb_integer(document, "events");
    if (counts->keys == 1 || oldest_ms < counts->oldest_ms)
        counts->oldest_ms = oldest_ms;
    return true;
}

enum fh_code mongodb_ledger_parked_count(struct store_work *work, const char *source,
                                         const char *share, struct ledger_parked_counts *ret,
                                         struct fh_error *error)
{
    *ret = (struct ledger_parked_counts){0};
    return mongodb_each(work, KEYS, of_subscription(source, share), add_counts, ret, error);
}

/* ---- Parking and taking ---------------------------------------------------------------------- */

static int64_t told_ms(const json_t *event)
{
    int64_t time_ms = mongodb_integer(event, "time_ms");
    return time_ms ? time_ms : mongodb_integer(event, "parked_ms");
}

static enum fh_code key_put(struct store_work *work, const struct ledger_parked *parked,
                            struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *key = NULL;
    enum fh_code code = key_id(id, parked->source, parked->share, parked->key, error);
    if (!code)
        code = mongodb_get(work, KEYS, id, &key, error);
    if (code)
        return code;
    int64_t time_ms = parked->time_ms ? parked->time_ms : parked->parked_ms;
    json_t *values =
        key ? mongodb_pack("{s:I}", "events", (json_int_t)mongodb_integer(key, "events") + 1)
            : mongodb_pack("{s:s, s:s, s:s, s:i, s:I, s:I}", "source", parked->source, "share",
                           parked->share, "key", parked->key, "events", 1, "first",
                           (json_int_t)parked->position, "oldest_ms", (json_int_t)time_ms);
    code = mongodb_set(work, KEYS, id, key, values, error);
    json_decref(key);
    return code;
}

enum fh_code mongodb_ledger_parked_put(struct store_work *work, const struct ledger_parked *parked,
                                       struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    enum fh_code code = key_put(work, parked, error);
    if (!code)
        code = event_id(id, parked->source, parked->share, parked->position, parked->key, error);
    if (code)
        return code;
    json_t *event = mongodb_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:s, s:I, s:s}", "source", parked->source,
        "share", parked->share, "key", parked->key, "position", (json_int_t)parked->position,
        "event_id", parked->event_id, "type", parked->type, "time_ms", (json_int_t)parked->time_ms,
        "attempts", (json_int_t)parked->attempts, "error", parked->error, "parked_ms",
        (json_int_t)parked->parked_ms, "event", parked->event);
    return mongodb_put(work, EVENTS, id, event, error);
}

static enum fh_code not_as_read(int64_t position, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT,
                     "The event at %" PRId64 " is not the first that is parked under its key any "
                     "more, or was tried or edited meanwhile.",
                     position);
}

/* The key without its first event. */
static enum fh_code key_take(struct store_work *work, const char *id, const json_t *key,
                             bool *ret_unparked, struct fh_error *error)
{
    json_t *list;
    int64_t events = mongodb_integer(key, "events") - 1;
    *ret_unparked = events == 0;
    if (events == 0)
        return mongodb_put(work, KEYS, id, NULL, error);
    json_t *filter = mongodb_pack("{s:s, s:s, s:s}", "source", mongodb_text(key, "source"), "share",
                                  mongodb_text(key, "share"), "key", mongodb_text(key, "key"));
    enum fh_code code = mongodb_some(work, EVENTS, filter, 1, false, false, &list, error);
    if (!code) {
        const json_t *next = json_array_get(list, 0);
        json_t *values = mongodb_pack("{s:I, s:I, s:I}", "events", (json_int_t)events, "first",
                                      (json_int_t)mongodb_integer(next, "position"), "oldest_ms",
                                      (json_int_t)told_ms(next));
        code = mongodb_set(work, KEYS, id, key, values, error);
    }
    json_decref(list);
    return code;
}

/* As it was read: nobody has tried or edited it since. */
static enum fh_code get_as_read(struct store_work *work, const struct ledger_parked *parked,
                                char id[static MONGODB_ID_SIZE], json_t **ret,
                                struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code =
        event_id(id, parked->source, parked->share, parked->position, parked->key, error);
    if (!code)
        code = mongodb_get(work, EVENTS, id, ret, error);
    if (!code && (!*ret || mongodb_integer(*ret, "attempts") != parked->attempts))
        code = not_as_read(parked->position, error);
    return code;
}

enum fh_code mongodb_ledger_parked_take(struct store_work *work, const struct ledger_parked *parked,
                                        bool *ret_unparked, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE], first[MONGODB_ID_SIZE];
    json_t *document = NULL, *event = NULL;
    *ret_unparked = false;
    enum fh_code code = key_id(id, parked->source, parked->share, parked->key, error);
    if (!code)
        code = mongodb_get(work, KEYS, id, &document, error);
    if (!code && (!document || mongodb_integer(document, "first") != parked->position))
        code = not_as_read(parked->position, error);
    if (!code)
        code = get_as_read(work, parked, first, &event, error);
    if (!code)
        code = mongodb_put(work, EVENTS, first, NULL, error);
    if (!code)
        code = key_take(work, id, document, ret_unparked, error);
    json_decref(event);
    json_decref(document);
    return code;
}

enum fh_code mongodb_ledger_parked_edit(struct store_work *work, const struct ledger_parked *parked,
                                        struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *event;
    enum fh_code code = get_as_read(work, parked, id, &event, error);
    if (!code)
        code = mongodb_set(work, EVENTS, id, event,
                           mongodb_pack("{s:I, s:s}", "attempts", (json_int_t)parked->attempts + 1,
                                        "event", parked->event),
                           error);
    json_decref(event);
    return code;
}

enum fh_code mongodb_ledger_parked_failed(struct store_work *work,
                                          const struct ledger_parked *parked,
                                          struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *event = NULL;
    enum fh_code code =
        event_id(id, parked->source, parked->share, parked->position, parked->key, error);
    if (!code)
        code = mongodb_get(work, EVENTS, id, &event, error);
    if (code || !event)
        return code;
    json_t *values =
        mongodb_pack("{s:I, s:s}", "attempts", (json_int_t)mongodb_integer(event, "attempts") + 1,
                     "error", parked->error);
    code = mongodb_set(work, EVENTS, id, event, values, error);
    json_decref(event);
    return code;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static struct ledger_parked parked_of(const json_t *event, bool whole, int64_t waiting)
{
    return (struct ledger_parked){.source = mongodb_text(event, "source"),
                                  .share = mongodb_text(event, "share"),
                                  .key = mongodb_text(event, "key"),
                                  .position = mongodb_integer(event, "position"),
                                  .event_id = mongodb_text(event, "event_id"),
                                  .type = mongodb_text(event, "type"),
                                  .time_ms = mongodb_integer(event, "time_ms"),
                                  .attempts = mongodb_integer(event, "attempts"),
                                  .error = mongodb_text(event, "error"),
                                  .parked_ms = mongodb_integer(event, "parked_ms"),
                                  .event = whole ? mongodb_text(event, "event") : "",
                                  .waiting = waiting};
}

struct keys {
    json_t *list;
};

static bool gather_key(void *context, const json_t *document)
{
    struct arena *arena = json_arena_set(NULL);
    json_array_append_new(((struct keys *)context)->list, json_deep_copy(document));
    json_arena_set(arena);
    return true;
}

static int compare_keys(const void *left, const void *right)
{
    const json_t *const *a = left, *const *b = right;
    int order = strcmp(mongodb_text(*a, "source"), mongodb_text(*b, "source"));
    if (order == 0)
        order = strcmp(mongodb_text(*a, "share"), mongodb_text(*b, "share"));
    int64_t first = mongodb_integer(*a, "first"), other = mongodb_integer(*b, "first");
    return order ? order : (first > other) - (first < other);
}

static enum fh_code visit_first(struct store_work *work, const json_t *key,
                                bool (*visit)(void *context, const struct ledger_parked *parked),
                                void *context, bool *goes_on, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *event = NULL;
    enum fh_code code = event_id(id, mongodb_text(key, "source"), mongodb_text(key, "share"),
                                 mongodb_integer(key, "first"), mongodb_text(key, "key"), error);
    if (!code)
        code = mongodb_get(work, EVENTS, id, &event, error);
    if (!code && event) { /* else it was taken just now */
        struct ledger_parked parked = parked_of(event, false, mongodb_integer(key, "events"));
        *goes_on = visit(context, &parked);
    }
    json_decref(event);
    return code;
}

enum fh_code mongodb_ledger_parked_keys(struct store_work *work, const char *source, int limit,
                                        bool (*visit)(void *context,
                                                      const struct ledger_parked *parked),
                                        void *context, struct fh_error *error)
{
    struct keys keys = {.list = mongodb_pack("[]")};
    enum fh_code code =
        mongodb_each(work, KEYS, source ? mongodb_pack("{s:s}", "source", source) : NULL,
                     gather_key, &keys, error);
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

static bool add_events(void *context, const json_t *document)
{
    *(int64_t *)context += mongodb_integer(document, "events");
    return true;
}

enum fh_code mongodb_ledger_parked_events(struct store_work *work, const char *source,
                                          const char *key, int limit,
                                          bool (*visit)(void *context,
                                                        const struct ledger_parked *parked),
                                          void *context, struct fh_error *error)
{
    int64_t waiting = 0;
    json_t *list, *event;
    size_t index;
    enum fh_code code =
        mongodb_each(work, KEYS, mongodb_pack("{s:s, s:s}", "source", source, "key", key),
                     add_events, &waiting, error);
    if (code)
        return code;
    code = mongodb_some(work, EVENTS, mongodb_pack("{s:s, s:s}", "source", source, "key", key),
                        limit, false, false, &list, error);
    bool goes_on = true;
    json_array_foreach (list, index, event) {
        struct ledger_parked parked = parked_of(event, true, waiting);
        goes_on = goes_on && !code && visit(context, &parked);
    }
    json_decref(list);
    return code;
}
