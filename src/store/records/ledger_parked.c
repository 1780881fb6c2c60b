/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger as records: parked events. parked_key has a record for each key with parked events:
 * their number, the first one's position, and when that one was published. It exists exactly as
 * long as the key has parked events.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/records/records.h"

#define EVENTS "parked"
#define KEYS "parked_key"

static enum fh_code key_id(char id[static RECORD_ID_SIZE], const char *source,
                           const char *partition, const char *key, struct fh_error *error)
{
    return record_id(id, error, "%s" RECORD_SEPARATOR "%s" RECORD_SEPARATOR "%s", source, partition,
                     key);
}

static enum fh_code event_id(const struct store_work *work, char id[static RECORD_ID_SIZE],
                             const char *source, const char *partition, int64_t position,
                             const char *key, struct fh_error *error)
{
    if (records_of(work)->parked_by_key)
        return record_id(id, error,
                         "%s" RECORD_SEPARATOR "%s" RECORD_SEPARATOR
                         "%s" RECORD_SEPARATOR RECORD_NUMBER,
                         source, partition, key, position);
    return record_id(
        id, error, "%s" RECORD_SEPARATOR "%s" RECORD_SEPARATOR RECORD_NUMBER RECORD_SEPARATOR "%s",
        source, partition, position, key);
}

static struct record_range of_subscription(const char *source, const char *partition)
{
    return (struct record_range){.table = KEYS,
                                 .fields = {{"source", source}, {"share", partition}}};
}

enum fh_code records_parked_any(struct store_work *work, const char *source, const char *partition,
                                bool *ret, struct fh_error *error)
{
    json_t *list;
    struct record_range one = of_subscription(source, partition);
    one.limit = 1;
    enum fh_code code = records_gather(work, &one, &list, error);
    *ret = json_array_size(list) > 0;
    json_decref(list);
    return code;
}

enum fh_code records_parked_has(struct store_work *work, const char *source, const char *partition,
                                const char *key, bool *ret, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *record = NULL;
    enum fh_code code = key_id(id, source, partition, key, error);
    if (!code)
        code = records_get(work, KEYS, id, &record, error);
    *ret = record != NULL;
    json_decref(record);
    return code;
}

static bool add_counts(void *context, json_t *record)
{
    struct ledger_parked_counts *counts = context;
    int64_t oldest_ms = record_integer(record, "oldest_ms");
    counts->keys++;
    counts->events += record_integer(record, "events");
    if (counts->keys == 1 || oldest_ms < counts->oldest_ms)
        counts->oldest_ms = oldest_ms;
    return true;
}

enum fh_code records_parked_count(struct store_work *work, const char *source,
                                  const char *partition, struct ledger_parked_counts *ret,
                                  struct fh_error *error)
{
    struct record_range all = of_subscription(source, partition);
    *ret = (struct ledger_parked_counts){0};
    return records_each(work, &all, add_counts, ret, error);
}

/* ---- Parking and taking ---- */

static int64_t told_ms(const json_t *event)
{
    int64_t time_ms = record_integer(event, "time_ms");
    return time_ms ? time_ms : record_integer(event, "parked_ms");
}

static enum fh_code key_put(struct store_work *work, const struct ledger_parked *parked,
                            struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *key = NULL;
    enum fh_code code = key_id(id, parked->source, parked->partition, parked->key, error);
    if (!code)
        code = records_get(work, KEYS, id, &key, error);
    if (code)
        return code;
    int64_t time_ms = parked->time_ms ? parked->time_ms : parked->parked_ms;
    json_t *values =
        key ? record_pack("{s:I}", "events", (json_int_t)record_integer(key, "events") + 1)
            : record_pack("{s:s, s:s, s:s, s:i, s:I, s:I}", "source", parked->source, "share",
                          parked->partition, "key", parked->key, "events", 1, "first",
                          (json_int_t)parked->position, "oldest_ms", (json_int_t)time_ms);
    code = records_set(work, KEYS, id, key, values, error);
    json_decref(key);
    return code;
}

