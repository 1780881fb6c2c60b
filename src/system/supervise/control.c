/* SPDX-License-Identifier: Apache-2.0 */
/* A few clients on a private socket. Each write owns its text. Nothing ever waits for a client:
 * what it does not read is buffered, and past UNSENT_SIZE_MAX it is cut off. Nor do clients that
 * say nothing keep others out: those that have not sent the key yet make way, the oldest first. */

#define _GNU_SOURCE
#include "system/supervise/control.h"

#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "call/identity.h"
#include "system/audit/audit.h"

#define UNSENT_SIZE_MAX ((size_t)16 << 20)

struct client {
    uv_pipe_t pipe;
    struct control *control;
    struct client *next;
    bool stops;                         /* asked to stop */
    char service[CONTROL_SERVICE_SIZE]; /* it asked for a change of this one; "" none */
    bool answered;
    bool trusted; /* it has sent the key */
    char line[CONTROL_LINE_SIZE_MAX];
    size_t line_length;
};

/* What is under way, whether or not whoever asked is still there. */
struct act {
    int64_t number;                     /* in the audit log */
    char service[CONTROL_SERVICE_SIZE]; /* "": the whole system stops */
    struct act *next;
};

struct control {
    uv_loop_t *loop;
    int state_fd; /* borrowed: the audit log is there */
    struct act *acts;
    uv_pipe_t listener;
    struct control_handler handler;
    char key[IDENTITY_KEY_TEXT_SIZE], also[IDENTITY_KEY_TEXT_SIZE]; /* "": none */
    struct client *clients;
    int client_count; /* those that are not closing */
    int open_handles;
    bool ending;
};

struct message {
    uv_write_t write;
    char *text;
    bool last;
};

static void maybe_free(struct control *control)
{
    if (control->ending && control->open_handles == 0)
        free(control);
}

static void listener_closed(uv_handle_t *handle)
{
    struct control *control = handle->data;
    control->open_handles--;
    maybe_free(control);
}

static void client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct control *control = client->control;
    struct client **link = &control->clients;
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    free(client);
    control->open_handles--;
    maybe_free(control);
}

static void client_close(struct client *client)
{
    if (uv_is_closing((uv_handle_t *)&client->pipe))
        return;
    client->control->client_count--;
    uv_close((uv_handle_t *)&client->pipe, client_closed);
}

static void message_sent(uv_write_t *write, int status)
{
    struct message *message = write->data;
    struct client *client = write->handle->data;
    if (message->last || status < 0)
        client_close(client);
    json_text_free(message->text);
    free(message);
}

static void send_json(struct client *client, json_t *value, bool last)
{
    static char newline[] = "\n";
    uv_stream_t *stream = (uv_stream_t *)&client->pipe;
    struct message *message = calloc(1, sizeof *message);
    FH_ASSERT(message != NULL);
    message->text = json_text(value);
    message->last = last;
    message->write.data = message;
    json_decref(value);
    uv_buf_t buffers[2] = {uv_buf_init(message->text, (unsigned)strlen(message->text)),
                           uv_buf_init(newline, 1)};
    if (!uv_is_closing((uv_handle_t *)stream) &&
        uv_stream_get_write_queue_size(stream) < UNSENT_SIZE_MAX &&
        uv_write(&message->write, stream, buffers, 2, message_sent) == 0)
        return;
    json_text_free(message->text);
    free(message);
    client_close(client);
}

static void send_error(struct client *client, const char *text)
{
    client->service[0] = '\0';
    send_json(client, json_pack("{s:s}", "error", text), true);
}

/* ---- The audit log ---- */

static void end_act(struct control *control, struct act **link, const char *why)
{
    struct fh_error error;
    struct act *act = *link;
    struct control_handler *handler = &control->handler;
    *link = act->next;
    if (audit_end(control->state_fd, act->number, why, &error) != FH_OK)
        handler->unrecorded(handler->context, error.message);
    free(act);
}

/* Those on the service; "": those on the whole system. */
static void end_acts(struct control *control, const char *service, const char *why)
{
    for (struct act **link = &control->acts; *link;) {
        if (strcmp((*link)->service, service) == 0)
            end_act(control, link, why);
        else
            link = &(*link)->next;
    }
}

static void end_numbered_act(struct control *control, int64_t number, const char *why)
{
    struct act **link = &control->acts;
    while (*link && (*link)->number != number)
        link = &(*link)->next;
    if (*link) /* else it has ended already */
        end_act(control, link, why);
}

