/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bound on what shedding may cost: a share of the time, whatever is sent. A connection whose last
 * request was shed is read again only while something of the share is left, and nobody new is
 * accepted without. What they send waits in the kernel's buffers meanwhile, which costs nothing,
 * and slows down whoever sends it. All others are read at once: no connection is one of them twice
 * without having been served in between.
 *
 * The last one that was held is the first to be read: it can still be answered in time. Of the
 * others those that came first have the least of theirs left.
 */

#include "http/connection.h"

#define SHARE 16
#define SPARE_NS_MAX INT64_C(6250000) /* of a tenth of a second */
#define AGAIN_MS 1

/* By turns, those who were held, and those who wait to be accepted. */
static void on_spare_again(struct world_timer *timer)
{
    struct http_server *server = timer->owner;
    server->spare_awaited = false;
    server->newcomers_next = !server->newcomers_next;
    if (!server->newcomers_next)
        server->read_held(server);
    if (server->held.first)
        spare_wait(server);
    server->on_room(server);
    server->settle(server);
}

void spare_init(struct http_server *server)
{
    server->held.last = &server->held.first;
    server->spare_again = (struct world_timer){.fire = on_spare_again, .owner = server};
}

bool spare_left(struct http_server *server)
{
    if (!server->shedding || server->draining)
        return true;
    int64_t now_ns = world_monotonic_ns(server->world);
    server->spare_ns += (now_ns - server->spared_ns) / SHARE;
    server->spared_ns = now_ns;
    if (server->spare_ns >= SPARE_NS_MAX)
        server->shedding = false;
    return server->spare_ns > 0;
}

int64_t spare_begin(const struct http_server *server)
{
    return server->shedding ? world_monotonic_ns(server->world) : 0;
}

void spare_spend(struct http_server *server, int64_t began_ns)
{
    int64_t now_ns = world_monotonic_ns(server->world);
    if (!server->shedding) {
        server->shedding = true;
        server->spare_ns = SPARE_NS_MAX;
        server->spared_ns = now_ns;
    }
    if (began_ns)
        server->spare_ns -= now_ns - began_ns;
}

void spare_hold(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    struct connection_queue *held = &server->held;
    FH_ASSERT(!connection->queue);
    connection_watch(connection, 0);
    if (!connection->held_ns)
        connection->held_ns = world_monotonic_ns(server->world);
    if (!held->first)
        held->last = &connection->queue_next;
    connection->queue = held;
    connection->queue_next = held->first;
    held->first = connection;
    spare_wait(server);
}

void spare_wait(struct http_server *server)
{
    if (server->spare_awaited)
        return;
    server->spare_awaited = true;
    world_timer_start(server->world, &server->spare_again, world_in_ms(server->world, AGAIN_MS));
}
