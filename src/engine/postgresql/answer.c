/* SPDX-License-Identifier: Apache-2.0 */
/* Takes what the server answers to a call: rows as they come, and how it ended. */

#include "engine/postgresql/internal.h"

/* Passes rows to `visit` as they come. */
static bool visit_answer(struct postgresql_call *call, sql_visit *visit, void *context)
{
    bool visited = false;
    for (PGresult *result; (result = postgresql_call_next(call));) {
        visited = true;
        call->wide |= postgresql_pq.PQnfields(result) > POSTGRESQL_COLUMNS_MAX;
        if (!call->discard && !call->wide && !postgresql_visit_rows(result, visit, context))
            call->discard = true;
        postgresql_pq.PQclear(result);
    }
    return visited;
}

void postgresql_call_rows(struct postgresql_call *call, sql_visit *visit, void *context)
{
    visit_answer(call, visit, context);
}

struct postgresql_call *postgresql_describe(struct postgresql_connection *connection,
                                            struct postgresql_statement *statement, unsigned how)
{
    struct postgresql_call *call = postgresql_call(connection, statement, NULL, how);
    if (!call)
        return NULL;
    postgresql_sync(connection);
    while (postgresql_call_next(call))
        ;
    return call;
}

enum fh_code postgresql_learn(struct postgresql_connection *connection,
                              struct postgresql_statement *statement, unsigned how, bool *ret_again,
                              struct fh_error *error)
{
    struct postgresql_call *call = postgresql_describe(connection, statement, how);
    *ret_again = true;
    if (!call)
        return postgresql_lost_error(error);
    enum fh_code code = postgresql_call_error(call, error);
    *ret_again = call->aborted || call->lost || call->stale;
    postgresql_call_end(call);
    return code;
}

enum fh_code postgresql_call_visit(struct postgresql_call *call, sql_visit *visit, void *context,
                                   bool *ret_again, struct fh_error *error)
{
    bool visited = visit_answer(call, visit, context);
    enum fh_code code = postgresql_call_error(call, error);
    *ret_again = code != FH_OK && !visited && (call->aborted || call->lost || call->stale);
    postgresql_call_end(call);
    return code;
}
