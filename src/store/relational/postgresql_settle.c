/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the link dies inside COMMIT, nobody knows whether the work stands; its backend may even
 * commit it a second later. So each work leaves a mark, a row with its own random id in fh_work,
 * written in the same message as COMMIT. To find out, the same id is inserted over a new
 * connection: that waits until the one in flight has ended, and whoever is first wins.
 *
 *     our row went in      the work has not committed, and never will: its own mark can't go in
 *     it was there         the work has committed
 *
 * A server that has not noticed that the link is gone would keep us waiting: after a second its
 * backend is told to end.
 *
 * A mark is needed until its COMMIT is answered or settled, which takes seconds. Old ones are
 * removed now and then, behind a commit: not in works, whose reading of the marks would make them
 * conflict with one another. The rows that settled something stay for a day, lest a COMMIT come
 * later than the removal.
 */

#include <stdio.h>
#include <stdlib.h>

#include "store/relational/postgresql.h"

#define MARK_KEPT_MS (2 * (int64_t)60 * 1000)
#define SETTLED_KEPT_MS ((int64_t)24 * 3600 * 1000)
#define TRIM_NS (20 * (int64_t)1000000000)
#define LOCK_MS "1000"

enum fh_code postgresql_mark(struct postgresql_work *work, char id[ID_SIZE], struct fh_error *error)
{
    struct world *world = work->base.store->world;
    unsigned char random[10];
    world_random(world, random, sizeof random);
    id_format(id, world_wall_ms(world), random);
    struct sql_value values[] = {sql_text(id), sql_integer(world_wall_ms(world))};
    return postgresql_run(&work->base, "INSERT INTO fh_work (id, created_ms) VALUES (?1, ?2)",
                          values, 2, NULL, NULL, NULL, error);
}

void postgresql_marks_trim(struct postgresql_connection *connection)
{
    struct postgresql_store *store = connection->store;
    struct world *world = store->base.world;
    int64_t now_ns = world_monotonic_ns(world);
    if (now_ns - store->marks_trimmed_ns < TRIM_NS)
        return;
    store->marks_trimmed_ns = now_ns;
    struct postgresql_statement *statement;
    struct postgresql_parameters parameters;
    struct sql_value values[] = {sql_integer(world_wall_ms(world) - MARK_KEPT_MS)};
    if (postgresql_statement_get(store, "DELETE FROM fh_work WHERE created_ms < ?1", &statement,
                                 NULL) != FH_OK)
        return;
    if (postgresql_parameters_init(&parameters, statement, values, 1, NULL) == FH_OK) {
        struct postgresql_call *call = postgresql_call(connection, statement, &parameters, 0);
        if (call)
            postgresql_call_defer(call, NULL);
        postgresql_sync(connection);
    }
    postgresql_parameters_release(&parameters);
}

/* ---- Finding out ----------------------------------------------------------------------------- */

static void read_inserted(void *context, PGresult *result)
{
    int *inserted = context;
    const char *tuples = postgresql_pq.PQcmdTuples(result);
    if (*tuples)
        *inserted = (int)strtol(tuples, NULL, 10);
}

/* FH_OK, and *ret_inserted 0 or 1; anything else: to be tried again. */
static enum fh_code insert(struct postgresql_connection *connection, const char *id,
                           int64_t deadline_ns, int *ret_inserted, struct fh_error *error)
{
    char sql[160];
    enum fh_code code =
        postgresql_simple(connection, "SET lock_timeout=" LOCK_MS, deadline_ns, NULL, NULL, error);
    if (code != FH_OK)
        return code;
    snprintf(sql, sizeof sql,
             "INSERT INTO fh_work (id, created_ms) VALUES ('%s', %lld) ON CONFLICT DO NOTHING", id,
             (long long)(world_wall_ms(connection->store->base.world) + SETTLED_KEPT_MS));
    *ret_inserted = -1;
    code = postgresql_simple(connection, sql, deadline_ns, read_inserted, ret_inserted, error);
    if (code == FH_OK && *ret_inserted < 0)
        return postgresql_lost_error(error);
    return code;
}

static void end_backend(struct postgresql_connection *connection, int backend, int64_t deadline_ns)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %d"
             " AND usename = current_user"
             " AND application_name = current_setting('application_name')",
             backend);
    postgresql_simple(connection, sql, deadline_ns, NULL, NULL, NULL);
}

enum fh_code postgresql_settle(struct postgresql_store *store, const char *id, int backend,
                               struct fh_error *error)
{
    struct world *world = store->base.world;
    int64_t deadline_ns = world_in_ms(world, POSTGRESQL_WAIT_MS);
    struct postgresql_connection *connection = calloc(1, sizeof *connection);
    FH_ASSERT(connection != NULL);
    connection->store = store;
    postgresql_pipeline_init(connection);
    int inserted = -1;
    bool known = false;
    while (!known && world_monotonic_ns(world) < deadline_ns) {
        if (connection->state == CONNECTION_DOWN && postgresql_connect(connection, NULL) != FH_OK) {
            fiber_sleep_until(world, store->retry_ns);
            continue;
        }
        known = insert(connection, id, deadline_ns, &inserted, NULL) == FH_OK;
        if (!known && connection->state == CONNECTION_UP)
            end_backend(connection, backend, deadline_ns);
    }
    postgresql_disconnect(connection);
    free(connection);
    if (known && inserted == 0)
        return FH_OK;
    if (!known)
        return error_set(error, FH_OUTCOME_UNKNOWN,
                         "The connection broke while the work was committed, and the store's "
                         "server could not be asked within %d s whether it was.",
                         POSTGRESQL_WAIT_MS / 1000);
    error_set(error, FH_CONFLICT, "The connection broke before the work was committed.");
    if (error)
        error->retryable = true;
    return FH_CONFLICT;
}
