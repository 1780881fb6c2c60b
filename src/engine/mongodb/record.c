/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a late write of a record loses. A request whose connection has died may reach the server
 * after its repetition, and after later units of work. So each record carries the number of the
 * entry that wrote it (claim.c), and no write matches a record with a higher number:
 *
 *     put       an upsert, selected by _id and _fh.at not above mine, of fields and _fh.at; a later
 *               record does not match, so the upsert would insert the same _id, which is refused
 *     removed   the same selector
 *     ranges    the same, and _fh.at is not mine: what the unit of work itself has put stays
 *
 * A record without a number is older than all: an earlier version of the program wrote it.
 *
 * A removal leaves nothing that a late copy of an earlier put could be compared with. But copies
 * exist only of requests that were sent twice, and the sender knows that, whether it is the same
 * process or one that finds what a dead one has left. Then the put marks the record (_fh.late),
 * and later puts keep the mark; removing such a record leaves {_id, _fh: {at, removed, late}} in
 * its place, which is hidden.
 *
 * A document of the service is guarded by its version, which no two units of work share; but one
 * that is created after the one write (carry_record.c) is guarded by its number, like a record. A
 * late copy of the request that created it would find it removed; so it is marked and kept in the
 * same way.
 */

#include <string.h>

#include "engine/mongodb/internal.h"

/* Appends to `selector`, on the heap or not. */
void mongodb_record_guard(bson_t *selector, int64_t order, bool also_equal)
{
    bson_t at, above;
    mongoc.bson_append_document_begin(selector, "_fh.at", -1, &at);
    mongoc.bson_append_document_begin(&at, "$not", -1, &above);
    mongoc.bson_append_int64(&above, also_equal ? "$gte" : "$gt", -1, order);
    mongoc.bson_append_document_end(&at, &above);
    mongoc.bson_append_document_end(selector, &at);
}

void mongodb_record_selector(bson_t *selector, const char *id, int64_t order)
{
    mongoc.bson_init(selector);
    mongoc.bson_append_utf8(selector, "_id", -1, id, -1);
    mongodb_record_guard(selector, order, false);
}

void mongodb_record_update(bson_t *update, const bson_t *fields, int64_t order, bool late)
{
    bson_t set, unset;
    bson_iter_t at;
    mongoc.bson_init(update);
    mongoc.bson_append_document_begin(update, "$set", -1, &set);
    mongoc.bson_iter_init(&at, fields);
    while (mongoc.bson_iter_next(&at))
        mongoc.bson_append_value(&set, mongoc.bson_iter_key(&at), -1, mongoc.bson_iter_value(&at));
    mongoc.bson_append_int64(&set, "_fh.at", -1, order);
    if (late)
        mongoc.bson_append_bool(&set, "_fh.late", -1, true);
    mongoc.bson_append_document_end(update, &set);
    mongoc.bson_append_document_begin(update, "$unset", -1, &unset);
    mongoc.bson_append_utf8(&unset, "_fh.removed", -1, "", 0);
    mongoc.bson_append_document_end(update, &unset);
}

void mongodb_record_gone(bson_t *document, const char *id, int64_t order)
{
    bson_t own;
    mongoc.bson_init(document);
    mongoc.bson_append_utf8(document, "_id", -1, id, -1);
    mongoc.bson_append_document_begin(document, "_fh", -1, &own);
    mongoc.bson_append_int64(&own, "at", -1, order);
    mongoc.bson_append_bool(&own, "removed", -1, true);
    mongoc.bson_append_bool(&own, "late", -1, true);
    mongoc.bson_append_document_end(document, &own);
}

bson_t *mongodb_record_told_late(const bson_t *document)
{
    bson_t *told = mongoc.bson_new(), own;
    bson_iter_t at, field;
    mongoc.bson_iter_init(&at, document);
    while (mongoc.bson_iter_next(&at)) {
        const char *name = mongoc.bson_iter_key(&at);
        if (strcmp(name, "_fh") != 0 || !mongoc.bson_iter_recurse(&at, &field)) {
            mongoc.bson_append_value(told, name, -1, mongoc.bson_iter_value(&at));
            continue;
        }
        mongoc.bson_append_document_begin(told, name, -1, &own);
        while (mongoc.bson_iter_next(&field))
            mongoc.bson_append_value(&own, mongoc.bson_iter_key(&field), -1,
                                     mongoc.bson_iter_value(&field));
        mongoc.bson_append_bool(&own, "late", -1, true);
        mongoc.bson_append_document_end(told, &own);
    }
    return told;
}

bool mongodb_record_is_stray(const bson_t *document, int64_t since)
{
    bson_iter_t at, value;
    return since && mongoc.bson_iter_init(&at, document) &&
           mongoc.bson_iter_find_descendant(&at, "_fh.at", &value) &&
           mongoc.bson_iter_type(&value) == BSON_TYPE_INT64 &&
           mongoc.bson_iter_int64(&value) <= since;
}

void mongodb_record_strays(bson_t *selector, int64_t since, bool are_so)
{
    bson_t at, until;
    mongoc.bson_append_document_begin(selector, "_fh.at", -1, &at);
    if (are_so) {
        mongoc.bson_append_int64(&at, "$lte", -1, since);
    } else {
        mongoc.bson_append_document_begin(&at, "$not", -1, &until);
        mongoc.bson_append_int64(&until, "$lte", -1, since);
        mongoc.bson_append_document_end(&at, &until);
    }
    mongoc.bson_append_document_end(selector, &at);
}
