/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_BUS_H
#define EVENT_FEED_BUS_H

/* The feed as a bus: a subscriber asks the publisher itself for what follows a place, over HTTP, in
 * long polls (feed.h describes the protocol). */

#include "event/bus.h"
#include "world/world.h"

extern const struct bus feed_bus;

/* Parses a 200 answer to a request for what follows `after`. FH_INVALID says why no feed would
 * answer like that: a header is missing, the body is not JSON, the incarnation is not the one asked
 * for, or batch_take refuses it. */
enum fh_code feed_batch_parse(const struct world_request *answer, const struct ledger_cursor *after,
                              int count_max, struct batch **ret, struct fh_error *error);

#endif
