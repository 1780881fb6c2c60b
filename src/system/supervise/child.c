/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process gets descriptors 3 (its listening socket) and 4 (the control pair). It writes its log
 * itself, so that nothing is lost when `up` dies. The log is bounded by copying it to log.1 and
 * truncating it, which is safe with an O_APPEND writer.
 *
 * Silence is measured on the monotonic clock, and never acted on at first sight, since `up` itself
 * may have been held up: heartbeats waiting to be read are read first. A process that would run if
 * the machine let it is slow, not silent: on a busy machine, killing it would only make more work.
 * It gets longer, but not for ever, since an endless loop looks the same.
 *
 * A process has ended when both its handles are closed and nothing is left of what it has started
 * (life.h); only then may the next one start.
 *
 * A process is started from the program that was checked (part->program), never from whatever has
 * its name by now: that is for an upgrade to take. If the file was replaced, the program is run
 * through the descriptor that holds it, where a script's interpreter finds it too. If it was
 * overwritten in place, it is gone.
 */

#define _GNU_SOURCE
#include "system/supervise/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/process.h"
#include "system/provision/instance.h"
#include "system/provision/part.h"
#include "system/provision/state.h"
#include "system/supervise/being.h"

#define NS_PER_MS 1000000
#define LATE_MS 1000   /* a timer that fires later than this: the loop itself was held up */
#define DOUBT_MS 100   /* time to read what has arrived */
#define REPORT_MS 1000 /* for its last words */
#define WORKS_MS 3000  /* after it said that it works on its store; it does so each second */
#define REST_MS 10     /* between two looks at what is left of a process that has ended */
#define REST_LOOKS 500 /* after these, its log says what is waited for */
#define HELD_FD 7
#define HELD_PATH "/proc/self/fd/7"

const char *child_state_name(enum child_state state)
{
    static const char *const names[] = {"idle",     "starting", "ready", "restarting",
                                        "given up", "stopping", "ended"};
    return names[state];
}

static void set_state(struct child *child, enum child_state state)
{
    child->state = state;
    child->changed(child);
}

static void after_ms(struct child *child, int64_t ms, void (*fire)(struct world_timer *))
{
    child->timer.fire = fire;
    child->timer.owner = child;
    world_timer_start(child->world, &child->timer, world_in_ms(child->world, ms));
}

enum fh_code child_init(struct child *child, struct fh_error *error)
{
    char name[INSTANCE_FILE_SIZE];
    child->own_fd = -1;
    if (child->addressed) {
        enum fh_code code =
            address_listen("127.0.0.1:0", &child->own_fd, child->own_address, error);
        if (code != FH_OK)
            return code;
    }
    instance_file(name, child->log_name ? child->log_name : "log", child->instance, "");
    child->log_fd = state_open_file(child->part->folder_fd, name, O_RDWR | O_CREAT | O_APPEND);
    if (child->log_fd < 0 && (errno == ENXIO || errno == EISDIR || errno == ELOOP))
        return error_set(error, FH_UNAVAILABLE,
                         "%s/%s is not a regular file, and its log can't be written: remove it, "
                         "and start again.",
                         child->part->folder, name);
    if (child->log_fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot open %s/%s",
                               child->part->folder, name);
    if (child->instance == 0)
        return FH_OK;
    instance_file(name, child->part->stem, child->instance, ".json");
    snprintf(child->config, sizeof child->config, "%s/%s", child->part->folder, name);
    return FH_OK;
}

void child_release(struct child *child)
{
    world_timer_stop(child->world, &child->timer);
    if (child->log_fd >= 0)
        close(child->log_fd);
    if (child->own_fd >= 0)
        close(child->own_fd);
    child->log_fd = child->own_fd = -1;
}

static void send_signal(struct child *child, int signal)
{
    if (child->pid)
        spawn_signal(&child->process, signal);
}

/* ---- Endings ---- */

static void begin_start(struct child *child);

static void begin_again(struct world_timer *timer)
{
    struct child *child = timer->owner;
    child->restarts++;
    begin_start(child);
}

static int start_ms_max(const struct child *child)
{
    return child->terms && child->terms->start_ms_max ? child->terms->start_ms_max
                                                      : CHILD_START_MS_MAX;
}

