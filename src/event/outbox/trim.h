/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_TRIM_H
#define EVENT_OUTBOX_TRIM_H

/*
 * Trimming: events that every subscriber has committed leave the outbox, oldest first, a slice in
 * each work. What is remembered of them is the last one's position and id (the feed judges cursors
 * by those) and each key's last position.
 *
 * A subscriber holds what it has not committed. So does one that is declared and has not asked yet.
 * Neither holds more than retention.h allows: beyond that it is expired. Its next request is
 * answered with 410, and it comes back by a snapshot.
 */

#include <jansson.h>
#include <stdint.h>

#include "event/manager.h"
#include "work/retention.h"

#define TRIM_SLICE 500 /* events of one work */
/* Where a sequencer of its own gives positions, events are kept for this long at least: those who
 * have published them are still asking for their positions, and a carry may look for its own. */
#define TRIM_SETTLED_MS 60000

/* One look, and all the slices that it finds due. `expected`: names of services that are declared
 * to hear, {"orders": true}, or NULL. On a fiber; ends early when the room drains. */
enum fh_code event_trim(struct event_manager *manager, const struct retention *retention,
                        const json_t *expected, struct fh_error *error);

#endif
