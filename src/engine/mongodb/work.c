/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a unit of work sees: committed data, overlaid by its own changes. Changes stay in memory
 * until the commit; documents of the ledger that it has read are remembered here too, so that each
 * is read once.
 *
 * The service's document is different: the first change locks it, reads its current state, and
 * every later change builds on that.
 *
 * Read-only units of work remember nothing. Each of their reads waits until pending writes to the
 * same place are decided, so that nobody sees what a crash of the server could undo.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/mongodb/internal.h"

/* ---- Beginning and rolling back ---- */

enum fh_code mongodb_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                           struct fh_error *error)
{
    struct mongodb *mongodb = mongodb_of(store);
    struct store_work work = {.store = store, .mode = mode};
    if (mongodb_writes(&work)) {
        enum fh_code code = mongodb_enter(mongodb, mode & STORE_EXCLUSIVE, error);
        if (code)
            return code;
    }
    struct mongodb_work *own = calloc(1, sizeof *own);
    FH_ASSERT(own != NULL);
    own->work = work;
    own->mongodb = mongodb;
    own->began = mongodb->ended;
    if (mongodb_writes(&work)) {
        own->next = mongodb->works;
        mongodb->works = own;
    }
    *ret = &own->work;
    return FH_OK;
}

void mongodb_rollback(struct store_work *work)
{
    struct mongodb_work *own = mongodb_work_of(work);
    struct mongodb *mongodb = own->mongodb;
    bool writes = mongodb_writes(work), exclusive = work->mode & STORE_EXCLUSIVE;
    mongodb_work_free(own);
    if (!writes)
        return;
    mongodb_forget_ended(mongodb);
    mongodb_leave(mongodb, exclusive);
}

/* ---- Reads and changes ---- */

static char *copy_change_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    FH_ASSERT(!text || copy);
    return copy;
}

/* Before the read: an entry that ends during it counts as later. */
void mongodb_note_read(struct mongodb_work *own, const char *collection, const char *id,
                       const json_t *filter)
{
    struct mongodb_read *read = calloc(1, sizeof *read);
    FH_ASSERT(read != NULL);
    *read = (struct mongodb_read){.collection = copy_change_text(collection),
                                  .id = copy_change_text(id),
                                  .filter = filter ? json_copy_out(filter) : NULL,
                                  .at = own->mongodb->ended,
                                  .next = own->reads};
    own->reads = read;
}

struct mongodb_change *mongodb_change_of(const struct mongodb_work *own, const char *collection,
                                         const char *id)
{
    struct mongodb_change *change = own->changes;
    while (change && (strcmp(change->id, id) != 0 || strcmp(change->collection, collection) != 0))
        change = change->next;
    return change;
}

/* Takes `document`. */
static struct mongodb_change *remember_document(struct mongodb_work *own, const char *collection,
                                                const char *id, json_t *document, bool known)
{
    struct mongodb_change *change = calloc(1, sizeof *change), **end = &own->changes;
    FH_ASSERT(change != NULL);
    *change = (struct mongodb_change){.collection = copy_change_text(collection),
                                      .id = copy_change_text(id),
                                      .old = document,
                                      .fresh = json_incref(document),
                                      .known = known};
    while (*end)
        end = &(*end)->next;
    *end = change;
    return change;
}

/* ---- One document ---- */

struct fetching {
    struct mongodb_visit visit; /* first */
    struct mongodb *mongodb;
    const char *id;
    bool ledger, found, broken, late;
    int64_t since;
    json_t *document;
    char version[ID_SIZE];
    bson_t *carried; /* the entry in it, or NULL */
    bson_t *back;    /* the document before a change that came too late; or NULL */
    struct fh_error damage;
};

static void take_own(struct fetching *fetching, const bson_t *document)
{
    bson_iter_t at, value;
    bool removed = mongoc.bson_iter_init(&at, document) &&
                   mongoc.bson_iter_find_descendant(&at, "_fh.removed", &value);
    if (mongoc.bson_iter_init(&at, document) &&
        mongoc.bson_iter_find_descendant(&at, "_fh.version", &value) && mongodb_text_of(&value))
        snprintf(fetching->version, ID_SIZE, "%s", mongodb_text_of(&value));
    bson_t carried;
    bool any;
    fetching->broken = mongodb_left_read(fetching->visit.collection, document, &carried, &any,
                                         &fetching->damage) != FH_OK;
    if (any && !fetching->broken) {
        fetching->carried = mongoc.bson_copy(&carried);
        fetching->back = mongodb_settle_back(fetching->mongodb, document, fetching->carried);
    }
    fetching->late = mongoc.bson_iter_init(&at, document) &&
                     mongoc.bson_iter_find_descendant(&at, "_fh.late", &value);
    fetching->found = !removed && !mongodb_record_is_stray(document, fetching->since);
}

