/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on Redis: meta, outbox, subscribers and migrations. Keys (behind PREFIX:fh:) and ids
 * (parts stand behind each other with U+001F between them; numbers have 19 digits):
 *
 *     counter           text: the last position given out
 *     outbox            stream: an event's position is its entry's id
 *     place             hash: an event's key → its last position
 *     keys              sorted set: the names of the service's keys (redis_list.c)
 *     work:LIFE         hash: a slot → what became of its last work (redis_script.c)
 *     meta              "incarnation", "format", ...; "trimmed" (position, event_id)
 *     subscriber        name, share                 cursor          source, share
 *     parked            source, share, key, position  parked_key    source, share, key
 *     command           caller, key                 caller          caller, birth
 *     caller_newest     caller                      lease           name
 *     saga              birth, number               saga_step       birth, number, step, element
 *     migration         version                     round           source, share
 *     applied           source, share, type, key
 *
 * The script of the commit numbers events: it is alone on the server while it runs, so positions
 * are dense, in the order of the commits, and there is no sequencer to wait for. A work's process
 * hears the positions with the script's answer.
 */

#include "store/keyvalue/redis_ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define FORMAT "1"
#define SLICE 500 /* entries of the stream read at once */

const char *redis_copy(struct arena *arena, const char *text)
{
    return text ? arena_text(arena, text) : NULL;
}

enum fh_code redis_each(struct store_work *work, const char *table, const struct redis_range *range,
                        bool (*visit)(void *context, const json_t *record), void *context,
                        struct fh_error *error)
{
    json_t *list, *record;
    size_t index;
    bool goes_on = true;
    enum fh_code code = redis_range(work, table, range, &list, error);
    json_array_foreach (list, index, record)
        goes_on = goes_on && visit(context, record);
    json_decref(list);
    return code;
}

/* ---- Meta --------------------------------------------------------------------------------------
 */

enum fh_code redis_ledger_meta_get(struct store_work *work, const char *name, char *ret,
                                   size_t size, struct fh_error *error)
{
    json_t *record;
    enum fh_code code = redis_get(work, "meta", name, &record, error);
    const char *value = code ? NULL : redis_text(record, "value");
    snprintf(ret, size, "%s", value ? value : "");
    if (!code)
        json_decref(record);
    return code;
}

enum fh_code redis_ledger_meta_put(struct store_work *work, const char *name, const char *value,
                                   struct fh_error *error)
{
    return redis_put(work, "meta", name, redis_pack("{s:s}", "value", value), error);
}

enum fh_code redis_ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                                  struct fh_error *error)
{
    char format[8];
    enum fh_code code = redis_ledger_meta_get(work, "format", format, sizeof format, error);
    if (!code && *format && strcmp(format, FORMAT) != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's ledger has format %s; this program knows format " FORMAT ".",
                         format);
    if (!code)
        code = redis_ledger_meta_get(work, LEDGER_INCARNATION, ret_incarnation, ID_SIZE, error);
    if (code || *ret_incarnation)
        return code;
    unsigned char random[10];
    world_random(work->store->world, random, sizeof random);
    id_format(ret_incarnation, world_wall_ms(work->store->world), random);
    code = redis_ledger_meta_put(work, "format", FORMAT, error);
    if (!code)
        code = redis_ledger_meta_put(work, REDIS_LISTED, "all", error);
    return code ? code : redis_ledger_meta_put(work, LEDGER_INCARNATION, ret_incarnation, error);
}

enum fh_code redis_ledger_position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    const redisReply *reply;
    char *key = redis_name(own->redis, "fh", "counter");
    enum fh_code code = redis_see_one(own, true, &reply, error, "GET", key, NULL);
    free(key);
    *ret = !code && redis_is(reply, REDIS_REPLY_STRING) ? strtoll(reply->str, NULL, 10) : 0;
    return code;
}

/* ---- Publishing --------------------------------------------------------------------------------
 */

void redis_row_word(struct redis_words *row, const char *prefix, bool position, const char *suffix)
{
    redis_word(row, prefix);
    redis_word(row, position ? "1" : "0");
    redis_word(row, suffix);
}

