/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's process: one loop, and one fiber per request. It keeps nothing that a restart could
 * lose, except its trace spans, which are in a file next to its configuration.
 *
 * Drain: no new connections, /readyz answers 503, every accepted request is answered, then the
 * process ends. It does not wait for calls whose answer is no longer needed (of a composition that
 * failed early).
 */

#define _GNU_SOURCE
#include "gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/json.h"
#include "base/log.h"
#include "call/sign.h"
#include "gateway/incoming.h"
#include "service/confine.h"
#include "world/real.h"
#include "work/fault.h"

static void on_drained(void *context)
{
    struct gateway *gateway = context;
    if (--gateway->serving == 0)
        uv_stop(&gateway->loop);
}

static void gateway_stop(void *context)
{
    struct gateway *gateway = context;
    gateway->draining = true;
    http_server_drain(gateway->server, PROCESS_GRACE_MS, on_drained, gateway);
    if (gateway->inside_server)
        http_server_drain(gateway->inside_server, PROCESS_GRACE_MS, on_drained, gateway);
}

static void gateway_untold(void *context, const struct http_answer *answer)
{
    struct gateway *gateway = context;
    request_log_tell_unread(&gateway->metrics.request_log, answer->status, answer->body_length,
                            world_monotonic_ns(gateway->world));
    if (answer->status >= 500)
        fault_tell_answer(&gateway->metrics.fault_lines, gateway->world, answer->status,
                          answer->body, answer->body_length);
}

static enum fh_code listen_inside(struct gateway *gateway, const json_t *config,
                                  struct fh_error *error)
{
    /* It is reached by number, or by a name that the public one is reached by, too. */
    json_t *hosts = json_object_get(json_object_get(config, "door"), "hosts");
    json_t *door = json_pack("{s:{s:O*, s:s}}", "door", "hosts", hosts, "addresses", "any");
    enum fh_code code = door_init(&gateway->inside_door, door, false, error);
    json_decref(door);
    if (code == FH_OK)
        code = process_listen_inside(config, &gateway->inside_fd, error);
    if (code == FH_OK && gateway->inside_fd >= 0)
        code = http_server_new(&gateway->loop, gateway->world, gateway->inside_fd, NULL,
                               &(struct http_tls){0},
                               (struct http_handler){.incoming = gateway_inside_incoming,
                                                     .context = gateway,
                                                     .unread = process_log_unread,
                                                     .untold = gateway_untold},
                               &gateway->inside_server, error);
    gateway->serving += gateway->inside_server != NULL;
    return code;
}

static enum fh_code set_addresses(struct gateway *gateway, const json_t *config,
                                  struct fh_error *error)
{
    const char *service;
    json_t *address;
    json_t *peers = json_object_get(config, "peers");
    if (!json_is_object(peers))
        return error_set(error, FH_INVALID,
                         "\"peers\" must be an object of the services' addresses.");
    json_object_foreach (peers, service, address) {
        if (!json_is_string(address))
            return error_set(error, FH_INVALID,
                             "\"peers\": the address of \"%.60s\" must be a string such as "
                             "127.0.0.1:4711.",
                             service);
        http_client_set_address(gateway->client, service, json_string_value(address));
    }
    return FH_OK;
}

static void send_gateway_request(void *context, struct world_request *request)
{
    struct gateway *gateway = context;
    http_client_send(request->url && gateway->outside ? gateway->outside : gateway->client,
                     request);
}

static enum fh_code make_clients(struct gateway *gateway, const json_t *config,
                                 struct fh_error *error)
{
    enum fh_code code = http_client_new(&gateway->loop, gateway->world, &gateway->client, error);
    if (code != FH_OK)
        return code;
    world_real_set_sender(gateway->world, send_gateway_request, gateway);
    http_client_use_tls(gateway->client, &gateway->links);
    if (json_object_get(config, "outside")) {
        code = http_client_new(&gateway->loop, gateway->world, &gateway->outside, error);
        if (code == FH_OK)
            http_client_go_outside(gateway->outside,
                                   &(struct outside_rules){.anywhere = true, .plain = true});
    }
    return code == FH_OK ? set_addresses(gateway, config, error) : code;
}

