/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on Redis: the parts that differ from other engines that keep it as records
 * (store/records). Keys (after PREFIX:fh:) in addition to a hash for each of its tables, and their
 * orders (record.c):
 *
 *     counter           text: the last position given out
 *     outbox            stream: an event's position is its entry's id
 *     place             hash: an event's key → its last position
 *     keys              sorted set: the names of the service's keys (list.c)
 *     work:LIFE         hash: a slot → the outcome of its last call (script.c)
 *
 * The script of the commit numbers events: nothing else runs on the server with it, so positions
 * are dense, in the order of the commits, and there is no sequencer to wait for. The process gets
 * its events' positions with the script's answer.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/record.h"

#define CLOSED_MAX 10000 /* commands removed by one closing */
#define SLICE 500        /* entries of the stream read at once */

/* Reading two of them again costs nothing: a unit of work remembers its reads. */
static enum fh_code redis_ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                                         struct fh_error *error)
{
    char before[ID_SIZE];
    enum fh_code code = records_meta_get(work, LEDGER_INCARNATION, before, sizeof before, error);
    if (!code)
        code = records_prepare(work, ret_incarnation, error);
    return code || *before ? code : records_meta_put(work, REDIS_LISTED, "all", error);
}

static enum fh_code redis_position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    const redisReply *reply;
    char *key = redis_name(own->redis, "fh", "counter");
    enum fh_code code = redis_see_one(own, true, &reply, error, "GET", key, NULL);
    free(key);
    *ret = !code && redis_is(reply, REDIS_REPLY_STRING) ? strtoll(reply->str, NULL, 10) : 0;
    return code;
}

/* ---- Publishing ---- */

/* Appends an event to those that the unit of work publishes. `rows` are commands whose words may
 * contain the event's position (row_word), done in the same script. */
static void publish_event(struct redis_work *own, const struct ledger_event *event,
                          const struct redis_words *rows, int row_count)
{
    char version[16], time_ms[24];
    snprintf(version, sizeof version, "%d", event->version);
    snprintf(time_ms, sizeof time_ms, "%" PRId64, event->time_ms);
    const char *fields[] = {"id",       event->id,   "type",  event->type, "key",
                            event->key, "version",   version, "time_ms",   time_ms,
                            "data",     event->data, "trace", event->trace};
    int count = event->trace ? 14 : 12;
    redis_word(&own->events, event->key);
    redis_word_number(&own->events, count);
    for (int i = 0; i < count; i++)
        redis_word(&own->events, fields[i]);
    redis_word_number(&own->events, row_count);
    if (row_count)
        text_append(&own->events.text, rows->text.data, rows->text.length);
    own->events.count += row_count ? rows->count : 0;
    own->published =
        realloc(own->published, (size_t)(own->event_count + 1) * sizeof *own->published);
    FH_ASSERT(own->published != NULL);
    struct redis_placed *published = &own->published[own->event_count++];
    snprintf(published->event_id, sizeof published->event_id, "%s", event->id);
    published->position = 0;
}

static enum fh_code redis_outbox_append(struct store_work *work, struct ledger_event *events,
                                        struct fh_error *error)
{
    (void)error;
    for (struct ledger_event *event = events; event; event = event->next) {
        event->position = event->previous = 0;
        publish_event(redis_work_of(work), event, NULL, 0);
    }
    return FH_OK;
}

/* ---- Sagas that start ---- */

/* A saga's number is its event's position, which the script of the commit gives: so its records are
 * rows of that event, and the script inserts the number. It is only in their ids. */

struct rows {
    struct redis_work *own;
    struct redis_words words;
    int count;
};

/* A word of a row: `prefix`, the position with 19 digits if `redis_position`, and `suffix`. */
static void row_word(struct redis_words *row, const char *prefix, bool position, const char *suffix)
{
    redis_word(row, prefix);
    redis_word(row, position ? "1" : "0");
    redis_word(row, suffix);
}

