/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on MongoDB: the parts that differ from other engines that keep it as records
 * (store/records explains its tables and _ids). Collections in addition to those:
 *
 *     collection        _id                                 content
 *     fh_meta           also "counter"                      position, epoch
 *     fh_outbox         the position                        an event
 *     fh_place          an event's key                      its last position
 *     fh_collection     a declared collection
 *     fh_work           a unit of work (commit.c)
 *
 * Events get their positions after the commit (carry.c). Rows beyond the counter are not part of
 * the outbox. The counter is kept in memory while it is this process's turn, because no other
 * process moves it then.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/mongodb/internal.h"

#define SLICE 500 /* rows read at once */

static enum fh_code mongodb_position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    json_t *counter = NULL;
    *ret = mongodb_of(work->store)->position;
    if (mongodb_of(work->store)->ours)
        return FH_OK;
    enum fh_code code = mongodb_get(work, MONGODB_META, "counter", &counter, error);
    if (!code && counter)
        *ret = record_integer(counter, "position");
    json_decref(counter);
    return code;
}

/* ---- Outbox ---- */

static json_t *event_json(const struct ledger_event *event)
{
    json_t *packed = record_pack("{s:s, s:s, s:i, s:s, s:I, s:s}", "id", event->id, "type",
                                 event->type, "version", event->version, "key", event->key,
                                 "time_ms", (json_int_t)event->time_ms, "data", event->data);
    struct arena *arena = json_arena_set(NULL);
    if (event->trace)
        json_object_set_new(packed, "trace", json_string(event->trace));
    json_arena_set(arena);
    return packed;
}

/* Its key can't have had any before: it was generated for a document that the unit of work
 * creates. */
static bool is_first_of_key(struct store_work *work, const char *key)
{
    const struct mongodb_change *change = mongodb_work_of(work)->changes;
    while (change && !(change->drawn && strcmp(change->id, key) == 0))
        change = change->next;
    return change != NULL;
}

static enum fh_code mongodb_outbox_append(struct store_work *work, struct ledger_event *events,
                                          struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (struct ledger_event *event = events; event && !code; event = event->next) {
        event->position = event->previous = 0;
        json_t *packed = event_json(event);
        struct arena *arena = json_arena_set(NULL);
        if (is_first_of_key(work, event->key))
            json_object_set_new(packed, "first", json_true());
        json_arena_set(arena);
        code = mongodb_add_event(work, packed, error);
    }
    return code;
}

struct rows {
    struct mongodb_visit visit; /* first */
    bson_t *rows[SLICE];
    int count;
};

static bool take_outbox_row(struct mongodb_visit *visit, const bson_t *row)
{
    struct rows *rows = (struct rows *)visit;
    rows->rows[rows->count++] = mongoc.bson_copy(row);
    return rows->count < SLICE;
}

/* The rows with positions from `first` to `last`, up to SLICE of them. */
static enum fh_code find_outbox_rows(struct store_work *work, int64_t first, int64_t last,
                                     struct rows *rows, struct fh_error *error)
{
    bson_t filter, options, part;
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    mongoc.bson_append_document_begin(&filter, "_id", -1, &part);
    mongoc.bson_append_int64(&part, "$gte", -1, first);
    mongoc.bson_append_int64(&part, "$lte", -1, last);
    mongoc.bson_append_document_end(&filter, &part);
    mongoc.bson_append_document_begin(&options, "sort", -1, &part);
    mongoc.bson_append_int64(&part, "_id", -1, 1);
    mongoc.bson_append_document_end(&options, &part);
    mongoc.bson_append_int64(&options, "limit", -1, SLICE);
    rows->visit = (struct mongodb_visit){.collection = MONGODB_OUTBOX,
                                         .filter = &filter,
                                         .options = &options,
                                         .visit = take_outbox_row};
    rows->count = 0;
    enum fh_code code = mongodb_visit(mongodb_of(work->store), &rows->visit, error);
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    return code;
}

static int64_t row_integer(const bson_t *row, const char *name)
{
    bson_iter_t at;
    return mongoc.bson_iter_init_find(&at, row, name) ? mongoc.bson_iter_int64(&at) : 0;
}

static enum fh_code visit_row(struct records_reading *reading, const bson_t *row,
                              struct fh_error *error)
{
    struct ledger_event event = {.position = row_integer(row, "_id"),
                                 .previous = row_integer(row, "prev"),
                                 .time_ms = row_integer(row, "time_ms"),
                                 .version = (int)row_integer(row, "version"),
                                 .id = mongodb_text_at(row, "event_id"),
                                 .type = mongodb_text_at(row, "type"),
                                 .key = mongodb_text_at(row, "key"),
                                 .data = mongodb_text_at(row, "data"),
                                 .trace = mongodb_text_at(row, "trace")};
    return records_event(reading, &event, error);
}

static enum fh_code mongodb_outbox_read(struct store_work *work, int64_t after, int limit,
                                        bool (*visit)(void *context,
                                                      const struct ledger_event *event),
                                        void *context, struct fh_error *error)
{
    int64_t last;
    struct records_reading reading = {visit, context, after + 1, limit, limit > 0};
    struct rows *rows = malloc(sizeof *rows);
    FH_ASSERT(rows != NULL);
    enum fh_code code = mongodb_position(work, &last, error);
    while (!code && reading.goes_on && reading.next <= last) {
        int64_t end = reading.next + reading.left - 1;
        code = find_outbox_rows(work, reading.next, end < last ? end : last, rows, error);
        if (!code && rows->count == 0)
            code = error_set(error, FH_UNAVAILABLE,
                             "The event at %" PRId64 " was trimmed meanwhile.", reading.next);
        for (int i = 0; i < rows->count; i++) {
            if (!code && reading.goes_on)
                code = visit_row(&reading, rows->rows[i], error);
            mongoc.bson_destroy(rows->rows[i]);
        }
    }
    free(rows);
    return code;
}

