/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bound on what shedding may cost: a share of the time, whatever is sent. A connection whose last
 * request was shed is read again only while something of the share is left, and nobody new is
 * accepted without. What they send waits in the kernel's buffers meanwhile, which costs nothing,
 * and slows down whoever sends it. All others are read at once: no connection is one of them twice
 * without having been served in between.
 *
 * They are read in the order in which they were held, so that each comes to its turn: what was sent
 * behind a request that was shed may be what is not, and waits for no longer than the others take.
 *
 * What is spent is the time from where something was received to where a request was shed, without
 * what handlers did in between; and, once anything was shed, that of accepting and shaking hands.
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

void spare_begin(struct http_server *server)
{
    server->spare_from_ns = server->shedding ? world_monotonic_ns(server->world) : 0;
}

void spare_shed(struct http_server *server)
{
    if (!server->shedding) {
        server->shedding = true;
        server->spare_ns = SPARE_NS_MAX;
        server->spared_ns = server->spare_from_ns = world_monotonic_ns(server->world);
        return;
    }
    spare_spend(server);
}

/* A process that stood still meanwhile need not make up for all of that. */
void spare_spend(struct http_server *server)
{
    if (!server->shedding || !server->spare_from_ns)
        return;
    int64_t now_ns = world_monotonic_ns(server->world);
    server->spare_ns -= now_ns - server->spare_from_ns;
    server->spare_from_ns = now_ns;
    if (server->spare_ns < -SPARE_NS_MAX)
        server->spare_ns = -SPARE_NS_MAX;
}

void spare_hold(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection_watch(connection, 0);
    if (!connection->held_ns)
        connection->held_ns = world_monotonic_ns(server->world);
    connection_append(&server->held, connection);
    spare_wait(server);
}

void spare_wait(struct http_server *server)
{
    if (server->spare_awaited)
        return;
    server->spare_awaited = true;
    world_timer_start(server->world, &server->spare_again, world_in_ms(server->world, AGAIN_MS));
}
