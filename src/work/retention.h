/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_RETENTION_H
#define WORK_RETENTION_H

/*
 * How long a store keeps data that nobody needs any more, and by which clock that is judged.
 *
 * Ages are measured in positions: the store records a mark, its last position together with the
 * time at which it stood there (command_clock_ms, which no step of the wall clock moves).
 * Everything at or before a mark is at least as old as the mark. A store that publishes nothing
 * writes no marks.
 */

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "work/work.h"

struct retention {
    /* Events that every subscriber has passed are still kept this long, for subscribers that are
     * just being added. */
    int64_t events_kept_ms;
    /* No subscriber can hold back events for longer than this, nor more events than this: beyond
     * that it is expired. */
    int64_t events_kept_ms_max;
    int64_t events_max;
    /* Readers outside tell nobody how far they are, so events are held for them for so long,
     * whoever has passed them; 0: not at all. The bounds above come first. */
    int64_t outside_kept_ms;
    /* Ended sagas whose every receiver has been notified. A receiver that is restored from a backup
     * asks for what it has lost, so no backup should be older than this. */
    int64_t sagas_kept_ms;
    int64_t look_ms; /* how often retention is enforced */
};

#define RETENTION_EVENTS_KEPT_MS (INT64_C(3600) * 1000)
#define RETENTION_EVENTS_KEPT_MS_MAX (INT64_C(7) * 24 * 3600 * 1000)
#define RETENTION_EVENTS_MAX 10000000
#define RETENTION_SAGAS_KEPT_MS (INT64_C(7) * 24 * 3600 * 1000)
#define RETENTION_LOOK_MS 10000 /* more often where events are kept for less */
#define RETENTION_LOOK_MS_MIN 100

/* Read from a process's configuration, "retention": {"events_kept_ms", "events_kept_ms_max",
 * "events_max", "outside_kept_ms", "sagas_kept_ms", "look_ms"}; each member is optional. */
struct retention retention_of(const json_t *config);

/* The most marks kept for one period; an age is underestimated by up to an eighth of the period. */
#define AGE_MARKS_MAX 10
/* The highest position known to be at least `period_ms` old; 0: none. With period 0: the last
 * position. `name` distinguishes this period from others of the same store. On a fiber; may
 * write. */
enum fh_code age_position(struct work_context *context, const char *name, int64_t period_ms,
                          int64_t *ret, struct fh_error *error);

#endif