/* A record whose id is `prefix`, the number, and `suffix`; takes `record`. */
static void row_put(struct rows *rows, const char *table, const char *prefix, const char *suffix,
                    json_t *record)
{
    char *key = redis_name(rows->own->redis, "fh", table), *text = json_text(record);
    redis_needs(rows->own, key, "hash");
    redis_word_number(&rows->words, 4);
    row_word(&rows->words, "HSET", false, "");
    row_word(&rows->words, key, false, "");
    row_word(&rows->words, prefix, true, suffix);
    row_word(&rows->words, text, false, "");
    rows->count++;
    json_text_free(text);
    json_decref(record);
    free(key);
}

static void row_order(struct rows *rows, const char *order, const char *prefix, const char *suffix)
{
    char *key = redis_name(rows->own->redis, "fh", order);
    redis_needs(rows->own, key, "zset");
    redis_word_number(&rows->words, 4);
    row_word(&rows->words, "ZADD", false, "");
    row_word(&rows->words, key, false, "");
    row_word(&rows->words, "0", false, "");
    row_word(&rows->words, prefix, true, suffix);
    rows->count++;
    free(key);
}

static void rows_of_saga(struct rows *rows, const struct ledger_saga *saga, const char *start_id)
{
    char birth[RECORD_ID_SIZE], start[RECORD_ID_SIZE], order[64];
    snprintf(birth, sizeof birth, "%s" RECORD_SEPARATOR, saga->birth);
    snprintf(start, sizeof start, "%s" RECORD_SEPARATOR "%s" REDIS_MEMBER_END "%s" RECORD_SEPARATOR,
             saga->birth, start_id, saga->birth);
    snprintf(order, sizeof order, "saga:%s", saga->status);
    row_put(rows, "saga", birth, "", records_saga(rows->own->work.store, saga, start_id));
    row_order(rows, order, birth, "");
    row_order(rows, "saga:start", start, "");
    if (record_saga_is_over(saga->status))
        row_order(rows, "saga:unclosed", birth, "");
}

static enum fh_code redis_saga_start(struct store_work *work, struct ledger_event *event,
                                     struct ledger_saga *saga, const struct ledger_step *steps,
                                     int count, struct fh_error *error)
{
    struct rows rows = {.own = redis_work_of(work)};
    struct arena *arena = json_arena_set(NULL);
    char birth[RECORD_ID_SIZE], place[RECORD_PLACE_SIZE];
    (void)error;
    redis_words_init(&rows.words);
    rows_of_saga(&rows, saga, event->id);
    snprintf(birth, sizeof birth, "%s" RECORD_SEPARATOR, saga->birth);
    for (int i = 0; i < count; i++) {
        records_step_place(place, steps[i].step, steps[i].element);
        row_put(&rows, "saga_step", birth, place, records_step(&steps[i]));
        row_order(&rows, "saga_step:ids", birth, place);
    }
    json_arena_set(arena);
    publish_event(rows.own, event, &rows.words, rows.count);
    redis_words_release(&rows.words);
    saga->number = event->position = event->previous = 0;
    saga->start_id = event->id;
    return FH_OK;
}

/* ---- The stream ---- */

static const char *entry_field(const redisReply *entry, const char *name)
{
    const redisReply *fields = redis_at(entry, 1);
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(redis_at(fields, i)->str, name) == 0)
            return redis_at(fields, i + 1)->str;
    }
    return NULL;
}

static int64_t entry_number(const redisReply *entry, const char *name)
{
    const char *text = entry_field(entry, name);
    return text ? strtoll(text, NULL, 10) : 0;
}

static int64_t entry_position(const redisReply *entry)
{
    return strtoll(redis_at(entry, 0)->str, NULL, 10);
}

static const char *entry_text(const redisReply *entry, const char *name)
{
    const char *text = entry_field(entry, name);
    return text ? text : "";
}

