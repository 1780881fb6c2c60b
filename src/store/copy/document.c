/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents are read through the model's own operations, and written through them where one of the
 * engine's units of work can change several; into MongoDB they are written without its units of
 * work, which change only one. Each side is read completely, and digests are compared: that of the
 * documents read and written, and that of those read back.
 */

#include "store/copy/document.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/copy/digest.h"

#define FIND_LIMIT 200
#define STATEMENT_SIZE 128
#define WORK_DOCUMENTS 100 /* in one unit of work */

struct document_copying {
    const struct copy_options *options;
    const char *name; /* of the collection */
    struct digest *digest;
    bool writes;
};

static const struct copied_documents_ops *document_ops_of(const struct store *store)
{
    return store->engine->copied_documents;
}

static bool is_document_known(const struct store *store)
{
    return copy_knows(store) && document_ops_of(store);
}

/* ---- documents ---- */

static enum fh_code find_some(struct store *store, const char *collection,
                              struct document_find *find, json_t **ret, struct fh_error *error)
{
    struct store_work *work;
    struct fh_error why = {0};
    *ret = NULL;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    do { /* smaller slices if the documents are large */
        code = document_engine(store)->find(work, collection, find, ret, &why);
    } while (code == FH_INVALID && strcmp(why.field, "limit") == 0 && find->limit > 1 &&
             (find->limit = (find->limit + 3) / 4) > 0);
    store_rollback(work);
    if (code != FH_OK && error)
        *error = why;
    return code;
}

/* Visits documents in slices of one find; the visitor gets them on the heap. */
typedef enum fh_code visit_documents(void *context, const json_t *documents,
                                     struct fh_error *error);

static enum fh_code each_document(struct store *store, const char *collection,
                                  visit_documents *visit, void *context, struct fh_error *error)
{
    char after[DOCUMENT_ID_LENGTH_MAX + 1] = "";
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = FH_OK;
    for (size_t found = 1; found > 0 && code == FH_OK;) {
        struct document_find find = {.after = *after ? after : NULL, .limit = FIND_LIMIT};
        json_t *list;
        code = find_some(store, collection, &find, &list, error);
        found = json_array_size(list);
        if (code == FH_OK && found > 0) {
            snprintf(after, sizeof after, "%s",
                     json_string_at(json_array_get(list, found - 1), "id"));
            code = visit(context, list, error);
        }
        json_decref(list);
    }
    json_arena_set(arena);
    return code;
}

