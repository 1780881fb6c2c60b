/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_BUSES_H
#define SERVICE_BUSES_H

/*
 * By which buses a service's events go out and others' come in, as its configuration says:
 *
 *     "bus": {"driver": "nats", ...}                  its own events are also published there
 *     "buses": {"users": {"driver": "nats", ...}}     those of users come by their bus
 *
 *     "buses": {"legacy": {"driver": "kafka", "source": {"topic": "orders", "partitions": 4,
 *                          "type", "key", "empty", "from", "generation"}}}
 *                                                     no service's, but a topic of others'
 *
 * Each is what the broker's driver takes as its options, and "partitions": how many the
 * publisher's topic has (8). "bus" may have "outside_kept_s": for how long the topic is to hold
 * events for readers outside. Without them events are read from feeds alone.
 */

#include "service/runtime.h"

enum fh_code buses_take(struct runtime *runtime, struct fh_error *error);

#endif
