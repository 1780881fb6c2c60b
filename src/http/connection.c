/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: what it receives becomes requests, one at a time and in order.
 *
 * Input is received into the server's one buffer and read from there. Only what can't be read yet
 * is kept: the beginning of a head, or requests that came while one is with the handler. While one
 * is, the socket is not read, so whoever sends on without end fills the kernel's buffers and no
 * memory here; it is not even taken out of the poll unless it is readable, which it rarely is.
 */

#define _GNU_SOURCE
#include "http/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_A_TURN 4
#define REQUESTS_A_TURN 16
#define SKIPPED_MAX 65536u /* of a body; beyond that its connection is not worth it */
#define UNTRUSTED "The connection shows no certificate of the authority that is trusted here."

void connection_cut_off(struct http_connection *connection, enum problem_type type,
                        const char *detail)
{
    if (connection->state == CONNECTION_READING && connection->started)
        connection_refuse(connection, type, detail);
    connection_end(connection);
}

/* ---- Reading requests ---- */

static void hand_request_over(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    struct http_request *request = connection->request;
    list_remove(connection);
    connection->state = CONNECTION_BUSY;
    connection->handed = true;
    connection->asked = true;
    request->server = server;
    request->connection = connection;
    request->incoming.received_ns = world_monotonic_ns(server->world);
    request->next = server->handed_first;
    if (request->next)
        request->next->previous = request;
    server->handed_first = request;
    server->unanswered++;
    server->unsent++;
    server->handler.incoming(server->handler.context, &request->incoming);
    spare_begin(server);
}

static bool is_trusted(struct http_connection *connection)
{
    return !tls_server_is_mutual(connection->server->tls) || connection->trusted;
}

/* What follows a body can be told from it only if its length is known, and it does come: whoever
 * waits for "100 Continue" may send it or not. */
static bool can_skip_body(const struct http_head *head)
{
    return !head->chunked && head->body_length <= SKIPPED_MAX &&
           !(head->awaits_continue && head->body_length);
}

/* True: it was answered, and its body is dropped as it comes. */
static bool shed_request(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    struct http_request *request = connection->request;
    const struct http_answer *answer =
        server->handler.shed ? server->handler.shed(server->handler.context, &request->incoming)
                             : NULL;
    connection->shed = answer != NULL;
    if (!answer)
        return false;
    connection->request = NULL;
    connection->asked = true;
    connection->skipped_left = server->head.body_length;
    connection_send(connection, answer, server->draining || !can_skip_body(&server->head));
    request_free(request);
    spare_shed(server);
    return true;
}

static size_t skip_body(struct http_connection *connection, size_t length)
{
    size_t part = length < connection->skipped_left ? length : (size_t)connection->skipped_left;
    connection->skipped_left -= part;
    return part;
}

/* A whole head is at `data`, of `length` bytes of input. */
static void begin_request(struct http_connection *connection, const char *data, size_t length)
{
    struct http_server *server = connection->server;
    const struct http_head *head = &server->head;
    char detail[160];
    connection->persistent = head->persistent;
    connection->old = head->old;
    connection->bodiless =
        head->method.length == 4 && memcmp(data + head->method.at, "HEAD", 4) == 0;
    connection->is_chunked = head->chunked;
    connection->chunked = (struct chunked){0};
    connection->body_left = head->body_length;
    if (!is_trusted(connection)) {
        connection_refuse(connection, PROBLEM_CLIENT_UNTRUSTED, UNTRUSTED);
        return;
    }
    if (head->body_length > server->limits.body_size_max) {
        snprintf(detail, sizeof detail, "The body has %llu bytes, and at most %zu are accepted.",
                 (unsigned long long)head->body_length, server->limits.body_size_max);
        connection_refuse(connection, PROBLEM_BODY_TOO_LARGE, detail);
        return;
    }
    connection->request = request_new(head, data);
    if (!connection->request) {
        connection_refuse(connection, PROBLEM_OVERLOADED,
                          "There is no memory for the request now.");
        return;
    }
    connection->request->incoming.peer = connection->peer;
    if (connection->held_ns)
        connection->request->incoming.held_ns =
            world_monotonic_ns(server->world) - connection->held_ns;
    if (shed_request(connection))
        return;
    if (!head->chunked && !head->body_length)
        hand_request_over(connection);
    else if (head->awaits_continue && head->length == length)
        connection_say_continue(connection);
}

static void note_started(struct http_connection *connection)
{
    if (connection->started)
        return;
    connection->started = true;
    list_append(&connection->server->awaited, connection);
}