void redis_publish(struct redis_work *own, const struct ledger_event *event,
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

enum fh_code redis_ledger_outbox_append(struct store_work *work, struct ledger_event *events,
                                        struct fh_error *error)
{
    (void)error;
    for (struct ledger_event *event = events; event; event = event->next) {
        event->position = event->previous = 0;
        redis_publish(redis_work_of(work), event, NULL, 0);
    }
    return FH_OK;
}

/* ---- The stream --------------------------------------------------------------------------------
 */

static const char *field_of(const redisReply *entry, const char *name)
{
    const redisReply *fields = entry->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, name) == 0)
            return fields->element[i + 1]->str;
    }
    return NULL;
}

static int64_t number_of(const redisReply *entry, const char *name)
{
    const char *text = field_of(entry, name);
    return text ? strtoll(text, NULL, 10) : 0;
}

static int64_t position_of(const redisReply *entry)
{
    return strtoll(entry->element[0]->str, NULL, 10);
}

static const char *text_of(const redisReply *entry, const char *name)
{
    const char *text = field_of(entry, name);
    return text ? text : "";
}

/* Entries with positions from `first` on, `count` at the most. Not remembered, nor kept: *ret is
 * the caller's. */
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

struct reading {
    bool (*visit)(void *context, const struct ledger_event *event);
    void *context;
    int64_t next; /* the position that must come */
    int left;
    bool goes_on;
};

/* Positions are dense: where one is missing, it was trimmed since the reader was judged. */
static enum fh_code visit_entry(struct reading *reading, const redisReply *entry,
                                struct fh_error *error)
{
    struct ledger_event event = {.position = position_of(entry),
                                 .previous = number_of(entry, "prev"),
                                 .time_ms = number_of(entry, "time_ms"),
                                 .version = (int)number_of(entry, "version"),
                                 .id = text_of(entry, "id"),
                                 .type = text_of(entry, "type"),
                                 .key = text_of(entry, "key"),
                                 .data = text_of(entry, "data"),
                                 .trace = field_of(entry, "trace")};
    if (event.position != reading->next)
        return error_set(error, FH_UNAVAILABLE, "The event at %" PRId64 " was trimmed meanwhile.",
                         reading->next);
    reading->next++;
    reading->goes_on = reading->visit(reading->context, &event) && --reading->left > 0;
    return FH_OK;
}

enum fh_code redis_ledger_outbox_read(struct store_work *work, int64_t after, int limit,
                                      bool (*visit)(void *context,
                                                    const struct ledger_event *event),
                                      void *context, struct fh_error *error)
{
    struct reading reading = {visit, context, after + 1, limit, limit > 0};
    enum fh_code code = FH_OK;
    while (reading.goes_on && !code) {
        int count = reading.left < SLICE ? reading.left : SLICE;
        redisReply *entries;
        code = read_entries(work, reading.next, "+", count, &entries, error);
        if (code)
            return code;
        bool last = entries->elements < (size_t)count;
        for (size_t i = 0; i < entries->elements && reading.goes_on && !code; i++)
            code = visit_entry(&reading, entries->element[i], error);
        reading.goes_on = reading.goes_on && !last;
        hiredis.freeReplyObject(entries);
    }
    return code;
}

enum fh_code redis_ledger_outbox_id_at(struct store_work *work, int64_t position,
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
        snprintf(ret_id, ID_SIZE, "%s", text_of(entries->element[0], "id"));
    hiredis.freeReplyObject(entries);
    return FH_OK;
}

enum fh_code redis_ledger_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                         char ret_id[ID_SIZE], struct fh_error *error)
{
    json_t *trimmed;
    *ret_position = 0;
    ret_id[0] = '\0';
    enum fh_code code = redis_get(work, "meta", "trimmed", &trimmed, error);
    if (!code && trimmed) {
        *ret_position = redis_integer(trimmed, "position");
        snprintf(ret_id, ID_SIZE, "%s", redis_text(trimmed, "event_id"));
        json_decref(trimmed);
    }
    return code;
}

