/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_FAULT_H
#define WORK_FAULT_H

/*
 * Telling the operator of what ends with a status of 500 and more: once, whatever way it took. A
 * unit of work remembers that it ended so (work_set_problem and its like, failure.c) until somebody
 * tells; whoever answers a request does, before the answer, and work_release does for all others:
 * handlers of events, sagas, snapshots. So nothing is lost if nobody thinks of it, and nothing is
 * said of a run that was run again.
 *
 * The line has what was done (a route's template, an event's type, a saga's step), the handler's
 * function, the statement without its values, the trace id and why. The client is told a sentence
 * and the trace id, and of Freehold's own sentences none that has anything of the inside in it.
 */

#include "base/doing.h"
#include "work/work.h"

#define FAULT_TEXT_SIZE 900
#define FAULT_STATEMENT_LENGTH_MAX 300
#define FAULT_LINES_A_SECOND 100 /* of 500s; more are counted. Of 503s one: base/log.h. */

/* What `w` is: "POST /api/orders", "event UserUpdated of users". Returns `out`. */
const char *fault_what(const fh_work *w, char out[static DOING_SIZE]);
/* "POST /api/orders: WHY (handler place_order; SQL SELECT ...; trace 4bf9...)". Of marked values
 * there is nothing in it. Returns `out`. */
const char *fault_text(const fh_work *w, char out[static FAULT_TEXT_SIZE]);
/* The status of 500 and more with which it ended, if nobody has told yet; else 0. Who asks tells,
 * in a line with an id of its own. */
int fault_take(fh_work *w);
void fault_write(fh_work *w); /* fault_tell's alone */
/* Logs it, if it ended with 500 and more and nobody has told yet. */
static inline void fault_tell(fh_work *w)
{
    if (w->fault_status) /* every unit of work asks */
        fault_write(w);
}
/* Nobody needs to tell: it was, or will be, in another line. */
void fault_is_told(fh_work *w);
/* An answer of `status` that is no unit of work's: `what` has nothing of the request but its
 * route. `trace` may be NULL. */
void fault_tell_of(struct fault_lines *lines, struct world *world, int status, const char *what,
                   const char *trace, const char *why);

/* An answer of which no more is known than its body, a problem or not: for http_handler.untold. */
void fault_tell_answer(struct fault_lines *lines, struct world *world, int status, const char *body,
                       size_t body_length);

/* SQL without what may be a value: texts, numbers, comments. At most
 * FAULT_STATEMENT_LENGTH_MAX bytes, in one line. */
void fault_statement(const char *sql, char out[static FAULT_STATEMENT_LENGTH_MAX + 1]);
/* The trace id of a traceparent: 32 hex digits, or "". */
#define FAULT_TRACE_SIZE 33
const char *fault_trace(const char *traceparent, char out[static FAULT_TRACE_SIZE]);

#endif
