/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns the store, and the numbers that order its writes. All of it is in one document, the
 * counter {_id: "counter", position, epoch, order, recovered, copy}:
 *
 *     position    the last one that the feed shows
 *     epoch       one more with each turn: a former owner that is still running finds it moved when
 *                 it next gives out a position, and ends
 *     order       numbers up to this one have been given to some turn
 *     recovered   everything written in epochs up to this one has been carried on
 *     copy        the number of the last copying into the store (copy_begin.c)
 *
 * Each entry, and each record that it writes, carries a number above those of all entries that it
 * could have read; so the numbers tell which of two writes of a record is the later one
 * (record.c). Turns take the numbers in blocks, in the write that raises the epoch; the rest of a
 * block is lost when its turn ends.
 *
 * An entry that appears with an epoch up to `recovered` was not there when everything left by
 * those epochs was searched for: its process had died, or was taken for dead, and nobody was told
 * that it committed. So it counts as never written (settle.c), and what it has changed is undone
 * (back.c).
 *
 * All of this can be repeated, and can arrive late: each change names the epoch that it moves or
 * belongs to, and a block that was taken twice is lost. A program of an earlier version raises the
 * epoch too, unless it is still that of the turn before, and leaves the other fields alone.
 */

#include "engine/mongodb/internal.h"
#include "store/turn.h"

#define BLOCK (INT64_C(1) << 20)
/* So a store that is created again begins above the numbers of its former incarnation. */
#define ORDER_FIRST_SHIFT 20

struct claiming {
    struct mongodb_call call; /* first */
    bool found, has_epoch, claimed;
    int64_t known, wall_ms, position, epoch, order, recovered, copy;
};

static void take_claimed_counter(struct claiming *claiming, const bson_t *counter)
{
    bson_iter_t at;
    claiming->found = true;
    claiming->has_epoch = mongoc.bson_iter_init_find(&at, counter, "epoch");
    claiming->position = mongodb_integer_at(counter, "position");
    claiming->epoch = mongodb_integer_at(counter, "epoch");
    claiming->order = mongodb_integer_at(counter, "order");
    claiming->recovered = mongodb_integer_at(counter, "recovered");
    claiming->copy = mongodb_integer_at(counter, "copy");
}

static enum fh_code read_counter(struct claiming *claiming, mongoc_collection_t *meta,
                                 struct fh_error *error)
{
    bson_t selector;
    const bson_t *counter;
    bson_error_t why;
    enum fh_code code = FH_OK;
    mongoc.bson_init(&selector);
    mongoc.bson_append_utf8(&selector, "_id", -1, "counter", -1);
    mongoc_cursor_t *cursor = mongoc.mongoc_collection_find_with_opts(meta, &selector, NULL, NULL);
    claiming->found = mongoc.mongoc_cursor_next(cursor, &counter);
    if (claiming->found)
        take_claimed_counter(claiming, counter);
    else if (mongoc.mongoc_cursor_error(cursor, &why))
        code = mongodb_failed(&why, error);
    mongoc.mongoc_cursor_destroy(cursor);
    mongoc.bson_destroy(&selector);
    return code;
}

/* ---- Changing the counter ---- */

/* {findAndModify, query: {_id, epoch?}, update: {$set?, $inc: {order}}, new: true}: one round trip
 * that returns the result, with the connection's write concern. `epoch` negative: any. */
static void append_claim(bson_t *command, int64_t epoch, const bson_t *set)
{
    bson_t query, update, increment;
    mongoc.bson_append_utf8(command, "findAndModify", -1, MONGODB_META, -1);
    mongoc.bson_append_document_begin(command, "query", -1, &query);
    mongoc.bson_append_utf8(&query, "_id", -1, "counter", -1);
    if (epoch >= 0)
        mongoc.bson_append_int64(&query, "epoch", -1, epoch);
    mongoc.bson_append_document_end(command, &query);
    mongoc.bson_append_document_begin(command, "update", -1, &update);
    if (set)
        mongoc.bson_append_document(&update, "$set", -1, set);
    mongoc.bson_append_document_begin(&update, "$inc", -1, &increment);
    mongoc.bson_append_int64(&increment, "order", -1, BLOCK);
    mongoc.bson_append_document_end(&update, &increment);
    mongoc.bson_append_document_end(command, &update);
    mongoc.bson_append_bool(command, "new", -1, true);
}

