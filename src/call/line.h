/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_LINE_H
#define CALL_LINE_H

/*
 * The places of one target: so many calls may be in flight, others wait in line, first come, first
 * served. A place is handed from the one who leaves to the one who has waited longest, directly,
 * so that nobody who comes in between overtakes.
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
    LINE_FULL, /* as many wait as may */
    LINE_LATE, /* the deadline came first */
    LINE_AWAY, /* line_turn_away while it waited */
};

/* On a fiber. TAKEN: leave it with line_leave. */
enum line_place line_enter(struct line *line, struct world *world, int in_flight_max,
                           int waiting_max, int64_t deadline_ns);
void line_leave(struct line *line);
/* All who wait go away: there is nothing to wait for. */
void line_turn_away(struct line *line);

#endif
