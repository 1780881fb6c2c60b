/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service's program: whatever FH_SERVICE it links, on a loop with sockets. `main` (main.c) calls
 * it. What the service itself does is in runtime.c.
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
#include "engine/engines.h"
#include "http/client.h"
#include "service/early.h"
#include "service/audience.h"
#include "service/declared.h"
#include "service/rebuild.h"
#include "service/rekey.h"
#include "service/runtime.h"
#include "service/task.h"
#include "store/store.h"
#include "world/real.h"

struct program {
    struct runtime runtime; /* must be first: a program is found from its runtime */
    const fh_service *service;
    const json_t *config;
    const char *listen; /* the address given by hand, or NULL */
    bool tasked;        /* does a task instead of serving */
    struct confinement confinement;
    uv_loop_t loop;
    struct world *world;
    struct process process;
    int listen_fd, own_fd;   /* shared with other instances; and this one's own; or -1 */
    struct http_server *own; /* at own_fd, or NULL; the runtime has the other one */
    int undrained;           /* of the two */
    struct http_tls tls;     /* for the links to others and from them */
    struct http_client *client;
    struct http_client *outside; /* for URLs outside the system, or NULL */
    struct signing *signing;
    struct rekey rekey;
    int exit_code; /* of a task */
};

static struct program *program_of(struct runtime *runtime)
{
    return (struct program *)runtime;
}

/* ---- the runtime's host ---- */

/* Runs it at once: what need not wait is answered before its connection would be suspended. */
static void program_incoming(void *context, struct http_incoming *incoming)
{
    struct runtime *runtime = context;
    exchange_incoming(runtime, incoming);
    /* The last ones are turned away while the server is being freed, on a fiber. */
    if (!runtime->requests_drained)
        fibers_run(runtime->world->fibers);
}

static enum fh_code program_serve(struct runtime *runtime, struct fh_error *error)
{
    struct program *program = program_of(runtime);
    if (program->listen_fd < 0) /* it fills a store, and nobody asks it anything */
        return FH_OK;
    struct http_handler handler = {program_incoming, runtime, process_log_unread,
                                   .untold = exchange_untold, .shed = exchange_shed};
    enum fh_code code = http_server_new(&program->loop, runtime->world, program->listen_fd, NULL,
                                        &program->tls, handler, &runtime->server, error);
    if (code == FH_OK && program->own_fd >= 0)
        code = http_server_new(&program->loop, runtime->world, program->own_fd, NULL, &program->tls,
                               handler, &program->own, error);
    return code;
}

static void program_ready(struct runtime *runtime)
{
    service_record_store(runtime);
    process_ready(&program_of(runtime)->process);
}

static void on_requests_drained(void *context)
{
    if (--program_of(context)->undrained == 0)
        runtime_requests_drained(context);
}

static void host_works(struct runtime *runtime, bool works)
{
    process_works(&program_of(runtime)->process, works);
}

static void host_told(struct runtime *runtime, const struct course *course)
{
    process_tell(&program_of(runtime)->process, course);
}

static void program_drain(struct runtime *runtime)
{
    struct program *program = program_of(runtime);
    if (!runtime->server) {
        runtime_requests_drained(runtime);
        return;
    }
    program->undrained = program->own ? 2 : 1;
    http_server_drain(runtime->server, PROCESS_GRACE_MS, on_requests_drained, runtime);
    if (program->own)
        http_server_drain(program->own, PROCESS_GRACE_MS, on_requests_drained, runtime);
}

static void clients_release(struct program *program);
static void signing_release(struct program *program);

static void program_silence(struct runtime *runtime)
{
    clients_release(program_of(runtime));
    signing_release(program_of(runtime));
}

static void program_ended(struct runtime *runtime)
{
    http_server_free(runtime->server);
    http_server_free(program_of(runtime)->own);
    process_end(&program_of(runtime)->process);
}

