/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as a pipeline: calls are written one after another into libpq's buffer, a sync sends
 * them, and their answers come back in order. A fiber that wants an answer parks until its call has
 * results; a call nobody waits for is freed here when it is answered.
 *
 *     postgresql_call      statement 1 ┐
 *     postgresql_call      statement 2 ├ a section: when one fails, the server skips the rest of
 * it, postgresql_sync      sync        ┘ and their calls end as `aborted`
 *
 * A call has a few groups of results (enum postgresql_stage): a statement not yet prepared on this
 * connection is prepared along with it. Rows come singly (libpq's single-row mode), as the socket
 * delivers them; results accumulate only while the fiber that wants them is parked.
 *
 * Invariant: the calls in the list are exactly those in libpq's own queue, in the same order. When
 * the connection breaks, all of them end as `lost`: whether they ran is not known.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/postgresql/internal.h"

/* Unwanted rows are cheap to skip, but not without limit: beyond this the connection is closed. */
#define DISCARD_MAX 100000
#define NAME_SIZE 32

static void pipeline_readable(struct postgresql_connection *connection);

void postgresql_pipeline_init(struct postgresql_connection *connection)
{
    connection->first = NULL;
    connection->end = &connection->first;
    connection->in_flight = 0;
    connection->unsynced = false;
    memset(connection->prepared, 0, sizeof connection->prepared);
}

static void call_free(struct postgresql_call *call)
{
    for (int i = 0; i < call->result_count; i++)
        postgresql_pq.PQclear(call->results[call->result_first + i]);
    free(call->results);
    if (call->statement)
        call->statement->users--;
    free(call);
}

static void call_wake(struct postgresql_call *call)
{
    struct fiber *waiting = call->waiting;
    call->waiting = NULL;
    if (waiting)
        fiber_ready(waiting);
}

/* Its last group has come, or none ever will. */
static void call_finish(struct postgresql_call *call)
{
    call->connection->in_flight--;
    call->done = true;
    if (!call->deferred) {
        call_wake(call);
        return;
    }
    if (call->work && call->code != FH_OK)
        postgresql_work_ended(call->work, call);
    call_free(call);
}

static void first_finish(struct postgresql_connection *connection)
{
    struct postgresql_call *call = connection->first;
    connection->first = call->next;
    if (!connection->first)
        connection->end = &connection->first;
    call_finish(call);
}

static void pipeline_lost(struct postgresql_connection *connection)
{
    while (connection->first) {
        struct postgresql_call *call = connection->first;
        call->lost = true;
        if (call->code == FH_OK)
            call->code = postgresql_lost_error(&call->error);
        first_finish(connection);
    }
    connection->unsynced = false;
}

void postgresql_watch(struct postgresql_connection *connection, bool writing)
{
    unsigned events = WORLD_READABLE | (writing ? WORLD_WRITABLE : 0);
    if (connection->state != CONNECTION_UP || connection->watched == events)
        return;
    connection->watched = events;
    world_poll_start(connection->store->base.world, &connection->poll, events);
}

void postgresql_unwatch(struct postgresql_connection *connection)
{
    if (connection->watched)
        world_poll_stop(connection->store->base.world, &connection->poll);
    connection->watched = 0;
}

void postgresql_disconnect(struct postgresql_connection *connection)
{
    postgresql_unwatch(connection);
    connection->store->base.losses += connection->state == CONNECTION_UP && !connection->reports;
    connection->state = CONNECTION_DOWN;
    if (connection->pg)
        postgresql_pq.PQfinish(connection->pg);
    connection->pg = NULL;
    pipeline_lost(connection);
    if (connection->listens)
        fiber_wake_all(&connection->store->listening);
}

/* ---- Sending ---- */

static void append_call(struct postgresql_connection *connection, struct postgresql_call *call)
{
    call->connection = connection;
    *connection->end = call;
    connection->end = &call->next;
    connection->in_flight++;
}

static bool send_close(PGconn *pg, unsigned serial)
{
    char text[32];
    snprintf(text, sizeof text, "DEALLOCATE s%u", serial);
    return postgresql_pq.PQsendQueryParams(pg, text, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

static bool send_call_prepare(PGconn *pg, struct postgresql_call *call, const char *name)
{
    const struct postgresql_statement *statement = call->statement;
    int count = statement->typed ? statement->parameter_count : 0;
    call->stages |= STAGE_PREPARE;
    return postgresql_pq.PQsendPrepare(pg, name, statement->sql, count,
                                       count ? statement->types : NULL) == 1;
}

/* Prepares the statement under its name unless that is done, and replaces the one in its slot. */
static bool send_prepare_named(struct postgresql_connection *connection,
                               struct postgresql_call *call, const char *name)
{
    unsigned *prepared = &connection->prepared[call->statement->slot];
    unsigned before = *prepared;
    if (before == call->statement->serial)
        return true;
    *prepared = call->statement->serial;
    if (before) {
        call->stages |= STAGE_CLOSE;
        if (!send_close(connection->pg, before))
            return false;
    }
    return send_call_prepare(connection->pg, call, name);
}

static bool send_call(struct postgresql_connection *connection, struct postgresql_call *call,
                      const struct postgresql_parameters *parameters)
{
    PGconn *pg = connection->pg;
    char name[NAME_SIZE] = "";
    if (call->statement->own)
        snprintf(name, sizeof name, "%s", call->statement->text);
    else if (!call->unnamed)
        snprintf(name, sizeof name, "s%u", call->statement->serial);
    if (!(call->unnamed ? send_call_prepare(pg, call, name)
                        : send_prepare_named(connection, call, name)))
        return false;
    if (!parameters && !call->statement->own) {
        call->stages |= STAGE_DESCRIBE;
        return postgresql_pq.PQsendDescribePrepared(pg, name) == 1;
    }
    call->stages |= STAGE_RUN;
    if (!parameters)
        return postgresql_pq.PQsendQueryPrepared(pg, name, 0, NULL, NULL, NULL, 0) == 1;
    return postgresql_pq.PQsendQueryPrepared(pg, name, parameters->count, parameters->values,
                                             parameters->lengths, parameters->formats, 0) == 1;
}

struct postgresql_call *postgresql_call(struct postgresql_connection *connection,
                                        struct postgresql_statement *statement,
                                        const struct postgresql_parameters *parameters,
                                        unsigned how)
{
    if (connection->state != CONNECTION_UP)
        return NULL;
    struct postgresql_call *call = calloc(1, sizeof *call);
    FH_ASSERT(call != NULL);
    call->statement = statement;
    call->rows = how & POSTGRESQL_ROWS;
    call->unnamed = how & POSTGRESQL_UNNAMED;
    call->sent_ns = world_monotonic_ns(connection->store->base.world);
    statement->users++;
    if (!send_call(connection, call, parameters)) {
        call_free(call);
        postgresql_disconnect(connection);
        return NULL;
    }
    append_call(connection, call);
    connection->unsynced = true;
    return call;
}

static void flush_calls(struct postgresql_connection *connection)
{
    int left = postgresql_pq.PQflush(connection->pg);
    if (left < 0) {
        pipeline_readable(connection); /* read what the server said before it left */
        return;
    }
    postgresql_watch(connection, left > 0);
    if (left > 0)
        pipeline_readable(connection); /* libpq may have read while it could not write */
}

void postgresql_sync(struct postgresql_connection *connection)
{
    if (connection->state != CONNECTION_UP || !connection->unsynced)
        return;
    struct postgresql_call *call = calloc(1, sizeof *call);
    FH_ASSERT(call != NULL);
    call->stages = STAGE_SYNC;
    call->deferred = true;
    call->sent_ns = world_monotonic_ns(connection->store->base.world);
    append_call(connection, call);
    connection->unsynced = false;
    if (postgresql_pq.PQpipelineSync(connection->pg) != 1)
        pipeline_readable(connection);
    if (connection->state == CONNECTION_UP)
        flush_calls(connection);
}

/* ---- Receiving ---- */

static void keep_rows(struct postgresql_call *call, PGresult *result)
{
    if (!call->rows || call->discard) {
        call->discarded += call->discard;
        postgresql_pq.PQclear(result);
        return;
    }
    if (call->result_first + call->result_count == call->result_capacity) {
        if (call->result_first) {
            memmove(call->results, call->results + call->result_first,
                    (size_t)call->result_count * sizeof *call->results);
            call->result_first = 0;
        } else {
            call->result_capacity = call->result_capacity ? call->result_capacity * 2 : 4;
            call->results =
                realloc(call->results, (size_t)call->result_capacity * sizeof *call->results);
            FH_ASSERT(call->results != NULL);
        }
    }
    call->results[call->result_first + call->result_count++] = result;
    call_wake(call);
}

static void learn_types(struct postgresql_statement *statement, const PGresult *result)
{
    statement->typed = postgresql_pq.PQnparams(result) == statement->parameter_count;
    for (int i = 0; statement->typed && i < statement->parameter_count; i++)
        statement->types[i] = postgresql_pq.PQparamtype(result, i);
}

static void take_changes(struct postgresql_call *call, PGresult *result)
{
    const char *status = postgresql_pq.PQcmdStatus(result);
    if (strncmp(status, "SELECT", 6) != 0)
        call->changes = strtoll(postgresql_pq.PQcmdTuples(result), NULL, 10);
    if (strcmp(status, "ROLLBACK") == 0)
        call->changes = -1; /* COMMIT was answered with ROLLBACK: nothing was left to commit */
}

/* Prepared before a table changed, or unknown to the server: the next call prepares it again. */
static bool is_stale(const struct postgresql_call *call, const PGresult *result,
                     const char *sqlstate)
{
    const char *function = postgresql_pq.PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    if (!call->statement)
        return false;
    if (strcmp(sqlstate, "26000") == 0)
        return true;
    if (call->stages & STAGE_PREPARE)
        return call->statement->typed && strncmp(sqlstate, "42", 2) == 0;
    return strcmp(sqlstate, "0A000") == 0 && function &&
           strcmp(function, "RevalidateCachedQuery") == 0;
}

/* The server words every such error in one file. One about a row that others have changed comes
 * from elsewhere, and its message may be in any language. */
static bool is_crossed(const PGresult *result, const char *sqlstate)
{
    const char *file = postgresql_pq.PQresultErrorField(result, PG_DIAG_SOURCE_FILE);
    return strcmp(sqlstate, "40001") == 0 && file && strcmp(file, "predicate.c") == 0;
}

/* False: the connection is gone, as libpq or the server's last message says. */
static bool take_error(struct postgresql_connection *connection, struct postgresql_call *call,
                       const PGresult *result)
{
    const char *sqlstate = postgresql_pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = postgresql_pq.PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!sqlstate)
        return false;
    if (call->code == FH_OK)
        call->code = postgresql_error(result, &call->error);
    call->crossed = is_crossed(result, sqlstate);
    if (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        call->lost = true;
    if (is_stale(call, result, sqlstate)) {
        call->stale = true;
        if (strcmp(sqlstate, "26000") == 0)
            connection->prepared[call->statement->slot] = 0;
        call->statement->typed = false;
        if (!call->statement->own)
            call->statement->serial = ++connection->store->statements.serial;
    }
    return !call->lost;
}

static void forget_prepared(struct postgresql_connection *connection, struct postgresql_call *call)
{
    if (call->stages & STAGE_PREPARE && !call->unnamed)
        connection->prepared[call->statement->slot] = 0;
}

static void group_ended(struct postgresql_connection *connection, struct postgresql_call *call)
{
    call->stages &= call->stages - 1; /* the lowest bit is the stage that ended */
    call->begun = false;
    if (!call->stages)
        first_finish(connection);
}

/* False: the connection is unusable. */
static bool take_call_result(struct postgresql_connection *connection, struct postgresql_call *call,
                             PGresult *result)
{
    bool good = true;
    if (!result) {
        group_ended(connection, call);
        return true;
    }
    switch (postgresql_pq.PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        keep_rows(call, result);
        return call->discarded < DISCARD_MAX;
    case PGRES_TUPLES_OK:
        take_changes(call, result);
        if (postgresql_pq.PQntuples(result) > 0) {
            keep_rows(call, result);
            return true;
        }
        break;
    case PGRES_COMMAND_OK:
        if (call->stages == STAGE_DESCRIBE)
            learn_types(call->statement, result);
        else if (call->stages == STAGE_RUN)
            take_changes(call, result);
        break;
    case PGRES_PIPELINE_SYNC:
        group_ended(connection, call);
        break;
    case PGRES_PIPELINE_ABORTED:
        call->aborted = call->code == FH_OK;
        forget_prepared(connection, call);
        break;
    case PGRES_FATAL_ERROR:
        good = take_error(connection, call, result);
        if (good)
            forget_prepared(connection, call);
        break;
    case PGRES_EMPTY_QUERY:
        call->code = error_set(&call->error, FH_UNSUPPORTED, "It is an empty statement.");
        break;
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_COPY_BOTH:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
        good = false;
    }
    postgresql_pq.PQclear(result);
    return good;
}

static bool dispatch_results(struct postgresql_connection *connection)
{
    PGconn *pg = connection->pg;
    while (connection->first) {
        struct postgresql_call *call = connection->first;
        if (!call->begun) {
            call->begun = true;
            if (call->rows && (call->stages & -call->stages) == STAGE_RUN)
                postgresql_pq.PQsetSingleRowMode(pg);
        }
        if (postgresql_pq.PQisBusy(pg))
            return true;
        PGresult *result = postgresql_pq.PQgetResult(pg);
        if (!result && postgresql_pq.PQstatus(pg) == CONNECTION_BAD)
            return false;
        if (!take_call_result(connection, call, result))
            return false;
    }
    postgresql_pq.PQisBusy(pg); /* takes in unsolicited messages */
    return true;
}

static void pipeline_readable(struct postgresql_connection *connection)
{
    bool alive = postgresql_pq.PQconsumeInput(connection->pg) == 1;
    bool good = dispatch_results(connection);
    if (connection->listens)
        postgresql_on_notice(connection);
    if (!alive || !good)
        postgresql_disconnect(connection);
}

static void pipeline_ready(struct world_poll *poll, unsigned events)
{
    struct postgresql_connection *connection = poll->owner;
    if (events & WORLD_READABLE)
        pipeline_readable(connection);
    if (events & WORLD_WRITABLE && connection->state == CONNECTION_UP &&
        connection->watched & WORLD_WRITABLE)
        flush_calls(connection);
}

void postgresql_pipeline_start(struct postgresql_connection *connection)
{
    connection->state = CONNECTION_UP;
    postgresql_pipeline_init(connection);
    connection->poll = (struct world_poll){
        .fd = postgresql_pq.PQsocket(connection->pg), .ready = pipeline_ready, .owner = connection};
    postgresql_watch(connection, false);
}

/* ---- Waiting ---- */

PGresult *postgresql_call_next(struct postgresql_call *call)
{
    while (!call->result_count && !call->done) {
        call->waiting = fiber_self();
        fiber_park();
    }
    if (!call->result_count)
        return NULL;
    call->result_count--;
    return call->results[call->result_first++];
}

void postgresql_call_end(struct postgresql_call *call)
{
    call->discard = true;
    for (PGresult *result; (result = postgresql_call_next(call));)
        postgresql_pq.PQclear(result);
    call_free(call);
}

void postgresql_call_defer(struct postgresql_call *call, struct postgresql_work *work)
{
    FH_ASSERT(!call->done);
    call->deferred = true;
    call->work = work;
}

void postgresql_drain(struct postgresql_connection *connection)
{
    postgresql_sync(connection);
    struct postgresql_call *last = NULL;
    for (struct postgresql_call *call = connection->first; call; call = call->next)
        last = call;
    if (!last)
        return;
    FH_ASSERT(last->deferred); /* it is a sync */
    last->deferred = false;
    while (postgresql_call_next(last))
        ;
    call_free(last);
}
