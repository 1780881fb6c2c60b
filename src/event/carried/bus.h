/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_CARRIED_BUS_H
#define EVENT_CARRIED_BUS_H

/*
 * A broker as a bus: a subscription's events come as messages of the publisher's relay
 * (event/relay/relay.h), and from the publisher's feed whatever those lack. The feed alone decides
 * about places: whether one is lost, and what follows another incarnation.
 *
 *   a message follows the last event of the partition    it is delivered
 *   it does not: something is missing                     after a moment, in which what overtakes
 *                                                         may arrive, the feed is asked
 *   it is of another incarnation                          dropped; the feed is asked, at most once
 *                                                         a second
 *   it refers to data that were too large                 the feed is asked
 *   nothing follows for a second (and then for longer)    the feed is asked: the last messages may
 *                                                         be lost
 *   the feed keeps having what does not come              it is asked in long polls, until it does
 *   the broker does not answer                            the feed is asked in long polls, and the
 *                                                         broker again at intervals
 *
 * What is committed is told to the publisher by these questions, at least every few seconds, and
 * acknowledged to the broker.
 */

#include "broker/broker.h"
#include "event/bus.h"
#include "event/manager.h"

#define CARRIED_REORDER_MS                                                                         \
    150 /* how long what is missing may be under way, of several partitions */
#define CARRIED_SILENCE_MS_MIN 1000
#define CARRIED_SILENCE_MS_MAX 8000 /* doubled while nothing is missed */
#define CARRIED_TELL_MS 5000        /* what is committed, at least this often */
#define CARRIED_FOREIGN_MS 1000
#define CARRIED_ANSWER_MS_MAX 10000 /* of the feed, to a question that need not wait */
#define CARRIED_MISSED_MAX 3        /* answers in a row with what did not come by the broker */
#define CARRIED_TAKE_MS 1000        /* one wait for messages */
#define CARRIED_CONSUME_MS 2000
#define CARRIED_RETRY_MS_MAX 10000

/* From now on the events of `source` come by this bus: `options` as in relay_new. Before the
 * manager's start. */
enum fh_code carried_add(struct event_manager *manager, const char *system, const char *source,
                         const json_t *options, struct fh_error *error);
void carried_free(struct event_manager *manager);

/* Who a service's subscription is to the broker as it reads the partitions p for which p % of ==
 * index: whoever provides a broker lets nobody else be it. */
void carried_consumer_name(const char *service, unsigned index, unsigned of,
                           char ret[static BROKER_NAME_LENGTH_MAX + 1]);

/* [{"source", "bus", "connected", "carried", "fed", "reason"}]: how many events came by the bus,
 * and how many from the feed all the same. New reference. */
json_t *carried_state(const struct event_manager *manager);

#endif