/* `claimed`: there was a counter of that epoch. */
static enum fh_code change_counter(struct claiming *claiming, int64_t epoch, const bson_t *set,
                                   struct fh_error *error)
{
    bson_t command, reply, counter;
    bson_iter_t at;
    bson_error_t why;
    const uint8_t *data;
    uint32_t length;
    mongoc.bson_init(&command);
    append_claim(&command, epoch, set);
    bool done = mongoc.mongoc_client_write_command_with_opts(
        claiming->call.client, claiming->call.database, &command, NULL, &reply, &why);
    if (done && mongoc.bson_iter_init_find(&at, &reply, "value") &&
        mongoc.bson_iter_type(&at) == BSON_TYPE_DOCUMENT) {
        mongoc.bson_iter_document(&at, &length, &data);
        claiming->claimed = mongoc.bson_init_static(&counter, data, length);
        take_claimed_counter(claiming, &counter);
    }
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&command);
    return done ? FH_OK : mongodb_failed(&why, error);
}

/* From `epoch` to the next one. `clean`: nothing of it was left. */
static enum fh_code move_epoch(struct claiming *claiming, int64_t epoch, bool clean,
                               struct fh_error *error)
{
    bson_t set;
    mongoc.bson_init(&set);
    mongoc.bson_append_int64(&set, "epoch", -1, epoch + 1);
    if (clean)
        mongoc.bson_append_int64(&set, "recovered", -1, epoch);
    enum fh_code code =
        change_counter(claiming, claiming->found && !claiming->has_epoch ? -1 : epoch, &set, error);
    mongoc.bson_destroy(&set);
    return code;
}

static enum fh_code make_counter(struct claiming *claiming, mongoc_collection_t *meta,
                                 struct fh_error *error)
{
    bson_t counter;
    bson_error_t why;
    claiming->epoch = 1;
    claiming->order = (claiming->wall_ms << ORDER_FIRST_SHIFT) + BLOCK;
    mongoc.bson_init(&counter);
    mongoc.bson_append_utf8(&counter, "_id", -1, "counter", -1);
    mongoc.bson_append_int64(&counter, "position", -1, 0);
    mongoc.bson_append_int64(&counter, "epoch", -1, claiming->epoch);
    mongoc.bson_append_int64(&counter, "order", -1, claiming->order);
    mongoc.bson_append_int64(&counter, "recovered", -1, 0);
    claiming->claimed = mongoc.mongoc_collection_insert_one(meta, &counter, NULL, NULL, &why);
    mongoc.bson_destroy(&counter);
    return claiming->claimed ? FH_OK : mongodb_failed(&why, error);
}

/* ---- Claiming ---- */

static enum fh_code claim_run(struct mongodb_call *call, struct fh_error *error)
{
    struct claiming *claiming = (struct claiming *)call;
    enum fh_code code = FH_OK;
    claiming->found = claiming->has_epoch = false;
    if (claiming->known != TURN_UNCLEAN)
        code = move_epoch(claiming, claiming->known, true, error);
    if (code || claiming->claimed)
        return code;
    mongoc_collection_t *meta = mongodb_collection(call, MONGODB_META);
    code = read_counter(claiming, meta, error);
    if (!code)
        code = claiming->found ? move_epoch(claiming, claiming->epoch, false, error)
                               : make_counter(claiming, meta, error);
    mongoc.mongoc_collection_destroy(meta);
    return code;
}

static void take_block(struct mongodb *mongodb, int64_t end)
{
    mongodb->order_end = end;
    mongodb->order = end - BLOCK;
}

enum fh_code mongodb_claim(struct mongodb *mongodb, int64_t known, struct fh_error *error)
{
    struct world *world = mongodb->store.world;
    struct claiming claiming = {
        .call.run = claim_run, .known = known, .wall_ms = world_wall_ms(world)};
    int64_t deadline_ns = world_in_ms(world, MONGODB_OPEN_MS);
    for (int tries = 0; !claiming.claimed; tries++) {
        enum fh_code code = mongodb_call(mongodb, &claiming.call, error);
        if (code && code != FH_CONFLICT && code != FH_UNAVAILABLE)
            return code;
        if (!code && claiming.claimed)
            break;
        claiming.claimed = false;
        if (mongodb->closing || world_monotonic_ns(world) > deadline_ns)
            return error_set(error, FH_UNAVAILABLE,
                             "The store could not be claimed: others open it all the time.");
        mongodb_back_off(mongodb, tries);
    }
    mongodb->position = claiming.position;
    mongodb->epoch = claiming.epoch;
    mongodb->recovered = claiming.recovered;
    mongodb->since = claiming.copy;
    take_block(mongodb, claiming.order);
    return FH_OK;
}

