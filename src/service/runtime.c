/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service's lifetime, on whatever world it is given. It starts in this order, on a fiber: store
 * (recovered and locked), migrations, derived stores, events, sagas; only then it answers. It ends
 * in the reverse order. If a process dies anywhere in between, the next one starts from what is
 * durable.
 *
 * Its host decides where requests come from and how a process ends: program.c on a loop with
 * sockets, or a simulation.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "base/doing.h"
#include "base/json.h"
#include "base/log.h"
#include "call/get.h"
#include "call/user.h"
#include "call/webhook.h"
#include "engine/engines.h"
#include "event/manager.h"
#include "http/path.h"
#include "saga/run.h"
#include "service/buses.h"
#include "service/carriers.h"
#include "service/derive.h"
#include "service/fill.h"
#include "service/marks.h"
#include "service/move.h"
#include "service/clocks.h"
#include "service/reports.h"
#include "service/restore.h"
#include "service/rebuild.h"
#include "service/rebuild_exchange.h"
#include "service/runtime.h"
#include "service/take_over.h"
#include "service/upkeep.h"
#include "shape/shape.h"
#include "store/notifier.h"
#include "store/derived/derived.h"
#include "store/document/document.h"
#include "store/model.h"
#include "store/replica.h"
#include "timer/timer.h"
#include "work/command.h"
#include "work/keyvalue.h"
#include "work/meters.h"
#include "work/spans.h"

/* ---- ending ---- */

static void drain_finish(void *argument);

/* Continues once no request is open any more, and no saga is being stored. */
static void drain_next(struct runtime *runtime)
{
    if (runtime->requests_drained && runtime->sagas_stopped &&
        !fiber_start(runtime->world->fibers, drain_finish, runtime))
        world_fatal(runtime->world, "no fiber to end on");
}

static void free_managers(struct runtime *runtime)
{
    event_manager_free(runtime->context.events);
    timer_manager_free(runtime->context.timers);
    saga_manager_free(runtime->context.sagas);
    call_manager_free(runtime->context.calls);
    user_verifier_free(runtime->context.users);
    webhook_keys_free(runtime->context.webhooks);
    clocks_free(runtime->clocks);
    work_keys_free(runtime->context.keys);
    spans_free(runtime->context.spans);
    meters_free(runtime->context.meters);
    reports_release(&runtime->reports);
    lease_manager_free(runtime->context.leases);
    carriers_free(runtime);
}

static void drain_finish(void *argument)
{
    struct runtime *runtime = argument;
    event_manager_wait(runtime->context.events);
    timer_manager_wait(runtime->context.timers);
    lease_manager_stop(runtime->context.leases); /* the others take over what was ours */
    runtime->host->silence(runtime);             /* requests to others still in progress fail now */
    carriers_silence(runtime);
    /* Handlers of requests that the server gave up may still wait, and use everything below. */
    while (runtime->exchanges || !event_manager_ended(runtime->context.events) ||
           runtime->expiring || runtime->backup || !carriers_ended(runtime))
        fiber_sleep_until(runtime->world, world_in_ms(runtime->world, 1));
    free_managers(runtime);
    store_close(runtime->context.store);
    world_timer_stop(runtime->world, &runtime->drain_end);
    undecided_stop(runtime);
    admission_release(&runtime->admission);
    log_info("service-drained", "drained");
    runtime->host->ended(runtime);
}

void runtime_requests_drained(struct runtime *runtime)
{
    runtime->requests_drained = true;
    drain_next(runtime);
}

static void sagas_stop(void *argument)
{
    struct runtime *runtime = argument;
    saga_manager_stop(runtime->context.sagas);
    runtime->sagas_stopped = true;
    drain_next(runtime);
}

/* Everything was answered that could be, and what was acknowledged is durable: the next start
 * continues from there, as after a crash. */
static void on_drain_end(struct world_timer *timer)
{
    struct runtime *runtime = timer->owner;
    log_warning("draining-cut-short", "ending with %u requests that still wait for others",
                runtime->exchanges);
    runtime->host->fail(runtime, PROCESS_EXIT_FAILED);
}

void runtime_stop(struct runtime *runtime)
{
    bool was_ready = runtime->phase == RUNTIME_READY;
    runtime->phase = RUNTIME_DRAINING;
    if (!was_ready)
        return; /* the starting fiber sees it */
    log_info("draining-begun", "draining");
    runtime->drain_end = (struct world_timer){.fire = on_drain_end, .owner = runtime};
    world_timer_start(runtime->world, &runtime->drain_end,
                      world_in_ms(runtime->world, RUNTIME_DRAIN_MS_MAX));
    store_end_questions(runtime->context.store, world_in_ms(runtime->world, RUNTIME_QUESTION_MS));
    lease_manager_drain(runtime->context.leases);
    event_manager_drain(runtime->context.events);
    timer_manager_drain(runtime->context.timers);
    fiber_wake_all(&runtime->expire_sleep);
    carriers_drain(runtime);
    runtime->host->drain(runtime);
    if (!fiber_start(runtime->world->fibers, sagas_stop, runtime))
        world_fatal(runtime->world, "no fiber to end on");
}

