/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying on the entries that commits have written: the steps after the commits, for many units
 * of work at once. One job at a time takes them, so that it alone gives out positions.
 *
 *     1  numbered   the events become rows of fh_outbox, under the next positions (their _id)
 *     2  made       new documents of the service are inserted, where they are missing
 *        begun      so are sagas that began, under their numbers
 *     3  recorded   records of the ledger are put or removed, as the units of work left them
 *     4  placed     each key's last position, for `prev` of its next event
 *     5  counted    the counter is moved: from here on the feed shows the events
 *     6  trimmed    the entries are taken out of the documents that carried them
 *
 * After a death at any point, or an attempt of unknown outcome, all steps are taken again: rows
 * beyond the counter are counted first, rows of these units of work are found by work and index
 * and keep their positions, step 2 leaves what it finds, and 3 to 6 can be repeated. That is
 * correct because until 6 is known to be done, no other unit of work may change the same records.
 *
 * After an attempt of unknown outcome each of its messages may still arrive, however late, even
 * after later units of work on the same records. It finds nothing to do:
 *
 *     1  its positions are taken; or trimmed, where nobody reads any more
 *     2  the document or saga is there, or the marker that its removal left (record.c)
 *     3  the records are newer, or gone with a marker in their place (record.c)
 *     4  a place only rises
 *     5  so does the counter, and in another turn it has another epoch
 *     6  it names the unit of work whose entry it takes out, and the epoch that carries it on
 *
 * So before a record is sent again, it must be marked: a copy of it may arrive (record.c). A
 * process that dies at that point must leave the entry to one that does the same. So nothing is
 * sent again except 6, once everything before it was answered. And 6 names the epoch, which a
 * process that finds an entry changes to its own before anything else: then no late copy of 6 can
 * take the entry out while the process works on it. An entry that is out by then was carried on in
 * full. One that counts as never written keeps its epoch, so that the next process recognises it,
 * too, should this one die before it is out.
 *
 * The counter names the turn that owns it (epoch). When another process has opened the store, 5
 * finds nothing to move, 1 meets positions that are taken, and 3 meets newer records: this process
 * has to end.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "engine/mongodb/carry.h"

/* ---- 6: taking entries out ---- */

/* Removes the carrier too, if it exists for nothing else. But if a late copy of the request that
 * created it may arrive, that copy has to find it: then it stays, marked. */
static void trim_one(struct carry_bulk *bulk, struct carrying *c,
                     const struct mongodb_carried *item)
{
    bson_t selector, update, part;
    bson_error_t why;
    bool alone = strcmp(item->collection, MONGODB_WORKS) == 0;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&update);
    mongoc.bson_append_utf8(&selector, "_id", -1, item->document_id, -1);
    mongoc.bson_append_utf8(&selector, "_fh.work.id", -1, item->id, -1);
    /* A `never` entry keeps its own epoch, so that another process that finds it knows it, too. */
    if (!item->never)
        mongoc.bson_append_int64(&selector, "_fh.work.epoch", -1, c->carry->epoch);
    mongoc.bson_append_document_begin(&update, "$unset", -1, &part);
    mongoc.bson_append_utf8(&part, "_fh.work", -1, "", 0);
    mongoc.bson_append_document_end(&update, &part);
    if (item->late) {
        mongoc.bson_append_document_begin(&update, "$set", -1, &part);
        mongoc.bson_append_bool(&part, "_fh.late", -1, true);
        /* How long it has to be there: claim.c. */
        if (alone)
            mongoc.bson_append_int64(&part, "_fh.epoch", -1, c->carry->epoch);
        mongoc.bson_append_document_end(&update, &part);
    }
    if (item->back) {
        bool taken = mongoc.mongoc_bulk_operation_replace_one_with_opts(bulk->native, &selector,
                                                                        item->back, NULL, &why);
        carry_bulk_took(bulk, c, taken, &why);
    } else if ((alone || item->removed) && !item->late) {
        bool taken =
            mongoc.mongoc_bulk_operation_remove_one_with_opts(bulk->native, &selector, NULL, &why);
        carry_bulk_took(bulk, c, taken, &why);
    } else {
        carry_bulk_update(bulk, c, &selector, &update, false);
    }
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&update);
}

/* A carrier that exists for nothing else, and needs no marker. */
static bool is_only_removed(const struct mongodb_carried *item)
{
    return strcmp(item->collection, MONGODB_WORKS) == 0 && !item->late && !item->back;
}

