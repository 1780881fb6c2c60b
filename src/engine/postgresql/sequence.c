/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequencer's connection: each statement commits on its own, at READ COMMITTED. Numbering twice
 * does no harm, so a statement whose connection broke is sent once more.
 *
 * Over the same connection the process listens for positions that others have assigned (fh_sequence
 * notifies while more than one process listens; fh_append always does), so nobody polls for them. A
 * separate fiber keeps it connected; after each reconnection, the listeners look for what they have
 * missed.
 */

#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"
#include "engine/postgresql/internal.h"

#define TRIES 2

/* ---- Listening ---- */

static void keep_listening(void *argument)
{
    struct postgresql_store *store = argument;
    struct world *world = store->base.world;
    while (!store->closing) {
        if (store->sequence.state == CONNECTION_UP)
            fiber_wait(&store->listening);
        else if (postgresql_connect_shared(&store->sequence, ERROR_UNHEEDED) == FH_OK)
            store_notify_listeners(&store->base);
        else
            fiber_wait_until(&store->listening, world, store->retry_ns);
    }
    store->listens = false;
    fiber_wake_all(&store->connecting);
    postgresql_leave(store);
}

bool postgresql_listening_start(struct postgresql_store *store)
{
    store->listens = fiber_start(store->base.world->fibers, keep_listening, store);
    return store->listens;
}

/* ---- Numbering ---- */

static enum fh_code sequence_once(struct postgresql_connection *connection,
                                  struct postgresql_statement *statement,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, bool *ret_again, struct fh_error *error)
{
    struct postgresql_parameters parameters;
    struct postgresql_call *call = NULL;
    enum fh_code code = postgresql_connect_shared(connection, error);
    *ret_again = false;
    if (code == FH_OK && postgresql_needs_types(statement, values, count))
        code = postgresql_learn(connection, statement, 0, ret_again, error);
    if (code != FH_OK)
        return code;
    code = postgresql_parameters_init(&parameters, statement, values, count, error);
    if (code == FH_OK) {
        call = postgresql_call(connection, statement, &parameters, POSTGRESQL_ROWS);
        *ret_again = !call;
    }
    postgresql_parameters_release(&parameters);
    if (!call)
        return code == FH_OK ? postgresql_lost_error(error) : code;
    postgresql_sync(connection);
    return postgresql_call_visit(call, visit, context, ret_again, error);
}

enum fh_code postgresql_run_alone(struct store *base, const char *sql,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, struct fh_error *error)
{
    struct postgresql_store *store = (struct postgresql_store *)base;
    struct postgresql_statement *statement;
    enum fh_code code = postgresql_statement_get(store, sql, &statement, error);
    if (code != FH_OK)
        return code;
    bool again = true;
    statement->users++;
    for (int i = 0; again && i < TRIES; i++)
        code = sequence_once(&store->sequence, statement, values, count, visit, context, &again,
                             error);
    statement->users--;
    return code;
}
