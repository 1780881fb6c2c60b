/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop, no threads. The phases, and the condition that ends each:
 *
 *   SERVING   private database servers start         all are ready     → STARTING
 *   STARTING  the services start side by side        all are ready     → OPENING
 *   OPENING   the gateway starts                     it is ready       → UP
 *   UP        what dies is restarted, requested      SIGTERM, SIGINT,
 *             changes are made                       SIGHUP, stop      → CLOSING (from any phase)
 *   CLOSING   the gateway drains and ends            it has ended      → STOPPING
 *   STOPPING  the services drain and end             all have ended    → SETTLING
 *   SETTLING  the servers end                        all have ended    → the loop ends
 *
 * A process that gives up (process_exit_is_final) before UP ends everything: the system was never
 * up, and the operator is watching. Later the others go on without it.
 *
 * After a crash of this process nothing needs repair: the kernel closes the control pairs, so the
 * services drain and end, and releases the lock, so the next `up` can go on (see provision.c).
 */

#define _GNU_SOURCE
#include "system/supervise/supervise.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "engine/engines.h"
#include "store/store.h"
#include "system/move/moving.h"
#include "system/move/relocate.h"
#include "system/move/relocate_begin.h"
#include "service/process.h"
#include "system/provision/keys.h"
#include "system/supervise/asked.h"
#include "system/supervise/rebuild_stores.h"
#include "system/supervise/scale.h"
#include "system/supervise/upgrade.h"
#include "world/real.h"

#define LOG_LINES_SHOWN 8

static struct instances *instances_of(struct supervisor *supervisor, const struct child *child)
{
    for (size_t i = 0; i < supervisor->server_count; i++) {
        if (supervisor->servers[i].part == child->part)
            return &supervisor->servers[i];
    }
    size_t i = 0;
    while (supervisor->all[i].part != child->part)
        i++;
    return &supervisor->all[i];
}

static bool all_of(const struct instances *all, size_t count,
                   bool (*are)(const struct instances *instances))
{
    for (size_t i = 0; i < count; i++) {
        if (!are(&all[i]))
            return false;
    }
    return true;
}

static bool services_all(const struct supervisor *supervisor,
                         bool (*are)(const struct instances *instances))
{
    return all_of(supervisor->all, supervisor->count - 1, are);
}

static bool servers_all(const struct supervisor *supervisor,
                        bool (*are)(const struct instances *instances))
{
    return all_of(supervisor->servers, supervisor->server_count, are);
}

/* Nobody waits for a broker: events travel without it meanwhile. */
static bool server_is_ready(const struct instances *instances)
{
    return instances->part->spare || instances_ready(instances);
}

/* ---- Phases ---- */

static void finish_system(struct supervisor *supervisor)
{
    supervisor->phase = OVER;
    watch_stop(supervisor);
    rotation_stop(supervisor);
    for (size_t i = 0; i < SUPERVISOR_SIGNALS; i++)
        uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
    struct state *state = &supervisor->options->provision->state;
    unlinkat(state->folder_fd, "control.sock", 0);
    /* A client that is told it has stopped may start it again at once. */
    state_unlock(state);
    if (supervisor->control)
        control_end(supervisor->control);
    supervisor->control = NULL;
}

/* Enters the next phase when the current one's condition holds. Called after every change. */
static void advance_system(struct supervisor *supervisor)
{
    struct instances *gateway = supervisor_gateway(supervisor);
    if (supervisor->phase == SERVING && servers_all(supervisor, server_is_ready)) {
        supervisor->phase = STARTING;
        for (size_t i = 0; i + 1 < supervisor->count; i++)
            instances_start(&supervisor->all[i]);
    }
    if (supervisor->phase == STARTING && services_all(supervisor, instances_ready)) {
        supervisor->phase = OPENING;
        instances_start(gateway);
    }
    if (supervisor->phase == OPENING && instances_ready(gateway) &&
        services_all(supervisor, instances_ready)) {
        supervisor->phase = UP;
        for (size_t i = 0; i < supervisor->count; i++)
            instances_came_up(&supervisor->all[i]);
        relocate_came_up(supervisor);
        supervisor->options->ready(supervisor->options->context);
    }
    if (supervisor->phase == CLOSING && instances_ended(gateway)) {
        supervisor->phase = STOPPING;
        for (size_t i = 0; i + 1 < supervisor->count; i++)
            instances_stop(&supervisor->all[i]);
    }
    if (supervisor->phase == STOPPING && services_all(supervisor, instances_ended) &&
        !supervisor->trial.running && !supervisor->rebuild.running) {
        supervisor->phase = SETTLING;
        for (size_t i = 0; i < supervisor->server_count; i++)
            instances_stop(&supervisor->servers[i]);
    }
    if (supervisor->phase == SETTLING && servers_all(supervisor, instances_ended))
        finish_system(supervisor);
}

