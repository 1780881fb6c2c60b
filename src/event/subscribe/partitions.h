/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_PARTITIONS_H
#define EVENT_SUBSCRIBE_PARTITIONS_H

/*
 * Into how many shares a subscription is divided. An event's share is told by its key, so the order
 * of a key is kept however many instances apply. The number is fixed when the subscription first
 * begins, by its cursors: with another one, keys would change their cursors in between.
 */

#include "base/error.h"
#include "event/manager.h"

#define PARTITIONS_AT_BIRTH 8 /* where the engine takes several instances; else 1 */

/* Makes the cursors of a new subscription. On a fiber. */
enum fh_code partitions_count(struct event_manager *manager, const char *source, unsigned *ret,
                              struct fh_error *error);

#endif
