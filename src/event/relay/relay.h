/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RELAY_RELAY_H
#define EVENT_RELAY_RELAY_H

/*
 * The relay: carries this service's outbox to a broker, in order, each event as a CloudEvent with
 * what it follows (event/chain.h). Freehold's own events are left out; what is too large travels
 * without its data, and is read from the feed.
 *
 *     place    in memory: up to where all was acknowledged by the broker
 *     row      in the store: the place, as that of any subscriber (outbox/subscribers.h), about a
 *              second old; trimming waits for it as for any other
 *
 *     killed after a batch was published    up to a second of events is published again: they name
 *                                           the same positions, by which subscriptions drop them
 *     place unknown, trimmed, or of another past of the store
 *                                           it begins at the present end. What lies before is
 *                                           missing at the broker, and comes from the feed
 *     two relays, one taken for dead        both publish what the outbox has, and tell what it
 *                                           follows
 *
 * Its lease saves work: nothing depends on there being only one. A broker that is slow or away
 * holds up nothing: no unit of work waits for the relay, which only falls behind.
 */

#include <jansson.h>

#include "event/manager.h"

#define RELAY_PARTITIONS 8    /* unless the configuration says otherwise */
#define RELAY_PUBLISH_MS 5000 /* for one batch */
#define RELAY_RETRY_MS_MAX 1000
#define RELAY_GREET_MS 1000       /* at its start, to connect and to declare its topic */
#define RELAY_IDLE_MS 30000       /* a look at the outbox without anything new */
#define RELAY_GREET_AGAIN_MS 1000 /* likewise, while the topic is not declared */

/* `options` {"driver", "partitions", ...}, as a configuration's `bus`, and the system's name; both
 * are borrowed. Before the manager's start. */
enum fh_code relay_new(struct event_manager *manager, const char *system, const json_t *options,
                       struct fh_error *error);
void relay_start(struct event_manager *manager);
/* After a look at the leases. */
void relay_looked(struct event_manager *manager);
bool relay_idle(const struct event_manager *manager); /* does not use the store now */
void relay_free(struct event_manager *manager);

/* How many partitions options say, and the topic of a service: "SYSTEM-SERVICE". FH_INVALID: the
 * number is no power of two, or too large; or names are too long. */
enum fh_code relay_topic(const char *system, const char *service, const json_t *options,
                         char *ret_name, size_t size, unsigned *ret_partitions,
                         struct fh_error *error);

struct relay_view {
    bool ours;          /* this instance's: else nothing else is set */
    bool connected;     /* the last batch went through, or nothing speaks against the next */
    const char *driver; /* its title */
    int64_t position;   /* relayed */
    int64_t depth;      /* events behind it */
    int64_t age_ms;     /* of the oldest of them, as far as it was read */
    uint64_t published, failures;
    int64_t outside_kept_s; /* for how long the topic holds events for readers outside; 0: not */
    bool outside_overflows; /* it has no room for that: relay/held.h */
    const char *reason;     /* why it is not connected, or "" */
};
void relay_view(const struct event_manager *manager, struct relay_view *ret);

#endif
