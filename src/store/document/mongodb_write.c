/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A work's one write, and certainty about it.
 *
 * Whether it was made is always known in the end. A document's version is the id of the work that
 * wrote it, so what was sent can be sent again, which does it once, and then be looked for. A
 * server that goes away meanwhile is waited for; after MONGODB_DECIDE_MS the commit returns
 * FH_OUTCOME_UNKNOWN. Even then the write is made or found refused later, and until then nobody may
 * touch what it touches.
 *
 * What is found in place of an answer counts only when a majority has it.
 */

#include <string.h>

#include "base/crash.h"
#include "store/document/mongodb.h"

struct writing {
    struct mongodb_call call; /* first */
    const struct mongodb_entry *entry;
    bool done; /* else there was nothing at that version */
};

static bool write_once(mongoc_collection_t *collection, const struct mongodb_entry *entry,
                       const bson_t *selector, bson_t *reply, bson_error_t *why)
{
    bson_t options;
    bool done;
    mongoc.bson_init(&options);
    switch (entry->kind) {
    case MONGODB_INSERT:
        mongoc.bson_init(reply);
        return mongoc.mongoc_collection_insert_one(collection, entry->document, NULL, NULL, why);
    case MONGODB_PUT:
        mongoc.bson_append_bool(&options, "upsert", -1, true);
        break;
    case MONGODB_DELETE:
    case MONGODB_DROP:
        return mongoc.mongoc_collection_delete_one(collection, selector, NULL, reply, why);
    case MONGODB_REPLACE:
        break;
    }
    done = mongoc.mongoc_collection_replace_one(collection, selector, entry->document, &options,
                                                reply, why);
    mongoc.bson_destroy(&options);
    return done;
}

static bool has_counted(const bson_t *reply, const char *name)
{
    bson_iter_t at;
    if (!mongoc.bson_iter_init_find(&at, reply, name))
        return false;
    return mongoc.bson_iter_type(&at) == BSON_TYPE_INT32 ? mongoc.bson_iter_int32(&at) > 0
                                                         : mongoc.bson_iter_int64(&at) > 0;
}

/* On a thread of the pool. FH_OK: answered, see `done`. */
static enum fh_code write_run(struct mongodb_call *call, struct fh_error *error)
{
    struct writing *writing = (struct writing *)call;
    const struct mongodb_entry *entry = writing->entry;
    mongoc_collection_t *collection = mongodb_collection(call, entry->collection);
    bson_t selector, reply;
    bson_error_t why;
    bool guarded = entry->kind == MONGODB_REPLACE || entry->kind == MONGODB_DELETE;
    mongoc.bson_init(&selector);
    mongoc.bson_append_utf8(&selector, "_id", -1, entry->document_id, -1);
    if (guarded)
        mongoc.bson_append_utf8(&selector, "_fh.version", -1, entry->version, -1);
    bool answered = write_once(collection, entry, &selector, &reply, &why);
    writing->done = answered;
    if (answered && guarded)
        writing->done =
            has_counted(&reply, entry->kind == MONGODB_DELETE ? "deletedCount" : "matchedCount");
    enum fh_code code = answered ? FH_OK : mongodb_failed(&why, error);
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&selector);
    mongoc.mongoc_collection_destroy(collection);
    return code;
}

struct looking {
    struct mongodb_visit visit; /* first */
    const char *version;
    bool there, ours;
};

static bool see_version(struct mongodb_visit *visit, const bson_t *document)
{
    struct looking *looking = (struct looking *)visit;
    bson_iter_t at, value;
    looking->there = true;
    looking->ours = mongoc.bson_iter_init(&at, document) &&
                    mongoc.bson_iter_find_descendant(&at, "_fh.version", &value) &&
                    strcmp(mongoc.bson_iter_utf8(&value, NULL), looking->version) == 0;
    return false;
}