static void program_fail(struct runtime *runtime, int exit_code)
{
    (void)runtime;
    _exit(exit_code);
}

static const struct runtime_host host = {
    .serve = program_serve,
    .works = host_works,
    .told = host_told,
    .ready = program_ready,
    .drain = program_drain,
    .silence = program_silence,
    .ended = program_ended,
    .fail = program_fail,
};

/* ---- a task instead of serving ---- */

static void do_task(void *argument)
{
    struct program *program = argument;
    host_works(&program->runtime, true);
    program->exit_code = service_task(&program->runtime);
    host_works(&program->runtime, false);
    program_silence(&program->runtime);
    program_ended(&program->runtime);
}

/* ---- the loop ---- */

static void program_stop(void *context)
{
    runtime_stop(context);
}

static void program_beat(void *context)
{
    struct runtime *runtime = context;
    fibers_trim(runtime->world->fibers);
    rekey_beat(&program_of(runtime)->rekey);
}

static void program_rekeyed(void *context, const json_t *keys)
{
    rekey_take(&program_of(context)->rekey, keys);
}

static void set_peers(struct program *program)
{
    const char *name;
    json_t *address;
    json_object_foreach (json_object_get(program->config, "peers"), name, address) {
        if (json_is_string(address))
            http_client_set_address(program->client, name, json_string_value(address));
    }
}

static void send_request(void *context, struct world_request *request)
{
    struct program *program = context;
    http_client_send(request->url && program->outside ? program->outside : program->client,
                     request);
}

/* ---- its parts ---- */

static enum fh_code loop_init(struct program *program, struct fh_error *error)
{
    (void)error;
    FH_ASSERT(uv_loop_init(&program->loop) == 0);
    return FH_OK;
}

static void loop_close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        log_warning("handle-leaked", "a handle was left open (%s)",
                    uv_handle_type_name(uv_handle_get_type(handle)));
}

/* Handles that the other parts have closed need one more turn of the loop. */
static void loop_release(struct program *program)
{
    uv_run(&program->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&program->loop) != 0)
        uv_walk(&program->loop, loop_close_handle, NULL);
}

static enum fh_code world_init(struct program *program, struct fh_error *error)
{
    program->world = world_real_new(&program->loop, error);
    runtime_init(&program->runtime, program->service, program->config, program->world, &host);
    program->runtime.confinement = program->confinement;
    return program->world ? FH_OK : error->code;
}

static void world_release(struct program *program)
{
    world_real_free(program->world);
}

static enum fh_code sockets_init(struct program *program, struct fh_error *error)
{
    const json_t *config = program->config;
    if (program->tasked || program->listen || service_is_rebuilt(config))
        return FH_OK;
    enum fh_code code = process_listen(config, NULL, &program->listen_fd, error);
    if (code == FH_OK)
        code = process_listen_own(config, &program->own_fd, error);
    return code;
}

static void sockets_release(struct program *program)
{
    if (program->listen_fd >= 0)
        close(program->listen_fd);
    if (program->own_fd >= 0)
        close(program->own_fd);
    program->listen_fd = program->own_fd = -1;
}

static enum fh_code control_init(struct program *program, struct fh_error *error)
{
    json_int_t control_fd = -1;
    if (!program->listen)
        json_integer_at(program->config, "control_fd", &control_fd);
    enum fh_code code = process_start(&program->process, &program->loop, (int)control_fd,
                                      program_stop, &program->runtime, error);
    program->process.beaten = program_beat;
    program->process.clock = program->world;
    program->process.rekeyed = program_rekeyed;
    return code;
}

static void control_release(struct program *program)
{
    process_end(&program->process);
}

static enum fh_code tls_init(struct program *program, struct fh_error *error)
{
    return http_tls_read(json_object_get(program->config, "tls"), &program->tls, error);
}

static void tls_release(struct program *program)
{
    http_tls_release(&program->tls);
}

