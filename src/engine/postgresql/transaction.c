/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit of work's transaction on its own connection.
 *
 * A statement whose rows and change count nobody wants is only appended to the pipeline; it goes
 * out with the next one that needs an answer, or with COMMIT. So a unit takes as few round trips as
 * its reads allow.
 */

#include "engine/postgresql/internal.h"

#define DEFERRED_MAX 128 /* unanswered statements in one unit of work */

#define BEGIN(isolation, words)                                                                    \
    [isolation] =                                                                                  \
        POSTGRESQL_OWN_STATEMENT(isolation, "BEGIN " #isolation, "BEGIN ISOLATION LEVEL " words)

static struct postgresql_statement begin_statements[] = {
    BEGIN(STORE_SNAPSHOT, "REPEATABLE READ READ ONLY"),
    BEGIN(STORE_COMMITTED, "READ COMMITTED"),
    BEGIN(STORE_SERIALIZABLE, "SERIALIZABLE"),
};

bool postgresql_is_late(const struct postgresql_work *work)
{
    const struct store_work *base = &work->base;
    return base->deadline_ns && world_monotonic_ns(base->store->world) >= base->deadline_ns;
}

enum fh_code postgresql_work_begin(struct postgresql_work *work, struct fh_error *error)
{
    if (work->failed)
        return postgresql_pass_on(&work->error, error);
    if (work->begun)
        return FH_OK;
    if (!work->connection) {
        struct postgresql_store *store = (struct postgresql_store *)work->base.store;
        enum fh_code code = postgresql_take(store, false, &work->connection, error);
        if (code == FH_OK && postgresql_is_late(work))
            code = error_set(error, FH_UNAVAILABLE, STORE_TOO_BUSY);
        if (code != FH_OK)
            return code;
    }
    enum store_isolation isolation = store_isolation(work->base.mode);
    struct postgresql_call *call =
        postgresql_call(work->connection, &begin_statements[isolation], NULL, 0);
    if (!call)
        return postgresql_work_lost(work, error);
    postgresql_call_defer(call, work);
    work->begun = true;
    return FH_OK;
}

static enum fh_code work_call_ended(struct postgresql_work *work, struct postgresql_call *call,
                                    struct fh_error *error)
{
    postgresql_work_ended(work, call);
    return work->failed ? postgresql_pass_on(&work->error, error) : FH_OK;
}

static enum fh_code work_learn(struct postgresql_work *work, struct postgresql_statement *statement,
                               struct fh_error *error)
{
    struct postgresql_call *call = postgresql_describe(work->connection, statement, 0);
    if (!call)
        return postgresql_work_lost(work, error);
    call->number = work->base.statement;
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
        if (*ret)
            (*ret)->number = work->base.statement;
        else
            code = postgresql_work_lost(work, error);
    }
    postgresql_parameters_release(&parameters);
    return code;
}

enum fh_code postgresql_work_call(struct postgresql_work *work,
                                  struct postgresql_statement *statement,
                                  const struct sql_value *values, int count, unsigned how,
                                  struct postgresql_call **ret, struct fh_error *error)
{
    postgresql_turn_kind(work, statement);
    enum fh_code code = postgresql_work_begin(work, error);
    work->inserts.over = work->inserts.over || work->base.statement;
    if (code == FH_OK && work->inserts.send)
        code = work->inserts.send(work, error);
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
    enum fh_code code = work->failed ? postgresql_pass_on(&work->error, error)
                                     : postgresql_statement_get(store, sql, &statement, error);
    if (code != FH_OK)
        return code;
    statement->users++; /* this fiber may wait */
    code = postgresql_work_call(work, statement, values, count, POSTGRESQL_ROWS, ret, error);
    statement->users--;
    return code;
}

enum fh_code postgresql_work_answer(struct postgresql_work *work, struct postgresql_call *call,
                                    sql_visit *visit, void *context, int64_t *ret_changes,
                                    struct fh_error *error)
{
    work->deferred = 0;
    postgresql_sync(work->connection);
    postgresql_call_rows(call, visit, context);
    enum fh_code code = work_call_ended(work, call, error);
    if (ret_changes)
        *ret_changes = call->changes;
    postgresql_call_end(call);
    return code;
}

enum fh_code postgresql_work_run(struct postgresql_work *work,
                                 struct postgresql_statement *statement,
                                 const struct sql_value *values, int count, sql_visit *visit,
                                 void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct postgresql_call *call;
    enum fh_code code = postgresql_work_call(work, statement, values, count,
                                             visit ? POSTGRESQL_ROWS : 0, &call, error);
    if (code != FH_OK)
        return code;
    if (!visit && !ret_changes && ++work->deferred < DEFERRED_MAX) {
        postgresql_call_defer(call, work);
        return FH_OK;
    }
    return postgresql_work_answer(work, call, visit, context, ret_changes, error);
}
