/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service's program: `main` for whatever FH_SERVICE the program links. It starts in this order,
 * on a fiber: store (recovered and locked), migrations, events, sagas; only then it answers. It
 * ends in the reverse one. A process that dies anywhere in between starts over from what is
 * durable.
 */

#define _GNU_SOURCE
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "call/get.h"
#include "event/room.h"
#include "http/path.h"
#include "saga/run.h"
#include "service/runtime.h"
#include "store/document/document.h"
#include "work/command.h"
#include "world/real.h"

extern const fh_service *const __start_fh_services[];
extern const fh_service *const __stop_fh_services[];

static void drain_finish(void *argument);

/* ---- ending ---- */

static void loop_close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        log_warning("a handle was left open (%s)", uv_handle_type_name(uv_handle_get_type(handle)));
}

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
    http_client_free(runtime->client); /* what is still asked of others fails now */
    runtime->client = NULL;
    world_real_set_sender(runtime->world, NULL, NULL);
    /* Requests that the server has given up live on, in handlers that wait: they use all below. */
    while (runtime->exchanges || !event_room_ended(runtime->context.events) || runtime->expiring)
        fiber_sleep_until(runtime->world, world_in_ms(runtime->world, 1));
    event_room_free(runtime->context.events);
    saga_room_free(runtime->context.sagas);
    call_room_free(runtime->context.calls);
    work_keys_free(runtime->context.keys);
    store_close(runtime->context.store);
    http_server_free(runtime->server);
    process_end(&runtime->process);
    world_timer_stop(runtime->world, &runtime->drain_end);
    log_info("drained");
}

static void on_requests_drained(void *context)
{
    struct runtime *runtime = context;
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
    const struct runtime *runtime = timer->owner;
    log_warning("ending with %u requests that still wait for others", runtime->exchanges);
    _exit(PROCESS_EXIT_FAILED);
}

static void on_stop(void *context)
{
    struct runtime *runtime = context;
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
    http_server_drain(runtime->server, PROCESS_GRACE_MS, on_requests_drained, runtime);
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
    _exit(error->code == FH_INVALID || error->code == FH_UNSUPPORTED ? PROCESS_EXIT_CONFIGURATION
                                                                     : PROCESS_EXIT_FAILED);
    (void)runtime;
}

static void start(void *argument)
{
    struct runtime *runtime = argument;
    struct fh_error error = {0};
    enum fh_code code = start_store(runtime, &error);
    if (code == FH_OK)
        code = start_rooms(runtime, &error);
    struct http_handler handler = {exchange_incoming, runtime};
    struct http_limits limits = {0};
    if (code == FH_OK)
        code = http_server_new(&runtime->loop, runtime->world, runtime->listen_fd, &limits, handler,
                               &runtime->server, &error);
    if (code != FH_OK)
        start_failed(runtime, &error);
    bool stopped = runtime->phase == RUNTIME_DRAINING; /* SIGTERM while starting */
    runtime->phase = RUNTIME_READY;
    runtime->expiring = fiber_start(runtime->world->fibers, expire, runtime);
    process_ready(&runtime->process);
    log_info("ready: %s, incarnation %s", runtime->engine, runtime->context.store->incarnation);
    if (stopped)
        on_stop(runtime);
}

static void on_beat(void *context)
{
    struct runtime *runtime = context;
    fibers_trim(runtime->world->fibers);
}

static void set_peers(struct runtime *runtime)
{
    const char *name;
    json_t *address;
    json_object_foreach (json_object_get(runtime->config, "peers"), name, address) {
        if (json_is_string(address))
            http_client_set_address(runtime->client, name, json_string_value(address));
    }
}

