/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: units of work of one statement each that share a transaction, and so its BEGIN, its
 * COMMIT, the server's sync and the two messages.
 *
 *     gather    while a group is under way, a unit's first statement waits instead of being sent
 *     begin     BEGIN and the statements of all that wait go out in one message
 *     end       each handler continues with its own answer, and ends; its events are kept
 *     commit    once all have ended: their events in one statement, one mark, COMMIT
 *
 * On the server the units run one after the other, each complete in its one statement. All of them
 * began before the transaction's snapshot is taken, so each sees everything answered to anybody
 * before that. None may join a group already sent: its snapshot could be older than the unit.
 *
 * The next group goes out over the same connection, right after the COMMIT of the previous one: so
 * the server has its statements at hand once it has synced, and runs them while the process still
 * sends the previous answers. There are never two open at once: units of one process don't conflict
 * in groups.
 *
 * A unit that comes alone, with no group under way, is a group of one: so it numbers its events,
 * and those that come meanwhile wait to share the next. What goes wrong with it is told as it is.
 * It waits for nobody but, where the next group is to number its events, for a single call of the
 * sequencer; and while groups leave numbering to that, it gets its own transaction.
 *
 * The statement that appends the events also assigns their positions, unless other events may
 * precede them: then no sequencer call and no second sync comes between COMMIT and the answers. It
 * can't while ungrouped units publish. A group that tried in vain leaves it to the sequencer, and
 * so do some groups after it: twice as many each time.
 *
 * Which units have a single statement is learnt from those that ran ungrouped, and remembered with
 * the statement they begin with. A statement that was ever followed by another never joins again.
 *
 * What may go wrong:
 * - A statement fails, a handler refuses, or runs a second statement after all: the transaction is
 *   rolled back, and all its units run again, each in its own transaction. A member may have seen
 *   writes of others that never come to be, so no failure in a group is reported to a client.
 * - Others hold a lock that a statement needs: it fails after LOCK_WAIT. So two groups, or a group
 *   and a unit of work, never wait for each other for long.
 * - COMMIT is not answered: the group's mark settles it for all (settle.c).
 * - A statement is slow: others wait for its group no longer than wait_ms, unless they were already
 *   sent after its COMMIT.
 * A statement at fault stays out of groups for a while, twice as long each time.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/crash.h"
#include "store/relational/ledger.h"
#include "engine/postgresql/gather.h"

#define LOCK_WAIT "10ms"
#define APART_MIN 16 /* units kept out of groups by a statement at fault */
#define APART_MAX 4096

static struct postgresql_statement lock_briefly =
    POSTGRESQL_OWN_STATEMENT(8, "LOCK BRIEFLY", "SET LOCAL lock_timeout = '" LOCK_WAIT "'");
static struct postgresql_statement lock_patiently =
    POSTGRESQL_OWN_STATEMENT(9, "LOCK PATIENTLY", "SET LOCAL lock_timeout TO DEFAULT");
/* Runs at the end of each unit of work, that is of each statement, so that none relies on later
 * ones. */
static struct postgresql_statement look_at_once =
    POSTGRESQL_OWN_STATEMENT(10, "LOOK AT ONCE", "SET CONSTRAINTS ALL IMMEDIATE");

struct postgresql_group {
    struct postgresql_work *carrier; /* owns the transaction */
    struct postgresql_work *first, **end;
    int users; /* members not freed yet */
    int open;  /* members that have not ended */
    int64_t answered_ns;
    bool numbers; /* may assign positions in its transaction */
    bool lone;    /* has one member */
    bool broken, over;
    struct fiber_queue ended;
    enum fh_code code;
    struct fh_error error;
};

static struct postgresql_store *store_of_member(const struct postgresql_work *work)
{
    return (struct postgresql_store *)work->base.store;
}

static enum fh_code group_again(struct fh_error *error)
{
    return error_retry(error, FH_CONFLICT,
                       "The transaction that several units of work shared was rolled back.");
}

/* ---- Statements ---- */

static void blame_statement(struct postgresql_statement *statement)
{
    int next = statement->apart_next ? statement->apart_next * 2 : APART_MIN;
    statement->apart = statement->apart_next = next < APART_MAX ? next : APART_MAX;
}

static void praise_statement(struct postgresql_statement *statement)
{
    if (statement->apart_next > APART_MIN)
        statement->apart_next -= 1 + statement->apart_next / 64;
}

static bool may_join(struct postgresql_statement *statement)
{
    if (!statement->single || statement->followed)
        return false;
    if (statement->apart == 0)
        return true;
    statement->apart--;
    return false;
}

/* The group's events have the positions from `first` on; 0: they have none yet. */
static void number_group(struct postgresql_store *store, const struct postgresql_group *group,
                         int64_t first)
{
    postgresql_numbering_told(&store->gather, group->numbers, first != 0);
    for (struct postgresql_work *work = group->first; first && work; work = work->next) {
        for (struct ledger_event *event = work->events; event; event = event->next)
            event->position = first++;
    }
}

