/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_LEASE_H
#define WORK_LEASE_H

/*
 * What one instance of a service at a time does: apply one share of a subscription's events, take
 * over sagas, forget old commands. On engines with many instances each such thing is a lease, a
 * row of the store's fh_lease, and this is who gets which. docs/operate/instances.md tells the
 * story.
 *
 * An instance shows every LEASE_TICK_MS that it lives, by one statement; and looks at all rows.
 * One that has shown nothing new for three of its ticks, by the observer's own clock, is removed,
 * and what it had is taken. No clock of another machine, nor the wall's, decides anything. Nothing
 * rests on the observer being right: every taking raises an epoch, and every work that a lease is
 * for fails unless it knows the newest one. So whoever was removed and lives on does no harm; it
 * notices, gives up all it had, and joins anew.
 *
 *   AWAY ──taken──▸ OURS ──someone else should have it, or has it──▸ ENDING ──lease_ended──▸ AWAY
 *
 * An embedded store has one process: there is no room (NULL), what is added is ours at once, and
 * nothing is written.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/store.h"

#define LEASE_TICK_MS 300
#define LEASE_TICK_ALONE_MS 1000 /* while nobody else lives: there is nobody to take over */
#define LEASE_DEAD_TICKS 3       /* of its own: 3.15, so that what is late by little is not dead */
#define LEASE_LOOKS_MIN 3        /* a late look is no proof that others were late */
#define LEASE_NAME_SIZE 96
#define LEASES_MAX 2048 /* of one service: shares of all its subscriptions */
#define LEASE_MEMBERS_MAX 128

struct work_context;
struct lease_manager;

enum lease_state { LEASE_AWAY, LEASE_OURS, LEASE_ENDING };

struct lease {
    /* "share users 0/8": what is before the last blank names what is spread evenly. */
    char name[LEASE_NAME_SIZE];
    /* In the work that takes it: its fences. NULL: it has none but its name. */
    enum fh_code (*take)(struct lease *lease, struct store_work *work, int64_t epoch,
                         struct fh_error *error);
    /* It is ours, with `epoch`. Must not park. */
    void (*taken)(struct lease *lease);
    /* It is not ours any more: lease_ended once nothing of it is under way, perhaps at once. Must
     * not park. */
    void (*ends)(struct lease *lease);
    void *owner;

    /* lease.c's. */
    struct lease_manager *manager;
    enum lease_state state;
    int64_t epoch; /* 0: embedded */
    bool lost;     /* while ENDING: there is nothing to give back */
    bool ended;    /* while ENDING: it can be given back */
    struct lease *next;
};

/* NULL where the store has one process. `instance` NULL: "0". */
struct lease_manager *lease_manager_new(struct work_context *context, const char *instance);
/* Joins, under a life of its own that store->instance then names, and begins to look. On a fiber.
 */
enum fh_code lease_manager_start(struct lease_manager *manager, struct fh_error *error);
/* Takes nothing more. From anywhere. */
void lease_manager_drain(struct lease_manager *manager);
/* Leaves, so that the others need not wait: when nothing of what was ours is under way any more.
 * Nothing is called afterwards. On a fiber. */
void lease_manager_stop(struct lease_manager *manager);
void lease_manager_free(struct lease_manager *manager);

/* From now on we may get it. `room` may be NULL. */
void lease_add(struct lease_manager *manager, struct lease *lease);
void lease_ended(struct lease *lease);
/* Ours by its row, but the store does not let us do what it is for: it ends, is given back, and can
 * be had anew, with a new epoch, at the next look. Calls `ends`. Nothing where it is not ours. */
void lease_give_up(struct lease *lease);

/* Who lives, ourselves included, as seen last; 1 where there is no room. */
int lease_members(const struct lease_manager *manager);

/* What whoever uses leases wants to hear and to tell; all but context may be NULL. */
struct lease_watcher {
    /* At each look; `changed`: an instance came or went. */
    void (*looked)(void *context, bool changed);
    /* We were taken for dead: all that was ours is others', sagas too. */
    void (*lost)(void *context);
    /* What the others shall know of us: a new reference. */
    json_t *(*tell)(void *context);
    void *context;
    struct lease_watcher *next; /* lease.c's */
};
/* Before the start. `watcher` is kept. */
void lease_watch(struct lease_manager *manager, struct lease_watcher *watcher);
/* What the others' watchers have told, in no order; borrowed, until the next look. */
void lease_told(const struct lease_manager *manager,
                void (*visit)(void *context, const json_t *told), void *context);

#endif
