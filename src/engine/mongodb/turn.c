/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several processes of one service on one store take turns: units of work that write begin in the
 * process that has the turn (store/turn.h), and are carried on to their end before it gives the
 * turn back. So what conflict.c keeps in memory is as good as with a single process, and no two
 * processes write to the server at once, whose guarded update need not be a single step.
 *
 *     away ──one waits at the gate──▸ wanting ──the lock──▸ beginning ──claimed──▸ ours
 *       ▴                                                                           │
 *       └──────── all is carried on ◂── leaving: the gate is closed ◂── others want it
 *
 * The owner keeps the turn while nobody else wants it. A turn begins by raising the counter's
 * epoch: one write, if it is still that of the turn before. Otherwise a process that takes no part
 * in the turns (it runs elsewhere) has opened the store, and this fences it. If the previous owner
 * died with the turn, what it left is carried on first.
 *
 *     killed with the turn     the kernel gives it back; the next one finds it unclean
 *     paused with the turn     the others' units of work wait, until it goes on or `up` kills it
 *
 * A server may carry out requests that a process sent just before it was killed. So after a death
 * the next turn begins TURN_GRACE_MS later; requests that arrive even later still meet the
 * documents' versions, newer records, or an epoch that has been recovered (claim.c).
 */

#include <stdio.h>

#include "store/notifier.h"
#include "engine/mongodb/internal.h"
#include "store/turn.h"

#define TURN_SLICE_MS 30  /* kept this long even if others want it: a turn costs a request */
#define TURN_RETRY_MS 50  /* a death is not announced */
#define TURN_ASK_MS 1000  /* the write that tells the others may have failed: again after this */
#define TURN_DEFER_MS 100 /* the previous owner lets another one take it */
#define TURN_GRACE_MS 1000
#define TRIES_LATER 4 /* the server is away: back off as after this many tries */

static void wake_turner(void *context)
{
    fiber_wake_all(&((struct mongodb *)context)->turner);
}

static bool is_quiet(const struct mongodb *mongodb)
{
    return mongodb->open == 0 && !mongodb->entries && !mongodb->first;
}

static void sleep_ms(struct mongodb *mongodb, int ms)
{
    fiber_wait_until(&mongodb->turner, mongodb->store.world, world_in_ms(mongodb->store.world, ms));
}

/* Waits until something may have changed. */
static void wait_stirred(struct mongodb *mongodb)
{
    if (store_turn_is_watched(mongodb->turn))
        fiber_wait(&mongodb->turner);
    else
        sleep_ms(mongodb, TURN_RETRY_MS);
}

/* ---- Beginning ---- */

static void wait_grace(struct mongodb *mongodb)
{
    int64_t until_ns = world_in_ms(mongodb->store.world, TURN_GRACE_MS);
    while (!mongodb->closing && world_monotonic_ns(mongodb->store.world) < until_ns)
        fiber_wait_until(&mongodb->turner, mongodb->store.world, until_ns);
}

/* Another version of the program may have declared collections that we do not know. */
static enum fh_code read_collections(struct mongodb *mongodb, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = mongodb_begin(&mongodb->store, STORE_READ, &work, error);
    if (code)
        return code;
    code = mongodb_collections_read(work, error);
    mongodb_rollback(work);
    return code;
}

/* Until nothing is left: an entry found and not yet carried on must not be left to another turn.
 * False: the store closes. */
static bool carry_on_left(struct mongodb *mongodb)
{
    enum fh_code code = FH_UNAVAILABLE;
    for (int tries = 0; code && !mongodb->closing; tries++) {
        if (tries > 0)
            mongodb_back_off(mongodb, tries);
        code = read_collections(mongodb, ERROR_UNHEEDED);
        if (!code)
            code = mongodb_recover(mongodb, ERROR_UNHEEDED);
        while (!mongodb->closing && !is_quiet(mongodb))
            fiber_wait(&mongodb->turner);
    }
    return !code;
}

static enum fh_code begin_turn(struct mongodb *mongodb, int64_t mark, struct fh_error *error)
{
    bool unclean = mark == TURN_UNCLEAN;
    if (unclean)
        wait_grace(mongodb);
    enum fh_code code = mongodb_claim(mongodb, mark, error);
    if (code)
        return code;
    if (unclean && !carry_on_left(mongodb))
        return error_set(error, FH_UNAVAILABLE, "The store is being closed.");
    mongodb->ours = true;
    mongodb->turned_ns = world_monotonic_ns(mongodb->store.world);
    fiber_wake_all(&mongodb->gate);
    if (unclean) { /* events of the dead process may have got their positions */
        store_notify_listeners(&mongodb->store);
        store_notifier_notify(&mongodb->store);
    }
    return FH_OK;
}

