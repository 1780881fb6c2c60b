/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions: steps 1, 4 and 5 of carry.c, the sagas of 2, and finding out how far an earlier
 * attempt at them got. Rows of fh_outbox have their position as _id, so none is given twice;
 * readers see those up to the counter.
 *
 * Rows and places carry numbers as records do, so that a late request to empty the store leaves
 * them alone (copy_begin.c). The numbers also tell which ones were sent before the store was copied
 * into, and arrived later: strays. A stray row may be beyond the counter: it is removed before its
 * position is given out. A stray place may exist for a key that has none: it is removed before the
 * key's place is raised.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "engine/mongodb/carry.h"

/* ---- Strays ---- */

/* Harmless even if it arrives late: what it finds never counts as present. */
static void remove_strays(struct carrying *c, const char *collection)
{
    struct carry_bulk bulk;
    bson_error_t why;
    bson_t strays;
    mongoc.bson_init(&strays);
    mongodb_record_strays(&strays, c->carry->since, true);
    carry_bulk_begin(&bulk, c, collection);
    bool taken =
        mongoc.mongoc_bulk_operation_remove_many_with_opts(bulk.native, &strays, NULL, &why);
    carry_bulk_took(&bulk, c, taken, &why);
    carry_bulk_end(&bulk, c);
    mongoc.bson_destroy(&strays);
    c->strays = false;
}

/* Notes in `c` that there was one. */
static bool is_stray(struct carrying *c, const bson_t *document)
{
    bool stray = mongodb_record_is_stray(document, c->carry->since);
    c->strays = c->strays || stray;
    return stray;
}

/* ---- Positions ---- */

static struct carry_place *carry_place_of(struct carrying *c, const char *key)
{
    struct carry_place *place = map_get(&c->places, key);
    if (!place) {
        place = calloc(1, sizeof *place);
        FH_ASSERT(place != NULL);
        map_put(&c->places, key, place);
    }
    return place;
}

static void take_carry_place(struct carrying *c, const bson_t *document)
{
    if (is_stray(c, document))
        return;
    struct carry_place *place = carry_place_of(c, carry_text_at(document, "_id"));
    int64_t position = mongodb_integer_at(document, "position");
    if (position > place->position)
        place->position = position;
}

/* Whether the key has had no event before. After an attempt of unknown outcome it may have this
 * one. */
static bool is_event_first(const struct carrying *c, const struct carry_event *event)
{
    return event->starts || (event->first && !c->carry->uncertain);
}

/* Reads the keys' last positions so far. */
static void read_carry_places(struct carrying *c)
{
    bson_t filter, in, list;
    char number[24];
    int count = 0;
    mongoc.bson_init(&filter);
    mongoc.bson_append_document_begin(&filter, "_id", -1, &in);
    mongoc.bson_append_array_begin(&in, "$in", -1, &list);
    for (int i = 0; i < c->count; i++) {
        if (is_event_first(c, &c->events[i]))
            continue;
        snprintf(number, sizeof number, "%d", count++);
        mongoc.bson_append_utf8(&list, number, -1, c->events[i].key, -1);
    }
    mongoc.bson_append_array_end(&in, &list);
    mongoc.bson_append_document_end(&filter, &in);
    if (count > 0)
        carry_visit(c, MONGODB_PLACES, &filter, NULL, take_carry_place);
    mongoc.bson_destroy(&filter);
    if (c->strays)
        remove_strays(c, MONGODB_PLACES);
}

/* Keeps a stray that arrives between the read and this write from being raised: the upsert is
 * refused, and repeated after removing it. Not on FerretDB 1, which reads and writes in separate
 * steps in any case, and finds by _id alone much faster. */
static void write_guard(struct carrying *c, bson_t *selector)
{
    if (c->carry->since && c->carry->call.nesting == MONGODB_NESTED)
        mongodb_record_strays(selector, c->carry->since, false);
}

static void insert_place(struct carry_bulk *bulk, struct carrying *c, const char *key,
                         int64_t position)
{
    bson_t row, own;
    bson_error_t why;
    mongoc.bson_init(&row);
    mongoc.bson_append_utf8(&row, "_id", -1, key, -1);
    mongoc.bson_append_int64(&row, "position", -1, position);
    mongoc.bson_append_document_begin(&row, "_fh", -1, &own);
    mongoc.bson_append_int64(&own, "at", -1, c->carry->order);
    mongoc.bson_append_document_end(&row, &own);
    bool taken = mongoc.mongoc_bulk_operation_insert_with_opts(bulk->native, &row, NULL, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&row);
}

