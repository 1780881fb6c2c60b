/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks on PostgreSQL, and how to settle a COMMIT that was not answered: see mark.c. A unit's mark
 * goes out in one message with its COMMIT. Settling inserts its row over another connection, where
 * the insert waits until the transaction in flight has ended. A server that has not noticed the
 * broken link would keep us waiting: after a second we terminate that backend.
 *
 * If the unit's mark is there, its row is rewritten unchanged: the answer to that comes after the
 * unit's own log records, also on the standby, where commits wait for one.
 *
 * Settling uses one of the connections for units of work, after the unit has given back its own: so
 * it needs none beyond what the server can provide.
 *
 * The mark is the last thing that a unit writes, so its statement also checks whether the server
 * could still detect all conflicts of the earlier writes (fh_recent, ledger_schema.c). If the unit
 * stood open while too many others ended, the server could not, and the unit runs again. So does
 * one whose statements ended up in another transaction than the one it began.
 *
 * Decided marks are removed now and then, after a commit: not inside units of work, which would
 * conflict with one another by reading the marks.
 */

#include <stdio.h>

#include "base/log.h"
#include "engine/postgresql/internal.h"

#define TRIM_NS (20 * (int64_t)1000000000)
#define ASK_MS 10000 /* for one answer */
#define LOCK_MS "1000"

enum fh_code postgresql_mark(struct postgresql_work *work, struct mark *mark,
                             struct fh_error *error)
{
    mark_take(&((struct postgresql_store *)work->base.store)->marks, mark);
    if (!mark->opening) /* the store is being opened: a retry finds whatever was made */
        return FH_OK;
    struct postgresql_statement *statement;
    bool serializable = store_isolation(work->base.mode) == STORE_SERIALIZABLE;
    struct sql_value values[] = {sql_integer(mark->opening), sql_integer(mark->number)};
    enum fh_code code = postgresql_statement_get(
        (struct postgresql_store *)work->base.store,
        serializable ? "INSERT INTO fh_mark (opening, number) SELECT ?1, ?2 WHERE"
                       " (clock_timestamp() < transaction_timestamp() + interval '10 ms'"
                       " AND current_setting('transaction_isolation') = 'serializable')"
                       " OR fh_recent()"
                     : "INSERT INTO fh_mark (opening, number) VALUES (?1, ?2)",
        &statement, error);
    if (code != FH_OK)
        return code;
    statement->users++; /* this fiber may wait */
    code = postgresql_work_run(work, statement, values, 2, NULL, NULL, NULL, error);
    statement->users--;
    return code;
}

void postgresql_marks_trim(struct postgresql_connection *connection)
{
    struct postgresql_store *store = connection->store;
    int64_t now_ns = world_monotonic_ns(store->base.world);
    if (!store->marks.opening || now_ns - store->marks_trimmed_ns < TRIM_NS)
        return;
    store->marks_trimmed_ns = now_ns;
    struct postgresql_statement *statement;
    struct postgresql_parameters parameters;
    struct sql_value values[] = {sql_integer(store->marks.opening),
                                 sql_integer(marks_decided(&store->marks))};
    if (postgresql_statement_get(store,
                                 "DELETE FROM fh_mark WHERE opening = ?1 AND number < ?2"
                                 " AND never IS NULL",
                                 &statement, ERROR_UNHEEDED) != FH_OK)
        return;
    if (postgresql_parameters_init(&parameters, statement, values, 2, ERROR_UNHEEDED) == FH_OK) {
        struct postgresql_call *call = postgresql_call(connection, statement, &parameters, 0);
        if (call)
            postgresql_call_defer(call, NULL);
        postgresql_sync(connection);
    }
    postgresql_parameters_release(&parameters);
}

/* ---- Settling ---- */

static void read_said(void *context, PGresult *result)
{
    enum mark_said *said = context;
    if (postgresql_pq.PQntuples(result) == 1 && postgresql_pq.PQnfields(result) == 1)
        *said = mark_said(postgresql_pq.PQgetisnull(result, 0, 0)
                              ? NULL
                              : postgresql_pq.PQgetvalue(result, 0, 0));
}

/* The backend may have ended and its process id been reused: none of our own may be killed. */
static void end_backend(struct postgresql_connection *connection, int backend, int64_t deadline_ns)
{
    char sql[256];
    if (postgresql_is_own(connection->store, backend))
        return;
    snprintf(sql, sizeof sql,
             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %d"
             " AND usename = current_user"
             " AND application_name = current_setting('application_name')",
             backend);
    postgresql_simple(connection, sql, deadline_ns, NULL, NULL, ERROR_UNHEEDED);
}

/* One message is one transaction, which is over when it is answered. */
static enum mark_said ask_for_mark(struct postgresql_store *store, const struct mark *mark,
                                   int backend, struct fh_error *error)
{
    struct postgresql_connection *connection;
    enum mark_said said = MARK_UNKNOWN;
    char sql[640];
    enum fh_code code = postgresql_take(store, false, &connection, error);
    if (code != FH_OK)
        return MARK_UNKNOWN;
    snprintf(sql, sizeof sql,
             "SET LOCAL lock_timeout=" LOCK_MS ";"
             "INSERT INTO fh_mark (opening, number, never)"
             " (SELECT opening, %lld, now() FROM fh_opening WHERE opening = %lld FOR SHARE)"
             " ON CONFLICT (opening, number) DO UPDATE SET never = fh_mark.never;"
             "SELECT (SELECT CASE WHEN never IS NULL THEN 'stands' ELSE 'never' END FROM fh_mark"
             " WHERE opening = %lld AND number = %lld)",
             (long long)mark->number, (long long)mark->opening, (long long)mark->opening,
             (long long)mark->number);
    int64_t deadline_ns = world_in_ms(store->base.world, ASK_MS);
    code = postgresql_simple(connection, sql, deadline_ns, read_said, &said, error);
    if (code != FH_OK)
        said = MARK_UNKNOWN;
    if (code != FH_OK && connection->state == CONNECTION_UP)
        end_backend(connection, backend, deadline_ns);
    postgresql_give_back(connection);
    return said;
}

enum fh_code postgresql_settle(struct postgresql_store *store, const struct mark *mark, int backend,
                               struct fh_error *error)
{
    struct world *world = store->base.world;
    struct settling settling = {.world = world, .begun_ns = world_monotonic_ns(world)};
    struct fh_error why = {0};
    enum mark_said said;
    if (!mark->opening)
        return settling_none(error);
    while ((said = ask_for_mark(store, mark, backend, &why)) == MARK_UNKNOWN)
        settling_wait(&settling, &why);
    return settling_end(&settling, said, error);
}
