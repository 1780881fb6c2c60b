/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's documents on MongoDB as rows, for copying a store: as they are stored, bypassing
 * units of work and the entries that these carry. Nobody else uses the store during that time, and
 * nothing written here is used before the move declares the copy complete.
 *
 * A copier's writes bypass units of work, too: inserts of many documents at once. copy_begin.c
 * explains why a killed copier's writes do no harm when another one copies.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "store/copy/document.h"
#include "engine/mongodb/internal.h"
#include "store/ledger.h"

/* ---- reading ---- */

struct reading {
    struct mongodb_visit visit; /* first */
    bson_t *documents[COPIED_ROWS_MAX];
    int count;
    size_t size;
    int64_t since;
};

static bool take_copied_document(struct mongodb_visit *visit, const bson_t *document)
{
    struct reading *reading = (struct reading *)visit;
    if (mongodb_record_is_stray(document, reading->since))
        return true;
    reading->documents[reading->count++] = mongoc.bson_copy(document);
    reading->size += document->len;
    return reading->count < COPIED_ROWS_MAX && reading->size < COPIED_SIZE_MAX;
}

/* Those after `last` (NULL: from the beginning); positions up to `through` (0: all). */
static enum fh_code read_some(struct store *store, const struct copied_ledger *ledger,
                              const bson_t *last, int64_t through, struct reading *reading,
                              struct fh_error *error)
{
    bson_t filter, options, part;
    bson_iter_t at;
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    if (last || through) {
        mongoc.bson_append_document_begin(&filter, "_id", -1, &part);
        if (last && mongoc.bson_iter_init_find(&at, last, "_id"))
            mongoc.bson_append_value(&part, "$gt", -1, mongoc.bson_iter_value(&at));
        if (through)
            mongoc.bson_append_int64(&part, "$lte", -1, through);
        mongoc.bson_append_document_end(&filter, &part);
    }
    reading->since = mongodb_since(mongodb_of(store), ledger->collection);
    if (!ledger->numbered) { /* removed ones, kept only for their late copies to find */
        mongoc.bson_append_document_begin(&filter, "_fh.removed", -1, &part);
        mongoc.bson_append_bool(&part, "$exists", -1, false);
        mongoc.bson_append_document_end(&filter, &part);
    }
    mongoc.bson_append_document_begin(&options, "sort", -1, &part);
    mongoc.bson_append_int64(&part, "_id", -1, 1);
    mongoc.bson_append_document_end(&options, &part);
    mongoc.bson_append_int64(&options, "batchSize", -1, COPIED_ROWS_MAX);
    reading->visit = (struct mongodb_visit){.collection = ledger->collection,
                                            .filter = &filter,
                                            .options = &options,
                                            .visit = take_copied_document};
    reading->count = 0;
    reading->size = 0;
    enum fh_code code = mongodb_visit(mongodb_of(store), &reading->visit, error);
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    return code;
}

static struct sql_value copied_value_of(const bson_t *document, const struct copied_column *column)
{
    bson_iter_t at;
    if (!mongoc.bson_iter_init_find(&at, document, column->in_id ? "_id" : column->name))
        return sql_text(NULL);
    if (mongoc.bson_iter_type(&at) == BSON_TYPE_UTF8)
        return sql_text(mongoc.bson_iter_utf8(&at, NULL));
    if (mongoc.bson_iter_type(&at) == BSON_TYPE_INT32)
        return sql_integer(mongoc.bson_iter_int32(&at));
    if (mongoc.bson_iter_type(&at) == BSON_TYPE_INT64)
        return sql_integer(mongoc.bson_iter_int64(&at));
    return sql_text(NULL);
}

static enum fh_code use_rows(const struct copied_ledger *ledger, const struct reading *reading,
                             copied_slice *use, void *context, struct fh_error *error)
{
    int width = copied_column_count(ledger);
    struct sql_value *rows = calloc((size_t)reading->count * (size_t)width, sizeof *rows);
    FH_ASSERT(rows != NULL);
    for (int i = 0; i < reading->count * width; i++)
        rows[i] = copied_value_of(reading->documents[i / width], &ledger->columns[i % width]);
    enum fh_code code = use(context, rows, reading->count, error);
    free(rows);
    return code;
}

/* The outbox ends at the counter: rows beyond it do not belong to it. */
static enum fh_code outbox_position(struct store *store, int64_t *ret, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code)
        return code;
    code = ledger_position(work, ret, error);
    store_rollback(work);
    return code;
}