static void has_ended(struct child *child)
{
    child->pid = 0;
    world_timer_stop(child->world, &child->timer);
    child_describe_end(child);
    if (child->state == CHILD_STOPPING || child->once) {
        set_state(child, CHILD_ENDED);
        return;
    }
    if (!child->exit_signal && process_exit_is_final((int)child->exit_code)) {
        set_state(child, CHILD_GIVEN_UP);
        return;
    }
    int64_t now = world_monotonic_ns(child->world);
    if (child->ready_ns && now - child->ready_ns >= (int64_t)CHILD_STEADY_MS * NS_PER_MS)
        child->failures = 0;
    child->wait_ms = child_backoff_ms(child);
    child->failures++;
    after_ms(child, child->wait_ms, begin_again);
    set_state(child, CHILD_WAITING);
}

static void part_closed(struct child *child)
{
    if (--child->open_handles == 0)
        has_ended(child);
}

static void handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void process_closed(struct spawned *process)
{
    part_closed(process->owner);
}

static void end_rest(struct world_timer *timer)
{
    struct child *child = timer->owner;
    struct life life = provision_life(child->part, child->instance);
    if (life_end(child->lives, &life) == 0) {
        part_closed(child);
        return;
    }
    if (++child->rest_looks == REST_LOOKS)
        child_complain(child, "what the process has started does not end though it was killed; "
                              "the next one waits for that");
    world_timer_start(child->world, timer, world_in_ms(child->world, REST_MS));
}

static void process_exited(struct spawned *process, int code, int signal)
{
    struct child *child = process->owner;
    child->exit_code = code;
    child->exit_signal = signal;
    child->exited_ns = world_monotonic_ns(child->world);
    if (!uv_is_closing((uv_handle_t *)&child->control))
        uv_close((uv_handle_t *)&child->control, handle_closed);
    child->rest = (struct world_timer){.fire = end_rest, .owner = child};
    child->rest_looks = 0;
    end_rest(&child->rest);
}

/* ---- Watching ---- */

static void kill_child(struct world_timer *timer)
{
    send_signal(timer->owner, SIGKILL);
}

/* One that is silent for too long is aborted, so that its log says where it was (base/backtrace.h),
 * and killed a little later, whatever it does about that. */
static void look_at_child(struct world_timer *timer)
{
    struct child *child = timer->owner;
    int64_t now = world_monotonic_ns(child->world);
    int64_t silent_ms = (now - child->heard_ns) / NS_PER_MS;
    int64_t limit_ms = child->state == CHILD_READY ? CHILD_SILENCE_MS_MAX : start_ms_max(child);
    int64_t left_ms = limit_ms - silent_ms;
    if (left_ms <= 0 && now - timer->at_ns > (int64_t)LATE_MS * NS_PER_MS)
        left_ms = LATE_MS;
    if (left_ms <= 0 && silent_ms < CHILD_STARVED_MS_MAX && being_waits_for_the_machine(child->pid))
        left_ms = LATE_MS;
    if (left_ms <= 0 && child->doubted_ns != child->heard_ns) {
        child->doubted_ns = child->heard_ns;
        left_ms = DOUBT_MS;
    }
    if (left_ms > 0) {
        after_ms(child, left_ms, look_at_child);
        return;
    }
    child->silent_s = (int)(silent_ms / 1000);
    child->killed_for_silence = true;
    after_ms(child, REPORT_MS, kill_child);
    send_signal(child, SIGABRT);
}

/* "working 412000 1000000 orders"; "~1000000": the total is a guess, 0: it is not known */
static void take_work(struct child *child)
{
    char *total, *of;
    struct course course = {.done = strtoll(child->line + strlen("working"), &total, 10)};
    course.guessed = strncmp(total, " ~", 2) == 0;
    course.total = strtoll(total + (course.guessed ? 2 : 0), &of, 10);
    course.of = of + 1;
    if (child->works && child->state == CHILD_STARTING && course.total >= 0 && *of == ' ')
        child->works(child, &course);
}

