/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in flight is either free or handed from the one that leaves to the one that has waited
 * longest, so that nobody who comes later gets in between. The place is given back while a call
 * waits before its next attempt: a service that is away fills no places.
 *
 * What is sent again: anything whose connection was never made (the service did not see it), and
 * what is repeatable (a GET, or a request that carries an Idempotency-Key) when the connection
 * broke before the answer. Any other broken connection may have done its work, and only the client
 * can know what to do about that.
 */

#include "gateway/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct upstream *upstream_new(const char *name)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    FH_ASSERT(upstream != NULL);
    upstream->name = strdup(name);
    FH_ASSERT(upstream->name != NULL);
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    FH_ASSERT(upstream->in_flight == 0 && upstream->waiting == 0);
    free(upstream->name);
    free(upstream);
}

static enum upstream_outcome enter(struct upstream *upstream, struct world *world,
                                   int64_t deadline_ns)
{
    if (upstream->in_flight < UPSTREAM_IN_FLIGHT_MAX) {
        upstream->in_flight++;
        return UPSTREAM_ANSWERED;
    }
    if (upstream->waiting >= UPSTREAM_WAITING_MAX)
        return UPSTREAM_FULL;
    upstream->waiting++;
    bool handed = fiber_wait_until(&upstream->queue, world, deadline_ns);
    upstream->waiting--;
    return handed ? UPSTREAM_ANSWERED : UPSTREAM_LATE;
}

static void leave(struct upstream *upstream)
{
    if (upstream->queue.first)
        fiber_wake_one(&upstream->queue);
    else
        upstream->in_flight--;
}

/* Between half and all of a delay that doubles: those who failed together do not return together.
 */
static int64_t backoff_ms(struct world *world, int attempt)
{
    int64_t delay_ms = (int64_t)UPSTREAM_BACKOFF_MS_MIN << attempt;
    if (delay_ms > UPSTREAM_BACKOFF_MS_MAX)
        delay_ms = UPSTREAM_BACKOFF_MS_MAX;
    return delay_ms / 2 + (int64_t)world_random_below(world, (uint64_t)delay_ms / 2 + 1);
}

/* One attempt, with the time that is left as the service's deadline. */
static enum upstream_outcome attempt(struct upstream *upstream, struct world *world,
                                     struct world_request *request)
{
    enum upstream_outcome outcome = enter(upstream, world, request->deadline_ns);
    if (outcome != UPSTREAM_ANSWERED)
        return outcome;
    char left[24];
    int header = 0;
    while (request->headers[header].name)
        header++;
    FH_ASSERT(header < WORLD_HEADERS_MAX);
    int64_t left_ms = (request->deadline_ns - world_monotonic_ns(world)) / 1000000;
    if (left_ms > 0) {
        snprintf(left, sizeof left, "%lld", (long long)left_ms);
        request->headers[header] = (struct world_header){"Freehold-Deadline", left};
        upstream->calls++;
        world_request_wait(world, request);
        request->headers[header] = (struct world_header){0};
    }
    leave(upstream);
    if (left_ms <= 0)
        return UPSTREAM_LATE;
    if (request->status)
        return UPSTREAM_ANSWERED;
    return world_monotonic_ns(world) >= request->deadline_ns ? UPSTREAM_LATE : UPSTREAM_UNREACHABLE;
}

enum upstream_outcome upstream_call(struct upstream *upstream, struct world *world,
                                    struct world_request *request, bool repeatable)
{
    for (int made = 0;; made++) {
        request->unsent = false;
        enum upstream_outcome outcome = attempt(upstream, world, request);
        if (outcome == UPSTREAM_FULL)
            upstream->refused++;
        else if (outcome != UPSTREAM_ANSWERED)
            upstream->failed++;
        if (outcome != UPSTREAM_UNREACHABLE || !(repeatable || request->unsent) ||
            made + 1 == UPSTREAM_ATTEMPTS_MAX)
            return outcome;
        int64_t again_ns = world_in_ms(world, backoff_ms(world, made));
        if (again_ns >= request->deadline_ns)
            return outcome;
        fiber_sleep_until(world, again_ns);
        world_request_release(request);
        upstream->retries++;
    }
}

const char *upstream_outcome_text(enum upstream_outcome outcome)
{
    switch (outcome) {
    case UPSTREAM_ANSWERED:
        return "has answered";
    case UPSTREAM_FULL:
        return "is overloaded: too many requests wait for it already";
    case UPSTREAM_LATE:
        return "did not answer in time";
    case UPSTREAM_UNREACHABLE:
        return "cannot be reached now";
    }
    return "did not answer";
}
