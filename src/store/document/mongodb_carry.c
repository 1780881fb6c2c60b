/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying on what works' writes carry: the steps behind their commits, for many works at once. One
 * job at a time takes them, so that it alone gives out positions.
 *
 *     1  numbered   the events become rows of fh_outbox, under the next positions (their _id)
 *     2  begun      sagas that began are made under their numbers, where they are missing
 *     3  recorded   records of the ledger are put, or removed, as the works left them
 *     4  placed     each key's last position, for `prev` of its next event
 *     5  counted    the counter is moved: from here on the feed shows the events
 *     6  trimmed    the entries are taken out of the documents that carried them
 *
 * After a death anywhere, or an attempt whose end is not known, all steps are taken again: rows
 * beyond the counter are counted first, rows of these works are found by work and index and keep
 * their positions, what 2 finds it leaves, and 3 to 6 can be repeated. That is right because until
 * 6 is known to be done no other work may change the same records.
 *
 * The counter names the opening that owns it (epoch). When another process has opened the store, 5
 * finds nothing to move and 1 meets positions that are taken: this process has to end.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "store/document/mongodb_carry.h"

/* ---- Small things ---------------------------------------------------------------------------- */

const char *carry_text_at(const bson_t *document, const char *name)
{
    bson_iter_t at;
    return mongoc.bson_iter_init_find(&at, document, name) &&
                   mongoc.bson_iter_type(&at) == BSON_TYPE_UTF8
               ? mongoc.bson_iter_utf8(&at, NULL)
               : "";
}

int64_t carry_integer_at(const bson_t *document, const char *name)
{
    bson_iter_t at;
    if (!mongoc.bson_iter_init_find(&at, document, name))
        return 0;
    return mongoc.bson_iter_type(&at) == BSON_TYPE_INT32 ? mongoc.bson_iter_int32(&at)
                                                         : mongoc.bson_iter_int64(&at);
}

bool carry_list_at(const bson_t *document, const char *name, bson_iter_t *ret)
{
    bson_iter_t at;
    return mongoc.bson_iter_init_find(&at, document, name) && mongoc.bson_iter_recurse(&at, ret);
}

bool carry_document_of(const bson_iter_t *at, bson_t *ret)
{
    const uint8_t *data;
    uint32_t length;
    if (mongoc.bson_iter_type(at) != BSON_TYPE_DOCUMENT)
        return false;
    mongoc.bson_iter_document(at, &length, &data);
    return mongoc.bson_init_static(ret, data, length);
}

void carry_bulk_begin(struct carry_bulk *bulk, const struct carrying *c, const char *collection)
{
    bulk->collection = mongodb_collection(&c->carry->call, collection);
    bulk->native = mongoc.mongoc_collection_create_bulk_operation_with_opts(bulk->collection, NULL);
    bulk->count = 0;
}

void carry_bulk_end(struct carry_bulk *bulk, struct carrying *c)
{
    bson_t reply;
    bson_error_t why;
    if (!c->code && bulk->count > 0) {
        if (!mongoc.mongoc_bulk_operation_execute(bulk->native, &reply, &why))
            c->code = mongodb_failed(&why, c->error);
        mongoc.bson_destroy(&reply);
    }
    mongoc.mongoc_bulk_operation_destroy(bulk->native);
    mongoc.mongoc_collection_destroy(bulk->collection);
}

void carry_bulk_took(struct carry_bulk *bulk, struct carrying *c, bool taken,
                     const bson_error_t *why)
{
    bulk->count++;
    if (!taken && !c->code)
        c->code = mongodb_failed(why, c->error);
}

void carry_bulk_put(struct carry_bulk *bulk, struct carrying *c, const char *id,
                    const bson_t *document, bool as_update)
{
    bson_t selector, options;
    bson_error_t why;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&options);
    mongoc.bson_append_utf8(&selector, "_id", -1, id, -1);
    mongoc.bson_append_bool(&options, "upsert", -1, true);
    bool taken = as_update
                     ? mongoc.mongoc_bulk_operation_update_one_with_opts(bulk->native, &selector,
                                                                         document, &options, &why)
                     : mongoc.mongoc_bulk_operation_replace_one_with_opts(bulk->native, &selector,
                                                                          document, &options, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&options);
}

void carry_visit(struct carrying *c, const char *collection, const bson_t *filter, const char *sort,
                 void (*take)(struct carrying *c, const bson_t *document))
{
    mongoc_collection_t *native = mongodb_collection(&c->carry->call, collection);
    bson_t options, order;
    const bson_t *document;
    bson_error_t why;
    mongoc.bson_init(&options);
    if (sort) {
        mongoc.bson_append_document_begin(&options, "sort", -1, &order);
        mongoc.bson_append_int64(&order, sort, -1, 1);
        mongoc.bson_append_document_end(&options, &order);
    }
    mongoc_cursor_t *cursor =
        mongoc.mongoc_collection_find_with_opts(native, filter, &options, NULL);
    while (!c->code && mongoc.mongoc_cursor_next(cursor, &document))
        take(c, document);
    if (!c->code && mongoc.mongoc_cursor_error(cursor, &why))
        c->code = mongodb_failed(&why, c->error);
    mongoc.mongoc_cursor_destroy(cursor);
    mongoc.mongoc_collection_destroy(native);
    mongoc.bson_destroy(&options);
}

/* ---- 3: records ------------------------------------------------------------------------------ */

static void record_range(struct carry_bulk *bulk, struct carrying *c, const char *text)
{
    bson_error_t why;
    bson_t *filter = mongoc.bson_new_from_json((const uint8_t *)text, -1, &why);
    FH_ASSERT(filter != NULL);
    carry_bulk_took(
        bulk, c,
        mongoc.mongoc_bulk_operation_remove_many_with_opts(bulk->native, filter, NULL, &why), &why);
    mongoc.bson_destroy(filter);
}