/* ---- Beginning ---- */

static void group_free(struct postgresql_group *group)
{
    if (--group->users == 0)
        free(group);
}

static void group_over(struct postgresql_store *store)
{
    store->gather.groups--;
    postgresql_gather_look(store);
}

/* Goes after the COMMIT of the previous group, if that is under way. */
static void follow_group(struct postgresql_store *store, struct postgresql_work *carrier)
{
    struct postgresql_work *before = store->gather.committing;
    store->gather.committing = NULL;
    if (!before || before->connection->state != CONNECTION_UP)
        return;
    carrier->connection = before->connection;
    before->connection = NULL;
    postgresql_marks_trim(carrier->connection);
}

static struct postgresql_group *group_new(struct postgresql_store *store)
{
    struct postgresql_group *group = calloc(1, sizeof *group);
    struct postgresql_work *carrier = calloc(1, sizeof *carrier);
    FH_ASSERT(group != NULL && carrier != NULL);
    carrier->base = (struct store_work){.store = &store->base, .mode = STORE_WRITE};
    carrier->carries = true;
    group->carrier = carrier;
    group->end = &group->first;
    group->numbers = postgresql_may_number(store);
    return group;
}

static bool send_own(struct postgresql_work *carrier, struct postgresql_statement *statement)
{
    struct postgresql_call *call = postgresql_call(carrier->connection, statement, NULL, 0);
    if (call)
        postgresql_call_defer(call, carrier);
    return call != NULL;
}

static bool send_member(struct postgresql_group *group, struct postgresql_gathered *gathered)
{
    struct postgresql_parameters parameters;
    struct postgresql_work *work = gathered->work;
    if (postgresql_is_late(work) ||
        postgresql_needs_types(gathered->statement, gathered->values, gathered->count))
        return false;
    if (postgresql_parameters_init(&parameters, gathered->statement, gathered->values,
                                   gathered->count, ERROR_UNHEEDED) == FH_OK)
        gathered->call = postgresql_call(group->carrier->connection, gathered->statement,
                                         &parameters, gathered->how);
    postgresql_parameters_release(&parameters);
    if (!gathered->call)
        return false;
    work->group = group;
    work->base.tentative = !group->lone;
    gathered->call->number = work->base.statement;
    *group->end = work;
    group->end = &work->next;
    group->users++;
    group->open++;
    return true;
}

/* Run by the first one waiting, on behalf of all. */
static void send_group(struct postgresql_store *store, struct postgresql_gathered *own)
{
    struct postgresql_group *group = group_new(store);
    struct postgresql_work *carrier = group->carrier;
    group->lone = !own->next;
    follow_group(store, carrier);
    store->gather.leading = false;
    bool good =
        postgresql_work_begin(carrier, ERROR_UNHEEDED) == FH_OK &&
        (group->lone || (send_own(carrier, &lock_briefly) && send_own(carrier, &look_at_once)));
    for (struct postgresql_gathered *gathered = own, *next; gathered; gathered = next) {
        next = gathered->next; /* it is on the stack of a fiber that this resumes */
        postgresql_gather_go_on(gathered, good && send_member(group, gathered) ? GATHERED_SENT
                                                                               : GATHERED_APART);
    }
    if (group->users) {
        group->answered_ns = world_monotonic_ns(store->base.world);
        postgresql_sync(carrier->connection);
        CRASH_POINT("postgresql.group_sent");
        return;
    }
    postgresql_work_rollback(carrier);
    free(group);
    group_over(store);
}

/* ---- A member ---- */

static enum fh_code member_break(struct postgresql_work *work, struct fh_error *error)
{
    work->group->broken = true;
    return group_again(error);
}

static enum fh_code member_answer(struct postgresql_work *work, struct postgresql_call *call,
                                  sql_visit *visit, void *context, int64_t *ret_changes,
                                  struct fh_error *error)
{
    struct postgresql_group *group = work->group;
    postgresql_call_rows(call, visit, context);
    struct postgresql_store *store = store_of_member(work);
    int64_t now_ns = world_monotonic_ns(store->base.world);
    if (group->answered_ns < store->gather.committed_ns) /* it was sent after that COMMIT */
        group->answered_ns = store->gather.committed_ns;
    bool failed = call->code != FH_OK || call->aborted || call->wide;
    bool is_slow = now_ns - group->answered_ns > store->gather.slow_ms * INT64_C(1000000);
    if (((call->code != FH_OK || call->wide) && !call->lost && !group->lone) || is_slow)
        blame_statement(call->statement);
    group->answered_ns = now_ns;
    if (failed && group->lone)
        postgresql_work_ended(group->carrier, call);
    if (call->lost)
        group->carrier->lost = true;
    if (ret_changes)
        *ret_changes = call->changes;
    postgresql_call_end(call);
    if (!failed)
        return FH_OK;
    group->broken = true;
    return group->lone ? postgresql_pass_on(&group->carrier->error, error) : group_again(error);
}

