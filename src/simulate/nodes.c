/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service of the simulated system: its runtime on a node. A process that ends, however it ended,
 * is started again a little later, as `up` does. Its configuration is what `up` would write; its
 * folder is on the node's disk, its migrations and reports are the real files.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "call/user.h"
#include "carrier/driver.h"
#include "engine/engines.h"
#include "http/virtual.h"
#include "saga/restored.h"
#include "service/upkeep.h"
#include "simulate/server.h"
#include "simulate/run_parts.h"

#define RESTART_NS_MIN (5 * SIMULATE_MS)
#define RESTART_NS_MAX (1500 * SIMULATE_MS)
#define FIRST_LIFE_DIES 300000 /* while it makes its store; in a million */
#define FIRST_LIFE_STEPS_MAX 300
#define DRAIN_LOOK_NS (5 * SIMULATE_MS)
#define ANSWER_HEADERS_MAX 20
#define TEST_KEPT_MS (INT64_C(3650) * 86400000)
#define KEPT_MS_MAX 2000
#define LOOK_MS_MIN 20
#define LOOK_MS_MAX 2000
#define SMALL_LOOK_MS_MAX 1000

struct run_life {
    struct runtime runtime; /* the first: a life is found from its runtime */
    struct run_node *node;
    struct world_timer drain;
    int64_t drain_until_ns;
};

static struct run_node *node_of_runtime(struct runtime *runtime)
{
    return ((struct run_life *)runtime)->node;
}

struct runtime *run_node_runtime(struct run_node *node)
{
    return &node->life->runtime;
}

/* ---- requests ---- */

static void on_replied(void *context, const struct http_answer *answer)
{
    struct simulate_message *message = context;
    struct world_header headers[ANSWER_HEADERS_MAX];
    size_t count = 0;
    FH_ASSERT(answer->header_count < ANSWER_HEADERS_MAX);
    if (answer->body_length)
        headers[count++] = (struct world_header){
            "Content-Type", answer->content_type ? answer->content_type : "application/json"};
    for (size_t i = 0; i < answer->header_count; i++)
        headers[count++] = (struct world_header){answer->headers[i].name, answer->headers[i].value};
    simulate_network_answer(message, answer->status, headers, count, answer->body,
                            answer->body_length);
}

static void on_receive(struct simulate_node *node, struct simulate_message *message)
{
    struct run_node *of = node->owner;
    struct http_header headers[WORLD_HEADERS_MAX + 1];
    size_t count = 0;
    if (of->stubbed && run_stub_receive(of, message))
        return;
    bool typed = false;
    for (; message->headers[count].name; count++) {
        headers[count] =
            (struct http_header){message->headers[count].name, message->headers[count].value};
        typed |= strcasecmp(headers[count].name, "Content-Type") == 0;
    }
    if (message->body_length && !typed)
        headers[count++] = (struct http_header){"Content-Type", "application/json"};
    struct http_virtual request = {.method = message->method,
                                   .target = message->path,
                                   .body = message->body,
                                   .body_length = message->body_length,
                                   .headers = headers,
                                   .header_count = count,
                                   .received_ns = node->simulate->now_ns,
                                   .replied = on_replied,
                                   .context = message};
    http_virtual_send(&request, (struct http_handler){exchange_incoming, &of->life->runtime});
}

/* ---- the runtime's host ---- */

static enum fh_code node_host_serve(struct runtime *runtime, struct fh_error *error)
{
    (void)runtime;
    (void)error;
    return FH_OK;
}

static void node_host_ready(struct runtime *runtime)
{
    struct run_node *node = node_of_runtime(runtime);
    const char *incarnation = runtime->context.store->incarnation;
    if (!node->incarnation[0])
        simulate_say(&node->run->simulate, node->node, "has made its store");
    else if (strcmp(node->incarnation, incarnation) != 0 &&
             !(node->replaced && node->replaced(node, incarnation)))
        run_fail(node->run, "%s came back with another store: it has forgotten everything",
                 node->service->name);
    memcpy(node->incarnation, incarnation, ID_SIZE);
    simulate_say(&node->run->simulate, node->node, "is ready");
    simulate_network_open(node->node, true);
}

