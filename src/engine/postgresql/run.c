/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a statement: in a unit of work, on its own connection, and for reading handlers, on a
 * connection that many share.
 *
 * In a unit of work, a statement whose rows and change count nobody wants is only appended to the
 * pipeline; it goes out with the next one that needs an answer, or with COMMIT. So a unit takes as
 * few round trips as its reads allow. The first failure ends the transaction on the server: from
 * then on everything in the unit fails with that error.
 *
 * On a reader, the statements of all fibers in one turn of the loop go out with one sync, as one
 * section. A statement that fails takes the later ones of its section with it; since they only
 * read, they are sent again, each with its own sync.
 */

#include <stdio.h>
#include <string.h>

#include "engine/postgresql/internal.h"

#define DEFERRED_MAX 128 /* unanswered statements in one unit of work */
#define READ_TRIES 3
#define SLOW_NS (20 * (int64_t)1000000) /* a statement this slow holds up those after it */

static enum fh_code pass_on(const struct fh_error *from, struct fh_error *error)
{
    *error = *from;
    return from->code;
}

/* The error with which a call ended. */
static enum fh_code call_error(const struct postgresql_call *call, struct fh_error *error)
{
    if (call->code != FH_OK)
        return pass_on(&call->error, error);
    if (call->aborted)
        return error_set(error, FH_CONFLICT, "A statement before it failed.");
    return FH_OK;
}

/* Passes rows to `visit` as they come. */
static bool visit_all(struct postgresql_call *call, sql_visit *visit, void *context)
{
    bool visited = false;
    for (PGresult *result; (result = postgresql_call_next(call));) {
        visited = true;
        if (!call->discard && !postgresql_visit_rows(result, visit, context))
            call->discard = true;
        postgresql_pq.PQclear(result);
    }
    return visited;
}

void postgresql_call_rows(struct postgresql_call *call, sql_visit *visit, void *context)
{
    visit_all(call, visit, context);
}

static struct postgresql_call *describe(struct postgresql_connection *connection,
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
    struct postgresql_call *call = describe(connection, statement, how);
    *ret_again = true;
    if (!call)
        return postgresql_lost_error(error);
    enum fh_code code = call_error(call, error);
    *ret_again = call->aborted || call->lost || call->stale;
    postgresql_call_end(call);
    return code;
}

enum fh_code postgresql_call_visit(struct postgresql_call *call, sql_visit *visit, void *context,
                                   bool *ret_again, struct fh_error *error)
{
    bool visited = visit_all(call, visit, context);
    enum fh_code code = call_error(call, error);
    *ret_again = code != FH_OK && !visited && (call->aborted || call->lost || call->stale);
    postgresql_call_end(call);
    return code;
}

/* ---- In a unit of work ----------------------------------------------------------------------- */