/* Acts on what one service's processes have come to. */
static void heed_news(struct supervisor *supervisor, struct instances *instances,
                      enum instances_news news)
{
    if (news != INSTANCES_CHANGING &&
        (relocate_takes(supervisor, instances, news) || rebuild_takes(supervisor, instances, news)))
        return;
    switch (news) {
    case INSTANCES_CHANGING:
        break;
    case INSTANCES_SETTLED:
        upgrade_settled(supervisor, instances);
        break;
    case INSTANCES_PARTED_FAILED:
        asked_not_restored(supervisor, instances);
        break;
    case INSTANCES_UPGRADE_FAILED:
        upgrade_failed(supervisor, instances);
        break;
    }
}

static void stop_system(struct supervisor *supervisor)
{
    if (supervisor->phase >= CLOSING)
        return;
    supervisor->phase = CLOSING;
    if (supervisor->relocation.phase > RELOCATION_SERVER)
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "move-unfinished", NULL,
                       "the move of %s is not over: the next up goes on with it",
                       supervisor->all[supervisor->relocation.service].part->name);
    trial_kill(&supervisor->trial);
    rebuild_kill(supervisor);
    instances_stop(supervisor_gateway(supervisor));
    advance_system(supervisor);
}

static void stop_asked(void *context)
{
    stop_system(context);
}

/* On a second signal: no more grace. */
static void kill_all(struct supervisor *supervisor)
{
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "processes-killed", NULL, "killing what is left");
    stop_system(supervisor);
    for (size_t i = supervisor->count; i-- > 0;)
        instances_stop(&supervisor->all[i]);
    for (size_t i = 0; i < supervisor->count; i++)
        instances_kill(&supervisor->all[i]);
    for (size_t i = 0; i < supervisor->server_count; i++)
        instances_kill(&supervisor->servers[i]);
}

static void fail_system(struct supervisor *supervisor)
{
    supervisor->failed = true;
    stop_system(supervisor);
}

/* ---- Changes of the children ---- */

static void show_part_log(struct supervisor *supervisor, const struct child *child)
{
    struct text lines;
    text_init(&lines, 8192);
    child_last_lines(child, LOG_LINES_SHOWN, &lines);
    for (char *line = lines.data; line && *line;) {
        char *end = strchrnul(line, '\n'), *next = *end ? end + 1 : end;
        *end = '\0';
        supervisor_say(supervisor, SUPERVISE_STEP, "process-log-quoted", child->part->name,
                       "  | %s", line);
        line = next;
    }
    text_release(&lines);
}

static void tell_part_ready(struct supervisor *supervisor, const struct child *child,
                            const char *name)
{
    if (child->restarts)
        supervisor_say(supervisor, SUPERVISE_DONE, "process-recovered", child->part->name,
                       "%s is ready again, pid %d%s", name, child->pid,
                       child->from_held ? ", with the program from before it was replaced" : "");
    else
        supervisor_say(supervisor, SUPERVISE_DONE, "process-started", child->part->name,
                       "%-12s ready in %lld ms, pid %d, %s", name, (long long)child->start_took_ms,
                       child->pid, child->part->address);
}

static void tell_part_waiting(struct supervisor *supervisor, struct child *child, const char *name)
{
    bool starting = child->ready_ns == 0;
    if (starting && supervisor->phase < UP && supervisor->options->give_up && !child->part->spare &&
        child->failures >= SUPERVISE_START_FAILURES_MAX) {
        supervisor_say(supervisor, SUPERVISE_TROUBLE, "process-given-up", NULL,
                       "%s %s; it failed to start %d times", name, child->why, child->failures);
        show_part_log(supervisor, child);
        fail_system(supervisor);
        return;
    }
    supervisor_say(supervisor, SUPERVISE_TROUBLE, "process-ended", child->part->name,
                   "%s %s%s; starting it again in %lld ms", name, child->why,
                   starting && !child->overwritten ? " before it was ready" : "",
                   (long long)child->wait_ms);
    if (!child->overwritten && (starting || !child->exit_signal))
        show_part_log(supervisor, child);
}

