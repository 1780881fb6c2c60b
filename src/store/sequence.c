/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls a server engine's sequencer after commits that published. One fiber calls it at a time.
 * Others queue up; when the call has returned, the first of them asks for all that wait, so that
 * under load one statement numbers the events of many units of work.
 *
 * The call must begin after the commits that it is asked about, so nobody joins a call that is
 * under way. But a call numbers everything that it finds committed, including events that are asked
 * for only after it began. Engines report these too: they are kept for a while, and whoever asks
 * for them later need not call.
 *
 * After a failure a fiber retries, at growing intervals, until it succeeds. If the process dies
 * before that, its events get their positions from whoever calls next: another process, or this one
 * when it has restarted.
 */

#include "store/sequence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "store/notifier.h"
#include "store/store.h"

#define PLACED_MAX 4096 /* asked for by one statement; one unit of work may need more */
#define ROUNDS_MAX 100  /* slices numbered in one call: a million events had been left */

#define TOLD_MAX 1024 /* positions kept that nobody has asked for yet */

#define AGAIN_MS_MIN 100
#define AGAIN_MS_MAX 5000

struct waiting {
    struct store_placed *placed;
    int count;
    bool told;
    enum fh_code code;
    struct fh_error error;
    struct waiting *next;
};

struct told {
    char event_id[ID_SIZE];
    int64_t position;
};

struct store_sequencer {
    bool busy;
    struct waiting *first, **end; /* not taken by a call yet */
    struct fiber_queue queue;
    struct told *told; /* TOLD_MAX of them, the oldest replaced first; NULL: none yet */
    int told_next;
    struct map told_by_id;
    bool owing;   /* a fiber retries */
    bool closing; /* ... and must end */
    struct fiber_queue again;
};

static struct store_sequencer *sequencer_of(struct store *store)
{
    if (!store->sequencer) {
        store->sequencer = calloc(1, sizeof *store->sequencer);
        FH_ASSERT(store->sequencer != NULL);
        store->sequencer->end = &store->sequencer->first;
        map_init(&store->sequencer->told_by_id);
    }
    return store->sequencer;
}

static bool all_placed(const struct store_placed *placed, int count)
{
    for (int i = 0; i < count; i++) {
        if (!placed[i].position)
            return false;
    }
    return true;
}

/* ---- Reported before it was asked for ---- */

void store_sequence_told(struct store *store, const char *event_id, int64_t position)
{
    struct store_sequencer *sequencer = sequencer_of(store);
    if (strlen(event_id) >= ID_SIZE)
        return;
    if (!sequencer->told) {
        sequencer->told = calloc(TOLD_MAX, sizeof *sequencer->told);
        FH_ASSERT(sequencer->told != NULL);
    }
    struct told *told = &sequencer->told[sequencer->told_next];
    sequencer->told_next = (sequencer->told_next + 1) % TOLD_MAX;
    if (told->event_id[0])
        map_remove(&sequencer->told_by_id, told->event_id);
    snprintf(told->event_id, sizeof told->event_id, "%s", event_id);
    told->position = position;
    map_put(&sequencer->told_by_id, told->event_id, told);
}

/* The call that reported them has failed: its positions may not have been committed. */
static void forget_told(struct store_sequencer *sequencer)
{
    map_release(&sequencer->told_by_id);
    free(sequencer->told);
    sequencer->told = NULL;
    sequencer->told_next = 0;
}

/* Fills in the positions known by now. Not while a call is under way: what it reports is certain
 * only when it has returned. */
static void look_up_told(struct store_sequencer *sequencer, struct store_placed *placed, int count)
{
    for (int i = 0; i < count && sequencer->told_by_id.count; i++) {
        const struct told *told =
            placed[i].position ? NULL : map_get(&sequencer->told_by_id, placed[i].event_id);
        if (told)
            placed[i].position = told->position;
    }
}

/* ---- Asking ---- */

/* Slice after slice, until all have their positions. */
static enum fh_code call_sequencer(struct store *store, struct store_placed *placed, int count,
                                   struct fh_error *error)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        enum fh_code code = store->ops->sequence(store, placed, count, error);
        if (code != FH_OK)
            forget_told(store->sequencer);
        if (code != FH_OK || all_placed(placed, count))
            return code;
    }
    return error_set(error, FH_UNAVAILABLE,
                     "Events of committed transactions are missing from the store's outbox.");
}

