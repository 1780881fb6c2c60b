/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_GET_H
#define CALL_GET_H

/*
 * Asking another service with GET: fh_get, fh_try_get and fh_get_each for handlers, call_get for
 * the rooms above.
 *
 * A call has a deadline, passed on and shrinking. A GET may be repeated, so what looks like a
 * passing failure (no connection, no answer, 429, 502, 503, 504) is tried again, up to
 * CALL_ATTEMPTS_MAX times within the deadline and the retry budget of its target, after pauses with
 * full jitter, never sooner than the other's Retry-After. At most CALL_IN_FLIGHT_MAX requests to
 * one service are under way; who comes then waits in line, so that one slow neighbour can't take
 * all fibers and connections. One that does not answer at all is not asked any more, but for
 * probes: breaker.h.
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
#define CALL_WAITING_MAX 4096  /* in line for one service; who comes then is refused */
#define CALL_MARGIN_MS 20      /* kept of the deadline, to answer ourselves */
#define CALL_DEADLINE_MS 10000 /* of a work that has none */
#define CALL_RETRY_AFTER_S_MAX 60
#define CALL_ANSWER_SIZE_MAX ((size_t)8 << 20)
#define CALL_OBJECTS_MAX 16 /* that a path is filled from */
#define CALL_IDS_A_CALL 100
#define CALL_IDS_MAX 10000   /* of one fh_get_each */
#define CALL_CHUNKS_BESIDE 8 /* fetched side by side by one fh_get_each */

struct work_context;

struct call_counters {
    uint64_t calls, retries, failures; /* failures: after all attempts */
};

/* One neighbour. */
struct call_target {
    struct line line;
    struct breaker breaker;
    struct call_counters counters;
};

struct call_manager {
    struct work_context *context;
    struct map targets; /* struct call_target by service */
};

/* It is work_context.calls. `context` must outlive it. */
struct call_manager *call_manager_new(struct work_context *context);
void call_manager_free(struct call_manager *manager); /* no call is under way */

struct call_answer {
    int status;        /* 0: unreachable, out of time, or refused by ourselves: see failure */
    int retry_after_s; /* 0: not told */
    bool refused;      /* by ourselves: trying again now has no use */
    char failure[128]; /* status 0: "connection refused"; else "" */
    char *text;        /* malloc'ed, never NULL once call_get returned */
    size_t length;
};

/* GET `path` (encoded, with its query) of `service`. `trace` is the parent's traceparent or NULL.
 * A negative deadline: CALL_DEADLINE_MS from now. On a fiber, which it parks. The final answer,
 * whatever its status. */
void call_get(struct call_manager *manager, const char *service, const char *path,
              const char *trace, int64_t deadline_ns, struct call_answer *ret);
void call_answer_release(struct call_answer *answer);

/* For rooms that send their own requests: what they met is known to calls too. They have pauses of
 * their own and are never refused. `began_ns`: when the request was sent. */
void call_told(struct call_manager *manager, const char *service, bool answered, int64_t began_ns);

#endif