enum fh_code postgresql_group_run(struct postgresql_work *work,
                                  struct postgresql_statement *statement,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, int64_t *ret_changes, bool *ret_done,
                                  struct fh_error *error)
{
    *ret_done = false;
    if (work->appending)
        return FH_OK;
    if (work->statements++ > 0) {
        work->first->followed = true;
        return work->group ? member_break(work, error) : FH_OK;
    }
    work->first = statement;
    statement->users++;
    if (work->begun || work->published_count || !may_join(statement))
        return FH_OK; /* what it has published is its own transaction's */
    struct postgresql_gathered own = {.work = work,
                                      .statement = statement,
                                      .values = values,
                                      .count = count,
                                      .how = visit ? POSTGRESQL_ROWS : 0};
    postgresql_gather_wait(store_of_member(work), &own);
    if (own.as == GATHERED_LEADS)
        send_group(store_of_member(work), &own);
    if (own.as == GATHERED_APART)
        return FH_OK;
    *ret_done = true;
    return member_answer(work, own.call, visit, context, ret_changes, error);
}

enum fh_code postgresql_append(struct store_work *base, struct ledger_event *events,
                               struct fh_error *error)
{
    struct postgresql_work *work = (struct postgresql_work *)base;
    if (work->group) {
        FH_ASSERT(!work->events);
        work->events = events;
        return work->group->broken ? group_again(error) : FH_OK;
    }
    return postgresql_publish(work, events, error);
}

/* ---- The end ---- */

static enum fh_code commit_group(struct postgresql_store *store, struct postgresql_group *group)
{
    struct postgresql_work *carrier = group->carrier;
    struct ledger_event *lists[POSTGRESQL_GROUP_MAX];
    int64_t first = 0;
    int count = 0;
    bool publishes = false;
    for (struct postgresql_work *work = group->first; work; work = work->next) {
        publishes = publishes || work->events;
        lists[count++] = work->events;
    }
    carrier->ret_first = &first;
    if (!group->lone && !send_own(carrier, &lock_patiently))
        carrier->lost = true;
    enum fh_code code =
        carrier->lost ? FH_CONFLICT
                      : postgresql_append_all(carrier, lists, count, group->numbers, &group->error);
    CRASH_POINT("postgresql.group_written");
    if (code != FH_OK) {
        postgresql_work_rollback(carrier);
        return group_again(&group->error);
    }
    code = postgresql_work_commit(carrier, &group->error);
    if (code == FH_OK && publishes)
        number_group(store, group, first);
    for (struct postgresql_work *work = group->first; work; work = work->next) {
        if (code == FH_OK)
            praise_statement(work->first);
        else if (code != FH_UNAVAILABLE)
            blame_statement(work->first);
    }
    return code == FH_OK || code == FH_UNAVAILABLE ? code : group_again(&group->error);
}

/* The last of its units of work has ended. */
static void group_end(struct postgresql_store *store, struct postgresql_group *group)
{
    if (group->broken) {
        postgresql_work_rollback(group->carrier);
        group->code = group_again(&group->error);
    } else {
        group->code = commit_group(store, group);
    }
    group->over = true;
    fiber_wake_all(&group->ended);
    group_over(store);
}

static enum fh_code member_commit(struct postgresql_work *work, struct fh_error *error)
{
    struct postgresql_group *group = work->group;
    if (--group->open == 0)
        group_end(store_of_member(work), group);
    while (!group->over)
        fiber_wait(&group->ended);
    enum fh_code code = group->code;
    if (code != FH_OK && error)
        *error = group->error;
    group_free(group);
    return code;
}

/* The member's handler failed, or it has broken the group already. */
static void member_rollback(struct postgresql_work *work)
{
    struct postgresql_group *group = work->group;
    if (!group->broken && !group->lone)
        blame_statement(work->first);
    group->broken = true;
    if (--group->open == 0)
        group_end(store_of_member(work), group);
    group_free(group);
}

/* ---- Members or not ---- */

enum fh_code postgresql_commit(struct store_work *base, struct fh_error *error)
{
    struct postgresql_work *work = (struct postgresql_work *)base;
    if (work->published_count)
        return postgresql_published_commit(work, error);
    if (!work->group)
        return postgresql_work_commit(work, error);
    enum fh_code code = member_commit(work, error);
    postgresql_work_end(work);
    return code;
}

void postgresql_rollback(struct store_work *base)
{
    struct postgresql_work *work = (struct postgresql_work *)base;
    if (work->group)
        member_rollback(work);
    postgresql_work_rollback(work);
}
