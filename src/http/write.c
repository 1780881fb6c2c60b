/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending answers. Head and body go out in one call: a small body is copied behind its head, since
 * one buffer costs the kernel less than two; a larger one goes from the caller's own memory. Only
 * what the socket does not take at once is kept, and sent as the client takes it. On TLS the whole
 * answer is kept, since what was given to GnuTLS once must be given again.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "http/connection.h"

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

void connection_await(struct http_connection *connection)
{
    connection->state = CONNECTION_READING;
    connection->started = false;
    list_append(&connection->server->awaited, connection);
    connection_watch(connection, UV_READABLE);
    bool is_input_here = connection->input_length > connection->input_at ||
                         (connection->tls && tls_session_has_input(connection->tls));
    if (is_input_here)
        connection_resume_later(connection);
}

/* Nothing of it is read meanwhile, so whoever asks too much waits in its own kernel's buffers. If
 * many are paced at once they come back evenly in the pause after that: together they would find
 * what their client was granted meanwhile, and spend it in one burst before everybody else. */
void connection_pace(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection->state = CONNECTION_PACED;
    connection->paced = false;
    list_append(&server->paced, connection);
    server->paced_us =
        paced_turn_us(server->paced_us, server_now_ms(server) * 1000, server->connections);
    connection->since_ms = server->paced_us / 1000;
    connection_watch(connection, 0);
}

static void finish_answer(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection_let_go_answer(connection);
    connection->used = true;
    if (connection->handed)
        server->unsent--;
    connection->handed = false;
    if (!connection->persistent)
        connection_linger(connection);
    else if (connection->paced)
        connection_pace(connection);
    else
        connection_await(connection);
    if (server->drained)
        world_turn(server->world, &server->turn);
}

/* The rest of what was to be sent, from the `sent`th byte on, is kept. */
static bool keep_output(struct http_connection *connection, const struct iovec *parts, int count,
                        size_t sent)
{
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    char *output = malloc(length - sent);
    if (!output)
        return false;
    connection->output = output;
    connection->output_at = 0;
    connection->output_length = length - sent;
    connection->output_before = sent;
    for (int i = 0; i < count; i++) {
        size_t skipped = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        sent -= skipped;
        memcpy(output, (const char *)parts[i].iov_base + skipped, parts[i].iov_len - skipped);
        output += parts[i].iov_len - skipped;
    }
    return true;
}

static ssize_t send_parts(struct http_connection *connection, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t sent;
    if (connection->tls)
        return 0;
    do {
        sent = count == 1 ? send(connection->fd, parts->iov_base, parts->iov_len, flags)
                          : sendmsg(connection->fd, &message, flags);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

static ssize_t send_output(struct http_connection *connection)
{
    const char *data = connection->output + connection->output_at;
    size_t length = connection->output_length - connection->output_at;
    ssize_t sent;
    if (connection->tls)
        return tls_session_send(connection->tls, data, length);
    do {
        sent = send(connection->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

void connection_send_rest(struct http_connection *connection)
{
    while (connection->output_at < connection->output_length) {
        ssize_t sent = send_output(connection);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            connection_close(connection);
            return;
        }
        connection->output_at += (size_t)sent;
    }
    if (connection->output_at == connection->output_length) {
        finish_answer(connection);
        return;
    }
    if (connection->state != CONNECTION_SENDING)
        list_append(&connection->server->sending, connection);
    connection->state = CONNECTION_SENDING;
    connection_watch(connection, UV_WRITABLE);
}

/* How much of the answer has arrived at the client, as far as its kernel says. */
static size_t answer_taken(const struct http_connection *connection)
{
    int waiting = 0;
    size_t sent = connection->output_before + connection->output_at;
    if (ioctl(connection->fd, SIOCOUTQ, &waiting) != 0 || waiting < 0)
        return sent;
    return (size_t)waiting < sent ? sent - (size_t)waiting : 0;
}

void connection_judge_reading(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    size_t taken = answer_taken(connection), before = connection->taken;
    size_t due = (size_t)server->limits.idle_timeout_s * HTTP_READ_BYTES_A_SECOND;
    connection->taken = taken;
    if (taken >= before + due) {
        list_append(&server->sending, connection);
        return;
    }
    if (server->handler.unread)
        server->handler.unread(server->handler.context, &connection->peer,
                               taken > before ? taken - before : 0,
                               connection->output_length - connection->output_at);
    connection_close(connection);
}

#define COPIED_MAX 4096

static void send_head_and_body(struct http_connection *connection, const struct http_answer *answer)
{
    struct text *text = &connection->server->text;
    bool has_body = answer->body_length && !connection->bodiless && answer->status != 204 &&
                    answer->status != 304;
    size_t apart = has_body ? answer->body_length : 0;
    if (has_body && apart <= COPIED_MAX) {
        text_append(text, answer->body, apart);
        apart = 0;
    }
    struct iovec parts[2] = {{text->data, text->length},
                             {(void *)(uintptr_t)answer->body, apart}}; /* only read */
    int count = apart ? 2 : 1;
    size_t length = text->length + apart;
    ssize_t sent = text->overflow ? -1 : send_parts(connection, parts, count);
    if (sent == (ssize_t)length)
        finish_answer(connection);
    else if (sent < 0 || !keep_output(connection, parts, count, (size_t)sent))
        connection_close(connection);
    else
        connection_send_rest(connection);
}

static const char *answer_date(struct http_server *server)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t now_s = world_wall_ms(server->world) / 1000;
    if (now_s == server->date_s)
        return server->date;
    time_t seconds = (time_t)now_s;
    struct tm utc;
    server->date_s = now_s;
    gmtime_r(&seconds, &utc);
    snprintf(server->date, sizeof server->date, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
             days + 3 * utc.tm_wday, (unsigned)utc.tm_mday % 100u, months + 3 * utc.tm_mon,
             ((unsigned)utc.tm_year + 1900u) % 10000u, (unsigned)utc.tm_hour % 100u,
             (unsigned)utc.tm_min % 100u, (unsigned)utc.tm_sec % 100u);
    return server->date;
}

static void send_final(void *context, const struct http_answer *answer)
{
    connection_send(context, answer, true);
}

void connection_send(struct http_connection *connection, const struct http_answer *answer,
                     bool final)
{
    struct http_server *server = connection->server;
    char detail[ANSWER_DETAIL_SIZE];
    FH_ASSERT(answer->status >= 200 && answer->status <= 599);
    if (!answer_is_sound(answer, detail)) {
        answer_problem(PROBLEM_RESPONSE_INVALID, detail, send_final, connection);
        return;
    }
    if (answer->status >= 400 && !answer->told && server->handler.untold)
        server->handler.untold(server->handler.context, answer);
    bool close = final || !connection->persistent;
    answer_head(&server->text, answer, answer_date(server), connection->old, &close);
    connection->persistent = !close;
    send_head_and_body(connection, answer);
}

void connection_refuse(struct http_connection *connection, enum problem_type type,
                       const char *detail)
{
    if (connection->request)
        request_free(connection->request);
    connection->request = NULL;
    connection->input_at = connection->input_length = 0;
    answer_problem(type, detail, send_final, connection);
}

void connection_say_continue(struct http_connection *connection)
{
    static const char text[] = CONTINUE;
    const ssize_t length = sizeof text - 1;
    ssize_t sent = connection->tls
                       ? tls_session_send(connection->tls, text, (size_t)length)
                       : send(connection->fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != length) /* nothing else is on its way: only a broken socket does not take it */
        connection_close(connection);
}
