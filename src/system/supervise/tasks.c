/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop, no threads; the phases follow one another as the children change:
 *
 *   SERVING   the servers start       all are ready     → WORKING
 *   WORKING   the programs work       all have ended    → SETTLING
 *   SETTLING  the servers stop        all have ended    → the loop ends
 *
 * A signal, or a server that can't be started, ends everything in the same order; a second signal
 * kills. After a crash of this process the kernel ends the rest, as with `up`.
 */

#define _GNU_SOURCE
#include "system/supervise/tasks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "service/task.h"
#include "system/supervise/child.h"
#include "store/server.h"
#include "system/servers/sockets.h"
#include "world/real.h"

#define TASK_CONFIG "task.json"
#define TASKS_SIGNALS 3
#define LOG_LINES_SHOWN 8
#define LOOK_MS 200

struct task {
    struct provision_part part; /* the service's own part, with another configuration */
    struct child child;
};

struct tasks {
    const struct tasks_options *options;
    uv_loop_t loop;
    struct world *world;
    uv_signal_t signals[TASKS_SIGNALS];
    uv_timer_t look;
    enum { TASKS_SERVING, TASKS_WORKING, TASKS_SETTLING, TASKS_OVER } phase;
    struct task tasks[PROVISION_PARTS_MAX];
    size_t count;
    struct child servers[SYSTEM_SERVERS_MAX];
    size_t server_count;
    struct fh_error error; /* why the run was abandoned */
};

static void say_of_tasks(const struct tasks *tasks, enum supervise_level level, const char *text)
{
    tasks->options->say(tasks->options->context, level, text);
}

/* ---- Phases ---- */

static void finish_tasks(struct tasks *tasks)
{
    tasks->phase = TASKS_OVER;
    for (size_t i = 0; i < TASKS_SIGNALS; i++)
        uv_close((uv_handle_t *)&tasks->signals[i], NULL);
    uv_close((uv_handle_t *)&tasks->look, NULL);
}

static void on_look(uv_timer_t *timer)
{
    struct tasks *tasks = timer->data;
    if (tasks->phase == TASKS_WORKING)
        tasks->options->look(tasks->options->context);
}

static bool servers_are(const struct tasks *tasks, enum child_state state)
{
    for (size_t i = 0; i < tasks->server_count; i++) {
        if (tasks->servers[i].state != state)
            return false;
    }
    return true;
}

static bool tasks_have_ended(const struct tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++) {
        if (tasks->tasks[i].child.state != CHILD_ENDED)
            return false;
    }
    return true;
}

/* Called after every change. Starting and stopping cause changes too, so this re-enters itself:
 * each phase is set first, and entered once. */
static void advance_tasks(struct tasks *tasks)
{
    if (tasks->phase == TASKS_SERVING && servers_are(tasks, CHILD_READY)) {
        tasks->phase = TASKS_WORKING;
        for (size_t i = 0; i < tasks->count; i++)
            child_start(&tasks->tasks[i].child);
    }
    if (tasks->phase == TASKS_WORKING && tasks_have_ended(tasks)) {
        tasks->phase = TASKS_SETTLING;
        for (size_t i = 0; i < tasks->server_count; i++)
            child_stop(&tasks->servers[i]);
    }
    if (tasks->phase == TASKS_SETTLING && servers_are(tasks, CHILD_ENDED))
        finish_tasks(tasks);
}

static void give_tasks_up(struct tasks *tasks)
{
    if (tasks->phase > TASKS_WORKING)
        return;
    tasks->phase = TASKS_WORKING;
    for (size_t i = 0; i < tasks->count; i++)
        child_stop(&tasks->tasks[i].child);
    advance_tasks(tasks);
}

static void tasks_signalled(uv_signal_t *handle, int number)
{
    struct tasks *tasks = handle->data;
    (void)number;
    if (tasks->error.code != FH_OK) {
        for (size_t i = 0; i < tasks->count; i++)
            child_kill(&tasks->tasks[i].child);
        for (size_t i = 0; i < tasks->server_count; i++)
            child_kill(&tasks->servers[i]);
        return;
    }
    error_set(&tasks->error, FH_UNAVAILABLE, "It was stopped by a signal.");
    give_tasks_up(tasks);
}

/* ---- Children ---- */

static void task_changed(struct child *child)
{
    advance_tasks(child->owner);
}

static void show_task_log(struct tasks *tasks, const struct child *child)
{
    struct text lines;
    text_init(&lines, 8192);
    child_last_lines(child, LOG_LINES_SHOWN, &lines);
    for (char *line = lines.data; line && *line;) {
        char *end = strchrnul(line, '\n'), *next = *end ? end + 1 : end;
        *end = '\0';
        say_of_tasks(tasks, SUPERVISE_STEP, line);
        line = next;
    }
    text_release(&lines);
}

static void server_changed(struct child *child)
{
    struct tasks *tasks = child->owner;
    bool waiting = child->state == CHILD_WAITING;
    bool hopeless = child->state == CHILD_GIVEN_UP ||
                    (waiting && child->failures >= SUPERVISE_START_FAILURES_MAX);
    if (hopeless && tasks->error.code == FH_OK) {
        error_set(&tasks->error, FH_UNAVAILABLE, "The server %s %s; it can't be started.",
                  child->part->name, child->why);
        show_task_log(tasks, child);
        give_tasks_up(tasks);
    }
    advance_tasks(tasks);
}

static enum fh_code prepare_child(struct tasks *tasks, struct child *child,
                                  const struct provision_part *part,
                                  void (*changed)(struct child *child), struct fh_error *error)
{
    *child = (struct child){.part = part,
                            .world = tasks->world,
                            .loop = &tasks->loop,
                            .environment = tasks->options->environment,
                            .lives = &tasks->options->provision->lives,
                            .changed = changed,
                            .owner = tasks,
                            .log_fd = -1,
                            .own_fd = -1};
    return child_init(child, error);
}