static void take_line(struct child *child)
{
    child->line[child->line_length] = '\0';
    child->line_length = 0;
    size_t word = strcspn(child->line, " ");
    bool ready = strcmp(child->line, "ready") == 0;
    child_take_clock(child);
    child_take_hang(child);
    child_take_keys(child);
    bool works = word == strlen("working") && strncmp(child->line, "working", word) == 0;
    if (!ready && !works && strcmp(child->line, "beat") != 0)
        return;
    /* While it starts, heartbeats do not count: they must not keep a start alive for ever. But
     * "working" does: a database server's recovery or a migration may take as long as it needs. */
    if (child->state == CHILD_READY || ready || works)
        child->heard_ns = world_monotonic_ns(child->world);
    child->hang.what[0] = '\0';
    child_log_bound(child);
    spawn_reap_orphans();
    if (works)
        take_work(child);
    if (!ready || child->state != CHILD_STARTING)
        return;
    child->ready_ns = child->heard_ns;
    child->start_took_ms = (child->ready_ns - child->started_ns) / NS_PER_MS;
    after_ms(child, CHILD_SILENCE_MS_MAX, look_at_child);
    set_state(child, CHILD_READY);
}

static void give_child_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct child *child = handle->data;
    *buffer = uv_buf_init(child->buffer, sizeof child->buffer);
}

static void take_control(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct child *child = stream->data;
    if (length < 0) {
        /* The exit follows; a process that closed it and lives on falls silent. */
        if (!uv_is_closing((uv_handle_t *)stream))
            uv_close((uv_handle_t *)stream, handle_closed);
        return;
    }
    for (ssize_t i = 0; i < length; i++) {
        if (buffer->base[i] == '\n')
            take_line(child);
        else if (child->line_length < sizeof child->line - 1)
            child->line[child->line_length++] = buffer->base[i];
    }
}

/* ---- Starting and stopping ---- */

/* Chooses the file to start; false: the program that was checked is gone. */
static bool choose_program(struct child *child)
{
    const struct program_held *checked = child->part->program;
    child->runs = program_file_look(child->part->arguments[0]);
    child->from_held = child->overwritten = false;
    if (!checked || !checked->file.inode || program_file_same(&child->runs, &checked->file))
        return true;
    child->from_held = program_is_whole(checked);
    child->overwritten = !child->from_held;
    child->runs = checked->file;
    return child->from_held;
}

static enum fh_code admit_child(void *context, pid_t pid, struct fh_error *error)
{
    const struct child *child = context;
    struct life life = provision_life(child->part, child->instance);
    return life_begin(child->lives, &life, pid, error);
}

static enum fh_code spawn_child(struct child *child, int control_fd, struct fh_error *error)
{
    char *arguments[5], held[] = HELD_PATH;
    const struct provision_part *part = child->part;
    memcpy(arguments, part->arguments, sizeof arguments);
    if (child->instance)
        arguments[part->config_argument] = child->config;
    struct mount_plan *plan;
    enum fh_code code = part_plan_mounts(part, child->from_held ? part->program->fd : -1,
                                         child->environment, &plan, error);
    if (code != FH_OK)
        return code;
    struct spawn_room room = {.enter = namespace_enter, .argument = plan};
    struct spawn_options options = {
        .program = child->from_held ? held : arguments[0],
        .arguments = arguments,
        .environment = child->environment,
        .also = child->terms && child->terms->keeps_schema ? PROCESS_KEEPS_SCHEMA "=1" : NULL,
        .folder = part->folder,
        .descriptors = {-1, child->log_fd, child->log_fd, part->listen_fd, control_fd,
                        part->inside_fd, child->own_fd, child->from_held ? part->program->fd : -1},
        .user = part->user,
        .group = part->group,
        .room = plan ? &room : NULL,
        .admit = admit_child,
        .context = child};
    child->process.ended = process_exited;
    child->process.closed = process_closed;
    child->process.owner = child;
    code = spawn_start(&child->process, child->loop, &options, error);
    namespace_free(plan);
    return code;
}

/* Starts it, with a pair of sockets between us. */
static enum fh_code spawn_controlled(struct child *child, struct fh_error *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "No pair of sockets can be made");
    enum fh_code code = spawn_child(child, pair[1], error);
    close(pair[1]);
    if (code != FH_OK) {
        close(pair[0]);
        return code;
    }
    child->open_handles = 3;
    child->pid = child->process.pid;
    uv_pipe_init(child->loop, &child->control, 0);
    child->control.data = child;
    FH_ASSERT(uv_pipe_open(&child->control, pair[0]) == 0);
    uv_read_start((uv_stream_t *)&child->control, give_child_buffer, take_control);
    return FH_OK;
}