static void drain_look(struct world_timer *timer)
{
    struct run_life *life = timer->owner;
    struct simulate *simulate = &life->node->run->simulate;
    if (!life->node->node->serving || simulate->now_ns >= life->drain_until_ns)
        runtime_requests_drained(&life->runtime);
    else
        world_timer_start(life->runtime.world, timer, simulate->now_ns + DRAIN_LOOK_NS);
}

static void node_host_drain(struct runtime *runtime)
{
    struct run_life *life = (struct run_life *)runtime;
    simulate_network_open(life->node->node, false);
    life->drain_until_ns = world_in_ms(runtime->world, PROCESS_GRACE_MS);
    life->drain = (struct world_timer){.fire = drain_look, .owner = life};
    world_timer_start(runtime->world, &life->drain, 0);
}

static void node_host_silence(struct runtime *runtime)
{
    simulate_network_silence(node_of_runtime(runtime)->node);
}

static void node_host_ended(struct runtime *runtime)
{
    simulate_node_crash(node_of_runtime(runtime)->node, SIMULATE_KILLED, "it has ended in order");
}

static void node_host_fail(struct runtime *runtime, int exit_code)
{
    struct run_node *node = node_of_runtime(runtime);
    if (process_exit_is_final(exit_code)) { /* which `up` does not start again */
        run_fail(node->run, "%s says that its configuration is wrong", node->service->name);
        node->run->hopeless = true;
    }
    simulate_node_crash(node->node, SIMULATE_KILLED, "it ends with a failure");
}

static const struct runtime_host host = {
    .serve = node_host_serve,
    .ready = node_host_ready,
    .drain = node_host_drain,
    .silence = node_host_silence,
    .ended = node_host_ended,
    .fail = node_host_fail,
};

/* ---- lives ---- */

static void on_handler_fault(void *owner, const fh_work *w)
{
    struct run *run = ((struct run_node *)owner)->run;
    if (run->faulted)
        run->faulted(run, w);
}

static void on_start(struct simulate_event *event)
{
    struct run_node *node = event->owner;
    struct simulate *simulate = &node->run->simulate;
    struct run_life *life = calloc(1, sizeof *life);
    FH_ASSERT(life != NULL);
    simulate_say(&node->run->simulate, node->node, "starts");
    simulate_node_begin(node->node);
    life->node = node;
    node->life = life;
    if (node->node->life == 1 && !node->run->calm && simulate_chance(simulate, FIRST_LIFE_DIES)) {
        node->node->crash_after = simulate_between(simulate, 1, FIRST_LIFE_STEPS_MAX);
        node->node->crash_how =
            simulate_chance(simulate, 500000) ? SIMULATE_POWER : SIMULATE_KILLED;
    }
    runtime_init(&life->runtime, node->stubbed ? &node->stub : node->service, node->config,
                 &node->node->world, &host);
    life->runtime.context.on_fault = on_handler_fault;
    life->runtime.context.fault_owner = node;
    FH_ASSERT(runtime_start(&life->runtime));
}

void run_node_start(struct run_node *node, int64_t at_ns)
{
    node->start =
        (struct simulate_event){.fire = on_start, .owner = node, .place = node->start.place};
    simulate_plan(&node->run->simulate, &node->start, at_ns);
}

static void on_died(struct simulate_node *dead, const char *why)
{
    struct run_node *node = dead->owner;
    struct simulate *simulate = dead->simulate;
    (void)why;
    node->life = NULL;
    if (node->server)
        node->server->ops->died(node->server, dead, dead->crash_how == SIMULATE_POWER);
    node->run->result->crashes++;
    if (node->run->hopeless)
        return;
    run_node_start(node, simulate->now_ns +
                             simulate_between(simulate, RESTART_NS_MIN,
                                              node->run->faulty ? RESTART_NS_MAX : RESTART_NS_MIN));
}

void run_node_restart(struct run_node *node)
{
    if (!node->life || node->life->runtime.phase == RUNTIME_DRAINING)
        return;
    simulate_say(&node->run->simulate, node->node, "is asked to end");
    runtime_stop(&node->life->runtime);
}

