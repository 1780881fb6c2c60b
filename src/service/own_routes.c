/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routes that every service has: for operators /livez, /readyz, /metrics, its documents and
 * operators.h's; for services the feed, the snapshot, the state, and what sagas need. The gateway
 * serves none of them.
 */

#include <stdlib.h>
#include <string.h>

#include "base/doing.h"
#include "base/json.h"
#include "event/feed/feed.h"
#include "event/manager.h"
#include "event/feed/snapshot.h"
#include "http/path.h"
#include "saga/restored.h"
#include "saga/run.h"
#include "service/asyncapi.h"
#include "service/audience.h"
#include "service/carriers.h"
#include "service/backup.h"
#include "service/clocks.h"
#include "service/exchange.h"
#include "service/openapi.h"
#include "service/operators.h"
#include "service/isolation.h"
#include "service/reports.h"
#include "service/runtime.h"
#include "service/take_over.h"
#include "service/task.h"
#include "store/model.h"
#include "timer/timer.h"
#include "work/command.h"
#include "work/command_key.h"

static const char *caller_of(struct exchange *exchange)
{
    return http_request_header(exchange_request(exchange)->request, "Freehold-From");
}

static void answer_live(struct runtime *runtime, struct exchange *exchange)
{
    static const char body[] = "{\"status\":\"ok\"}";
    (void)runtime;
    exchange_answer(exchange, 200, NULL, body, sizeof body - 1, NULL, 0);
}

static void answer_ready(struct runtime *runtime, struct exchange *exchange)
{
    if (runtime->phase == RUNTIME_READY) {
        answer_live(runtime, exchange);
        return;
    }
    exchange->told = true; /* what was asked for, and nothing that has failed */
    exchange_problem(exchange, PROBLEM_SERVICE_NOT_READY,
                     runtime->phase == RUNTIME_DRAINING ? "Draining." : "Starting.");
}

static void answer_metrics(struct runtime *runtime, struct exchange *exchange)
{
    char *text = metrics_text(runtime);
    exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", text, strlen(text),
                    NULL, 0);
    free(text);
}

static void answer_reader(struct runtime *runtime, struct exchange *exchange,
                          void (*answer)(struct event_manager *manager, const json_t *query,
                                         const struct event_grant *grant, struct feed_answer *ret))
{
    struct fh_error error;
    struct feed_answer told;
    struct event_grant grant =
        audience_events(runtime->audience, exchange_request(exchange)->request);
    json_t *query;
    if (!caller_of(exchange)) {
        exchange_problem(exchange, PROBLEM_CALLER_MISSING,
                         "Events are for services: Freehold-From is missing.");
        return;
    }
    if (path_query(exchange_request(exchange)->query, &query, &error) != FH_OK) {
        exchange_problem(exchange, PROBLEM_REQUEST_MALFORMED, error.message);
        return;
    }
    answer(runtime->context.events, query, &grant, &told);
    if (told.status == 403)
        audience_count_refusal(runtime->audience);
    exchange->told = told.logged;
    exchange_answer(exchange, told.status, told.content_type, told.body, told.body_length,
                    told.headers, told.header_count);
    feed_answer_release(&told);
    json_decref(query);
}

static void answer_feed(struct runtime *runtime, struct exchange *exchange)
{
    answer_reader(runtime, exchange, feed_answer);
}

static void answer_snapshot(struct runtime *runtime, struct exchange *exchange)
{
    answer_reader(runtime, exchange, snapshot_answer);
}

static void answer_state(struct runtime *runtime, struct exchange *exchange)
{
    struct ledger_counts sagas;
    if (!caller_of(exchange)) {
        exchange_problem(exchange, PROBLEM_CALLER_MISSING,
                         "For services and operators: Freehold-From is missing.");
        return;
    }
    /* In this order: events published by sagas counted as over have their positions by then. */
    saga_counts_read(runtime->context.sagas, &sagas);
    json_t *object = event_manager_state(runtime->context.events);
    json_object_set_new(object, "service", json_string(runtime->service->name));
    json_object_set_new(object, "incarnation", json_string(runtime->context.store->incarnation));
    json_object_set_new(
        object, "sagas",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "running", (json_int_t)sagas.running,
                  "compensating", (json_int_t)sagas.compensating, "ended", (json_int_t)sagas.ended,
                  "undone", (json_int_t)sagas.undone, "parked", (json_int_t)sagas.parked,
                  "abandoned", (json_int_t)sagas.abandoned));
    json_object_set_new(object, "trouble", trouble_show(runtime->context.troubles, runtime->world));
    json_object_set_new(object, "clock", clocks_show(runtime->clocks));
    json_t *timers = timers_state(runtime->context.timers);
    if (timers)
        json_object_set_new(object, "timers", timers);
    json_t *derived = carriers_state(runtime);
    if (derived)
        json_object_set_new(object, "derived", derived);
    json_object_set_new(object, "restored",
                        json_integer(saga_restored_waits(runtime->context.sagas)));
    if (model_of(runtime->service->model)->has_migrations)
        json_object_set_new(object, "migration",
                            json_integer(service_migrated(runtime->context.store)));
    char *text = json_text(object);
    exchange_answer(exchange, 200, NULL, text, strlen(text), NULL, 0);
    json_text_free(text);
    json_decref(object);
}

