/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets on which an answer was sent before the whole request had arrived. If the socket were
 * closed, the kernel would reset the connection of a client that is still sending, and the client
 * could lose the answer before reading it. So input is read and discarded until the client has read
 * the answer and closed, or up to limits that are generous for honest clients and bound what others
 * can take.
 *
 * The library closes its own descriptor of the connection; this is a duplicate.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/request.h"

#define LINGER_MS_MAX 30000
#define LINGER_COUNT_MAX 64
#define LINGER_SIZE_MAX ((size_t)32 << 20)
#define READ_SIZE ((size_t)16 << 10)
#define READS_A_TURN 16

struct lingering {
    struct http_linger *linger; /* NULL: already ended */
    struct lingering *previous, *next;
    int socket, handles;
    size_t dropped;
    uv_poll_t poll;
    uv_timer_t timer;
};

static void on_lingering_closed(uv_handle_t *handle)
{
    struct lingering *one = handle->data;
    if (--one->handles > 0)
        return;
    close(one->socket);
    free(one);
}

static void end_lingering(struct lingering *one)
{
    if (one->previous)
        one->previous->next = one->next;
    else
        one->linger->first = one->next;
    if (one->next)
        one->next->previous = one->previous;
    one->linger->count--;
    one->linger = NULL;
    uv_close((uv_handle_t *)&one->poll, on_lingering_closed);
    uv_close((uv_handle_t *)&one->timer, on_lingering_closed);
}

static void on_lingering_readable(uv_poll_t *poll, int status, int events)
{
    char dropped[READ_SIZE];
    struct lingering *one = poll->data;
    ssize_t got = status < 0 ? 0 : (ssize_t)sizeof dropped;
    (void)events;
    for (int i = 0; i < READS_A_TURN && got == (ssize_t)sizeof dropped; i++) {
        got = recv(one->socket, dropped, sizeof dropped, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        one->dropped += got > 0 ? (size_t)got : 0;
    }
    if (got <= 0 || one->dropped >= LINGER_SIZE_MAX)
        end_lingering(one);
}

static void on_time_over(uv_timer_t *timer)
{
    end_lingering(timer->data);
}

static void take_lingering(struct http_linger *linger, uv_loop_t *loop, int socket)
{
    if (linger->count >= LINGER_COUNT_MAX)
        return;
    int own = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    struct lingering *one = own >= 0 ? calloc(1, sizeof *one) : NULL;
    if (!one || uv_poll_init(loop, &one->poll, own) != 0) {
        if (own >= 0)
            close(own);
        free(one);
        return;
    }
    one->linger = linger;
    one->socket = own;
    one->handles = 2;
    uv_timer_init(loop, &one->timer);
    one->poll.data = one->timer.data = one;
    one->next = linger->first;
    if (one->next)
        one->next->previous = one;
    linger->first = one;
    linger->count++;
    uv_timer_start(&one->timer, on_time_over, LINGER_MS_MAX, 0);
    if (uv_poll_start(&one->poll, UV_READABLE, on_lingering_readable) != 0)
        end_lingering(one);
}

enum MHD_Result linger_refuse(struct http_linger *linger, uv_loop_t *loop,
                              struct MHD_Connection *native, const struct http_refusal *refusal)
{
    answer_last_words(native, refusal->type, refusal->detail);
    take_lingering(linger, loop, connection_socket(native));
    return MHD_NO;
}

void linger_end(struct http_linger *linger)
{
    while (linger->first)
        end_lingering(linger->first);
}
