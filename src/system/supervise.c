/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop, no threads. The phases, each left by one condition:
 *
 *   STARTING  the services start side by side     all ready            → OPENING
 *   OPENING   the gateway starts                  it is ready          → UP
 *   UP        what dies is started again          SIGTERM, SIGINT,
 *                                                 SIGHUP, stop         → CLOSING (from any phase)
 *   CLOSING   the gateway drains and ends         it has ended         → STOPPING
 *   STOPPING  the services drain and end          all have ended       → the loop ends
 *
 * A service that gives up (exit code 78) in STARTING or OPENING ends everything: the system was
 * never up, and a person is looking. Later the others go on without it.
 *
 * After a crash of this process nothing needs repair: the kernel closes the control pairs, so the
 * services drain and end, and releases the lock, so the next `up` goes on (see provision.c).
 */

#define _GNU_SOURCE
#include "system/supervise.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "system/child.h"
#include "system/control.h"
#include "system/keys.h"
#include "world/real.h"

enum phase { STARTING, OPENING, UP, CLOSING, STOPPING, OVER };

static const char *const phase_names[] = {"starting", "starting", "up",
                                          "stopping", "stopping", "stopped"};

#define LOG_LINES_SHOWN 8
#define SIGNALS 3

struct supervisor {
    const struct supervise_options *options;
    uv_loop_t loop;
    struct world *world;
    struct control *control;
    uv_signal_t signals[SIGNALS];
    enum phase phase;
    bool failed;
    size_t child_count; /* the gateway is the last */
    struct child children[PROVISION_PARTS_MAX];
};

static struct child *gateway_of(struct supervisor *supervisor)
{
    return &supervisor->children[supervisor->child_count - 1];
}

static void say(struct supervisor *supervisor, enum supervise_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct supervisor *supervisor, enum supervise_level level, const char *format, ...)
{
    va_list args;
    char line[512];
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    supervisor->options->say(supervisor->options->context, level, line);
    if (supervisor->control && supervisor->phase >= CLOSING)
        control_progress(supervisor->control, line);
}

static bool services_all(const struct supervisor *supervisor, enum child_state state)
{
    for (size_t i = 0; i + 1 < supervisor->child_count; i++) {
        if (supervisor->children[i].state != state)
            return false;
    }
    return true;
}

/* ---- Phases ------------------------------------------------------------------------------------
 */

