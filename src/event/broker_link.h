/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_BROKER_LINK_H
#define EVENT_BROKER_LINK_H

/*
 * A process's connection to a broker, shared by its subscriptions where their options are the same;
 * its relay has one of its own, since what it sends may hold up a connection. It is made by a fiber
 * of its own, which tries for as long as it takes: nobody waits for it but the relay. Once made,
 * the driver keeps it (broker.h).
 */

#include "broker/broker.h"
#include "event/bus.h"
#include "event/manager.h"

#define BROKER_CONNECT_MS 2000
#define BROKER_RETRY_MS_MIN 50
#define BROKER_RETRY_MS_MAX 1000
#define BROKER_HOPELESS_MS 30000 /* until what can't succeed is tried again all the same */

struct broker_link {
    struct event_manager *manager;
    const struct broker_driver *driver;
    const json_t *options; /* borrowed */
    bool relays;           /* it is the relay's */
    struct broker *broker; /* NULL: not connected yet */
    bool connecting;
    char why[BUS_WHY_SIZE];  /* not, as a sentence; or "" */
    char lost[BUS_WHY_SIZE]; /* broker_link_fault's */
    struct fiber_queue changed;
    struct broker_link *next;
};

/* Of a configuration's bus: {"driver": NAME, ...}, which is borrowed. FH_INVALID: it names no
 * driver of this build. */
enum fh_code broker_link_of(struct event_manager *manager, const json_t *options, bool relays,
                            struct broker_link **ret, struct fh_error *error);
/* NULL: it is not connected; being worked on. */
struct broker *broker_link_get(struct broker_link *link);
/* Why nothing goes by it now, a sentence; NULL: nothing speaks against it. */
const char *broker_link_fault(struct broker_link *link);
/* The n-th pause after a failure, n from 1, until when. */
int64_t broker_pause_until_ns(struct world *world, int n, int64_t ms_max);
/* Closes the connections of all; nobody uses them any more. */
void broker_links_free(struct event_manager *manager);

#endif
