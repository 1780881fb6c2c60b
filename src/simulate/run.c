/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's phases. All services start; the workload is prepared while nothing fails; its clients
 * work side by side while everything may; then the faults end and time goes on until the system
 * rests; then what must hold is checked. Each phase has a bound of virtual time, and the run one of
 * steps.
 */

#include "simulate/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "simulate/crash_place.h"
#include "simulate/server.h"
#include "simulate/run_parts.h"

#define STEPS_MAX ((uint64_t)20000000)
#define START_NS_MAX (60000 * SIMULATE_MS)
#define PHASE_NS_MAX (14400000 * SIMULATE_MS) /* of virtual time */
#define CLIENTS_DEFAULT 4
#define LOGS_SHORT_EACH 4 /* seeds */
#define LOG_FRAMES_MAX 100
#define CLIENTS_MAX 64

static void on_log(void *context, enum log_level level, const char *id, const char *text)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    struct run *run = context;
    simulate_say(&run->simulate, run->simulate.running, "%s: %s [%s]", names[level], text, id);
}

/* ---- phases ---- */

static bool none_open(void *argument)
{
    const struct run *run = argument;
    return run->clients_open == 0 || run->hopeless;
}

static bool no_faults(void *argument)
{
    const struct run *run = argument;
    return !run->faulty || run->hopeless;
}

/* The time that a test lets go by is not part of what it may take. */
static bool clients_run(struct run *run, const char *what)
{
    int64_t end_ns = run->simulate.now_ns + PHASE_NS_MAX, until_ns;
    do {
        until_ns = end_ns + run->skipped_ns;
        if (simulate_run(&run->simulate, none_open, run, until_ns, STEPS_MAX))
            return !run->hopeless;
    } while (until_ns < end_ns + run->skipped_ns);
    run_fail(run, "%s does not end", what);
    return false;
}

static void client_entry(void *argument)
{
    fh_client *client = argument;
    client->run->system->simulation->client(client, client->number);
    client->run->clients_open--;
}

static void prepare_entry(void *argument)
{
    fh_client *client = argument;
    client->run->system->simulation->prepare(client);
    client->run->clients_open--;
}

static void check_entry(void *argument)
{
    fh_client *client = argument;
    run_wait_for_rest(client);
    run_check_always(client);
    client->run->system->simulation->check(client);
    client->run->clients_open--;
}

static void client_start(struct run *run, int number, void (*entry)(void *))
{
    fh_client *client = &run->clients[number];
    *client = (fh_client){.run = run, .number = number};
    run->clients_open++;
    FH_ASSERT(fiber_start(run->outside->world.fibers, entry, client));
}

static void run_phases(struct run *run)
{
    const fh_simulation *simulation = run->system->simulation;
    int clients = simulation->clients ? simulation->clients : CLIENTS_DEFAULT;
    FH_ASSERT(clients <= CLIENTS_MAX);
    if (!simulate_run(&run->simulate, run_nodes_ready, run, SIMULATE_START_NS + START_NS_MAX,
                      STEPS_MAX)) {
        run_fail(run, "not all services start");
        return;
    }
    if (run->hopeless)
        return;
    if (run->system->test) {
        run_test(run);
        clients_run(run, "the test");
        return;
    }
    if (simulation->prepare)
        client_start(run, CLIENTS_MAX, prepare_entry);
    if (!clients_run(run, "preparing"))
        return;
    if (run->system->fates && run->server_count)
        run->servers[0]->ops->fates(run->servers[0], run->system->fates);
    else
        run_faults_begin(run);
    for (int i = 0; i < clients; i++)
        client_start(run, i, client_entry);
    bool ended = clients_run(run, "a client's work");
    if (ended && simulate_chance(&run->simulate, 500000)) /* what they began may meet more */
        simulate_run(&run->simulate, no_faults, run, SIMULATE_NEVER, STEPS_MAX);
    run_faults_end(run);
    if (run->system->fates && run->server_count)
        fh_client_count(&run->clients[0], "messages",
                        run->servers[0]->ops->fates_end(run->servers[0]));
    if (!ended)
        return;
    client_start(run, CLIENTS_MAX, check_entry);
    clients_run(run, "checking");
}

/* Every fourth run has logs so short that they are copied into their databases all the time. */
static int draw_log_frames(uint64_t seed)
{
    return seed % LOGS_SHORT_EACH ? 0 : 1 + (int)(seed / LOGS_SHORT_EACH % LOG_FRAMES_MAX);
}

static void one_run(struct run *run, uint64_t seed, FILE *trace)
{
    simulate_init(&run->simulate, seed);
    run->simulate.log_frames = draw_log_frames(seed);
    run->simulate.trace = trace;
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(seed % INT32_MAX) + 1, NULL);
    log_redirect(on_log, run);
    run->state = calloc(1, run->system->simulation->state_size + 1);
    FH_ASSERT(run->state != NULL);
    run->calm = run->system->test || run->system->fates;
    run_resync_draw(run);
    run_bus_draw(run);
    run_nodes_make(run);
    run->outside = simulate_node_new(&run->simulate, "client");
    simulate_node_begin(run->outside);
    if (run->system->test)
        run_outside_make(run);
    run_phases(run);
    log_redirect(NULL, NULL);
}

void run_once(const struct run_system *system, uint64_t seed, FILE *trace, struct run_result *ret)
{
    struct run *run = calloc(1, sizeof *run);
    FH_ASSERT(run != NULL);
    memset(ret, 0, sizeof *ret);
    run->system = system;
    run->result = ret;
    crash_place_watch(&run->simulate, ret);
    one_run(run, seed, trace);
    ret->digest = run->simulate.digest;
    ret->steps = run->simulate.steps;
    ret->trace_lines = run->simulate.trace_lines;
    ret->virtual_ns = run->simulate.now_ns - SIMULATE_START_NS;
    ret->ended = true;
}
