/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that arrive: which lane each is for, and who asks. As long as nobody waits, what a
 * request says of itself is enough, since whatever it is begins at once and is looked at then.
 * Where somebody does, only who has proved to be of the system has more than a client.
 *
 * One that is shed has done nothing, and nothing is recorded of it: without Freehold-Outcome a saga
 * tries again.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/protocol.h"
#include "service/audience.h"
#include "service/exchange.h"
#include "service/runtime.h"
#include "shape/problem.h"

#define CALLER_SIZE 64

/* ---- What it is, and whose ---- */

static bool is_one_of(const char *text, const char *one, const char *other)
{
    return strcmp(text, one) == 0 || strcmp(text, other) == 0;
}

/* What anybody may ask at any time. */
static bool asks_probe(const struct http_incoming *incoming)
{
    return is_one_of(incoming->method, "GET", "HEAD") &&
           is_one_of(incoming->path, "/livez", "/readyz");
}

static bool asks_step(const struct http_request *request, const char *from)
{
    return strcmp(from, AUDIENCE_OPERATOR) == 0 ||
           http_request_header(request, "Idempotency-Key") ||
           http_request_header(request, "Freehold-Undo");
}

/* As it says. */
static enum admission_lane claimed_lane(const struct http_incoming *incoming)
{
    static const char own[] = "/_freehold/";
    const char *from = http_request_header(incoming->request, "Freehold-From");
    if (strncmp(incoming->path, own, sizeof own - 1) == 0 ||
        is_one_of(incoming->path, "/livez", "/readyz") || strcmp(incoming->path, "/metrics") == 0)
        return ADMISSION_OWN;
    return from && asks_step(incoming->request, from) ? ADMISSION_STEPS : ADMISSION_CLIENTS;
}

/* By the network that a provider gives to one client: all of an IPv6 one are one caller. */
static void name_by_address(const unsigned char address[16], char ret_caller[static CALLER_SIZE])
{
    static const unsigned char mapped_prefix[12] = {[10] = 0xff, 0xff};
    size_t size = memcmp(address, mapped_prefix, sizeof mapped_prefix) == 0 ? 16 : 8;
    for (size_t i = 0; i < size; i++) {
        ret_caller[2 * i] = (char)('0' + (address[i] >> 4)); /* digits up to '?' */
        ret_caller[2 * i + 1] = (char)('0' + (address[i] & 15));
    }
    ret_caller[2 * size] = '\0';
}

/* As it proves. Whoever proves nothing is told by its address. */
static enum admission_lane proved_lane(const struct runtime *runtime,
                                       const struct http_incoming *incoming,
                                       char ret_caller[static CALLER_SIZE])
{
    enum admission_lane lane = claimed_lane(incoming);
    const char *caller = audience_caller(runtime->audience, incoming->request);
    if (caller) {
        snprintf(ret_caller, CALLER_SIZE, "%.*s", (int)strcspn(caller, "/"), caller);
        return lane;
    }
    name_by_address(incoming->peer.address, ret_caller);
    return asks_probe(incoming) ? ADMISSION_OWN : ADMISSION_CLIENTS;
}

static bool is_shed(struct runtime *runtime, const struct http_incoming *incoming,
                    enum admission_lane lane, const char *caller, int64_t now_ns)
{
    return admission_shed(&runtime->admission, lane, caller,
                          exchange_until_ns(incoming, now_ns, RUNTIME_DEADLINE_MS), now_ns);
}

/* ---- Shedding ---- */

const struct http_answer *exchange_shed(void *context, const struct http_incoming *incoming)
{
    struct runtime *runtime = context;
    char caller[CALLER_SIZE];
    if (!admission_presses(&runtime->admission))
        return NULL;
    int64_t now_ns = world_monotonic_ns(runtime->world);
    enum admission_lane lane = proved_lane(runtime, incoming, caller);
    return is_shed(runtime, incoming, lane, caller, now_ns) ? overload_answer(runtime->world)
                                                            : NULL;
}

static void shed_waiting(struct admission_request *request)
{
    struct exchange *exchange = (struct exchange *)request;
    struct runtime *runtime = exchange->runtime;
    http_reply(exchange->incoming->request, overload_answer(runtime->world));
    free(exchange);
    runtime->exchanges--;
}

/* ---- Beginning ---- */

static void turn_away_busy(struct runtime *runtime, struct http_incoming *incoming)
{
    exchange_turn_away(runtime, incoming, PROBLEM_OVERLOADED, "Too many requests are under way.",
                       false);
}

/* True: it is not to begin, and was answered. */
static bool is_turned_away(struct runtime *runtime, struct http_incoming *incoming)
{
    bool may_change = strcmp(incoming->method, "GET") != 0;
    /* Of two sockets one may have drained already; after both the store may be closed. */
    if (runtime->requests_drained || http_request_is_given_up(incoming->request))
        exchange_turn_away(runtime, incoming, PROBLEM_SERVICE_STOPPING, "The service is stopping.",
                           true);
    else if (may_change && undecided_full(runtime))
        turn_away_busy(runtime, incoming);
    else
        return false;
    return true;
}

/* What held when it came need not hold any more, if it has waited. */
static void begin_exchange(struct admission_request *request)
{
    struct exchange *exchange = (struct exchange *)request;
    struct runtime *runtime = exchange->runtime;
    bool is_answered = is_turned_away(runtime, exchange->incoming);
    if (!is_answered && fiber_start(runtime->world->fibers, exchange_run, exchange))
        return;
    if (!is_answered)
        turn_away_busy(runtime, exchange->incoming);
    admission_leave(&runtime->admission, request);
    free(exchange);
    runtime->exchanges--;
}

static void enter_exchange(struct exchange *exchange)
{
    struct runtime *runtime = exchange->runtime;
    const struct http_incoming *incoming = exchange->incoming;
    struct admission_request *request = &exchange->admitted;
    char caller[CALLER_SIZE];
    request->lane = claimed_lane(incoming);
    if (!admission_presses(&runtime->admission) &&
        admission_enter(&runtime->admission, request, NULL, incoming->received_ns))
        return;
    request->lane = proved_lane(runtime, incoming, caller);
    if (is_shed(runtime, incoming, request->lane, caller, incoming->received_ns)) {
        shed_waiting(request); /* nobody waited, or fewer did, when its head came */
        return;
    }
    request->waiter.until_ns =
        exchange_until_ns(incoming, incoming->received_ns, RUNTIME_DEADLINE_MS);
    request->waiter.bytes = sizeof *exchange + incoming->body_length;
    admission_enter(&runtime->admission, request, caller, incoming->received_ns);
}

void exchange_incoming(void *context, struct http_incoming *incoming)
{
    struct runtime *runtime = context;
    if (is_turned_away(runtime, incoming)) /* drained: on a connection that stayed open */
        return;
    if (!protocol_is_understood(http_request_header(incoming->request, PROTOCOL_HEADER))) {
        exchange_turn_away(runtime, incoming, PROBLEM_PROTOCOL_UNKNOWN, PROTOCOL_NOT_UNDERSTOOD,
                           false);
        return;
    }
    struct exchange *exchange = malloc(sizeof *exchange);
    if (!exchange) {
        turn_away_busy(runtime, incoming);
        return;
    }
    *exchange = (struct exchange){.admitted = {.begin = begin_exchange, .shed = shed_waiting},
                                  .runtime = runtime,
                                  .incoming = incoming};
    runtime->exchanges++;
    enter_exchange(exchange);
}
