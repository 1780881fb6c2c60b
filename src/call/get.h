/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_GET_H
#define CALL_GET_H

/*
 * Asking another service with GET: fh_get, fh_try_get and fh_get_each for handlers, call_get for
 * the layers above; and servers outside the system: fh_fetch, fh_try_fetch and call_fetch.
 *
 * A call has a deadline, which is passed on to the target and shrinks on the way. A GET may be
 * repeated. So after a failure that may pass (no connection, no answer, 429, 502, 503, 504) it is
 * retried, with up to CALL_ATTEMPTS_MAX attempts within the deadline and the target's retry budget,
 * after pauses with full jitter that respect Retry-After. At most CALL_IN_FLIGHT_MAX requests to
 * one service are in flight; further ones wait in line, so that one slow service can't take all
 * fibers and connections. A service that does not answer at all gets only probes: breaker.h.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "call/breaker.h"
#include "call/line.h"
#include "world/fiber.h"

#define CALL_ATTEMPTS_MAX 4
#define CALL_RETRY_MS_MIN 10
#define CALL_RETRY_MS_MAX 1000
#define CALL_IN_FLIGHT_MAX 64
#define CALL_WAITING_MAX 4096  /* in line for one service; beyond, calls are refused */
#define CALL_MARGIN_MS 20      /* reserved from the deadline for our own answer */
#define CALL_DEADLINE_MS 10000 /* for a unit of work without a deadline */
#define CALL_RETRY_AFTER_S_MAX 60
#define CALL_ANSWER_SIZE_MAX ((size_t)8 << 20)
#define CALL_FETCHED_SIZE_MAX ((size_t)1 << 20) /* from outside the system */
#define CALL_OBJECTS_MAX 16                     /* to fill a path from */
#define CALL_IDS_A_CALL 100
#define CALL_IDS_MAX 10000   /* of one fh_get_each */
#define CALL_CHUNKS_BESIDE 8 /* fetched in parallel by one fh_get_each */

struct work_context;

struct call_counters {
    uint64_t calls, retries, failures; /* failures: after all attempts */
};

/* A service that is asked. */
struct call_target {
    struct line line;
    struct breaker breaker;
    struct call_counters counters;
};

struct call_manager {
    struct work_context *context;
    struct map targets; /* struct call_target by service name, or "https://HOST" */
};

/* Used as work_context.calls. `context` must outlive it. */
struct call_manager *call_manager_new(struct work_context *context);
void call_manager_free(struct call_manager *manager); /* no call may be in flight */

struct call_answer {
    int status;        /* 0: unreachable, out of time, or refused locally: see failure */
    int retry_after_s; /* 0: the answer does not say */
    bool refused;      /* locally: retrying now is useless */
    bool json;         /* its Content-Type says so */
    bool oversized;    /* status is 0, since the answer is too large */
    char failure[128]; /* if status is 0: "connection refused"; otherwise "" */
    char *text;        /* malloc'ed, never NULL after call_get */
    size_t length;
};

/* On whose behalf a call is made; both may be NULL. */
struct call_for {
    const char *trace; /* the parent's traceparent */
    const char *user;  /* the statement: user.h */
};

/* GETs `path` (encoded, with its query) of `service`.
 * A negative deadline means CALL_DEADLINE_MS from now. Runs on a fiber, which it parks. Returns the
 * final answer, whatever its status. */
void call_get(struct call_manager *manager, const char *service, const char *path,
              struct call_for by, int64_t deadline_ns, struct call_answer *ret);
struct world_header;
struct call_outside {
    const char *target; /* what its line and its breaker are for; there are few of them */
    const char *url;
    const char *shown;                  /* the path that traces have */
    const struct world_header *headers; /* at most CALL_HEADERS_MAX, ended by a NULL name */
};
#define CALL_HEADERS_MAX 8
/* GETs a URL outside the system, whose receiver learns nothing of this one but the headers.
 * Otherwise like call_get. */
void call_fetch(struct call_manager *manager, const struct call_outside *outside,
                struct call_for by, int64_t deadline_ns, struct call_answer *ret);
void call_answer_release(struct call_answer *answer);

/* For layers that send their own requests: shares their results with the breaker. They have their
 * own pauses and are never refused. `began_ns`: when the request was sent. */
void call_told(struct call_manager *manager, const char *service, bool answered, int64_t began_ns);

#endif
