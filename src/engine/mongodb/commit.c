/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committing: all that a unit of work changes is in ONE write of ONE document, which any server
 * makes atomically.
 *
 *     it changes            the one write
 *     a document            that document, guarded by its version; under _fh.work it also holds
 *                           everything else that the unit of work changes: its entry
 *     none, one record      that record of the ledger
 *     none, several         a document in fh_work that holds the entry and nothing else
 *     it creates one,       the same; the document is one of the entry's writes, and exists
 *     and something else    before anybody learns of the unit of work
 *     it creates several    the same: a joint unit of work (store.h), each of whose members makes
 *                           one
 *
 * An entry is {id, at, epoch, writes: [{collection, id, document | gone} | {collection, range}],
 * events: [...], back: how to restore its document (back.c)}. A document in `writes` that has _fh
 * is a new one of the service; `new`: a record that did not exist. After the one write the entry
 * is carried on (settle.c) and then taken out of the document. Its number (`at`) is drawn when the
 * unit of work is valid: so it is above that of every unit of work that wrote anything that this
 * one reads or writes.
 *
 *     killed before the write     no trace
 *     killed after it             all of it: the rest is carried on at the next opening
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "engine/mongodb/internal.h"

#define INTERNAL "freehold."
#define DERIVED_LOCK "derived "

/* ---- The entry ---- */

static bool append_carried_change(bson_t *list, int index, const struct mongodb_change *change)
{
    bson_t item, document;
    char number[24];
    snprintf(number, sizeof number, "%d", index);
    mongoc.bson_append_document_begin(list, number, -1, &item);
    mongoc.bson_append_utf8(&item, "collection", -1, change->collection, -1);
    mongoc.bson_append_utf8(&item, "id", -1, change->id, -1);
    bool fits = true;
    if (change->fresh) {
        mongoc.bson_append_document_begin(&item, "document", -1, &document);
        fits = mongodb_append_fields(&document, change->fresh, "id", MONGODB_NESTED);
        mongoc.bson_append_document_end(&item, &document);
        if (change->known && !change->old && !change->late)
            mongoc.bson_append_bool(&item, "new", -1, true);
    } else {
        mongoc.bson_append_bool(&item, "gone", -1, true);
        if (change->known && !change->late) /* then its removal leaves no marker: carry_record.c */
            mongoc.bson_append_bool(&item, "once", -1, true);
    }
    return mongoc.bson_append_document_end(list, &item) && fits;
}

static void append_own_entry(bson_t *document, const struct mongodb_entry *entry, bson_t *ret)
{
    mongoc.bson_append_document_begin(document, "_fh", -1, ret);
    mongoc.bson_append_utf8(ret, "version", -1, entry->id, -1);
    mongoc.bson_append_int64(ret, "at", -1, entry->order);
}

/* The new document of the service, including _fh. */
static bool append_made(bson_t *list, int index, const struct mongodb_change *change,
                        const struct mongodb_entry *entry)
{
    bson_t item, document, own;
    char number[24];
    snprintf(number, sizeof number, "%d", index);
    mongoc.bson_append_document_begin(list, number, -1, &item);
    mongoc.bson_append_utf8(&item, "collection", -1, change->collection, -1);
    mongoc.bson_append_utf8(&item, "id", -1, change->id, -1);
    mongoc.bson_append_document_begin(&item, "document", -1, &document);
    append_own_entry(&document, entry, &own);
    mongoc.bson_append_document_end(&document, &own);
    bool fits = mongodb_append_fields(&document, change->fresh, NULL, entry->mongodb->nesting);
    mongoc.bson_append_document_end(&item, &document);
    return mongoc.bson_append_document_end(list, &item) && fits;
}

/* A filter is in the server's own terms: its names stay as they are. */
static bool append_range(bson_t *list, int index, const json_t *range)
{
    bson_t item;
    char number[24], *text = json_text(json_object_get(range, "filter"));
    snprintf(number, sizeof number, "%d", index);
    mongoc.bson_append_document_begin(list, number, -1, &item);
    mongoc.bson_append_utf8(&item, "collection", -1,
                            json_string_value(json_object_get(range, "collection")), -1);
    mongoc.bson_append_utf8(&item, "range", -1, text, -1);
    json_text_free(text);
    return mongoc.bson_append_document_end(list, &item);
}