static void gateway_keys_settled(void *context)
{
    struct process *process = &((struct gateway *)context)->process;
    process_keys(process, process->keys, process->keys);
}

static void gateway_take_keys(void *context, const json_t *keys)
{
    struct gateway *gateway = context;
    struct fh_error error;
    json_int_t number = 0;
    enum fh_code code = json_integer_at(keys, "number", &number) && number > 0
                            ? FH_OK
                            : error_set(&error, FH_INVALID, "They have no number.");
    if (code == FH_OK && gateway->authenticator)
        code = authenticator_take_keys(gateway->authenticator, keys, &error);
    if (code == FH_OK)
        code = inside_take_keys(&gateway->inside, keys, &error);
    if (code == FH_OK)
        code = sign_take_keys(gateway->signing, json_object_get(keys, "calls"), &error);
    if (code != FH_OK) {
        log_error("keys-rejected", "The keys that up has sent are rejected: %s", error.message);
        return;
    }
    seal_take_keys(gateway->seal, keys);
    process_keys(&gateway->process, number, gateway->process.keys_settled);
    http_client_settle(gateway->client, gateway_keys_settled, gateway);
}

/* Everything up to the first request. On failure `release_gateway` frees what was made. */
static enum fh_code start_serving(struct gateway *gateway, const json_t *config, int *ret_listen_fd,
                                  struct fh_error *error)
{
    json_int_t control_fd = -1, number = 0;
    enum fh_code code = routes_init(&gateway->routes, config, error);
    if (code == FH_OK)
        code = door_init(&gateway->door, config, gateway->listen_tls.certificate != NULL, error);
    if (code != FH_OK)
        return code;
    gateway->world = world_real_new(&gateway->loop, error);
    if (!gateway->world)
        return FH_NO_MEMORY;
    code = limits_new(gateway->world, config, gateway->routes.count, &gateway->limits, error);
    if (code != FH_OK)
        return code;
    gateway->spans = spans_new(gateway->world, gateway->spans_fd);
    code = inside_init(&gateway->inside, gateway->world, config, error);
    gateway->seal = seal_new(gateway->world, json_object_get(config, "keys"));
    if (code == FH_OK)
        code = make_clients(gateway, config, error);
    if (code == FH_OK)
        code = authenticator_new(gateway->world, config, &gateway->authenticator, error);
    if (code == FH_OK)
        code = sign_requests(gateway->client, gateway->world, "gateway",
                             json_at(config, "keys.calls"), &gateway->signing, error);
    if (code == FH_OK)
        code = process_listen(config, NULL, ret_listen_fd, error);
    if (code == FH_OK) {
        json_integer_at(config, "control_fd", &control_fd);
        code = process_start(&gateway->process, &gateway->loop, (int)control_fd, gateway_stop,
                             gateway, error);
        gateway->process.clock = gateway->world;
        gateway->process.rekeyed = gateway_take_keys;
        if (json_integer_at(config, "keys.number", &number))
            gateway->process.keys = gateway->process.keys_settled = number;
    }
    if (code == FH_OK)
        code = http_server_new(&gateway->loop, gateway->world, *ret_listen_fd, NULL,
                               &gateway->listen_tls,
                               (struct http_handler){.incoming = gateway_incoming,
                                                     .context = gateway,
                                                     .unread = process_log_unread,
                                                     .connected = gateway_connected,
                                                     .disconnected = gateway_disconnected,
                                                     .untold = gateway_untold},
                               &gateway->server, error);
    gateway->serving += gateway->server != NULL;
    if (code == FH_OK)
        code = listen_inside(gateway, config, error);
    return code;
}

