/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document model's operations. The effect of an update is computed here, by the code that does
 * it on every engine, and the whole document is written: so an operator means the same on every
 * server, and a server needs to know none of them.
 *
 * The collections that a service has declared are in fh_collection, and in memory. An index is the
 * server's own; fields whose names the server does not accept are indexed under the name that is
 * stored (bson.c).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/document/filter.h"
#include "engine/mongodb/internal.h"
#include "store/document/value.h"

#define INDEX_PREFIX "fh_"
#define ENTRIES "_fh.work.id" /* the entry of a unit of work in a document: see commit.c */
#define PATH_SIZE (3 * ENGINE_FIELD_SIZE)
#define INDEX_NAME_SIZE (PATH_SIZE + sizeof INDEX_PREFIX)

/* ---- Declared collections ---- */

static struct engine_collection *collection_of(struct mongodb *mongodb, const char *name)
{
    for (int i = 0; i < mongodb->collection_count; i++) {
        if (strcmp(mongodb->collections[i].name, name) == 0)
            return &mongodb->collections[i];
    }
    return NULL;
}

static enum fh_code check_declared(struct store_work *work, const char *name,
                                   struct fh_error *error)
{
    enum fh_code code = engine_name_check(name, error);
    if (!code && !collection_of(mongodb_of(work->store), name))
        code = error_set(error, FH_INVALID, "The service declares no collection '%s'.", name);
    return code;
}

static enum fh_code check_declaration(const struct fh_collection *declared, struct fh_error *error)
{
    struct fh_error why;
    enum fh_code code = engine_name_check(declared->name, error);
    if (!code && mongodb_is_ledger(declared->name))
        code =
            error_set(error, FH_INVALID,
                      "'%s' is not a name for a collection here: those that begin with fh_ are the "
                      "runtime's own.",
                      declared->name);
    for (int i = 0; !code && i < ENGINE_INDEXES_MAX && declared->indexes[i]; i++) {
        const char *field = declared->indexes[i];
        if (document_path_check(field, &why))
            code = error_set(error, FH_INVALID, "Wrong index on '%.60s' of %s: %.120s", field,
                             declared->name, why.message);
        else if (strlen(field) >= ENGINE_FIELD_SIZE || strcmp(field, "id") == 0)
            code =
                error_set(error, FH_INVALID,
                          "Wrong index on '%.60s' of %s: a path takes at most %d bytes, and 'id' "
                          "has its index already.",
                          field, declared->name, ENGINE_FIELD_SIZE - 1);
    }
    return code;
}

/* ---- Creating collections and indexes ---- */

struct indexing {
    struct mongodb_call call; /* first */
    const char *collection;
    const char *make[ENGINE_INDEXES_MAX + 1], *drop[ENGINE_INDEXES_MAX];
    int make_count, drop_count;
};

/* The path under which the field is stored, and the index's name. */
static void index_names(const char *field, char path[static PATH_SIZE],
                        char name[static INDEX_NAME_SIZE])
{
    if (strcmp(field, ENTRIES) == 0)
        snprintf(path, PATH_SIZE, "%s", field);
    else
        mongodb_path(path, PATH_SIZE, field);
    snprintf(name, INDEX_NAME_SIZE, INDEX_PREFIX "%s", path);
}

static bool run_index_command(const struct mongodb_call *call, const bson_t *command,
                              bson_error_t *why)
{
    bson_t reply;
    bool done = mongoc.mongoc_client_write_command_with_opts(call->client, call->database, command,
                                                             NULL, &reply, why);
    mongoc.bson_destroy(&reply);
    return done;
}

/* One per command: FerretDB 1.24 drops the connection when only some of several exist. */
static bool make_declared_index(const struct indexing *indexing, const char *field,
                                bson_error_t *why)
{
    bson_t create, list, index, key;
    char path[PATH_SIZE], name[INDEX_NAME_SIZE];
    index_names(field, path, name);
    mongoc.bson_init(&create);
    mongoc.bson_append_utf8(&create, "createIndexes", -1, indexing->collection, -1);
    mongoc.bson_append_array_begin(&create, "indexes", -1, &list);
    mongoc.bson_append_document_begin(&list, "0", -1, &index);
    mongoc.bson_append_document_begin(&index, "key", -1, &key);
    mongoc.bson_append_int64(&key, path, -1, 1);
    mongoc.bson_append_document_end(&index, &key);
    mongoc.bson_append_utf8(&index, "name", -1, name, -1);
    if (strcmp(field, ENTRIES) == 0)
        mongoc.bson_append_bool(&index, "sparse", -1, true);
    mongoc.bson_append_document_end(&list, &index);
    mongoc.bson_append_array_end(&create, &list);
    bool done = run_index_command(&indexing->call, &create, why);
    mongoc.bson_destroy(&create);
    return done;
}

