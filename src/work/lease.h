/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_LEASE_H
#define WORK_LEASE_H

/*
 * Work that only one instance of a service may do at a time: applying one partition of a
 * subscription's events, taking over sagas, expiring old commands. On engines that allow many
 * instances each of these is a lease, a row of the store's fh_lease. The lease manager decides
 * which instance gets which lease. docs/operate/instances.md tells the story.
 *
 * Every LEASE_TICK_MS an instance shows with one statement that it is alive, and reads all rows. An
 * instance that has shown nothing new for three of its ticks, by the observer's own clock, is
 * removed, and its leases are taken over. No other machine's clock and no wall clock decides
 * anything. Nothing depends on the observer being right: each time a lease is taken its epoch
 * rises, and every transaction done under a lease fails unless it knows the newest epoch. So an
 * instance that was removed but is still alive does no harm: it notices, gives up all its leases,
 * and joins again.
 *
 *   AWAY ──taken──▸ OURS ──another should have it, or has it──▸ ENDING ──lease_ended──▸ AWAY
 *
 * An embedded store has one process, and no lease manager (NULL): every lease added is ours at
 * once, and nothing is written.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/store.h"

#define LEASE_TICK_MS 300
/* While no other instance is alive, so that nothing can be taken over. */
#define LEASE_TICK_ALONE_MS 1000
#define LEASE_DEAD_TICKS 3 /* of its own; in fact 3.15: a slightly late beat is no death */
#define LEASE_LOOKS_MIN 3  /* our own late look does not prove that others were late */
#define LEASE_NAME_SIZE 96
#define LEASES_MAX 2048 /* of one service: partitions of all its subscriptions */
#define LEASE_MEMBERS_MAX 128

struct work_context;
struct lease_manager;

enum lease_state { LEASE_AWAY, LEASE_OURS, LEASE_ENDING };

struct lease {
    /* "share users 0/8": the part before the last space names the group that is spread evenly. */
    char name[LEASE_NAME_SIZE];
    /* Runs in the transaction that takes the lease, to write its fences. NULL: the lease's own row
     * is its only fence. */
    enum fh_code (*take)(struct lease *lease, struct store_work *work, int64_t epoch,
                         struct fh_error *error);
    /* The lease is ours now, under `epoch`. Must not park. */
    void (*taken)(struct lease *lease);
    /* The lease is no longer ours: call lease_ended once nothing is in progress under it, possibly
     * at once. Must not park. */
    void (*ends)(struct lease *lease);
    void *owner;

    /* Private to lease.c. */
    struct lease_manager *manager;
    enum lease_state state;
    int64_t epoch; /* 0: embedded store */
    bool lost;     /* while ENDING: there is nothing to give back */
    bool ended;    /* while ENDING: ready to be given back */
    struct lease *next;
};

/* NULL where the store has only one process. `instance` NULL: "0". */
struct lease_manager *lease_manager_new(struct work_context *context, const char *instance);
/* Joins under a new session, which store->instance then names, and begins to look at the rows. On a
 * fiber. */
enum fh_code lease_manager_start(struct lease_manager *manager, struct fh_error *error);
/* No more leases are taken. Callable from anywhere. */
void lease_manager_drain(struct lease_manager *manager);
/* Leaves, so that the others need not wait. Call it once nothing is in progress under any of our
 * leases. No callback is called afterwards. On a fiber. */
void lease_manager_stop(struct lease_manager *manager);
void lease_manager_free(struct lease_manager *manager);

/* From now on this instance may get the lease. `manager` may be NULL. */
void lease_add(struct lease_manager *manager, struct lease *lease);
void lease_ended(struct lease *lease);
/* The lease is ours according to its row, but the store refuses what we do under it. Ends it and
 * gives it back; at the next look it can be taken again, with a new epoch. Calls `ends`. Does
 * nothing if the lease is not ours. */
void lease_give_up(struct lease *lease);

/* The number of live instances as of the last look, including this one; 1 without a lease
 * manager. */
int lease_members(const struct lease_manager *manager);

/* Callbacks of a user of leases; all but context may be NULL. */
struct lease_watcher {
    /* Called at each look; `changed`: an instance came or went. */
    void (*looked)(void *context, bool changed);
    /* This instance was taken for dead: all its leases, including those of sagas, belong to others
     * now. */
    void (*lost)(void *context);
    /* What the other instances should know about us: a new reference. */
    json_t *(*tell)(void *context);
    void *context;
    struct lease_watcher *next; /* private to lease.c */
};
/* Before the start. `watcher` must outlive the manager. */
void lease_watch(struct lease_manager *manager, struct lease_watcher *watcher);
/* Visits what the other instances' watchers have told, in no particular order; borrowed until the
 * next look. */
void lease_told(const struct lease_manager *manager,
                void (*visit)(void *context, const json_t *told), void *context);
/* The same as the rows say it now, in an open unit of work. `visit` is given all that an instance's
 * watchers have told, as an array; NULL: it has just joined, and has told nothing yet. */
enum fh_code lease_read_told(struct store_work *work,
                             void (*visit)(void *context, const json_t *told), void *context,
                             struct fh_error *error);

#endif
