/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_TRIM_H
#define EVENT_OUTBOX_TRIM_H

/*
 * Trimming: events that every subscriber has committed leave the outbox, oldest first, a slice per
 * transaction. Of the trimmed events the store keeps the position and id of the last one, by which
 * places are judged, and the last position of each key.
 *
 * A subscriber holds back what it has not committed; so does a declared subscriber that has not
 * asked yet. Neither can hold back more than retention.h allows: beyond that it is expired. Its
 * next request is answered with 410, and it returns by way of a snapshot.
 */

#include <jansson.h>
#include <stdint.h>

#include "event/manager.h"
#include "work/retention.h"

#define TRIM_SLICE 500 /* events per transaction */
/* Where a sequencer assigns positions, events are kept for at least this long: their publishers may
 * still be asking for their positions, and a carry may be looking for its own. */
#define TRIM_SETTLED_MS 60000

/* One look, and all the slices due after it. `expected`: names of the services that declare a
 * subscription, {"orders": true}, or NULL. On a fiber; ends early when the manager drains. */
enum fh_code event_trim(struct event_manager *manager, const struct retention *retention,
                        const json_t *expected, struct fh_error *error);

#endif