static bool drop_index(const struct indexing *indexing, const char *field, bson_error_t *why)
{
    enum { INDEX_NOT_FOUND = 27 };
    bson_t drop;
    char path[PATH_SIZE], name[INDEX_NAME_SIZE];
    index_names(field, path, name);
    mongoc.bson_init(&drop);
    mongoc.bson_append_utf8(&drop, "dropIndexes", -1, indexing->collection, -1);
    mongoc.bson_append_utf8(&drop, "index", -1, name, -1);
    bool done = run_index_command(&indexing->call, &drop, why) || why->code == INDEX_NOT_FOUND;
    mongoc.bson_destroy(&drop);
    return done;
}

static enum fh_code index_run(struct mongodb_call *call, struct fh_error *error)
{
    const struct indexing *indexing = (struct indexing *)call;
    bson_error_t why;
    bool done = true;
    for (int i = 0; done && i < indexing->make_count; i++)
        done = make_declared_index(indexing, indexing->make[i], &why);
    for (int i = 0; done && i < indexing->drop_count; i++)
        done = drop_index(indexing, indexing->drop[i], &why);
    return done ? FH_OK : mongodb_failed(&why, error);
}

static bool is_field_declared(const struct fh_collection *declared, const char *field)
{
    for (int i = 0; i < ENGINE_INDEXES_MAX && declared->indexes[i]; i++) {
        if (strcmp(declared->indexes[i], field) == 0)
            return true;
    }
    return false;
}

static struct engine_collection *collection_add(struct mongodb *mongodb, const char *name)
{
    struct engine_collection *known = collection_of(mongodb, name);
    if (known || mongodb->collection_count == MONGODB_COLLECTIONS_MAX)
        return known;
    known = &mongodb->collections[mongodb->collection_count++];
    *known = (struct engine_collection){.name = strdup(name)};
    FH_ASSERT(known->name != NULL);
    return known;
}

static void fields_set(struct engine_collection *known, const json_t *fields)
{
    size_t index;
    json_t *field;
    known->field_count = 0;
    json_array_foreach (document_iterable(fields), index, field) {
        if (known->field_count < ENGINE_INDEXES_MAX)
            snprintf(known->fields[known->field_count++], ENGINE_FIELD_SIZE, "%s",
                     json_string_value(field));
    }
}

static enum fh_code mongodb_collection_prepare(struct store_work *work,
                                               const struct fh_collection *declared,
                                               struct fh_error *error)
{
    struct mongodb *mongodb = mongodb_of(work->store);
    struct engine_collection *known = collection_add(mongodb, declared->name);
    struct indexing indexing = {.call.run = index_run, .collection = declared->name};
    if (!known)
        return error_set(error, FH_UNSUPPORTED, "A store takes %d collections at the most.",
                         MONGODB_COLLECTIONS_MAX);
    json_t *record = record_pack("{s:[]}", "fields"), *fields = json_object_get(record, "fields");
    struct arena *arena = json_arena_set(NULL);
    indexing.make[indexing.make_count++] = ENTRIES;
    for (int i = 0; i < ENGINE_INDEXES_MAX && declared->indexes[i]; i++) {
        indexing.make[indexing.make_count++] = declared->indexes[i];
        json_array_append_new(fields, json_string(declared->indexes[i]));
    }
    json_arena_set(arena);
    for (int i = 0; i < known->field_count; i++) {
        if (!is_field_declared(declared, known->fields[i]))
            indexing.drop[indexing.drop_count++] = known->fields[i];
    }
    enum fh_code code = mongodb_call(mongodb, &indexing.call, error);
    if (code) {
        json_decref(record);
        return code;
    }
    fields_set(known, fields);
    return mongodb_put(work, MONGODB_DECLARED, declared->name, record, error);
}

static enum fh_code mongodb_document_prepare(struct store_work *work,
                                             const struct fh_collection *collections, int count,
                                             struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && !code; i++)
        code = check_declaration(&collections[i], error);
    for (int i = 0; i < count && !code; i++)
        code = mongodb_collection_prepare(work, &collections[i], error);
    return code;
}

enum fh_code mongodb_collections_read(struct store_work *work, struct fh_error *error)
{
    struct document_find find = {.limit = MONGODB_COLLECTIONS_MAX};
    struct arena *arena = json_arena_set(NULL);
    json_t *list, *record;
    size_t index;
    enum fh_code code = mongodb_find(work, MONGODB_DECLARED, &find, &list, error);
    json_array_foreach (list, index, record) {
        struct engine_collection *known =
            collection_add(mongodb_of(work->store), json_string_at(record, "id"));
        fields_set(known, json_object_get(record, "fields"));
    }
    json_decref(list);
    json_arena_set(arena);
    return code;
}

/* ---- Documents ---- */

static enum fh_code no_document(const char *collection, const char *id, struct fh_error *error)
{
    return error_set(error, FH_NOT_FOUND, "There is no '%.100s' in %s.", id, collection);
}

/* Copies a document from the heap into the arena that is set. */
static enum fh_code hand_out(const json_t *document, json_t **ret, struct fh_error *error)
{
    *ret = json_copy_all(document);
    return *ret ? FH_OK
                : error_set(error, FH_NO_MEMORY,
                            "The document does not fit into the unit of work's memory.");
}