static void raise_place(struct carry_bulk *bulk, struct carrying *c, const char *key,
                        int64_t position)
{
    bson_t selector, update, rise;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&update);
    mongoc.bson_append_utf8(&selector, "_id", -1, key, -1);
    write_guard(c, &selector);
    mongoc.bson_append_document_begin(&update, "$max", -1, &rise);
    mongoc.bson_append_int64(&rise, "position", -1, position);
    mongoc.bson_append_int64(&rise, "_fh.at", -1, c->carry->order);
    mongoc.bson_append_document_end(&update, &rise);
    carry_bulk_update(bulk, c, &selector, &update, true);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&update);
}

static void write_places_once(struct carrying *c)
{
    struct map bulks;
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    if (c->again && c->carry->since)
        remove_strays(c, MONGODB_PLACES);
    map_init(&bulks);
    while (map_next(&c->places, &entry, &key, &value)) {
        const struct carry_place *place = value;
        bool is_new = place->is_new && !c->again;
        struct carry_bulk *bulk = carry_bulk_of(c, &bulks, MONGODB_PLACES, is_new);
        (is_new ? insert_place : raise_place)(bulk, c, key, place->position);
    }
    carry_bulks_end(c, &bulks);
}

void carry_write_places(struct carrying *c)
{
    carry_twice(c, write_places_once);
}

static void take_uncounted(struct carrying *c, const bson_t *document)
{
    if (is_stray(c, document))
        return;
    c->carry->position = mongodb_integer_at(document, "_id");
    carry_place_of(c, carry_text_at(document, "key"))->position = c->carry->position;
}

/* Counts rows that an earlier attempt wrote, and perhaps did not count. */
void carry_count_rows(struct carrying *c)
{
    bson_t filter, beyond;
    carry_read_counter(c);
    if (c->code || c->carry->fenced)
        return;
    int64_t counted = c->carry->position;
    mongoc.bson_init(&filter);
    mongoc.bson_append_document_begin(&filter, "_id", -1, &beyond);
    mongoc.bson_append_int64(&beyond, "$gt", -1, counted);
    mongoc.bson_append_document_end(&filter, &beyond);
    carry_visit(c, MONGODB_OUTBOX, &filter, "_id", take_uncounted);
    mongoc.bson_destroy(&filter);
    if (c->strays)
        remove_strays(c, MONGODB_OUTBOX);
    if (c->carry->since)
        remove_strays(c, MONGODB_PLACES);
    if (c->code || c->carry->position == counted)
        return;
    carry_write_places(c);
    if (!c->code)
        carry_write_counter(c);
}

/* ---- 1: events ---- */

void carry_gather_events(struct carrying *c)
{
    bson_iter_t list, at;
    bson_t fields;
    int size = 0;
    for (int i = 0; i < c->carry->count; i++) {
        const struct mongodb_carried *item = &c->carry->items[i];
        if (item->recorded || !carry_list_at(item->what, "events", &list))
            continue;
        for (int index = 0; mongoc.bson_iter_next(&list); index++) {
            if (c->count == size) {
                size = size ? size * 2 : 64;
                c->events = realloc(c->events, (size_t)size * sizeof *c->events);
                FH_ASSERT(c->events != NULL);
            }
            FH_ASSERT(carry_document_of(&list, &fields));
            c->events[c->count++] = (struct carry_event){
                .item = item,
                .index = index,
                .fields = list,
                .id = carry_text_at(&fields, "id"),
                .key = carry_text_at(&fields, "key"),
                .first = mongoc.bson_iter_init_find(&at, &fields, "first"),
                .starts = mongoc.bson_iter_init_find(&at, &fields, "saga"),
            };
        }
    }
}

static void take_numbered_row(struct carrying *c, const bson_t *document)
{
    const char *work = carry_text_at(document, "work");
    int64_t index = mongodb_integer_at(document, "index");
    for (int i = 0; i < c->count; i++) {
        struct carry_event *event = &c->events[i];
        if (event->index == index && strcmp(event->item->id, work) == 0) {
            event->position = mongodb_integer_at(document, "_id");
            event->numbered = true;
        }
    }
}

static void find_numbered(struct carrying *c)
{
    bson_t filter, in, list;
    char number[24];
    mongoc.bson_init(&filter);
    mongoc.bson_append_document_begin(&filter, "work", -1, &in);
    mongoc.bson_append_array_begin(&in, "$in", -1, &list);
    for (int i = 0; i < c->carry->count; i++) {
        snprintf(number, sizeof number, "%d", i);
        mongoc.bson_append_utf8(&list, number, -1, c->carry->items[i].id, -1);
    }
    mongoc.bson_append_array_end(&in, &list);
    mongoc.bson_append_document_end(&filter, &in);
    carry_visit(c, MONGODB_OUTBOX, &filter, NULL, take_numbered_row);
    mongoc.bson_destroy(&filter);
}

