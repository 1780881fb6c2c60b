/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a connection. If a socket is closed while input is unread or still comes, the kernel
 * resets the connection, and the client could lose the answer before reading it. So only the
 * sending half is closed; input is dropped until the client has read the answer and closed, or up
 * to limits that are generous for honest clients and bound what others can take.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http/connection.h"

#define LINGER_COUNT_MAX 256
#define LINGER_SIZE_MAX ((size_t)32 << 20)
#define DROPS_A_TURN 16
#define DROPS_AT_END 4

void connection_drop_input(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    for (int i = 0; i < DROPS_A_TURN; i++) {
        ssize_t got = recv(connection->fd, server->dropped, sizeof server->dropped, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        connection->dropped += got > 0 ? (size_t)got : 0;
        if (got <= 0 || connection->dropped >= LINGER_SIZE_MAX) {
            connection_close(connection);
            return;
        }
        if (got < (ssize_t)sizeof server->dropped)
            return;
    }
}

void connection_linger(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    list_remove(connection);
    if (connection->tls && !connection->handshaking)
        tls_session_end(connection->tls);
    shutdown(connection->fd, SHUT_WR);
    if (server->lingering.count >= LINGER_COUNT_MAX)
        connection_end(server->lingering.first);
    free(connection->input);
    connection->input = NULL;
    connection->input_at = connection->input_length = connection->input_capacity = 0;
    connection->state = CONNECTION_LINGERING;
    list_append(&server->lingering, connection);
    connection_watch(connection, UV_READABLE);
}

void connection_end(struct http_connection *connection)
{
    for (int i = 0; i < DROPS_AT_END && connection->state == CONNECTION_LINGERING; i++)
        connection_drop_input(connection);
    connection_close(connection);
}
