/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes of an entry to documents other than the one that carries it: new documents of the
 * service, and records of the ledger that are put or removed (a step of carry.c each).
 *
 * A document that the unit of work found missing is inserted, and searched for only if that is
 * refused. A server may have to scan the whole collection to find a document, even by its _id
 * (FerretDB 1 on SQLite does); that an _id is taken it knows from the index.
 *
 *     found                    action
 *     nothing                  created
 *     a record, not newer      changed, or removed, and then has this number (record.c)
 *     a document, not newer    replaced: an earlier attempt has created it, or a request that came
 *                              too late, and that nobody waits for
 *     anything newer           left alone
 *
 * Records of one collection that a unit of work removes are removed by one request, if no marker
 * has to stay in the place of any.
 *
 * An attempt of unknown outcome may have inserted it, or may yet do so: after one, whatever is
 * written there is marked `_fh.late`.
 */

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "engine/mongodb/carry.h"

static void append_late(bson_t *selector, bool is_so)
{
    bson_t late;
    mongoc.bson_append_document_begin(selector, "_fh.late", -1, &late);
    mongoc.bson_append_bool(&late, is_so ? "$eq" : "$ne", -1, true);
    mongoc.bson_append_document_end(selector, &late);
}

/* Documents of which a late copy may arrive stay, hidden. */
static void bury_many(struct carry_bulk *bulk, struct carrying *c, const bson_t *selector,
                      int64_t order)
{
    bson_t update, set;
    bson_error_t why;
    mongoc.bson_init(&update);
    mongoc.bson_append_document_begin(&update, "$set", -1, &set);
    mongoc.bson_append_int64(&set, "_fh.at", -1, order);
    mongoc.bson_append_bool(&set, "_fh.removed", -1, true);
    mongoc.bson_append_document_end(&update, &set);
    bool taken = mongoc.mongoc_bulk_operation_update_many_with_opts(bulk->native, selector, &update,
                                                                    NULL, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&update);
}

static void record_range(struct carry_bulk *bulk, struct carrying *c, const char *collection,
                         const char *text, int64_t order)
{
    bson_error_t why;
    bson_t *filter = mongoc.bson_new_from_json((const uint8_t *)text, -1, &why);
    FH_ASSERT(filter != NULL);
    mongodb_record_guard(filter, order, true);
    if (strcmp(collection, MONGODB_OUTBOX) != 0) { /* its rows are inserted, and never put again */
        bson_t *late = mongoc.bson_copy(filter);
        append_late(late, true);
        bury_many(bulk, c, late, order);
        mongoc.bson_destroy(late);
        append_late(filter, false);
    }
    carry_remove_many(bulk, c, filter);
    mongoc.bson_destroy(filter);
}

/* Of one unit of work and collection, to be removed by one request. */
struct gone_many {
    const char *collection; /* NULL: none yet */
    int64_t order;
    bson_t in, list;
    bson_t selector;
    int count;
};

static void gone_end(struct gone_many *gone, struct carrying *c, struct map *bulks)
{
    if (!gone->collection)
        return;
    mongoc.bson_append_array_end(&gone->in, &gone->list);
    mongoc.bson_append_document_end(&gone->selector, &gone->in);
    mongodb_record_guard(&gone->selector, gone->order, false);
    carry_remove_many(carry_bulk_of(c, bulks, gone->collection, false), c, &gone->selector);
    mongoc.bson_destroy(&gone->selector);
    gone->collection = NULL;
}

static void gone_add(struct gone_many *gone, struct carrying *c, struct map *bulks,
                     const char *collection, const char *id, int64_t order)
{
    char number[24];
    if (gone->collection && strcmp(gone->collection, collection) != 0)
        gone_end(gone, c, bulks);
    if (!gone->collection) {
        gone->collection = collection;
        gone->order = order;
        gone->count = 0;
        mongoc.bson_init(&gone->selector);
        mongoc.bson_append_document_begin(&gone->selector, "_id", -1, &gone->in);
        mongoc.bson_append_array_begin(&gone->in, "$in", -1, &gone->list);
    }
    snprintf(number, sizeof number, "%d", gone->count++);
    mongoc.bson_append_utf8(&gone->list, number, -1, id, -1);
}

/* Without `once`, a late copy of it might arrive. */
static void record_gone(struct carry_bulk *bulk, struct carrying *c, const bson_t *write,
                        int64_t order)
{
    bson_t selector, late, gone;
    bson_error_t why;
    const char *id = carry_text_at(write, "id");
    mongodb_record_selector(&selector, id, order);
    mongodb_record_selector(&late, id, order);
    append_late(&late, true);
    mongodb_record_gone(&gone, id, order);
    bool taken =
        mongoc.mongoc_bulk_operation_replace_one_with_opts(bulk->native, &late, &gone, NULL, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&gone);
    mongoc.bson_destroy(&late);
    append_late(&selector, false);
    taken = mongoc.mongoc_bulk_operation_remove_one_with_opts(bulk->native, &selector, NULL, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&selector);
}