bool run_node_is(const struct run_node *node, const char *name)
{
    return name && strcmp(node->service->name, name) == 0;
}

static bool subscribes_to(const fh_service *service, const char *source)
{
    for (size_t i = 0; i < sizeof service->subscribes / sizeof *service->subscribes; i++) {
        if (service->subscribes[i].service && strcmp(service->subscribes[i].service, source) == 0)
            return true;
    }
    return false;
}

/* Do its sagas send there? */
static bool node_sends_to(const fh_service *service, const char *receiver)
{
    size_t length = strlen(receiver);
    for (size_t i = 0; i < sizeof service->sagas / sizeof *service->sagas; i++) {
        const fh_step *step = service->sagas[i].steps;
        for (; step && step->name; step++) {
            if (step->call && strncmp(step->call, receiver, length) == 0 &&
                step->call[length] == ' ')
                return true;
        }
    }
    return false;
}

/* Who waits for its events, and whose sagas come here; nobody asks for tokens here. */
static json_t *callers_of(const struct run *run, const char *service)
{
    json_t *callers = json_object();
    for (size_t i = 0; i < run->system->service_count; i++) {
        const fh_service *other = run->system->services[i];
        json_t *grants = json_array();
        if (subscribes_to(other, service))
            json_array_append_new(grants, json_string(UPKEEP_FEED_GRANT));
        if (node_sends_to(other, service))
            json_array_append_new(grants, json_string(SAGA_CALLER_GRANT));
        if (json_array_size(grants) > 0)
            json_object_set(callers, other->name, grants);
        json_decref(grants);
    }
    return callers;
}

/* Nothing is kept for longer than it has to be. */
static json_t *draw_retention(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    return json_pack("{s:I, s:I, s:I}", "events_kept_ms",
                     (json_int_t)simulate_between(simulate, 0, KEPT_MS_MAX), "sagas_kept_ms",
                     (json_int_t)simulate_between(simulate, 0, KEPT_MS_MAX), "look_ms",
                     (json_int_t)simulate_between(simulate, LOOK_MS_MIN, LOOK_MS_MAX));
}

/* Few events, whoever has not read them. */
static json_t *draw_small_outbox(struct run *run)
{
    return json_pack("{s:I, s:I}", "events_max", (json_int_t)run->anew.events_max, "look_ms",
                     (json_int_t)simulate_between(&run->simulate, LOOK_MS_MIN, SMALL_LOOK_MS_MAX));
}

static const char *derived_driver_of(const struct system_file *file, const char *server)
{
    for (size_t i = 0; server && i < file->server_count; i++) {
        if (strcmp(file->servers[i].name, server) == 0)
            return file->servers[i].derived;
    }
    return NULL;
}

/* Derived stores on servers of a kind that the simulation brings; what lies on others is in the
 * service's own store, if that can have it. */
static void configure_derives(const struct system_file *file, const struct system_service *service,
                              json_t *config)
{
    for (size_t i = 0; i < service->derives_count; i++) {
        const struct system_derives *one = &service->derives[i];
        const char *name = derived_driver_of(file, one->server);
        const struct carried_driver *const *built_in = carried_drivers_built_in;
        while (name && *built_in && strcmp((*built_in)->name, name) != 0)
            built_in++;
        if (!name || *built_in)
            continue;
        json_t *derives = json_object_get(config, "derives");
        if (!derives)
            json_object_set_new(config, "derives", derives = json_object());
        json_object_set_new(derives, one->name,
                            json_pack("{s:s, s:s}", "driver", name, "host", one->server));
    }
}

