/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document_sql: documents kept by a relational engine, through sql_run. SQLite's today.
 *
 *     fh_document_index  collection, field     one row a collection (field '') and index
 *     doc_NAME           id, body              the documents, as JSON text
 *     key_NAME           field, key, id        for each index and document the keys of key.h
 *
 * Indexes are rows of our own and not the engine's indexes on expressions, because a document can
 * have several keys in one (its arrays' elements), because the bytes of a key order as MongoDB
 * orders values, whatever an engine makes of types and collations, and because an update that
 * leaves the indexed fields alone, the usual one, then touches no index. doc_NAME has a rowid: as
 * WITHOUT ROWID, bodies beyond 1 KB took three times as long to write and twice the room.
 *
 * Invariant: a document's rows in key_NAME are exactly document_keys_init of its body for each
 * index of its collection, and one DOCUMENT_KEY_MANY for each where these are several. All of it
 * changes in the one work that changes the document, so a crash leaves all or nothing.
 *
 * Names reach SQL only after name_check; everything else is bound.
 */

#include "store/document/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/filter.h"
#include "store/document/value.h"

static enum fh_code name_check(const char *name, struct fh_error *error)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (name[length] == '\0' && length >= 1 && length <= ENGINE_NAME_LENGTH_MAX &&
        strchr("0123456789_", name[0]) == NULL)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "'%.60s' is no name for a collection: it takes 1 to %d of a-z, 0-9 and _, and "
                     "begins with a letter.",
                     name, ENGINE_NAME_LENGTH_MAX);
}

/* ---- Collections ----------------------------------------------------------------------------- */

struct collection_read {
    struct engine_collection *collection;
    bool found;
};

static bool read_field(void *context, const struct sql_row *row)
{
    struct collection_read *read = context;
    read->found = true;
    struct engine_collection *collection = read->collection;
    if (row->values[0].length == 0)
        return true;
    FH_ASSERT(collection->field_count < ENGINE_INDEXES_MAX);
    snprintf(collection->fields[collection->field_count++], ENGINE_FIELD_SIZE, "%s",
             row->values[0].text);
    return true;
}

enum fh_code engine_collection_read(struct store_work *work, const char *name,
                                    struct engine_collection *ret, struct fh_error *error)
{
    enum fh_code code = name_check(name, error);
    if (code)
        return code;
    struct collection_read read = {.collection = ret};
    struct sql_value value = sql_text(name);
    ret->name = name;
    ret->field_count = 0;
    code = sql_run(work, "SELECT field FROM fh_document_index WHERE collection = ?1 ORDER BY field",
                   &value, 1, read_field, &read, NULL, error);
    if (!code && !read.found)
        code = error_set(error, FH_INVALID, "The service declares no collection '%s'.", name);
    return code;
}

int engine_field(const struct engine_collection *collection, const char *path)
{
    for (int i = 0; i < collection->field_count; i++)
        if (strcmp(collection->fields[i], path) == 0)
            return i;
    return -1;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static enum fh_code key_row(struct store_work *work, const char *sql, const char *field,
                            const char *key, size_t length, const char *id, struct fh_error *error)
{
    const struct sql_value values[] = {
        sql_text(field), {.kind = SQL_BLOB, .text = key, .length = length}, sql_text(id)};
    return sql_run(work, sql, values, 3, NULL, NULL, NULL, error);
}

static enum fh_code key_insert(struct store_work *work, const char *collection, const char *field,
                               const char *key, size_t length, const char *id,
                               struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    snprintf(sql, sizeof sql, "INSERT INTO key_%s (field, key, id) VALUES (?1, ?2, ?3)",
             collection);
    return key_row(work, sql, field, key, length, id, error);
}

static enum fh_code key_delete(struct store_work *work, const char *collection, const char *field,
                               const char *key, size_t length, const char *id,
                               struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    snprintf(sql, sizeof sql, "DELETE FROM key_%s WHERE field = ?1 AND key = ?2 AND id = ?3",
             collection);
    return key_row(work, sql, field, key, length, id, error);
}

static const char many_key[] = {(char)DOCUMENT_KEY_MANY};

/* From the keys that a document had to those it has. Both are ascending: one walk over the two. */
static enum fh_code keys_change(struct store_work *work, const char *collection, const char *field,
                                const char *id, const struct document_keys *old,
                                const struct document_keys *new, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0, j = 0; !code && (i < old->count || j < new->count);) {
        int order = i == old->count ? 1
                    : j == new->count
                        ? -1
                        : document_key_compare(document_key_bytes(old, i), old->items[i].length,
                                               document_key_bytes(new, j), new->items[j].length);
        if (order < 0)
            code = key_delete(work, collection, field, document_key_bytes(old, i),
                              old->items[i].length, id, error);
        else if (order > 0)
            code = key_insert(work, collection, field, document_key_bytes(new, j),
                              new->items[j].length, id, error);
        i += order <= 0;
        j += order >= 0;
    }
    if (!code && old->count > 1 && new->count <= 1)
        code = key_delete(work, collection, field, many_key, 1, id, error);
    if (!code && new->count > 1 && old->count <= 1)
        code = key_insert(work, collection, field, many_key, 1, id, error);
    return code;
}