/* Returns how much of the input was read. */
static size_t read_request_head(struct http_connection *connection, const char *data, size_t length)
{
    struct http_server *server = connection->server;
    struct http_refusal refusal;
    connection->old = connection->bodiless = false; /* until it is known */
    switch (head_read(&server->head, data, length, &connection->progress,
                      server->limits.header_size_max, &refusal)) {
    case READ_MORE:
        if (connection->progress.lines)
            note_started(connection);
        return 0;
    case READ_REFUSED:
        connection_refuse(connection, refusal.type, refusal.detail);
        return length;
    case READ_DONE:
        break;
    }
    connection->progress = (struct head_progress){0};
    size_t used = server->head.length;
    begin_request(connection, data, length);
    if (connection->state == CONNECTION_READING && connection->request)
        note_started(connection);
    return used;
}

static void take_request_body(struct http_connection *connection, const char *data, size_t length)
{
    struct http_refusal refusal;
    if (!length || request_take_body(connection->request, data, length,
                                     connection->server->limits.body_size_max, &refusal))
        return;
    connection_refuse(connection, refusal.type, refusal.detail);
}

static size_t read_chunked(struct http_connection *connection, const char *data, size_t length)
{
    struct http_refusal refusal;
    const char *body = NULL;
    size_t used = length, body_length = 0;
    enum read_result result =
        chunked_read(&connection->chunked, data, length, connection->server->limits.header_size_max,
                     &used, &body, &body_length, &refusal);
    if (result == READ_REFUSED) {
        connection_refuse(connection, refusal.type, refusal.detail);
        return length;
    }
    take_request_body(connection, body, body_length);
    if (result == READ_DONE)
        hand_request_over(connection);
    return used;
}

static size_t read_request_body(struct http_connection *connection, const char *data, size_t length)
{
    if (connection->is_chunked)
        return read_chunked(connection, data, length);
    size_t part = length < connection->body_left ? length : (size_t)connection->body_left;
    connection->body_left -= part;
    take_request_body(connection, data, part);
    if (connection->state == CONNECTION_READING && connection->body_left == 0)
        hand_request_over(connection);
    return part;
}

/* Returns how much was read: all, or up to where more is needed, a request is being answered, or
 * others must have their turn. */
static size_t read_requests(struct http_connection *connection, const char *data, size_t length)
{
    size_t used = 0;
    int requests = 0;
    connection->running = true;
    while (connection->state == CONNECTION_READING && used < length && requests < REQUESTS_A_TURN) {
        size_t part = connection->skipped_left ? skip_body(connection, length - used)
                      : connection->request
                          ? read_request_body(connection, data + used, length - used)
                          : read_request_head(connection, data + used, length - used);
        if (!part)
            break;
        used += part;
        requests += connection->request == NULL;
    }
    connection->running = false;
    if (connection->state == CONNECTION_READING && requests == REQUESTS_A_TURN)
        connection_resume_later(connection);
    return used;
}

/* ---- Input ---- */

static bool keep_input(struct http_connection *connection, const char *data, size_t length)
{
    if (connection->input_at) {
        connection->input_length -= connection->input_at;
        memmove(connection->input, connection->input + connection->input_at,
                connection->input_length);
        connection->input_at = 0;
    }
    size_t needed = connection->input_length + length;
    if (needed > connection->input_capacity) {
        size_t capacity = needed < 512 ? 512 : needed + needed / 2;
        char *input = realloc(connection->input, capacity);
        if (!input)
            return false;
        connection->input = input;
        connection->input_capacity = capacity;
    }
    memcpy(connection->input + connection->input_length, data, length);
    connection->input_length = needed;
    return true;
}

static void free_input(struct http_connection *connection)
{
    free(connection->input);
    connection->input = NULL;
    connection->input_at = connection->input_length = connection->input_capacity = 0;
}

static void read_kept(struct http_connection *connection)
{
    size_t used = read_requests(connection, connection->input + connection->input_at,
                                connection->input_length - connection->input_at);
    if (connection->state == CONNECTION_CLOSED || connection->state == CONNECTION_LINGERING)
        return;
    connection->input_at += used;
    if (connection->input_at >= connection->input_length)
        free_input(connection);
}

static void take_input(struct http_connection *connection, const char *data, size_t length)
{
    if (connection->input_length) {
        if (keep_input(connection, data, length))
            read_kept(connection);
        else
            connection_close(connection);
        return;
    }
    size_t used = read_requests(connection, data, length);
    bool is_open =
        connection->state != CONNECTION_CLOSED && connection->state != CONNECTION_LINGERING;
    if (is_open && used < length && !keep_input(connection, data + used, length - used))
        connection_close(connection);
}

static ssize_t receive_bytes(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->tls)
        return tls_session_receive(connection->tls, server->buffer, sizeof server->buffer);
    return recv(connection->fd, server->buffer, sizeof server->buffer, MSG_DONTWAIT);
}

/* Nothing is received while whole requests wait to be read: they come first, and whoever sends
 * more of them than are answered fills the kernel's buffers. */
static bool may_receive(const struct http_connection *connection)
{
    return connection->state == CONNECTION_READING && !connection->queue;
}