/* Takes the first ones that wait, as many as one statement can answer. */
static struct waiting *take_waiting(struct store_sequencer *sequencer, int *ret_count)
{
    struct waiting *taken = sequencer->first, **end = &sequencer->first;
    int count = 0;
    while (*end && (count == 0 || count + (*end)->count <= PLACED_MAX)) {
        count += (*end)->count;
        end = &(*end)->next;
    }
    sequencer->first = *end;
    if (!*end)
        sequencer->end = &sequencer->first;
    *end = NULL;
    *ret_count = count;
    return taken;
}

/* Removes those whose events earlier calls have numbered: they need no call. */
static struct waiting *leave_told(struct store_sequencer *sequencer, struct waiting *taken,
                                  int *count)
{
    for (struct waiting **at = &taken; *at;) {
        struct waiting *each = *at;
        look_up_told(sequencer, each->placed, each->count);
        if (!each->count || !all_placed(each->placed, each->count)) {
            at = &each->next;
            continue;
        }
        *at = each->next;
        *count -= each->count;
        each->code = FH_OK;
        each->told = true;
    }
    return taken;
}

static void sequence_taken(struct store *store, struct waiting *taken, int count)
{
    struct store_placed *placed = calloc((size_t)count + 1, sizeof *placed);
    FH_ASSERT(placed != NULL);
    struct fh_error error = {0};
    int at = 0;
    for (struct waiting *each = taken; each; at += each->count, each = each->next) {
        if (each->count)
            memcpy(placed + at, each->placed, (size_t)each->count * sizeof *placed);
    }
    enum fh_code code = call_sequencer(store, placed, count, &error);
    if (code == FH_OK)
        store_notifier_notify(store);
    at = 0;
    for (struct waiting *each = taken, *next; each; each = next) {
        next = each->next; /* `each` is on its fiber's stack, which may go once `told` is set */
        if (each->count)
            memcpy(each->placed, placed + at, (size_t)each->count * sizeof *placed);
        at += each->count;
        each->code = code;
        each->error = error;
        each->told = true;
    }
    free(placed);
}

static enum fh_code sequence_events(struct store *store, struct store_placed *placed, int count,
                                    struct fh_error *error)
{
    struct store_sequencer *sequencer = store->sequencer;
    struct waiting own = {.placed = placed, .count = count};
    if (!sequencer->busy)
        look_up_told(sequencer, placed, count);
    if (count && all_placed(placed, count))
        return FH_OK;
    *sequencer->end = &own;
    sequencer->end = &own.next;
    while (!own.told) {
        if (sequencer->busy) {
            fiber_wait(&sequencer->queue);
            continue;
        }
        int taken_count;
        struct waiting *taken = take_waiting(sequencer, &taken_count);
        taken = leave_told(sequencer, taken, &taken_count);
        sequencer->busy = true;
        if (taken)
            sequence_taken(store, taken, taken_count);
        sequencer->busy = false;
        fiber_wake_all(&sequencer->queue);
    }
    if (own.code != FH_OK)
        *error = own.error;
    return own.code;
}

static void sequence_again(void *argument)
{
    struct store *store = argument;
    struct store_sequencer *sequencer = store->sequencer;
    enum fh_code code = FH_UNAVAILABLE;
    for (int wait_ms = AGAIN_MS_MIN; code != FH_OK && !sequencer->closing; wait_ms *= 2) {
        if (wait_ms > AGAIN_MS_MAX)
            wait_ms = AGAIN_MS_MAX;
        fiber_wait_until(&sequencer->again, store->world, world_in_ms(store->world, wait_ms));
        if (!sequencer->closing)
            code = sequence_events(store, NULL, 0, ERROR_UNHEEDED);
    }
    sequencer->owing = false;
    fiber_wake_all(&sequencer->again);
    if (code == FH_OK)
        store_notify_listeners(store);
}

enum fh_code store_sequence(struct store *store, struct store_placed *placed, int count,
                            struct fh_error *error)
{
    if (!store->ops->sequence)
        return FH_OK;
    struct store_sequencer *sequencer = sequencer_of(store);
    enum fh_code code = sequence_events(store, placed, count, error);
    if (code != FH_OK && !sequencer->owing && !sequencer->closing)
        sequencer->owing = fiber_start(store->world->fibers, sequence_again, store);
    return code;
}

void store_sequencer_close(struct store *store)
{
    struct store_sequencer *sequencer = store->sequencer;
    if (!sequencer)
        return;
    sequencer->closing = true;
    fiber_wake_all(&sequencer->again);
    while (sequencer->owing)
        fiber_wait(&sequencer->again);
    forget_told(sequencer);
    free(sequencer);
    store->sequencer = NULL;
}
