/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_RETENTION_H
#define WORK_RETENTION_H

/*
 * How long a store keeps what nobody needs any more, and by what clock that is judged.
 *
 * Ages are counted as positions: beside the store's last position it is remembered when it was seen
 * there (command_clock_ms: no step of the wall clock moves it). What stands at such a mark or
 * before it is at least as old as the mark. A store that publishes nothing writes no marks.
 */

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "work/work.h"

struct retention {
    /* Events that every subscriber has passed are kept so long all the same: for subscribers that
     * are just being added. */
    int64_t events_kept_ms;
    /* No subscriber holds events for longer than this, or more of them: it is expired then. */
    int64_t events_kept_ms_max;
    int64_t events_max;
    /* Ended sagas, of which every receiver has been told. A receiver that is restored from a backup
     * asks for what it has lost: so no backup should be older. */
    int64_t sagas_kept_ms;
    int64_t look_ms; /* how often it is seen to */
};

#define RETENTION_EVENTS_KEPT_MS (INT64_C(3600) * 1000)
#define RETENTION_EVENTS_KEPT_MS_MAX (INT64_C(7) * 24 * 3600 * 1000)
#define RETENTION_EVENTS_MAX 10000000
#define RETENTION_SAGAS_KEPT_MS (INT64_C(7) * 24 * 3600 * 1000)
#define RETENTION_LOOK_MS 10000 /* sooner where events are kept for less */
#define RETENTION_LOOK_MS_MIN 100

/* A process's configuration, "retention": {"events_kept_ms", "events_kept_ms_max", "events_max",
 * "sagas_kept_ms", "look_ms"}; each may be missing. */
struct retention retention_of(const json_t *config);

/* Marks of a period: at most so many, so an age is told too low by up to an eighth of the period.
 */
#define AGE_MARKS_MAX 10
/* The highest position that is `period_ms` old or older, as far as is known; 0: none. Period 0: the
 * last one. `name` tells this period from others of the same store. On a fiber; may write. */
enum fh_code age_position(struct work_context *context, const char *name, int64_t period_ms,
                          int64_t *ret, struct fh_error *error);

#endif