/* Entries with positions from `first` on, at most `count`. The unit of work does not record the
 * read; *ret is the caller's. */
static enum fh_code read_entries(struct store_work *work, int64_t first, const char *last,
                                 int count, redisReply **ret, struct fh_error *error)
{
    struct redis *redis = redis_of(work->store);
    char *key = redis_name(redis, "fh", "outbox");
    struct redis_words words;
    redis_words_init(&words);
    redis_word(&words, "XRANGE");
    redis_word(&words, key);
    redis_word_number(&words, first);
    redis_word(&words, last);
    redis_word(&words, "COUNT");
    redis_word_number(&words, count);
    enum fh_code code = redis_read_one(redis, &words, ret, error);
    redis_words_release(&words);
    free(key);
    if (!code && !redis_is(*ret, REDIS_REPLY_ARRAY)) {
        code = redis_refused(*ret, "the outbox", error);
        hiredis.freeReplyObject(*ret);
    }
    return code;
}

static enum fh_code visit_entry(struct records_reading *reading, const redisReply *entry,
                                struct fh_error *error)
{
    struct ledger_event event = {.position = entry_position(entry),
                                 .previous = entry_number(entry, "prev"),
                                 .time_ms = entry_number(entry, "time_ms"),
                                 .version = (int)entry_number(entry, "version"),
                                 .id = entry_text(entry, "id"),
                                 .type = entry_text(entry, "type"),
                                 .key = entry_text(entry, "key"),
                                 .data = entry_text(entry, "data"),
                                 .trace = entry_field(entry, "trace")};
    return records_event(reading, &event, error);
}

static enum fh_code redis_outbox_read(struct store_work *work, int64_t after, int limit,
                                      bool (*visit)(void *context,
                                                    const struct ledger_event *event),
                                      void *context, struct fh_error *error)
{
    struct records_reading reading = {visit, context, after + 1, limit, limit > 0};
    enum fh_code code = FH_OK;
    while (reading.goes_on && !code) {
        int count = reading.left < SLICE ? reading.left : SLICE;
        redisReply *entries;
        code = read_entries(work, reading.next, "+", count, &entries, error);
        if (code)
            return code;
        bool last = entries->elements < (size_t)count;
        for (size_t i = 0; i < entries->elements && reading.goes_on && !code; i++)
            code = visit_entry(&reading, redis_at(entries, i), error);
        reading.goes_on = reading.goes_on && !last;
        hiredis.freeReplyObject(entries);
    }
    return code;
}

static enum fh_code redis_outbox_id_at(struct store_work *work, int64_t position,
                                       char ret_id[ID_SIZE], struct fh_error *error)
{
    char last[24];
    redisReply *entries;
    ret_id[0] = '\0';
    snprintf(last, sizeof last, "%" PRId64, position);
    enum fh_code code = read_entries(work, position, last, 1, &entries, error);
    if (code)
        return code;
    if (entries->elements > 0)
        snprintf(ret_id, ID_SIZE, "%s", entry_text(redis_at(entries, 0), "id"));
    hiredis.freeReplyObject(entries);
    return FH_OK;
}

static enum fh_code redis_outbox_clear(struct store_work *work, int64_t through,
                                       struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    char *key = redis_name(own->redis, "fh", "outbox"), first_kept[24];
    (void)error;
    snprintf(first_kept, sizeof first_kept, "%" PRId64, through + 1);
    redis_do(own, "stream", "XTRIM", key, "MINID", first_kept, NULL);
    free(key);
    return FH_OK;
}

/* ---- Closings, places, parked events ---- */

/* As many as one unit of work removes; the next closing finds the rest. Nothing depends on which
 * ones are found. */
