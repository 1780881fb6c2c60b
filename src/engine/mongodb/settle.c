/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who carries entries on, and when: one fiber, as long as the store is open. It takes all entries
 * decided so far as one job; those decided during the job are in the next one. So under load the
 * steps after many commits cost as much as those after one.
 *
 * A failed attempt is repeated until it succeeds: the units of work are committed, and no others
 * may touch the same documents until they have ended. Their callers learn after the first attempt
 * that they are durable all the same; positions not known by then are looked up later.
 *
 * Entries that others have left may have been carried on in part: a job that contains any first
 * checks how far that got, as after an attempt of unknown outcome. The very first job also looks
 * for rows beyond the counter; for this process's own units of work nothing has been sent yet.
 *
 * Entries that a process has left are found by the index on _fh.work.id when the store is opened;
 * and by a unit of work that locks such a document, if its writer had been taken for dead too
 * early. Once everything left has been carried on, the counter says so (claim.c). An entry of that
 * time found later does not count: its request was still under way during the search, and everybody
 * was told, and has gone on, as if it did not exist. If it has changed a document, that is undone
 * (back.c).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/id.h"
#include "engine/mongodb/internal.h"

/* ---- The fiber ---- */

static int count_first(const struct mongodb *mongodb)
{
    int count = 0;
    for (const struct mongodb_entry *entry = mongodb->first; entry; entry = entry->next_carried)
        count++;
    return count;
}

static void remember_placed(struct mongodb *mongodb, const struct mongodb_carry *carry)
{
    for (int i = 0; i < carry->placed_count; i++)
        mongodb->placed[mongodb->placed_count++ % MONGODB_PLACED_MAX] = carry->placed[i];
}

/* One attempt at the first `count` entries. */
static enum fh_code carry_first(struct mongodb *mongodb, int count, struct fh_error *error)
{
    struct mongodb_carried *items = calloc((size_t)count, sizeof *items);
    FH_ASSERT(items != NULL);
    int at = 0;
    bool uncertain = mongodb->uncertain;
    for (struct mongodb_entry *entry = mongodb->first; at < count; entry = entry->next_carried) {
        uncertain = uncertain || entry->left;
        items[at++] = (struct mongodb_carried){.collection = entry->collection,
                                               .document_id = entry->document_id,
                                               .id = entry->id,
                                               .what = entry->carried,
                                               .order = entry->order,
                                               .removed = entry->removed,
                                               .late = entry->late,
                                               .left = entry->left,
                                               .never = entry->never,
                                               .back = entry->back,
                                               .recorded = entry->recorded};
    }
    bool uncounted = uncertain || mongodb->uncounted;
    struct mongodb_carry carry = {.call.run = mongodb_carry,
                                  .items = items,
                                  .count = count,
                                  .position = mongodb->position,
                                  .epoch = mongodb->epoch,
                                  .order = mongodb->order,
                                  .since = mongodb->since,
                                  .uncertain = uncertain,
                                  .uncounted = uncounted};
    enum fh_code code = mongodb_call(mongodb, &carry.call, error);
    at = 0;
    for (struct mongodb_entry *entry = mongodb->first; at < count; entry = entry->next_carried)
        entry->recorded = items[at++].recorded;
    free(items);
    if (carry.fenced)
        world_fatal(mongodb->store.world, "another process has opened this store");
    bool late = carry.uncounted && carry.position > mongodb->position;
    mongodb->uncertain = code != FH_OK;
    mongodb->uncounted = mongodb->uncounted && code != FH_OK;
    if (!code || carry.counted) {
        mongodb->position = carry.position;
        remember_placed(mongodb, &carry);
    }
    if ((!code || carry.counted) &&
        late) /* their publishers may have gone on without their positions */
        store_notify_listeners(&mongodb->store);
    free(carry.placed);
    return code;
}

static void end_first(struct mongodb *mongodb, int count)
{
    for (; count > 0; count--) {
        struct mongodb_entry *entry = mongodb->first;
        mongodb->first = entry->next_carried;
        if (!mongodb->first)
            mongodb->last = NULL;
        mongodb_entry_ends(entry);
        mongodb_entry_release(entry); /* the queue's reference */
    }
}

/* One attempt at all entries that are queued. */
static enum fh_code carry_all(struct mongodb *mongodb)
{
    struct fh_error error;
    int count = count_first(mongodb);
    enum fh_code code = carry_first(mongodb, count, &error);
    struct mongodb_entry *entry = mongodb->first;
    for (int i = 0; i < count; i++, entry = entry->next_carried)
        entry->attempted = true;
    if (!code)
        end_first(mongodb, count);
    fiber_wake_all(&mongodb->carried);
    return code;
}

