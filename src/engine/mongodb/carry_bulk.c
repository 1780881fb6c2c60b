/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the steps of carry.c are made of: bulks of writes to a collection, and searches whose
 * failure ends the carrying on.
 */

#include <stdio.h>
#include <stdlib.h>

#include "engine/mongodb/carry.h"

const char *carry_text_at(const bson_t *document, const char *name)
{
    const char *text = mongodb_text_at(document, name);
    return text ? text : "";
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
    bulk->guarded = false;
}

void carry_bulk_begin_guarded(struct carry_bulk *bulk, const struct carrying *c,
                              const char *collection)
{
    bson_t options;
    mongoc.bson_init(&options);
    mongoc.bson_append_bool(&options, "ordered", -1, false);
    bulk->collection = mongodb_collection(&c->carry->call, collection);
    bulk->native =
        mongoc.mongoc_collection_create_bulk_operation_with_opts(bulk->collection, &options);
    bulk->count = 0;
    bulk->guarded = true;
    mongoc.bson_destroy(&options);
}

/* Whether every refusal was for a document of the same _id. */
static bool is_all_taken(const bson_t *reply)
{
    enum { DUPLICATE = 11000 };
    bson_iter_t list;
    bson_t refusal;
    int count = 0;
    if (!carry_list_at(reply, "writeErrors", &list))
        return false;
    for (; mongoc.bson_iter_next(&list); count++) {
        if (!carry_document_of(&list, &refusal) ||
            mongodb_integer_at(&refusal, "code") != DUPLICATE)
            return false;
    }
    return count > 0;
}

void carry_bulk_end(struct carry_bulk *bulk, struct carrying *c)
{
    bson_t reply;
    bson_error_t why;
    if (!c->code && bulk->count > 0) {
        bool done = mongoc.mongoc_bulk_operation_execute(bulk->native, &reply, &why) != 0;
        if (!done && bulk->guarded && is_all_taken(&reply))
            c->newer = true;
        else if (!done)
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

void carry_bulk_update(struct carry_bulk *bulk, struct carrying *c, const bson_t *selector,
                       const bson_t *update, bool makes)
{
    bson_t options;
    bson_error_t why;
    mongoc.bson_init(&options);
    mongoc.bson_append_bool(&options, "upsert", -1, makes);
    bool taken = mongoc.mongoc_bulk_operation_update_one_with_opts(bulk->native, selector, update,
                                                                   &options, &why);
    carry_bulk_took(bulk, c, taken, &why);
    mongoc.bson_destroy(&options);
}

struct carry_bulk *carry_bulk_of(struct carrying *c, struct map *bulks, const char *collection,
                                 bool inserts)
{
    char name[ENGINE_NAME_LENGTH_MAX + 16];
    snprintf(name, sizeof name, "%s%s", inserts ? "+" : "", collection);
    struct carry_bulk *bulk = map_get(bulks, name);
    if (!bulk) {
        bulk = calloc(1, sizeof *bulk);
        FH_ASSERT(bulk != NULL);
        carry_bulk_begin_guarded(bulk, c, collection);
        map_put(bulks, name, bulk);
    }
    return bulk;
}

void carry_bulks_end(struct carrying *c, struct map *bulks)
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

void carry_remove_many(struct carry_bulk *bulk, struct carrying *c, const bson_t *selector)
{
    bson_error_t why;
    bool taken =
        mongoc.mongoc_bulk_operation_remove_many_with_opts(bulk->native, selector, NULL, &why);
    carry_bulk_took(bulk, c, taken, &why);
}
