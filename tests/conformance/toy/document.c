/* SPDX-License-Identifier: Apache-2.0 */
/* Documents, a table for each collection. Every find reads all of them: there are no indexes, only
 * their declarations. */

#include "internal.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/engine.h"
#include "store/document/filter.h"
#include "store/document/page.h"
#include "store/document/value.h"

/* ---- Collections ---- */

enum fh_code toy_documents_table(const struct store_work *work, const char *collection,
                                 char ret[static TOY_TABLE_SIZE], struct fh_error *error)
{
    enum fh_code code = engine_name_check(collection, error);
    if (code != FH_OK)
        return code;
    snprintf(ret, TOY_TABLE_SIZE, TOY_DOCUMENTS "%s", collection);
    if (toy_get(work, TOY_COLLECTION, collection))
        return FH_OK;
    return error_set(error, FH_INVALID, "There is no collection '%s': the service declares it.",
                     collection);
}

static enum fh_code prepare_one(struct store_work *work, const struct fh_collection *collection,
                                struct fh_error *error)
{
    enum fh_code code = engine_name_check(collection->name, error);
    for (size_t i = 0; i < ENGINE_INDEXES_MAX && code == FH_OK && collection->indexes[i]; i++) {
        code = document_path_check(collection->indexes[i], error);
        if (code == FH_OK && strcmp(collection->indexes[i], "id") == 0)
            code = error_set(error, FH_INVALID, "The field 'id' of %s is indexed by itself.",
                             collection->name);
    }
    if (code != FH_OK || toy_get(work, TOY_COLLECTION, collection->name))
        return code;
    return toy_put(work, TOY_COLLECTION, collection->name, record_pack("{}"), error);
}

static enum fh_code prepare(struct store_work *work, const struct fh_collection *collections,
                            int count, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK; i++)
        code = prepare_one(work, &collections[i], error);
    return code;
}

/* ---- One document ---- */

/* A copy that is the caller's own, in the arena that is set. */
static enum fh_code give(const json_t *document, json_t **ret, struct fh_error *error)
{
    *ret = json_copy_all(document);
    return *ret ? FH_OK : error_set(error, FH_NO_MEMORY, "There is no memory for a document.");
}

static enum fh_code look(const struct store_work *work, const char *collection, const char *id,
                         char table[static TOY_TABLE_SIZE], json_t **ret, struct fh_error *error)
{
    enum fh_code code = toy_documents_table(work, collection, table, error);
    if (code != FH_OK)
        return code;
    *ret = toy_get(work, table, id);
    return *ret ? FH_OK : error_set(error, FH_NOT_FOUND, "There is no '%s' in %s.", id, collection);
}

static enum fh_code get(struct store_work *work, const char *collection, const char *id,
                        json_t **ret, struct fh_error *error)
{
    char table[TOY_TABLE_SIZE];
    json_t *document;
    enum fh_code code = look(work, collection, id, table, &document, error);
    *ret = NULL;
    return code == FH_OK ? give(document, ret, error) : code;
}

/* What may be stored, and is not too large. */
static enum fh_code check(const json_t *document, struct fh_error *error)
{
    enum fh_code code = document_check(document, error);
    if (code != FH_OK || json_dumpb(document, NULL, 0, JSON_COMPACT) <= DOCUMENT_SIZE_MAX)
        return code;
    code = error_set(error, FH_INVALID, "A document has at most %d bytes.", DOCUMENT_SIZE_MAX);
    snprintf(error->field, sizeof error->field, "document");
    return code;
}

static enum fh_code insert(struct store_work *work, const char *collection, const json_t *document,
                           struct fh_error *error)
{
    char table[TOY_TABLE_SIZE];
    enum fh_code code = toy_documents_table(work, collection, table, error);
    if (code == FH_OK)
        code = check(document, error);
    if (code != FH_OK)
        return code;
    const char *id = json_string_value(json_object_get(document, "id"));
    if (!toy_get(work, table, id))
        return toy_put(work, table, id, json_copy_out(document), error);
    code = error_set(error, FH_CONFLICT, "'%s' is taken in %s.", id, collection);
    snprintf(error->field, sizeof error->field, "id");
    return code;
}

static enum fh_code update(struct store_work *work, const char *collection, const char *id,
                           const json_t *filter, const json_t *how, json_t **ret,
                           struct fh_error *error)
{
    char table[TOY_TABLE_SIZE];
    json_t *document, *next = NULL;
    *ret = NULL;
    enum fh_code code = filter ? document_filter_check(filter, error) : FH_OK;
    if (code == FH_OK)
        code = look(work, collection, id, table, &document, error);
    if (code == FH_OK && !document_matches_checked(document, filter))
        code = error_set(error, FH_CONFLICT, "'%s' in %s does not match.", id, collection);
    if (code == FH_OK)
        code = give(document, &next, error);
    if (code == FH_OK)
        code = document_apply(next, how, error);
    if (code == FH_OK)
        code = check(next, error);
    /* This one, in the arena, is the caller's; the store's own is on the heap. */
    if (code == FH_OK)
        code = toy_put(work, table, id, json_copy_out(next), error);
    if (code == FH_OK)
        *ret = next;
    else
        json_decref(next);
    return code;
}

static enum fh_code remove_document(struct store_work *work, const char *collection, const char *id,
                                    bool *ret_existed, struct fh_error *error)
{
    char table[TOY_TABLE_SIZE];
    json_t *document;
    enum fh_code code = look(work, collection, id, table, &document, error);
    *ret_existed = code == FH_OK;
    if (code == FH_NOT_FOUND)
        return FH_OK;
    return code == FH_OK ? toy_put(work, table, id, NULL, error) : code;
}

/* ---- Finding ---- */

static enum fh_code go_behind(struct store_work *work, struct page *page, const char *collection,
                              const char *table, struct fh_error *error)
{
    if (!page->find->after)
        return FH_OK;
    if (page->find->sort)
        return page_after(page, collection, toy_get(work, table, page->find->after), error);
    page_after_id(page);
    return FH_OK;
}

static enum fh_code look_at_all(struct store_work *work, struct page *page, const char *collection,
                                const char *table, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    const char *id;
    json_t *document;
    json_object_foreach (toy_table(work, table), id, document) {
        if (code == FH_OK)
            code = page_scanned(page, collection, error);
        if (code == FH_OK && document_matches_checked(document, page->find->filter))
            code = page_take(page, document, json_dumpb(document, NULL, 0, JSON_COMPACT), error);
    }
    return code;
}

static enum fh_code find(struct store_work *work, const char *collection,
                         const struct document_find *wanted, json_t **ret, struct fh_error *error)
{
    char table[TOY_TABLE_SIZE];
    struct page page;
    *ret = NULL;
    enum fh_code code = toy_documents_table(work, collection, table, error);
    if (code != FH_OK)
        return code;
    code = page_init(&page, wanted, error);
    if (code == FH_OK)
        code = go_behind(work, &page, collection, table, error);
    if (code == FH_OK)
        code = look_at_all(work, &page, collection, table, error);
    if (code == FH_OK)
        code = page_answer(&page, ret, error);
    page_release(&page);
    return code;
}

const struct document_ops toy_documents = {
    .prepare = prepare,
    .get = get,
    .find = find,
    .insert = insert,
    .update = update,
    .remove = remove_document,
};