enum fh_code redis_ledger_outbox_trim(struct store_work *work, int64_t position, int limit,
                                      int64_t *ret_removed, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    int64_t trimmed, last;
    char id[ID_SIZE], first_kept[24];
    *ret_removed = 0;
    enum fh_code code = redis_ledger_outbox_trimmed(work, &trimmed, id, error);
    if (!code)
        code = redis_ledger_position(work, &last, error);
    if (code)
        return code;
    if (position > last)
        position = last;
    int64_t through = position - trimmed > limit ? trimmed + limit : position;
    if (through <= trimmed)
        return FH_OK;
    code = redis_ledger_outbox_id_at(work, through, id, error);
    if (!code)
        code = redis_put(work, "meta", "trimmed",
                         redis_pack("{s:I, s:s}", "position", (json_int_t)through, "event_id", id),
                         error);
    if (code)
        return code;
    char *key = redis_name(own->redis, "fh", "outbox");
    snprintf(first_kept, sizeof first_kept, "%" PRId64, through + 1);
    redis_do(own, "stream", "XTRIM", key, "MINID", first_kept, NULL);
    free(key);
    *ret_removed = through - trimmed;
    return FH_OK;
}

/* ---- Subscribers -------------------------------------------------------------------------------
 */

enum fh_code redis_ledger_subscriber_put(struct store_work *work, const char *name,
                                         const char *share, const char *incarnation, int64_t done,
                                         int64_t seen, int64_t now_ms, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *known = NULL;
    enum fh_code code = redis_id(id, error, "%s" REDIS_SEPARATOR "%s", name, share);
    if (!code)
        code = redis_get(work, "subscriber", id, &known, error);
    if (code)
        return code;
    if (known && strcmp(redis_text(known, "incarnation"), incarnation) == 0 &&
        redis_integer(known, "done") > done)
        done = redis_integer(known, "done");
    json_decref(known);
    return redis_put(work, "subscriber", id,
                     redis_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", name, "share", share,
                                "incarnation", incarnation, "done", (json_int_t)done, "seen",
                                (json_int_t)seen, "updated_ms", (json_int_t)now_ms),
                     error);
}

struct subscribers {
    bool (*visit)(void *context, const struct ledger_subscriber *subscriber);
    void *context;
};

static bool visit_subscriber(void *context, const json_t *record)
{
    const struct subscribers *to = context;
    struct ledger_subscriber subscriber = {.name = redis_text(record, "name"),
                                           .share = redis_text(record, "share"),
                                           .incarnation = redis_text(record, "incarnation"),
                                           .done = redis_integer(record, "done"),
                                           .seen = redis_integer(record, "seen")};
    return to->visit(to->context, &subscriber);
}

enum fh_code redis_ledger_subscribers_get(struct store_work *work,
                                          bool (*visit)(void *context,
                                                        const struct ledger_subscriber *subscriber),
                                          void *context, struct fh_error *error)
{
    struct subscribers to = {visit, context};
    return redis_each(work, "subscriber",
                      &(struct redis_range){.order = "subscriber:ids", .prefix = ""},
                      visit_subscriber, &to, error);
}

/* ---- Migrations --------------------------------------------------------------------------------
 */

struct migrations {
    bool (*visit)(void *context, int64_t version, const char *name, const char *checksum);
    void *context;
};

static bool visit_migration(void *context, const json_t *record)
{
    const struct migrations *to = context;
    return to->visit(to->context, redis_integer(record, "version"), redis_text(record, "name"),
                     redis_text(record, "checksum"));
}

enum fh_code redis_ledger_migrations_get(struct store_work *work,
                                         bool (*visit)(void *context, int64_t version,
                                                       const char *name, const char *checksum),
                                         void *context, struct fh_error *error)
{
    struct migrations to = {visit, context};
    return redis_each(work, "migration",
                      &(struct redis_range){.order = "migration:ids", .prefix = ""},
                      visit_migration, &to, error);
}

enum fh_code redis_ledger_migration_put(struct store_work *work, int64_t version, const char *name,
                                        const char *checksum, int64_t now_ms,
                                        struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *known = NULL;
    enum fh_code code = redis_id(id, error, REDIS_NUMBER, version);
    if (!code)
        code = redis_get(work, "migration", id, &known, error);
    if (!code && known)
        code = error_set(error, FH_CONFLICT, "Migration %" PRId64 " was applied already.", version);
    json_decref(known);
    return code ? code
                : redis_put(work, "migration", id,
                            redis_pack("{s:I, s:s, s:s, s:I}", "version", (json_int_t)version,
                                       "name", name, "checksum", checksum, "applied_ms",
                                       (json_int_t)now_ms),
                            error);
}

#define LEDGER_SLOT(name) .name = redis_ledger_##name,
const struct ledger_ops redis_ledger = {.snapshots = &redis_snapshots,
                                        LEDGER_FUNCTIONS(LEDGER_SLOT)};
#undef LEDGER_SLOT