static struct audit_who client_who(const struct client *client)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    int fd = -1;
    if (uv_fileno((const uv_handle_t *)&client->pipe, &fd) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        return audit_who_of(peer.uid, peer.pid);
    return (struct audit_who){.uid = (uid_t)-1, .login = -1};
}

/* "" and "_keys" (ROTATION_NAME) stand for the system as a whole. */
static bool is_part(const char *service)
{
    return service[0] && service[0] != '_';
}

/* 0: it could not be recorded, so it must not be done; the client was told. */
static int64_t begin_act(struct client *client, const char *command, const char *service,
                         const json_t *request)
{
    struct fh_error error;
    char text[sizeof error.message + 64];
    struct control *control = client->control;
    const char *of = json_string_at(request, "of"); /* rotate-keys: whose */
    json_t *with = json_copy((json_t *)(uintptr_t)request);
    struct act *act = calloc(1, sizeof *act);
    FH_ASSERT(act != NULL);
    json_object_del(with, "command");
    json_object_del(with, "service");
    json_object_del(with, "of");
    json_object_del(with, "key"); /* the operator's */
    const struct audit_act begun = {.what = command,
                                    .service = of                 ? of
                                               : is_part(service) ? service
                                                                  : NULL,
                                    .who = client_who(client),
                                    .with = json_object_size(with) > 0 ? with : NULL};
    enum fh_code code = audit_begin(control->state_fd, &begun, &act->number, &error);
    json_decref(with);
    if (code != FH_OK) {
        free(act);
        snprintf(text, sizeof text, "nothing was done: %s", error.message);
        send_error(client, text);
        return 0;
    }
    snprintf(act->service, sizeof act->service, "%s", service);
    act->next = control->acts;
    control->acts = act;
    return act->number;
}

/* ---- Requests ---- */

static void begin_client_change(struct client *client, const char *command, const json_t *request)
{
    struct control_handler *handler = &client->control->handler;
    struct fh_error error;
    const char *service = json_string_at(request, "service");
    if (!service || !*service || strlen(service) >= sizeof client->service) {
        send_error(client, "which service is not said");
        return;
    }
    int64_t act = begin_act(client, command, service, request);
    if (act == 0)
        return;
    snprintf(client->service, sizeof client->service, "%s", service);
    if (handler->change(handler->context, command, client->service, request, &error) != FH_OK) {
        end_numbered_act(client->control, act, error.message);
        send_error(client, error.message);
    }
}

static void begin_client_stop(struct client *client, const json_t *request)
{
    struct control_handler *handler = &client->control->handler;
    if (begin_act(client, "stop", "", request) == 0)
        return;
    client->stops = true;
    handler->stop(handler->context);
}

static bool is_control_key(const char *expected, const char *key)
{
    return key && *expected && strlen(key) == strlen(expected) &&
           sodium_memcmp(key, expected, strlen(key)) == 0;
}

static bool is_change_command(const char *command)
{
    static const char *const changes[] = {"scale",   "upgrade", "move",
                                          "restore", "rebuild", "rotate-keys"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        if (strcmp(command, changes[i]) == 0)
            return true;
    }
    return false;
}

static void answer_request(struct client *client)
{
    struct control *control = client->control;
    json_t *request = NULL;
    client->answered = true;
    json_parse(client->line, client->line_length, &request, ERROR_UNHEEDED);
    const char *command = json_string_at(request, "command"), *key = json_string_at(request, "key");
    if (!is_control_key(control->key, key) && !is_control_key(control->also, key)) {
        send_json(
            client,
            json_pack("{s:s, s:b}", "error", "only the operator may command up", "refused", 1),
            true);
        json_decref(request);
        return;
    }
    client->trusted = true;
    if (command && strcmp(command, "status") == 0) {
        send_json(client, control->handler.status(control->handler.context), true);
    } else if (command && strcmp(command, "stop") == 0) {
        begin_client_stop(client, request);
    } else if (command && is_change_command(command)) {
        begin_client_change(client, command, request);
    } else {
        send_error(client, "expected the command status, stop, scale, upgrade, move, restore, "
                           "rebuild or rotate-keys");
    }
    json_decref(request);
}

static void give_client_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct client *client = handle->data;
    *buffer = uv_buf_init(client->line + client->line_length,
                          (unsigned)(sizeof client->line - client->line_length));
}

static void take_request(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    (void)buffer;
    struct client *client = stream->data;
    if (length < 0) {
        client_close(client);
        return;
    }
    client->line_length += (size_t)length;
    char *newline = memchr(client->line, '\n', client->line_length);
    if (client->answered) {
        client->line_length = 0; /* one command per connection */
    } else if (newline) {
        client->line_length = (size_t)(newline - client->line);
        answer_request(client);
        client->line_length = 0;
    } else if (client->line_length == sizeof client->line) {
        client_close(client);
    }
}