static void append_row(struct carry_bulk *bulk, struct carrying *c, const struct carry_event *event)
{
    static const char *const texts[] = {"type", "key", "data", "trace"};
    static const char *const integers[] = {"version", "time_ms"};
    bson_t fields, row, own;
    bson_iter_t at;
    bson_error_t why;
    carry_document_of(&event->fields, &fields);
    mongoc.bson_init(&row);
    mongoc.bson_append_int64(&row, "_id", -1, event->position);
    mongoc.bson_append_utf8(&row, "event_id", -1, event->id, -1);
    mongoc.bson_append_int64(&row, "prev", -1, event->previous);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (mongoc.bson_iter_init_find(&at, &fields, texts[i]))
            mongoc.bson_append_value(&row, texts[i], -1, mongoc.bson_iter_value(&at));
    }
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        mongoc.bson_append_int64(&row, integers[i], -1, mongodb_integer_at(&fields, integers[i]));
    mongoc.bson_append_utf8(&row, "work", -1, event->item->id, -1);
    mongoc.bson_append_int64(&row, "index", -1, event->index);
    mongoc.bson_append_document_begin(&row, "_fh", -1, &own);
    mongoc.bson_append_int64(&own, "at", -1, event->item->order);
    mongoc.bson_append_document_end(&row, &own);
    bool taken = mongoc.mongoc_bulk_operation_insert_with_opts(bulk->native, &row, NULL, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&row);
}

void carry_number_events(struct carrying *c)
{
    struct carry_bulk bulk;
    if (c->carry->uncertain)
        find_numbered(c);
    if (!c->code)
        read_carry_places(c);
    if (c->code)
        return;
    carry_bulk_begin(&bulk, c, MONGODB_OUTBOX);
    for (int i = 0; i < c->count && !c->code; i++) {
        struct carry_event *event = &c->events[i];
        if (event->numbered)
            continue;
        event->position = ++c->carry->position;
        if (!event->starts) {
            struct carry_place *place = carry_place_of(c, event->key);
            if (place->position == 0)
                place->is_new = is_event_first(c, event);
            event->previous = place->position;
            place->position = event->position;
        }
        append_row(&bulk, c, event);
    }
    carry_bulk_end(&bulk, c);
    CRASH_POINT("mongodb.numbered");
}

/* ---- 2: sagas ---- */

/* {"$setOnInsert": {the fields of the unit of work, number}} under an _id that begins with birth
 * and number. */
static void begin_carried(struct carry_bulk *bulk, struct carrying *c,
                          const struct carry_event *event, const bson_iter_t *at)
{
    bson_t fields, selector, update, made, told;
    bson_iter_t field;
    char id[256];
    FH_ASSERT(carry_document_of(at, &fields));
    snprintf(id, sizeof id, "%s" RECORD_SEPARATOR "%019lld%s", carry_text_at(&fields, "birth"),
             (long long)event->position, carry_text_at(&fields, "place"));
    mongoc.bson_init(&selector);
    mongoc.bson_append_utf8(&selector, "_id", -1, id, -1);
    mongoc.bson_init(&update);
    mongoc.bson_append_document_begin(&update, "$setOnInsert", -1, &made);
    mongoc.bson_append_int64(&made, "number", -1, event->position);
    mongoc.bson_append_int64(&made, "_fh.at", -1, event->item->order);
    mongoc.bson_iter_init(&field, &fields);
    while (mongoc.bson_iter_next(&field)) {
        if (strcmp(mongoc.bson_iter_key(&field), "place") != 0)
            mongoc.bson_append_value(&made, mongoc.bson_iter_key(&field), -1,
                                     mongoc.bson_iter_value(&field));
    }
    mongoc.bson_append_document_end(&update, &made);
    if (c->carry->uncertain) {
        mongoc.bson_append_document_begin(&update, "$set", -1, &told);
        mongoc.bson_append_bool(&told, "_fh.late", -1, true);
        mongoc.bson_append_document_end(&update, &told);
    }
    carry_bulk_update(bulk, c, &selector, &update, true);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&update);
}

void carry_begin_sagas(struct carrying *c)
{
    struct carry_bulk sagas, steps;
    bson_t fields;
    bson_iter_t at, step;
    carry_bulk_begin(&sagas, c, MONGODB_SAGAS);
    carry_bulk_begin(&steps, c, MONGODB_STEPS);
    for (int i = 0; i < c->count; i++) {
        const struct carry_event *event = &c->events[i];
        carry_document_of(&event->fields, &fields);
        if (!mongoc.bson_iter_init_find(&at, &fields, "saga"))
            continue;
        if (carry_list_at(&fields, "steps", &step)) {
            while (mongoc.bson_iter_next(&step))
                begin_carried(&steps, c, event, &step);
        }
        begin_carried(&sagas, c, event, &at);
    }
    carry_bulk_end(&steps, c); /* steps first: a saga that exists is complete */
    carry_bulk_end(&sagas, c);
    CRASH_POINT("mongodb.begun");
}
