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
 * next request is answered with 410, and it returns by way of a snapshot. Readers outside tell
 * nothing: they are held for by time, within the same bounds, or not at all.
 *
 * In an embedded store units of work share their commits with a slice, and its freed pages are
 * written to the log with theirs. So there it has only as many events as keeps the trimming ahead
 * of what is published meanwhile, and the next one follows after a rest that is TRIM_REST times as
 * long as the slice took, commit included: the busier the store, the longer, up to TRIM_LOOK_MS
 * (the store may have stalled for minutes). Where that is too slow even with slices as large as
 * they may be, they follow each other without rests.
 */

#include <jansson.h>
#include <stdint.h>

#include "event/manager.h"
#include "work/retention.h"

#define TRIM_SLICE 500         /* events per transaction, at most */
#define TRIM_SLICE_MIN 50      /* at least, and in the first one */
#define TRIM_REST 2            /* times what a slice took */
#define TRIM_AHEAD_PERCENT 125 /* of what is published meanwhile: what must be removed */
#define TRIM_LOOK_MS 1000      /* of slices, then what may be trimmed is looked up again */
/* Where a sequencer assigns positions, events are kept for at least this long: their publishers may
 * still be asking for their positions, and a carry may be looking for its own. */
#define TRIM_SETTLED_MS 60000

/* One look, and the slices due after it; *ret_more: not all of them yet, so it wants to be called
 * again soon. `expected`: names of the services that declare a subscription, {"orders": true}, or
 * NULL. On a fiber; ends early when the manager drains. */
enum fh_code event_trim(struct event_manager *manager, const struct retention *retention,
                        const json_t *expected, bool *ret_more, struct fh_error *error);

struct trim_pace {
    int64_t removed; /* since the look */
    int limit;       /* events of the next slice */
};
/* After a slice that removed so many events and took so long; `published` since the look. Sets the
 * limit, and returns how long to rest. */
int64_t event_trim_pace(struct trim_pace *pace, int64_t removed, int64_t took_ns,
                        int64_t published);

#endif