static void tell_part_given_up(struct supervisor *supervisor, const struct child *child,
                               const char *name)
{
    supervisor_say(
        supervisor, SUPERVISE_TROUBLE, "process-misconfigured", child->part->name,
        "%s ended with exit code %d, %s: it will NOT be started again", name, (int)child->exit_code,
        child->exit_code == PROCESS_EXIT_MIGRATION ? "a wrong migration" : "wrong configuration");
    show_part_log(supervisor, child);
    for (size_t i = 0; i < supervisor->count && supervisor->phase == UP; i++) {
        if (supervisor->all[i].part == child->part)
            watch_given_up(supervisor, i);
    }
    if (supervisor->phase < UP && !child->part->spare)
        fail_system(supervisor);
}

static void child_changed(struct child *child)
{
    struct supervisor *supervisor = child->owner;
    struct instances *instances = instances_of(supervisor, child);
    char name[CONTROL_SERVICE_SIZE + 16];
    instances_name(instances, child, name, sizeof name);
    switch (child->state) {
    case CHILD_READY:
        tell_part_ready(supervisor, child, name);
        rebuild_ready(supervisor, instances);
        break;
    case CHILD_WAITING:
        tell_part_waiting(supervisor, child, name);
        break;
    case CHILD_GIVEN_UP:
        tell_part_given_up(supervisor, child, name);
        break;
    case CHILD_STOPPING:
        supervisor_say(supervisor, SUPERVISE_STEP, "process-stop-requested", child->part->name,
                       "stopping %s", name);
        break;
    case CHILD_ENDED:
        /* SIGTERM ends a process that does not handle it yet. */
        if (child->exit_code != 0 || (child->exit_signal && child->exit_signal != SIGTERM))
            supervisor_say(supervisor, SUPERVISE_TROUBLE, "process-stop-failed", child->part->name,
                           "%s %s while stopping", name, child->why);
        break;
    case CHILD_IDLE:
    case CHILD_STARTING:
        break;
    }
    advance_system(supervisor);
    supervisor_tend(supervisor, instances);
    rotation_tend(supervisor);
}

static void child_works(struct child *child, const struct course *course)
{
    struct supervisor *supervisor = child->owner;
    const struct supervise_options *options = supervisor->options;
    options->works(options->context, child->part->name, course);
    if (supervisor->control)
        control_work(supervisor->control, child->part->name, course);
}

static void child_keyed(struct child *child)
{
    rotation_tend(child->owner);
}

static void child_clock_set(struct child *child)
{
    struct supervisor *supervisor = child->owner;
    char name[CONTROL_SERVICE_SIZE + 16], span[APART_TEXT_SIZE];
    instances_name(instances_of(supervisor, child), child, name, sizeof name);
    apart_text(span, child->clock.ahead_ms);
    if (child->clock.is)
        supervisor_say(
            supervisor, SUPERVISE_TROUBLE, "clock-diverged", child->part->name,
            "the clock of %s is %s this system's: others refuse its tokens, and it theirs", name,
            span);
    else
        supervisor_say(supervisor, SUPERVISE_DONE, "clock-corrected", child->part->name,
                       "the clock of %s agrees with this system's again", name);
}

/* ---- Running ---- */

static void system_signalled(uv_signal_t *handle, int number)
{
    struct supervisor *supervisor = handle->data;
    (void)number;
    if (supervisor->phase >= CLOSING)
        kill_all(supervisor);
    else
        stop_system(supervisor);
}

static enum fh_code open_control(struct supervisor *supervisor, struct fh_error *error)
{
    struct state *state = &supervisor->options->provision->state;
    const json_t *keys = json_object_get(supervisor->options->provision->keys, "keys");
    int listen_fd;
    enum fh_code code = state_control_listen(state, &listen_fd, error);
    if (code == FH_OK)
        code = control_new(&supervisor->loop, listen_fd, state->folder_fd, keys_of_up(keys),
                           asked_handler(supervisor, stop_asked), &supervisor->control, error);
    return code;
}