/* As long as the store is open; when it closes, makes one last attempt. */
static void carry_fiber(void *argument)
{
    struct mongodb *mongodb = argument;
    int tries = 0;
    while (!mongodb->closing || (mongodb->first && tries == 0)) {
        if (!mongodb->first) {
            fiber_wait(&mongodb->for_entries);
            continue;
        }
        tries = carry_all(mongodb) ? tries + 1 : 0;
        if (tries && !mongodb->closing)
            mongodb_back_off(mongodb, tries);
    }
    mongodb->carrying = false;
    fiber_wake_all(&mongodb->carried);
}

enum fh_code mongodb_settle_start(struct mongodb *mongodb, struct fh_error *error)
{
    mongodb->carrying = fiber_start(mongodb->store.world->fibers, carry_fiber, mongodb);
    return mongodb->carrying ? FH_OK
                             : error_set(error, FH_NO_MEMORY, "There is no fiber for the store.");
}

void mongodb_settle(struct mongodb_entry *entry)
{
    struct mongodb *mongodb = entry->mongodb;
    entry->references++;
    if (mongodb->last)
        mongodb->last->next_carried = entry;
    else
        mongodb->first = entry;
    mongodb->last = entry;
    fiber_wake_all(&mongodb->for_entries);
}

/* ---- Entries left by others ---- */

static char *copy_carried_text(const char *text)
{
    char *copy = strdup(text);
    FH_ASSERT(copy != NULL);
    return copy;
}

/* An entry without an epoch is from an earlier version of the program, and never counts as late. */
static bool comes_late(const struct mongodb *mongodb, const bson_t *carried)
{
    int64_t epoch = mongodb_integer_at(carried, "epoch");
    return epoch && epoch <= mongodb->recovered;
}

bson_t *mongodb_settle_back(struct mongodb *mongodb, const bson_t *document, const bson_t *carried)
{
    unsigned char random[10];
    char version[ID_SIZE];
    if (!comes_late(mongodb, carried) || !mongodb_back_knows(carried))
        return NULL;
    world_random(mongodb->store.world, random, sizeof random);
    id_format(version, world_wall_ms(mongodb->store.world), random);
    return mongodb_back_document(document, carried, version, mongodb_integer_at(carried, "at"));
}

/* Only its id: the entry is taken out, and nothing else is done. */
static bson_t *without_content(const bson_t *carried)
{
    bson_iter_t at;
    bson_t *empty = mongoc.bson_new();
    FH_ASSERT(mongoc.bson_iter_init_find(&at, carried, "id"));
    mongoc.bson_append_value(empty, "id", -1, mongoc.bson_iter_value(&at));
    return empty;
}

/* Units of work that have read what it writes have to read it again. A range gets a change without
 * an id, which any find in its collection may have seen. A read by id of something in a range need
 * not be repeated, as with units of work of this process: the one that removes the range also
 * changes the record that such a reader depends on (a caller's closing, a resync pass, a parked
 * key). */
static void add_changes(struct mongodb_change *change, const bson_t *carried)
{
    bson_iter_t list, write, at;
    if (!mongoc.bson_iter_init_find(&list, carried, "writes") ||
        !mongoc.bson_iter_recurse(&list, &write))
        return;
    while (mongoc.bson_iter_next(&write)) {
        const char *names[] = {"collection", "id"}, *texts[] = {"", ""};
        for (int i = 0; i < 2; i++) { /* left.c has checked its form */
            if (mongoc.bson_iter_recurse(&write, &at) && mongoc.bson_iter_find(&at, names[i]))
                texts[i] = mongodb_text_of(&at);
        }
        change->next = calloc(1, sizeof *change);
        FH_ASSERT(change->next != NULL);
        change = change->next;
        change->collection = copy_carried_text(texts[0]);
        change->id = copy_carried_text(texts[1]);
    }
}

/* As if this process had written it, except that late copies of its write may arrive. */
static struct mongodb_entry *entry_left(struct mongodb *mongodb, const struct mongodb_left *left)
{
    const bson_t *carried = left->carried;
    int64_t order = mongodb_integer_at(carried, "at");
    bool never = left->back ||
                 (comes_late(mongodb, carried) && strcmp(left->collection, MONGODB_WORKS) == 0);
    struct mongodb_entry *entry = calloc(1, sizeof *entry);
    struct mongodb_change *change = calloc(1, sizeof *change);
    FH_ASSERT(entry && change);
    change->collection = copy_carried_text(left->collection);
    change->id = copy_carried_text(left->id);
    if (!never)
        add_changes(change, carried);
    *entry = (struct mongodb_entry){.mongodb = mongodb,
                                    .references = 1,
                                    .changes = change,
                                    .collection = change->collection,
                                    .document_id = change->id,
                                    .carried = never ? without_content(carried)
                                                     : mongoc.bson_copy(carried),
                                    .order = order ? order : mongodb_order_next(mongodb),
                                    .late = true,
                                    .left = true,
                                    .never = never,
                                    .back = left->back,
                                    .removed = left->removed,
                                    .decided = true};
    snprintf(entry->id, ID_SIZE, "%s", mongodb_text_at(carried, "id"));
    return entry;
}