static bool append_writes(bson_t *to, const struct mongodb_work *own,
                          const struct mongodb_entry *of)
{
    bson_t list;
    int index = 0;
    size_t i;
    json_t *range;
    bool fits = mongoc.bson_append_array_begin(to, "writes", -1, &list);
    for (const struct mongodb_change *change = own->changes; change && fits;
         change = change->next) {
        if (!change->user)
            fits = append_carried_change(&list, index++, change);
        else if (of->makes)
            fits = append_made(&list, index++, change, of);
    }
    json_array_foreach (own->ranges, i, range)
        fits = fits && append_range(&list, index++, range);
    return mongoc.bson_append_array_end(to, &list) && fits;
}

/* `user`: the document that will carry it, or NULL. Returns NULL when it does not fit into one. */
static bson_t *entry_bson(const struct mongodb_work *own, const struct mongodb_entry *of,
                          const struct mongodb_change *user)
{
    bson_t *entry = mongoc.bson_new();
    bool fits = mongoc.bson_append_utf8(entry, "id", -1, of->id, -1) &&
                mongoc.bson_append_int64(entry, "at", -1, of->order) &&
                mongoc.bson_append_int64(entry, "epoch", -1, of->mongodb->epoch) &&
                append_writes(entry, own, of);
    if (own->events)
        fits = fits && mongodb_append_value(entry, "events", own->events, MONGODB_NESTED);
    if (user)
        fits = fits && mongodb_back_append(entry, user, of->mongodb->nesting);
    if (fits && entry->len < MONGODB_DOCUMENT_SIZE_MAX)
        return entry;
    mongoc.bson_destroy(entry);
    return NULL;
}

/* ---- The document that carries it ---- */

/* {_id, _fh: {version, at, removed?, late?, work?}, fields} */
static bson_t *carrier_bson(const struct mongodb_entry *entry, const json_t *fields)
{
    bson_t *document = mongoc.bson_new(), own;
    mongoc.bson_append_utf8(document, "_id", -1, entry->document_id, -1);
    append_own_entry(document, entry, &own);
    if (entry->removed)
        mongoc.bson_append_bool(&own, "removed", -1, true);
    if (entry->late)
        mongoc.bson_append_bool(&own, "late", -1, true);
    bool fits = !entry->carried || mongoc.bson_append_document(&own, "work", -1, entry->carried);
    mongoc.bson_append_document_end(document, &own);
    if (fits && fields)
        fits = mongodb_append_fields(document, fields, NULL, entry->mongodb->nesting);
    if (fits && document->len < MONGODB_DOCUMENT_SIZE_MAX)
        return document;
    mongoc.bson_destroy(document);
    return NULL;
}

static bson_t *record_bson(const struct mongodb_change *change)
{
    bson_t *document = mongoc.bson_new();
    if (mongodb_append_fields(document, change->fresh, "id", MONGODB_NESTED) &&
        document->len < MONGODB_DOCUMENT_SIZE_MAX)
        return document;
    mongoc.bson_destroy(document);
    return NULL;
}

/* A document that was only read is no change. It stays locked until the unit of work has ended, if
 * it is the only one. */
static void drop_read_changes(struct mongodb_work *own)
{
    struct mongodb_change **at = &own->changes, *untouched = NULL;
    while (*at) {
        struct mongodb_change *change = *at;
        if (!mongodb_is_untouched(change)) {
            at = &change->next;
            continue;
        }
        *at = change->next;
        change->next = untouched;
        untouched = change;
        if (own->lock)
            mongodb_lock_give(own->mongodb, change->lock);
        else
            own->lock = change->lock;
    }
    mongodb_changes_free(untouched);
}

static enum fh_code entry_too_large(struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "The unit of work writes more than fits into one document of MongoDB: %d MiB.",
                     MONGODB_DOCUMENT_SIZE_MAX >> 20);
}

