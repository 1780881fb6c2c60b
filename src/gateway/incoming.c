/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of checks: the gateway's own three paths; then reserved or malformed paths are refused;
 * then the routes. A path that is not public is answered exactly like one that does not exist.
 *
 * What is for the inside (service/exposure.h) is shown to operators, who prove by a token that they
 * have this system's key, and to whoever comes by the listener that is inside, which serves nothing
 * else. No address and no header that a client or a proxy could set counts.
 */

#include "gateway/incoming.h"

#include <string.h>
#include <strings.h>

#include "gateway/admit.h"
#include "gateway/compose_run.h"
#include "gateway/proxy.h"

static void reply_text(struct gateway_exchange *exchange, int status, const char *type,
                       const char *body, size_t length)
{
    gateway_reply(exchange,
                  &(struct http_answer){.status = status,
                                        .content_type = type,
                                        .body = body,
                                        .body_length = length,
                                        .told = true}); /* what was asked for: is it ready? */
}

static void reply_not_found(struct gateway_exchange *exchange)
{
    gateway_problem(exchange, PROBLEM_ROUTE_UNKNOWN, NULL, NULL, "There is nothing at this path.");
}

static bool is_exposed(struct gateway *gateway, const struct gateway_exchange *exchange,
                       enum exposed what)
{
    return inside_shows(&gateway->inside, what, exchange->incoming.request,
                        exchange->door == &gateway->inside_door);
}

static void reply_metrics(struct gateway *gateway, struct gateway_exchange *exchange)
{
    struct text text;
    unsigned requests, connections;
    http_server_load(gateway->server, &requests, &connections);
    text_init(&text, TEXT_LENGTH_MAX);
    gateway_metrics_text(&gateway->metrics, &gateway->routes.upstreams, requests, &text);
    limits_metrics_text(gateway->limits, &text);
    reply_text(exchange, 200, "text/plain; version=0.0.4", text.data, text.length);
    text_release(&text);
}

/* The gateway's own paths, and those reserved below them. */
static void reply_own(struct gateway *gateway, struct gateway_exchange *exchange)
{
    static const char up[] = "{\"status\":\"ok\"}", down[] = "{\"status\":\"draining\"}";
    const char *path = exchange->incoming.path, *method = exchange->incoming.method;
    bool live = strcmp(path, "/livez") == 0, ready = strcmp(path, "/readyz") == 0;
    if (!live && !ready &&
        (strcmp(path, "/metrics") != 0 || !is_exposed(gateway, exchange, EXPOSED_METRICS)))
        reply_not_found(exchange);
    else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        gateway_problem(exchange, PROBLEM_METHOD_NOT_ALLOWED, "GET", NULL, "This path takes GET.");
    else if (ready && gateway->draining)
        reply_text(exchange, 503, NULL, down, sizeof down - 1);
    else if (live || ready)
        reply_text(exchange, 200, NULL, up, sizeof up - 1);
    else
        reply_metrics(gateway, exchange);
}

/* Where people begin who know an address and no more. */
static void reply_root(struct gateway *gateway, struct gateway_exchange *exchange)
{
    const char *method = exchange->incoming.method;
    static const struct http_header to_docs = {"Location", "/docs"};
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        reply_not_found(exchange);
    else if (is_exposed(gateway, exchange, EXPOSED_DOCS))
        gateway_reply(exchange,
                      &(struct http_answer){.status = 302, .headers = &to_docs, .header_count = 1});
    else
        gateway_problem(exchange, PROBLEM_ROUTE_UNKNOWN, NULL, NULL,
                        "There is nothing at this path: this is an API, whose operators know its "
                        "paths.");
}

/* No route: the documents, unless a service has a route at their path. */
static void reply_unrouted(struct gateway *gateway, struct gateway_exchange *exchange)
{
    struct http_answer answer;
    const char *method = exchange->incoming.method, *path = exchange->incoming.path;
    enum exposed what;
    if (strcmp(path, "/") == 0)
        reply_root(gateway, exchange);
    else if (!documents_find(path, &what) || !is_exposed(gateway, exchange, what) ||
             !documents_answer(&gateway->documents, path, &answer))
        reply_not_found(exchange);
    else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        gateway_problem(exchange, PROBLEM_METHOD_NOT_ALLOWED, "GET", NULL, "This path takes GET.");
    else
        gateway_reply(exchange, &answer);
}

/* False: the request was answered. */
static bool take_place(struct gateway_exchange *exchange)
{
    bool shed;
    exchange->place =
        limits_place(exchange->limits, &exchange->address, exchange->user, exchange->route->index,
                     exchange->incoming.body_length, exchange->deadline_ns, &shed);
    if (exchange->place)
        return true;
    if (shed)
        gateway_shed(exchange);
    else
        gateway_busy(exchange);
    return false;
}

static void run_exchange(void *argument)
{
    struct gateway_exchange *exchange = argument;
    if (!gateway_admit(exchange) || !take_place(exchange))
        return;
    if (exchange->route->compose)
        compose_run(exchange);
    else
        proxy_run(exchange);
}

static void start_exchange(struct gateway *gateway, struct gateway_exchange *exchange,
                           const struct route *route)
{
    gateway_exchange_route(exchange, route);
    exchange->authenticator = gateway->authenticator;
    exchange->seal = gateway->seal;
    if (gateway->authenticator)
        exchange->certified = authenticate_certificate(gateway->authenticator,
                                                       exchange->incoming.request, &exchange->user);
    if (!fiber_start(gateway->world->fibers, run_exchange, exchange))
        gateway_problem(exchange, PROBLEM_OVERLOADED, NULL, "gateway",
                        "The gateway is overloaded.");
}

