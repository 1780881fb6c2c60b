/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Undoes a write of a dead process that arrived too late. Its one write was on its way when it was
 * killed; its successor found no trace of it, recorded that in the counter (`recovered`), and went
 * on, mostly with the same requests: the client has repeated its key, the saga's handler has run
 * again. Then the write arrives, and still finds the version that it names, because the successor
 * has changed other documents, or has not reached this one yet. Carrying the entry on would do
 * everything twice; so it counts as never written.
 *
 * Therefore each entry in a document of the service says what its write has replaced:
 *
 *     back: {made: true}          there was no document
 *     back: {before, came}        the fields changed or removed, as they were; the fields added
 *
 * Whatever finds an entry of an epoch up to `recovered` writes the document as it was, with a
 * version of its own, if the entry is still in it; nothing else of the entry is done. That can be
 * repeated, and has no effect once the entry is out. A GET sees the change until a unit of work
 * that writes reads the document, or the store is opened.
 *
 * An entry without `back` is carried on: an earlier version of the program wrote it, or the
 * document had no room for it.
 */

#include <string.h>

#include "base/json.h"
#include "engine/mongodb/internal.h"

/* The fields of `of` that differ in `other`; `missing`: only those that `other` lacks. */
static json_t *fields_apart(const json_t *of, const json_t *other, bool missing)
{
    json_t *found = json_object(), *value;
    const char *name;
    json_object_foreach ((json_t *)(uintptr_t)of, name, value) {
        const json_t *there = json_object_get(other, name);
        if (!there || (!missing && !json_equal(there, value)))
            json_object_set(found, name, value);
    }
    return found;
}

static bool append_apart(bson_t *to, const char *name, const json_t *of, const json_t *other,
                         bool missing, enum mongodb_nesting nesting)
{
    bson_t part;
    json_t *fields = fields_apart(of, other, missing);
    bool fits = mongoc.bson_append_document_begin(to, name, -1, &part) &&
                mongodb_append_fields(&part, fields, NULL, nesting);
    mongoc.bson_append_document_end(to, &part);
    json_decref(fields);
    return fits;
}

bool mongodb_back_append(bson_t *entry, const struct mongodb_change *change,
                         enum mongodb_nesting nesting)
{
    bson_t back;
    struct arena *arena = json_arena_set(NULL);
    bool fits = mongoc.bson_append_document_begin(entry, "back", -1, &back);
    if (!change->old || json_is_null(change->old))
        mongoc.bson_append_bool(&back, "made", -1, true);
    else
        fits = fits && append_apart(&back, "before", change->old, change->fresh, false, nesting) &&
               append_apart(&back, "came", change->fresh, change->old, true, nesting);
    mongoc.bson_append_document_end(entry, &back);
    json_arena_set(arena);
    return fits;
}

/* ---- Undoing ---- */

static void append_own_back(bson_t *to, const char *version, int64_t order, bool removed)
{
    bson_t own;
    mongoc.bson_append_document_begin(to, "_fh", -1, &own);
    mongoc.bson_append_utf8(&own, "version", -1, version, -1);
    mongoc.bson_append_int64(&own, "at", -1, order);
    if (removed)
        mongoc.bson_append_bool(&own, "removed", -1, true);
    mongoc.bson_append_bool(&own, "late", -1, true);
    mongoc.bson_append_document_end(to, &own);
}

static void append_before(bson_t *to, const bson_t *document, const bson_t *before,
                          const bson_t *came)
{
    bson_iter_t at;
    mongoc.bson_iter_init(&at, document);
    while (mongoc.bson_iter_next(&at)) {
        const char *name = mongoc.bson_iter_key(&at);
        if (strcmp(name, "_id") != 0 && strcmp(name, "_fh") != 0 && !mongodb_has(before, name) &&
            !mongodb_has(came, name))
            mongoc.bson_append_value(to, name, -1, mongoc.bson_iter_value(&at));
    }
    mongoc.bson_iter_init(&at, before);
    while (mongoc.bson_iter_next(&at))
        mongoc.bson_append_value(to, mongoc.bson_iter_key(&at), -1, mongoc.bson_iter_value(&at));
}

bool mongodb_back_knows(const bson_t *carried)
{
    return mongodb_has(carried, "back");
}

bson_t *mongodb_back_document(const bson_t *document, const bson_t *carried, const char *version,
                              int64_t order)
{
    bson_t back, before, came, *was = mongoc.bson_new();
    bson_iter_t at;
    FH_ASSERT(mongodb_document_at(carried, "back", &back) &&
              mongoc.bson_iter_init_find(&at, document, "_id"));
    bool changed =
        mongodb_document_at(&back, "before", &before) && mongodb_document_at(&back, "came", &came);
    mongoc.bson_append_value(was, "_id", -1, mongoc.bson_iter_value(&at));
    append_own_back(was, version, order, !changed);
    if (changed)
        append_before(was, document, &before, &came);
    return was;
}
