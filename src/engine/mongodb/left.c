/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks whether an entry found in a document is well formed (commit.c describes entries). One that
 * this process wrote is; but anything in a store may have been written by anyone with access to it,
 * or be damaged. Everything that carries on or undoes entries relies on this check: it reports the
 * damaged document when the store is opened or the document is needed.
 */

#include "engine/mongodb/internal.h"

static bool has_texts(const bson_t *document, const char *const *names)
{
    while (*names && mongodb_text_at(document, *names))
        names++;
    return *names == NULL;
}

/* Whether the field is absent, or a list of documents that all pass `is_one`. */
static bool is_list_of(const bson_t *document, const char *name, bool (*is_one)(const bson_t *item))
{
    bson_iter_t at, list;
    bson_t item;
    const uint8_t *data;
    uint32_t length;
    if (!mongoc.bson_iter_init_find(&at, document, name))
        return true;
    if (mongoc.bson_iter_type(&at) != BSON_TYPE_ARRAY || !mongoc.bson_iter_recurse(&at, &list))
        return false;
    while (mongoc.bson_iter_next(&list)) {
        if (mongoc.bson_iter_type(&list) != BSON_TYPE_DOCUMENT)
            return false;
        mongoc.bson_iter_document(&list, &length, &data);
        if (!mongoc.bson_init_static(&item, data, length) || !is_one(&item))
            return false;
    }
    return true;
}

static bool is_filter(const char *text)
{
    bson_error_t why;
    bson_t *filter = mongoc.bson_new_from_json((const uint8_t *)text, -1, &why);
    if (filter)
        mongoc.bson_destroy(filter);
    return filter != NULL;
}

static bool is_carried_write(const bson_t *write)
{
    static const char *const always[] = {"collection", NULL};
    bson_t document, own;
    if (!has_texts(write, always))
        return false;
    bool ledger = mongodb_is_ledger(mongodb_text_at(write, "collection"));
    if (ledger && mongodb_has(write, "range"))
        return mongodb_text_at(write, "range") && is_filter(mongodb_text_at(write, "range"));
    bool has_one = mongodb_document_at(write, "document", &document);
    return mongodb_text_at(write, "id") && has_one == mongodb_has(write, "document") &&
           (ledger || (has_one && mongodb_document_at(&document, "_fh", &own)));
}

static bool is_step(const bson_t *step)
{
    static const char *const always[] = {"birth", "place", NULL};
    return has_texts(step, always);
}

static bool is_event(const bson_t *event)
{
    static const char *const always[] = {"id", "type", "key", "data", NULL};
    bson_t saga;
    return has_texts(event, always) && is_list_of(event, "steps", is_step) &&
           (!mongodb_has(event, "saga") ||
            (mongodb_document_at(event, "saga", &saga) && mongodb_text_at(&saga, "birth")));
}

static bool is_back(const bson_t *carried)
{
    bson_t back, part;
    if (!mongodb_has(carried, "back"))
        return true;
    return mongodb_document_at(carried, "back", &back) &&
           (mongodb_has(&back, "made") || (mongodb_document_at(&back, "before", &part) &&
                                           mongodb_document_at(&back, "came", &part)));
}

static bool is_entry(const bson_t *carried)
{
    const char *id = mongodb_text_at(carried, "id");
    return id && strlen(id) < ID_SIZE && is_list_of(carried, "writes", is_carried_write) &&
           is_list_of(carried, "events", is_event) && is_back(carried);
}

enum fh_code mongodb_left_read(const char *collection, const bson_t *document, bson_t *ret,
                               bool *ret_any, struct fh_error *error)
{
    bson_t own;
    const char *id = mongodb_text_at(document, "_id");
    *ret_any = mongodb_document_at(document, "_fh", &own) && mongodb_has(&own, "work");
    if (!*ret_any || (id && mongodb_document_at(&own, "work", ret) && is_entry(ret)))
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "What a unit of work has left in '%.80s' of %.40s is not what units of work "
                     "leave: the store is damaged.",
                     id ? id : "?", collection);
}
