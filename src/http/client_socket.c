/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's sockets in the loop. A connection's uv_poll lives as long as the connection, and keeps
 * polling for input while libcurl keeps the connection for reuse: so the next request on it needs
 * no epoll_ctl. If anything happens on it in that time, it can only be the connection's end.
 * libcurl notices that before it uses the connection again; here polling stops.
 *
 * libcurl closes sockets that were not opened here (a resolver's) without notice, so these are
 * forgotten as soon as it loses interest.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/public.h"
#include "http/transfer.h"

void client_unref(struct http_client *client)
{
    if (--client->references)
        return;
    free(client->sockets);
    free(client);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct client_socket *socket = handle->data;
    client_unref(socket->client);
    free(socket);
}

static void socket_forget(struct client_socket *socket)
{
    struct http_client *client = socket->client;
    client->sockets[socket->fd] = NULL;
    uv_poll_stop(&socket->poll); /* before the descriptor is closed and reused */
    uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct client_socket *socket = poll->data;
    if (!socket->wanted) {
        /* The other side has closed a kept connection: libcurl will notice. */
        uv_poll_stop(poll);
        socket->polled = 0;
        return;
    }
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    socket->client->ready(socket->client, socket->fd, flags);
}

static struct client_socket *client_socket_of(struct http_client *client, int fd)
{
    if (fd >= client->socket_count) {
        int count = fd < 64 ? 128 : fd * 2;
        struct client_socket **sockets =
            realloc(client->sockets, (size_t)count * sizeof(struct client_socket *));
        FH_ASSERT(sockets != NULL);
        memset(sockets + client->socket_count, 0,
               (size_t)(count - client->socket_count) * sizeof(struct client_socket *));
        client->sockets = sockets;
        client->socket_count = count;
    }
    struct client_socket *socket = client->sockets[fd];
    if (!socket) {
        socket = calloc(1, sizeof *socket);
        FH_ASSERT(socket != NULL && uv_poll_init(client->loop, &socket->poll, fd) == 0);
        socket->client = client;
        socket->fd = fd;
        socket->poll.data = socket;
        client->sockets[fd] = socket;
        client->references++;
    }
    return socket;
}

/* What libcurl waits for. A connection that it keeps for reuse is still polled for input, so that
 * its next request needs no system call here. */
int client_on_interest(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
    (void)easy;
    (void)assigned;
    struct http_client *client = context;
    if (what == CURL_POLL_REMOVE && (fd >= client->socket_count || !client->sockets[fd]))
        return 0;
    struct client_socket *socket = client_socket_of(client, fd);
    int wanted = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        wanted |= UV_READABLE;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        wanted |= UV_WRITABLE;
    socket->wanted = wanted;
    if (!socket->connection && what == CURL_POLL_REMOVE) {
        socket_forget(socket); /* a resolver's: closed without notice */
        return 0;
    }
    int polled = wanted ? wanted : socket->polled & UV_READABLE;
    if (polled == socket->polled)
        return 0;
    socket->polled = polled;
    if (polled)
        uv_poll_start(&socket->poll, polled, on_socket_ready);
    else
        uv_poll_stop(&socket->poll);
    return 0;
}

/* `context` is the transfer. */
static curl_socket_t open_client_socket(void *context, curlsocktype purpose,
                                        struct curl_sockaddr *address)
{
    struct transfer *transfer = context;
    (void)purpose;
    if (transfer->client->goes_outside && !transfer->client->outside.anywhere &&
        !http_is_public(&address->addr)) {
        transfer_fail(transfer, "its host has no address on the public Internet, and others are "
                                "not allowed (docs/guide/sagas.md)");
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    client_socket_of(transfer->client, fd)->connection = true;
    return fd;
}

static int close_client_socket(void *context, curl_socket_t fd)
{
    struct http_client *client = context;
    if (fd < client->socket_count && client->sockets[fd])
        socket_forget(client->sockets[fd]);
    return close(fd);
}

void client_opens_sockets_of(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_client_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_client_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->client);
}
