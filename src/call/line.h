/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_LINE_H
#define CALL_LINE_H

/*
 * The places in flight to one target: a limited number of calls may be in flight, others wait in
 * line, first come, first served. A call that leaves passes its place directly to the one that has
 * waited longest, so that no newcomer overtakes.
 */

#include <stdint.h>

#include "world/world.h"

struct line_waiter;

struct line {
    int in_flight, in_flight_high;
    int waiting;
    struct line_waiter *first, *last;
};

enum line_place {
    LINE_TAKEN,
    LINE_FULL, /* the line is full */
    LINE_LATE, /* the deadline came first */
    LINE_AWAY, /* line_turn_away was called while it waited */
};

/* Call on a fiber. After LINE_TAKEN, call line_leave. */
enum line_place line_enter(struct line *line, struct world *world, int in_flight_max,
                           int waiting_max, int64_t deadline_ns);
void line_leave(struct line *line);
/* Sends all waiters away: there is nothing to wait for. */
void line_turn_away(struct line *line);

#endif
