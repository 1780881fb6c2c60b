/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit of work's one write, and certainty about its outcome.
 *
 * Whether it was made is always known in the end. A document's version is the id of the unit of
 * work that wrote it, so a request can be sent again, which takes effect once, and the result can
 * be looked up. If the server goes away, we wait for as long as it takes: the caller is told
 * nothing before the outcome is known, and until then no others may touch the same documents.
 *
 * A result that is looked up in place of an answer counts only when a majority has it.
 *
 * If a write was sent twice, a copy may arrive when all is over, and others have written since:
 *
 *     REPLACE, DELETE     the version is no longer the one that they name, and never will be again
 *     INSERT              the document is there, or the marker that its removal left: a repetition
 *                         sets _fh.late in the document for that
 *     PUT, DROP, BURY     the record is newer: record.c
 */

#include <string.h>

#include "base/crash.h"
#include "engine/mongodb/internal.h"

struct writing {
    struct mongodb_call call; /* first */
    const struct mongodb_entry *entry;
    bool again; /* an earlier attempt may have succeeded, or may still */
    bool done;  /* false: there was nothing with that version */
};

static bool insert_entry(mongoc_collection_t *collection, const struct writing *writing,
                         bson_t *reply, bson_error_t *why)
{
    const struct mongodb_entry *entry = writing->entry;
    if (!writing->again)
        return mongoc.mongoc_collection_insert_one(collection, entry->document, NULL, reply, why);
    bson_t *told = mongodb_record_told_late(entry->document);
    bool done = mongoc.mongoc_collection_insert_one(collection, told, NULL, reply, why);
    mongoc.bson_destroy(told);
    return done;
}

static bool put_once(mongoc_collection_t *collection, const struct writing *writing,
                     const bson_t *selector, bson_t *reply, bson_error_t *why)
{
    bson_t options, update;
    mongoc.bson_init(&options);
    mongoc.bson_append_bool(&options, "upsert", -1, true);
    mongodb_record_update(&update, writing->entry->document, writing->entry->order, writing->again);
    bool done =
        mongoc.mongoc_collection_update_one(collection, selector, &update, &options, reply, why);
    mongoc.bson_destroy(&update);
    mongoc.bson_destroy(&options);
    return done;
}

static bool bury_once(mongoc_collection_t *collection, const struct mongodb_entry *entry,
                      const bson_t *selector, bson_t *reply, bson_error_t *why)
{
    bson_t gone;
    mongodb_record_gone(&gone, entry->document_id, entry->order);
    bool done = mongoc.mongoc_collection_replace_one(collection, selector, &gone, NULL, reply, why);
    mongoc.bson_destroy(&gone);
    return done;
}

static bool write_once(mongoc_collection_t *collection, const struct writing *writing,
                       const bson_t *selector, bson_t *reply, bson_error_t *why)
{
    const struct mongodb_entry *entry = writing->entry;
    switch (entry->kind) {
    case MONGODB_INSERT:
        return insert_entry(collection, writing, reply, why);
    case MONGODB_PUT:
        return put_once(collection, writing, selector, reply, why);
    case MONGODB_BURY:
        return bury_once(collection, entry, selector, reply, why);
    case MONGODB_DELETE:
    case MONGODB_DROP:
        return mongoc.mongoc_collection_delete_one(collection, selector, NULL, reply, why);
    case MONGODB_REPLACE:
        break;
    }
    return mongoc.mongoc_collection_replace_one(collection, selector, entry->document, NULL, reply,
                                                why);
}

static bool is_guarded(const struct mongodb_entry *entry)
{
    return entry->kind == MONGODB_REPLACE || entry->kind == MONGODB_DELETE;
}

static void selector_of(const struct mongodb_entry *entry, bson_t *selector)
{
    mongoc.bson_init(selector);
    mongoc.bson_append_utf8(selector, "_id", -1, entry->document_id, -1);
    if (is_guarded(entry))
        mongoc.bson_append_utf8(selector, "_fh.version", -1, entry->version, -1);
    else
        mongodb_record_guard(selector, entry->order, false);
}

/* On a thread of the pool. FH_OK: answered, see `done`. */
static enum fh_code run_entry_write(struct mongodb_call *call, struct fh_error *error)
{
    struct writing *writing = (struct writing *)call;
    const struct mongodb_entry *entry = writing->entry;
    mongoc_collection_t *collection = mongodb_collection(call, entry->collection);
    bson_t selector, reply;
    bson_error_t why;
    selector_of(entry, &selector);
    bool answered = write_once(collection, writing, &selector, &reply, &why);
    writing->done = answered;
    if (answered && is_guarded(entry))
        writing->done =
            mongodb_integer_at(&reply,
                               entry->kind == MONGODB_DELETE ? "deletedCount" : "matchedCount") > 0;
    enum fh_code code = answered ? FH_OK : mongodb_failed(&why, error);
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&selector);
    mongoc.mongoc_collection_destroy(collection);
    return code;
}