static json_t *config_of(struct run *run, const struct run_node *node)
{
    char users[USER_KEY_TEXT_SIZE];
    FH_ASSERT(user_key_public(RUN_USER_KEY, users));
    json_t *config = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:{s:s}}", "freehold", 1, "system", RUN_SYSTEM, "service",
        node->service->name, "folder", node->folder, "engine",
        node->server ? node->server->engine : engine_embedded()->name, "keys", "user", users);
    if (node->server) {
        json_object_set_new(config, "store", node->server->ops->config(node->service->name));
        json_object_set_new(config, "instance", json_sprintf("%d", node->instance));
    }
    for (size_t i = 0; i < run->system->file->service_count; i++) {
        const struct system_service *service = &run->system->file->services[i];
        if (strcmp(service->name, node->service->name) != 0 || node->stubbed)
            continue;
        json_object_set(config, "settings", service->settings);
        configure_derives(run->system->file, service, config);
        if (service->migrations)
            json_object_set_new(config, "migrations", json_string(service->migrations));
        if (service->reports)
            json_object_set_new(config, "reports", json_string(service->reports));
    }
    json_object_set_new(config, "callers", callers_of(run, node->service->name));
    run_bus_configure(run, node->service, config);
    if (run->system->simulation && run->system->simulation->trims)
        json_object_set_new(config, "retention", draw_retention(run));
    if (run->anew.events_max)
        json_object_set_new(config, "retention", draw_small_outbox(run));
    if (run->system->test) /* it counts events, however much time it skips */
        json_object_set_new(config, "retention",
                            json_pack("{s:I, s:I}", "events_kept_ms", (json_int_t)TEST_KEPT_MS,
                                      "events_kept_ms_max", (json_int_t)TEST_KEPT_MS));
    return config;
}

static const struct system_service *said_of(const struct run *run, const fh_service *service)
{
    for (size_t i = 0; i < run->system->file->service_count; i++) {
        if (strcmp(run->system->file->services[i].name, service->name) == 0)
            return &run->system->file->services[i];
    }
    return NULL;
}

static void node_make(struct run *run, const fh_service *service, int instance,
                      struct simulate_server *server)
{
    FH_ASSERT(run->node_count < SIMULATE_NODES_MAX - 1);
    struct run_node *node = &run->nodes[run->node_count++];
    node->run = run;
    node->service = service;
    node->instance = instance;
    node->server = server;
    if (run->system->test && run->system->test->service)
        node->stubbed = strcmp(run->system->test->service, node->service->name) != 0;
    if (node->stubbed)
        run_stub_make(node);
    snprintf(node->folder, sizeof node->folder, "/%.40s", node->service->name);
    snprintf(node->name, sizeof node->name, instance ? "%.40s/%d" : "%.40s", service->name,
             instance);
    node->config = config_of(run, node);
    node->node = simulate_node_new(&run->simulate, node->name);
    node->node->service = service->name;
    node->node->owner = node;
    node->node->died = on_died;
    node->node->receive = on_receive;
    simulate_disk_new(node->node);
    if (!run_node_is(node, run->anew.late))
        run_node_start(node, run->simulate.now_ns);
}

static void on_model_failed(void *context, const char *why)
{
    struct run *run = context;
    run_fail(run, "%s", why);
    run->hopeless = true;
}

/* The run's one of that engine; NULL: the engine has none, or there is no model. */
static struct simulate_server *run_server_of(struct run *run, const char *engine)
{
    if (!simulate_server_is_modelled(engine))
        return NULL;
    for (int i = 0; i < run->server_count; i++) {
        if (strcmp(run->servers[i]->engine, engine) == 0)
            return run->servers[i];
    }
    struct simulate_server *server =
        simulate_server_new(engine, &run->simulate, on_model_failed, run);
    if (server) {
        FH_ASSERT(run->server_count < RUN_SERVERS_MAX);
        run->servers[run->server_count++] = server;
    }
    return server;
}

void run_nodes_make(struct run *run)
{
    const struct run_system *system = run->system;
    bool servers = !system->test && system->simulation && system->simulation->servers;
    for (size_t i = 0; i < system->service_count; i++) {
        const struct system_service *said = said_of(run, system->services[i]);
        struct simulate_server *server = servers && said ? run_server_of(run, said->engine) : NULL;
        int instances = server && said->instances ? said->instances : 1;
        for (int instance = 0; instance < instances; instance++)
            node_make(run, system->services[i], instance, server);
    }
}

bool run_nodes_ready(void *argument)
{
    const struct run *run = argument;
    for (int i = 0; i < run->node_count && !run->hopeless; i++) {
        const struct run_node *node = &run->nodes[i];
        if (!node->node->open && !run_node_is(node, run->anew.late))
            return false;
    }
    return true;
}