static int serve(const fh_service *service, const json_t *config, const char *listen)
{
    struct fh_error error = {0};
    json_int_t control_fd = -1;
    struct runtime *runtime = calloc(1, sizeof *runtime);
    FH_ASSERT(runtime != NULL);
    runtime->service = service;
    runtime->config = config;
    const char *engine = json_string_at(config, "engine");
    runtime->engine = engine ? engine : "sqlite";
    if (!listen)
        json_integer_at(config, "control_fd", &control_fd);
    uv_loop_init(&runtime->loop);
    runtime->world = world_real_new(&runtime->loop, &error);
    runtime->context = (struct work_context){.world = runtime->world, .service = service};
    routes_sort(runtime);
    enum fh_code code = runtime->world ? FH_OK : error.code;
    if (code == FH_OK)
        code = process_listen(config, listen, &runtime->listen_fd, &error);
    if (code == FH_OK)
        code = process_start(&runtime->process, &runtime->loop, (int)control_fd, on_stop, runtime,
                             &error);
    if (code == FH_OK)
        code = http_client_new(&runtime->loop, runtime->world, &runtime->client, &error);
    if (code != FH_OK || !fiber_start(runtime->world->fibers, start, runtime)) {
        log_error("can't start: %s", error.message);
        free(runtime);
        return code == FH_INVALID ? PROCESS_EXIT_CONFIGURATION : PROCESS_EXIT_FAILED;
    }
    runtime->process.beaten = on_beat;
    set_peers(runtime);
    world_real_set_sender(runtime->world, http_client_send, runtime->client);
    uv_run(&runtime->loop, UV_RUN_DEFAULT);
    world_real_free(runtime->world);
    uv_run(&runtime->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&runtime->loop) != 0)
        uv_walk(&runtime->loop, loop_close_handle, NULL);
    int exit_code = runtime->exit_code;
    free(runtime);
    return exit_code;
}

/* ---- the command line ---- */

static const fh_service *service_named(const char *name)
{
    for (const fh_service *const *at = __start_fh_services; at < __stop_fh_services; at++) {
        if (!name || strcmp((*at)->name, name) == 0)
            return *at;
    }
    return NULL;
}

static int describe(void)
{
    json_t *object = service_describe(service_named(NULL));
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return fflush(stdout) == 0 ? 0 : PROCESS_EXIT_FAILED;
}

static int usage(const char *program, FILE *to)
{
    fprintf(to,
            "Usage: %s --describe\n"
            "       %s --config FILE [--listen ADDR:PORT]\n"
            "\n"
            "A Freehold service; `freehold up` starts it. --describe prints what it is as JSON.\n",
            program, program);
    return to == stdout ? 0 : 2;
}

int main(int count, char **words)
{
    const char *config_path = NULL, *listen = NULL;
    json_memory_init();
    umask(077); /* what it writes is its own */
    if (sodium_init() < 0)
        return PROCESS_EXIT_FAILED;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--describe") == 0)
            return describe();
        if (strcmp(words[i], "--help") == 0)
            return usage(words[0], stdout);
        if (strcmp(words[i], "--config") == 0 && i + 1 < count)
            config_path = words[++i];
        else if (strcmp(words[i], "--listen") == 0 && i + 1 < count)
            listen = words[++i];
        else
            return usage(words[0], stderr);
    }
    if (!config_path)
        return usage(words[0], stderr);
    struct fh_error error;
    json_t *config;
    if (process_config_read(config_path, &config, &error) != FH_OK) {
        log_error("%s", error.message);
        return PROCESS_EXIT_CONFIGURATION;
    }
    const char *name = json_string_at(config, "service");
    const fh_service *service = name ? service_named(name) : NULL;
    if (!service) {
        log_error("The configuration %s is for the service \"%s\"; this program is %s.",
                  config_path, name ? name : "", service_named(NULL)->name);
        json_decref(config);
        return PROCESS_EXIT_CONFIGURATION;
    }
    log_init(service->name, LOG_LEVEL_INFO);
    int exit_code = serve(service, config, listen);
    json_decref(config);
    return exit_code;
}