/* ---- starting ---- */

static void routes_sort(struct runtime *runtime)
{
    const fh_service *service = runtime->service;
    for (int i = 0; i < RUNTIME_ROUTES_MAX && service->routes[i].method; i++) {
        int at = runtime->route_count++;
        int literals = path_literals(service->routes[i].path);
        while (at > 0 && path_literals(runtime->routes[at - 1].route->path) < literals) {
            runtime->routes[at] = runtime->routes[at - 1];
            at--;
        }
        const struct fh_route *route = &service->routes[i];
        doing_function *handler = (doing_function *)(route->handler ? route->handler : route->undo);
        runtime->routes[at] = (struct runtime_route){
            .route = route, .doing = doing_of(handler, "%s %s", route->method, route->path)};
    }
}

static void report_replicas(enum store_replicas_news news, const char *what)
{
    switch (news) {
    case REPLICA_UNREADABLE:
        log_warning("replica-unreadable", "a replica can't be read: %s", what);
        break;
    case REPLICAS_UNUSABLE:
        log_warning("replicas-unusable",
                    "the primary does not report its log's position (MariaDB: log_bin is off): "
                    "its replicas are not read");
        break;
    case PRIMARY_LOST:
        log_warning("primary-lost", "the primary does not answer: reads go on at replicas, marked");
        break;
    case PRIMARY_BACK:
        log_info("primary-recovered", "the primary answers again");
        break;
    }
}

static enum fh_code open_replicas(struct runtime *runtime, struct fh_error *error)
{
    struct store_options options = {.service = runtime->service->name,
                                    .model = runtime->service->model,
                                    .server = json_object_get(runtime->config, "store"),
                                    .instance = json_string_at(runtime->config, "instance")};
    return store_replicas_open(runtime->context.store, &options, report_replicas, error);
}

/* Without it others' events are noticed only when polled. Simulated stores have one process. */
static void open_notifier(struct runtime *runtime)
{
    char path[4400];
    struct fh_error error;
    struct store *store = runtime->context.store;
    const char *folder = json_string_at(runtime->config, "folder");
    bool needed = engine_can(store->engine, ENGINE_MANY_INSTANCES) && store->ops->sequence &&
                  !engine_can(store->engine, ENGINE_NOTIFIES);
    if (!needed || !folder || runtime->world->vfs)
        return;
    snprintf(path, sizeof path, "%s/" NOTIFIER_FILE, folder);
    if (store_notifier_open(store, path, &error) != FH_OK)
        log_warning("notifications-delayed",
                    "Other instances' events are noticed up to a second late: %s", error.message);
}

static void tell_move(void *context, const struct course *course)
{
    struct runtime *runtime = context;
    if (runtime->host->told)
        runtime->host->told(runtime, course);
}

static enum fh_code prepare_schema(struct runtime *runtime, struct fh_error *error)
{
    const fh_service *service = runtime->service;
    const char *folder = json_string_at(runtime->config, "migrations");
    struct store *store = runtime->context.store;
    if (runtime->keeps_schema && model_of(service->model)->has_migrations) {
        service_migrations_defer(store, folder);
        return FH_OK;
    }
    runtime->migrating = model_of(service->model)->has_migrations;
    enum fh_code code = service_store_prepare(service, store, folder, error);
    runtime->migrating &= code != FH_OK;
    return code;
}

static enum fh_code prepare_store(struct runtime *runtime, struct fh_error *error)
{
    const struct move_watch watch = {tell_move, runtime};
    struct work_context *context = &runtime->context;
    enum fh_code code = carriers_take(runtime, error);
    if (code == FH_OK)
        code = service_store_move(runtime->service, runtime->config, runtime->world, &watch, error);
    if (code == FH_OK)
        code =
            service_store_restore(runtime->service, runtime->config, runtime->world, &watch, error);
    if (code == FH_OK)
        code = service_rebuild_exchange(runtime->service, runtime->config, runtime->world, error);
    if (code == FH_OK)
        code = service_store_open(runtime->service, runtime->config, runtime->world,
                                  &context->store, error);
    if (code == FH_OK && !service_is_rebuilt(runtime->config))
        code = service_store_serves(context->store, error);
    if (code == FH_OK)
        code = open_replicas(runtime, error);
    if (code == FH_OK)
        open_notifier(runtime);
    if (code == FH_OK)
        code = prepare_schema(runtime, error);
    if (code == FH_OK)
        code = carriers_prepare(runtime, error);
    if (code == FH_OK)
        code = derived_prepare(context->store, runtime->service,
                               carriers_declared(runtime->service, runtime->config), error);
    return code == FH_OK ? carriers_kept_prepare(runtime, true, error) : code;
}

