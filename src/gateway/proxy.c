/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to one service. Path, query and body are passed on unchanged. Of the headers, only
 * those named here: hop-by-hop headers are not for the service, and none from outside may look like
 * those that services send each other (Freehold-*). What a view is to wait for comes sealed, and is
 * passed on only once it is known to be ours.
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
/* Of a view alone. */
#define WAIT_HEADER "Freehold-Wait"
#define MAX_AGE_HEADER "Freehold-Max-Age"
_Static_assert(PASSED + 6 <= WORLD_HEADERS_MAX,
               "traceparent, the user, Authorization, the deadline and a view's have places too");

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
    text_add(&names, ", " WAIT_HEADER ", " MAX_AGE_HEADER);
    return names.data;
}

static const char *method_for_service(const char *method)
{
    return strcmp(method, "HEAD") == 0 ? "GET" : method; /* the server omits the body */
}

/* What the client waits for, in plain form for the service; empty: nothing. False: the client was
 * refused. */
static bool open_wait(struct gateway_exchange *exchange, struct text *ret)
{
    struct as_of wanted;
    struct fh_error error;
    const char *tokens = http_request_header(exchange->incoming.request, WAIT_HEADER);
    text_init(ret, AS_OF_LENGTH_MAX);
    if (!exchange->route->of_view || !tokens)
        return true;
    enum fh_code code = seal_open(exchange->seal, tokens, &wanted, &error);
    if (code == FH_OK)
        as_of_write(&wanted, false, ret);
    else
        gateway_problem(exchange, PROBLEM_REQUEST_MALFORMED, NULL, NULL, WAIT_HEADER ": %s",
                        error.message);
    return code == FH_OK;
}

static void give_headers(const struct gateway_exchange *exchange, const struct text *wait,
                         struct world_request *request)
{
    int count = 0;
    request->headers[count++] = (struct world_header){"traceparent", exchange->trace};
    for (size_t i = 0; i < PASSED; i++) {
        const char *value = http_request_header(exchange->incoming.request, passed[i]);
        if (value)
            request->headers[count++] = (struct world_header){passed[i], value};
    }
    const char *age = http_request_header(exchange->incoming.request, MAX_AGE_HEADER);
    if (exchange->route->of_view && age)
        request->headers[count++] = (struct world_header){MAX_AGE_HEADER, age};
    if (wait->length)
        request->headers[count++] = (struct world_header){WAIT_HEADER, wait->data};
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
    struct text target, wait;
    if (!open_wait(exchange, &wait))
        return;
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
    give_headers(exchange, &wait, &request);
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
        else if (outcome == UPSTREAM_OVERSIZED)
            gateway_problem(exchange, PROBLEM_ANSWER_UNUSABLE, NULL, NULL, "The service %s %s.",
                            upstream->name, upstream_outcome_text(outcome));
        else
            gateway_problem(exchange, PROBLEM_SERVICE_UNAVAILABLE, NULL, upstream->name,
                            "The service %s %s.", upstream->name, upstream_outcome_text(outcome));
    }
    world_request_release(&request);
    text_release(&target);
    text_release(&wait);
}
