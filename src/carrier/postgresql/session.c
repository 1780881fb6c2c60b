/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is a transaction, on a link that nobody else has meanwhile. Pages and questions have
 * links of their own, so neither keeps the other waiting; those of questions only read, in one
 * snapshot.
 *
 * An idle link may have broken long ago: that shows when a transaction begins, of which nothing was
 * done, and another link is made then and there. Whatever fails later fails the request.
 *
 *     the link breaks before COMMIT is sent    FH_UNAVAILABLE: the server undoes it
 *     after that                               FH_OUTCOME_UNKNOWN
 *     57014, 40..., 53..., 57..., 25006 ...    FH_UNAVAILABLE: what a server says that is busy, in
 *                                              recovery, read-only, shutting down, or was cancelled
 *     42P01, 3F000                             FH_NOT_FOUND: of the generation's own names, as all
 *                                              others are in pg_catalog
 *     anything else                            FH_UNSUPPORTED
 *
 * Messages have the SQLSTATE and nothing that the server says, since that may quote a value.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/postgresql/internal.h"

#define LATE_MS 200 /* the server is to say that a statement took too long, before we leave */

/* ---- What it means ---- */

enum fh_code curves_strange(const struct curves_server *server, struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "PostgreSQL at %.100s has other tables than this version makes.", server->at);
}

static enum fh_code link_was_lost(const struct curves_session *session, enum fh_code code,
                                  bool late)
{
    const struct curves_server *server = session->server;
    if (postgresql_links_ended(server->links))
        return error_retry(session->error, code, "The link to PostgreSQL is closing.");
    return error_retry(session->error, code, "PostgreSQL at %.100s %s.", server->at,
                       late ? "did not answer in time" : "has closed the connection");
}

static bool is_state_for_a_while(const char *state)
{
    static const char *const beginnings[] = {"08", "25006", "25P", "40", "53",
                                             "55", "57",    "58",  "XX", NULL};
    for (const char *const *beginning = beginnings; *beginning; beginning++) {
        if (strncmp(state, *beginning, strlen(*beginning)) == 0)
            return true;
    }
    return false;
}

static enum fh_code server_has_refused(const struct curves_session *session)
{
    const char *at = session->server->at, *state = session->state;
    struct fh_error *error = session->error;
    if (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)
        error_set(error, FH_NOT_FOUND, "PostgreSQL at %.100s has no such generation.", at);
    else if (strcmp(state, "57014") == 0)
        error_retry(error, FH_UNAVAILABLE, "PostgreSQL at %.100s did not answer in time.", at);
    else if (is_state_for_a_while(state))
        error_retry(error, FH_UNAVAILABLE, "PostgreSQL at %.100s can't do it now: %s.", at, state);
    else if (strcmp(state, "42501") == 0)
        error_set(error, FH_UNSUPPORTED,
                  "PostgreSQL at %.100s refuses its user (%s): look at its rights.", at, state);
    else
        error_set(error, FH_UNSUPPORTED, "PostgreSQL at %.100s does not take it: %s.", at, state);
    snprintf(error->native, sizeof error->native, "%s", state);
    return error->code;
}

/* ---- Texts ---- */

static void forget_result(struct curves_session *session)
{
    if (session->result)
        postgresql_pq.PQclear(session->result);
    session->result = NULL;
    session->state[0] = '\0';
}

/* `lost`: what it means if the link breaks. */
static enum fh_code run_session_text(struct curves_session *session, const char *sql,
                                     const char *const *values, int count, enum fh_code lost)
{
    struct postgresql_request request = {.sql = sql,
                                         .count = count,
                                         .values = values,
                                         .deadline_ns =
                                             session->deadline_ns + LATE_MS * INT64_C(1000000)};
    forget_result(session);
    bool done = postgresql_link_ask(session->link, &request);
    session->result = request.result;
    memcpy(session->state, request.state, sizeof session->state);
    if (done)
        return FH_OK;
    return request.state[0] ? server_has_refused(session)
                            : link_was_lost(session, lost, request.late);
}

enum fh_code curves_run(struct curves_session *session, const char *sql)
{
    return run_session_text(session, sql, NULL, 0, FH_UNAVAILABLE);
}

enum fh_code curves_run_with(struct curves_session *session, const char *sql,
                             const char *const *values, int count)
{
    return run_session_text(session, sql, values, count, FH_UNAVAILABLE);
}

enum fh_code curves_commit(struct curves_session *session, const char *sql)
{
    struct text both;
    text_init(&both, CURVES_SQL_SIZE);
    text_printf(&both, "%s%sCOMMIT", sql, *sql ? "; " : "");
    FH_ASSERT(!both.overflow);
    enum fh_code code = run_session_text(session, both.data, NULL, 0, FH_OUTCOME_UNKNOWN);
    text_release(&both);
    if (code == FH_OK && strcmp(postgresql_pq.PQcmdStatus(session->result), "COMMIT") != 0)
        return curves_strange(session->server, session->error);
    return code;
}

int curves_rows(const struct curves_session *session)
{
    return session->result ? postgresql_pq.PQntuples(session->result) : 0;
}

const char *curves_text(const struct curves_session *session, int row, int column)
{
    if (row >= curves_rows(session) || column >= postgresql_pq.PQnfields(session->result))
        return "";
    return postgresql_pq.PQgetvalue(session->result, row, column);
}

int64_t curves_integer(const struct curves_session *session, int row, int column)
{
    return strtoll(curves_text(session, row, column), NULL, 10);
}

/* ---- Links ---- */

