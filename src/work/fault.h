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

#include "work/work.h"

#define FAULT_TEXT_SIZE 900
#define FAULT_STATEMENT_LENGTH_MAX 300
#define FAULT_LINES_A_SECOND 100 /* of 500s; more are counted. Of 503s one: base/log.h. */

/* "POST /api/orders: WHY (handler place_order; statement "SELECT ..."; trace 4bf9...)". Of marked
 * values there is nothing in it. Returns `out`. */
const char *fault_text(const fh_work *w, char out[static FAULT_TEXT_SIZE]);
/* The same if it ended with 500 and more, else the error's message: for a line with an id of its
 * own. Nobody needs to tell it any more. */
const char *fault_take(fh_work *w, const struct fh_error *error, char out[static FAULT_TEXT_SIZE]);
/* Logs it, if it ended with 500 and more and nobody has told yet. */
void fault_tell(fh_work *w);
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

/* ---- a handler's own fault, for tests ---- */

/* Its unit of work ended with 500, for good, so no rerun mends it. Wrong SQL, an event that is not
 * declared or does not fit, an answer that does not fit, fh_fail(w, 500, ...). What is not the
 * handler's (a store or a service that is away, a conflict) is no 500. */
struct work_fault {
    const char *service;   /* whose handler it is */
    const char *place;     /* "POST /api/orders/{id}", "the event OrderCreated of orders" */
    const char *message;   /* without what is marked in shapes */
    const char *statement; /* the SQL that failed, as it was written; NULL: none did */
    const char *trace;     /* traceparent, or NULL */
    fh_handler *handler;
};

/* Tells context->on_fault, if there is one and `w`, which is not released yet, ended so. `code` is
 * what it ended with. */
void work_fault_note(const fh_work *w, const char *place);

#endif