/* It was executed before spawn_start returned, so the file its name stands for now is the one that
 * runs, or a newer one. */
static void end_if_unchecked(struct child *child)
{
    struct program_file now = program_file_look(child->part->arguments[0]);
    if (!child->part->program || !child->part->program->file.inode || child->from_held ||
        program_file_same(&now, &child->runs))
        return;
    child_complain(child,
                   "the program was replaced while it was being started; it is started again");
    send_signal(child, SIGKILL);
}

/* No process was created: treat it as one that ended at once. */
static void fail_to_start(struct child *child, const char *why)
{
    child_complain(child, why);
    child->exit_code = 1;
    has_ended(child);
}

static void fail_to_run(struct child *child, const char *why)
{
    char text[480], user[32] = "";
    struct life life = provision_life(child->part, child->instance);
    if (child->part->user)
        snprintf(user, sizeof user, " as user %u", (unsigned)child->part->user);
    snprintf(text, sizeof text, "%.300s can't be run%s: %.120s", child->part->arguments[0], user,
             why);
    life_end(child->lives, &life); /* its record: there is nothing to be killed */
    fail_to_start(child, text);
}

/* What must be so before a process may start. */
static enum fh_code prepare_start(struct child *child, struct fh_error *error)
{
    struct life life = provision_life(child->part, child->instance);
    if (life_end(child->lives, &life) != 0)
        return error_set(error, FH_CONFLICT, "An earlier process still lives.");
    /* The configuration of a further instance is derived from the first one's current one. */
    return child->instance ? instance_configure(child->part->folder_fd, child->part->stem,
                                                child->instance, error)
                           : FH_OK;
}

static void begin_start(struct child *child)
{
    struct fh_error error;
    child->started_ns = child->heard_ns = world_monotonic_ns(child->world);
    child->ready_ns = child->exited_ns = child->keys_told = child->keys_known =
        child->keys_settled = 0;
    child->killed_for_silence = child->superseded = false;
    child->exit_code = child->exit_signal = 0;
    child->line_length = 0;
    child->log_start = child_log_size(child);
    child->clock = (struct apart){0};
    child->hang = (struct child_hang){0};
    child->state = CHILD_STARTING;
    if (!choose_program(child)) {
        fail_to_start(child, "the program was overwritten, and is not started unchecked");
        return;
    }
    if (prepare_start(child, &error) != FH_OK) {
        fail_to_start(child, error.message);
        return;
    }
    if (spawn_controlled(child, &error) != FH_OK) {
        fail_to_run(child, error.message);
        return;
    }
    after_ms(child, start_ms_max(child), look_at_child);
    end_if_unchecked(child);
    child->changed(child);
}

void child_start(struct child *child)
{
    FH_ASSERT(child->state == CHILD_IDLE || child->state == CHILD_ENDED);
    child->failures = 0;
    begin_start(child);
}

static void grace_is_over(struct world_timer *timer)
{
    child_kill(timer->owner);
}

void child_stop(struct child *child)
{
    if (child->state == CHILD_STOPPING || child->state == CHILD_ENDED)
        return;
    if (child->open_handles == 0) {
        world_timer_stop(child->world, &child->timer);
        child->exit_code = child->exit_signal =
            0; /* it has ended before, which was reported then */
        set_state(child, CHILD_ENDED);
        return;
    }
    after_ms(child, CHILD_GRACE_MS_MAX, grace_is_over);
    send_signal(child, SIGTERM);
    set_state(child, CHILD_STOPPING);
}

void child_kill(struct child *child)
{
    if (child->state == CHILD_STOPPING)
        send_signal(child, SIGKILL);
}

void child_abandon(struct child *child)
{
    int64_t silent_ms = (world_monotonic_ns(child->world) - child->heard_ns) / NS_PER_MS;
    bool works = child->heard_ns != child->started_ns && silent_ms < WORKS_MS;
    if (child->state != CHILD_STARTING || works)
        return;
    child->superseded = true;
    send_signal(child, SIGKILL);
}
