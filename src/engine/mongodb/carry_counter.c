/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counter, by whose epoch a process that carries on entries learns that another one has opened
 * the store meanwhile (carry.c): it is read when a write was refused twice.
 */

#include "engine/mongodb/carry.h"

static void take_carry_counter(struct carrying *c, const bson_t *document)
{
    c->carry->fenced = mongodb_integer_at(document, "epoch") != c->carry->epoch;
    c->carry->position = mongodb_integer_at(document, "position");
}

void carry_read_counter(struct carrying *c)
{
    bson_t filter;
    mongoc.bson_init(&filter);
    mongoc.bson_append_utf8(&filter, "_id", -1, "counter", -1);
    carry_visit(c, MONGODB_META, &filter, NULL, take_carry_counter);
    mongoc.bson_destroy(&filter);
}

void carry_write_counter(struct carrying *c)
{
    mongoc_collection_t *meta = mongodb_collection(&c->carry->call, MONGODB_META);
    bson_t selector, update, rise, reply;
    bson_error_t why;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&update);
    mongoc.bson_append_utf8(&selector, "_id", -1, "counter", -1);
    mongoc.bson_append_int64(&selector, "epoch", -1, c->carry->epoch);
    mongoc.bson_append_document_begin(&update, "$max", -1, &rise);
    mongoc.bson_append_int64(&rise, "position", -1, c->carry->position);
    mongoc.bson_append_document_end(&update, &rise);
    if (!mongoc.mongoc_collection_update_one(meta, &selector, &update, NULL, &reply, &why))
        c->code = mongodb_failed(&why, c->error);
    else if (mongodb_integer_at(&reply, "matchedCount") != 1)
        c->carry->fenced = true;
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&update);
    mongoc.mongoc_collection_destroy(meta);
}

/* A refused insert may have met a late copy that arrived in between: the second try finds that. If
 * it is refused, too, the record is newer: another process has the store, or this entry itself
 * comes late. */
void carry_twice(struct carrying *c, void (*once)(struct carrying *c))
{
    c->newer = false;
    once(c);
    if (c->newer) {
        c->newer = false;
        c->again = true;
        once(c);
        c->again = false;
    }
    if (c->newer) {
        int64_t position = c->carry->position;
        carry_read_counter(c);
        c->carry->position = position;
    }
}
