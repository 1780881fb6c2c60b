/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of one use: opened on demand, kept, and queued for when all are busy. After a failed
 * attempt to connect, nobody tries again for a while that grows with each failure, so that a
 * starting server is not stormed. Until then a fiber that needs a connection gets the last error at
 * once or, if there are other connections, waits for one of those: so if the server allows no more
 * connections, the existing ones still serve.
 */

#include <stdlib.h>

#include "engine/mariadb/internal.h"

static void put_off_links(struct mariadb_store *store, const struct fh_error *error)
{
    int backoff = store->backoff_ms * 2;
    if (backoff < MARIADB_BACKOFF_MS_MIN)
        backoff = MARIADB_BACKOFF_MS_MIN;
    if (backoff > MARIADB_BACKOFF_MS_MAX)
        backoff = MARIADB_BACKOFF_MS_MAX;
    store->backoff_ms = backoff;
    int jitter = (int)world_random_below(store->base.world, (uint64_t)backoff);
    store->down_until_ns = world_in_ms(store->base.world, backoff / 2 + jitter);
    store->down_why = *error;
}

static enum fh_code pool_connect(struct mariadb_store *store, struct mariadb_pool *pool,
                                 struct mariadb_connection **ret, struct fh_error *error)
{
    struct fh_error why = {0};
    pool->count++;
    enum fh_code code = mariadb_connection_new(store, pool->use, ret, &why);
    if (code == FH_OK) {
        store->backoff_ms = 0;
        store->down_until_ns = 0;
        return FH_OK;
    }
    pool->count--;
    fiber_wake_one(&pool->queue);
    put_off_links(store, &why);
    *error = why;
    return code;
}

static struct mariadb_connection *take_idle(struct mariadb_pool *pool)
{
    while (pool->idle) {
        struct mariadb_connection *connection = pool->idle;
        pool->idle = connection->next;
        if (!connection->broken)
            return connection;
        pool->count--;
        mariadb_connection_free(connection);
    }
    return NULL;
}

enum fh_code mariadb_acquire(struct mariadb_store *store, struct mariadb_pool *pool,
                             struct mariadb_connection **ret, struct fh_error *error)
{
    struct world *world = store->base.world;
    int64_t deadline_ns = world_in_ms(world, MARIADB_POOL_WAIT_MS);
    for (;;) {
        *ret = take_idle(pool);
        if (*ret)
            return FH_OK;
        bool down = world_monotonic_ns(world) < store->down_until_ns;
        if (!down && pool->count < pool->count_max) {
            enum fh_code code = pool_connect(store, pool, ret, error);
            if (code == FH_OK || pool->count == 0)
                return code;
            continue;
        }
        if (pool->count == 0) {
            *error = store->down_why;
            return store->down_why.code;
        }
        if (!fiber_wait_until(&pool->queue, world, deadline_ns))
            return error_set(error, FH_UNAVAILABLE,
                             "All %d connections to the store are busy; nothing was done.",
                             pool->count);
    }
}

void mariadb_release(struct mariadb_pool *pool, struct mariadb_connection *connection)
{
    if (connection->broken) {
        pool->count--;
        mariadb_connection_free(connection);
    } else {
        mariadb_watch_idle(connection);
        connection->next = pool->idle;
        pool->idle = connection;
    }
    fiber_wake_one(&pool->queue);
}

void mariadb_pool_release(struct mariadb_pool *pool)
{
    while (pool->idle) {
        struct mariadb_connection *connection = pool->idle;
        pool->idle = connection->next;
        mariadb_connection_free(connection);
    }
    pool->count = 0;
}
