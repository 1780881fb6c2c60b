/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_PARTITIONS_H
#define EVENT_SUBSCRIBE_PARTITIONS_H

/*
 * How many partitions a subscription has. An event's key determines its partition, so a key's order
 * is kept however many instances apply events. The number is fixed by the cursors created when the
 * subscription first starts: with another number, keys would switch cursors midway.
 */

#include "base/error.h"
#include "event/manager.h"

#define PARTITIONS_AT_BIRTH 8 /* where the engine allows several instances; else 1 */

/* Counts the partitions; creates the cursors of a new subscription. On a fiber. */
enum fh_code partitions_count(struct event_manager *manager, const char *source, unsigned *ret,
                              struct fh_error *error);
/* Turns a source's one subscription into so many, one a partition; returns the last. */
struct subscription *partitions_spread(struct subscription *subscription, unsigned count);

#endif
