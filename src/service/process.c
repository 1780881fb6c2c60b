/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's side of the control channel. The loop writes a beat: if the loop hangs, or the
 * process was stopped, the beats end, and the starter kills it. If the channel ends, the starter
 * has died: nothing would restart or stop this process any more, so it drains.
 */

#define _GNU_SOURCE
#include "service/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "world/world.h"

#define CONFIG_SIZE_MAX ((size_t)16 << 20)
#define LISTEN_BACKLOG 1024
#define PROCESS_TOLD_SIZE 128 /* a longer line is not sent */
#define PROCESS_LINE_MAX ((size_t)1 << 20)

static const struct world_files *files_of(const struct world *world)
{
    return world ? world->files : &world_files_real;
}

static enum fh_code read_process_file(struct world *world, const char *path, struct text *text,
                                      struct fh_error *error)
{
    int failed = files_of(world)->read(world, path, text);
    /* A file that the disk can't read now still exists, and may be readable at the next start. */
    enum fh_code code = failed == EIO ? FH_UNAVAILABLE : FH_INVALID;
    return failed ? error_set_errno(error, code, failed, "The configuration %s can't be read", path)
                  : FH_OK;
}

enum fh_code process_config_read(struct world *world, const char *path, json_t **ret,
                                 struct fh_error *error)
{
    struct text text;
    struct fh_error why = {0};
    *ret = NULL;
    text_init(&text, CONFIG_SIZE_MAX);
    enum fh_code code = read_process_file(world, path, &text, error);
    if (code == FH_OK) {
        code = json_parse(text.data ? text.data : "", text.length, ret, &why);
        if (code != FH_OK)
            error_set(error, code, "The configuration %s: %.150s", path, why.message);
    }
    text_release(&text);
    json_int_t format = 0;
    if (code == FH_OK && (!json_integer_at(*ret, "freehold", &format) || format != 1)) {
        json_decref(*ret);
        *ret = NULL;
        code = error_set(error, FH_INVALID,
                         "The configuration %s is not valid: expected a JSON object with "
                         "\"freehold\": 1.",
                         path);
    }
    return code;
}

enum fh_code process_write(struct world *world, const char *folder, const char *name,
                           const json_t *value, struct fh_error *error)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *text = json_text(value);
    int failed = files_of(world)->replace(world, path, text, strlen(text));
    json_text_free(text);
    return failed ? error_set_errno(error, FH_UNAVAILABLE, failed, "%s can't be written", path)
                  : FH_OK;
}

static enum fh_code listen_on(const char *address, int *ret_fd, struct fh_error *error)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (!colon || !colon[1] || *end || port > 65535 || (size_t)(colon - address) >= sizeof host)
        return error_set(error, FH_INVALID,
                         "\"%s\" is not an address to listen on: expected one like 127.0.0.1:8080.",
                         address);
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return error_set(error, FH_INVALID, "\"%s\" is no IPv4 address.", host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "No socket can be made");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&to, sizeof to) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int number = errno;
        close(fd);
        return error_set_errno(error, FH_UNAVAILABLE, number, "%s can't be listened on", address);
    }
    *ret_fd = fd;
    return FH_OK;
}

static enum fh_code take_listener(const json_t *config, const char *name, int *ret_fd,
                                  struct fh_error *error)
{
    json_int_t fd;
    if (!json_integer_at(config, name, &fd) || fcntl((int)fd, F_GETFD) < 0)
        return error_set(
            error, FH_INVALID,
            "The configuration's %s is not an open descriptor; started by hand, a program "
            "takes --listen ADDR:PORT.",
            name);
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    fcntl((int)fd, F_SETFL, fcntl((int)fd, F_GETFL) | O_NONBLOCK);
    *ret_fd = (int)fd;
    return FH_OK;
}

enum fh_code process_listen(const json_t *config, const char *address, int *ret_fd,
                            struct fh_error *error)
{
    return address ? listen_on(address, ret_fd, error)
                   : take_listener(config, "listen_fd", ret_fd, error);
}

enum fh_code process_listen_own(const json_t *config, int *ret_fd, struct fh_error *error)
{
    *ret_fd = -1;
    if (!json_object_get(config, "own_listen_fd"))
        return FH_OK;
    return take_listener(config, "own_listen_fd", ret_fd, error);
}

enum fh_code process_listen_inside(const json_t *config, int *ret_fd, struct fh_error *error)
{
    *ret_fd = -1;
    if (!json_object_get(config, "inside_fd"))
        return FH_OK;
    return take_listener(config, "inside_fd", ret_fd, error);
}

void process_stop(struct process *process)
{
    if (process->stopping)
        return;
    process->stopping = true;
    process->stop(process->context);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    process_stop(handle->data);
}