/* Marks the document that an INSERT met, whoever created it: it has to stay until copies of the
 * INSERT have arrived. */
static enum fh_code mark_run(struct mongodb_call *call, struct fh_error *error)
{
    const struct mongodb_entry *entry = ((struct writing *)call)->entry;
    mongoc_collection_t *collection = mongodb_collection(call, entry->collection);
    bson_t selector, update, set, reply;
    bson_error_t why;
    mongoc.bson_init(&selector);
    mongoc.bson_init(&update);
    mongoc.bson_append_utf8(&selector, "_id", -1, entry->document_id, -1);
    mongoc.bson_append_document_begin(&update, "$set", -1, &set);
    mongoc.bson_append_bool(&set, "_fh.late", -1, true);
    mongoc.bson_append_document_end(&update, &set);
    bool done =
        mongoc.mongoc_collection_update_one(collection, &selector, &update, NULL, &reply, &why);
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&update);
    mongoc.bson_destroy(&selector);
    mongoc.mongoc_collection_destroy(collection);
    return done ? FH_OK : mongodb_failed(&why, error);
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
    const char *version = NULL;
    if (mongoc.bson_iter_init(&at, document) &&
        mongoc.bson_iter_find_descendant(&at, "_fh.version", &value))
        version = mongodb_text_of(&value);
    looking->there = true;
    looking->ours = version && strcmp(version, looking->version) == 0;
    return false;
}

static enum fh_code look_for_entry(struct mongodb_entry *entry, const char *level, bool *ret_ours,
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

/* After a repetition that found nothing to write: had an earlier attempt written it? */
static enum fh_code look_whose(struct mongodb_entry *entry, bool *ret_ours, struct fh_error *error)
{
    bool durable;
    enum fh_code code = look_for_entry(entry, "local", ret_ours, error);
    if (code || !*ret_ours)
        return code;
    code = look_for_entry(entry, "majority", &durable, error);
    if (!code && !durable)
        code = error_set(error, FH_UNAVAILABLE, "The write has not reached a majority yet.");
    return code;
}

/* After a repetition that was refused or found nothing to write. */
static enum fh_code find_out(struct mongodb_entry *entry, bool *ret_done, struct fh_error *error)
{
    struct writing marking = {.call.run = mark_run, .entry = entry};
    if (entry->kind != MONGODB_INSERT && !is_guarded(entry))
        return FH_OK; /* the record is newer: another process has the store */
    enum fh_code code = look_whose(entry, ret_done, error);
    if (!code && entry->kind == MONGODB_INSERT)
        code = mongodb_call(entry->mongodb, &marking.call, error);
    return code;
}

/* One attempt; `again`: an earlier one may have succeeded. FH_UNAVAILABLE: still unknown. */
static enum fh_code attempt_write(struct mongodb_entry *entry, bool again, bool *ret_done,
                                  struct fh_error *error)
{
    struct writing writing = {.call.run = run_entry_write, .entry = entry, .again = again};
    entry->late = entry->late || (again && entry->kind == MONGODB_INSERT);
    enum fh_code code = mongodb_call(entry->mongodb, &writing.call, error);
    if (code == FH_UNAVAILABLE)
        return code;
    *ret_done = writing.done;
    if (!writing.done && again) {
        enum fh_code found = find_out(entry, ret_done, code ? NULL : error);
        if (found || *ret_done)
            return found;
    }
    return code == FH_CONFLICT ? FH_OK : code;
}

static void settle_decided(struct mongodb_entry *entry, bool done)
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

enum fh_code mongodb_write(struct mongodb_entry *entry, struct fh_error *error)
{
    bool done = false;
    CRASH_POINT("mongodb.unwritten");
    enum fh_code code = attempt_write(entry, false, &done, error);
    for (int tries = 0; code == FH_UNAVAILABLE; tries++) {
        mongodb_back_off(entry->mongodb, tries);
        code = attempt_write(entry, true, &done, error);
    }
    if (done)
        CRASH_POINT("mongodb.written");
    settle_decided(entry, done);
    if (!code && !done)
        code = error_retry(error, FH_CONFLICT, "The document was changed by another process.");
    return code;
}
