/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every state of a connection needs: polling its socket, going on later, and the end. A
 * connection's memory outlives its descriptor until the loop has called back, and a server's that
 * of its last connection.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/connection.h"

void server_release(struct http_server *server)
{
    if (server->open_handles > 0 || server->turn.posted)
        return;
    tls_server_free(server->tls);
    text_release(&server->text);
    free(server);
}

void connection_watch(struct http_connection *connection, int events)
{
    if (connection->events == events)
        return;
    connection->events = events;
    if (events)
        uv_poll_start(&connection->poll, events, connection->server->ready);
    else
        uv_poll_stop(&connection->poll);
}

void connection_append(struct connection_queue *queue, struct http_connection *connection)
{
    FH_ASSERT(!connection->queue);
    connection->queue = queue;
    connection->queue_previous = queue->last;
    connection->queue_next = NULL;
    *(queue->last ? &queue->last->queue_next : &queue->first) = connection;
    queue->last = connection;
}

void connection_dequeue(struct http_connection *connection)
{
    struct connection_queue *queue = connection->queue;
    struct http_connection *previous = connection->queue_previous, *next = connection->queue_next;
    if (!queue)
        return;
    *(previous ? &previous->queue_next : &queue->first) = next;
    *(next ? &next->queue_previous : &queue->last) = previous;
    connection->queue = NULL;
}

void connection_resume_later(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->running || connection->queue)
        return;
    connection_append(&server->resumed, connection);
    world_turn(server->world, &server->turn);
}

static void on_connection_closed(uv_handle_t *handle)
{
    struct http_connection *connection = handle->data;
    struct http_server *server = connection->server;
    free(connection);
    server->open_handles--;
    server_release(server);
}

/* The client does not take its answer: neither shall the kernel keep what it has of that. */
static void forget_unsent(const struct http_connection *connection)
{
    static const struct linger at_once = {.l_onoff = 1};
    (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void connection_let_go_answer(struct http_connection *connection)
{
    struct http_held *held = connection->held;
    free(connection->output);
    connection->output = NULL;
    connection->output_at = connection->output_length = connection->output_before = 0;
    connection->taken = 0;
    connection->held = NULL;
    if (held)
        held->gone(held);
}

void connection_close(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (connection->state == CONNECTION_SENDING)
        forget_unsent(connection);
    list_remove(connection);
    connection_dequeue(connection);
    if (connection->state == CONNECTION_READING)
        request_free(connection->request);
    else if (connection->request)
        connection->request->connection = NULL;
    connection->request = NULL;
    connection->state = CONNECTION_CLOSED;
    if (connection->handed)
        server->unsent--;
    free(connection->input);
    connection->input = NULL;
    connection_let_go_answer(connection);
    connection->input_at = connection->input_length = 0;
    connection_weigh(connection);
    if (connection->tls)
        gnutls_deinit(connection->tls);
    connection->tls = NULL;
    uv_close((uv_handle_t *)&connection->poll, on_connection_closed);
    close(connection->fd); /* after the loop has stopped watching it */
    server->connections--;
    if (server->handler.disconnected)
        server->handler.disconnected(server->handler.context, &connection->peer, connection->asked);
    server->on_room(server);
    if (server->drained)
        world_turn(server->world, &server->turn);
}