/* Either document may be NULL: one that is made, one that is removed. */
static enum fh_code field_change(struct store_work *work, const char *collection, const char *field,
                                 const char *id, const json_t *old, const json_t *new,
                                 struct fh_error *error)
{
    struct document_keys old_keys = {0}, new_keys = {0};
    enum fh_code code = old ? document_keys_init(&old_keys, old, field, error) : FH_OK;
    if (!code && new)
        code = document_keys_init(&new_keys, new, field, error);
    if (!code)
        code = keys_change(work, collection, field, id, &old_keys, &new_keys, error);
    document_keys_release(&old_keys);
    document_keys_release(&new_keys);
    return code;
}

static enum fh_code indexes_change(struct store_work *work,
                                   const struct engine_collection *collection, const char *id,
                                   const json_t *old, const json_t *new, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < collection->field_count && !code; i++)
        code = field_change(work, collection->name, collection->fields[i], id, old, new, error);
    return code;
}

/* ---- One document ---------------------------------------------------------------------------- */

struct body_read {
    json_t *document;
    enum fh_code code;
    struct fh_error *error;
};

static bool read_body(void *context, const struct sql_row *row)
{
    struct body_read *read = context;
    read->code =
        json_parse(row->values[0].text, row->values[0].length, &read->document, read->error);
    return false;
}

static enum fh_code not_found(const char *collection, const char *id, struct fh_error *error)
{
    return error_set(error, FH_NOT_FOUND, "There is no '%.100s' in %s.", id, collection);
}

static enum fh_code engine_get(struct store_work *work, const char *name, const char *id,
                               json_t **ret, struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = name_check(name, error);
    if (code)
        return code;
    char sql[ENGINE_SQL_SIZE];
    struct body_read read = {.error = error};
    struct sql_value value = sql_text(id);
    snprintf(sql, sizeof sql, "SELECT body FROM doc_%s WHERE id = ?1", name);
    code = sql_run(work, sql, &value, 1, read_body, &read, NULL, error);
    if (code == FH_UNSUPPORTED) { /* no such table: say so in the words of documents */
        struct engine_collection collection;
        enum fh_code why = engine_collection_read(work, name, &collection, error);
        return why ? why : code;
    }
    if (code || read.code)
        return code ? code : read.code;
    if (!read.document)
        return not_found(name, id, error);
    *ret = read.document;
    return FH_OK;
}

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
    if (error)
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
    return code ? code : indexes_change(work, &collection, id, NULL, document, error);
}

/* `document` is what is stored; it becomes what shall be. */
static enum fh_code document_rewrite(struct store_work *work,
                                     const struct engine_collection *collection, const char *id,
                                     json_t *document, const json_t *update, struct fh_error *error)
{
    json_t *old = collection->field_count ? json_deep_copy(document) : NULL;
    char *text = NULL, sql[ENGINE_SQL_SIZE];
    FH_ASSERT(old != NULL || !collection->field_count);
    snprintf(sql, sizeof sql, "UPDATE doc_%s SET body = ?2 WHERE id = ?1", collection->name);
    enum fh_code code = document_apply(document, update, error);
    if (!code)
        code = body_text(document, &text, error);
    if (!code)
        code = body_write(work, sql, id, text, error);
    if (!code)
        code = indexes_change(work, collection, id, old, document, error);
    json_text_free(text);
    json_decref(old);
    return code;
}

/* On the heap: the document is there twice for a while, and a work's arena is bounded. */
static enum fh_code update_on_heap(struct store_work *work, const char *name, const char *id,
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
    enum fh_code code = update_on_heap(work, name, id, filter, update, &document, error);
    json_arena_set(arena);
    if (!code && !(*ret = json_deep_copy(document)))
        code = error_set(error, FH_NO_MEMORY, "The document does not fit into the work.");
    json_decref(document);
    return code;
}

static enum fh_code engine_remove(struct store_work *work, const char *name, const char *id,
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
        code = indexes_change(work, &collection, id, document, NULL, error);
    json_decref(document);
    *ret_existed = code == FH_OK;
    return code;
}

/* ---- Preparing ------------------------------------------------------------------------------- */

struct next_document {
    char id[DOCUMENT_ID_LENGTH_MAX + 1];
    struct body_read body;
};

static bool read_next(void *context, const struct sql_row *row)
{
    struct next_document *next = context;
    snprintf(next->id, sizeof next->id, "%s", row->values[0].text);
    struct sql_row body = {.count = 1, .values = &row->values[1]};
    return read_body(&next->body, &body);
}

/* Keys for all documents that are there: one at a time, so that memory does not depend on how many
 * there are. */