/* The service's own configuration, with the task and without sockets. */
static enum fh_code configure_task(struct tasks *tasks, struct task *task, struct fh_error *error)
{
    json_t *config;
    enum fh_code code = state_read_json(task->part.folder_fd, "service.json", &config, error);
    if (code != FH_OK)
        return code;
    json_object_del(config, "listen_fd");
    json_object_del(config, "own_listen_fd");
    sockets_readdress(&tasks->options->provision->state, json_object_get(config, "store"));
    json_object_set(config, "task", tasks->options->task);
    unlinkat(task->part.folder_fd, SERVICE_TASK_RESULT, 0);
    code = state_write_json(task->part.folder_fd, TASK_CONFIG, config, error);
    json_decref(config);
    task->part.listen_fd = task->part.inside_fd = -1;
    task->part.arguments[task->part.config_argument] =
        arena_printf(&tasks->options->provision->arena, "%s/" TASK_CONFIG, task->part.folder);
    return code;
}

static enum fh_code prepare_task(struct tasks *tasks, const struct provision_part *part,
                                 struct fh_error *error)
{
    struct task *task = &tasks->tasks[tasks->count];
    task->part = *part;
    enum fh_code code = configure_task(tasks, task, error);
    if (code != FH_OK)
        return code;
    tasks->count++;
    code = prepare_child(tasks, &task->child, &task->part, task_changed, error);
    task->child.once = true;
    return code;
}

/* The private server of the store, if it has one that is not prepared yet. */
static enum fh_code prepare_server(struct tasks *tasks, const json_t *store, struct fh_error *error)
{
    struct provision *provision = tasks->options->provision;
    const char *name = server_text(store, "server");
    for (size_t i = 0; i < tasks->server_count; i++) {
        if (strcmp(tasks->servers[i].part->name, name) == 0)
            return FH_OK;
    }
    for (size_t i = 0; i < provision->server_count; i++) {
        if (strcmp(provision->servers[i].name, name) == 0)
            return prepare_child(tasks, &tasks->servers[tasks->server_count++],
                                 &provision->servers[i], server_changed, error);
    }
    return FH_OK;
}

static enum fh_code prepare_tasks(struct tasks *tasks, struct fh_error *error)
{
    static const int numbers[TASKS_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    const struct provision *provision = tasks->options->provision;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < provision->part_count && code == FH_OK; i++) {
        const struct provision_part *part = &provision->parts[i];
        const json_t *store = json_object_get(provision->stores, part->name);
        if (!tasks->options->chosen[i] || part->folder_fd < 0)
            continue;
        code = prepare_task(tasks, part, error);
        if (code == FH_OK && store)
            code = prepare_server(tasks, store, error);
    }
    for (size_t i = 0; i < TASKS_SIGNALS && code == FH_OK; i++) {
        uv_signal_init(&tasks->loop, &tasks->signals[i]);
        tasks->signals[i].data = tasks;
        uv_signal_start(&tasks->signals[i], tasks_signalled, numbers[i]);
    }
    if (code != FH_OK)
        return code;
    uv_timer_init(&tasks->loop, &tasks->look);
    tasks->look.data = tasks;
    if (tasks->options->look)
        uv_timer_start(&tasks->look, on_look, LOOK_MS, LOOK_MS);
    return FH_OK;
}

/* ---- Results ---- */

static json_t *result_of(struct tasks *tasks, const struct task *task)
{
    json_t *result = NULL;
    int folder_fd = task->part.folder_fd;
    bool told = state_read_json(folder_fd, SERVICE_TASK_RESULT, &result, ERROR_UNHEEDED) == FH_OK &&
                json_is_object(result);
    if (!told) {
        json_decref(result);
        result = json_object();
        if (tasks->error.code == FH_OK)
            show_task_log(tasks, &task->child);
        json_object_set_new(result, "error",
                            json_sprintf("Its program %s; see %s/log.",
                                         *task->child.why ? task->child.why : "was not started",
                                         task->part.folder));
    }
    unlinkat(folder_fd, SERVICE_TASK_RESULT, 0);
    unlinkat(folder_fd, TASK_CONFIG, 0);
    return result;
}

static void release_tasks(struct tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++)
        child_release(&tasks->tasks[i].child);
    for (size_t i = 0; i < tasks->server_count; i++)
        child_release(&tasks->servers[i]);
    world_real_free(tasks->world);
    uv_run(&tasks->loop, UV_RUN_DEFAULT);
    uv_loop_close(&tasks->loop);
}

enum fh_code tasks_run(const struct tasks_options *options, json_t **ret, struct fh_error *error)
{
    struct tasks *tasks = calloc(1, sizeof *tasks);
    FH_ASSERT(tasks != NULL && uv_loop_init(&tasks->loop) == 0);
    tasks->options = options;
    tasks->world = world_real_new(&tasks->loop, error);
    FH_ASSERT(tasks->world != NULL);
    signal(SIGPIPE, SIG_IGN);
    *ret = json_object();
    enum fh_code code = prepare_tasks(tasks, error);
    if (code == FH_OK) {
        for (size_t i = 0; i < tasks->server_count; i++)
            child_start(&tasks->servers[i]);
        advance_tasks(tasks);
        uv_run(&tasks->loop, UV_RUN_DEFAULT);
        for (size_t i = 0; i < tasks->count; i++)
            json_object_set_new(*ret, tasks->tasks[i].part.name,
                                result_of(tasks, &tasks->tasks[i]));
        code = tasks->error.code;
        *error = code == FH_OK ? *error : tasks->error;
    }
    release_tasks(tasks);
    free(tasks);
    return code;
}
