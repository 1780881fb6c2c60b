/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_FAIR_LINE_H
#define CALL_FAIR_LINE_H

/*
 * The places in flight to one target, as line.h has them, for callers who know nothing of each
 * other: they take turns, and whose requests can't be done in time are shed (turns.h).
 */

#include "call/overload.h"

struct fair_line {
    struct overload overload; /* its turns have those that wait */
    int in_flight, in_flight_max;
};

enum fair_place {
    FAIR_TAKEN,
    FAIR_SHED, /* more comes than can be done, and most of it from this caller */
    FAIR_LATE, /* the deadline came first */
    FAIR_AWAY, /* fair_line_turn_away was called while it waited */
};

/* `what`: what is asked for, for the log: "orders". Once `waiting_max` wait, no caller has more
 * than its part of them. */
void fair_line_init(struct fair_line *line, const char *what, int in_flight_max,
                    unsigned waiting_max);
/* Nothing may be in flight, or wait. */
void fair_line_release(struct fair_line *line);
/* Call on a fiber. `bytes`: what it keeps while it waits. A deadline below 0 is none. After
 * FAIR_TAKEN, call fair_line_leave. */
enum fair_place fair_line_enter(struct fair_line *line, struct world *world, const char *caller,
                                size_t bytes, int64_t deadline_ns);
void fair_line_leave(struct fair_line *line);
/* Sends all that wait away: there is nothing to wait for. */
void fair_line_turn_away(struct fair_line *line);

#endif