static enum fh_code clients_init(struct program *program, struct fh_error *error)
{
    const json_t *config = program->config;
    struct outside_rules rules = outside_rules_of(config);
    enum fh_code code = http_client_new(&program->loop, program->world, &program->client, error);
    if (code != FH_OK)
        return code;
    http_client_use_tls(program->client, &program->tls);
    set_peers(program);
    world_real_set_sender(program->world, send_request, program);
    if (!json_object_get(config, "outside"))
        return code;
    code = http_client_new(&program->loop, program->world, &program->outside, error);
    if (code == FH_OK)
        http_client_go_outside(program->outside, &rules);
    return code;
}

/* Requests in progress fail while there is still a loop to report it on. */
static void clients_release(struct program *program)
{
    program->rekey = (struct rekey){0};
    http_client_free(program->client);
    http_client_free(program->outside);
    program->client = program->outside = NULL;
    world_real_set_sender(program->world, NULL, NULL);
}

/* For verifying the identity of callers, and who may see what. */
static enum fh_code audience_init(struct program *program, struct fh_error *error)
{
    enum fh_code code = exposure_read(program->config, program->runtime.exposures, error);
    if (code != FH_OK)
        return code;
    if (!json_object_get(program->config, "keys")) {
        log_warning(
            "callers-unverified",
            "the configuration has no \"keys\": EVERYBODY WHO REACHES THIS PORT IS BELIEVED, "
            "whoever they say they are");
        if (!json_object_get(program->config, "exposure"))
            program->runtime.exposures[EXPOSED_METRICS] = EXPOSURE_PUBLIC;
    }
    return audience_new(program->service->name, program->config, program->world,
                        &program->runtime.audience, error);
}

static void audience_release(struct program *program)
{
    audience_free(program->runtime.audience);
}

/* For proving this service's own identity to others. */
static enum fh_code signing_init(struct program *program, struct fh_error *error)
{
    json_int_t number = 0;
    enum fh_code code =
        sign_requests(program->client, program->world, program->service->name,
                      json_at(program->config, "keys.calls"), &program->signing, error);
    if (json_integer_at(program->config, "keys.number", &number))
        program->process.keys = program->process.keys_settled = number;
    program->rekey = (struct rekey){.runtime = &program->runtime,
                                    .client = program->client,
                                    .signing = program->signing,
                                    .process = &program->process};
    return code;
}

static void signing_release(struct program *program)
{
    sign_free(program->signing);
    program->signing = NULL;
}

/* Each part uses those before it, and is released before them, even if its own init failed half-way
 * or it has ended already (program_silence, program_ended). */
static const struct part {
    enum fh_code (*init)(struct program *program, struct fh_error *error);
    void (*release)(struct program *program);
} parts[] = {
    {loop_init, loop_release},         {world_init, world_release},
    {sockets_init, sockets_release},   {control_init, control_release},
    {tls_init, tls_release},           {clients_init, clients_release},
    {audience_init, audience_release}, {signing_init, signing_release},
};
#define PARTS (sizeof parts / sizeof *parts)

static bool start_program(struct program *program)
{
    return program->tasked ? fiber_start(program->world->fibers, do_task, program)
                           : runtime_start(&program->runtime);
}

static enum fh_code run_parts(struct program *program, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    size_t made = 0;
    while (made < PARTS && code == FH_OK)
        code = parts[made++].init(program, error);
    if (code == FH_OK && !start_program(program))
        code = error_set(error, FH_NO_MEMORY, "No memory for a fiber.");
    if (code == FH_OK)
        uv_run(&program->loop, UV_RUN_DEFAULT);
    while (made > 0)
        parts[--made].release(program);
    return code;
}