static enum fh_code mongodb_outbox_id_at(struct store_work *work, int64_t at, char ret_id[ID_SIZE],
                                         struct fh_error *error)
{
    struct rows *rows = malloc(sizeof *rows);
    FH_ASSERT(rows != NULL);
    ret_id[0] = '\0';
    int64_t last;
    enum fh_code code = mongodb_position(work, &last, error);
    if (!code && at <= last) {
        code = find_outbox_rows(work, at, at, rows, error);
        for (int i = 0; i < rows->count; i++) {
            const char *id = mongodb_text_at(rows->rows[i], "event_id");
            snprintf(ret_id, ID_SIZE, "%s", id ? id : "");
            mongoc.bson_destroy(rows->rows[i]);
        }
    }
    free(rows);
    return code;
}

/* ---- Sagas ---- */

/* A saga that starts is part of its event: it becomes documents when the event gets its position,
 * which is the saga's number (number.c). */
static json_t *steps_json(const struct ledger_step *steps, int count)
{
    json_t *list = record_pack("[]");
    struct arena *arena = json_arena_set(NULL);
    for (int i = 0; i < count; i++) {
        char place[RECORD_PLACE_SIZE];
        json_t *step = records_step(&steps[i]);
        records_step_place(place, steps[i].step, steps[i].element);
        json_object_set_new(step, "place", json_string(place));
        json_array_append_new(list, step);
    }
    json_arena_set(arena);
    return list;
}

static enum fh_code mongodb_saga_start(struct store_work *work, struct ledger_event *event,
                                       struct ledger_saga *saga, const struct ledger_step *steps,
                                       int count, struct fh_error *error)
{
    json_t *told = event_json(event), *started = records_saga(work->store, saga, event->id);
    struct arena *arena = json_arena_set(NULL);
    json_object_set_new(told, "saga", started);
    json_object_set_new(told, "steps", steps_json(steps, count));
    json_arena_set(arena);
    saga->number = event->position = event->previous = 0;
    saga->start_id = event->id;
    return mongodb_add_event(work, told, error);
}

struct mongodb_counting {
    struct mongodb_call call; /* first */
    int64_t since;
    struct ledger_counts counts;
};

static enum fh_code run_saga_count(struct mongodb_call *call, struct fh_error *error)
{
    struct mongodb_counting *counting = (struct mongodb_counting *)call;
    mongoc_collection_t *sagas = mongodb_collection(call, MONGODB_SAGAS);
    bson_error_t why;
    enum fh_code code = FH_OK;
    for (int i = 0; i < RECORD_STATUSES && !code; i++) {
        int64_t *count = record_count(&counting->counts, record_statuses[i]);
        bson_t filter;
        mongoc.bson_init(&filter);
        mongoc.bson_append_utf8(&filter, "status", -1, record_statuses[i], -1);
        if (counting->since)
            mongodb_record_strays(&filter, counting->since, false);
        *count = mongoc.mongoc_collection_count_documents(sagas, &filter, NULL, NULL, NULL, &why);
        if (*count < 0)
            code = mongodb_failed(&why, error);
        mongoc.bson_destroy(&filter);
    }
    mongoc.mongoc_collection_destroy(sagas);
    return code;
}

/* Adjusts the counts for the sagas that the unit of work itself has changed. */
static void count_own(const struct mongodb_work *own, struct ledger_counts *counts)
{
    for (const struct mongodb_change *change = own->changes; change; change = change->next) {
        if (strcmp(change->collection, MONGODB_SAGAS) != 0)
            continue;
        int64_t *old = record_count(counts, record_text(change->old, "status"));
        int64_t *now = record_count(counts, record_text(change->fresh, "status"));
        if (old)
            --*old;
        if (now)
            ++*now;
    }
}

static enum fh_code mongodb_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                        struct fh_error *error)
{
    struct mongodb_counting counting = {
        .call.run = run_saga_count, .since = mongodb_since(mongodb_of(work->store), MONGODB_SAGAS)};
    enum fh_code code = mongodb_call(mongodb_of(work->store), &counting.call, error);
    if (code)
        return code;
    count_own(mongodb_work_of(work), &counting.counts);
    *ret = counting.counts;
    return FH_OK;
}

const struct ledger_ops mongodb_ledger = {.records = &mongodb_records,
                                          .snapshots = &records_snapshots,
                                          .position = mongodb_position,
                                          .outbox_append = mongodb_outbox_append,
                                          .derived_touch = mongodb_derived_touch,
                                          .outbox_read = mongodb_outbox_read,
                                          .outbox_id_at = mongodb_outbox_id_at,
                                          .saga_start = mongodb_saga_start,
                                          .saga_counts = mongodb_saga_counts,
                                          .commands_read = records_commands_read,
                                          .callers_read = records_callers_read,
                                          .prepare = records_prepare,
                                          RECORDS_FUNCTIONS(RECORDS_SLOT)};
