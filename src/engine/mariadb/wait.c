/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a link, on fibers: the client library's nonblocking calls say what they wait for, and
 * the fiber parks until its socket is ready or its deadline comes. The socket is always watched:
 * for a waiting fiber, or else to notice a server that leaves (restarted, or closing an idle link)
 * before the link is used again.
 *
 * A link in an unknown state (an answer came late or not at all) is `broken` and not used again:
 * the server rolls back what was open on it.
 */

#include "engine/mariadb/internal.h"

#define LOOK_MS 100

static void watch_link(struct mariadb_connection *connection, unsigned events)
{
    if (connection->watched == events)
        return;
    connection->poll.fd = (int)mariadb.mysql_get_socket(connection->mysql);
    world_poll_start(connection->store->base.world, &connection->poll, events);
    connection->watched = events;
}

void mariadb_unwatch(struct mariadb_connection *connection)
{
    world_poll_stop(connection->store->base.world, &connection->poll);
    connection->watched = 0;
}

static void wait_ends(struct mariadb_connection *connection, unsigned held)
{
    struct fiber *fiber = connection->waiting;
    connection->waiting = NULL;
    connection->held = held;
    world_timer_stop(connection->store->base.world, &connection->timer);
    fiber_ready(fiber);
}

static void link_ready(struct world_poll *poll, unsigned events)
{
    struct mariadb_connection *connection = poll->owner;
    if (connection->waiting) {
        wait_ends(connection, events);
        return;
    }
    /* Either its rows are being read, or it is idle and the server leaves. */
    mariadb_unwatch(connection);
    if (!connection->running && connection->mysql)
        connection->broken = true;
}

static void link_late(struct world_timer *timer)
{
    wait_ends(timer->owner, 0);
}

void mariadb_connection_break(struct mariadb_connection *connection)
{
    connection->broken = true;
    mariadb_unwatch(connection);
}

void mariadb_watch_idle(struct mariadb_connection *connection)
{
    if (!connection->broken)
        watch_link(connection, WORLD_READABLE);
}

/* Of a report's link: its deadline, or when to look whether the store's questions end. */
static int64_t next_look_ns(const struct mariadb_connection *connection)
{
    int64_t at_ns = connection->deadline_ns;
    if (connection->use != MARIADB_REPORTS)
        return at_ns;
    if (at_ns > connection->ends_ns)
        at_ns = connection->ends_ns;
    int64_t look_ns = world_in_ms(connection->store->base.world, LOOK_MS);
    return connection->of_question && look_ns < at_ns ? look_ns : at_ns;
}

static bool is_wait_over(const struct mariadb_connection *connection)
{
    const struct store *store = &connection->store->base;
    if (connection->use != MARIADB_REPORTS ||
        world_monotonic_ns(store->world) >= connection->deadline_ns)
        return true;
    return connection->of_question ? report_is_over(store, connection->ends_ns)
                                   : world_monotonic_ns(store->world) >= connection->ends_ns;
}

int mariadb_wait(struct mariadb_connection *connection, int status)
{
    unsigned events = status & MYSQL_WAIT_WRITE ? WORLD_WRITABLE : WORLD_READABLE;
    if (status & MYSQL_WAIT_WRITE && status & MYSQL_WAIT_READ)
        events |= WORLD_READABLE;
    watch_link(connection, events);
    do {
        connection->waiting = fiber_self();
        world_timer_start(connection->store->base.world, &connection->timer,
                          next_look_ns(connection));
        fiber_park();
    } while (!connection->held && !is_wait_over(connection));
    if (!connection->connected)
        mariadb_unwatch(connection); /* if this address fails, the next one gets another socket */
    if (!connection->held) {
        connection->broken = true; /* a later answer would be taken for that of another request */
        return MYSQL_WAIT_TIMEOUT;
    }
    return (connection->held & WORLD_READABLE ? MYSQL_WAIT_READ : 0) |
           (connection->held & WORLD_WRITABLE ? MYSQL_WAIT_WRITE : 0);
}

void mariadb_wait_init(struct mariadb_connection *connection)
{
    connection->poll = (struct world_poll){.ready = link_ready, .owner = connection};
    connection->timer = (struct world_timer){.fire = link_late, .owner = connection};
}