/* {_id, fields, _fh}; the `fields` of a document of the service include _fh, a record gets its
 * own. */
static bson_t *new_document(const char *id, const bson_t *fields, int64_t order)
{
    bson_iter_t at;
    bson_t *document = mongoc.bson_new(), own;
    mongoc.bson_append_utf8(document, "_id", -1, id, -1);
    mongoc.bson_iter_init(&at, fields);
    while (mongoc.bson_iter_next(&at))
        mongoc.bson_append_value(document, mongoc.bson_iter_key(&at), -1,
                                 mongoc.bson_iter_value(&at));
    if (mongoc.bson_iter_init_find(&at, fields, "_fh"))
        return document;
    mongoc.bson_append_document_begin(document, "_fh", -1, &own);
    mongoc.bson_append_int64(&own, "at", -1, order);
    mongoc.bson_append_document_end(document, &own);
    return document;
}

static void insert_carried(struct carry_bulk *bulk, struct carrying *c, const char *id,
                           const bson_t *fields, int64_t order)
{
    bson_error_t why;
    bson_t *document = new_document(id, fields, order);
    bool taken = mongoc.mongoc_bulk_operation_insert_with_opts(bulk->native, document, NULL, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(document);
}

static void put_one(struct carry_bulk *bulk, struct carrying *c, const char *id,
                    const bson_t *fields, int64_t order)
{
    bson_t selector, update;
    mongodb_record_selector(&selector, id, order);
    mongodb_record_update(&update, fields, order, c->carry->uncertain);
    carry_bulk_update(bulk, c, &selector, &update, true);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&update);
}

/* Replaces whatever is older. */
static void replace_one(struct carry_bulk *bulk, struct carrying *c, const char *id,
                        const bson_t *fields, int64_t order)
{
    bson_t selector, options, *document = new_document(id, fields, order),
                              *told = mongodb_record_told_late(document);
    bson_error_t why;
    mongoc.bson_init(&options);
    mongoc.bson_append_bool(&options, "upsert", -1, true);
    mongodb_record_selector(&selector, id, order);
    bool taken = mongoc.mongoc_bulk_operation_replace_one_with_opts(bulk->native, &selector, told,
                                                                    &options, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&options);
    mongoc.bson_destroy(document);
    mongoc.bson_destroy(told);
}

/* A document that did not exist is inserted: so the server need not search for it. After a refusal,
 * and where an earlier attempt may have created it, it is written like everything else. */
static bool is_inserted(const struct carrying *c, const bson_t *write, bool makes)
{
    bson_iter_t at;
    return !c->again && !c->carry->uncertain &&
           (makes || mongoc.bson_iter_init_find(&at, write, "new"));
}

static void record_one(struct carrying *c, struct map *bulks, struct gone_many *gone,
                       const bson_t *write, int64_t order)
{
    bson_iter_t at, own;
    bson_t fields;
    const char *collection = carry_text_at(write, "collection"), *id = carry_text_at(write, "id");
    const char *range = carry_text_at(write, "range");
    bool whole = !*range && mongoc.bson_iter_init_find(&at, write, "document") &&
                 carry_document_of(&at, &fields);
    bool makes = whole && mongoc.bson_iter_init_find(&own, &fields, "_fh");
    if (makes != c->making)
        return;
    if (!*range && !whole && mongoc.bson_iter_init_find(&own, write, "once")) {
        gone_add(gone, c, bulks, collection, id, order);
        return;
    }
    bool inserted = whole && is_inserted(c, write, makes);
    struct carry_bulk *bulk = carry_bulk_of(c, bulks, collection, inserted);
    if (*range)
        record_range(bulk, c, collection, range, order);
    else if (inserted)
        insert_carried(bulk, c, id, &fields, order);
    else if (makes)
        replace_one(bulk, c, id, &fields, order);
    else if (whole)
        put_one(bulk, c, id, &fields, order);
    else
        record_gone(bulk, c, write, order);
}

static void record_once(struct carrying *c)
{
    struct map bulks;
    bson_iter_t list;
    bson_t write;
    struct gone_many gone = {.count = 0};
    map_init(&bulks);
    for (int i = 0; i < c->carry->count; i++) {
        const struct mongodb_carried *item = &c->carry->items[i];
        if (item->recorded || !carry_list_at(item->what, "writes", &list))
            continue;
        while (mongoc.bson_iter_next(&list) && carry_document_of(&list, &write))
            record_one(c, &bulks, &gone, &write, item->order);
        gone_end(&gone, c, &bulks);
    }
    carry_bulks_end(c, &bulks);
}

void carry_make_documents(struct carrying *c)
{
    c->making = true;
    carry_twice(c, record_once);
    c->making = false;
    CRASH_POINT("mongodb.made");
}

void carry_record_all(struct carrying *c)
{
    carry_twice(c, record_once);
    CRASH_POINT("mongodb.recorded");
}
