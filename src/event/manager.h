/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_MANAGER_H
#define EVENT_MANAGER_H

/*
 * The event state of one service instance: readers waiting for new events (outbox/reader.h), what
 * its subscribers have reported (outbox/subscribers.h), and its own subscriptions
 * (subscribe/subscribe.h). It is work_context.events. All of it is in memory: what must outlive the
 * process is in the ledger.
 *
 *     context.events = event_manager_new(&context);
 *     event_manager_start(manager, &error);  on a fiber: reads the position, starts subscriptions
 *     ... feed_answer(manager, ...) on fibers, event_manager_state ...
 *     event_manager_drain(manager);          anywhere: answers long polls, begins no new batch
 *     event_manager_wait(manager);           on a fiber: until no batch is in progress
 *     event_manager_free(manager);           once event_manager_ended, which open requests can
 *                                            delay until they have failed
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "base/portion.h"
#include "freehold.h"
#include "store/store.h"
#include "work/lease.h"
#include "world/fiber.h"

struct broker_link;
struct bus;
struct carrier;
struct event_marks;
struct event_slices;
struct level_waiter;
struct event_source;
struct relay;
struct subscription;
struct work_context;

struct event_counters {
    uint64_t published; /* events committed here */
    uint64_t feeds;     /* feed requests answered */
    uint64_t sent;      /* events in those answers */
    uint64_t applied;   /* other services' events, applied once */
    uint64_t failures;  /* failed attempts to apply, without outages */
    uint64_t outages;   /* attempts that met an outage */
    uint64_t parked;    /* events parked, including those parked after a failed one */
    uint64_t retried;   /* parked events applied in the end */
    uint64_t fetches;   /* feed answers read */
    uint64_t carried;   /* events that came by a broker */
    uint64_t fed;       /* events that came from a feed although their publisher has a broker */
};

/* What the last look for trimmable events found: see trim.h. */
struct event_trimmed {
    int64_t position;    /* everything up to here is gone */
    int64_t last;        /* the store's last position at that look: others publish, too */
    int64_t removed;     /* events removed by this process */
    json_t *subscribers; /* [{"name", "share", "done", "expired"}]; NULL before the first look */
    /* How many of these, and of declared ones that have never asked, have expired. */
    int64_t expired;
    /* For readers outside: for how long events are held, and how many this process had to remove
     * before that; the last look did so, too. */
    int64_t outside_kept_ms, outside_cut;
    bool outside_cuts;
};

struct event_manager {
    struct work_context *context;
    int64_t position; /* the last committed position that this process knows of */
    uint64_t commits; /* rises with each transaction that published */
    bool draining;
    struct fiber_queue readers; /* readers of the outbox that wait for more */
    uint64_t answers;           /* how often they were to be answered with what there was */
    struct fiber_queue looker;  /* see look.c */
    struct store_listener listener;
    struct fiber_queue sleepers; /* the manager's own fibers, between two attempts */
    int reader_count;
    struct event_slices *slices; /* see slice.h; NULL: none yet */
    struct map subscribers;      /* of this service: struct subscriber by name and partition */
    bool recording;              /* a fiber is storing what they have reported */
    int64_t recorded_ns;
    /* Brings other services' events: the feed, unless set before the start. */
    const struct bus *bus;
    struct carrier *carriers;           /* of sources whose events come by a broker */
    struct event_source *sources;       /* topics that others publish to: source/bus.h */
    struct relay *relay;                /* to this service's own broker; NULL: it has none */
    struct broker_link *links;          /* to brokers */
    struct subscription *subscriptions; /* this service's own, in the order of `subscribes` */
    struct lease_watcher watcher;       /* of the leases of its partitions */
    int parked_keys_max, parked_max;    /* of one subscription; as in subscribe.h */
    /* Sizes of state pages, in rows, for each of `publishes`. */
    struct portion
        pages[sizeof((struct fh_service *)NULL)->publishes / sizeof(struct fh_published)];
    const json_t *schemas;     /* of other services' events, by service and type; NULL: not known */
    const json_t *versions;    /* the same, by service, type and version */
    struct event_marks *marks; /* which of their data are personal: see marks.h */
    struct event_trimmed trimmed;
    bool is_view; /* it has routes `.of_view` */
    /* Requests that wait for events to be applied, and what is known of other instances'
     * partitions: subscribe/level.h. */
    struct level_waiter *waiters;
    int waiter_count;
    bool levels_looking;
    int64_t levels_ns; /* when the last look at them began */
    struct fiber_queue levels_looked;
    int fibers;              /* of this manager, running */
    struct fiber_queue idle; /* fibers in event_manager_wait */
    struct event_counters counters;
    struct log_rate casts_failed; /* lines about events that could not be cast for a reader */
    /* The last key that a retry of all keys came to, in the order of their list (parked_retry.c).
     */
    struct event_retried {
        char source[128], share[64];
        int64_t position;
    } retried;
};

/* `context` must outlive the manager; its service and world are set now, its store by the time of
 * event_manager_start. */
struct event_manager *event_manager_new(struct work_context *context);
enum fh_code event_manager_start(struct event_manager *manager, struct fh_error *error);
void event_manager_drain(struct event_manager *manager);
void event_manager_wait(struct event_manager *manager);
/* No fiber of the manager is left. A reader in a long poll ends with its request. */
bool event_manager_ended(const struct event_manager *manager);
void event_manager_free(struct event_manager *manager);

/* Readers that wait for more are answered with what there is, and ask again. */
void event_manager_answer(struct event_manager *manager);
/* Events up to `position` are durable: wakes the feed. */
void event_manager_committed(struct event_manager *manager, int64_t position, int count);

/* {"position", "trimmed", "expired", "subscribers": [{"name", "share", "done", "expired"}],
 * "bus": {"bus", "connected", "position", "depth", "age_ms", "outside_kept_s",
 * "outside_overflows", "reason"}, "outside": {"kept_ms", "cut"}, "buses": [{"source", "bus",
 * "connected", "reason"}], "sources": [{"source", "bus", "topic", "connected", "lost", "reason"}],
 * "subscriptions": [{"source", "share", "state", "position", "last", "depth", "lag_ms", "parked":
 * {"keys", "events", "oldest_ms"}, "reason"}]}: see docs/guide/events.md. Reads only memory, so it
 * is cheap: other instances' partitions are as those last reported them; subscribers are listed
 * only by the instance that trims, as of its last look. New reference. */
json_t *event_manager_state(const struct event_manager *manager);
/* The subscriptions, or partitions of them, that this instance has. New reference. */
json_t *event_manager_own(const struct event_manager *manager);

/* Which bus brings a source's events: carried/bus.c. */
const struct bus *event_manager_bus(const struct event_manager *manager, const char *source);

/* How many partitions a source outside of the system has; 0: events of this name are a service's.
 * source/sources.c. */
unsigned event_manager_source(const struct event_manager *manager, const char *name);

/* The relay of this service's events, if this instance has it; else NULL. New reference. */
json_t *event_manager_relay(const struct event_manager *manager);

/* Within the layer: look.c, for stores into which other processes publish too. */
void event_look_start(struct event_manager *manager);
void event_look_soon(struct event_manager *manager); /* a reader waits for new events */

/* Within the layer: fibers.c. Starts a fiber that is counted in `fibers`. */
bool event_manager_fiber(struct event_manager *manager, void (*entry)(void *), void *argument);
void event_manager_fiber_ends(struct event_manager *manager);
/* Sleeps until then. False as soon as the manager drains. */
bool event_manager_sleep(struct event_manager *manager, int64_t until_ns);

#endif