static enum fh_code documents_read(struct store *store, const struct copied_ledger *ledger,
                                   copied_slice *use, void *context, struct fh_error *error)
{
    struct reading reading;
    bson_t *last = NULL;
    int64_t through = 0;
    bool bounded = ledger->numbered && !mongodb_of(store)->filling;
    enum fh_code code = bounded ? outbox_position(store, &through, error) : FH_OK;
    if (code || (bounded && through == 0))
        return code;
    do {
        code = read_some(store, ledger, last, through, &reading, error);
        if (code == FH_OK && reading.count > 0)
            code = use_rows(ledger, &reading, use, context, error);
        if (last)
            mongoc.bson_destroy(last);
        last = reading.count > 0 ? reading.documents[reading.count - 1] : NULL;
        for (int i = 0; i + 1 < reading.count; i++)
            mongoc.bson_destroy(reading.documents[i]);
    } while (code == FH_OK && last);
    if (last)
        mongoc.bson_destroy(last);
    return code;
}

/* ---- counting ---- */

struct counting {
    struct mongodb_call call; /* first */
    const char *collection;
    int64_t count;
};

static enum fh_code run_copy_count(struct mongodb_call *call, struct fh_error *error)
{
    struct counting *counting = (struct counting *)call;
    bson_error_t why;
    mongoc_collection_t *collection = mongodb_collection(call, counting->collection);
    counting->count =
        mongoc.mongoc_collection_estimated_document_count(collection, NULL, NULL, NULL, &why);
    mongoc.mongoc_collection_destroy(collection);
    return counting->count < 0 ? mongodb_failed(&why, error) : FH_OK;
}

static enum fh_code count_documents(struct store *store, const char *collection, int64_t *ret,
                                    struct fh_error *error)
{
    struct counting counting = {.call.run = run_copy_count, .collection = collection};
    enum fh_code code = mongodb_call(mongodb_of(store), &counting.call, error);
    *ret = code == FH_OK ? counting.count : 0;
    return code;
}

static enum fh_code documents_count(struct store *store, const struct copied_ledger *ledger,
                                    int64_t *ret, struct fh_error *error)
{
    return count_documents(store, ledger->collection, ret, error);
}

/* ---- writing ---- */

static enum fh_code draw_copy_order(struct store *store, int64_t *ret, struct fh_error *error)
{
    enum fh_code code = mongodb_order_reserve(mongodb_of(store), error);
    *ret = code ? 0 : mongodb_order_next(mongodb_of(store));
    return code;
}

/* Any number of documents of one collection, at once. */
struct writing {
    struct mongodb_call call; /* first */
    const char *collection;
    bson_t *documents; /* to insert; NULL: removes everything written below `order` */
    int count, done;
    int64_t order, since;
};

/* First removes everything that meets `first` (NULL: nothing), then inserts the documents not yet
 * done. */
static enum fh_code insert_copied(struct writing *writing, const bson_t *first,
                                  struct fh_error *error)
{
    mongoc_collection_t *collection = mongodb_collection(&writing->call, writing->collection);
    mongoc_bulk_operation_t *bulk =
        mongoc.mongoc_collection_create_bulk_operation_with_opts(collection, NULL);
    bson_t reply;
    bson_error_t why;
    bool taken =
        !first || mongoc.mongoc_bulk_operation_remove_many_with_opts(bulk, first, NULL, &why);
    for (int i = writing->done; i < writing->count && taken; i++)
        taken =
            mongoc.mongoc_bulk_operation_insert_with_opts(bulk, &writing->documents[i], NULL, &why);
    if (taken) {
        taken = mongoc.mongoc_bulk_operation_execute(bulk, &reply, &why) != 0;
        writing->done += (int)mongodb_integer_at(&reply, "nInserted");
        mongoc.bson_destroy(&reply);
    }
    mongoc.mongoc_bulk_operation_destroy(bulk);
    mongoc.mongoc_collection_destroy(collection);
    return taken ? FH_OK : mongodb_failed(&why, error);
}

/* A duplicate _id has been inserted in between by an earlier copier. */
static enum fh_code run_copy_write(struct mongodb_call *call, struct fh_error *error)
{
    struct writing *writing = (struct writing *)call;
    bson_t old;
    mongoc.bson_init(&old);
    if (writing->documents)
        mongodb_record_strays(&old, writing->since, true);
    else
        mongodb_record_guard(&old, writing->order, true);
    enum fh_code code = insert_copied(writing, writing->documents ? NULL : &old, error);
    if (code == FH_CONFLICT && writing->documents)
        code = insert_copied(writing, &old, error);
    mongoc.bson_destroy(&old);
    return code;
}

/* Only if this process began the store's latest copying. */
static enum fh_code insert_all(struct store *store, struct writing *writing, struct fh_error *error)
{
    struct mongodb *mongodb = mongodb_of(store);
    enum fh_code code = mongodb_copy_check(mongodb, error);
    if (code)
        return code;
    writing->call.run = run_copy_write;
    writing->since = mongodb->since;
    return mongodb_call(mongodb, &writing->call, error);
}

static enum fh_code append_id(bson_t *document, const struct copied_ledger *ledger,
                              const struct sql_value *row, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    if (ledger->numbered) {
        int64_t number = copied_value(ledger, row, ledger->id[0])->integer;
        mongoc.bson_append_int64(document, "_id", -1, number);
        return FH_OK;
    }
    enum fh_code code = copied_id(ledger, ledger->id, row, id, error);
    if (code == FH_OK)
        mongoc.bson_append_utf8(document, "_id", -1, id, -1);
    return code;
}