static enum fh_code mongodb_document_get(struct store_work *work, const char *collection,
                                         const char *id, json_t **ret, struct fh_error *error)
{
    json_t *document = NULL;
    *ret = NULL;
    enum fh_code code = check_declared(work, collection, error);
    if (!code && strlen(id) > DOCUMENT_ID_LENGTH_MAX)
        return no_document(collection, id, error);
    if (!code)
        code = mongodb_get(work, collection, id, &document, error);
    if (!code)
        code = document ? hand_out(document, ret, error) : no_document(collection, id, error);
    json_decref(document);
    return code;
}

static enum fh_code mongodb_document_find(struct store_work *work, const char *collection,
                                          const struct document_find *wanted, json_t **ret,
                                          struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = check_declared(work, collection, error);
    if (!code && work->joint)
        code = store_part(work, error);
    return code ? code : mongodb_find(work, collection, wanted, ret, error);
}

static enum fh_code check_document(const json_t *document, struct fh_error *error)
{
    enum fh_code code = document_check(document, error);
    if (code || json_dumpb(document, NULL, 0, JSON_COMPACT) <= DOCUMENT_SIZE_MAX)
        return code;
    error_set(error, FH_INVALID, "The document is larger than %d bytes.", DOCUMENT_SIZE_MAX);
    snprintf(error->field, sizeof error->field, "document");
    return FH_INVALID;
}

static void change_to(struct mongodb_change *change, json_t *document)
{
    json_decref(change->fresh);
    change->fresh = document;
}

/* `drawn`: its id was generated for it, so it does not exist yet. */
static enum fh_code insert_document(struct store_work *work, const char *collection,
                                    const json_t *document, bool drawn, struct fh_error *error)
{
    struct mongodb_change *change;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = check_declared(work, collection, error);
    if (!code)
        code = check_document(document, error);
    const char *id = code ? NULL : json_string_value(json_object_get(document, "id"));
    if (!code)
        code = (drawn ? mongodb_change_made : mongodb_change_get)(work, collection, id, &change,
                                                                  error);
    if (!code && change->fresh) {
        code = error_set(error, FH_CONFLICT, "There is a '%.100s' in %s already.", id, collection);
        snprintf(error->field, sizeof error->field, "id");
    } else if (!code) {
        change_to(change, json_copy_out(document));
    }
    json_arena_set(arena);
    return code;
}

static enum fh_code mongodb_document_insert(struct store_work *work, const char *collection,
                                            const json_t *document, struct fh_error *error)
{
    return insert_document(work, collection, document, false, error);
}

static enum fh_code mongodb_document_add(struct store_work *work, const char *collection,
                                         const json_t *document, struct fh_error *error)
{
    return insert_document(work, collection, document, true, error);
}

/* On the heap: the document exists twice for a while, and a unit of work's arena is bounded. */
static enum fh_code update_document_on_heap(struct store_work *work, const char *collection,
                                            const char *id, const json_t *filter, const json_t *how,
                                            struct mongodb_change **ret, struct fh_error *error)
{
    enum fh_code code = document_filter_check(filter, error);
    if (!code)
        code = document_update_check(how, error);
    if (!code)
        code = check_declared(work, collection, error);
    if (!code)
        code = mongodb_change_get(work, collection, id, ret, error);
    if (!code && !(*ret)->fresh)
        code = no_document(collection, id, error);
    if (!code && !document_matches_checked((*ret)->fresh, filter))
        code = error_set(error, FH_CONFLICT, "'%.100s' in %s is not in the state that this needs.",
                         id, collection);
    if (code)
        return code;
    json_t *document = json_deep_copy((*ret)->fresh);
    FH_ASSERT(document != NULL);
    code = document_apply(document, how, error);
    if (!code)
        code = check_document(document, error);
    if (code)
        json_decref(document);
    else
        change_to(*ret, document);
    return code;
}

static enum fh_code mongodb_document_update(struct store_work *work, const char *collection,
                                            const char *id, const json_t *filter, const json_t *how,
                                            json_t **ret, struct fh_error *error)
{
    struct mongodb_change *change;
    *ret = NULL;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = update_document_on_heap(work, collection, id, filter, how, &change, error);
    json_arena_set(arena);
    return code ? code : hand_out(change->fresh, ret, error);
}

static enum fh_code mongodb_document_remove(struct store_work *work, const char *collection,
                                            const char *id, bool *ret_existed,
                                            struct fh_error *error)
{
    struct mongodb_change *change;
    *ret_existed = false;
    enum fh_code code = check_declared(work, collection, error);
    if (!code)
        code = mongodb_change_get(work, collection, id, &change, error);
    if (code)
        return code == FH_NOT_FOUND ? FH_OK : code;
    *ret_existed = change->fresh != NULL;
    change_to(change, NULL);
    return FH_OK;
}

const struct document_ops mongodb_documents = {
    .prepare = mongodb_document_prepare,
    .get = mongodb_document_get,
    .find = mongodb_document_find,
    .insert = mongodb_document_insert,
    .add = mongodb_document_add,
    .update = mongodb_document_update,
    .remove = mongodb_document_remove,
};