/* All of these at once: the server searches once, and syncs once. */
static void trim_works(struct carrying *c)
{
    struct carry_bulk bulk;
    bson_t selector, in, list;
    char number[24];
    int count = 0;
    mongoc.bson_init(&selector);
    mongoc.bson_append_document_begin(&selector, "_id", -1, &in);
    mongoc.bson_append_array_begin(&in, "$in", -1, &list);
    for (int i = 0; i < c->carry->count; i++) {
        if (!is_only_removed(&c->carry->items[i]))
            continue;
        snprintf(number, sizeof number, "%d", count++);
        mongoc.bson_append_utf8(&list, number, -1, c->carry->items[i].id, -1);
    }
    mongoc.bson_append_array_end(&in, &list);
    mongoc.bson_append_document_end(&selector, &in);
    mongoc.bson_append_int64(&selector, "_fh.work.epoch", -1, c->carry->epoch);
    carry_bulk_begin(&bulk, c, MONGODB_WORKS);
    if (count > 0)
        carry_remove_many(&bulk, c, &selector);
    carry_bulk_end(&bulk, c);
    mongoc.bson_destroy(&selector);
}

static void trim_all(struct carrying *c)
{
    struct map bulks;
    map_init(&bulks);
    for (int i = 0; i < c->carry->count; i++) {
        const struct mongodb_carried *item = &c->carry->items[i];
        if (!is_only_removed(item))
            trim_one(carry_bulk_of(c, &bulks, item->collection, false), c, item);
    }
    carry_bulks_end(c, &bulks);
    trim_works(c);
    CRASH_POINT("mongodb.trimmed");
}

/* ---- All of it ---- */

static void note_positions(struct carrying *c)
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

static bool is_stamped(const struct mongodb_carried *item, struct carrying *c)
{
    mongoc_collection_t *collection = mongodb_collection(&c->carry->call, item->collection);
    bson_t selector, update, part, above, reply;
    bson_error_t why;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&update);
    mongoc.bson_append_utf8(&selector, "_id", -1, item->document_id, -1);
    mongoc.bson_append_utf8(&selector, "_fh.work.id", -1, item->id, -1);
    mongoc.bson_append_document_begin(&selector, "_fh.work.epoch", -1, &part);
    mongoc.bson_append_document_begin(&part, "$not", -1, &above);
    mongoc.bson_append_int64(&above, "$gt", -1, c->carry->epoch);
    mongoc.bson_append_document_end(&part, &above);
    mongoc.bson_append_document_end(&selector, &part);
    mongoc.bson_append_document_begin(&update, "$set", -1, &part);
    mongoc.bson_append_int64(&part, "_fh.work.epoch", -1, c->carry->epoch);
    mongoc.bson_append_document_end(&update, &part);
    if (!mongoc.mongoc_collection_update_one(collection, &selector, &update, NULL, &reply, &why))
        c->code = mongodb_failed(&why, c->error);
    bool stamped = mongodb_integer_at(&reply, "matchedCount") == 1;
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&update);
    mongoc.mongoc_collection_destroy(collection);
    return stamped;
}

/* Stamps the entries that were found with this epoch. */
static void stamp_left(struct carrying *c)
{
    for (int i = 0; i < c->carry->count && !c->code; i++) {
        struct mongodb_carried *item = &c->carry->items[i];
        if (item->left && !item->never && !item->recorded)
            item->recorded = !is_stamped(item, c) && !c->code;
    }
}

static void take_steps(struct carrying *c)
{
    if (c->carry->uncounted)
        carry_count_rows(c);
    if (!c->carry->fenced)
        stamp_left(c);
    carry_gather_events(c);
    if (!c->code && !c->carry->fenced && c->count > 0)
        carry_number_events(c);
    if (!c->code && !c->carry->fenced)
        carry_make_documents(c);
    if (!c->code && !c->carry->fenced && c->count > 0)
        carry_begin_sagas(c);
    if (c->code || c->carry->fenced)
        return;
    carry_record_all(c);
    if (!c->code && !c->carry->fenced && c->count > 0) {
        carry_write_places(c);
        CRASH_POINT("mongodb.placed");
        if (!c->code)
            carry_write_counter(c);
        CRASH_POINT("mongodb.counted");
    }
    if (c->code || c->carry->fenced)
        return;
    c->carry->counted = true;
    for (int i = 0; i < c->carry->count; i++)
        c->carry->items[i].recorded = true;
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
    if (c.carry->counted)
        note_positions(&c);
    while (map_next(&c.places, &entry, &key, &value))
        free(value);
    map_release(&c.places);
    free(c.events);
    return c.code;
}