/* Prepares the processes of the n-th part. */
static enum fh_code prepare_part(struct supervisor *supervisor, size_t n, struct fh_error *error)
{
    const struct supervise_options *options = supervisor->options;
    const struct system_file *file = options->file;
    struct instances *instances = &supervisor->all[n];
    *instances = supervisor_instances(supervisor, &options->provision->parts[n]);
    instances->alone = moving_moves(options->provision, instances->part->name);
    supervisor->count++;
    if (n < file->service_count) { /* of an `up` that was killed */
        trial_sweep(instances->part->folder_fd);
        if (rebuild_recover(instances->part->folder_fd, error) != FH_OK)
            options->say(options->context, SUPERVISE_TROUBLE, "rebuild-step-failed",
                         error->message);
    }
    instances->beside = n == file->service_count; /* the gateway */
    if (n < file->service_count) {
        const struct engine *engine = engine_named(file->services[n].engine);
        instances->many = engine && engine_can(engine, ENGINE_MANY_INSTANCES);
        if (instances->many)
            instances->wanted = scale_of(&options->provision->state, &file->services[n]);
    }
    return instances_init(instances, error);
}

static enum fh_code prepare_system(struct supervisor *supervisor, struct fh_error *error)
{
    static const int numbers[SUPERVISOR_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < supervisor->options->provision->part_count; i++) {
        enum fh_code code = prepare_part(supervisor, i, error);
        if (code != FH_OK)
            return code;
    }
    for (size_t i = 0; i < supervisor->options->provision->server_count; i++) {
        if (!supervisor_server(supervisor, &supervisor->options->provision->servers[i], error))
            return error->code;
    }
    enum fh_code code = open_control(supervisor, error);
    for (size_t i = 0; i < SUPERVISOR_SIGNALS && code == FH_OK; i++) {
        uv_signal_init(&supervisor->loop, &supervisor->signals[i]);
        supervisor->signals[i].data = supervisor;
        uv_signal_start(&supervisor->signals[i], system_signalled, numbers[i]);
    }
    return code;
}

int supervise_run(const struct supervise_options *options)
{
    struct fh_error error;
    struct supervisor *supervisor = calloc(1, sizeof *supervisor);
    FH_ASSERT(supervisor != NULL && uv_loop_init(&supervisor->loop) == 0);
    supervisor->options = options;
    supervisor->world = world_real_new(&supervisor->loop, &error);
    FH_ASSERT(supervisor->world != NULL);
    supervisor->heed = heed_news;
    supervisor->advance = advance_system;
    supervisor->model = (struct child){.world = supervisor->world,
                                       .loop = &supervisor->loop,
                                       .environment = options->environment,
                                       .lives = &options->provision->lives,
                                       .changed = child_changed,
                                       .works = child_works,
                                       .clock_set = child_clock_set,
                                       .keyed = child_keyed,
                                       .owner = supervisor};
    signal(SIGPIPE, SIG_IGN);
    if (prepare_system(supervisor, &error) == FH_OK) {
        for (size_t i = 0; i < supervisor->server_count; i++)
            instances_start(&supervisor->servers[i]);
        watch_start(supervisor);
        rotation_start(supervisor);
        advance_system(supervisor);
    } else {
        supervisor->failed = true;
        options->say(options->context, SUPERVISE_TROUBLE, "system-start-failed", error.message);
        if (supervisor->control)
            control_end(supervisor->control);
    }
    uv_run(&supervisor->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < supervisor->count; i++)
        instances_release(&supervisor->all[i]);
    for (size_t i = 0; i < supervisor->server_count; i++)
        instances_release(&supervisor->servers[i]);
    world_real_free(supervisor->world);
    uv_run(&supervisor->loop, UV_RUN_DEFAULT);
    FH_ASSERT(uv_loop_close(&supervisor->loop) == 0);
    relocate_end(supervisor);
    renewal_end(&supervisor->renewal);
    int code = supervisor->failed ? 1 : 0;
    free(supervisor);
    return code;
}
