/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory connections keep together: input that can't be read yet, requests that arrive,
 * answers that their clients don't take. One of them alone keeps a body or an answer at most, but
 * there may be ten thousand. Where all of them keep more than the limit, those that have waited
 * longest are cut off (server.c): a client that sends nothing or takes nothing, before one that
 * does.
 *
 * A request that is with its handler, and what that makes of it, is not counted here.
 */

#include "http/connection.h"

static size_t connection_weight(const struct http_connection *connection)
{
    size_t weight = connection->input_capacity + connection->output_length;
    if (connection->state == CONNECTION_CLOSED)
        return 0;
    if (connection->state == CONNECTION_READING && connection->request)
        weight += connection->request->size + connection->request->body_capacity;
    return weight;
}

void connection_weigh(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    size_t weight = connection_weight(connection);
    server->weight = server->weight - connection->weight + weight;
    connection->weight = weight;
    if (server->weight > server->limits.weight_max)
        world_turn(server->world, &server->turn);
}