static bool take_fetched(struct mongodb_visit *visit, const bson_t *document)
{
    struct fetching *fetching = (struct fetching *)visit;
    take_own(fetching, document);
    if (fetching->broken)
        return false;
    if (fetching->found)
        fetching->document = mongodb_object(document, fetching->ledger ? fetching->id : NULL);
    fetching->broken = fetching->found && !fetching->document;
    return false;
}

static enum fh_code fetch_document(struct mongodb *mongodb, const char *collection, const char *id,
                                   struct fetching *fetching, struct fh_error *error)
{
    bson_t filter, options;
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    mongoc.bson_append_utf8(&filter, "_id", -1, id, -1);
    mongoc.bson_append_int64(&options, "limit", -1, 1);
    *fetching = (struct fetching){.visit = {.collection = collection,
                                            .filter = &filter,
                                            .options = &options,
                                            .visit = take_fetched},
                                  .mongodb = mongodb,
                                  .id = id,
                                  .since = mongodb_since(mongodb, collection),
                                  .ledger = mongodb_is_ledger(collection)};
    enum fh_code code = mongodb_visit(mongodb, &fetching->visit, error);
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    if (code || !fetching->broken)
        return code;
    if (fetching->damage.code == FH_OK)
        return error_set(error, FH_INVALID, "'%.100s' in %s holds what no document of ours does.",
                         id, collection);
    *error = fetching->damage;
    return FH_INVALID;
}

static void fetched_release(struct fetching *fetching)
{
    if (fetching->carried)
        mongoc.bson_destroy(fetching->carried);
    if (fetching->back)
        mongoc.bson_destroy(fetching->back);
    fetching->carried = fetching->back = NULL;
}

static enum fh_code changed_meanwhile(struct fh_error *error)
{
    return error_retry(error, FH_CONFLICT, "What the unit of work has read was changed meanwhile.");
}

/* An entry of a process that died, or was taken for dead: the unit of work is rerun after it. Takes
 * `lock_document`. */
static enum fh_code settle_fetched(struct mongodb *mongodb, const char *collection,
                                   struct fetching *fetching, struct mongodb_lock *lock,
                                   struct fh_error *error)
{
    struct mongodb_left left = {.collection = collection,
                                .id = fetching->id,
                                .carried = fetching->carried,
                                .removed = !fetching->found,
                                .back = fetching->back};
    fetching->back = NULL;
    mongodb_settle_left(mongodb, &left, lock);
    return changed_meanwhile(error);
}

enum fh_code mongodb_get(struct store_work *work, const char *collection, const char *id,
                         json_t **ret, struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    struct mongodb_change *change = mongodb_change_of(own, collection, id);
    if (change) {
        *ret = json_incref(change->fresh);
        return FH_OK;
    }
    struct fetching fetching;
    bool writes = mongodb_writes(work);
    *ret = NULL;
    if (work->joint && !mongodb_is_ledger(collection))
        return store_part(work, error);
    if (writes)
        mongodb_note_read(own, collection, id, NULL);
    enum fh_code code = fetch_document(own->mongodb, collection, id, &fetching, error);
    if (!code && !writes)
        code = mongodb_wait_decided(own->mongodb, collection, id, error);
    else if (!code && fetching.back)
        code = settle_fetched(own->mongodb, collection, &fetching, NULL, error);
    fetched_release(&fetching);
    if (code) {
        json_decref(fetching.document);
        return code;
    }
    if (writes && mongodb_is_ledger(collection))
        remember_document(own, collection, id, json_incref(fetching.document), true)->late =
            fetching.late;
    *ret = fetching.document;
    return FH_OK;
}

/* ---- Several of the ledger ---- */

