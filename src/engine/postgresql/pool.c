/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assigns connections. Those for units of work are lent, first come, first served; they are opened
 * on demand, up to the configured number. If the server accepts no more of them, units share those
 * there are. Readers are shared: the one with the fewest calls in flight is used.
 *
 * Waiting is bounded: a unit of work that gets no connection in time fails without having done
 * anything.
 */

#include "engine/postgresql/internal.h"

#include <stdio.h>

/* Limit of calls in flight on one reader. */
#define READER_CALLS_MAX 1024

static bool may_connect(const struct postgresql_store *store)
{
    return !store->failures || world_monotonic_ns(store->base.world) >= store->retry_ns;
}

static bool any_is_up(const struct postgresql_store *store)
{
    for (int i = 0; i < store->options.connections; i++) {
        if (store->works[i].state == CONNECTION_UP)
            return true;
    }
    return false;
}

/* One that is up, else one to connect; NULL: none is free. The first ones are preferred: their
 * caches are warm. */
static struct postgresql_connection *find_free(struct postgresql_store *store)
{
    struct postgresql_connection *down = NULL;
    for (int i = 0; i < store->options.connections; i++) {
        struct postgresql_connection *connection = &store->works[i];
        if (connection->taken)
            continue;
        if (connection->state == CONNECTION_UP)
            return connection;
        if (!down)
            down = connection;
    }
    return down && (may_connect(store) || !any_is_up(store)) ? down : NULL;
}

static void grant_connection(struct postgresql_store *store)
{
    if (store->works_free.first) {
        store->granted++;
        fiber_wake_one(&store->works_free);
    }
}

static enum fh_code take_free(struct postgresql_store *store,
                              struct postgresql_connection *connection, struct fh_error *error)
{
    connection->taken = true;
    bool is_up = connection->state == CONNECTION_UP && !connection->altered;
    enum fh_code code = is_up ? FH_OK : postgresql_connect(connection, error);
    if (code != FH_OK)
        connection->taken = false;
    /* A waiting fiber may find another one free, or must get this error too. */
    if (code != FH_OK || find_free(store))
        grant_connection(store);
    return code;
}

/* A migration gets the one that the statement before it has altered, if that is free. */
static bool take_altered(struct postgresql_store *store, struct postgresql_connection **ret)
{
    for (int i = 0; i < store->options.connections; i++) {
        struct postgresql_connection *connection = &store->works[i];
        if (connection->altered && !connection->taken && connection->state == CONNECTION_UP) {
            connection->taken = true;
            *ret = connection;
            return true;
        }
    }
    return false;
}

enum fh_code postgresql_take(struct postgresql_store *store, bool migrates,
                             struct postgresql_connection **ret, struct fh_error *error)
{
    if (migrates && take_altered(store, ret))
        return FH_OK;
    struct world *world = store->base.world;
    int64_t deadline_ns = world_in_ms(world, POSTGRESQL_WAIT_MS);
    bool first = !store->works_free.first && !store->granted;
    for (;; first = true) {
        /* Try again after each failed attempt: in the meantime another one may have been returned
         * with nobody waiting, and no one would wake us. This ends, since the next attempt is due
         * only later. */
        while (first && (*ret = find_free(store))) {
            enum fh_code code = take_free(store, *ret, error);
            if (code == FH_OK || !any_is_up(store))
                return code;
        }
        if (!fiber_wait_until(&store->works_free, world, deadline_ns))
            break;
        store->granted--;
    }
    return error_retry(error, FH_UNAVAILABLE,
                       "All %d connections to the store were in use for %d s; nothing was done.",
                       store->options.connections, POSTGRESQL_WAIT_MS / 1000);
}

void postgresql_give_back(struct postgresql_connection *connection)
{
    connection->taken = false;
    grant_connection(connection->store);
}

/* ---- Shared ones ---- */

enum fh_code postgresql_connect_shared(struct postgresql_connection *connection,
                                       struct fh_error *error)
{
    struct postgresql_store *store = connection->store;
    while (connection->state == CONNECTION_CONNECTING)
        fiber_wait(&store->connecting);
    if (connection->state == CONNECTION_UP)
        return FH_OK;
    enum fh_code code = postgresql_connect(connection, error);
    fiber_wake_all(&store->connecting);
    return code;
}

enum fh_code postgresql_reader(struct postgresql_store *store, struct postgresql_connection **ret,
                               struct fh_error *error)
{
    struct postgresql_connection *best = &store->readers[0];
    for (int i = 1; i < POSTGRESQL_READERS; i++) {
        struct postgresql_connection *other = &store->readers[i];
        bool better = other->in_flight < best->in_flight;
        if (best->state != CONNECTION_UP
                ? other->state == CONNECTION_UP
                : better && (other->state == CONNECTION_UP || may_connect(store)))
            best = other;
    }
    *ret = best;
    if (best->in_flight >= READER_CALLS_MAX)
        return error_retry(error, FH_UNAVAILABLE, "More than %d statements wait for the store.",
                           READER_CALLS_MAX * POSTGRESQL_READERS);
    return postgresql_connect_shared(best, error);
}
