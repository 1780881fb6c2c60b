/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying into a store: its beginning, its numbers, and why a copier that is over does no harm.
 *
 * A copier creates any number of documents that nobody knows of before. It may be killed, and the
 * next one may copy something else; then the service serves from that. So each copying draws a
 * number, above all drawn before, and puts it into the counter (`copy`) before it empties the
 * store. In the collections that are copied, anything with a number up to this one counts as
 * absent: all readers treat it so (mongodb_since), and a write in its place finds it older.
 *
 *     killed before the counter    nothing was changed
 *     killed after it              the store is empty; the next copying begins as this one did
 *
 * Messages that an earlier copier, or units of work before it, have sent change nothing on
 * arrival:
 *
 *     the counter's number         names the epoch, which the next process has raised; and only
 *                                  rises
 *     emptying                     leaves everything with a higher number than its own, events and
 *                                  keys' places included
 *     documents, records, places   count as absent
 *     events                       find their positions taken; or trimmed, where nobody reads; or
 *                                  count as absent (number.c)
 *     the position                 names the epoch
 *     the trimmed position         finds a newer record
 *
 * A copier that was paused and goes on draws from the numbers that it had; to get more it has to
 * ask the counter, which tells it that another copying has begun.
 */

#include "engine/mongodb/internal.h"

struct numbering {
    struct mongodb_call call; /* first */
    int64_t copy;             /* 0: the number of this call */
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
    bool found = done && (makes || mongodb_integer_at(&reply, "matchedCount") == 1);
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&options);
    mongoc.mongoc_collection_destroy(meta);
    if (!done)
        return mongodb_failed(&why, error);
    return found ? FH_OK : error_set(error, FH_UNAVAILABLE, "The store is another process's now.");
}

/* While this turn lasts: the next one reads it. */
static enum fh_code update_counter(const struct numbering *numbering, const char *operator_name,
                                   const char *field, int64_t value, struct fh_error *error)
{
    bson_t selector, update, change;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&update);
    mongoc.bson_append_utf8(&selector, "_id", -1, "counter", -1);
    mongoc.bson_append_int64(&selector, "epoch", -1, numbering->epoch);
    mongoc.bson_append_document_begin(&update, operator_name, -1, &change);
    mongoc.bson_append_int64(&change, field, -1, value);
    mongoc.bson_append_document_end(&update, &change);
    enum fh_code code = update_meta(&numbering->call, &selector, &update, false, error);
    mongoc.bson_destroy(&update);
    mongoc.bson_destroy(&selector);
    return code;
}

/* Inside a unit of work, so that the turn can't end during the call. */
static enum fh_code call_in_turn(struct store *store, struct numbering *numbering,
                                 struct fh_error *error)
{
    struct mongodb *mongodb = mongodb_of(store);
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, error);
    if (code)
        return code;
    code = mongodb_order_reserve(mongodb, error);
    if (code == FH_OK)
        numbering->order = mongodb_order_next(mongodb);
    numbering->epoch = mongodb->epoch;
    if (code == FH_OK)
        code = mongodb_call(mongodb, &numbering->call, error);
    store_rollback(work);
    return code;
}

static enum fh_code announce_run(struct mongodb_call *call, struct fh_error *error)
{
    const struct numbering *numbering = (struct numbering *)call;
    int64_t copy = numbering->copy ? numbering->copy : numbering->order;
    return update_counter(numbering, "$max", "copy", copy, error);
}

enum fh_code mongodb_copy_begin(struct store *store, struct fh_error *error)
{
    struct numbering numbering = {.call.run = announce_run};
    struct mongodb *mongodb = mongodb_of(store);
    enum fh_code code = call_in_turn(store, &numbering, error);
    if (code)
        return code;
    mongodb->copy = mongodb->since = numbering.order;
    mongodb->filling = true;
    return FH_OK;
}

enum fh_code mongodb_copy_check(const struct mongodb *mongodb, struct fh_error *error)
{
    return mongodb->copy == mongodb->since
               ? FH_OK
               : error_set(error, FH_UNAVAILABLE,
                           "Another process has begun to copy into the store.");
}

/* Only to consult the counter: it has this number already. */
enum fh_code mongodb_copy_end(struct store *store, struct fh_error *error)
{
    struct numbering numbering = {.call.run = announce_run, .copy = mongodb_of(store)->copy};
    enum fh_code code = mongodb_copy_check(mongodb_of(store), error);
    return code ? code : call_in_turn(store, &numbering, error);
}

static enum fh_code number_run(struct mongodb_call *call, struct fh_error *error)
{
    const struct numbering *numbering = (struct numbering *)call;
    bson_t fields, selector, update;
    enum fh_code code = update_counter(numbering, "$set", "position", numbering->position, error);
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

enum fh_code mongodb_copy_number(struct store *store, int64_t position, int64_t trimmed,
                                 const char *trimmed_id, struct fh_error *error)
{
    struct mongodb *mongodb = mongodb_of(store);
    struct numbering numbering = {
        .call.run = number_run, .position = position, .trimmed = trimmed, .trimmed_id = trimmed_id};
    enum fh_code code = call_in_turn(store, &numbering, error);
    if (code)
        return code;
    mongodb->position = position;
    mongodb->filling = false;
    return code;
}