/* ---- After a recovery ---- */

/* Removes former carriers that were kept for their late copies to find: those copies are now
 * recognised by their epoch. */
static enum fh_code sweep_markers(const struct mongodb_call *call, int64_t recovered,
                                  struct fh_error *error)
{
    mongoc_collection_t *works = mongodb_collection(call, MONGODB_WORKS);
    mongoc_bulk_operation_t *bulk =
        mongoc.mongoc_collection_create_bulk_operation_with_opts(works, NULL);
    bson_t selector, until, reply;
    bson_error_t why;
    mongoc.bson_init(&selector);
    mongoc.bson_append_document_begin(&selector, "_fh.epoch", -1, &until);
    mongoc.bson_append_int64(&until, "$lte", -1, recovered);
    mongoc.bson_append_document_end(&selector, &until);
    bool done = mongoc.mongoc_bulk_operation_remove_many_with_opts(bulk, &selector, NULL, &why);
    if (done) {
        done = mongoc.mongoc_bulk_operation_execute(bulk, &reply, &why) != 0;
        mongoc.bson_destroy(&reply);
    }
    mongoc.bson_destroy(&selector);
    mongoc.mongoc_bulk_operation_destroy(bulk);
    mongoc.mongoc_collection_destroy(works);
    return done ? FH_OK : mongodb_failed(&why, error);
}

static enum fh_code recovered_run(struct mongodb_call *call, struct fh_error *error)
{
    struct claiming *claiming = (struct claiming *)call;
    bson_t set;
    mongoc.bson_init(&set);
    mongoc.bson_append_int64(&set, "recovered", -1, claiming->known - 1);
    enum fh_code code = change_counter(claiming, claiming->known, &set, error);
    mongoc.bson_destroy(&set);
    return code ? code : sweep_markers(call, claiming->known - 1, error);
}

enum fh_code mongodb_claim_recovered(struct mongodb *mongodb, struct fh_error *error)
{
    struct claiming claiming = {.call.run = recovered_run, .known = mongodb->epoch};
    enum fh_code code = mongodb_call(mongodb, &claiming.call, error);
    if (!code && claiming.claimed)
        mongodb->recovered = claiming.recovered;
    return code;
}

/* ---- Before and since the last copying ---- */

int64_t mongodb_since(const struct mongodb *mongodb, const char *collection)
{
    static const char *const apart[] = {MONGODB_META, MONGODB_WORKS, MONGODB_DECLARED, "fh_lease",
                                        "fh_migration"}; /* not copied */
    for (size_t i = 0; i < sizeof apart / sizeof apart[0]; i++) {
        if (strcmp(collection, apart[i]) == 0)
            return 0;
    }
    return mongodb->since;
}

/* ---- Numbers ---- */

static enum fh_code reserve_run(struct mongodb_call *call, struct fh_error *error)
{
    struct claiming *claiming = (struct claiming *)call;
    return change_counter(claiming, claiming->known, NULL, error);
}

enum fh_code mongodb_order_reserve(struct mongodb *mongodb, struct fh_error *error)
{
    bool some = mongodb->order < mongodb->order_end;
    if (mongodb->order_end - mongodb->order > BLOCK / 2 || (some && mongodb->reserving))
        return FH_OK;
    struct claiming claiming = {.call.run = reserve_run, .known = mongodb->epoch};
    mongodb->reserving = true;
    enum fh_code code = mongodb_call(mongodb, &claiming.call, error);
    mongodb->reserving = false;
    if (!code && claiming.claimed && claiming.order > mongodb->order_end)
        take_block(mongodb, claiming.order);
    if (mongodb->order < mongodb->order_end)
        return FH_OK;
    return code ? code : error_set(error, FH_UNAVAILABLE, "The store is another process's now.");
}