static enum fh_code redis_commands_close(struct store_work *work, const char *caller,
                                         const char *birth, int64_t through,
                                         const json_t *still_open, struct fh_error *error)
{
    char prefix[RECORD_ID_SIZE], below[24];
    json_t *list = NULL, *record;
    size_t index;
    enum fh_code code =
        record_id(prefix, error, "%s" RECORD_SEPARATOR "%s" RECORD_SEPARATOR, caller, birth);
    snprintf(below, sizeof below, RECORD_NUMBER, record_behind(through));
    struct redis_range range = {.order = "command:closable",
                                .prefix = prefix,
                                .below = below,
                                .limit = CLOSED_MAX,
                                .looks = true};
    if (!code)
        code = redis_range(work, "command", &range, &list, error);
    json_array_foreach (list, index, record) {
        if (!code && !record_names(still_open, record_integer(record, "number")))
            code = redis_put(work, "command", record_text(record, "id"), NULL, error);
    }
    json_decref(list);
    return code;
}

/* These reads are recorded like any other: the script of the commit, even of a unit of work that
 * changes nothing, checks that rows and positions are from one moment. Every committed event has
 * its position. */
static enum fh_code redis_key_places(struct store_work *work, const json_t *keys,
                                     bool (*visit)(void *context, const char *key,
                                                   int64_t position),
                                     void *context, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    size_t count = json_array_size(keys);
    struct redis_question *questions = calloc(count + 1, sizeof *questions);
    FH_ASSERT(questions != NULL);
    char *place = redis_name(own->redis, "fh", "place");
    for (size_t i = 0; i < count; i++)
        questions[i] = (struct redis_question){
            .words = {"HGET", place, json_string_value(json_array_get(keys, i))}, .count = 3};
    enum fh_code code = redis_see(own, questions, (int)count, error);
    bool goes_on = true;
    for (size_t i = 0; i < count && !code && goes_on; i++) {
        const redisReply *reply = questions[i].reply;
        if (redis_is(reply, REDIS_REPLY_STRING))
            goes_on = visit(context, questions[i].words[2], strtoll(reply->str, NULL, 10));
    }
    free(place);
    free(questions);
    return code;
}

/* Parking an event moves the cursor, and retrying one reads its key's record: both conflict with
 * the unit of work that begins a resync, whichever is first. */
static enum fh_code redis_parked_clear(struct store_work *work, const char *source,
                                       const char *partition, struct fh_error *error)
{
    char within[RECORD_ID_SIZE];
    enum fh_code code = record_id(within, error, "%s" RECORD_SEPARATOR "%s", source, partition);
    if (!code)
        code = redis_clear(work, "parked_key", within, error);
    return code ? code : redis_clear(work, "parked", within, error);
}

static enum fh_code redis_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                      struct fh_error *error)
{
    char order[64];
    enum fh_code code = FH_OK;
    *ret = (struct ledger_counts){0};
    for (int i = 0; i < RECORD_STATUSES && !code; i++) {
        snprintf(order, sizeof order, "saga:%s", record_statuses[i]);
        code = redis_count(work, order, record_count(ret, record_statuses[i]), error);
    }
    return code;
}

static const struct record_ops records = {.parked_by_key = true,
                                          .get = redis_get,
                                          .put = redis_put,
                                          .each = redis_each,
                                          .clear = redis_clear,
                                          .outbox_clear = redis_outbox_clear,
                                          .commands_close = redis_commands_close,
                                          .key_places = redis_key_places,
                                          .parked_clear = redis_parked_clear};

const struct ledger_ops redis_ledger = {.records = &records,
                                        .snapshots = &records_snapshots,
                                        .prepare = redis_ledger_prepare,
                                        .position = redis_position,
                                        .outbox_append = redis_outbox_append,
                                        .outbox_read = redis_outbox_read,
                                        .outbox_id_at = redis_outbox_id_at,
                                        .saga_start = redis_saga_start,
                                        .saga_counts = redis_saga_counts,
                                        .commands_read = redis_commands_read,
                                        .callers_read = redis_callers_read,
                                        RECORDS_FUNCTIONS(RECORDS_SLOT)};