static enum fh_code insert_some(struct store *store, const char *collection, const json_t *list,
                                size_t first, size_t count, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    for (size_t i = first; i < first + count && i < json_array_size(list) && code == FH_OK; i++)
        code = document_engine(store)->insert(work, collection, json_array_get(list, i), error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code insert_in_works(struct store *store, const char *collection, const json_t *list,
                                    struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < json_array_size(list) && code == FH_OK; i += WORK_DOCUMENTS)
        code = insert_some(store, collection, list, i, WORK_DOCUMENTS, error);
    return code;
}

static enum fh_code take_documents(void *context, const json_t *list, struct fh_error *error)
{
    struct document_copying *copying = context;
    struct store *to = copying->options->to;
    size_t i;
    json_t *document;
    json_array_foreach (list, i, document) {
        char *text = json_text(document);
        struct sql_value value = sql_text(text);
        digest_add(copying->digest, &value, 1);
        json_text_free(text);
    }
    enum fh_code code =
        copying->writes ? document_ops_of(to)->insert(to, copying->name, list, error) : FH_OK;
    if (code == FH_OK)
        code = copy_passed(copying->options, copying->name, (int)json_array_size(list),
                           !copying->writes, error);
    return code;
}

enum fh_code document_any(struct store *store, const struct fh_collection *collections, int count,
                          bool *ret, struct fh_error *error)
{
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = FH_OK;
    *ret = false;
    for (int i = 0; i < count && code == FH_OK && !*ret; i++) {
        struct document_find find = {.limit = 1};
        json_t *list;
        struct fh_error why;
        code = find_some(store, collections[i].name, &find, &list, &why);
        *ret = json_array_size(list) > 0;
        json_decref(list);
        if (code == FH_INVALID) /* the store does not know the collection */
            code = FH_OK;
        else if (code != FH_OK && error)
            *error = why;
    }
    json_arena_set(arena);
    return code;
}

/* ---- emptying ---- */

struct emptying {
    struct store *store;
    const char *collection;
};

static enum fh_code remove_documents(void *context, const json_t *list, struct fh_error *error)
{
    struct emptying *emptying = context;
    struct store_work *work;
    size_t i;
    json_t *document;
    bool existed;
    enum fh_code code = store_begin(emptying->store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    json_array_foreach (list, i, document) {
        if (code == FH_OK)
            code = document_engine(emptying->store)
                       ->remove(work, emptying->collection, json_string_at(document, "id"),
                                &existed, error);
    }
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code clear_in_works(struct store *store, const char *collection,
                                   struct fh_error *error)
{
    struct emptying emptying = {store, collection};
    return each_document(store, collection, remove_documents, &emptying, error);
}

/* ---- counting ---- */

static bool take_document_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

static enum fh_code count_collection(struct store *store, const char *collection, int64_t *ret,
                                     struct fh_error *error)
{
    char sql[STATEMENT_SIZE];
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM doc_%s", collection);
    code = sql_run(work, sql, NULL, 0, take_document_count, ret, NULL, error);
    store_rollback(work);
    return code;
}

const struct copied_documents_ops copied_documents_sql = {
    .count = count_collection, .clear = clear_in_works, .insert = insert_in_works};

/* ---- everything ---- */

/* Only for the progress: an error here comes up again when the documents are read. */
static void count_all_collections(const struct copy_options *options,
                                  const struct fh_collection *collections, int count)
{
    struct fh_error error;
    copy_ledger_count(options);
    for (int i = 0; i < count; i++) {
        int64_t documents = 0;
        enum fh_code code = document_ops_of(options->from)
                                ->count(options->from, collections[i].name, &documents, &error);
        copy_found(options, documents, code != FH_OK || !options->from->engine->sql);
    }
}

/* Copies one collection, then reads it again. */
static enum fh_code copy_collection(const struct copy_options *options, const char *name,
                                    struct copy_result *ret, struct fh_error *error)
{
    struct digest source = {0}, target = {0};
    struct document_copying over = {options, name, &source, true},
                            again = {options, name, &target, false};
    enum fh_code code = each_document(options->from, name, take_documents, &over, error);
    if (code == FH_OK)
        code = each_document(options->to, name, take_documents, &again, error);
    if (code == FH_OK && !digest_equal(&source, &target))
        code = copy_differs(options, name, target.rows, source.rows, error);
    ret->tables++;
    ret->rows += source.rows;
    return code;
}

enum fh_code document_copy(const struct copy_options *options,
                           const struct fh_collection *collections, int count,
                           struct copy_result *ret, struct fh_error *error)
{
    struct store *to = options->to;
    *ret = (struct copy_result){0};
    if (!is_document_known(options->from) || !is_document_known(to))
        return error_set(error, FH_UNSUPPORTED,
                         "Document stores are moved between SQLite and MongoDB, and not yet from "
                         "%s to %s.",
                         options->from->engine->name, to->engine->name);
    if (options->count)
        count_all_collections(options, collections, count);
    enum fh_code code = copy_ledger(options, ret, error);
    for (int i = 0; i < count && code == FH_OK; i++)
        code = document_ops_of(to)->clear(to, collections[i].name, error);
    for (int i = 0; i < count && code == FH_OK; i++)
        code = copy_collection(options, collections[i].name, ret, error);
    return code == FH_OK && document_ops_of(to)->end ? document_ops_of(to)->end(to, error) : code;
}