static void control_send(struct process *process, const char *line)
{
    if (process->control_fd < 0)
        return;
    /* A full channel loses a beat; on_control notices a closed one. */
    if (send(process->control_fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

static void send_keys(struct process *process)
{
    char line[64];
    if (!process->keys)
        return;
    snprintf(line, sizeof line, "keys %" PRId64 " %" PRId64 "\n", process->keys,
             process->keys_settled);
    control_send(process, line);
}

void process_keys(struct process *process, int64_t known, int64_t settled)
{
    process->keys = known;
    process->keys_settled = settled;
    send_keys(process);
}

/* What a newer `up` says besides is not for this version. */
static void take_told_line(struct process *process)
{
    json_t *line;
    if (json_parse(process->told.data ? process->told.data : "", process->told.length, &line,
                   ERROR_UNHEEDED) != FH_OK)
        return;
    json_t *keys = json_object_get(line, "keys");
    if (json_is_object(keys) && process->rekeyed)
        process->rekeyed(process->context, keys);
    json_decref(line);
}

static void take_told(struct process *process, const char *at, size_t length)
{
    while (length > 0) {
        const char *end = memchr(at, '\n', length);
        size_t part = end ? (size_t)(end - at) : length;
        text_append(&process->told, at, part);
        if (end) {
            if (!process->told.overflow)
                take_told_line(process);
            if (process->told.data)
                explicit_bzero(process->told.data, process->told.capacity);
            text_clear(&process->told);
        }
        part += end != NULL;
        at += part;
        length -= part;
    }
}

static void on_control(uv_poll_t *handle, int status, int events)
{
    struct process *process = handle->data;
    char told[4096];
    (void)events;
    ssize_t got = status < 0 ? 0 : recv(process->control_fd, told, sizeof told, MSG_DONTWAIT);
    if (got > 0)
        take_told(process, told, (size_t)got);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    uv_poll_stop(handle);
    process_stop(process);
}

static void process_beat(uv_timer_t *handle)
{
    struct process *process = handle->data;
    watchdog_beat(&process->watchdog);
    if (process->control_fd < 0)
        return;
    control_send(process, process->works ? "working\n" : "beat\n");
    if (process->clock) { /* a line of its own: an older `up` knows only the beat's words */
        char line[32];
        snprintf(line, sizeof line, "clock %lld\n", (long long)world_wall_ms(process->clock));
        control_send(process, line);
    }
    if (!process->works) /* from when it is ready, so that nobody tells it others before */
        send_keys(process);
    if (process->beaten)
        process->beaten(process->context);
}

int process_exit_of(enum fh_code code, bool migrating)
{
    if (code == FH_INVALID || code == FH_UNSUPPORTED)
        return migrating ? PROCESS_EXIT_MIGRATION : PROCESS_EXIT_CONFIGURATION;
    return code == FH_UNAVAILABLE ? PROCESS_EXIT_UNAVAILABLE : PROCESS_EXIT_FAILED;
}

enum fh_code process_start(struct process *process, uv_loop_t *loop, int control_fd,
                           void (*stop)(void *context), void *context, struct fh_error *error)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    *process =
        (struct process){.loop = loop, .control_fd = control_fd, .stop = stop, .context = context};
    text_init(&process->told, PROCESS_LINE_MAX);
    signal(SIGPIPE, SIG_IGN);
    /* It may run as /proc/self/fd/7, and would be "7" to ps and top. */
    prctl(PR_SET_NAME, program_invocation_short_name);
    for (int i = 0; i < 2; i++) {
        uv_signal_init(loop, &process->signals[i]);
        process->signals[i].data = process;
        uv_signal_start(&process->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&process->signals[i]);
    }
    uv_timer_init(loop, &process->beat);
    process->beat.data = process;
    if (control_fd < 0)
        return FH_OK;
    int result = fcntl(control_fd, F_GETFD) < 0 ? UV_EBADF
                                                : uv_poll_init(loop, &process->control, control_fd);
    if (result != 0) {
        process->control_fd = -1;
        return error_set(error, FH_INVALID, "The configuration's control_fd %d: %s.", control_fd,
                         uv_strerror(result));
    }
    fcntl(control_fd, F_SETFD, FD_CLOEXEC);
    process->control.data = process;
    uv_poll_start(&process->control, UV_READABLE | UV_DISCONNECT, on_control);
    uv_unref((uv_handle_t *)&process->control);
    return FH_OK;
}

static void start_beating(struct process *process)
{
    uv_timer_start(&process->beat, process_beat, PROCESS_BEAT_MS, PROCESS_BEAT_MS);
    uv_unref((uv_handle_t *)&process->beat);
}

void process_works(struct process *process, bool works)
{
    process->works = works;
    if (process->control_fd < 0)
        return;
    if (works)
        start_beating(process);
    else
        uv_timer_stop(&process->beat);
}

void process_tell(struct process *process, const struct course *course)
{
    char line[PROCESS_TOLD_SIZE];
    int length = snprintf(line, sizeof line, "working %" PRId64 " %s%" PRId64 " %s\n", course->done,
                          course->guessed ? "~" : "", course->total, course->of);
    if (length < (int)sizeof line)
        control_send(process, line);
}

void process_ready(struct process *process)
{
    watchdog_start(&process->watchdog, process->control_fd);
    start_beating(process);
    if (process->control_fd < 0)
        return;
    control_send(process, "ready\n");
    send_keys(process);
}

void process_end(struct process *process)
{
    if (!process->loop)
        return;
    process->loop = NULL;
    watchdog_stop(&process->watchdog);
    text_release(&process->told);
    for (int i = 0; i < 2; i++) {
        int number = process->signals[i].signum;
        uv_close((uv_handle_t *)&process->signals[i], NULL);
        /* Without a handler the signal would kill: a second one must not spoil an orderly end. */
        if (number)
            signal(number, SIG_IGN);
    }
    uv_close((uv_handle_t *)&process->beat, NULL);
    if (process->control_fd >= 0)
        uv_close((uv_handle_t *)&process->control, NULL);
}

void process_log_unread(void *context, const struct http_peer *peer, size_t taken, size_t left)
{
    char address[INET6_ADDRSTRLEN] = "not known";
    struct in6_addr six;
    (void)context;
    memcpy(&six, peer->address, sizeof six);
    bool is_four = IN6_IS_ADDR_V4MAPPED(&six);
    if (peer->known)
        inet_ntop(is_four ? AF_INET : AF_INET6, peer->address + (is_four ? 12 : 0), address,
                  sizeof address);
    log_warning("answer-unread",
                "A client is cut off, since it has read only %zu bytes of its answer in the last "
                "minute, and %zu are left. Its address is %s.",
                taken, left, address);
}