static enum fh_code plan_document(struct mongodb_entry *entry, const struct mongodb_change *change,
                                  struct fh_error *error)
{
    bool removed = change->fresh == NULL, leaves = entry->carried || change->late;
    entry->removed = removed;
    entry->late = change->late;
    entry->collection = change->collection;
    entry->document_id = change->id;
    entry->version = change->version;
    entry->kind = removed && !leaves ? MONGODB_DELETE
                  : *change->version ? MONGODB_REPLACE
                                     : MONGODB_INSERT;
    if (entry->kind != MONGODB_DELETE)
        entry->document = carrier_bson(entry, change->fresh);
    return entry->document || entry->kind == MONGODB_DELETE ? FH_OK : entry_too_large(error);
}

static enum fh_code plan_record(struct mongodb_entry *entry, const struct mongodb_change *change,
                                struct fh_error *error)
{
    entry->collection = change->collection;
    entry->document_id = change->id;
    entry->kind = change->fresh ? MONGODB_PUT : change->late ? MONGODB_BURY : MONGODB_DROP;
    if (change->fresh)
        entry->document = record_bson(change);
    return entry->document || !change->fresh ? FH_OK : entry_too_large(error);
}

static enum fh_code plan_alone(struct mongodb_entry *entry, struct fh_error *error)
{
    entry->collection = MONGODB_WORKS;
    entry->document_id = entry->id;
    entry->kind = MONGODB_INSERT;
    entry->document = carrier_bson(entry, NULL);
    return entry->document ? FH_OK : entry_too_large(error);
}

/* A new document of the service, of which no late copy can arrive: it is created after the one
 * write. Otherwise its carrier would have to be searched for again. */
static bool is_made(const struct mongodb_change *user)
{
    return user && user->fresh && !*user->version && !user->late;
}

/* Which document to write, and with what content. */
static enum fh_code plan_write(struct mongodb_entry *entry, const struct mongodb_work *own,
                               struct fh_error *error)
{
    const struct mongodb_change *user = NULL, *first = own->changes;
    int records = 0;
    bool several = false;
    for (const struct mongodb_change *change = own->changes; change; change = change->next) {
        if (!change->user) {
            records++;
            continue;
        }
        several = several || user != NULL;
        FH_ASSERT(!several || (is_made(change) && is_made(user)));
        user = change;
    }
    bool more = own->events || own->ranges || several;
    if (!user && records == 1 && !more && (first->fresh || first->known))
        return plan_record(entry, first, error);
    entry->makes = (records || more) && is_made(user);
    if (records || more)
        entry->carried = entry_bson(own, entry, entry->makes ? NULL : user);
    if (entry->makes)
        return entry->carried ? plan_alone(entry, error) : entry_too_large(error);
    if (user && entry->carried && plan_document(entry, user, ERROR_UNHEEDED) == FH_OK)
        return FH_OK;
    if (user && (records || more)) { /* try without `back` */
        if (entry->carried)
            mongoc.bson_destroy(entry->carried);
        entry->carried = entry_bson(own, entry, NULL);
    }
    if (!entry->carried && (records || more))
        return entry_too_large(error);
    return user ? plan_document(entry, user, error) : plan_alone(entry, error);
}

/* ---- Validation and numbering ---- */

static int compare_lock_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool is_unordered_event(const json_t *event)
{
    return strncmp(json_string_value(json_object_get(event, "type")), INTERNAL,
                   sizeof INTERNAL - 1) == 0;
}

static char *name_key_lock(const char *kind, const char *key)
{
    size_t size = strlen(kind) + strlen(key) + 1;
    char *name = malloc(size);
    FH_ASSERT(name != NULL);
    snprintf(name, size, "%s%s", kind, key);
    return name;
}

/* Events of one key are numbered in the order in which their units of work became valid, and so is
 * what was derived under one (ledger_derived_touch). The order of other internal events matters to
 * no reader. *ret_count names, malloc'ed. */
static char **lock_names_of(const struct mongodb_work *own, size_t *ret_count)
{
    size_t count = json_array_size(own->events) + json_array_size(own->derived), i, used = 0;
    char **names = calloc(count + 1, sizeof(char *));
    json_t *each;
    FH_ASSERT(names != NULL);
    json_array_foreach (own->events, i, each) {
        if (!is_unordered_event(each))
            names[used++] =
                name_key_lock(MONGODB_KEY_LOCK, json_string_value(json_object_get(each, "key")));
    }
    json_array_foreach (own->derived, i, each)
        names[used++] = name_key_lock(DERIVED_LOCK, json_string_value(each));
    qsort(names, used, sizeof *names, compare_lock_names);
    *ret_count = used;
    return names;
}