static void answer_document(struct exchange *exchange, json_t *document)
{
    char *text = json_text(document);
    exchange_answer(exchange, 200, NULL, text, strlen(text), NULL, 0);
    json_text_free(text);
    json_decref(document);
}

/* Both documents are made when asked for, which is seldom, and not kept. */
static void answer_openapi(struct runtime *runtime, struct exchange *exchange)
{
    struct openapi made;
    json_arena_set(NULL);
    json_t *description = service_describe(runtime->service);
    openapi_init(&made, runtime->service->name, true);
    openapi_add_service(&made, description);
    json_decref(description);
    answer_document(exchange, openapi_take(&made));
}

static void answer_asyncapi(struct runtime *runtime, struct exchange *exchange)
{
    json_arena_set(NULL);
    json_t *document = asyncapi_new(runtime->service->name);
    json_t *description = service_describe(runtime->service);
    asyncapi_add_published(document, description);
    asyncapi_add_subscriptions(document, description);
    asyncapi_name_schemas(document);
    json_decref(description);
    answer_document(exchange, document);
}

static void answer_closed(struct runtime *runtime, struct exchange *exchange)
{
    const struct http_incoming *incoming = exchange_request(exchange);
    struct fh_error error;
    fh_work w;
    if (!caller_of(exchange)) {
        exchange_problem(exchange, PROBLEM_CALLER_MISSING,
                         "For services: Freehold-From is missing.");
        return;
    }
    work_init(&w, &runtime->context, NULL);
    w.doing = doing_of(NULL, "POST %s", incoming->path);
    struct arena *before = json_arena_set(&w.kept);
    enum fh_code code =
        json_parse(incoming->body ? incoming->body : "", incoming->body_length, &w.body, &error);
    json_arena_set(before);
    if (code != FH_OK) {
        exchange_problem(exchange, PROBLEM_REQUEST_MALFORMED, error.message);
    } else {
        command_closed_run(&w, caller_of(exchange));
        exchange_answer_work(exchange, &w, NULL);
    }
    work_release(&w);
}

/* A service that our sagas send to says that it was restored. */
static void answer_restored(struct runtime *runtime, struct exchange *exchange)
{
    char name[COMMAND_CALLER_SIZE];
    const char *incarnation;
    struct fh_error error = {0};
    if (!caller_of(exchange) ||
        !command_from_parse(caller_of(exchange), name, sizeof name, &incarnation))
        exchange_problem(exchange, PROBLEM_CALLER_MISSING,
                         "For services: Freehold-From must be CALLER/INCARNATION.");
    else if (saga_restored_announced(runtime->context.sagas, name, incarnation, &error) != FH_OK)
        exchange_problem(exchange, PROBLEM_DEPENDENCY_UNAVAILABLE, error.message);
    else
        exchange_answer(exchange, 200, NULL, "{}", 2, NULL, 0);
}

/* True: it is `off`, or whoever asks may not see it, and has been answered. */
static bool own_page_is_refused(const struct runtime *runtime, struct exchange *exchange,
                                const char *path, const struct audience_route *route)
{
    static const char *const pages[EXPOSED_COUNT] = {[EXPOSED_METRICS] = "/metrics",
                                                     [EXPOSED_DOCS] = "",
                                                     [EXPOSED_OPENAPI] = "/openapi.json",
                                                     [EXPOSED_ASYNCAPI] = "/asyncapi.json"};
    for (int i = 0; i < EXPOSED_COUNT; i++) {
        if (strcmp(pages[i], path) != 0)
            continue;
        if (runtime->exposures[i] == EXPOSURE_OFF)
            exchange_problem(exchange, PROBLEM_ROUTE_UNKNOWN, "There is nothing at this path.");
        if (runtime->exposures[i] != EXPOSURE_INSIDE)
            return runtime->exposures[i] == EXPOSURE_OFF;
    }
    return exchange_refused(exchange, route);
}