struct fetching_many {
    struct mongodb_visit visit; /* first */
    struct mongodb *mongodb;
    const char *const *ids;
    struct fetching *found; /* by the places of their ids */
    int count;
    int64_t since;
    const char *broken; /* an id */
};

static bool take_one_of_many(struct mongodb_visit *visit, const bson_t *document)
{
    struct fetching_many *many = (struct fetching_many *)visit;
    const char *id = mongodb_text_at(document, "_id");
    int at = 0;
    while (at < many->count && (!id || strcmp(many->ids[at], id) != 0))
        at++;
    if (at == many->count)
        return true;
    struct fetching *one = &many->found[at];
    *one = (struct fetching){.visit.collection = visit->collection,
                             .mongodb = many->mongodb,
                             .id = many->ids[at],
                             .ledger = true,
                             .since = many->since};
    take_fetched(&one->visit, document);
    if (one->broken)
        many->broken = one->id;
    return !one->broken;
}

static enum fh_code fetch_many(struct fetching_many *many, struct fh_error *error)
{
    bson_t filter, options, in, list;
    char number[24];
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    mongoc.bson_append_document_begin(&filter, "_id", -1, &in);
    mongoc.bson_append_array_begin(&in, "$in", -1, &list);
    for (int i = 0; i < many->count; i++) {
        snprintf(number, sizeof number, "%d", i);
        mongoc.bson_append_utf8(&list, number, -1, many->ids[i], -1);
    }
    mongoc.bson_append_array_end(&in, &list);
    mongoc.bson_append_document_end(&filter, &in);
    many->visit.filter = &filter;
    many->visit.options = &options;
    enum fh_code code = mongodb_visit(many->mongodb, &many->visit, error);
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    if (!code && many->broken)
        code = error_set(error, FH_INVALID, "'%.100s' in %s holds what no document of ours does.",
                         many->broken, many->visit.collection);
    return code;
}

enum fh_code mongodb_get_ahead(struct store_work *work, const char *collection,
                               const char *const *ids, int count, struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    struct fetching_many many = {.visit = {.collection = collection, .visit = take_one_of_many},
                                 .mongodb = own->mongodb,
                                 .ids = ids,
                                 .count = count,
                                 .since = mongodb_since(own->mongodb, collection)};
    FH_ASSERT(mongodb_writes(work) && mongodb_is_ledger(collection));
    many.found = calloc((size_t)count, sizeof *many.found);
    FH_ASSERT(many.found != NULL);
    for (int i = 0; i < count; i++)
        mongodb_note_read(own, collection, ids[i], NULL);
    enum fh_code code = fetch_many(&many, error);
    for (int i = 0; i < count; i++) {
        struct fetching *one = &many.found[i];
        fetched_release(one);
        if (code || mongodb_change_of(own, collection, ids[i]))
            json_decref(one->document);
        else
            remember_document(own, collection, ids[i], one->document, true)->late = one->late;
    }
    free(many.found);
    return code;
}

/* ---- Changes ---- */

static enum fh_code must_write(const struct store_work *work, struct fh_error *error)
{
    if (mongodb_writes(work))
        return FH_OK;
    return error_set(error, FH_UNSUPPORTED, "A read-only unit of work can't change the store.");
}

enum fh_code mongodb_put(struct store_work *work, const char *collection, const char *id,
                         json_t *document, struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    enum fh_code code = must_write(work, error);
    if (code) {
        json_decref(document);
        return code;
    }
    struct mongodb_change *change = mongodb_change_of(own, collection, id);
    if (!change)
        change = remember_document(own, collection, id, NULL, false);
    struct arena *arena = json_arena_set(NULL);
    if (document)
        json_object_set_new(document, "id", json_string(id));
    json_arena_set(arena);
    json_decref(change->fresh);
    change->fresh = document;
    if (!document && !change->known) /* whatever it is, it is to be removed */
        change->old = json_null();
    return FH_OK;
}

/* ---- The changed document ---- */

/* A document that was locked and then left unchanged need not be the one document. */
static enum fh_code drop_unchanged_lock(struct mongodb_work *own, struct fh_error *error)
{
    struct mongodb_change **at = &own->changes;
    while (*at && !(*at)->user)
        at = &(*at)->next;
    struct mongodb_change *change = *at;
    if (!change)
        return FH_OK;
    if (!mongodb_is_untouched(change))
        return error_set(
            error, FH_UNSUPPORTED,
            "One unit of work changes one document: this one has changed '%.80s' in %s.",
            change->id, change->collection);
    *at = change->next;
    change->next = NULL;
    mongodb_lock_give(own->mongodb, change->lock);
    mongodb_changes_free(change);
    return FH_OK;
}