static void receive_input(struct http_connection *connection)
{
    for (int i = 0; i < READS_A_TURN && may_receive(connection); i++) {
        ssize_t got = receive_bytes(connection);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            connection_close(connection);
            return;
        }
        take_input(connection, connection->server->buffer, (size_t)got);
        if (!connection->tls && (size_t)got < sizeof connection->server->buffer)
            return;
    }
    if (connection->state == CONNECTION_READING && connection->tls &&
        tls_session_has_input(connection->tls))
        connection_resume_later(connection);
}

static void read_what_is_here(struct http_connection *connection)
{
    if (connection->input_length)
        read_kept(connection);
    if (connection->state == CONNECTION_READING &&
        (connection->held_ns || (connection->tls && tls_session_has_input(connection->tls))))
        receive_input(connection);
    if (connection->state == CONNECTION_READING)
        connection_watch(connection, UV_READABLE);
}

/* Reads on, unless it is likely to be shed and there is no time for that now. */
static void read_on(struct http_connection *connection,
                    void (*read)(struct http_connection *connection))
{
    struct http_server *server = connection->server;
    if (connection->queue) /* it is read when its turn comes */
        return;
    if (connection->shed && !spare_left(server)) {
        spare_hold(connection);
        return;
    }
    spare_begin(server);
    read(connection);
    connection->held_ns = 0;
    if (connection->shed) /* it has dropped the rest of a body, perhaps */
        spare_spend(server);
}

void connection_resume(struct http_connection *connection)
{
    connection_dequeue(connection);
    if (connection->state == CONNECTION_READING)
        read_on(connection, read_what_is_here);
    connection_weigh(connection);
}

/* ---- The loop's calls ---- */

static void shake_hands(struct http_connection *connection)
{
    switch (tls_session_handshake(connection->tls)) {
    case TLS_WAITS_READABLE:
        connection_watch(connection, UV_READABLE);
        return;
    case TLS_WAITS_WRITABLE:
        connection_watch(connection, UV_WRITABLE);
        return;
    case TLS_FAILED:
        connection_close(connection);
        return;
    case TLS_DONE:
        break;
    }
    connection->handshaking = false;
    if (tls_server_is_mutual(connection->server->tls))
        connection->trusted = tls_session_is_trusted(connection->server->tls, connection->tls);
    connection_watch(connection, UV_READABLE);
    receive_input(connection); /* what came with the handshake's end */
}

static void on_connection_ready(uv_poll_t *poll, int status, int events)
{
    struct http_connection *connection = poll->data;
    struct http_server *server = connection->server;
    (void)events;
    if (status < 0)             /* The socket is broken: it tells so when it is used. */
        connection->events = 0; /* libuv has stopped polling it */
    switch (connection->state) {
    case CONNECTION_READING:
        if (connection->handshaking) {
            spare_begin(server);
            shake_hands(connection);
            spare_spend(server);
        } else {
            read_on(connection, receive_input);
        }
        break;
    case CONNECTION_BUSY:
        connection_watch(connection, 0);
        break;
    case CONNECTION_SENDING:
        connection_send_rest(connection);
        break;
    case CONNECTION_PACED:
        break;
    case CONNECTION_LINGERING:
        connection_drop_input(connection);
        break;
    case CONNECTION_CLOSED:
        break;
    }
    bool is_read = (connection->state == CONNECTION_READING && !connection->queue) ||
                   connection->state == CONNECTION_LINGERING;
    if (status < 0 && is_read) /* up to the error, behind what came before it */
        connection_watch(connection, UV_READABLE);
    connection_weigh(connection);
    server->settle(server);
}

bool connection_open(struct http_server *server, int fd, const struct http_peer *peer, bool paced)
{
    static const int on = 1;
    struct http_connection *connection = calloc(1, sizeof *connection);
    gnutls_session_t tls = connection && server->tls ? tls_session_new(server->tls, fd) : NULL;
    if (!connection || (server->tls && !tls) ||
        uv_poll_init(server->loop, &connection->poll, fd) != 0) {
        if (tls)
            gnutls_deinit(tls);
        free(connection);
        close(fd);
        return false;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a Unix socket has none */
    server->ready = on_connection_ready;
    connection->server = server;
    connection->poll.data = connection;
    connection->fd = fd;
    connection->peer = *peer;
    connection->tls = tls;
    connection->handshaking = tls != NULL;
    server->open_handles++;
    server->connections++;
    if (paced)
        connection_pace(connection);
    else
        connection_await(connection);
    return true;
}

void connection_answer(struct http_connection *connection, const struct http_answer *answer,
                       bool final)
{
    connection->request = NULL;
    connection->held = answer->held;
    connection->paced = answer->paced;
    connection->shed = answer->shed;
    connection_send(connection, answer, final);
    connection_weigh(connection);
}
