/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: several units of work in one commit, used for events. Each member's handler runs on its
 * own fiber, so that the members ask other services side by side. At its first use of the store a
 * member stops at the gate. When all have reached the gate or their end, one transaction is opened,
 * its fence is checked, and the members go on inside it, one after the other, in order.
 *
 * All or nothing: the first failure ends the batch, and members still at the gate are ended.
 */

#include "work/batch.h"
#include "base/crash.h"

#include <stdlib.h>

enum member_state { MEMBER_ASKING, MEMBER_AT_GATE, MEMBER_RUNNING, MEMBER_ENDED };

struct member {
    struct work_gate *gate;
    fh_work *work;
    struct fiber *fiber;
    enum member_state state;
};

struct work_gate {
    struct member *members;
    int count;
    int asking; /* members that have reached neither the gate nor their end */
    struct fiber *coordinator;
    bool waiting; /* the coordinator is parked */
    bool cancelled;
    struct store_work *store_work;
};

static struct member *member_of(fh_work *w)
{
    for (int i = 0; i < w->gate->count; i++) {
        if (w->gate->members[i].work == w)
            return &w->gate->members[i];
    }
    error_assertion_failed("a work is a member of its batch", __FILE__, __LINE__);
}

static void tell_coordinator(struct work_gate *gate)
{
    if (!gate->waiting)
        return;
    gate->waiting = false;
    fiber_ready(gate->coordinator);
}

static void arrived(struct member *member, enum member_state state)
{
    if (member->state == MEMBER_ASKING)
        member->gate->asking--;
    member->state = state;
    tell_coordinator(member->gate);
}

struct store_work *work_gate_pass(fh_work *w)
{
    struct member *member = member_of(w);
    arrived(member, MEMBER_AT_GATE);
    fiber_park();
    if (member->gate->cancelled) {
        struct fh_error error;
        error_set(&error, FH_CONFLICT, "The batch was ended.");
        work_fail(w, &error);
    }
    return member->gate->store_work;
}

static void member_run(void *argument)
{
    struct member *member = argument;
    bool by_fence;
    member->fiber = fiber_self();
    work_handler_run(member->work, &by_fence);
    member->work->store_work = NULL; /* the batch's, not the member's own */
    member->work->phase = WORK_ENDED;
    arrived(member, MEMBER_ENDED);
}

static void coordinator_wait(struct work_gate *gate)
{
    gate->waiting = true;
    fiber_park();
}

static void wait_for_asking(struct work_gate *gate)
{
    while (gate->asking)
        coordinator_wait(gate);
}

static void let_run(struct work_gate *gate, struct member *member)
{
    member->state = MEMBER_RUNNING;
    fiber_ready(member->fiber);
    while (member->state != MEMBER_ENDED)
        coordinator_wait(gate);
}

static void cancel(struct work_gate *gate)
{
    gate->cancelled = true;
    for (int i = 0; i < gate->count; i++) {
        if (gate->members[i].state == MEMBER_AT_GATE)
            let_run(gate, &gate->members[i]);
    }
}

/* The first member that failed, or -1. */
static int first_failed(struct work_gate *gate)
{
    for (int i = 0; i < gate->count; i++) {
        if (gate->members[i].state == MEMBER_ENDED && gate->members[i].work->failure.code != FH_OK)
            return i;
    }
    return -1;
}

static enum fh_code members_run(struct work_gate *gate, int *ret_failed, struct fh_error *error)
{
    for (int i = 0; i < gate->count; i++) {
        struct member *member = &gate->members[i];
        if (member->state == MEMBER_AT_GATE)
            let_run(gate, member);
        if (member->work->failure.code != FH_OK) {
            *ret_failed = i;
            *error = member->work->failure;
            return member->work->failure.code;
        }
    }
    return FH_OK;
}

static enum fh_code apply(struct work_context *context, struct work_gate *gate,
                          struct work_fence *fence, enum store_mode mode, int *ret_failed,
                          struct fh_error *error)
{
    enum fh_code code = store_begin(context->store, mode, &gate->store_work, error);
    if (code != FH_OK) {
        trouble_note(context->troubles, TROUBLE_WRITES, context->world, code, error);
        return code;
    }
    CRASH_POINT("cursor.opened");
    if (fence && fence->check(fence, gate->store_work, error) == WORK_IS_OVER)
        code = error->code;
    CRASH_POINT("cursor.moved");
    if (code == FH_OK)
        code = members_run(gate, ret_failed, error);
    if (code != FH_OK) {
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
    gate->asking = gate->count;
    for (int i = 0; i < gate->count; i++) {
        struct member *member = &gate->members[i];
        member->state = MEMBER_ASKING;
        member->work->gate = gate;
        if (!fiber_start(context->world->fibers, member_run, member)) {
            member->work->failure.code = FH_NO_MEMORY;
            arrived(member, MEMBER_ENDED);
        }
    }
    wait_for_asking(gate);
    *ret_failed = first_failed(gate);
    enum fh_code code;
    if (*ret_failed >= 0) {
        code = gate->members[*ret_failed].work->failure.code;
        *error = gate->members[*ret_failed].work->failure;
    } else {
        code = apply(context, gate, fence, mode, ret_failed, error);
    }
    cancel(gate);
    return code;
}

enum fh_code work_batch(struct work_context *context, fh_work **works, int count,
                        struct work_fence *fence, int *ret_failed, struct fh_error *error)
{
    FH_ASSERT(count > 0);
    struct work_gate gate = {.count = count, .coordinator = fiber_self()};
    gate.members = calloc((size_t)count, sizeof *gate.members);
    FH_ASSERT(gate.members != NULL);
    for (int i = 0; i < count; i++) {
        gate.members[i] = (struct member){.gate = &gate, .work = works[i]};
        work_record_begin(works[i]);
    }
    struct fh_error why = {0};
    enum fh_code code;
    struct work_tries tries = {0};
    for (;;) {
        enum store_mode mode = work_tries_mode(&tries);
        code = batch_once(context, &gate, fence, mode, ret_failed, &why);
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
        works[i]->gate = NULL;
    }
    if (code == FH_OK)
        context->counters.committed++;
    else
        *error = why;
    free(gate.members);
    return code;
}
