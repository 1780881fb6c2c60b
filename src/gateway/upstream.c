/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in flight is given back while a call waits before its next attempt: a service that is
 * away fills no places. One that hangs would fill all of them, until its breaker opens; then who
 * waits for a place is sent away at once.
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
    FH_ASSERT(upstream->line.in_flight == 0 && upstream->line.waiting == 0);
    free(upstream->name);
    free(upstream);
}

#define NS_A_MS INT64_C(1000000)

/* A place in flight, with the breaker's leave: ANSWERED, or why not. */
static enum upstream_outcome enter(struct upstream *upstream, struct world *world,
                                   int64_t deadline_ns, enum breaker_pass *ret_pass)
{
    enum line_place place = LINE_AWAY;
    if (!breaker_refuses(&upstream->breaker, world_monotonic_ns(world)))
        place = line_enter(&upstream->line, world, UPSTREAM_IN_FLIGHT_MAX, UPSTREAM_WAITING_MAX,
                           deadline_ns);
    if (place == LINE_FULL)
        return UPSTREAM_FULL;
    if (place == LINE_LATE)
        return UPSTREAM_LATE;
    *ret_pass = breaker_pass(&upstream->breaker, world_monotonic_ns(world));
    if (place == LINE_TAKEN && *ret_pass != BREAKER_REFUSE)
        return UPSTREAM_ANSWERED;
    breaker_forget(&upstream->breaker, *ret_pass, world_monotonic_ns(world));
    if (place == LINE_TAKEN)
        line_leave(&upstream->line);
    return UPSTREAM_AWAY;
}

/* What the breaker learns of an attempt. No answer within no time at all says nothing. */
static void tell(struct upstream *upstream, struct world *world, enum breaker_pass pass,
                 const struct world_request *request, int64_t began_ns)
{
    int64_t now_ns = world_monotonic_ns(world);
    if (request->status) {
        breaker_answered(&upstream->breaker, began_ns, now_ns);
    } else if (now_ns >= request->deadline_ns &&
               request->deadline_ns - began_ns < BREAKER_FAIR_MS * NS_A_MS) {
        breaker_forget(&upstream->breaker, pass, now_ns);
    } else if (breaker_silent(&upstream->breaker, pass, began_ns, now_ns)) {
        line_turn_away(&upstream->line);
    }
}

/* Sends it, and waits for the answer; a probe that may be sent again not for long. */
static void send(struct upstream *upstream, struct world *world, struct world_request *request,
                 enum breaker_pass pass, bool repeatable)
{
    int64_t began_ns = world_monotonic_ns(world), deadline_ns = request->deadline_ns;
    int64_t probe_ns = breaker_probe_ns(&upstream->breaker);
    if (pass == BREAKER_PROBE && repeatable && deadline_ns - began_ns > probe_ns)
        request->deadline_ns = began_ns + probe_ns;
    upstream->calls++;
    world_request_wait(world, request);
    tell(upstream, world, pass, request, began_ns);
    request->deadline_ns = deadline_ns;
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

/* A process that ends has not begun with it; another one listens where it did. */
static bool turned_away(const struct world_request *request)
{
    return request->status == 503 && world_answer_header(request, "freehold-turned-away");
}

/* One attempt, with the time that is left as the service's deadline. */
static enum upstream_outcome attempt(struct upstream *upstream, struct world *world,
                                     struct world_request *request, bool repeatable)
{
    enum breaker_pass pass;
    enum upstream_outcome outcome = enter(upstream, world, request->deadline_ns, &pass);
    if (outcome != UPSTREAM_ANSWERED)
        return outcome;
    char left[24];
    int header = 0;
    while (request->headers[header].name)
        header++;
    FH_ASSERT(header < WORLD_HEADERS_MAX);
    int64_t left_ms = (request->deadline_ns - world_monotonic_ns(world)) / NS_A_MS;
    if (left_ms > 0) {
        snprintf(left, sizeof left, "%lld", (long long)left_ms);
        request->headers[header] = (struct world_header){"Freehold-Deadline", left};
        send(upstream, world, request, pass, repeatable);
        request->headers[header] = (struct world_header){0};
    } else {
        breaker_forget(&upstream->breaker, pass, world_monotonic_ns(world));
    }
    line_leave(&upstream->line);
    if (left_ms <= 0)
        return UPSTREAM_LATE;
    if (turned_away(request))
        request->unsent = true;
    else if (request->status)
        return UPSTREAM_ANSWERED;
    return world_monotonic_ns(world) >= request->deadline_ns ? UPSTREAM_LATE : UPSTREAM_UNREACHABLE;
}

enum upstream_outcome upstream_call(struct upstream *upstream, struct world *world,
                                    struct world_request *request, bool repeatable)
{
    breaker_call(&upstream->breaker, world_monotonic_ns(world));
    for (int made = 0;; made++) {
        request->unsent = false;
        enum upstream_outcome outcome = attempt(upstream, world, request, repeatable);
        if (outcome == UPSTREAM_FULL || outcome == UPSTREAM_AWAY)
            upstream->refused++;
        else if (outcome != UPSTREAM_ANSWERED)
            upstream->failed++;
        if (outcome != UPSTREAM_UNREACHABLE || !(repeatable || request->unsent) ||
            made + 1 == UPSTREAM_ATTEMPTS_MAX)
            return outcome;
        int64_t again_ns = world_in_ms(world, backoff_ms(world, made));
        if (again_ns >= request->deadline_ns ||
            !breaker_retry(&upstream->breaker, world_monotonic_ns(world)))
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
    case UPSTREAM_AWAY:
        return "has not answered lately and is not asked for a moment";
    case UPSTREAM_LATE:
        return "did not answer in time";
    case UPSTREAM_UNREACHABLE:
        return "cannot be reached now";
    }
    return "did not answer";
}