static enum fh_code index_build(struct store_work *work, const char *name, const char *field,
                                struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    struct next_document next = {.body.error = error};
    snprintf(sql, sizeof sql, "SELECT id, body FROM doc_%s WHERE id > ?1 ORDER BY id LIMIT 1",
             name);
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = FH_OK;
    while (!code) {
        struct sql_value after = sql_text(next.id);
        next.body.document = NULL;
        code = sql_run(work, sql, &after, 1, read_next, &next, NULL, error);
        if (!code)
            code = next.body.code;
        if (code || !next.body.document)
            break;
        code = field_change(work, name, field, next.id, NULL, next.body.document, error);
        json_decref(next.body.document);
    }
    json_arena_set(arena);
    return code;
}

static enum fh_code catalogue_row(struct store_work *work, const char *sql, const char *name,
                                  const char *field, struct fh_error *error)
{
    const struct sql_value values[] = {sql_text(name), sql_text(field)};
    return sql_run(work, sql, values, 2, NULL, NULL, NULL, error);
}

static enum fh_code index_add(struct store_work *work, const char *name, const char *field,
                              struct fh_error *error)
{
    struct fh_error why;
    if (document_path_check(field, &why))
        return error_set(error, FH_INVALID, "Wrong index on '%.60s' of %s: %.120s", field, name,
                         why.message);
    if (strlen(field) >= ENGINE_FIELD_SIZE || strcmp(field, "id") == 0)
        return error_set(error, FH_INVALID,
                         "Wrong index on '%.60s' of %s: a path takes at most %d bytes, and 'id' "
                         "has its index already.",
                         field, name, ENGINE_FIELD_SIZE - 1);
    enum fh_code code =
        catalogue_row(work, "INSERT INTO fh_document_index (collection, field) VALUES (?1, ?2)",
                      name, field, error);
    return code ? code : index_build(work, name, field, error);
}

static enum fh_code index_drop(struct store_work *work, const char *name, const char *field,
                               struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    struct sql_value value = sql_text(field);
    snprintf(sql, sizeof sql, "DELETE FROM key_%s WHERE field = ?1", name);
    enum fh_code code = sql_run(work, sql, &value, 1, NULL, NULL, NULL, error);
    return code ? code
                : catalogue_row(work,
                                "DELETE FROM fh_document_index WHERE collection = ?1 AND "
                                "field = ?2",
                                name, field, error);
}

static enum fh_code collection_make(struct store_work *work, const char *name,
                                    struct fh_error *error)
{
    char sql[ENGINE_SQL_SIZE];
    enum fh_code code = name_check(name, error);
    if (code)
        return code;
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS doc_%s (id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL)",
             name);
    code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS key_%s (field TEXT NOT NULL, key BLOB NOT NULL, "
             "id TEXT NOT NULL, PRIMARY KEY (field, key, id)) WITHOUT ROWID",
             name);
    if (!code)
        code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
    if (!code)
        code = catalogue_row(work,
                             "INSERT INTO fh_document_index (collection, field) VALUES (?1, ?2) "
                             "ON CONFLICT DO NOTHING",
                             name, "", error);
    return code;
}

static bool is_declared(const struct fh_collection *declared, const char *field)
{
    for (int i = 0; i < ENGINE_INDEXES_MAX && declared->indexes[i]; i++)
        if (strcmp(declared->indexes[i], field) == 0)
            return true;
    return false;
}

static enum fh_code collection_prepare(struct store_work *work,
                                       const struct fh_collection *declared, struct fh_error *error)
{
    struct engine_collection present;
    enum fh_code code = collection_make(work, declared->name, error);
    if (!code)
        code = engine_collection_read(work, declared->name, &present, error);
    for (int i = 0; !code && i < present.field_count; i++)
        if (!is_declared(declared, present.fields[i]))
            code = index_drop(work, declared->name, present.fields[i], error);
    for (int i = 0; !code && i < ENGINE_INDEXES_MAX && declared->indexes[i]; i++)
        if (engine_field(&present, declared->indexes[i]) < 0)
            code = index_add(work, declared->name, declared->indexes[i], error);
    return code;
}

static enum fh_code engine_prepare(struct store_work *work, const struct fh_collection *collections,
                                   int count, struct fh_error *error)
{
    enum fh_code code = sql_run(work,
                                "CREATE TABLE IF NOT EXISTS fh_document_index (collection TEXT NOT "
                                "NULL, field TEXT NOT NULL, PRIMARY KEY (collection, field)) "
                                "WITHOUT ROWID",
                                NULL, 0, NULL, NULL, NULL, error);
    for (int i = 0; i < count && !code; i++)
        code = collection_prepare(work, &collections[i], error);
    return code;
}

const struct document_ops document_sql = {
    .prepare = engine_prepare,
    .get = engine_get,
    .find = engine_find,
    .insert = engine_insert,
    .update = engine_update,
    .remove = engine_remove,
};

const struct document_ops *document_engine(const struct store *store)
{
    return store->ops->sql && store->ops->models & 1u << FH_DOCUMENT ? &document_sql : NULL;
}