static void record_one(struct carry_bulk *bulk, struct carrying *c, const bson_t *write)
{
    bson_iter_t at;
    bson_t fields, record, selector;
    bson_error_t why;
    const char *id = carry_text_at(write, "id"), *range = carry_text_at(write, "range");
    if (*range) {
        record_range(bulk, c, range);
        return;
    }
    if (mongoc.bson_iter_init_find(&at, write, "document") && carry_document_of(&at, &fields)) {
        mongoc.bson_init(&record);
        mongoc.bson_append_utf8(&record, "_id", -1, id, -1);
        mongoc.bson_iter_init(&at, &fields);
        while (mongoc.bson_iter_next(&at))
            mongoc.bson_append_value(&record, mongoc.bson_iter_key(&at), -1,
                                     mongoc.bson_iter_value(&at));
        carry_bulk_put(bulk, c, id, &record, false);
        mongoc.bson_destroy(&record);
        return;
    }
    mongoc.bson_init(&selector);
    mongoc.bson_append_utf8(&selector, "_id", -1, id, -1);
    carry_bulk_took(
        bulk, c,
        mongoc.mongoc_bulk_operation_remove_one_with_opts(bulk->native, &selector, NULL, &why),
        &why);
    mongoc.bson_destroy(&selector);
}

/* The bulk of a collection, made when it is first met. */
static struct carry_bulk *bulk_of(struct carrying *c, struct map *bulks, const char *collection)
{
    struct carry_bulk *bulk = map_get(bulks, collection);
    if (!bulk) {
        bulk = calloc(1, sizeof *bulk);
        FH_ASSERT(bulk != NULL);
        carry_bulk_begin(bulk, c, collection);
        map_put(bulks, collection, bulk);
    }
    return bulk;
}

static void bulks_end(struct carrying *c, struct map *bulks)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(bulks, &entry, &name, &value)) {
        carry_bulk_end(value, c);
        free(value);
    }
    map_release(bulks);
}

static void record_all(struct carrying *c)
{
    struct map bulks;
    bson_iter_t list;
    bson_t write;
    map_init(&bulks);
    for (int i = 0; i < c->carry->count; i++) {
        if (!carry_list_at(c->carry->items[i].what, "writes", &list))
            continue;
        while (mongoc.bson_iter_next(&list) && carry_document_of(&list, &write))
            record_one(bulk_of(c, &bulks, carry_text_at(&write, "collection")), c, &write);
    }
    bulks_end(c, &bulks);
    CRASH_POINT("mongodb.recorded");
}

/* ---- 6: the carriers ------------------------------------------------------------------------- */

static void trim_one(struct carry_bulk *bulk, struct carrying *c,
                     const struct mongodb_carried *item)
{
    bson_t selector, update, unset;
    bson_error_t why;
    bool alone = strcmp(item->collection, MONGODB_WORKS) == 0, taken;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&update);
    mongoc.bson_append_utf8(&selector, "_id", -1, item->document_id, -1);
    mongoc.bson_append_utf8(&selector, "_fh.work.id", -1, item->id, -1);
    mongoc.bson_append_document_begin(&update, "$unset", -1, &unset);
    mongoc.bson_append_utf8(&unset, "_fh.work", -1, "", 0);
    mongoc.bson_append_document_end(&update, &unset);
    if (alone || item->removed)
        taken =
            mongoc.mongoc_bulk_operation_remove_one_with_opts(bulk->native, &selector, NULL, &why);
    else
        taken = mongoc.mongoc_bulk_operation_update_one_with_opts(bulk->native, &selector, &update,
                                                                  NULL, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&update);
}

static void trim_all(struct carrying *c)
{
    struct map bulks;
    map_init(&bulks);
    for (int i = 0; i < c->carry->count; i++) {
        const struct mongodb_carried *item = &c->carry->items[i];
        trim_one(bulk_of(c, &bulks, item->collection), c, item);
    }
    bulks_end(c, &bulks);
    CRASH_POINT("mongodb.trimmed");
}

/* ---- All of it ------------------------------------------------------------------------------- */

static void tell_positions(struct carrying *c)
{
    struct mongodb_carry *carry = c->carry;
    carry->placed = calloc((size_t)c->count + 1, sizeof *carry->placed);
    FH_ASSERT(carry->placed != NULL);
    for (int i = 0; i < c->count; i++) {
        struct mongodb_placed *placed = &carry->placed[carry->placed_count++];
        snprintf(placed->event_id, ID_SIZE, "%s", c->events[i].id);
        placed->position = c->events[i].position;
    }
}

static void take_steps(struct carrying *c)
{
    if (c->carry->uncertain)
        carry_count_rows(c);
    carry_gather_events(c);
    if (!c->code && !c->carry->fenced && c->count > 0) {
        carry_number_events(c);
        if (!c->code)
            carry_begin_sagas(c);
    }
    if (c->code || c->carry->fenced)
        return;
    record_all(c);
    if (!c->code && c->count > 0) {
        carry_write_places(c);
        CRASH_POINT("mongodb.placed");
        if (!c->code)
            carry_write_counter(c);
        CRASH_POINT("mongodb.counted");
    }
    if (!c->code && !c->carry->fenced)
        trim_all(c);
}

enum fh_code mongodb_carry(struct mongodb_call *call, struct fh_error *error)
{
    struct carrying c = {.carry = (struct mongodb_carry *)call, .error = error};
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    map_init(&c.places);
    take_steps(&c);
    if (!c.code && !c.carry->fenced)
        tell_positions(&c);
    while (map_next(&c.places, &entry, &key, &value))
        free(value);
    map_release(&c.places);
    free(c.events);
    return c.code;
}
