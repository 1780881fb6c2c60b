/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service's life, on whatever world it is given. It starts in this order, on a fiber: store
 * (recovered and locked), migrations, events, sagas; only then it answers. It ends in the reverse
 * one. A process that dies anywhere in between starts over from what is durable.
 *
 * Where requests come from and how a process ends is its host's: main.c on a loop with sockets,
 * or a simulation.
 */

#define _GNU_SOURCE
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "call/get.h"
#include "event/room.h"
#include "http/path.h"
#include "saga/run.h"
#include "service/runtime.h"
#include "store/document/document.h"
#include "work/command.h"

/* ---- ending ---- */

static void drain_finish(void *argument);

/* Behind both: no request is open any more, and no saga is being stored. */
static void drain_next(struct runtime *runtime)
{
    if (runtime->requests_drained && runtime->sagas_stopped &&
        !fiber_start(runtime->world->fibers, drain_finish, runtime))
        world_fatal(runtime->world, "no fiber to end on");
}

static void drain_finish(void *argument)
{
    struct runtime *runtime = argument;
    event_room_wait(runtime->context.events);
    runtime->host->silence(runtime); /* what is still asked of others fails now */
    /* Requests that the server has given up live on, in handlers that wait: they use all below. */
    while (runtime->exchanges || !event_room_ended(runtime->context.events) || runtime->expiring)
        fiber_sleep_until(runtime->world, world_in_ms(runtime->world, 1));
    event_room_free(runtime->context.events);
    saga_room_free(runtime->context.sagas);
    call_room_free(runtime->context.calls);
    work_keys_free(runtime->context.keys);
    store_close(runtime->context.store);
    world_timer_stop(runtime->world, &runtime->drain_end);
    log_info("drained");
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
    saga_room_stop(runtime->context.sagas);
    runtime->sagas_stopped = true;
    drain_next(runtime);
}

/* All is answered that could be, and what was acknowledged is durable: the next start goes on from
 * there, as after a crash. */
static void on_drain_end(struct world_timer *timer)
{
    struct runtime *runtime = timer->owner;
    log_warning("ending with %u requests that still wait for others", runtime->exchanges);
    runtime->host->fail(runtime, PROCESS_EXIT_FAILED);
}

void runtime_stop(struct runtime *runtime)
{
    bool was_ready = runtime->phase == RUNTIME_READY;
    runtime->phase = RUNTIME_DRAINING;
    if (!was_ready)
        return; /* the fiber that starts sees it */
    log_info("draining");
    runtime->drain_end = (struct world_timer){.fire = on_drain_end, .owner = runtime};
    world_timer_start(runtime->world, &runtime->drain_end,
                      world_in_ms(runtime->world, RUNTIME_DRAIN_MS_MAX));
    event_room_drain(runtime->context.events);
    fiber_wake_all(&runtime->expire_sleep);
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
        runtime->routes[at] = (struct runtime_route){.route = &service->routes[i]};
    }
}

static enum fh_code prepare_documents(struct runtime *runtime, struct fh_error *error)
{
    struct work_context *context = &runtime->context;
    struct store_work *work;
    context->documents = document_engine(context->store);
    int count = 0;
    while (count < 16 && runtime->service->collections[count].name)
        count++;
    enum fh_code code = store_begin(context->store, STORE_WRITE_ALONE, &work, error);
    if (code != FH_OK)
        return code;
    code = context->documents->prepare(work, runtime->service->collections, count, error);
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    return store_commit(work, error);
}

static enum fh_code start_store(struct runtime *runtime, struct fh_error *error)
{
    struct store_options options = {.service = runtime->service->name,
                                    .folder = json_string_at(runtime->config, "folder"),
                                    .model = runtime->service->model};
    const struct store_ops *engine = store_engine(runtime->engine);
    if (!options.folder)
        return error_set(error, FH_INVALID, "The configuration has no \"folder\".");
    if (!engine)
        return error_set(error, FH_INVALID, "The engine %s is not built in.", runtime->engine);
    if (!(engine->models & 1u << runtime->service->model))
        return error_set(error, FH_INVALID,
                         "The engine %s does not implement this service's model.", runtime->engine);
    enum fh_code code = engine->open(&options, runtime->world, &runtime->context.store, error);
    int applied = 0;
    if (code == FH_OK && runtime->service->model == FH_RELATIONAL)
        code = service_migrate(runtime->context.store,
                               json_string_at(runtime->config, "migrations"), &applied, error);
    if (code == FH_OK && runtime->service->model == FH_DOCUMENT)
        code = prepare_documents(runtime, error);
    return code;
}

static enum fh_code start_rooms(struct runtime *runtime, struct fh_error *error)
{
    struct work_context *context = &runtime->context;
    context->events = event_room_new(context);
    context->calls = call_room_new(context);
    context->keys = work_keys_new();
    enum fh_code code = saga_room_new(context, &context->sagas, error);
    if (code == FH_OK)
        code = event_room_start(context->events, error);
    if (code == FH_OK)
        code = saga_room_start(context->sagas, error);
    return code;
}

/* Forgets outside clients' old command records, now and then. */
static void expire(void *argument)
{
    struct runtime *runtime = argument;
    while (runtime->phase == RUNTIME_READY) {
        struct fh_error error = {0};
        int64_t removed = 0;
        if (command_expire(&runtime->context, &removed, &error) != FH_OK)
            log_warning("old command records could not be removed: %s", error.message);
        if (runtime->phase != RUNTIME_READY)
            break; /* its wake-up came while the store was busy */
        fiber_wait_until(&runtime->expire_sleep, runtime->world,
                         world_in_ms(runtime->world, RUNTIME_EXPIRE_INTERVAL_MS));
    }
    runtime->expiring = false;
}

static void start_failed(struct runtime *runtime, const struct fh_error *error)
{
    log_error("can't start: %s", error->message);
    /* Nothing was answered yet and every commit stands: ending at once is the same as a crash. */
    bool for_ever = error->code == FH_INVALID || error->code == FH_UNSUPPORTED;
    runtime->host->fail(runtime, for_ever ? PROCESS_EXIT_CONFIGURATION : PROCESS_EXIT_FAILED);
}

static void start(void *argument)
{
    struct runtime *runtime = argument;
    struct fh_error error = {0};
    enum fh_code code = start_store(runtime, &error);
    if (code == FH_OK)
        code = start_rooms(runtime, &error);
    if (code == FH_OK)
        code = runtime->host->serve(runtime, &error);
    if (code != FH_OK) {
        start_failed(runtime, &error);
        return;
    }
    bool stopped = runtime->phase == RUNTIME_DRAINING; /* SIGTERM while starting */
    runtime->phase = RUNTIME_READY;
    runtime->expiring = fiber_start(runtime->world->fibers, expire, runtime);
    runtime->host->ready(runtime);
    log_info("ready: %s, incarnation %s", runtime->engine, runtime->context.store->incarnation);
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
    runtime->engine = engine ? engine : "sqlite";
    runtime->world = world;
    runtime->host = host;
    runtime->context = (struct work_context){.world = world, .service = service};
    routes_sort(runtime);
}

bool runtime_start(struct runtime *runtime)
{
    return fiber_start(runtime->world->fibers, start, runtime);
}