/* The list begins with the newest. Without one that may go, it is the newest. */
static void make_way(struct control *control)
{
    struct client *goes = control->clients;
    for (struct client *client = control->clients; client; client = client->next) {
        if (!client->trusted && !uv_is_closing((uv_handle_t *)&client->pipe))
            goes = client;
    }
    client_close(goes);
}

static void client_connected(uv_stream_t *listener, int status)
{
    struct control *control = listener->data;
    struct client *client = calloc(1, sizeof *client);
    FH_ASSERT(client != NULL);
    uv_pipe_init(control->loop, &client->pipe, 0);
    client->pipe.data = client;
    client->control = control;
    client->next = control->clients;
    control->clients = client;
    control->client_count++;
    control->open_handles++;
    if (status < 0 || uv_accept(listener, (uv_stream_t *)&client->pipe) != 0) {
        client_close(client);
        return;
    }
    uv_read_start((uv_stream_t *)&client->pipe, give_client_buffer, take_request);
    if (control->client_count > CONTROL_CLIENTS_MAX)
        make_way(control);
}

enum fh_code control_new(uv_loop_t *loop, int listen_fd, int state_fd, const char *key,
                         struct control_handler handler, struct control **ret,
                         struct fh_error *error)
{
    struct control *control = calloc(1, sizeof *control);
    FH_ASSERT(control != NULL);
    *control =
        (struct control){.loop = loop, .state_fd = state_fd, .handler = handler, .open_handles = 1};
    snprintf(control->key, sizeof control->key, "%s", key);
    uv_pipe_init(loop, &control->listener, 0);
    control->listener.data = control;
    int status = uv_pipe_open(&control->listener, listen_fd);
    if (status == 0)
        status =
            uv_listen((uv_stream_t *)&control->listener, CONTROL_CLIENTS_MAX, client_connected);
    else
        close(listen_fd);
    if (status == 0) {
        *ret = control;
        return FH_OK;
    }
    control_end(control);
    return error_set(error, FH_UNAVAILABLE, "Cannot listen at control.sock: %s.",
                     uv_strerror(status));
}

void control_take_keys(struct control *control, const char *key, const char *also)
{
    snprintf(control->key, sizeof control->key, "%s", key);
    snprintf(control->also, sizeof control->also, "%s", also ? also : "");
}

static bool client_follows(const struct client *client, const char *service)
{
    return service ? strcmp(client->service, service) == 0 : client->stops;
}

void control_progress(struct control *control, const char *service, const char *text)
{
    for (struct client *client = control->clients; client; client = client->next) {
        if (client_follows(client, service))
            send_json(client, json_pack("{s:s}", "progress", text), false);
    }
}

void control_work(struct control *control, const char *service, const struct course *course)
{
    for (struct client *client = control->clients; client; client = client->next) {
        if (strcmp(client->service, service) == 0)
            send_json(client,
                      json_pack("{s:o, s:I, s:I, s:b, s:s}", "progress",
                                json_sprintf("%s: %lld %s", service, (long long)course->done,
                                             course_unit(course)),
                                "done", (json_int_t)course->done, "total",
                                (json_int_t)course->total, "guessed", course->guessed, "of",
                                course->of),
                      false);
    }
}

void control_answer(struct control *control, const char *service, json_t *line)
{
    if (service)
        end_acts(control, service, json_string_at(line, "error"));
    for (struct client *client = control->clients; client; client = client->next) {
        if (!client_follows(client, service))
            continue;
        send_json(client, json_incref(line), true);
        client->service[0] = '\0';
    }
    json_decref(line);
}

void control_done(struct control *control, const char *service, const char *error)
{
    if (service)
        end_acts(control, service, error);
    for (struct client *client = control->clients; client; client = client->next) {
        if (!client_follows(client, service))
            continue;
        if (error)
            send_error(client, error);
        else
            send_json(client, json_pack("{s:b}", "done", 1), true);
        client->service[0] = '\0';
    }
}

void control_end(struct control *control)
{
    control->ending = true;
    end_acts(control, "", NULL);
    while (control->acts)
        end_act(control, &control->acts, "the system stopped before its end");
    uv_close((uv_handle_t *)&control->listener, listener_closed);
    for (struct client *client = control->clients; client; client = client->next) {
        if (client->stops)
            send_json(client, json_pack("{s:b}", "stopped", 1), true);
        else if (client->service[0])
            send_error(client, "the system stops");
        else
            client_close(client);
    }
}