/* Whoever has the turn may sleep until it is told that others want it. */
static void ask_for_turn(struct mongodb *mongodb, int64_t *again_ns)
{
    if (world_monotonic_ns(mongodb->store.world) < *again_ns)
        return;
    store_turn_want(mongodb->turn, true);
    *again_ns = world_in_ms(mongodb->store.world, TURN_ASK_MS);
}

static bool wait_for_turn(struct mongodb *mongodb, int64_t *ret_mark)
{
    bool taken = false;
    int64_t again_ns = 0;
    while (!mongodb->closing && mongodb->waiting > 0 && !taken) {
        ask_for_turn(mongodb, &again_ns);
        taken = store_turn_take(mongodb->turn, ret_mark);
        if (!taken)
            sleep_ms(mongodb, TURN_RETRY_MS);
    }
    store_turn_want(mongodb->turn, false);
    return taken;
}

static void get_turn(struct mongodb *mongodb)
{
    int64_t mark;
    struct fh_error error;
    if (mongodb->waiting == 0) {
        wait_stirred(mongodb);
        return;
    }
    if (!wait_for_turn(mongodb, &mark))
        return;
    if (begin_turn(mongodb, mark, &error) == FH_OK || mongodb->closing)
        return;
    store_turn_give(mongodb->turn, mark); /* nothing was done in it */
    mongodb_back_off(mongodb, TRIES_LATER);
}

/* ---- Ending ---- */

/* The kernel wakes those that want it, sooner or later. */
static void let_others(struct mongodb *mongodb)
{
    int64_t until_ns = world_in_ms(mongodb->store.world, TURN_DEFER_MS);
    while (!mongodb->closing && store_turn_is_free(mongodb->turn) &&
           store_turn_is_wanted(mongodb->turn) &&
           world_monotonic_ns(mongodb->store.world) < until_ns)
        sleep_ms(mongodb, TURN_DEFER_MS / 10);
}

static void keep_turn(struct mongodb *mongodb)
{
    struct world *world = mongodb->store.world;
    int64_t until_ns = mongodb->turned_ns + TURN_SLICE_MS * INT64_C(1000000);
    if (!store_turn_is_wanted(mongodb->turn)) {
        wait_stirred(mongodb);
        return;
    }
    while (!mongodb->closing && mongodb->open + mongodb->waiting > 0 &&
           world_monotonic_ns(world) < until_ns)
        fiber_wait_until(&mongodb->turner, world, until_ns);
    mongodb->leaving = true;
    while (!mongodb->closing && !is_quiet(mongodb))
        fiber_wait(&mongodb->turner);
    if (mongodb->closing)
        return;
    mongodb->ours = mongodb->leaving = false;
    store_turn_give(mongodb->turn, mongodb->epoch);
    let_others(mongodb);
}

static void take_turns(void *argument)
{
    struct mongodb *mongodb = argument;
    while (!mongodb->closing) {
        if (mongodb->ours)
            keep_turn(mongodb);
        else
            get_turn(mongodb);
    }
    mongodb->turning = false;
    fiber_wake_all(&mongodb->carried);
}

/* ---- Opening and closing ---- */

enum fh_code mongodb_turn_open(struct mongodb *mongodb, const struct store_options *options,
                               struct fh_error *error)
{
    char path[4400];
    int64_t mark, again_ns = 0;
    struct world *world = mongodb->store.world;
    int64_t deadline_ns = world_in_ms(world, MONGODB_OPEN_MS);
    mongodb->ours = true;
    if (!options->folder)
        return FH_OK;
    snprintf(path, sizeof path, "%s/" TURN_FILE, options->folder);
    enum fh_code code = store_turn_open(world, path, wake_turner, mongodb, &mongodb->turn, error);
    if (code)
        return code;
    while (!code && !store_turn_take(mongodb->turn, &mark)) {
        ask_for_turn(mongodb, &again_ns);
        if (world_monotonic_ns(world) > deadline_ns)
            code = error_set(error, FH_UNAVAILABLE,
                             "Another process of the service kept the store for too long.");
        sleep_ms(mongodb, TURN_RETRY_MS);
    }
    store_turn_want(mongodb->turn, false);
    if (code)
        mongodb->ours = false;
    return code;
}

enum fh_code mongodb_turn_start(struct mongodb *mongodb, struct fh_error *error)
{
    mongodb->turned_ns = world_monotonic_ns(mongodb->store.world);
    if (!mongodb->turn)
        return FH_OK;
    mongodb->turning = fiber_start(mongodb->store.world->fibers, take_turns, mongodb);
    return mongodb->turning ? FH_OK
                            : error_set(error, FH_NO_MEMORY, "There is no fiber for the store.");
}

void mongodb_turn_close(struct mongodb *mongodb)
{
    if (!mongodb->turn)
        return;
    if (mongodb->ours && mongodb->turned_ns && is_quiet(mongodb))
        store_turn_give(mongodb->turn, mongodb->epoch);
    store_turn_close(mongodb->turn);
    mongodb->turn = NULL;
}
