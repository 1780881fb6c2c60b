/* SPDX-License-Identifier: Apache-2.0 */
/* As much of HTTP/1.1 as the audit needs: one request at a time on a connection that is kept, an
 * answer with a Content-Length. */

#define _GNU_SOURCE
#include "audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_SIZE_MAX ((size_t)16 << 20)
#define PAUSE_MS 50

void exchange_connect(struct exchange *exchange, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    exchange->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (exchange->fd < 0)
        die("No socket: %s.", strerror(errno));
    int on = 1;
    setsockopt(exchange->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    exchange->sent = exchange->filled = 0;
    exchange->closing = false;
    if (connect(exchange->fd, (struct sockaddr *)&address, sizeof address) != 0 &&
        errno != EINPROGRESS)
        exchange_close(exchange); /* sending finds it closed */
}

void exchange_close(struct exchange *exchange)
{
    if (exchange->fd >= 0)
        close(exchange->fd);
    exchange->fd = -1;
    exchange->sent = exchange->filled = 0;
}

enum progress exchange_send(struct exchange *exchange)
{
    if (exchange->fd < 0)
        return PROGRESS_BROKEN;
    while (exchange->sent < exchange->request_length) {
        ssize_t sent = send(exchange->fd, exchange->request + exchange->sent,
                            exchange->request_length - exchange->sent, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
            return PROGRESS_MORE;
        if (sent <= 0)
            return PROGRESS_BROKEN;
        exchange->sent += (size_t)sent;
    }
    return PROGRESS_DONE;
}

static bool grow(struct exchange *exchange)
{
    if (exchange->filled + 1 < exchange->buffer_size)
        return true;
    size_t size = exchange->buffer_size ? exchange->buffer_size * 2 : 2048;
    char *grown = size > ANSWER_SIZE_MAX ? NULL : realloc(exchange->buffer, size);
    if (!grown)
        return false;
    exchange->buffer = grown;
    exchange->buffer_size = size;
    return true;
}

/* Whether the buffer holds a whole answer. */
static enum progress judge(struct exchange *exchange, struct answer *ret)
{
    exchange->buffer[exchange->filled] = 0;
    char *end = strstr(exchange->buffer, "\r\n\r\n");
    if (!end)
        return PROGRESS_MORE;
    if (strncmp(exchange->buffer, "HTTP/1.1 ", 9) != 0)
        return PROGRESS_BROKEN;
    char kept = end[2];
    end[2] = 0;
    const char *length_text = strcasestr(exchange->buffer, "\r\nContent-Length:");
    exchange->closing = strcasestr(exchange->buffer, "\r\nConnection: close") != NULL;
    ret->status = atoi(exchange->buffer + 9);
    long length = length_text ? atol(length_text + 17) : ret->status == 204 ? 0 : -1;
    end[2] = kept;
    if (length < 0)
        return PROGRESS_BROKEN;
    ret->body = end + 4;
    ret->length = (size_t)length;
    size_t whole = (size_t)(ret->body - exchange->buffer) + ret->length;
    if (exchange->filled > whole)
        return PROGRESS_BROKEN;
    return exchange->filled == whole ? PROGRESS_DONE : PROGRESS_MORE;
}

enum progress exchange_receive(struct exchange *exchange, struct answer *ret)
{
    for (;;) {
        if (!grow(exchange))
            return PROGRESS_BROKEN;
        ssize_t got = recv(exchange->fd, exchange->buffer + exchange->filled,
                           exchange->buffer_size - exchange->filled - 1, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return PROGRESS_MORE;
        if (got <= 0)
            return PROGRESS_BROKEN;
        exchange->filled += (size_t)got;
        enum progress progress = judge(exchange, ret);
        if (progress == PROGRESS_MORE)
            continue;
        exchange->sent = exchange->filled = 0;
        return progress;
    }
}

static enum progress get_once(struct exchange *exchange, uint16_t port, struct answer *ret)
{
    int64_t until = now_ms() + ATTEMPT_MS_MAX;
    if (exchange->fd < 0)
        exchange_connect(exchange, port);
    while (now_ms() < until) {
        enum progress progress = exchange_send(exchange);
        bool sent = progress == PROGRESS_DONE;
        if (sent)
            progress = exchange_receive(exchange, ret);
        if (progress != PROGRESS_MORE)
            return progress;
        struct pollfd poll_fd = {.fd = exchange->fd, .events = sent ? POLLIN : POLLOUT};
        poll(&poll_fd, 1, 100);
    }
    return PROGRESS_BROKEN;
}

void exchange_get(struct exchange *exchange, uint16_t port, const char *path, struct answer *ret)
{
    int64_t until = now_ms() + STANDSTILL_MS_MAX;
    do {
        int length = snprintf(exchange->request, REQUEST_SIZE,
                              "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path, port);
        exchange->request_length = (size_t)length;
        enum progress progress = get_once(exchange, port, ret);
        if (progress != PROGRESS_DONE || exchange->closing)
            exchange_close(exchange);
        if (progress == PROGRESS_DONE && ret->status == 200)
            return;
        usleep(PAUSE_MS * 1000);
    } while (now_ms() < until);
    die("GET %s has no answer with 200 for %d s.", path, STANDSTILL_MS_MAX / 1000);
}