bool own_route(struct runtime *runtime, struct exchange *exchange)
{
    static const struct {
        const char *method, *path;
        bool open; /* to all who reach the port: it reveals nothing */
        enum fh_audience audience;
        void (*answer)(struct runtime *runtime, struct exchange *exchange);
    } routes[] = {{"GET", "/livez", true, FH_OPERATORS, answer_live},
                  {"GET", "/readyz", true, FH_OPERATORS, answer_ready},
                  {"GET", "/metrics", false, FH_OPERATORS, answer_metrics},
                  {"GET", "/openapi.json", false, FH_OPERATORS, answer_openapi},
                  {"GET", "/asyncapi.json", false, FH_OPERATORS, answer_asyncapi},
                  {"GET", FEED_PATH, false, FH_SERVICES, answer_feed},
                  {"GET", SNAPSHOT_PATH, false, FH_SERVICES, answer_snapshot},
                  {"GET", "/_freehold/state", false, FH_SERVICES, answer_state},
                  {"POST", "/_freehold/closed", false, FH_SERVICES, answer_closed},
                  {"POST", SAGA_RESTORED_PATH, false, FH_SERVICES, answer_restored},
                  {"GET", TAKE_OVER_PATH, false, FH_SERVICES, take_over_answer},
                  {"GET", "/_freehold/restored", false, FH_OPERATORS, operators_restored},
                  {"POST", "/_freehold/restored/seen", false, FH_OPERATORS, operators_seen},
                  {"GET", "/_freehold/parked", false, FH_OPERATORS, operators_parked},
                  {"GET", "/_freehold/parked/matching", false, FH_OPERATORS, operators_matching},
                  {"POST", "/_freehold/parked/retry", false, FH_OPERATORS, operators_parked_retry},
                  {"POST", "/_freehold/parked/drop", false, FH_OPERATORS, operators_parked_drop},
                  {"POST", "/_freehold/parked/edit", false, FH_OPERATORS, operators_parked_edit},
                  {"GET", "/_freehold/events", false, FH_OPERATORS, operators_events},
                  {"POST", "/_freehold/replay", false, FH_OPERATORS, operators_replay},
                  {"POST", "/_freehold/replay/abandon", false, FH_OPERATORS, operators_replay_end},
                  {"POST", "/_freehold/derived/accept", false, FH_OPERATORS, operators_accept},
                  {"POST", "/_freehold/derived/anew", false, FH_OPERATORS, operators_anew},
                  {"GET", "/_freehold/spans", false, FH_OPERATORS, operators_spans},
                  {"GET", "/_freehold/migrations", false, FH_OPERATORS, migrations_answer},
                  {"GET", "/_freehold/reports", false, FH_OPERATORS, operators_reports},
                  {"GET", "/_freehold/report", false, FH_OPERATORS, operators_report},
                  {"GET", "/_freehold/sagas", false, FH_OPERATORS, operators_sagas},
                  {"GET", "/_freehold/definitions", false, FH_OPERATORS, operators_definitions},
                  {"GET", "/_freehold/saga", false, FH_OPERATORS, operators_saga},
                  {"POST", "/_freehold/saga/retry", false, FH_OPERATORS, operators_saga_retry},
                  {"POST", "/_freehold/saga/skip", false, FH_OPERATORS, operators_saga_skip},
                  {"POST", "/_freehold/saga/abandon", false, FH_OPERATORS, operators_saga_abandon},
                  {"POST", "/_freehold/saga/compensate", false, FH_OPERATORS, operators_saga_undo},
                  {"GET", "/_freehold/timers", false, FH_OPERATORS, operators_timers},
                  {"POST", "/_freehold/timers/retry", false, FH_OPERATORS, operators_timer_retry},
                  {"POST", "/_freehold/timers/drop", false, FH_OPERATORS, operators_timer_drop},
                  {"POST", SERVICE_BACKUP_PATH, false, FH_OPERATORS, backup_answer},
                  {"POST", "/_freehold/prove", false, FH_OPERATORS, verify_answer}};
    const struct http_incoming *incoming = exchange_request(exchange);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (routes[i].path[1] != incoming->path[1] || strcmp(routes[i].path, incoming->path) != 0)
            continue;
        exchange->own = routes[i].path;
        bool gets = strcmp(routes[i].method, "GET") == 0;
        struct audience_route route = {routes[i].method, routes[i].path, routes[i].audience};
        if (!routes[i].open && own_page_is_refused(runtime, exchange, incoming->path, &route))
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
