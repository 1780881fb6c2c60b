/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: several units of work in one commit, used for events. Each member's handler runs on its
 * own fiber, so that the members ask other services side by side. At its first use of the store a
 * member stops at the gate. When all have reached the gate or their end, one transaction is opened,
 * its fence is checked, and the members go on inside it, one after the other, in order. Some
 * engines let a member send its statement before that of the one before it is answered
 * (store_member).
 *
 * Where a commit changes one document, members that only make new ones may share it; one that does
 * more fails and `parts` (store.h).
 *
 * Where none of the handlers asks, as most don't, that order costs a stack for each of them, which
 * no cache holds. So they run on one fiber, from the beginning to the end each, in the transaction.
 * One that asks ends the batch before it has waited for anything; all run again as above, and
 * whoever runs the batch remembers it. On a server one that waits for a statement's answer does the
 * same: others could send theirs meanwhile.
 *
 * All or nothing: the first failure ends the batch, and members still at the gate are ended.
 */

#include "work/batch.h"

#include <stdlib.h>

#include "base/crash.h"
#include "work/gate.h"
#include "world/world.h"

#define TURNS_AT_ONCE 8 /* then other fibers get theirs */
/* Those of a large batch may take this long until it is committed: nobody else can write
 * meanwhile. */
#define LARGE_RUN_NS INT64_C(3000000)

static void run_member(void *argument)
{
    struct gate_member *member = argument;
    bool by_fence;
    member->fiber = fiber_self();
    work_handler_run(member->work, &by_fence);
    member->work->store_work = NULL; /* the batch's, not the member's own */
    member->work->phase = WORK_ENDED;
    gate_arrived(member, MEMBER_ENDED);
}

/* What is left of one that neither the commit nor anybody after it looks at. The next one finds its
 * memory where it is still in the cache. */
static void forget_run(fh_work *w)
{
    if (w->hooks_first || w->noted || w->appended || w->unanswered)
        return;
    arena_release(&w->arena);
    w->reply_body = NULL;
    w->cast.data = NULL;
    w->reply_header_count = 0;
    w->document_changed = NULL;
}

static void run_in_turn(void *argument)
{
    struct work_gate *gate = argument;
    for (int i = 0; i < gate->count; i++) {
        struct gate_member *member = &gate->members[i];
        bool by_fence;
        gate_enter(gate, member);
        work_handler_run(member->work, &by_fence);
        member->work->store_work = NULL;
        member->work->phase = WORK_ENDED;
        gate_leave(gate, member);
        if (member->work->failure.code != FH_OK)
            break;
        member->work->unanswered = NULL; /* what fails now names none of its statements */
        forget_run(member->work);
        if (i % TURNS_AT_ONCE == TURNS_AT_ONCE - 1)
            fiber_yield();
    }
    gate_ran(gate);
}

static enum fh_code members_in_turn(struct work_gate *gate, int *ret_failed, struct fh_error *error)
{
    struct world *world = gate->members[0].work->context->world;
    gate->runs = fiber_start(world->fibers, run_in_turn, gate);
    if (!gate->runs)
        gate->members[0].work->failure.code = FH_NO_MEMORY;
    gate_wait_for_turns(gate);
    *ret_failed = gate_first_failed(gate);
    if (*ret_failed < 0)
        return FH_OK;
    fh_work *failed = gate->members[*ret_failed].work;
    failed->parts = gate->store_work->parts;
    *error = failed->failure;
    return failed->failure.code;
}

/* To their ends, in order, up to member `last`. */
static enum fh_code batch_finish(struct work_gate *gate, int last, int *ret_failed,
                                 struct fh_error *error)
{
    for (int i = 0; i <= last; i++) {
        struct gate_member *member = &gate->members[i];
        while (gate_is_stopped(member))
            gate_let_through(gate, member, true);
        if (member->work->failure.code != FH_OK) {
            member->work->parts = gate->store_work->parts;
            *ret_failed = i;
            *error = member->work->failure;
            return member->work->failure.code;
        }
    }
    return FH_OK;
}

/* Of several that fail, the first one is told: one behind it, which failed before, may have done so
 * for its sake. */
static enum fh_code members_run(struct work_gate *gate, int *ret_failed, struct fh_error *error)
{
    if (gate->in_turn)
        return members_in_turn(gate, ret_failed, error);
    enum fh_code code = FH_OK;
    int ended = 0; /* those before it have */
    for (int i = 0; i < gate->count && code == FH_OK; i++) {
        struct gate_member *member = &gate->members[i];
        if (member->state == MEMBER_AT_GATE)
            gate_let_through(gate, member, ended == i);
        if (member->state == MEMBER_SENT)
            continue;
        if (ended < i || member->work->failure.code != FH_OK)
            code = batch_finish(gate, i, ret_failed, error);
        ended = i + 1;
    }
    return code == FH_OK ? batch_finish(gate, gate->count - 1, ret_failed, error) : code;
}

static enum fh_code members_run_timed(struct work_gate *gate, int *ret_failed,
                                      struct fh_error *error)
{
    struct world *world = gate->members[0].work->context->world;
    int64_t began_ns = world_monotonic_ns(world);
    enum fh_code code = members_run(gate, ret_failed, error);
    if (gate->habits && code == FH_OK)
        gate->habits->run_ns = (world_monotonic_ns(world) - began_ns) / gate->count + 1;
    return code;
}