static int serve_program(const fh_service *service, const json_t *config, const char *listen)
{
    struct fh_error error = {0};
    struct program *program = calloc(1, sizeof *program);
    FH_ASSERT(program != NULL);
    program->service = service;
    program->config = config;
    program->listen = listen;
    program->tasked = json_object_get(config, "task") != NULL;
    program->listen_fd = program->own_fd = -1;
    /* First of all: no thread may be started before. */
    enum fh_code code = load_early(service, config, &error);
    if (code == FH_OK && listen && !program->tasked) /* a confined process can't */
        code = process_listen(config, listen, &program->listen_fd, &error);
    if (code == FH_OK)
        code = service_is_rebuilt(config) ? service_rebuild_enter(config, &error)
                                          : service_try_enter(config, &error);
    if (code == FH_OK)
        code = confine_by(config, json_string_at(config, "folder"),
                          json_string_at(config, "migrations"), &program->confinement, &error);
    if (code == FH_OK)
        code = run_parts(program, &error);
    sockets_release(program);
    int exit_code = code == FH_OK ? program->exit_code : process_exit_of(code, false);
    free(program);
    if (code != FH_OK)
        log_error("start-failed", "can't start: %s", error.message);
    return exit_code;
}

/* ---- the command line ---- */

static int print_program_usage(const char *program, FILE *to)
{
    fprintf(to,
            "Usage: %s --describe | --statements\n"
            "       %s --config FILE [--listen ADDR:PORT]\n"
            "\n"
            "A Freehold service; `freehold up` starts it. --describe prints what it is as JSON.\n",
            program, program);
    return to == stdout ? 0 : 2;
}

static int run_program(const struct declared *declared, const struct fh_program *program, int count,
                       char **words)
{
    const char *config_path = NULL, *listen = NULL;
    struct fh_error error;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--describe") == 0)
            return service_print(service_describe(declared->services[0]));
        if (strcmp(words[i], "--statements") == 0)
            return service_print(service_statements(declared, program));
        if (strcmp(words[i], "--config") == 0 && i + 1 < count)
            config_path = words[++i];
        else if (strcmp(words[i], "--listen") == 0 && i + 1 < count)
            listen = words[++i];
        else
            return print_program_usage(words[0], strcmp(words[i], "--help") == 0 ? stdout : stderr);
    }
    if (!config_path)
        return print_program_usage(words[0], stderr);
    json_t *config;
    if (process_config_read(NULL, config_path, &config, &error) != FH_OK) {
        log_error("configuration-rejected", "%s", error.message);
        return PROCESS_EXIT_CONFIGURATION;
    }
    const char *name = json_string_at(config, "service");
    const fh_service *service = name ? declared_find(declared, name) : NULL;
    if (!service) {
        log_error("configuration-mismatched",
                  "The configuration %s is for the service \"%s\"; this program is %s.",
                  config_path, name ? name : "", declared->services[0]->name);
        json_decref(config);
        return PROCESS_EXIT_CONFIGURATION;
    }
    log_init(service->name, LOG_LEVEL_INFO);
    int exit_code = serve_program(service, config, listen);
    json_decref(config);
    return exit_code;
}

int fh_main_program(const struct fh_program *given, int count, char **words)
{
    struct fh_program program = {0};
    memcpy(&program, given, given->size < sizeof program ? given->size : sizeof program);
    struct declared declared;
    struct fh_error error;
    json_memory_init();
    umask(077); /* only its own user may read what it writes */
    if (sodium_init() < 0)
        return PROCESS_EXIT_FAILED;
    if (declared_read(program.begin, program.end, &declared, &error) != FH_OK) {
        log_error("declaration-rejected", "%s", error.message);
        return PROCESS_EXIT_CONFIGURATION;
    }
    int exit_code = run_program(&declared, &program, count, words);
    free(declared.services);
    return exit_code;
}

int fh_main(const fh_service *const *begin, const fh_service *const *end, int count, char **words)
{
    const struct fh_program program = {.size = sizeof program, .begin = begin, .end = end};
    return fh_main_program(&program, count, words);
}
