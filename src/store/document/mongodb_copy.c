/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's documents on MongoDB as rows, for who copies a store: as they are stored, past works
 * and what these would carry. Nobody else uses the store meanwhile, and what is written here is of
 * no use to anyone before the move says that it is whole.
 *
 * A request that comes late, behind the move, finds nothing that is older than it: what is copied
 * carries numbers above that of the emptying before it, as do works' documents (mongodb_record.c).
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/document/copy.h"
#include "store/document/mongodb.h"

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    struct mongodb_visit visit; /* first */
    bson_t *documents[COPIED_ROWS_MAX];
    int count;
    size_t size;
};

static bool take_document(struct mongodb_visit *visit, const bson_t *document)
{
    struct reading *reading = (struct reading *)visit;
    reading->documents[reading->count++] = mongoc.bson_copy(document);
    reading->size += document->len;
    return reading->count < COPIED_ROWS_MAX && reading->size < COPIED_SIZE_MAX;
}

/* Those behind `last` (NULL: from the beginning). */
static enum fh_code read_some(struct store *store, const struct copied_ledger *ledger,
                              const bson_t *last, struct reading *reading, struct fh_error *error)
{
    bson_t filter, options, part;
    bson_iter_t at;
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    if (last && mongoc.bson_iter_init_find(&at, last, "_id")) {
        mongoc.bson_append_document_begin(&filter, "_id", -1, &part);
        mongoc.bson_append_value(&part, "$gt", -1, mongoc.bson_iter_value(&at));
        mongoc.bson_append_document_end(&filter, &part);
    }
    if (!ledger->numbered) { /* what is gone, and only kept for late copies of it */
        mongoc.bson_append_document_begin(&filter, "_fh.removed", -1, &part);
        mongoc.bson_append_bool(&part, "$exists", -1, false);
        mongoc.bson_append_document_end(&filter, &part);
    }
    mongoc.bson_append_document_begin(&options, "sort", -1, &part);
    mongoc.bson_append_int64(&part, "_id", -1, 1);
    mongoc.bson_append_document_end(&options, &part);
    mongoc.bson_append_int64(&options, "limit", -1, COPIED_ROWS_MAX);
    reading->visit = (struct mongodb_visit){.collection = ledger->collection,
                                            .filter = &filter,
                                            .options = &options,
                                            .visit = take_document};
    reading->count = 0;
    reading->size = 0;
    enum fh_code code = mongodb_visit(mongodb_of(store), &reading->visit, error);
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    return code;
}

static struct sql_value value_of(const bson_t *document, const struct copied_column *column)
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
    struct sql_value *rows = calloc((size_t)(reading->count * width), sizeof *rows);
    FH_ASSERT(rows != NULL);
    for (int i = 0; i < reading->count * width; i++)
        rows[i] = value_of(reading->documents[i / width], &ledger->columns[i % width]);
    enum fh_code code = use(context, rows, reading->count, error);
    free(rows);
    return code;
}

