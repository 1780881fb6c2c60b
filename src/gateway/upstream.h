/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_UPSTREAM_H
#define GATEWAY_UPSTREAM_H

/*
 * One service as the gateway sees it: how many calls may be in flight, and who waits for a place,
 * how a call is repeated while the service restarts, and, by call/breaker.h, whether it is called
 * at all.
 */

#include <stdbool.h>
#include <stdint.h>

#include "call/breaker.h"
#include "call/fair_line.h"
#include "world/world.h"

#define UPSTREAM_IN_FLIGHT_MAX 256
#define UPSTREAM_WAITING_MAX 1024 /* beyond it each client has its part */
#define UPSTREAM_ATTEMPTS_MAX 6
#define UPSTREAM_BACKOFF_MS_MIN 50
#define UPSTREAM_BACKOFF_MS_MAX 1000

struct upstream {
    char *name;
    struct fair_line line;
    struct breaker breaker;
    uint64_t calls, retries, refused, failed; /* since the start; for the metrics */
};

enum upstream_outcome {
    UPSTREAM_ANSWERED,    /* request->status and the answer are set */
    UPSTREAM_FULL,        /* no memory for it: nothing was sent */
    UPSTREAM_SHED,        /* more comes than it can do: nothing was sent, and it may be repeated */
    UPSTREAM_AWAY,        /* it has not answered lately: nothing was sent */
    UPSTREAM_LATE,        /* the deadline passed */
    UPSTREAM_UNREACHABLE, /* no connection, or broken ones, in all attempts */
    UPSTREAM_OVERSIZED,   /* its answer is larger than any may be, and would be again */
};

struct upstream *upstream_new(const char *name);
void upstream_free(struct upstream *upstream); /* nothing may be in flight or wait */

/* Sends `request` (service, method, path, headers, body and deadline_ns are set; one place in
 * headers is free) for `client`, when it is his turn, and parks the fiber until the outcome.
 * `repeatable`: may be sent again after a connection broke; a request that was never sent is
 * retried in any case. Call world_request_release afterwards, whatever the outcome. */
enum upstream_outcome upstream_call(struct upstream *upstream, struct world *world,
                                    const char *client, struct world_request *request,
                                    bool repeatable);

/* Why there is no answer, to follow the service's name: "is overloaded". */
const char *upstream_outcome_text(enum upstream_outcome outcome);

#endif