static void append_own_copy(bson_t *document, const char *version, int64_t order)
{
    bson_t own;
    mongoc.bson_append_document_begin(document, "_fh", -1, &own);
    if (version)
        mongoc.bson_append_utf8(&own, "version", -1, version, -1);
    mongoc.bson_append_int64(&own, "at", -1, order);
    mongoc.bson_append_document_end(document, &own);
}

static void append_column(bson_t *document, const struct copied_column *column,
                          const struct sql_value *value)
{
    if (column->in_id)
        return;
    if (value->kind == SQL_INTEGER)
        mongoc.bson_append_int64(document, column->name, -1, value->integer);
    else if (value->kind == SQL_TEXT)
        mongoc.bson_append_utf8(document, column->name, -1, value->text, (int)value->length);
}

/* Not initialised. bson_t needs a stricter alignment than malloc's. */
static bson_t *documents_new(int count)
{
    bson_t *documents = aligned_alloc(_Alignof(bson_t), ((size_t)count + 1) * sizeof *documents);
    FH_ASSERT(documents != NULL);
    return documents;
}

static void writing_release(struct writing *writing)
{
    for (int i = 0; i < writing->count; i++)
        mongoc.bson_destroy(&writing->documents[i]);
    free(writing->documents);
}

static enum fh_code documents_write(struct store *store, const struct copied_ledger *ledger,
                                    const struct sql_value *rows, int count, struct fh_error *error)
{
    struct writing writing = {
        .collection = ledger->collection, .documents = documents_new(count), .count = count};
    int width = copied_column_count(ledger);
    enum fh_code code = draw_copy_order(store, &writing.order, error);
    for (int i = 0; i < count; i++) {
        mongoc.bson_init(&writing.documents[i]);
        if (code == FH_OK)
            code = append_id(&writing.documents[i], ledger, &rows[i * width], error);
        append_own_copy(&writing.documents[i], NULL, writing.order);
        for (int j = 0; j < width; j++)
            append_column(&writing.documents[i], &ledger->columns[j], &rows[i * width + j]);
    }
    if (code == FH_OK)
        code = insert_all(store, &writing, error);
    writing_release(&writing);
    return code;
}

static void new_version(struct store *store, char version[static ID_SIZE])
{
    unsigned char random[10];
    world_random(store->world, random, sizeof random);
    id_format(version, world_wall_ms(store->world), random);
}

static enum fh_code insert_documents(struct store *store, const char *collection,
                                     const json_t *list, struct fh_error *error)
{
    int count = (int)json_array_size(list);
    struct writing writing = {
        .collection = collection, .documents = documents_new(count), .count = count};
    char version[ID_SIZE];
    size_t i;
    json_t *document;
    new_version(store, version);
    enum fh_code code = draw_copy_order(store, &writing.order, error);
    json_array_foreach (list, i, document) {
        bson_t *to = &writing.documents[i];
        const char *id = json_string_at(document, "id");
        mongoc.bson_init(to);
        mongoc.bson_append_utf8(to, "_id", -1, id, -1);
        append_own_copy(to, version, writing.order);
        if (code == FH_OK &&
            (!mongodb_append_fields(to, document, NULL, mongodb_of(store)->nesting) ||
             to->len >= MONGODB_DOCUMENT_SIZE_MAX))
            code = error_set(error, FH_UNSUPPORTED,
                             "'%.100s' in %s does not fit into a document of MongoDB.", id,
                             collection);
    }
    if (code == FH_OK && count > 0)
        code = insert_all(store, &writing, error);
    writing_release(&writing);
    return code;
}

/* ---- emptying ---- */

static enum fh_code end_documents(struct store *store, struct fh_error *error)
{
    return mongodb_copy_end(store, error);
}

static enum fh_code clear_documents(struct store *store, const char *collection,
                                    struct fh_error *error)
{
    struct writing writing = {.call.run = run_copy_write, .collection = collection};
    enum fh_code code = draw_copy_order(store, &writing.order, error);
    return code ? code : mongodb_call(mongodb_of(store), &writing.call, error);
}

static enum fh_code documents_empty(struct store *store, struct fh_error *error)
{
    enum fh_code code = mongodb_copy_begin(store, error);
    for (int i = 0; i < copied_ledger_count && code == FH_OK; i++)
        code = clear_documents(store, copied_ledgers[i].collection, error);
    return code;
}

const struct copied_ops mongodb_copied_ledger = {.read = documents_read,
                                                 .write = documents_write,
                                                 .count = documents_count,
                                                 .empty = documents_empty,
                                                 .number = mongodb_copy_number};

const struct copied_documents_ops mongodb_copied_documents = {.count = count_documents,
                                                              .clear = clear_documents,
                                                              .insert = insert_documents,
                                                              .end = end_documents};