/* Before anything else: a service with wrong settings touches nothing. */
static enum fh_code take_service_settings(struct runtime *runtime, struct fh_error *error)
{
    static const fh_field nothing[] = {{0}};
    const fh_field *shape = runtime->service->settings;
    json_t *config = (json_t *)(uintptr_t)runtime->config; /* this process's own */
    if (!json_object_get(config, "settings"))
        json_object_set_new(config, "settings", json_object());
    json_t *settings = json_object_get(config, "settings");
    if (shape)
        shape_settle(shape, settings);
    runtime->context.settings = settings;
    json_t *faults = shape_check(shape ? shape : nothing, settings);
    if (!faults)
        return FH_OK;
    const json_t *first = json_array_get(faults, 0);
    error_set(error, FH_INVALID, "The system file's settings of %s are wrong at %s: %s",
              runtime->service->name, json_string_value(json_object_get(first, "pointer")),
              json_string_value(json_object_get(first, "detail")));
    json_decref(faults);
    return FH_INVALID;
}

/* It takes as long as it takes: a move copies everything, a migration may build an index, and a
 * service that something is taken over from may be starting, too. */
static enum fh_code start_long(struct runtime *runtime,
                               enum fh_code (*step)(struct runtime *runtime,
                                                    struct fh_error *error),
                               struct fh_error *error)
{
    if (runtime->host->works)
        runtime->host->works(runtime, true);
    enum fh_code code = step(runtime, error);
    if (runtime->host->works)
        runtime->host->works(runtime, false);
    return code;
}

/* Simulated processes have no files except their stores'. */
static int open_service_spans(const struct runtime *runtime)
{
    char path[4400];
    const char *folder = json_string_at(runtime->config, "folder");
    const char *instance = json_string_at(runtime->config, "instance");
    bool first = !instance || strcmp(instance, "0") == 0;
    if (!folder || runtime->world->vfs)
        return -1;
    snprintf(path, sizeof path, "%s/" SPANS_FILE "%s%s", folder, first ? "" : "-",
             first ? "" : instance);
    return spans_open(path);
}

/* A program that `up` started believes only what is signed; others have no keys at all. */
static enum fh_code make_user_verifier(struct runtime *runtime, struct fh_error *error)
{
    const char *key = json_string_at(runtime->config, "keys.user");
    if (json_object_get(runtime->config, "keys") && !key)
        return FH_OK;
    enum fh_code code = user_verifier_new(json_string_at(runtime->config, "system"), key,
                                          &runtime->context.users, error);
    return code == FH_OK && key
               ? user_verifier_take_keys(runtime->context.users, key,
                                         json_at(runtime->config, "keys.users"), error)
               : code;
}

static enum fh_code take_outside(struct runtime *runtime, struct fh_error *error)
{
    runtime->outside = outside_rules_of(runtime->config);
    if (json_object_get(runtime->config, "outside"))
        runtime->context.outside = &runtime->outside;
    return webhook_keys_new(json_object_get(runtime->config, "outside_keys"),
                            &runtime->context.webhooks, error);
}

static enum fh_code check_service_marks(const fh_service *service, struct fh_error *error)
{
    json_t *description = service_describe(service);
    enum fh_code code = marks_check(description, error);
    json_decref(description);
    return code;
}

static enum fh_code make_managers(struct runtime *runtime, struct fh_error *error)
{
    struct work_context *context = &runtime->context;
    context->events = event_manager_new(context);
    context->events->schemas = json_object_get(runtime->config, "heard");
    context->events->versions = json_object_get(runtime->config, "heard_versions");
    context->calls = call_manager_new(context);
    context->spans = spans_new(context->world, open_service_spans(runtime));
    context->keys = work_keys_new();
    runtime->clocks = clocks_new(runtime);
    enum fh_code code = check_service_marks(context->service, error);
    if (code == FH_OK)
        code = buses_take(runtime, error);
    if (code == FH_OK)
        code = command_clock_start(context, error);
    if (code == FH_OK)
        code = make_user_verifier(runtime, error);
    if (code == FH_OK)
        code = take_outside(runtime, error);
    if (code == FH_OK)
        code = saga_manager_new(context, &context->sagas, error);
    if (code == FH_OK)
        code = timer_manager_new(context, &context->timers, error);
    context->leases = lease_manager_new(context, json_string_at(runtime->config, "instance"));
    carriers_alike_watch(runtime);
    return code;
}

