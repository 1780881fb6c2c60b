/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrent units of work in this process, which is the only one that writes, as long as it has
 * the turn (turn.c).
 *
 * A unit of work reads committed data and remembers what it read. When it commits, it is valid if
 * none of that has been changed since by one that has ended, nor is being changed by one that is
 * committing; otherwise it is rerun. So each valid unit of work is as if it had happened at the
 * one moment of its validation: they are serializable, in the order in which they became valid.
 *
 *     open      reads; its changes are in memory
 *     valid     an entry: others' reads of what it changes are no longer valid
 *     decided   its one write is acknowledged
 *     ended     carried on: all its changes are in their own collections
 *
 * An entry is kept after its end while a unit of work is open that began earlier. A find is
 * remembered by its filter: a change conflicts with it when the document matches before or after.
 *
 * Locks are in memory, first come, first served: on the one document that a unit of work changes,
 * from its first change to the entry's end; and on the keys of its events, taken in the order of
 * the keys, from its validation on. No holder of a key's lock waits for a document's, so there are
 * no deadlocks. A joint unit of work locks several documents: all are new, under ids that were
 * drawn for them, so nobody else holds or awaits them.
 *
 * A rerun is exclusive: it waits until all others have left, and they wait for it. So it is valid,
 * whatever it has read.
 */

#include <stdlib.h>
#include <string.h>

#include "store/document/filter.h"
#include "engine/mongodb/internal.h"

/* ---- The gate ---- */

static bool is_closed(struct mongodb *mongodb, bool exclusive)
{
    if (!mongodb->ours)
        fiber_wake_all(&mongodb->turner);
    return !mongodb->ours || mongodb->leaving || mongodb->exclusive ||
           (exclusive ? mongodb->open > 0 : mongodb->exclusive_waiting > 0);
}

enum fh_code mongodb_enter(struct mongodb *mongodb, bool exclusive, struct fh_error *error)
{
    int64_t deadline_ns = world_in_ms(mongodb->store.world, MONGODB_WAIT_MS);
    mongodb->waiting++;
    mongodb->exclusive_waiting += exclusive;
    bool in_time = true;
    while (in_time && is_closed(mongodb, exclusive))
        in_time = fiber_wait_until(&mongodb->gate, mongodb->store.world, deadline_ns);
    mongodb->waiting--;
    mongodb->exclusive_waiting -= exclusive;
    if (!in_time) {
        fiber_wake_all(&mongodb->gate);
        return error_set(error, FH_UNAVAILABLE, "The store was busy for too long.");
    }
    mongodb->open++;
    mongodb->exclusive = exclusive;
    return FH_OK;
}

void mongodb_leave(struct mongodb *mongodb, bool exclusive)
{
    mongodb->open--;
    if (exclusive)
        mongodb->exclusive = false;
    if (mongodb->open == 0 || exclusive)
        fiber_wake_all(&mongodb->gate);
    fiber_wake_all(&mongodb->turner);
}

/* ---- Locks ---- */

struct mongodb_lock {
    char *name;
    struct fiber_queue queue;
    int users; /* the holder and those that wait */
    bool held;
};

static void lock_leave(struct mongodb *mongodb, struct mongodb_lock *lock)
{
    if (--lock->users > 0)
        return;
    map_remove(&mongodb->locks, lock->name);
    free(lock->name);
    free(lock);
}

struct mongodb_lock *mongodb_lock_take(struct mongodb *mongodb, const char *name)
{
    int64_t deadline_ns = world_in_ms(mongodb->store.world, MONGODB_WAIT_MS);
    struct mongodb_lock *lock = map_get(&mongodb->locks, name);
    if (!lock) {
        lock = calloc(1, sizeof *lock);
        FH_ASSERT(lock != NULL);
        lock->name = strdup(name);
        FH_ASSERT(lock->name != NULL);
        map_put(&mongodb->locks, name, lock);
    }
    lock->users++;
    while (lock->held) {
        if (!fiber_wait_until(&lock->queue, mongodb->store.world, deadline_ns)) {
            lock_leave(mongodb, lock);
            return NULL;
        }
    }
    lock->held = true;
    return lock;
}

void mongodb_lock_give(struct mongodb *mongodb, struct mongodb_lock *lock)
{
    if (!lock)
        return;
    lock->held = false;
    fiber_wake_one(&lock->queue);
    lock_leave(mongodb, lock);
}

/* ---- Validation ---- */

static bool is_read(const struct mongodb_read *read, const struct mongodb_change *change)
{
    if (strcmp(read->collection, change->collection) != 0)
        return false;
    if (read->id)
        return strcmp(read->id, change->id) == 0;
    return !change->known || (change->old && document_matches_checked(change->old, read->filter)) ||
           (change->fresh && document_matches_checked(change->fresh, read->filter));
}

static bool is_changed_too(const struct mongodb_work *work, const struct mongodb_change *change)
{
    for (const struct mongodb_change *own = work->changes; own; own = own->next) {
        if (strcmp(own->id, change->id) == 0 && strcmp(own->collection, change->collection) == 0)
            return true;
    }
    return false;
}

