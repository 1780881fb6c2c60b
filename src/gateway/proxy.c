/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to one service. Path, query and body are passed on unchanged. Of the headers, only
 * those named here: hop-by-hop headers are not for the service, and none from outside may look like
 * those that services send each other (Freehold-*).
 */

#include "gateway/proxy.h"

#include <string.h>

#include "base/text.h"
#include "call/user.h"
#include "gateway/exchange.h"

static const char *const passed[] = {
    "Content-Type", "Accept",        "Idempotency-Key",   "Prefer",
    "If-Match",     "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
    "If-Range",     "Cache-Control"};
#define PASSED (sizeof passed / sizeof *passed)
_Static_assert(PASSED + 4 <= WORLD_HEADERS_MAX,
               "traceparent, the user, Authorization and the deadline have places too");

#define TARGET_LENGTH_MAX ((size_t)64 << 10)

const char *proxy_header_names(void)
{
    static struct text names;
    if (names.length)
        return names.data;
    text_init(&names, 1000);
    text_add(&names, "traceparent");
    for (size_t i = 0; i < PASSED; i++)
        text_printf(&names, ", %s", passed[i]);
    return names.data;
}

static const char *method_for_service(const char *method)
{
    return strcmp(method, "HEAD") == 0 ? "GET" : method; /* the server omits the body */
}

static void give_headers(const struct gateway_exchange *exchange, struct world_request *request)
{
    int count = 0;
    request->headers[count++] = (struct world_header){"traceparent", exchange->trace};
    for (size_t i = 0; i < PASSED; i++) {
        const char *value = http_request_header(exchange->incoming.request, passed[i]);
        if (value)
            request->headers[count++] = (struct world_header){passed[i], value};
    }
    const char *authorization = gateway_authorization(exchange);
    if (authorization)
        request->headers[count++] = (struct world_header){"Authorization", authorization};
    if (exchange->user)
        request->headers[count++] = (struct world_header){USER_HEADER, exchange->user->statement};
    /* A body without a type must not get one on the way. */
    if (request->body && !http_request_header(exchange->incoming.request, "Content-Type"))
        request->headers[count++] = (struct world_header){"Content-Type", ""};
}

void proxy_run(void *argument)
{
    struct gateway_exchange *exchange = argument;
    const struct http_incoming *incoming = &exchange->incoming;
    struct upstream *upstream = exchange->route->upstream;
    struct text target;
    text_init(&target, TARGET_LENGTH_MAX);
    text_add(&target, incoming->path);
    if (*incoming->query)
        text_printf(&target, "?%s", incoming->query);
    struct world_request request = {.service = upstream->name,
                                    .method = method_for_service(incoming->method),
                                    .path = target.data,
                                    .body = incoming->body_length ? incoming->body : NULL,
                                    .body_length = incoming->body_length,
                                    .deadline_ns = exchange->deadline_ns};
    give_headers(exchange, &request);
    bool repeatable = strcmp(request.method, "GET") == 0 ||
                      http_request_header(incoming->request, "Idempotency-Key") != NULL;
    if (target.overflow) {
        gateway_problem(exchange, PROBLEM_TARGET_TOO_LONG, NULL, NULL,
                        "The path and query are too long.");
    } else {
        enum upstream_outcome outcome =
            upstream_call(upstream, exchange->world,
                          limits_client(&exchange->address, exchange->user), &request, repeatable);
        if (outcome == UPSTREAM_ANSWERED)
            gateway_pass_on(exchange, &request);
        else if (outcome == UPSTREAM_SHED)
            gateway_shed(exchange);
        else
            gateway_problem(exchange, PROBLEM_SERVICE_UNAVAILABLE, NULL, upstream->name,
                            "The service %s %s.", upstream->name, upstream_outcome_text(outcome));
    }
    world_request_release(&request);
    text_release(&target);
}
