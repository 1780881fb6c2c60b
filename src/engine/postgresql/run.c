/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a statement: in a unit of work, on its own connection (transaction.c) or in a group
 * (group.c), and for reading handlers, on a connection that many share.
 *
 * On a reader, the statements of all fibers in one turn of the loop go out with one sync, as one
 * section. A statement that fails takes the later ones of its section with it; since they only
 * read, they are sent again, each with its own sync.
 */

#include "engine/postgresql/internal.h"

#define READ_TRIES 3
#define SLOW_NS (20 * (int64_t)1000000) /* a statement this slow holds up those after it */

/* ---- On a reader ---- */

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

/* ---- Both ---- */

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
        return postgresql_pass_on(&work->error, error);
    enum fh_code code = postgresql_statement_get(store, sql, &statement, error);
    if (code != FH_OK)
        return code;
    bool done = false;
    statement->users++;
    code = postgresql_inserts_begin(work, error);
    if (code == FH_OK && base->mode & STORE_GROUPED)
        code = postgresql_group_run(work, statement, values, count, visit, context, ret_changes,
                                    &done, error);
    else if (code == FH_OK && base->member)
        code = postgresql_member_run(work, statement, values, count, visit, context, ret_changes,
                                     &done, error);
    if (code == FH_OK && !done)
        code = postgresql_inserts_run(work, statement, values, count, visit, context, ret_changes,
                                      error);
    statement->users--;
    return code;
}
