/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routes that every service has: for operators /livez, /readyz and /metrics, for services the
 * feed, the state and the closing of sagas. None of them is known to the gateway.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/feed.h"
#include "event/room.h"
#include "http/path.h"
#include "saga/run.h"
#include "service/audience.h"
#include "service/operators.h"
#include "service/prove.h"
#include "service/runtime.h"
#include "work/command.h"

static const char *caller_of(struct exchange *exchange)
{
    return http_request_header(exchange_request(exchange)->request, "Freehold-From");
}

static void live(struct runtime *runtime, struct exchange *exchange)
{
    static const char body[] = "{\"status\":\"ok\"}";
    (void)runtime;
    exchange_answer(exchange, 200, NULL, body, sizeof body - 1, NULL, 0);
}

static void ready(struct runtime *runtime, struct exchange *exchange)
{
    if (runtime->phase == RUNTIME_READY)
        live(runtime, exchange);
    else
        exchange_problem(exchange, 503,
                         runtime->phase == RUNTIME_DRAINING ? "Draining." : "Starting.");
}

static void metrics(struct runtime *runtime, struct exchange *exchange)
{
    char *text = metrics_text(runtime);
    exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", text, strlen(text),
                    NULL, 0);
    free(text);
}

static void feed(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error;
    json_t *query;
    if (!caller_of(exchange)) {
        exchange_problem(exchange, 403, "The feed is for services: Freehold-From is missing.");
        return;
    }
    if (path_query(exchange_request(exchange)->query, &query, &error) != FH_OK) {
        exchange_problem(exchange, 400, error.message);
        return;
    }
    struct feed_answer answer;
    feed_answer(runtime->context.events, query, &answer);
    exchange_answer(exchange, answer.status, answer.content_type, answer.body, answer.body_length,
                    answer.headers, answer.header_count);
    feed_answer_release(&answer);
}

static void state(struct runtime *runtime, struct exchange *exchange)
{
    struct ledger_counts sagas;
    if (!caller_of(exchange)) {
        exchange_problem(exchange, 403, "For services and operators: Freehold-From is missing.");
        return;
    }
    json_t *object = event_room_state(runtime->context.events);
    saga_counts(runtime->context.sagas, &sagas);
    json_object_set_new(object, "service", json_string(runtime->service->name));
    json_object_set_new(object, "incarnation", json_string(runtime->context.store->incarnation));
    json_object_set_new(object, "sagas",
                        json_pack("{s:I, s:I, s:I, s:I, s:I}", "running", (json_int_t)sagas.running,
                                  "compensating", (json_int_t)sagas.compensating, "ended",
                                  (json_int_t)sagas.ended, "undone", (json_int_t)sagas.undone,
                                  "parked", (json_int_t)sagas.parked));
    char *text = json_text(object);
    exchange_answer(exchange, 200, NULL, text, strlen(text), NULL, 0);
    json_text_free(text);
    json_decref(object);
}

static void closed(struct runtime *runtime, struct exchange *exchange)
{
    const struct http_incoming *incoming = exchange_request(exchange);
    struct fh_error error;
    fh_work w;
    if (!caller_of(exchange)) {
        exchange_problem(exchange, 403, "For services: Freehold-From is missing.");
        return;
    }
    work_init(&w, &runtime->context, NULL);
    struct arena *before = json_arena_set(&w.kept);
    enum fh_code code =
        json_parse(incoming->body ? incoming->body : "", incoming->body_length, &w.body, &error);
    json_arena_set(before);
    if (code != FH_OK) {
        exchange_problem(exchange, 400, error.message);
    } else {
        command_closed_run(&w, caller_of(exchange));
        exchange_answer_work(exchange, &w, NULL);
    }
    work_release(&w);
}

bool own_route(struct runtime *runtime, struct exchange *exchange)
{
    static const struct {
        const char *method, *path;
        bool open; /* to whoever reaches the port: it tells nothing of what is stored */
        enum fh_audience audience;
        void (*answer)(struct runtime *runtime, struct exchange *exchange);
    } routes[] = {{"GET", "/livez", true, FH_OPERATORS, live},
                  {"GET", "/readyz", true, FH_OPERATORS, ready},
                  {"GET", "/metrics", true, FH_OPERATORS, metrics},
                  {"GET", FEED_PATH, false, FH_SERVICES, feed},
                  {"GET", "/_freehold/state", false, FH_SERVICES, state},
                  {"POST", "/_freehold/closed", false, FH_SERVICES, closed},
                  {"GET", "/_freehold/parked", false, FH_OPERATORS, operators_parked},
                  {"POST", "/_freehold/parked/retry", false, FH_OPERATORS, operators_parked_retry},
                  {"POST", "/_freehold/parked/drop", false, FH_OPERATORS, operators_parked_drop},
                  {"GET", "/_freehold/sagas", false, FH_OPERATORS, operators_sagas},
                  {"GET", "/_freehold/saga", false, FH_OPERATORS, operators_saga},
                  {"POST", "/_freehold/saga/retry", false, FH_OPERATORS, operators_saga_retry},
                  {"POST", "/_freehold/prove", false, FH_OPERATORS, prove_answer}};
    const struct http_incoming *incoming = exchange_request(exchange);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].path, incoming->path) != 0)
            continue;
        bool gets = strcmp(routes[i].method, "GET") == 0;
        struct audience_route route = {routes[i].method, routes[i].path, routes[i].audience};
        if (!routes[i].open && exchange_refused(exchange, &route))
            return true;
        if (strcmp(routes[i].method, incoming->method) == 0 ||
            (gets && strcmp(incoming->method, "HEAD") == 0))
            routes[i].answer(runtime, exchange);
        else
            exchange_wrong_method(exchange, gets ? "GET, HEAD" : "POST");
        return true;
    }
    return false;
}