enum fh_code records_parked_put(struct store_work *work, const struct ledger_parked *parked,
                                struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    enum fh_code code = key_put(work, parked, error);
    if (!code)
        code = event_id(work, id, parked->source, parked->partition, parked->position, parked->key,
                        error);
    if (code)
        return code;
    json_t *event = record_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:s, s:I, s:s}", "source", parked->source,
        "share", parked->partition, "key", parked->key, "position", (json_int_t)parked->position,
        "event_id", parked->event_id, "type", parked->type, "time_ms", (json_int_t)parked->time_ms,
        "attempts", (json_int_t)parked->attempts, "error", parked->error, "parked_ms",
        (json_int_t)parked->parked_ms, "event", parked->event);
    return records_put(work, EVENTS, id, event, error);
}

static enum fh_code record_not_as_read(int64_t position, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT,
                     "The event at %" PRId64 " is not the first that is parked under its key any "
                     "more, or was tried or edited meanwhile.",
                     position);
}

/* The events of a key, in order. */
static enum fh_code events_of(struct store_work *work, const json_t *key, int limit, json_t **ret,
                              struct fh_error *error)
{
    struct record_range range = {.table = EVENTS,
                                 .fields = {{"source", record_text(key, "source")},
                                            {"share", record_text(key, "share")},
                                            {"key", record_text(key, "key")}},
                                 .limit = limit};
    return records_gather(work, &range, ret, error);
}

/* Updates the key's record after its first event was removed. */
static enum fh_code key_take(struct store_work *work, const char *id, const json_t *key,
                             bool *ret_unparked, struct fh_error *error)
{
    json_t *list;
    int64_t events = record_integer(key, "events") - 1;
    *ret_unparked = events == 0;
    if (events == 0)
        return records_put(work, KEYS, id, NULL, error);
    enum fh_code code = events_of(work, key, 1, &list, error);
    if (!code) {
        const json_t *next = json_array_get(list, 0);
        json_t *values = record_pack("{s:I, s:I, s:I}", "events", (json_int_t)events, "first",
                                     (json_int_t)record_integer(next, "position"), "oldest_ms",
                                     (json_int_t)told_ms(next));
        code = records_set(work, KEYS, id, key, values, error);
    }
    json_decref(list);
    return code;
}

/* Gets the event if nobody has tried or edited it since it was read. */
static enum fh_code get_as_read(struct store_work *work, const struct ledger_parked *parked,
                                char id[static RECORD_ID_SIZE], json_t **ret,
                                struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code =
        event_id(work, id, parked->source, parked->partition, parked->position, parked->key, error);
    if (!code)
        code = records_get(work, EVENTS, id, ret, error);
    if (!code && (!*ret || record_integer(*ret, "attempts") != parked->attempts))
        code = record_not_as_read(parked->position, error);
    return code;
}

enum fh_code records_parked_take(struct store_work *work, const struct ledger_parked *parked,
                                 bool *ret_unparked, struct fh_error *error)
{
    char id[RECORD_ID_SIZE], first[RECORD_ID_SIZE];
    json_t *record = NULL, *event = NULL;
    *ret_unparked = false;
    enum fh_code code = key_id(id, parked->source, parked->partition, parked->key, error);
    if (!code)
        code = records_get(work, KEYS, id, &record, error);
    if (!code && (!record || record_integer(record, "first") != parked->position))
        code = record_not_as_read(parked->position, error);
    if (!code)
        code = get_as_read(work, parked, first, &event, error);
    if (!code)
        code = records_put(work, EVENTS, first, NULL, error);
    if (!code)
        code = key_take(work, id, record, ret_unparked, error);
    json_decref(event);
    json_decref(record);
    return code;
}

enum fh_code records_parked_edit(struct store_work *work, const struct ledger_parked *parked,
                                 struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *event;
    enum fh_code code = get_as_read(work, parked, id, &event, error);
    if (!code)
        code = records_set(work, EVENTS, id, event,
                           record_pack("{s:I, s:s}", "attempts", (json_int_t)parked->attempts + 1,
                                       "event", parked->event),
                           error);
    json_decref(event);
    return code;
}

