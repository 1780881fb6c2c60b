/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members: units of work that run one after the other in one transaction (work/batch.c). Waiting
 * for each one's answer would cost a round trip each. So where a member is expected to have a
 * single statement, the next one sends its own before that is answered:
 *
 *     send      member 1's statement, member 2's, ...: in this order into the pipeline
 *     answer    member 1 goes on with its answer, and ends; then member 2, ...
 *     commit    the events of all in one statement, numbered as a group's are, the mark, COMMIT
 *
 * The server runs them in the order of the members, each complete in its one statement: so nobody
 * can tell it from waiting for each. If a member runs a second statement after all, when others are
 * ahead of it, the transaction is rolled back and all run again; its first statement is remembered
 * (group.c), and from then on no one sends before that one is answered. The same goes for a
 * statement that has returned many rows, or large ones. If a statement fails, the server skips
 * those behind it, and the first member that failed is the one to blame, as ever.
 */

#include "engine/postgresql/internal.h"

#define AHEAD_MAX 256 /* statements sent before the first of them is answered */
/* Of one statement: what those that are ahead return is in memory, of all of them at once. */
#define AHEAD_ROWS_MAX 64
#define AHEAD_BYTES_MAX 65536

static enum fh_code members_again(struct postgresql_work *work, struct fh_error *error)
{
    struct fh_error why;
    error_retry(&why, FH_CONFLICT, "Others in the transaction were ahead of a second statement.");
    return postgresql_work_fail(work, &why, error);
}

static enum fh_code members_over(struct fh_error *error)
{
    return error_set(error, FH_CONFLICT, "The transaction was ended.");
}

enum fh_code postgresql_member_turn(struct postgresql_work *work, struct fh_error *error)
{
    struct store_member *member = work->base.member;
    return member->turn(member) ? FH_OK : members_over(error);
}

static enum fh_code send_ahead(struct postgresql_work *work, struct postgresql_statement *statement,
                               const struct sql_value *values, int count, sql_visit *visit,
                               void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct store_member *member = work->base.member;
    struct postgresql_call *call;
    enum fh_code code = postgresql_work_call(work, statement, values, count,
                                             visit ? POSTGRESQL_ROWS : 0, &call, error);
    if (code != FH_OK)
        return code;
    work->ahead++;
    bool goes_on = member->sent(member);
    work->ahead--;
    if (goes_on)
        return postgresql_work_answer(work, call, visit, context, ret_changes, error);
    if (call->done)
        postgresql_call_end(call);
    else
        postgresql_call_defer(call, work);
    return members_over(error);
}

struct counted_visit {
    sql_visit *visit;
    void *context;
    int rows;
    size_t bytes;
};

static bool count_members_row(void *context, const struct sql_row *row)
{
    struct counted_visit *counted = context;
    counted->rows++;
    for (int i = 0; i < row->count; i++)
        counted->bytes += row->values[i].length;
    return counted->visit(counted->context, row);
}

static bool may_go_ahead(const struct postgresql_work *work,
                         const struct postgresql_statement *statement,
                         const struct sql_value *values, int count)
{
    return statement->single && !statement->followed && !statement->wide &&
           work->ahead < AHEAD_MAX && !postgresql_needs_types(statement, values, count);
}

enum fh_code postgresql_member_run(struct postgresql_work *work,
                                   struct postgresql_statement *statement,
                                   const struct sql_value *values, int count, sql_visit *visit,
                                   void *context, int64_t *ret_changes, bool *ret_done,
                                   struct fh_error *error)
{
    struct store_member *member = work->base.member;
    *ret_done = false;
    if (work->appending)
        return FH_OK;
    if (member->statements++ > 0) {
        struct postgresql_statement *first = member->first;
        first->followed = true;
        return member->overtaken ? members_again(work, error) : FH_OK;
    }
    member->first = statement;
    statement->users++;
    *ret_done = true;
    struct counted_visit counted = {visit, context, 0, 0};
    if (visit)
        visit = count_members_row;
    enum fh_code code;
    if ((visit || ret_changes) && may_go_ahead(work, statement, values, count)) {
        code = send_ahead(work, statement, values, count, visit, &counted, ret_changes, error);
    } else {
        code = postgresql_member_turn(work, error);
        if (code == FH_OK)
            code = postgresql_inserts_run(work, statement, values, count, visit, &counted,
                                          ret_changes, error);
    }
    if (counted.rows > AHEAD_ROWS_MAX || counted.bytes > AHEAD_BYTES_MAX)
        statement->wide = true;
    return code;
}

void postgresql_member_ended(struct store_work *base, bool good)
{
    struct postgresql_statement *first = base->member->first;
    if (!first)
        return;
    if (good && base->member->statements == 1)
        first->single = true;
    first->users--;
    base->member->first = NULL;
}