static enum fh_code lock_document(struct mongodb_work *own, const char *collection, const char *id,
                                  struct fh_error *error)
{
    char name[ENGINE_NAME_LENGTH_MAX + DOCUMENT_ID_LENGTH_MAX + 16];
    snprintf(name, sizeof name, "document" RECORD_SEPARATOR "%s" RECORD_SEPARATOR "%s", collection,
             id);
    own->lock = mongodb_lock_take(own->mongodb, name);
    if (own->lock)
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE, "'%.100s' in %s was busy for too long.", id,
                     collection);
}

/* Makes sure that the unit of work changes no other document of the service, unless it only makes
 * some, and locks this one. *ret NULL: its content has not been read yet. */
static enum fh_code begin_change(struct store_work *work, const char *collection, const char *id,
                                 bool drawn, struct mongodb_change **ret, struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    enum fh_code code = must_write(work, error);
    *ret = mongodb_change_of(own, collection, id);
    if (code || *ret)
        return code;
    if (strlen(id) > DOCUMENT_ID_LENGTH_MAX)
        return error_set(error, FH_NOT_FOUND, "There is no '%.100s' in %s.", id, collection);
    if (work->joint && !drawn)
        return store_part(work, error);
    code = work->joint ? FH_OK : drop_unchanged_lock(own, error);
    return code ? code : lock_document(own, collection, id, error);
}

/* Takes `document`, and the lock. */
static struct mongodb_change *remember_locked(struct mongodb_work *own, const char *collection,
                                              const char *id, json_t *document)
{
    struct mongodb_change *change = remember_document(own, collection, id, document, true);
    change->user = true;
    change->lock = own->lock;
    own->lock = NULL;
    return change;
}

enum fh_code mongodb_change_made(struct store_work *work, const char *collection, const char *id,
                                 struct mongodb_change **ret, struct fh_error *error)
{
    enum fh_code code = begin_change(work, collection, id, true, ret, error);
    if (code || *ret)
        return code;
    *ret = remember_locked(mongodb_work_of(work), collection, id, NULL);
    (*ret)->drawn = true;
    return FH_OK;
}

enum fh_code mongodb_change_get(struct store_work *work, const char *collection, const char *id,
                                struct mongodb_change **ret, struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    struct fetching fetching = {0};
    enum fh_code code = begin_change(work, collection, id, false, ret, error);
    if (code || *ret)
        return code;
    mongodb_note_read(own, collection, id, NULL);
    code = fetch_document(own->mongodb, collection, id, &fetching, error);
    if (!code && fetching.carried) {
        code = settle_fetched(own->mongodb, collection, &fetching, own->lock, error);
        own->lock = NULL;
    } else if (!code && !mongodb_is_valid(own)) {
        code = changed_meanwhile(error);
    }
    fetched_release(&fetching);
    if (code) {
        json_decref(fetching.document);
        return code;
    }
    *ret = remember_locked(own, collection, id, fetching.document);
    (*ret)->late = fetching.late;
    memcpy((*ret)->version, fetching.version, ID_SIZE);
    return FH_OK;
}

/* ---- Everything else ---- */

static enum fh_code append_to_list(struct store_work *work, json_t **list, json_t *item,
                                   struct fh_error *error)
{
    enum fh_code code = must_write(work, error);
    if (code) {
        json_decref(item);
        return code;
    }
    struct arena *arena = json_arena_set(NULL);
    if (!*list)
        *list = json_array();
    FH_ASSERT(*list && json_array_append_new(*list, item) == 0);
    json_arena_set(arena);
    return FH_OK;
}

enum fh_code mongodb_remove_range(struct store_work *work, const char *collection, json_t *filter,
                                  struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    json_t *range = record_pack("{s:s, s:o}", "collection", collection, "filter", filter);
    return append_to_list(work, &own->ranges, range, error);
}

enum fh_code mongodb_add_event(struct store_work *work, json_t *event, struct fh_error *error)
{
    return append_to_list(work, &mongodb_work_of(work)->events, event, error);
}