/* An open one, if there is any; -1: all are lent. */
static int free_link(const struct curves_pool *pool)
{
    int closed = -1;
    for (int i = 0; i < pool->count; i++) {
        if (pool->taken[i])
            continue;
        if (pool->links[i] && postgresql_link_is_open(pool->links[i]))
            return i;
        if (closed < 0)
            closed = i;
    }
    return closed;
}

static enum fh_code take_link(struct curves_session *session)
{
    struct curves_server *server = session->server;
    struct curves_pool *pool = session->pool;
    for (;;) {
        if (postgresql_links_ended(server->links))
            return link_was_lost(session, FH_UNAVAILABLE, false);
        int place = free_link(pool);
        if (place >= 0) {
            if (!pool->links[place])
                pool->links[place] = postgresql_link_new(server->links);
            pool->taken[place] = true;
            session->place = place;
            session->link = pool->links[place];
            return FH_OK;
        }
        if (!fiber_wait_until(&pool->line, server->world, session->deadline_ns))
            return error_retry(session->error, FH_UNAVAILABLE,
                               "All connections to PostgreSQL at %.100s are in use.", server->at);
    }
}

static enum fh_code begin_transaction(struct curves_session *session, const char *first)
{
    char sql[512 + CURVES_SCHEMA_SIZE];
    bool asks = session->pool == &session->server->asking;
    int64_t left_ms =
        (session->deadline_ns - world_monotonic_ns(session->server->world)) / 1000000 + 1;
    if (left_ms <= 0)
        return link_was_lost(session, FH_UNAVAILABLE, true);
    snprintf(sql, sizeof sql,
             "BEGIN ISOLATION LEVEL %s; SET LOCAL statement_timeout=%lld;"
             "SET LOCAL lock_timeout=%d%s%s%s",
             asks ? "REPEATABLE READ READ ONLY" : "READ COMMITTED", (long long)left_ms,
             asks ? 0 : CURVES_LOCK_MS,
             asks ? "; SET LOCAL cursor_tuple_fraction=1; SET LOCAL jit=off" : "",
             *first ? "; " : "", first);
    return curves_run(session, sql);
}

/* A question that nobody waits for any more ends; a server before 14 has no such parameter. */
static enum fh_code open_link(struct curves_session *session)
{
    enum fh_code code = postgresql_link_open(session->link, session->deadline_ns, session->error);
    return code == FH_OK
               ? curves_run(session, "SELECT set_config(name, '1000', false) FROM pg_settings"
                                     " WHERE name = 'client_connection_check_interval'")
               : code;
}

static enum fh_code open_session(struct curves_session *session, const char *first)
{
    for (;;) {
        bool used = postgresql_link_is_open(session->link);
        enum fh_code code = FH_OK;
        if (!used)
            code = open_link(session);
        if (code == FH_OK)
            code = begin_transaction(session, first);
        if (code == FH_OK || !used || postgresql_link_is_open(session->link))
            return code;
    }
}

/* `first`: a statement that goes with BEGIN; "": none. */
static enum fh_code begin_session(struct curves_session *session, struct curves_server *server,
                                  struct curves_pool *pool, const char *first, int64_t deadline_ns,
                                  struct fh_error *error)
{
    session->server = server;
    session->pool = pool;
    session->error = error;
    session->deadline_ns =
        deadline_ns > 0 ? deadline_ns : world_in_ms(server->world, CURVES_REQUEST_MS);
    enum fh_code code = take_link(session);
    return code == FH_OK ? open_session(session, first) : code;
}

enum fh_code curves_begin(struct curves_session *session, struct curves_server *server,
                          struct curves_pool *pool, int64_t deadline_ns, struct fh_error *error)
{
    return begin_session(session, server, pool, "", deadline_ns, error);
}

enum fh_code curves_begin_of(struct curves_session *session, struct carried_server *base,
                             const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error)
{
    struct curves_server *server = curves_of(base);
    curves_schema(server, declared, generation, session->schema);
    return curves_begin(session, server, &server->carrying, 0, error);
}

enum fh_code curves_begin_locked(struct curves_session *session, struct carried_server *base,
                                 const struct fh_derived *declared,
                                 const struct carried_name *generation, struct fh_error *error)
{
    struct curves_server *server = curves_of(base);
    char sql[CURVES_SCHEMA_SIZE + 64];
    curves_schema(server, declared, generation, session->schema);
    snprintf(sql, sizeof sql, "SELECT digest FROM \"%s\".generation FOR UPDATE", session->schema);
    enum fh_code code = begin_session(session, server, &server->carrying, sql, 0, error);
    if (code == FH_OK && curves_rows(session) != 1)
        return error_set(error, FH_NOT_FOUND, "PostgreSQL at %.100s has no such generation.",
                         server->at);
    return code;
}

void curves_end(struct curves_session *session)
{
    struct fh_error unheeded, *error = session->error;
    forget_result(session);
    if (!session->link)
        return;
    session->error = &unheeded;
    if (postgresql_link_is_within(session->link)) {
        session->deadline_ns = world_in_ms(session->server->world, LATE_MS);
        if (curves_run(session, "ROLLBACK") != FH_OK)
            postgresql_link_close(session->link);
    }
    forget_result(session);
    session->error = error;
    session->pool->taken[session->place] = false;
    session->link = NULL;
    fiber_wake_one(&session->pool->line);
}

void curves_pool_end(struct curves_pool *pool)
{
    fiber_wake_all(&pool->line);
}

void curves_pool_release(struct curves_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        postgresql_link_free(pool->links[i]);
}