static const char *header_of(const struct gateway_exchange *exchange, const char *name)
{
    return http_request_header(exchange->incoming.request, name);
}

static void reply_preflight(struct gateway_exchange *exchange)
{
    const char *method = header_of(exchange, "Access-Control-Request-Method");
    const struct http_header headers[] = {
        {"Access-Control-Allow-Methods", method},
        {"Access-Control-Allow-Headers", proxy_header_names()},
        {"Access-Control-Max-Age", exchange->door->max_age},
    };
    gateway_reply(exchange,
                  &(struct http_answer){.status = 204, .headers = headers, .header_count = 3});
}

static bool is_probe(const char *path)
{
    return strcmp(path, "/livez") == 0 || strcmp(path, "/readyz") == 0;
}

/* False: it has been answered. */
static bool pass_door(struct gateway_exchange *exchange)
{
    const char *path = exchange->incoming.path;
    const struct door_request request = {
        .method = exchange->incoming.method,
        .host = header_of(exchange, "Host"),
        .origin = header_of(exchange, "Origin"),
        .fetch_site = header_of(exchange, "Sec-Fetch-Site"),
        .preflight_method = header_of(exchange, "Access-Control-Request-Method"),
    };
    switch (door_judge(exchange->door, &request)) {
    case DOOR_PASS:
        return true;
    case DOOR_HOST_UNKNOWN: /* probes go by an address, and learn nothing */
        if (is_probe(path))
            return true;
        gateway_problem(exchange, PROBLEM_HOST_UNKNOWN, NULL, NULL,
                        "This system is not reached by the name in the header Host. If it should "
                        "be, add the name to gateway.hosts in the system file.");
        return false;
    case DOOR_CROSS_SITE:
        gateway_problem(exchange, PROBLEM_CROSS_SITE, NULL, NULL,
                        "A page of another site may not send this. If it should, add its origin "
                        "to gateway.cors in the system file.");
        return false;
    case DOOR_PREFLIGHT:
        reply_preflight(exchange);
        return false;
    }
    return false;
}

/* Everything is paid for, whatever becomes of it: by the user if known already, else by the
 * address. A probe is answered all the same; whoever asks on then is read later. False: it has been
 * answered. */
static bool pay_for_request(struct gateway *gateway, struct gateway_exchange *exchange)
{
    struct known_user *user = NULL;
    exchange->limits = gateway->limits;
    limits_address(gateway->limits, &exchange->incoming, &exchange->address);
    if (gateway->authenticator)
        user = authenticate_known(gateway->authenticator, exchange->incoming.request);
    exchange->paid = user != NULL;
    bool may = limits_take(gateway->limits, &exchange->address, user, &exchange->standing);
    known_user_unref(user);
    if (is_probe(exchange->incoming.path)) {
        exchange->standing.known = false;
        exchange->paced = !may;
        return true;
    }
    if (!may)
        gateway_limited(exchange);
    return may;
}

/* A service would take the bytes of a compressed body for what they stand for. */
static bool client_coded_body(const struct gateway_exchange *exchange)
{
    const char *coding = header_of(exchange, "Content-Encoding");
    return coding && strcasecmp(coding, "identity") != 0;
}

static void reply_coded_body(struct gateway_exchange *exchange)
{
    static const struct http_header identity = {"Accept-Encoding", "identity"};
    gateway_refuse(exchange, PROBLEM_MEDIA_TYPE_UNSUPPORTED, &identity,
                   "A request's body is taken as it is: send it without Content-Encoding.");
}

void gateway_incoming(void *context, struct http_incoming *incoming)
{
    struct gateway *gateway = context;
    struct gateway_exchange *exchange = gateway_exchange_new(
        gateway->world, &gateway->door, &gateway->metrics, gateway->spans, incoming);
    const struct route *route;
    struct text allow;
    exchange->coder = &gateway->coder;
    if (!pay_for_request(gateway, exchange) || !pass_door(exchange))
        return;
    if (routes_path_is_reserved(incoming->path)) {
        reply_own(gateway, exchange);
        return;
    }
    if (!routes_path_is_sound(incoming->path) || !routes_query_is_sound(incoming->query)) {
        gateway_problem(exchange, PROBLEM_REQUEST_MALFORMED, NULL, NULL,
                        "The path or query has bytes that must be percent-encoded.");
        return;
    }
    if (client_coded_body(exchange)) {
        reply_coded_body(exchange);
        return;
    }
    text_init(&allow, 1000);
    switch (routes_find(&gateway->routes, incoming->method, incoming->path, &route, &allow)) {
    case ROUTES_FOUND:
        start_exchange(gateway, exchange, route);
        break;
    case ROUTES_OTHER_METHOD:
        gateway_problem(exchange, PROBLEM_METHOD_NOT_ALLOWED, allow.data, NULL,
                        "This path takes %s.", allow.data);
        break;
    case ROUTES_UNKNOWN:
        reply_unrouted(gateway, exchange);
        break;
    }
    text_release(&allow);
}

enum http_admission gateway_connected(void *context, const struct http_peer *peer)
{
    return limits_connect(((struct gateway *)context)->limits, peer);
}

void gateway_disconnected(void *context, const struct http_peer *peer, bool asked)
{
    limits_disconnect(((struct gateway *)context)->limits, peer, asked);
}

void gateway_inside_incoming(void *context, struct http_incoming *incoming)
{
    struct gateway *gateway = context;
    struct gateway_exchange *exchange = gateway_exchange_new(
        gateway->world, &gateway->inside_door, &gateway->metrics, gateway->spans, incoming);
    if (!pass_door(exchange))
        return;
    if (routes_path_is_reserved(incoming->path))
        reply_own(gateway, exchange);
    else
        reply_unrouted(gateway, exchange);
}
