/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_MANAGER_H
#define EVENT_MANAGER_H

/*
 * What events need in one service instance: who waits for new ones (the feed's long polls), what
 * its subscribers have told (feed.h), and its own subscriptions (subscribe.h). It is
 * work_context.events. All of it is memory: what must outlive the process is in the ledger.
 *
 *     context.events = event_room_new(&context);
 *     event_room_start(room, &error);     on a fiber: reads the position, starts subscriptions
 *     ... feed_answer(room, ...) on fibers, event_room_state ...
 *     event_room_drain(room);             anywhere: long polls are answered, no new batch begins
 *     event_room_wait(room);              on a fiber: until no batch is under way
 *     event_room_free(room);              once event_room_ended: after open requests have failed
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/portion.h"
#include "freehold.h"
#include "store/store.h"
#include "work/lease.h"
#include "world/fiber.h"

struct event_slices;
struct subscription;
struct work_context;

struct event_counters {
    uint64_t published; /* events committed here */
    uint64_t feeds;     /* feed requests answered */
    uint64_t sent;      /* events in their answers */
    uint64_t applied;   /* events of others, applied once */
    uint64_t failures;  /* attempts to apply that failed, outages left out */
    uint64_t outages;   /* attempts that met an outage */
    uint64_t parked;    /* events parked, those behind a failed one included */
    uint64_t retried;   /* parked events applied after all */
    uint64_t fetches;   /* feed answers read */
};

/* What the last look at what may be trimmed has found: see trim.h. */
struct event_trimmed {
    int64_t position;    /* up to which everything is gone */
    int64_t removed;     /* events, by this process */
    json_t *subscribers; /* [{"name", "share", "done", "expired"}]; NULL before the first look */
    int64_t expired;     /* of them, and of those that are declared and have never asked */
};

struct event_manager {
    struct work_context *context;
    int64_t position; /* the last committed one that this process knows of */
    uint64_t commits; /* rises with each work that published */
    bool draining;
    struct fiber_queue readers; /* the feed's long polls */
    struct fiber_queue looker;  /* see look.c */
    struct store_listener listener;
    struct fiber_queue sleepers; /* the room's own fibers, between two tries */
    int reader_count;
    struct event_slices *slices; /* see slice.h; NULL: none yet */
    struct map subscribers; /* of this service's feed: struct feed_subscriber by name and share */
    bool recording;         /* a fiber writes down what they have told */
    int64_t recorded_ns;
    struct subscription *subscriptions; /* this service's own, in the order of `hears` */
    struct lease_watcher watcher;       /* of whose shares they are */
    int parked_keys_max, parked_max;    /* of one subscription; as in subscribe.h */
    /* Rows of one page of the state of each of `publishes`. */
    struct portion
        pages[sizeof((struct fh_service *)NULL)->publishes / sizeof(struct fh_published)];
    const json_t *schemas; /* of what others publish, by service and type; NULL: not known */
    struct event_trimmed trimmed;
    int fibers;              /* of this room, alive */
    struct fiber_queue idle; /* who waits in event_room_wait */
    struct event_counters counters;
};

/* `context` must outlive it; its service and world are set, its store by event_room_start. */
struct event_manager *event_manager_new(struct work_context *context);
enum fh_code event_manager_start(struct event_manager *manager, struct fh_error *error);
void event_manager_drain(struct event_manager *manager);
void event_manager_wait(struct event_manager *manager);
/* No fiber of the room is left. A reader in a long poll ends when its request does. */
bool event_manager_ended(const struct event_manager *manager);
void event_manager_free(struct event_manager *manager);

/* Events up to `position` are durable: wakes the feed. */
void event_manager_committed(struct event_manager *manager, int64_t position, int count);

/* {"position", "trimmed", "expired", "subscribers": [{"name", "share", "done", "expired"}],
 * "subscriptions": [{"source", "share", "state", "position", "last", "depth", "lag_ms", "parked":
 * {"keys", "events", "oldest_ms"}, "reason"}]}: see docs/guide/events.md. Memory only, cheap: what
 * other instances have is as they told last; subscribers are told by the instance that trims, as it
 * saw them last. New reference. */
json_t *event_manager_state(const struct event_manager *manager);
/* The subscriptions, or shares of them, that this instance has. New reference. */
json_t *event_manager_own(const struct event_manager *manager);

/* Within the room: look.c, for stores that others publish into too. */
void event_look_start(struct event_manager *manager);
void event_look_soon(struct event_manager *manager); /* someone waits for new events */

/* Within the room: a fiber that is counted in `fibers`. */
bool event_manager_fiber(struct event_manager *manager, void (*entry)(void *), void *argument);
void event_manager_fiber_ends(struct event_manager *manager);
/* Sleeps until then. False as soon as the room drains. */
bool event_manager_sleep(struct event_manager *manager, int64_t until_ns);

#endif
