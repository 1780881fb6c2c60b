/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_REQUEST_LOG_H
#define WORK_REQUEST_LOG_H

/*
 * The log's lines about requests, of a service and of the gateway: each answer of 400 and more, and
 * where the system file says `request_log: all` every other one, too. A line has nothing of a
 * request but what the declaration knows of it: no path but a route's template, no query, no
 * address, no user.
 *
 * Whoever asks decides how many lines there are, so their number is bounded by each status: a flood
 * of one neither fills the disk nor keeps the lines about another out. The next line says how many
 * were left out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

#define REQUEST_LOG_ID "request-answered"
#define REQUEST_LOG_ALL_A_SECOND 200 /* with `all` */
#define REQUEST_LOG_FAILED_MAX 20    /* of one status, in REQUEST_LOG_FAILED_NS */
#define REQUEST_LOG_FAILED_NS (10 * LOG_PAUSE_NS)

/* One in a process; zero-initialised: only what failed is logged. */
struct request_log {
    bool all;
    struct log_rate answered;    /* with `all` */
    struct log_rate failed[200]; /* of 400 to 599 */
};

struct request_line {
    const char *method;
    const char *where; /* the route's template; NULL: no route */
    int status;
    int64_t took_ns;
    size_t length; /* of the answer's body, in bytes */
    const char
        *caller; /* a service, or who comes to the gateway; NULL or "": nobody that is known */
    const char *trace; /* traceparent, or NULL */
};

/* As it may be written; a client's own: "(other method)". */
const char *request_log_method(const char *method);

/* The value of "request_log" in a process's configuration; NULL: `failed`. */
void request_log_set(struct request_log *log, const char *value);

/* Asked for each answer, so it is all that one without a line costs. */
static inline bool request_log_wants(const struct request_log *log, int status)
{
    return status >= 400 || log->all;
}
/* What it wants, unless there were too many: `now_ns` is monotonic. */
void request_log_tell(struct request_log *log, const struct request_line *line, int64_t now_ns);
/* An answer to what became no request: it could not be read, or nobody took it. */
void request_log_tell_unread(struct request_log *log, int status, size_t length, int64_t now_ns);

#endif