static enum fh_code start_managers(struct runtime *runtime, struct fh_error *error)
{
    struct work_context *context = &runtime->context;
    enum fh_code code = make_managers(runtime, error);
    if (code == FH_OK && context->leases)
        code = lease_manager_start(context->leases, error);
    code = code == FH_OK ? carriers_alike_join(runtime, error) : code;
    if (code == FH_OK && runtime->service->derives[0].name)
        code = start_long(runtime, derive_fill, error);
    if (code == FH_OK && runtime->service->takes_over[0].service)
        code = start_long(runtime, take_over, error);
    if (code == FH_OK)
        code = event_manager_start(context->events, error);
    if (code == FH_OK)
        code = saga_manager_start(context->sagas, error);
    if (code == FH_OK)
        timer_manager_start(context->timers);
    return code;
}

static void start_failed(struct runtime *runtime, const struct fh_error *error)
{
    log_error("start-failed", "can't start: %s", error->message);
    /* Nothing was answered yet and all commits are durable: ending at once is like a crash. */
    runtime->host->fail(runtime, process_exit_of(error->code, runtime->migrating));
}

enum fh_code runtime_try(struct runtime *runtime, struct fh_error *error)
{
    enum fh_code code = take_service_settings(runtime, error);
    if (code == FH_OK)
        code = prepare_store(runtime, error);
    if (code == FH_OK) {
        code = make_managers(runtime, error);
        if (code == FH_OK)
            code = derive_try(runtime, error);
        free_managers(runtime);
    } else {
        carriers_free(runtime);
    }
    if (runtime->context.store)
        store_close(runtime->context.store);
    runtime->context.store = NULL;
    return code;
}

/* A server may have to be waited for. Nobody asks one of a store that does not serve. */
static enum fh_code open_reports(struct runtime *runtime, struct fh_error *error)
{
    (void)error;
    if (!service_is_rebuilt(runtime->config))
        service_reports_open(runtime->context.store, &runtime->reports);
    return FH_OK;
}

static void run_start(void *argument)
{
    struct runtime *runtime = argument;
    struct fh_error error = {0};
    enum fh_code code = take_service_settings(runtime, &error);
    if (code == FH_OK && service_is_rebuilt(runtime->config))
        code = service_may_be_rebuilt(runtime->service, &error);
    if (code == FH_OK)
        code = meters_new(runtime->service, &runtime->context.meters, &error);
    service_reports_take(runtime->service, runtime->config, runtime->engine, &runtime->reports);
    if (code == FH_OK)
        code = start_long(runtime, prepare_store, &error);
    if (code == FH_OK)
        code = start_long(runtime, open_reports, &error);
    if (code == FH_OK)
        code = start_managers(runtime, &error);
    if (code == FH_OK && service_is_rebuilt(runtime->config))
        code = service_rebuild_fill(runtime, &error);
    runtime->context.serves = code == FH_OK && !service_is_rebuilt(runtime->config);
    code = code == FH_OK ? carriers_kept_begin(runtime, &error) : code;
    code = code == FH_OK ? runtime->host->serve(runtime, &error) : code;
    if (code != FH_OK) {
        start_failed(runtime, &error);
        return;
    }
    bool stopped = runtime->phase == RUNTIME_DRAINING; /* SIGTERM while starting */
    runtime->phase = RUNTIME_READY;
    upkeep_start(runtime);
    code = carriers_start(runtime, &error);
    if (code != FH_OK) {
        start_failed(runtime, &error);
        return;
    }
    runtime->host->ready(runtime);
    log_info("service-ready", "ready: %s, incarnation %s", runtime->engine,
             runtime->context.store->incarnation);
    if (runtime->context.store->lacks)
        log_warning("store-limited", "%s", runtime->context.store->lacks);
    if (stopped)
        runtime_stop(runtime);
}

void runtime_init(struct runtime *runtime, const fh_service *service, const json_t *config,
                  struct world *world, const struct runtime_host *host)
{
    memset(runtime, 0, sizeof *runtime);
    const char *engine = json_string_at(config, "engine");
    runtime->service = service;
    runtime->config = config;
    runtime->engine = engine ? engine : engine_embedded()->name;
    runtime->world = world;
    runtime->host = host;
    runtime->began_ms = world_wall_ms(world);
    runtime->keeps_schema = getenv(PROCESS_KEEPS_SCHEMA) != NULL;
    runtime->context = (struct work_context){.world = world,
                                             .service = service,
                                             .reports = &runtime->reports,
                                             .reads_as = json_string_at(config, "rebuild.reads_as"),
                                             .holds_back = service_is_rebuilt(config) &&
                                                           service_rebuild_joins(service),
                                             .callers = json_object_get(config, "callers")};
    request_log_set(&runtime->request_log, json_string_at(config, "request_log"));
    admission_init(&runtime->admission, world);
    routes_sort(runtime);
}

bool runtime_start(struct runtime *runtime)
{
    return fiber_start(runtime->world->fibers, run_start, runtime);
}