/* Calls whose answer is no longer needed are still fibers; they end with the process. */
static void release_gateway(struct gateway *gateway, int listen_fd)
{
    if (gateway->server)
        http_server_free(gateway->server);
    if (gateway->inside_server)
        http_server_free(gateway->inside_server);
    while (!limits_stop(gateway->limits))
        uv_run(&gateway->loop, UV_RUN_ONCE);
    if (gateway->world && fibers_alive(gateway->world->fibers))
        return;
    limits_free(gateway->limits);
    spans_free(gateway->spans);
    authenticator_free(gateway->authenticator);
    http_client_free(gateway->client);
    http_client_free(gateway->outside);
    sign_free(gateway->signing);
    seal_free(gateway->seal);
    inside_release(&gateway->inside);
    process_end(&gateway->process);
    routes_release(&gateway->routes); /* its lines have timers */
    world_real_free(gateway->world);
    uv_run(&gateway->loop, UV_RUN_DEFAULT);
    uv_loop_close(&gateway->loop);
    http_tls_release(&gateway->links);
    http_tls_release(&gateway->listen_tls);
    documents_release(&gateway->documents);
    door_release(&gateway->door);
    door_release(&gateway->inside_door);
    gateway_metrics_release(&gateway->metrics);
    coder_release(&gateway->coder);
    if (listen_fd >= 0)
        close(listen_fd);
    if (gateway->inside_fd >= 0)
        close(gateway->inside_fd);
}

/* Next to its configuration; "instance" is set if it runs beside another one during an upgrade. */
static int open_gateway_spans(const char *config_path, const json_t *config)
{
    char path[4400];
    const char *slash = strrchr(config_path, '/'), *instance = json_string_at(config, "instance");
    int length = slash ? (int)(slash + 1 - config_path) : 0;
    snprintf(path, sizeof path, "%.*s" SPANS_FILE "%s%s", length, config_path, instance ? "-" : "",
             instance ? instance : "");
    return spans_open(path);
}

/* The folder of the file of API keys stays readable, since the file may be replaced. NULL: there is
 * none. The caller frees it. */
static char *keys_folder_of(const json_t *config)
{
    const char *path = json_string_at(config, "auth.keys");
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? strndup(path, slash > path ? (size_t)(slash - path) : 1) : NULL;
}

int gateway_main(const char *config_path)
{
    static struct gateway gateway = {.inside_fd = -1}; /* calls may outlive this: release_gateway */
    struct fh_error error = {0};
    json_t *config = NULL;
    int listen_fd = -1;
    json_memory_init();
    log_init("gateway", LOG_LEVEL_INFO);
    if (process_config_read(NULL, config_path, &config, &error) != FH_OK ||
        limits_load(config, &error) != FH_OK) {
        log_error("configuration-rejected", "%s", error.message);
        json_decref(config);
        return PROCESS_EXIT_CONFIGURATION;
    }
    if (http_tls_read(json_object_get(config, "tls"), &gateway.links, &error) != FH_OK ||
        http_tls_read(json_object_get(config, "listen_tls"), &gateway.listen_tls, &error) !=
            FH_OK) {
        log_error("tls-rejected", "%s", error.message);
        http_tls_release(&gateway.links);
        json_decref(config);
        return PROCESS_EXIT_CONFIGURATION;
    }
    gateway.spans_fd = open_gateway_spans(config_path, config);
    /* It has read all files that it will ever read, but for the file of keys, which may change. */
    struct confinement confinement;
    char *keys = keys_folder_of(config);
    enum fh_code confined = confine_by(config, NULL, keys, &confinement, &error);
    free(keys);
    if (confined != FH_OK) {
        log_error("confinement-failed", "%s", error.message);
        json_decref(config);
        return PROCESS_EXIT_FAILED;
    }
    gateway_metrics_init(&gateway.metrics);
    request_log_set(&gateway.metrics.request_log, json_string_at(config, "request_log"));
    documents_init(&gateway.documents, config);
    FH_ASSERT(uv_loop_init(&gateway.loop) == 0);
    enum fh_code code = start_serving(&gateway, config, &listen_fd, &error);
    json_decref(config);
    if (code == FH_OK) {
        process_ready(&gateway.process);
        uv_run(&gateway.loop, UV_RUN_DEFAULT);
    } else {
        log_error("start-failed", "%s", error.message);
    }
    release_gateway(&gateway, listen_fd);
    if (code == FH_OK)
        return 0;
    return code == FH_INVALID ? PROCESS_EXIT_CONFIGURATION : PROCESS_EXIT_FAILED;
}