static enum fh_code documents_read(struct store *store, const struct copied_ledger *ledger,
                                   copied_slice *use, void *context, struct fh_error *error)
{
    struct reading reading;
    bson_t *last = NULL;
    enum fh_code code;
    do {
        code = read_some(store, ledger, last, &reading, error);
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

/* ---- counting -------------------------------------------------------------------------------- */

struct counting {
    struct mongodb_call call; /* first */
    const char *collection;
    int64_t count;
};

static enum fh_code count_run(struct mongodb_call *call, struct fh_error *error)
{
    struct counting *counting = (struct counting *)call;
    bson_error_t why;
    mongoc_collection_t *collection = mongodb_collection(call, counting->collection);
    counting->count =
        mongoc.mongoc_collection_estimated_document_count(collection, NULL, NULL, NULL, &why);
    mongoc.mongoc_collection_destroy(collection);
    return counting->count < 0 ? mongodb_failed(&why, error) : FH_OK;
}

enum fh_code copied_mongodb_count(struct store *store, const char *collection, int64_t *ret,
                                  struct fh_error *error)
{
    struct counting counting = {.call.run = count_run, .collection = collection};
    enum fh_code code = mongodb_call(mongodb_of(store), &counting.call, error);
    *ret = code == FH_OK ? counting.count : 0;
    return code;
}

static enum fh_code documents_count(struct store *store, const struct copied_ledger *ledger,
                                    int64_t *ret, struct fh_error *error)
{
    return copied_mongodb_count(store, ledger->collection, ret, error);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum fh_code draw(struct store *store, int64_t *ret, struct fh_error *error)
{
    enum fh_code code = mongodb_order_reserve(mongodb_of(store), error);
    *ret = code ? 0 : mongodb_order_next(mongodb_of(store));
    return code;
}

/* Any number of one collection's documents, at once. */
struct writing {
    struct mongodb_call call; /* first */
    const char *collection;
    bson_t *documents; /* to insert; NULL: all that is there goes, written below `order` */
    int count;
    int64_t order;
};

static enum fh_code write_run(struct mongodb_call *call, struct fh_error *error)
{
    struct writing *writing = (struct writing *)call;
    mongoc_collection_t *collection = mongodb_collection(call, writing->collection);
    mongoc_bulk_operation_t *bulk =
        mongoc.mongoc_collection_create_bulk_operation_with_opts(collection, NULL);
    bson_t all, reply;
    bson_error_t why;
    mongoc.bson_init(&all);
    mongodb_record_guard(&all, writing->order, true);
    bool taken = writing->documents != NULL ||
                 mongoc.mongoc_bulk_operation_remove_many_with_opts(bulk, &all, NULL, &why);
    for (int i = 0; i < writing->count && taken; i++)
        taken =
            mongoc.mongoc_bulk_operation_insert_with_opts(bulk, &writing->documents[i], NULL, &why);
    if (taken) {
        taken = mongoc.mongoc_bulk_operation_execute(bulk, &reply, &why) != 0;
        mongoc.bson_destroy(&reply);
    }
    mongoc.bson_destroy(&all);
    mongoc.mongoc_bulk_operation_destroy(bulk);
    mongoc.mongoc_collection_destroy(collection);
    return taken ? FH_OK : mongodb_failed(&why, error);
}

static const struct sql_value *named(const struct copied_ledger *ledger,
                                     const struct sql_value *row, const char *name)
{
    int at = 0;
    while (strcmp(ledger->columns[at].name, name) != 0)
        at++;
    return &row[at];
}

/* As records.h has it: parts behind each other, numbers with zeros before them. */
static enum fh_code append_id(bson_t *document, const struct copied_ledger *ledger,
                              const struct sql_value *row, struct fh_error *error)
{
    char id[RECORD_ID_SIZE] = "";
    size_t length = 0;
    if (ledger->numbered) {
        mongoc.bson_append_int64(document, "_id", -1, named(ledger, row, ledger->id[0])->integer);
        return FH_OK;
    }
    for (int i = 0; i < COPIED_PARTS_MAX && ledger->id[i] && length < sizeof id; i++) {
        const struct sql_value *part = named(ledger, row, ledger->id[i]);
        const char *separator = i ? RECORD_SEPARATOR : "";
        bool is_small = strcmp(ledger->id[i], "step") == 0 || strcmp(ledger->id[i], "element") == 0;
        int more = part->kind == SQL_INTEGER
                       ? snprintf(id + length, sizeof id - length, "%s%0*" PRId64, separator,
                                  is_small ? 9 : 19, part->integer)
                       : snprintf(id + length, sizeof id - length, "%s%.*s", separator,
                                  (int)part->length, part->text);
        length += (size_t)more;
    }
    if (length >= sizeof id)
        return error_set(error, FH_INVALID, "A key of %s is too long for MongoDB's ledger.",
                         ledger->table);
    mongoc.bson_append_utf8(document, "_id", -1, id, (int)length);
    return FH_OK;
}

static void append_order(bson_t *document, int64_t order)
{
    bson_t own;
    mongoc.bson_append_document_begin(document, "_fh", -1, &own);
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

static enum fh_code documents_write(struct store *store, const struct copied_ledger *ledger,
                                    const struct sql_value *rows, int count, struct fh_error *error)
{
    struct writing writing = {.call.run = write_run,
                              .collection = ledger->collection,
                              .documents = calloc((size_t)count, sizeof(bson_t)),
                              .count = count};
    int width = copied_column_count(ledger);
    FH_ASSERT(writing.documents != NULL);
    enum fh_code code = draw(store, &writing.order, error);
    for (int i = 0; i < count; i++) {
        mongoc.bson_init(&writing.documents[i]);
        if (code == FH_OK)
            code = append_id(&writing.documents[i], ledger, &rows[i * width], error);
        append_order(&writing.documents[i], writing.order);
        for (int j = 0; j < width; j++)
            append_column(&writing.documents[i], &ledger->columns[j], &rows[i * width + j]);
    }
    if (code == FH_OK)
        code = mongodb_call(mongodb_of(store), &writing.call, error);
    for (int i = 0; i < count; i++)
        mongoc.bson_destroy(&writing.documents[i]);
    free(writing.documents);
    return code;
}

enum fh_code copied_mongodb_clear(struct store *store, const char *collection,
                                  struct fh_error *error)
{
    struct writing writing = {.call.run = write_run, .collection = collection};
    enum fh_code code = draw(store, &writing.order, error);
    return code ? code : mongodb_call(mongodb_of(store), &writing.call, error);
}

static enum fh_code documents_empty(struct store *store, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < copied_ledger_count && code == FH_OK; i++)
        code = copied_mongodb_clear(store, copied_ledgers[i].collection, error);
    return code;
}

/* ---- numbers --------------------------------------------------------------------------------- */

struct numbering {
    struct mongodb_call call; /* first */
    int64_t position, trimmed, epoch, order;
    const char *trimmed_id;
};

static enum fh_code update_meta(const struct mongodb_call *call, const bson_t *selector,
                                const bson_t *update, bool makes, struct fh_error *error)
{
    mongoc_collection_t *meta = mongodb_collection(call, MONGODB_META);
    bson_t options, reply;
    bson_error_t why;
    mongoc.bson_init(&options);
    mongoc.bson_append_bool(&options, "upsert", -1, makes);
    bool done = mongoc.mongoc_collection_update_one(meta, selector, update, &options, &reply, &why);
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&options);
    mongoc.mongoc_collection_destroy(meta);
    return done ? FH_OK : mongodb_failed(&why, error);
}

/* As long as this turn lasts: the next one takes it up. */
static enum fh_code set_position(const struct numbering *numbering, struct fh_error *error)
{
    bson_t selector, update, set;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&update);
    mongoc.bson_append_utf8(&selector, "_id", -1, "counter", -1);
    mongoc.bson_append_int64(&selector, "epoch", -1, numbering->epoch);
    mongoc.bson_append_document_begin(&update, "$set", -1, &set);
    mongoc.bson_append_int64(&set, "position", -1, numbering->position);
    mongoc.bson_append_document_end(&update, &set);
    enum fh_code code = update_meta(&numbering->call, &selector, &update, false, error);
    mongoc.bson_destroy(&update);
    mongoc.bson_destroy(&selector);
    return code;
}

static enum fh_code number_run(struct mongodb_call *call, struct fh_error *error)
{
    const struct numbering *numbering = (struct numbering *)call;
    bson_t fields, selector, update;
    enum fh_code code = set_position(numbering, error);
    if (code)
        return code;
    mongoc.bson_init(&fields);
    mongoc.bson_append_int64(&fields, "position", -1, numbering->trimmed);
    mongoc.bson_append_utf8(&fields, "event_id", -1, numbering->trimmed_id, -1);
    mongodb_record_selector(&selector, "trimmed", numbering->order);
    mongodb_record_update(&update, &fields, numbering->order, false);
    code = update_meta(call, &selector, &update, true, error);
    mongoc.bson_destroy(&update);
    mongoc.bson_destroy(&selector);
    mongoc.bson_destroy(&fields);
    return code;
}

static enum fh_code documents_number(struct store *store, int64_t position, int64_t trimmed,
                                     const char *trimmed_id, struct fh_error *error)
{
    struct mongodb *mongodb = mongodb_of(store);
    struct numbering numbering = {
        .call.run = number_run, .position = position, .trimmed = trimmed, .trimmed_id = trimmed_id};
    enum fh_code code = draw(store, &numbering.order, error);
    numbering.epoch = mongodb->epoch;
    if (code == FH_OK)
        code = mongodb_call(mongodb, &numbering.call, error);
    if (code == FH_OK)
        mongodb->position = position;
    return code;
}

const struct copied_ops copied_mongodb = {.read = documents_read,
                                          .write = documents_write,
                                          .count = documents_count,
                                          .empty = documents_empty,
                                          .number = documents_number};