void mongodb_settle_left(struct mongodb *mongodb, const struct mongodb_left *left,
                         struct mongodb_lock *lock)
{
    struct mongodb_entry *entry = entry_left(mongodb, left);
    entry->lock = lock;
    mongodb->uncertain = true;
    mongodb_entry_begins(entry);
    mongodb_settle(entry);
    mongodb_entry_release(entry);
}

struct leaving {
    struct mongodb_visit visit; /* first */
    struct mongodb *mongodb;
    struct mongodb_entry *entries;
    enum fh_code code;
    struct fh_error *error;
};

static bool take_left(struct mongodb_visit *visit, const bson_t *document)
{
    struct leaving *leaving = (struct leaving *)visit;
    bson_iter_t at, removed;
    bson_t carried;
    bool any;
    leaving->code = mongodb_left_read(visit->collection, document, &carried, &any, leaving->error);
    if (leaving->code || !any)
        return !leaving->code;
    struct mongodb_left left = {.collection = visit->collection,
                                .id = mongodb_text_at(document, "_id"),
                                .carried = &carried,
                                .back = mongodb_settle_back(leaving->mongodb, document, &carried)};
    left.removed = mongoc.bson_iter_init(&at, document) &&
                   mongoc.bson_iter_find_descendant(&at, "_fh.removed", &removed);
    struct mongodb_entry *entry = entry_left(leaving->mongodb, &left);
    entry->next = leaving->entries;
    leaving->entries = entry;
    return true;
}

static enum fh_code find_left(struct mongodb *mongodb, const char *collection,
                              struct fh_error *error)
{
    bson_t filter, options, exists;
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    mongoc.bson_append_document_begin(&filter, "_fh.work.id", -1, &exists);
    mongoc.bson_append_bool(&exists, "$exists", -1, true);
    mongoc.bson_append_document_end(&filter, &exists);
    struct leaving leaving = {.visit = {.collection = collection,
                                        .filter = &filter,
                                        .options = &options,
                                        .visit = take_left},
                              .mongodb = mongodb,
                              .error = error};
    enum fh_code code = mongodb_visit(mongodb, &leaving.visit, error);
    code = code ? code : leaving.code;
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    while (leaving.entries) {
        struct mongodb_entry *entry = leaving.entries;
        leaving.entries = entry->next;
        if (!code) {
            mongodb_entry_begins(entry);
            mongodb_settle(entry);
        }
        mongodb_entry_release(entry);
    }
    return code;
}

enum fh_code mongodb_recover(struct mongodb *mongodb, struct fh_error *error)
{
    mongodb->uncounted = true;
    enum fh_code code = find_left(mongodb, MONGODB_WORKS, error);
    for (int i = 0; i < mongodb->collection_count && !code; i++)
        code = find_left(mongodb, mongodb->collections[i].name, error);
    int64_t deadline_ns = world_in_ms(mongodb->store.world, MONGODB_OPEN_MS);
    while (!code && mongodb->first) {
        if (mongodb->closing ||
            !fiber_wait_until(&mongodb->carried, mongodb->store.world, deadline_ns))
            code = error_set(error, FH_UNAVAILABLE,
                             "What an earlier process had committed could not be carried on.");
    }
    CRASH_POINT("mongodb.recovered");
    return code ? code : mongodb_claim_recovered(mongodb, error);
}

/* ---- Looking up positions ---- */

static const struct mongodb_placed *placed_at(const struct mongodb *mongodb, uint64_t place)
{
    return &mongodb->placed[place % MONGODB_PLACED_MAX];
}

/* Callers ask for several in the order in which they are stored: they follow each other, from *at
 * on. */
static int64_t settled_position(const struct mongodb *mongodb, const char *event_id, uint64_t *at)
{
    uint64_t known = mongodb->placed_count;
    uint64_t oldest = known > MONGODB_PLACED_MAX ? known - MONGODB_PLACED_MAX : 0;
    uint64_t place = *at;
    if (place < oldest || place >= known ||
        strcmp(placed_at(mongodb, place)->event_id, event_id) != 0) {
        for (place = known; place > oldest; place--) {
            if (strcmp(placed_at(mongodb, place - 1)->event_id, event_id) == 0)
                break;
        }
        if (place-- == oldest)
            return 0;
    }
    *at = place + 1;
    return placed_at(mongodb, place)->position;
}

enum fh_code mongodb_sequence(struct store *store, struct store_placed *placed, int count,
                              struct fh_error *error)
{
    struct mongodb *mongodb = mongodb_of(store);
    uint64_t at = UINT64_MAX;
    for (int i = 0; i < count; i++) {
        placed[i].position = settled_position(mongodb, placed[i].event_id, &at);
        if (!placed[i].position)
            return error_set(error, FH_UNAVAILABLE,
                             "The events of committed transactions are numbered later.");
    }
    return FH_OK;
}