static enum fh_code apply_batch(struct work_context *context, struct work_gate *gate,
                                struct work_fence *fence, enum store_mode mode, int *ret_failed,
                                struct fh_error *error)
{
    enum fh_code code = store_begin(context->store, mode, &gate->store_work, error);
    if (code != FH_OK) {
        trouble_note(context->troubles, TROUBLE_WRITES, context->world, code, error);
        return code;
    }
    gate->store_work->joint = gate->count > 1;
    gate->store_work->habits = gate->habits ? &gate->habits->store : NULL;
    CRASH_POINT("cursor.opened");
    if (fence && fence->check(fence, gate->store_work, error) == WORK_IS_OVER)
        code = error->code;
    CRASH_POINT("cursor.moved");
    if (code == FH_OK)
        code = members_run_timed(gate, ret_failed, error);
    if (code != FH_OK) {
        gate_cancel(gate);
        store_rollback(gate->store_work);
        return code;
    }
    CRASH_POINT("cursor.applied");
    code = store_commit(gate->store_work, error);
    CRASH_POINT("cursor.durable");
    trouble_note(context->troubles, TROUBLE_WRITES, context->world, code, error);
    return code;
}

static enum fh_code batch_once(struct work_context *context, struct work_gate *gate,
                               struct work_fence *fence, enum store_mode mode, int *ret_failed,
                               struct fh_error *error)
{
    gate->cancelled = false;
    gate->store_work = NULL;
    gate->asking = gate->count;
    for (int i = 0; i < gate->count; i++) {
        struct gate_member *member = &gate->members[i];
        member->state = gate->in_turn ? MEMBER_ENDED : MEMBER_ASKING;
        member->work->member = member;
        member->work->failure.code = FH_OK; /* of those that do not even begin */
    }
    *ret_failed = -1;
    if (gate->in_turn)
        return apply_batch(context, gate, fence, mode, ret_failed, error);
    for (int i = 0; i < gate->count; i++) {
        struct gate_member *member = &gate->members[i];
        if (!fiber_start(context->world->fibers, run_member, member)) {
            member->work->failure.code = FH_NO_MEMORY;
            gate_arrived(member, MEMBER_ENDED);
        }
    }
    gate_wait_for_asking(gate);
    *ret_failed = gate_first_failed(gate);
    enum fh_code code;
    if (*ret_failed >= 0) {
        code = gate->members[*ret_failed].work->failure.code;
        *error = gate->members[*ret_failed].work->failure;
    } else {
        code = apply_batch(context, gate, fence, mode, ret_failed, error);
    }
    gate->store_work = NULL; /* it has ended */
    gate_cancel(gate);
    return code;
}

static bool runs_in_turn(const struct work_context *context, const struct work_batch_habits *habits)
{
    const struct engine *engine = context->store->engine;
    return habits && !habits->asks && (!engine->server || engine_can(engine, ENGINE_DEFERS));
}

int work_batch_size(const struct work_context *context, const struct work_batch_habits *habits)
{
    bool quick = habits->run_ns && habits->run_ns <= LARGE_RUN_NS / WORK_BATCH_MAX;
    bool embedded = !context->store->engine->server; /* on PostgreSQL it was no faster */
    return embedded && quick && runs_in_turn(context, habits) ? WORK_BATCH_MAX : WORK_BATCH_SMALL;
}

enum fh_code work_batch(struct work_context *context, fh_work **works, int count,
                        struct work_fence *fence, struct work_batch_habits *habits, int *ret_failed,
                        struct fh_error *error)
{
    FH_ASSERT(count > 0);
    struct work_gate gate = {.count = count, .coordinator = fiber_self(), .habits = habits};
    gate.in_turn = runs_in_turn(context, habits);
    gate.members = calloc((size_t)count, sizeof *gate.members);
    FH_ASSERT(gate.members != NULL);
    for (int i = 0; i < count; i++) {
        gate.members[i] = (struct gate_member){.gate = &gate, .work = works[i]};
        work_record_begin(works[i]);
    }
    struct fh_error why = {0};
    enum fh_code code;
    struct work_tries tries = {0};
    for (;;) {
        enum store_mode mode = work_tries_mode(&tries);
        code = batch_once(context, &gate, fence, mode, ret_failed, &why);
        if (gate.has_asked) {
            gate.has_asked = gate.in_turn = false;
            habits->asks = true;
            continue;
        }
        if (code != FH_CONFLICT || !why.retryable ||
            !work_retry(context, &tries, works[0]->deadline_ns))
            break;
        context->counters.reruns++;
    }
    if (code == FH_OK)
        work_sequence(works, count);
    for (int i = 0; i < count; i++) {
        if (code == FH_OK)
            work_committed(works[i]);
        works[i]->member = NULL;
    }
    if (code == FH_OK)
        context->counters.committed++;
    else
        *error = why;
    free(gate.members);
    return code;
}

bool work_batch_is_outage(enum fh_code code, const struct fh_error *error, const fh_work *failed)
{
    if (failed && failed->cast.running) /* it depends on nothing that could be away */
        return false;
    if (failed && store_is_late(error)) /* else nobody would ever park it */
        return false;
    if (failed && code == FH_UNAVAILABLE)
        return failed->reply_status >= 502 && failed->reply_status <= 504;
    if (failed && code == FH_NO_MEMORY)
        return !failed->replied; /* there was no fiber for it */
    return code == FH_UNAVAILABLE || (code == FH_CONFLICT && error->retryable);
}
