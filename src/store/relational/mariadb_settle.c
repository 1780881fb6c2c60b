/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a work whose COMMIT nobody answered. To look whether its row is there is not
 * enough: its request may still lie in the server's socket, and be carried out after the look. So
 * the same id is inserted, over another link, by itself:
 *
 *     it is there already        the work was committed
 *     inserted                   it was not, and never will be: its own INSERT, which stands before
 *                                its COMMIT in the same request, fails from now on
 *     waits and gives up         the work's transaction is still open: asked again
 *
 * A committed row can be seen a moment before the server has synced it. So when it is there, a
 * change of our own follows, whose commit syncs all that was written before.
 */

#include <mysqld_error.h>
#include <stdio.h>

#include "store/relational/mariadb.h"

#define PAUSE_MS 100

static enum fh_code ask(struct mariadb_store *store, const char *id, bool *ret_committed,
                        struct fh_error *error)
{
    struct mariadb_connection *connection;
    char sql[192];
    int64_t now_ms = world_wall_ms(store->base.world);
    enum fh_code code = mariadb_connection_new(store, MARIADB_SEQUENCER, &connection, error);
    if (code != FH_OK)
        return code;
    snprintf(sql, sizeof sql, "INSERT INTO fh_work (id, created_ms) VALUES ('%s', %lld)", id,
             (long long)now_ms);
    code = mariadb_query(connection, sql, NULL, NULL, error);
    *ret_committed = code == FH_CONFLICT && !error->retryable;
    if (*ret_committed) {
        snprintf(sql, sizeof sql, "UPDATE fh_work SET created_ms = created_ms + 1 WHERE id = '%s'",
                 id);
        code = mariadb_query(connection, sql, NULL, NULL, error);
    }
    mariadb_connection_free(connection);
    return code;
}

enum fh_code mariadb_settle(struct mariadb_store *store, const char *id, bool *ret_committed,
                            struct fh_error *error)
{
    struct world *world = store->base.world;
    int64_t deadline_ns = world_in_ms(world, MARIADB_SETTLE_MS);
    for (;;) {
        enum fh_code code = ask(store, id, ret_committed, error);
        if (code == FH_OK || world_monotonic_ns(world) > deadline_ns)
            return code;
        fiber_sleep_until(world, world_in_ms(world, PAUSE_MS));
    }
}