static enum fh_code look(struct mongodb_entry *entry, const char *level, bool *ret_ours,
                         struct fh_error *error)
{
    bson_t filter, options, concern;
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    mongoc.bson_append_utf8(&filter, "_id", -1, entry->document_id, -1);
    mongoc.bson_append_document_begin(&options, "readConcern", -1, &concern);
    mongoc.bson_append_utf8(&concern, "level", -1, level, -1);
    mongoc.bson_append_document_end(&options, &concern);
    struct looking looking = {.visit = {.collection = entry->collection,
                                        .filter = &filter,
                                        .options = &options,
                                        .visit = see_version},
                              .version = entry->id};
    enum fh_code code = mongodb_visit(entry->mongodb, &looking.visit, error);
    *ret_ours = entry->kind == MONGODB_DELETE ? !looking.there : looking.ours;
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    return code;
}

/* After a repetition that found nothing to write: was it an earlier attempt? */
static enum fh_code look_whose(struct mongodb_entry *entry, bool *ret_ours, struct fh_error *error)
{
    bool durable;
    enum fh_code code = look(entry, "local", ret_ours, error);
    if (code || !*ret_ours)
        return code;
    code = look(entry, "majority", &durable, error);
    if (!code && !durable)
        code = error_set(error, FH_UNAVAILABLE, "The write has not reached a majority yet.");
    return code;
}

/* One attempt; `again`: one before it may have been made. FH_UNAVAILABLE: still unknown. */
static enum fh_code attempt(struct mongodb_entry *entry, bool again, bool *ret_done,
                            struct fh_error *error)
{
    struct writing writing = {.call.run = write_run, .entry = entry};
    enum fh_code code = mongodb_call(entry->mongodb, &writing.call, error);
    if (code && code != FH_CONFLICT)
        return code;
    *ret_done = writing.done;
    if (writing.done || !again)
        return FH_OK;
    return look_whose(entry, ret_done, error);
}

static void decide(struct mongodb_entry *entry, bool done)
{
    struct mongodb *mongodb = entry->mongodb;
    entry->decided = true;
    entry->refused = !done;
    fiber_wake_all(&mongodb->decided);
    if (done && entry->carried)
        mongodb_settle(entry);
    else
        mongodb_entry_ends(entry);
}

/* Nobody waits for it any more, but its locks are held until it is known. */
static void decide_later(void *argument)
{
    struct mongodb_entry *entry = argument;
    bool done = false;
    struct fh_error error;
    enum fh_code code = FH_UNAVAILABLE;
    for (int tries = 0; code == FH_UNAVAILABLE && !entry->mongodb->closing; tries++) {
        mongodb_back_off(entry->mongodb, tries);
        code = attempt(entry, true, &done, &error);
    }
    decide(entry, code == FH_OK && done);
    entry->mongodb->deciding--;
    fiber_wake_all(&entry->mongodb->carried);
    fiber_wake_all(&entry->mongodb->turner);
    mongodb_entry_release(entry);
}

static enum fh_code unknown(struct mongodb_entry *entry, struct fh_error *error)
{
    struct mongodb *mongodb = entry->mongodb;
    entry->references++;
    mongodb->deciding++;
    if (!fiber_start(mongodb->store.world->fibers, decide_later, entry))
        decide_later(entry); /* then its work has to wait for it after all */
    return error_set(error, FH_OUTCOME_UNKNOWN,
                     "The database went away during the commit: whether it was done is not known.");
}

enum fh_code mongodb_write(struct mongodb_entry *entry, struct fh_error *error)
{
    struct world *world = entry->mongodb->store.world;
    int64_t deadline_ns = world_in_ms(world, MONGODB_DECIDE_MS);
    bool done = false;
    CRASH_POINT("mongodb.unwritten");
    enum fh_code code = attempt(entry, false, &done, error);
    for (int tries = 0; code == FH_UNAVAILABLE; tries++) {
        if (world_monotonic_ns(world) > deadline_ns || entry->mongodb->closing)
            return unknown(entry, error);
        mongodb_back_off(entry->mongodb, tries);
        code = attempt(entry, true, &done, error);
    }
    if (done)
        CRASH_POINT("mongodb.written");
    decide(entry, done);
    if (!code && !done) {
        code = error_set(error, FH_CONFLICT, "The document was changed by another process.");
        if (error)
            error->retryable = true;
    }
    return code;
}