static bool conflicts_with(const struct mongodb_work *work, const struct mongodb_entry *entry)
{
    for (const struct mongodb_change *change = entry->changes; change; change = change->next) {
        if (!entry->ended && is_changed_too(work, change))
            return true;
        for (const struct mongodb_read *read = work->reads; read; read = read->next) {
            bool may = !entry->ended || entry->ended_as > read->at;
            if (may && is_read(read, change))
                return true;
        }
    }
    return false;
}

bool mongodb_is_valid(const struct mongodb_work *work)
{
    for (const struct mongodb_entry *entry = work->mongodb->entries; entry; entry = entry->next) {
        if (conflicts_with(work, entry))
            return false;
    }
    return true;
}

/* ---- Entries ---- */

void mongodb_changes_free(struct mongodb_change *change)
{
    while (change) {
        struct mongodb_change *next = change->next;
        json_decref(change->old);
        json_decref(change->fresh);
        free(change->collection);
        free(change->id);
        free(change);
        change = next;
    }
}

static void give_changed(struct mongodb *mongodb, struct mongodb_change *change)
{
    for (; change; change = change->next) {
        mongodb_lock_give(mongodb, change->lock);
        change->lock = NULL;
    }
}

static void reads_free(struct mongodb_read *read)
{
    while (read) {
        struct mongodb_read *next = read->next;
        json_decref(read->filter);
        free(read->collection);
        free(read->id);
        free(read);
        read = next;
    }
}

void mongodb_work_free(struct mongodb_work *work)
{
    struct mongodb *mongodb = work->mongodb;
    struct mongodb_work **at = &mongodb->works;
    while (*at && *at != work)
        at = &(*at)->next;
    if (*at)
        *at = work->next;
    mongodb_lock_give(mongodb, work->lock);
    give_changed(mongodb, work->changes);
    mongodb_changes_free(work->changes);
    reads_free(work->reads);
    json_decref(work->events);
    json_decref(work->derived);
    json_decref(work->ranges);
    free(work);
}

void mongodb_entry_begins(struct mongodb_entry *entry)
{
    entry->references++;
    entry->next = entry->mongodb->entries;
    entry->mongodb->entries = entry;
}

void mongodb_entry_release(struct mongodb_entry *entry)
{
    if (--entry->references > 0)
        return;
    mongodb_changes_free(entry->changes);
    if (entry->document)
        mongoc.bson_destroy(entry->document);
    if (entry->carried)
        mongoc.bson_destroy(entry->carried);
    if (entry->back)
        mongoc.bson_destroy(entry->back);
    free(entry->keys);
    free(entry);
}

void mongodb_entry_ends(struct mongodb_entry *entry)
{
    struct mongodb *mongodb = entry->mongodb;
    entry->ended = true;
    entry->ended_as = entry->refused ? 0 : ++mongodb->ended;
    mongodb_lock_give(mongodb, entry->lock);
    give_changed(mongodb, entry->changes);
    for (int i = 0; i < entry->key_count; i++)
        mongodb_lock_give(mongodb, entry->keys[i]);
    entry->lock = NULL;
    entry->key_count = 0;
    mongodb_forget_ended(mongodb);
    fiber_wake_all(&mongodb->turner);
}

void mongodb_forget_ended(struct mongodb *mongodb)
{
    uint64_t oldest = mongodb->ended;
    for (const struct mongodb_work *work = mongodb->works; work; work = work->next) {
        if (work->began < oldest)
            oldest = work->began;
    }
    struct mongodb_entry **at = &mongodb->entries;
    while (*at) {
        struct mongodb_entry *entry = *at;
        if (entry->ended && entry->ended_as <= oldest) {
            *at = entry->next;
            mongodb_entry_release(entry);
        } else {
            at = &entry->next;
        }
    }
}

static bool is_entry_writing(const struct mongodb_entry *entry, const char *collection,
                             const char *id)
{
    return !entry->decided && entry->collection && strcmp(entry->collection, collection) == 0 &&
           (!id || strcmp(entry->document_id, id) == 0);
}

enum fh_code mongodb_wait_decided(struct mongodb *mongodb, const char *collection, const char *id,
                                  struct fh_error *error)
{
    int64_t deadline_ns = world_in_ms(mongodb->store.world, MONGODB_WAIT_MS);
    int count = 0;
    for (struct mongodb_entry *entry = mongodb->entries; entry; entry = entry->next)
        count += is_entry_writing(entry, collection, id);
    if (count == 0)
        return FH_OK;
    struct mongodb_entry **awaited = calloc((size_t)count, sizeof(struct mongodb_entry *));
    FH_ASSERT(awaited != NULL);
    count = 0;
    for (struct mongodb_entry *entry = mongodb->entries; entry; entry = entry->next) {
        if (is_entry_writing(entry, collection, id)) {
            awaited[count++] = entry;
            entry->references++;
        }
    }
    bool in_time = true;
    for (int i = 0; i < count; i++) {
        while (in_time && !awaited[i]->decided)
            in_time = fiber_wait_until(&mongodb->decided, mongodb->store.world, deadline_ns);
        mongodb_entry_release(awaited[i]);
    }
    free(awaited);
    if (!in_time)
        return error_set(error, FH_UNAVAILABLE, "What was read is not certain to be durable yet.");
    return FH_OK;
}