static enum fh_code lock_keys(struct mongodb_entry *entry, const struct mongodb_work *own,
                              struct fh_error *error)
{
    size_t count;
    enum fh_code code = FH_OK;
    char **names = lock_names_of(own, &count);
    entry->keys = calloc(count + 1, sizeof(struct mongodb_lock *));
    FH_ASSERT(entry->keys != NULL);
    for (size_t i = 0; i < count && !code; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
            continue;
        struct mongodb_lock *lock = mongodb_lock_take(entry->mongodb, names[i]);
        if (lock)
            entry->keys[entry->key_count++] = lock;
        else
            code =
                error_set(error, FH_UNAVAILABLE, "The key %.100s was busy for too long.", names[i]);
    }
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return code;
}

/* `keys`: [["NAME", "KEY"], ...] */
enum fh_code mongodb_derived_touch(struct store_work *work, const char *keys,
                                   struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    struct arena *arena = json_arena_set(NULL);
    json_t *list = NULL, *pair;
    size_t i;
    enum fh_code code = json_parse(keys, strlen(keys), &list, error);
    if (!own->derived)
        own->derived = json_array();
    json_array_foreach (list, i, pair) {
        char *text = json_text(pair);
        FH_ASSERT(json_array_append_new(own->derived, json_string(text)) == 0);
        json_text_free(text);
    }
    json_decref(list);
    json_arena_set(arena);
    return code;
}

static enum fh_code validate_reads(struct mongodb_entry *entry, struct mongodb_work *own,
                                   struct fh_error *error)
{
    enum fh_code code = mongodb_order_reserve(entry->mongodb, error);
    if (!code)
        code = lock_keys(entry, own, error);
    if (!code && !mongodb_is_valid(own))
        code = error_retry(error, FH_CONFLICT,
                           "What the unit of work has read was changed meanwhile.");
    if (code)
        return code;
    entry->order = mongodb_order_next(entry->mongodb);
    return plan_write(entry, own, error);
}

/* The entry takes over what it needs from the unit of work. */
static void take_over(struct mongodb_entry *entry, struct mongodb_work *own)
{
    entry->changes = own->changes;
    entry->lock = own->lock;
    own->changes = NULL;
    own->lock = NULL;
    mongodb_entry_begins(entry);
}

static struct mongodb_entry *entry_new(struct mongodb *mongodb)
{
    struct mongodb_entry *entry = calloc(1, sizeof *entry);
    unsigned char random[10];
    FH_ASSERT(entry != NULL);
    entry->mongodb = mongodb;
    entry->references = 1;
    world_random(mongodb->store.world, random, sizeof random);
    id_format(entry->id, world_wall_ms(mongodb->store.world), random);
    return entry;
}

/* Whether the caller can be told of the commit: a new document has to exist by then. */
static bool is_commit_over(const struct mongodb_entry *entry)
{
    return entry->ended || entry->recorded || !entry->mongodb->carrying ||
           (entry->attempted && !entry->makes);
}

static enum fh_code commit_changes(struct mongodb_work *own, struct fh_error *error)
{
    struct mongodb *mongodb = own->mongodb;
    struct mongodb_entry *entry = entry_new(mongodb);
    enum fh_code code = validate_reads(entry, own, error);
    if (code) {
        for (int i = 0; i < entry->key_count; i++)
            mongodb_lock_give(mongodb, entry->keys[i]);
        mongodb_entry_release(entry);
        return code;
    }
    take_over(entry, own);
    code = mongodb_write(entry, error);
    while (!code && !is_commit_over(entry))
        fiber_wait(&mongodb->carried);
    mongodb_entry_release(entry);
    return code;
}

enum fh_code mongodb_commit(struct store_work *work, struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    enum fh_code code = FH_OK;
    if (mongodb_writes(work)) {
        drop_read_changes(own);
        if (own->changes || own->events || own->ranges) {
            code = commit_changes(own, error);
        } else if (!mongodb_is_valid(own)) {
            code = error_retry(error, FH_CONFLICT,
                               "What the unit of work has read was changed meanwhile.");
        }
    }
    mongodb_rollback(work);
    return code;
}