#define BEGIN(isolation, words)                                                                    \
    [isolation] =                                                                                  \
        POSTGRESQL_OWN_STATEMENT(isolation, "BEGIN " #isolation, "BEGIN ISOLATION LEVEL " words)

static struct postgresql_statement begin_statements[] = {
    BEGIN(STORE_SNAPSHOT, "REPEATABLE READ READ ONLY"),
    BEGIN(STORE_COMMITTED, "READ COMMITTED"),
    BEGIN(STORE_SERIALIZABLE, "SERIALIZABLE"),
};

enum fh_code postgresql_work_fail(struct postgresql_work *work, const struct fh_error *why,
                                  struct fh_error *error)
{
    if (!work->failed) {
        work->failed = true;
        work->error = *why;
    }
    return pass_on(&work->error, error);
}

static bool was_idle(const struct postgresql_work *work)
{
    return work->connection && strcmp(work->connection->farewell, "25P03") == 0;
}

static enum fh_code lost(struct postgresql_work *work, struct fh_error *error)
{
    struct fh_error why;
    if (was_idle(work))
        postgresql_idle_error(&why);
    else
        postgresql_lost_error(&why);
    work->lost = true;
    return postgresql_work_fail(work, &why, error);
}

bool postgresql_is_late(const struct postgresql_work *work)
{
    const struct store_work *base = &work->base;
    return base->deadline_ns && world_monotonic_ns(base->store->world) >= base->deadline_ns;
}

enum fh_code postgresql_work_begin(struct postgresql_work *work, struct fh_error *error)
{
    if (work->failed)
        return pass_on(&work->error, error);
    if (work->begun)
        return FH_OK;
    if (!work->connection) {
        struct postgresql_store *store = (struct postgresql_store *)work->base.store;
        enum fh_code code = postgresql_take(store, &work->connection, error);
        if (code == FH_OK && postgresql_is_late(work))
            code = error_set(error, FH_UNAVAILABLE, STORE_TOO_BUSY);
        if (code != FH_OK)
            return code;
    }
    enum store_isolation isolation = store_isolation(work->base.mode);
    struct postgresql_call *call =
        postgresql_call(work->connection, &begin_statements[isolation], NULL, 0);
    if (!call)
        return lost(work, error);
    postgresql_call_defer(call, work);
    work->begun = true;
    return FH_OK;
}

void postgresql_work_ended(struct postgresql_work *work, const struct postgresql_call *call)
{
    struct fh_error why;
    if (call->lost)
        work->lost = true;
    if (work->failed || call_error(call, &why) == FH_OK)
        return;
    if (call->lost && was_idle(work)) {
        postgresql_idle_error(&why);
    } else if (call->stale) {
        error_retry(&why, FH_CONFLICT, "The store's schema has changed meanwhile.");
    } else if (strcmp(why.native, "25006") == 0 && store_writes(work->base.mode)) {
        error_retry(&why, FH_UNAVAILABLE,
                    "The store's server takes no writes: it is a standby, or was made read-only.");
        snprintf(why.native, sizeof why.native, "25006");
    }
    postgresql_work_fail(work, &why, ERROR_UNHEEDED);
}

static enum fh_code work_call_ended(struct postgresql_work *work, struct postgresql_call *call,
                                    struct fh_error *error)
{
    postgresql_work_ended(work, call);
    return work->failed ? pass_on(&work->error, error) : FH_OK;
}

static enum fh_code work_learn(struct postgresql_work *work, struct postgresql_statement *statement,
                               struct fh_error *error)
{
    struct postgresql_call *call = describe(work->connection, statement, 0);
    if (!call)
        return lost(work, error);
    enum fh_code code = work_call_ended(work, call, error);
    postgresql_call_end(call);
    return code;
}

static enum fh_code work_send(struct postgresql_work *work, struct postgresql_statement *statement,
                              const struct sql_value *values, int count, unsigned how,
                              struct postgresql_call **ret, struct fh_error *error)
{
    struct postgresql_parameters parameters;
    *ret = NULL;
    enum fh_code code = postgresql_parameters_init(&parameters, statement, values, count, error);
    if (code == FH_OK) {
        *ret = postgresql_call(work->connection, statement, &parameters, how);
        if (!*ret)
            code = lost(work, error);
    }
    postgresql_parameters_release(&parameters);
    return code;
}

static enum fh_code work_call(struct postgresql_work *work, struct postgresql_statement *statement,
                              const struct sql_value *values, int count, unsigned how,
                              struct postgresql_call **ret, struct fh_error *error)
{
    enum fh_code code = postgresql_work_begin(work, error);
    if (code == FH_OK && postgresql_needs_types(statement, values, count))
        code = work_learn(work, statement, error);
    return code == FH_OK ? work_send(work, statement, values, count, how, ret, error) : code;
}

enum fh_code postgresql_run_later(struct postgresql_work *work, const char *sql,
                                  const struct sql_value *values, int count,
                                  struct postgresql_call **ret, struct fh_error *error)
{
    struct postgresql_store *store = (struct postgresql_store *)work->base.store;
    struct postgresql_statement *statement;
    enum fh_code code = work->failed ? pass_on(&work->error, error)
                                     : postgresql_statement_get(store, sql, &statement, error);
    if (code != FH_OK)
        return code;
    statement->users++; /* this fiber may wait */
    code = work_call(work, statement, values, count, POSTGRESQL_ROWS, ret, error);
    statement->users--;
    return code;
}

static enum fh_code work_run(struct postgresql_work *work, struct postgresql_statement *statement,
                             const struct sql_value *values, int count, sql_visit *visit,
                             void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct postgresql_call *call;
    enum fh_code code =
        work_call(work, statement, values, count, visit ? POSTGRESQL_ROWS : 0, &call, error);
    if (code != FH_OK)
        return code;
    if (!visit && !ret_changes && ++work->deferred < DEFERRED_MAX) {
        postgresql_call_defer(call, work);
        return FH_OK;
    }
    work->deferred = 0;
    postgresql_sync(work->connection);
    visit_all(call, visit, context);
    code = work_call_ended(work, call, error);
    if (ret_changes)
        *ret_changes = call->changes;
    postgresql_call_end(call);
    return code;
}

/* ---- On a reader ----------------------------------------------------------------------------- */

/* Every reader is stuck on a slow statement: a connection of `works` is better then. */
static bool is_held_up(const struct postgresql_store *store,
                       const struct postgresql_connection *reader)
{
    return reader->first &&
           world_monotonic_ns(store->base.world) - reader->first->sent_ns > SLOW_NS;
}

static enum fh_code run_as_snapshot(struct store *store, const char *sql,
                                    const struct sql_value *values, int count, sql_visit *visit,
                                    void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = postgresql_run(work, sql, values, count, visit, context, ret_changes, error);
    store_rollback(work);
    return code;
}

static enum fh_code read_try(struct postgresql_connection *reader,
                             struct postgresql_statement *statement, const struct sql_value *values,
                             int count, unsigned how, sql_visit *visit, void *context,
                             bool *ret_again, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    *ret_again = false;
    if (postgresql_needs_types(statement, values, count))
        code = postgresql_learn(reader, statement, how, ret_again, error);
    if (code != FH_OK)
        return code;
    struct postgresql_parameters parameters;
    struct postgresql_call *call = NULL;
    code = postgresql_parameters_init(&parameters, statement, values, count, error);
    if (code == FH_OK) {
        call = postgresql_call(reader, statement, &parameters, how);
        *ret_again = !call;
    }
    postgresql_parameters_release(&parameters);
    if (!call)
        return code == FH_OK ? postgresql_lost_error(error) : code;
    if (how & POSTGRESQL_UNNAMED) /* a retry goes alone */
        postgresql_sync(reader);
    else
        world_turn(reader->store->base.world, &reader->turn);
    return postgresql_call_visit(call, visit, context, ret_again, error);
}

static enum fh_code read_run(struct postgresql_store *store, const char *sql,
                             const struct sql_value *values, int count, sql_visit *visit,
                             void *context, int64_t *ret_changes, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    bool again = true;
    for (int i = 0; again && i < READ_TRIES; i++) {
        struct postgresql_connection *reader;
        struct postgresql_statement *statement;
        code = postgresql_reader(store, &reader, error);
        if (code == FH_OK && is_held_up(store, reader))
            return run_as_snapshot(&store->base, sql, values, count, visit, context, ret_changes,
                                   error);
        if (code == FH_OK)
            code = postgresql_statement_get(store, sql, &statement, error);
        if (code != FH_OK)
            return code;
        statement->users++; /* this fiber may wait between two of its calls */
        unsigned how = (visit ? POSTGRESQL_ROWS : 0) | (i > 0 ? POSTGRESQL_UNNAMED : 0);
        code = read_try(reader, statement, values, count, how, visit, context, &again, error);
        statement->users--;
    }
    if (code == FH_OK && ret_changes)
        *ret_changes = 0;
    return code;
}

/* ---- Both ------------------------------------------------------------------------------------ */

enum fh_code postgresql_run(struct store_work *base, const char *sql,
                            const struct sql_value *values, int count, sql_visit *visit,
                            void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct postgresql_store *store = (struct postgresql_store *)base->store;
    struct postgresql_work *work = (struct postgresql_work *)base;
    struct postgresql_statement *statement;
    if (base->mode == STORE_READ_COMMITTED)
        return read_run(store, sql, values, count, visit, context, ret_changes, error);
    if (work->failed)
        return pass_on(&work->error, error);
    enum fh_code code = postgresql_statement_get(store, sql, &statement, error);
    if (code != FH_OK)
        return code;
    bool done = false;
    statement->users++;
    if (base->mode & STORE_GROUPED)
        code = postgresql_group_run(work, statement, values, count, visit, context, ret_changes,
                                    &done, error);
    if (code == FH_OK && !done)
        code = work_run(work, statement, values, count, visit, context, ret_changes, error);
    statement->users--;
    return code;
}
