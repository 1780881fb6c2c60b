/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call gives up its place in flight while it pauses before its next attempt, so a service that is
 * away fills no places. A service that hangs fills all of them until its breaker opens; then all
 * calls that wait for a place are sent away at once.
 *
 * What is sent again: anything for which no connection was made (the service did not see it), and a
 * repeatable request (a GET, or one with an Idempotency-Key) whose connection broke before the
 * answer. Any other request with a broken connection may have been executed, and only the client
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
    fair_line_init(&upstream->line, upstream->name, UPSTREAM_IN_FLIGHT_MAX, UPSTREAM_WAITING_MAX);
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    fair_line_release(&upstream->line);
    free(upstream->name);
    free(upstream);
}

#define NS_A_MS INT64_C(1000000)

/* Takes a place in flight if the breaker permits: ANSWERED, or why not. */
static enum upstream_outcome enter_upstream(struct upstream *upstream, struct world *world,
                                            const char *client, const struct world_request *request,
                                            enum breaker_pass *ret_pass)
{
    enum fair_place place = FAIR_AWAY;
    if (!breaker_refuses(&upstream->breaker, world_monotonic_ns(world)))
        place = fair_line_enter(&upstream->line, world, client, request->body_length,
                                request->deadline_ns);
    if (place == FAIR_SHED)
        return UPSTREAM_SHED;
    if (place == FAIR_LATE)
        return UPSTREAM_LATE;
    *ret_pass = breaker_pass(&upstream->breaker, world_monotonic_ns(world));
    if (place == FAIR_TAKEN && *ret_pass != BREAKER_REFUSE)
        return UPSTREAM_ANSWERED;
    breaker_forget(&upstream->breaker, *ret_pass, world_monotonic_ns(world));
    if (place == FAIR_TAKEN)
        fair_line_leave(&upstream->line);
    return UPSTREAM_AWAY;
}

/* Reports an attempt to the breaker. A call that had almost no time says nothing. */
static void report_upstream(struct upstream *upstream, struct world *world, enum breaker_pass pass,
                            const struct world_request *request, int64_t began_ns)
{
    int64_t now_ns = world_monotonic_ns(world);
    if (request->status || request->oversized) {
        breaker_answered(&upstream->breaker, began_ns, now_ns);
    } else if (now_ns >= request->deadline_ns &&
               request->deadline_ns - began_ns < BREAKER_FAIR_MS * NS_A_MS) {
        breaker_forget(&upstream->breaker, pass, now_ns);
    } else if (breaker_silent(&upstream->breaker, pass, began_ns, now_ns)) {
        fair_line_turn_away(&upstream->line);
    }
}

/* Sends it and waits for the answer; not for long if it is a probe that may be repeated. */
static void send_upstream(struct upstream *upstream, struct world *world,
                          struct world_request *request, enum breaker_pass pass, bool repeatable)
{
    int64_t began_ns = world_monotonic_ns(world), deadline_ns = request->deadline_ns;
    int64_t probe_ns = breaker_probe_ns(&upstream->breaker);
    if (pass == BREAKER_PROBE && repeatable && deadline_ns - began_ns > probe_ns)
        request->deadline_ns = began_ns + probe_ns;
    upstream->calls++;
    world_request_wait(world, request);
    report_upstream(upstream, world, pass, request, began_ns);
    request->deadline_ns = deadline_ns;
}

/* Between half of a doubling delay and all of it, so that requests that failed together are not
 * repeated together. */
static int64_t upstream_backoff_ms(struct world *world, int attempt)
{
    int64_t delay_ms = (int64_t)UPSTREAM_BACKOFF_MS_MIN << attempt;
    if (delay_ms > UPSTREAM_BACKOFF_MS_MAX)
        delay_ms = UPSTREAM_BACKOFF_MS_MAX;
    return delay_ms / 2 + (int64_t)world_random_below(world, (uint64_t)delay_ms / 2 + 1);
}

/* A process that is ending has not executed it; another one now listens at its address. */
static bool turned_away(const struct world_request *request)
{
    return request->status == 503 && world_answer_header(request, "freehold-turned-away");
}

/* One attempt; the time left becomes the service's deadline. */
static enum upstream_outcome attempt_upstream(struct upstream *upstream, struct world *world,
                                              const char *client, struct world_request *request,
                                              bool repeatable)
{
    enum breaker_pass pass;
    enum upstream_outcome outcome = enter_upstream(upstream, world, client, request, &pass);
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
        send_upstream(upstream, world, request, pass, repeatable);
        request->headers[header] = (struct world_header){0};
    } else {
        breaker_forget(&upstream->breaker, pass, world_monotonic_ns(world));
    }
    fair_line_leave(&upstream->line);
    if (left_ms <= 0)
        return UPSTREAM_LATE;
    if (turned_away(request))
        request->unsent = true;
    else if (request->status)
        return UPSTREAM_ANSWERED;
    else if (request->oversized)
        return UPSTREAM_OVERSIZED;
    return world_monotonic_ns(world) >= request->deadline_ns ? UPSTREAM_LATE : UPSTREAM_UNREACHABLE;
}

enum upstream_outcome upstream_call(struct upstream *upstream, struct world *world,
                                    const char *client, struct world_request *request,
                                    bool repeatable)
{
    bool may_be_done = false;
    breaker_call(&upstream->breaker, world_monotonic_ns(world));
    for (int made = 0;; made++) {
        request->unsent = false;
        enum upstream_outcome outcome =
            attempt_upstream(upstream, world, client, request, repeatable);
        if (outcome == UPSTREAM_SHED && may_be_done)
            outcome = UPSTREAM_FULL; /* who is shed is told that nothing was done */
        may_be_done |= !request->unsent;
        if (outcome == UPSTREAM_FULL || outcome == UPSTREAM_AWAY || outcome == UPSTREAM_SHED)
            upstream->refused++;
        else if (outcome != UPSTREAM_ANSWERED)
            upstream->failed++;
        if (outcome != UPSTREAM_UNREACHABLE || !(repeatable || request->unsent) ||
            made + 1 == UPSTREAM_ATTEMPTS_MAX)
            return outcome;
        int64_t again_ns = world_in_ms(world, upstream_backoff_ms(world, made));
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
    case UPSTREAM_SHED:
        return "is overloaded: more is asked of it than it can do";
    case UPSTREAM_AWAY:
        return "has not answered lately and is not asked for a moment";
    case UPSTREAM_LATE:
        return "did not answer in time";
    case UPSTREAM_UNREACHABLE:
        return "cannot be reached now";
    case UPSTREAM_OVERSIZED:
        return "gave an answer larger than 16 MiB";
    }
    return "did not answer";
}
