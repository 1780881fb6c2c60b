/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MongoDB engine: opening and closing a store. docs/operate/engines/mongodb.md explains why it
 * is built like this, what is promised and what was tested against which server.
 *
 * One process at a time writes into a store: the only one that has it open, or the one whose turn
 * it is (turn.c); claim.c records which one that is.
 */

#include "engine/mongodb/internal.h"

#include <stdlib.h>

#include "store/turn.h"

/* ---- Indexes of the ledger ---- */

static const struct {
    const char *collection, *name;
    const char *fields[3];
} indexes[] = {
    {MONGODB_OUTBOX, "work", {"work"}},
    {"fh_command", "number", {"caller", "birth", "number"}},
    {"fh_command", "created", {"birth", "created_ms"}},
    {"fh_parked", "key", {"source", "key"}},
    {MONGODB_SAGAS, "status", {"status"}},
    {MONGODB_SAGAS, "closed", {"birth", "closed", "status"}},
    {MONGODB_SAGAS, "start", {"start_id"}},
};

static bool make_ledger_index(const struct mongodb_call *call, size_t i, bson_error_t *why)
{
    bson_t command, list, index, key, reply;
    mongoc.bson_init(&command);
    mongoc.bson_append_utf8(&command, "createIndexes", -1, indexes[i].collection, -1);
    mongoc.bson_append_array_begin(&command, "indexes", -1, &list);
    mongoc.bson_append_document_begin(&list, "0", -1, &index);
    mongoc.bson_append_document_begin(&index, "key", -1, &key);
    for (int field = 0; field < 3 && indexes[i].fields[field]; field++)
        mongoc.bson_append_int64(&key, indexes[i].fields[field], -1, 1);
    mongoc.bson_append_document_end(&index, &key);
    mongoc.bson_append_utf8(&index, "name", -1, indexes[i].name, -1);
    mongoc.bson_append_document_end(&list, &index);
    mongoc.bson_append_array_end(&command, &list);
    bool done = mongoc.mongoc_client_write_command_with_opts(call->client, call->database, &command,
                                                             NULL, &reply, why);
    mongoc.bson_destroy(&reply);
    mongoc.bson_destroy(&command);
    return done;
}

static enum fh_code indexes_run(struct mongodb_call *call, struct fh_error *error)
{
    bson_error_t why;
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        if (!make_ledger_index(call, i, &why))
            return mongodb_failed(&why, error);
    }
    return FH_OK;
}

/* ---- Opening and closing ---- */

static enum fh_code mongodb_prepare_store(struct mongodb *mongodb, struct fh_error *error)
{
    struct mongodb_call making = {.run = indexes_run};
    struct store_work *work;
    enum fh_code code = mongodb_call(mongodb, &making, error);
    if (!code)
        code = mongodb_claim(mongodb, TURN_UNCLEAN, error);
    if (!code)
        code = mongodb_begin(&mongodb->store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code)
        return code;
    code = ledger_prepare(work, mongodb->store.incarnation, error);
    if (!code)
        code = mongodb_collections_read(work, error);
    if (code) {
        mongodb_rollback(work);
        return code;
    }
    code = mongodb_commit(work, error);
    if (!code)
        code = mongodb_recover(mongodb, error);
    /* Once more: an earlier process may have changed it, and died before that write arrived. */
    if (!code)
        code = mongodb_begin(&mongodb->store, STORE_READ, &work, error);
    if (code)
        return code;
    code = ledger_meta_get(work, LEDGER_INCARNATION, mongodb->store.incarnation, ID_SIZE, error);
    mongodb_rollback(work);
    return code;
}

static void mongodb_close(struct store *store)
{
    struct mongodb *mongodb = mongodb_of(store);
    mongodb->closing = true;
    fiber_wake_all(&mongodb->for_entries);
    fiber_wake_all(&mongodb->turner);
    while (mongodb->carrying || mongodb->turning)
        fiber_wait(&mongodb->carried);
    mongodb_turn_close(mongodb);
    while (mongodb->first) { /* it stays in its document, and is found at the next opening */
        struct mongodb_entry *entry = mongodb->first;
        mongodb->first = entry->next_carried;
        mongodb_entry_ends(entry);
        mongodb_entry_release(entry);
    }
    mongodb_forget_ended(mongodb);
    FH_ASSERT(mongodb->locks.count == 0 && mongodb->open == 0);
    mongodb_disconnect(mongodb);
    for (int i = 0; i < mongodb->collection_count; i++)
        free((char *)(uintptr_t)mongodb->collections[i].name);
    map_release(&mongodb->locks);
    free(mongodb);
}

static enum fh_code mongodb_open(const struct store_options *options, struct world *world,
                                 struct store **ret, struct fh_error *error)
{
    enum fh_code code = mongodb_load(error);
    if (code)
        return code;
    struct mongodb *mongodb = calloc(1, sizeof *mongodb);
    FH_ASSERT(mongodb != NULL);
    store_init(&mongodb->store, &engine_mongodb, options, world);
    map_init(&mongodb->locks);
    code = mongodb_connect(mongodb, options, error);
    if (!code)
        code = mongodb_settle_start(mongodb, error);
    if (!code)
        code = mongodb_turn_open(mongodb, options, error);
    if (!code)
        code = mongodb_prepare_store(mongodb, error);
    if (!code)
        code = mongodb_turn_start(mongodb, error);
    if (code) {
        mongodb_close(&mongodb->store);
        return code;
    }
    *ret = &mongodb->store;
    return FH_OK;
}

/* While an exclusive unit of work is open, the turn stays here (turn.c). */
static enum fh_code mongodb_hold(struct store *store, struct fh_error *error)
{
    return mongodb_begin(store, STORE_WRITE_EXCLUSIVE, &mongodb_of(store)->holds, error);
}

static enum fh_code mongodb_release(struct store *store, struct fh_error *error)
{
    (void)error;
    mongodb_rollback(mongodb_of(store)->holds);
    mongodb_of(store)->holds = NULL;
    return FH_OK;
}

static const struct store_ops mongodb_store = {
    .load = mongodb_load,
    .open = mongodb_open,
    .close = mongodb_close,
    .begin = mongodb_begin,
    .commit = mongodb_commit,
    .rollback = mongodb_rollback,
    .sequence = mongodb_sequence,
    .clock = mongodb_clock,
    .hold = mongodb_hold,
    .release = mongodb_release,
};

const struct engine engine_mongodb = {
    .name = "mongodb",
    .title = "MongoDB",
    .abilities = ENGINE_MANY_INSTANCES | ENGINE_ONE_DOCUMENT | ENGINE_READS_APART,
    .models = 1u << FH_DOCUMENT,
    .store = &mongodb_store,
    .ledger = &mongodb_ledger,
    .documents = &mongodb_documents,
    .copied_ledger = &mongodb_copied_ledger,
    .copied_documents = &mongodb_copied_documents,
    .server = &server_mongodb,
};