static void finish(struct supervisor *supervisor)
{
    supervisor->phase = OVER;
    for (size_t i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
    struct state *state = &supervisor->options->provision->state;
    unlinkat(state->folder_fd, "control.sock", 0);
    /* Whoever hears that it has stopped may start anew at once. */
    state_unlock(state);
    if (supervisor->control)
        control_end(supervisor->control);
    supervisor->control = NULL;
}

/* Goes on to the next phase when the present one's condition holds. Called after every change. */
static void advance(struct supervisor *supervisor)
{
    struct child *gateway = gateway_of(supervisor);
    if (supervisor->phase == STARTING && services_all(supervisor, CHILD_READY)) {
        supervisor->phase = OPENING;
        child_start(gateway);
    }
    if (supervisor->phase == OPENING && gateway->state == CHILD_READY &&
        services_all(supervisor, CHILD_READY)) {
        supervisor->phase = UP;
        supervisor->options->ready(supervisor->options->context);
    }
    if (supervisor->phase == CLOSING && gateway->state == CHILD_ENDED) {
        supervisor->phase = STOPPING;
        for (size_t i = 0; i + 1 < supervisor->child_count; i++)
            child_stop(&supervisor->children[i]);
    }
    if (supervisor->phase == STOPPING && services_all(supervisor, CHILD_ENDED))
        finish(supervisor);
}

static void stop(struct supervisor *supervisor)
{
    if (supervisor->phase >= CLOSING)
        return;
    supervisor->phase = CLOSING;
    child_stop(gateway_of(supervisor));
    advance(supervisor);
}

/* A second signal: no more grace. */
static void kill_all(struct supervisor *supervisor)
{
    say(supervisor, SUPERVISE_TROUBLE, "killing what is left");
    stop(supervisor);
    for (size_t i = supervisor->child_count; i-- > 0;)
        child_stop(&supervisor->children[i]);
    for (size_t i = 0; i < supervisor->child_count; i++)
        child_kill(&supervisor->children[i]);
}

static void fail(struct supervisor *supervisor)
{
    supervisor->failed = true;
    stop(supervisor);
}

/* ---- What happens to the children
 * ---------------------------------------------------------------- */

static void show_log(struct supervisor *supervisor, const struct child *child)
{
    struct text lines;
    text_init(&lines, 8192);
    child_last_lines(child, LOG_LINES_SHOWN, &lines);
    for (char *line = lines.data; line && *line;) {
        char *end = strchrnul(line, '\n'), *next = *end ? end + 1 : end;
        *end = '\0';
        say(supervisor, SUPERVISE_STEP, "  | %s", line);
        line = next;
    }
    text_release(&lines);
}

static void tell_ready(struct supervisor *supervisor, const struct child *child)
{
    const char *name = child->part->name;
    if (child->restarts)
        say(supervisor, SUPERVISE_DONE, "%s is ready again, pid %d", name, child->pid);
    else
        say(supervisor, SUPERVISE_DONE, "%-12s ready in %lld ms, pid %d, %s", name,
            (long long)child->start_took_ms, child->pid, child->part->address);
}

static void tell_waiting(struct supervisor *supervisor, struct child *child)
{
    const char *name = child->part->name;
    bool starting = child->ready_ns == 0;
    if (starting && supervisor->phase < UP && supervisor->options->give_up &&
        child->failures >= SUPERVISE_START_FAILURES_MAX) {
        say(supervisor, SUPERVISE_TROUBLE, "%s %s; it failed to start %d times", name, child->why,
            child->failures);
        show_log(supervisor, child);
        fail(supervisor);
        return;
    }
    say(supervisor, SUPERVISE_TROUBLE, "%s %s%s; starting it again in %lld ms", name, child->why,
        starting ? " before it was ready" : "", (long long)child->wait_ms);
    if (starting || !child->exit_signal)
        show_log(supervisor, child);
}

static void tell_given_up(struct supervisor *supervisor, const struct child *child)
{
    say(supervisor, SUPERVISE_TROUBLE,
        "%s ended with exit code 78, wrong configuration: it will NOT be started again",
        child->part->name);
    show_log(supervisor, child);
    if (supervisor->phase < UP)
        fail(supervisor);
}

static void child_changed(struct child *child)
{
    struct supervisor *supervisor = child->owner;
    switch (child->state) {
    case CHILD_READY:
        tell_ready(supervisor, child);
        break;
    case CHILD_WAITING:
        tell_waiting(supervisor, child);
        break;
    case CHILD_GIVEN_UP:
        tell_given_up(supervisor, child);
        break;
    case CHILD_STOPPING:
        say(supervisor, SUPERVISE_STEP, "stopping %s", child->part->name);
        break;
    case CHILD_ENDED:
        /* SIGTERM ends one that has not yet come to handle it. */
        if (child->exit_code != 0 || (child->exit_signal && child->exit_signal != SIGTERM))
            say(supervisor, SUPERVISE_TROUBLE, "%s %s while stopping", child->part->name,
                child->why);
        break;
    case CHILD_IDLE:
    case CHILD_STARTING:
        break;
    }
    advance(supervisor);
}

/* ---- Status
 * -------------------------------------------------------------------------------------- */

static json_t *child_json(const struct supervisor *supervisor, const struct child *child)
{
    json_t *item = json_object();
    int64_t now = world_monotonic_ns(supervisor->world);
    bool ready = child->state == CHILD_READY;
    json_object_set_new(item, "name", json_string(child->part->name));
    json_object_set_new(item, "pid", child->pid ? json_integer(child->pid) : json_null());
    json_object_set_new(item, "ready", json_boolean(ready));
    json_object_set_new(item, "phase", json_string(child_state_name(child->state)));
    json_object_set_new(item, "address", json_string(child->part->address));
    json_object_set_new(item, "restarts", json_integer(child->restarts));
    json_object_set_new(item, "since_s",
                        ready ? json_integer((now - child->ready_ns) / 1000000000) : json_null());
    json_object_set_new(item, "last_end", *child->why ? json_string(child->why) : json_null());
    return item;
}

static json_t *status(void *context)
{
    struct supervisor *supervisor = context;
    const struct system_file *file = supervisor->options->file;
    json_t *all = json_object(), *services = json_array();
    for (size_t i = 0; i + 1 < supervisor->child_count; i++)
        json_array_append_new(services, child_json(supervisor, &supervisor->children[i]));
    json_object_set_new(all, "system", json_string(file->name));
    json_object_set_new(all, "profile", file->profile ? json_string(file->profile) : json_null());
    json_object_set_new(all, "phase", json_string(phase_names[supervisor->phase]));
    json_object_set_new(all, "up_pid", json_integer(getpid()));
    json_object_set_new(all, "gateway", child_json(supervisor, gateway_of(supervisor)));
    json_object_set_new(all, "services", services);
    return all;
}

static void stop_asked(void *context)
{
    stop(context);
}

/* ---- Running
 * ------------------------------------------------------------------------------------- */

static void signalled(uv_signal_t *handle, int number)
{
    struct supervisor *supervisor = handle->data;
    (void)number;
    if (supervisor->phase >= CLOSING)
        kill_all(supervisor);
    else
        stop(supervisor);
}

static enum fh_code open_control(struct supervisor *supervisor, struct fh_error *error)
{
    struct state *state = &supervisor->options->provision->state;
    json_t *keys;
    int listen_fd;
    enum fh_code code = keys_read(state, &keys, error);
    if (code == FH_OK)
        code = state_control_listen(state, &listen_fd, error);
    if (code == FH_OK)
        code = control_new(&supervisor->loop, listen_fd, keys_of_up(keys),
                           (struct control_handler){status, stop_asked, supervisor},
                           &supervisor->control, error);
    json_decref(keys);
    return code;
}

static enum fh_code prepare(struct supervisor *supervisor, struct fh_error *error)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    const struct supervise_options *options = supervisor->options;
    for (size_t i = 0; i < options->provision->part_count; i++) {
        struct child *child = &supervisor->children[i];
        *child = (struct child){.part = &options->provision->parts[i],
                                .world = supervisor->world,
                                .loop = &supervisor->loop,
                                .environment = options->environment,
                                .changed = child_changed,
                                .owner = supervisor,
                                .log_fd = -1};
        supervisor->child_count++;
        enum fh_code code = child_init(child, error);
        if (code != FH_OK)
            return code;
    }
    enum fh_code code = open_control(supervisor, error);
    for (size_t i = 0; i < SIGNALS && code == FH_OK; i++) {
        uv_signal_init(&supervisor->loop, &supervisor->signals[i]);
        supervisor->signals[i].data = supervisor;
        uv_signal_start(&supervisor->signals[i], signalled, numbers[i]);
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
    signal(SIGPIPE, SIG_IGN);
    if (prepare(supervisor, &error) == FH_OK) {
        for (size_t i = 0; i + 1 < supervisor->child_count; i++)
            child_start(&supervisor->children[i]);
    } else {
        supervisor->failed = true;
        options->say(options->context, SUPERVISE_TROUBLE, error.message);
        if (supervisor->control)
            control_end(supervisor->control);
    }
    uv_run(&supervisor->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < supervisor->child_count; i++)
        child_release(&supervisor->children[i]);
    world_real_free(supervisor->world);
    uv_run(&supervisor->loop, UV_RUN_DEFAULT);
    FH_ASSERT(uv_loop_close(&supervisor->loop) == 0);
    int code = supervisor->failed ? 1 : 0;
    free(supervisor);
    return code;
}
