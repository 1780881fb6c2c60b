/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document_sql: documents kept by a relational engine, through sql_run. Today only SQLite uses it.
 *
 *     fh_document_index  collection, field     a row for each collection (field '') and index
 *     doc_NAME           id, body              the documents, as JSON text
 *     key_NAME           field, key, id        for each index and document the keys of key.h
 *
 * Indexes are rows of our own and not the engine's indexes on expressions, for three reasons: a
 * document can have several keys in one (its arrays' elements); the bytes of a key sort as MongoDB
 * sorts values, whatever an engine does with types and collations; and an update that leaves the
 * indexed fields alone, as most do, touches no index. doc_NAME has a rowid: as WITHOUT ROWID,
 * bodies above 1 KB took three times as long to write and twice the space.
 *
 * Invariant: a document's rows in key_NAME are exactly document_keys_init of its body for each
 * index of its collection, and one DOCUMENT_KEY_MANY for each index where these are several. All of
 * it changes in the one unit of work that changes the document, so a crash leaves all or nothing.
 *
 * Names reach SQL only after engine_name_check; everything else is bound.
 */

#include "store/document/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/filter.h"

/* ---- One document ---- */

static enum fh_code body_text(const json_t *document, char **ret, struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = document_check(document, error);
    if (code)
        return code;
    struct arena *arena = json_arena_set(NULL);
    char *text = json_text(document);
    json_arena_set(arena);
    if (strlen(text) <= DOCUMENT_SIZE_MAX) {
        *ret = text;
        return FH_OK;
    }
    json_text_free(text);
    error_set(error, FH_INVALID, "The document is larger than %d bytes.", DOCUMENT_SIZE_MAX);
    snprintf(error->field, sizeof error->field, "document");
    return FH_INVALID;
}

static enum fh_code body_write(struct store_work *work, const char *sql, const char *id,
                               const char *text, struct fh_error *error)
{
    const struct sql_value values[] = {sql_text(id), sql_text(text)};
    return sql_run(work, sql, values, 2, NULL, NULL, NULL, error);
}

static enum fh_code engine_insert(struct store_work *work, const char *name, const json_t *document,
                                  struct fh_error *error)
{
    struct engine_collection collection;
    struct fh_error why = {0};
    char *text, sql[ENGINE_SQL_SIZE];
    enum fh_code code = engine_collection_read(work, name, &collection, error);
    if (!code)
        code = body_text(document, &text, error);
    if (code)
        return code;
    const char *id = json_string_value(json_object_get(document, "id"));
    snprintf(sql, sizeof sql, "INSERT INTO doc_%s (id, body) VALUES (?1, ?2)", name);
    code = body_write(work, sql, id, text, &why);
    json_text_free(text);
    if (code == FH_CONFLICT && !why.retryable) {
        error_set(&why, code, "There is a '%.100s' in %s already.", id, name);
        snprintf(why.field, sizeof why.field, "id");
    }
    if (code && error)
        *error = why;
    return code ? code : engine_indexes_change(work, &collection, id, NULL, document, error);
}

/* Changes `document` from the stored one to the updated one, and stores it. */
static enum fh_code document_rewrite(struct store_work *work,
                                     const struct engine_collection *collection, const char *id,
                                     json_t *document, const json_t *update, struct fh_error *error)
{
    json_t *old = collection->field_count ? json_copy_all(document) : NULL;
    char *text = NULL, sql[ENGINE_SQL_SIZE];
    FH_ASSERT(old != NULL || !collection->field_count);
    snprintf(sql, sizeof sql, "UPDATE doc_%s SET body = ?2 WHERE id = ?1", collection->name);
    enum fh_code code = document_apply(document, update, error);
    if (!code)
        code = body_text(document, &text, error);
    if (!code)
        code = body_write(work, sql, id, text, error);
    if (!code)
        code = engine_indexes_change(work, collection, id, old, document, error);
    json_text_free(text);
    json_decref(old);
    return code;
}

/* On the heap: the document exists twice for a while, and a unit of work's arena is bounded. */
static enum fh_code sql_update_on_heap(struct store_work *work, const char *name, const char *id,
                                       const json_t *filter, const json_t *update, json_t **ret,
                                       struct fh_error *error)
{
    struct engine_collection collection;
    enum fh_code code = document_filter_check(filter, error);
    if (!code)
        code = document_update_check(update, error);
    if (!code)
        code = engine_collection_read(work, name, &collection, error);
    if (!code)
        code = engine_get(work, name, id, ret, error);
    if (!code && !document_matches_checked(*ret, filter))
        code = error_set(error, FH_CONFLICT, "'%.100s' in %s is not in the state that this needs.",
                         id, name);
    return code ? code : document_rewrite(work, &collection, id, *ret, update, error);
}

static enum fh_code engine_update(struct store_work *work, const char *name, const char *id,
                                  const json_t *filter, const json_t *update, json_t **ret,
                                  struct fh_error *error)
{
    json_t *document = NULL;
    *ret = NULL;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = sql_update_on_heap(work, name, id, filter, update, &document, error);
    json_arena_set(arena);
    if (!code && !(*ret = json_copy_all(document)))
        code = error_set(error, FH_NO_MEMORY,
                         "The document does not fit into the unit of work's memory.");
    json_decref(document);
    return code;
}

static enum fh_code sql_document_remove(struct store_work *work, const char *name, const char *id,
                                        bool *ret_existed, struct fh_error *error)
{
    struct engine_collection collection;
    json_t *document = NULL;
    *ret_existed = false;
    enum fh_code code = engine_collection_read(work, name, &collection, error);
    if (!code)
        code = engine_get(work, name, id, &document, error);
    if (code)
        return code == FH_NOT_FOUND ? FH_OK : code;
    char sql[ENGINE_SQL_SIZE];
    struct sql_value value = sql_text(id);
    snprintf(sql, sizeof sql, "DELETE FROM doc_%s WHERE id = ?1", name);
    code = sql_run(work, sql, &value, 1, NULL, NULL, NULL, error);
    if (!code)
        code = engine_indexes_change(work, &collection, id, document, NULL, error);
    json_decref(document);
    *ret_existed = code == FH_OK;
    return code;
}

const struct document_ops document_sql = {
    .prepare = engine_prepare,
    .get = engine_get,
    .find = engine_find,
    .insert = engine_insert,
    .update = engine_update,
    .remove = sql_document_remove,
};

const struct document_ops *document_engine(const struct store *store)
{
    return store->engine->documents;
}