enum fh_code records_parked_failed(struct store_work *work, const struct ledger_parked *parked,
                                   struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *event = NULL;
    enum fh_code code =
        event_id(work, id, parked->source, parked->partition, parked->position, parked->key, error);
    if (!code)
        code = records_get(work, EVENTS, id, &event, error);
    if (code || !event)
        return code;
    json_t *values =
        record_pack("{s:I, s:s}", "attempts", (json_int_t)record_integer(event, "attempts") + 1,
                    "error", parked->error);
    code = records_set(work, EVENTS, id, event, values, error);
    json_decref(event);
    return code;
}

/* ---- Reading ---- */

static struct ledger_parked parked_of_record(const json_t *event, bool whole, int64_t waiting)
{
    return (struct ledger_parked){.source = record_text(event, "source"),
                                  .partition = record_text(event, "share"),
                                  .key = record_text(event, "key"),
                                  .position = record_integer(event, "position"),
                                  .event_id = record_text(event, "event_id"),
                                  .type = record_text(event, "type"),
                                  .time_ms = record_integer(event, "time_ms"),
                                  .attempts = record_integer(event, "attempts"),
                                  .error = record_text(event, "error"),
                                  .parked_ms = record_integer(event, "parked_ms"),
                                  .event = whole ? record_text(event, "event") : "",
                                  .waiting = waiting};
}

static int compare_keys(const void *left, const void *right)
{
    const json_t *const *a = left, *const *b = right;
    int order = strcmp(record_text(*a, "source"), record_text(*b, "source"));
    if (order == 0)
        order = strcmp(record_text(*a, "share"), record_text(*b, "share"));
    int64_t first = record_integer(*a, "first"), other = record_integer(*b, "first");
    return order ? order : (first > other) - (first < other);
}

static enum fh_code visit_first(struct store_work *work, const json_t *key,
                                bool (*visit)(void *context, const struct ledger_parked *parked),
                                void *context, bool *goes_on, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *event = NULL;
    enum fh_code code = event_id(work, id, record_text(key, "source"), record_text(key, "share"),
                                 record_integer(key, "first"), record_text(key, "key"), error);
    if (!code)
        code = records_get(work, EVENTS, id, &event, error);
    if (!code && event) { /* else it has just been taken */
        struct ledger_parked parked = parked_of_record(event, false, record_integer(key, "events"));
        *goes_on = visit(context, &parked);
    }
    json_decref(event);
    return code;
}

enum fh_code records_parked_keys(struct store_work *work, const char *source, int limit,
                                 bool (*visit)(void *context, const struct ledger_parked *parked),
                                 void *context, struct fh_error *error)
{
    json_t *keys;
    struct record_range all = {.table = KEYS, .fields = {{"source", source}}};
    enum fh_code code = records_gather(work, &all, &keys, error);
    size_t count = json_array_size(keys);
    const json_t **sorted = calloc(count + 1, sizeof(const json_t *));
    FH_ASSERT(sorted != NULL);
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(keys, i);
    qsort(sorted, count, sizeof *sorted, compare_keys);
    bool goes_on = true;
    for (size_t i = 0; i < count && i < (size_t)limit && goes_on && !code; i++)
        code = visit_first(work, sorted[i], visit, context, &goes_on, error);
    free(sorted);
    json_decref(keys);
    return code;
}

/* A key's events are in one partition, as long as their subscription keeps its number of
 * partitions. */
enum fh_code records_parked_events(struct store_work *work, const char *source, const char *key,
                                   int limit,
                                   bool (*visit)(void *context, const struct ledger_parked *parked),
                                   void *context, struct fh_error *error)
{
    json_t *keys, *one, *list, *event;
    size_t at, index;
    bool goes_on = true;
    struct record_range all = {.table = KEYS, .fields = {{"source", source}}, .also = {"key", key}};
    enum fh_code code = records_gather(work, &all, &keys, error);
    json_array_foreach (keys, at, one) {
        if (code || !goes_on || limit <= 0)
            continue;
        code = events_of(work, one, limit, &list, error);
        limit -= (int)json_array_size(list);
        json_array_foreach (list, index, event) {
            struct ledger_parked parked =
                parked_of_record(event, true, record_integer(one, "events"));
            goes_on = goes_on && visit(context, &parked);
        }
        json_decref(list);
    }
    json_decref(keys);
    return code;
}
