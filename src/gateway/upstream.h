/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_UPSTREAM_H
#define GATEWAY_UPSTREAM_H

/*
 * One service as the gateway sees it: how many calls may be in flight and wait for a place, how a
 * call is repeated while the service restarts, and, by call/breaker.h, whether it is called at all.
 */

#include <stdbool.h>
#include <stdint.h>

#include "call/breaker.h"
#include "call/line.h"
#include "world/world.h"

#define UPSTREAM_IN_FLIGHT_MAX 256
#define UPSTREAM_WAITING_MAX 1024
#define UPSTREAM_ATTEMPTS_MAX 6
#define UPSTREAM_BACKOFF_MS_MIN 50
#define UPSTREAM_BACKOFF_MS_MAX 1000

struct upstream {
    char *name;
    struct line line;
    struct breaker breaker;
    uint64_t calls, retries, refused, failed; /* since the start; for the metrics */
};

enum upstream_outcome {
    UPSTREAM_ANSWERED,    /* request->status and the answer are set */
    UPSTREAM_FULL,        /* too many in flight and waiting: nothing was sent */
    UPSTREAM_AWAY,        /* it has not answered lately: nothing was sent */
    UPSTREAM_LATE,        /* the deadline passed */
    UPSTREAM_UNREACHABLE, /* no connection, or broken ones, in all attempts */
};

struct upstream *upstream_new(const char *name);
void upstream_free(struct upstream *upstream); /* nothing may be in flight or wait */

/* Sends `request` (service, method, path, headers, body and deadline_ns are set; one place in
 * headers is free) and parks the fiber until the outcome. `repeatable`: may be sent again after a
 * connection broke; a request that was never sent is retried in any case. Call
 * world_request_release afterwards, whatever the outcome. */
enum upstream_outcome upstream_call(struct upstream *upstream, struct world *world,
                                    struct world_request *request, bool repeatable);

/* Why there is no answer, to follow the service's name: "is overloaded". */
const char *upstream_outcome_text(enum upstream_outcome outcome);

#endif
