/* SPDX-License-Identifier: Apache-2.0 */
/* Members wait at the gate, and the coordinator for members: only one of these fibers runs at a
 * time once the transaction is open. */

#include "work/gate.h"

static void wake_coordinator(struct work_gate *gate)
{
    if (!gate->waiting)
        return;
    gate->waiting = false;
    fiber_ready(gate->coordinator);
}

void gate_arrived(struct gate_member *member, enum gate_member_state state)
{
    if (member->state == MEMBER_ASKING)
        member->gate->asking--;
    member->state = state;
    wake_coordinator(member->gate);
}

struct store_work *work_gate_pass(fh_work *w)
{
    struct gate_member *member = w->member;
    if (member->gate->in_turn)
        return member->gate->store_work;
    gate_arrived(member, MEMBER_AT_GATE);
    fiber_park();
    if (member->gate->cancelled) {
        struct fh_error error;
        error_set(&error, FH_CONFLICT, "The batch was ended.");
        work_fail(w, &error);
    }
    return member->gate->store_work;
}

void work_gate_asks(fh_work *w)
{
    struct fh_error error;
    struct work_gate *gate = w->member->gate;
    if (!gate->in_turn)
        return;
    gate->has_asked = true;
    error_set(&error, FH_CONFLICT, "The batch runs again.");
    work_fail(w, &error);
}

void work_gate_question(fh_work *w)
{
    struct work_gate *gate = w->member ? w->member->gate : NULL;
    while (gate && gate->questioned)
        fiber_wait(&gate->questions);
    if (gate)
        gate->questioned = true;
}

void work_gate_answered(fh_work *w)
{
    struct work_gate *gate = w->member ? w->member->gate : NULL;
    if (!gate)
        return;
    gate->questioned = false;
    fiber_wake_one(&gate->questions);
}

static void coordinator_wait(struct work_gate *gate)
{
    gate->waiting = true;
    fiber_park();
}

void gate_wait_for_asking(struct work_gate *gate)
{
    while (gate->asking)
        coordinator_wait(gate);
}

void gate_ran(struct work_gate *gate)
{
    gate->runs = false;
    wake_coordinator(gate);
}

void gate_wait_for_turns(struct work_gate *gate)
{
    while (gate->runs)
        coordinator_wait(gate);
}

static bool gate_stop(struct gate_member *member, enum gate_member_state state)
{
    if (member->gate->cancelled)
        return false;
    gate_arrived(member, state);
    fiber_park();
    return !member->gate->cancelled;
}

/* store_member.turn */
static bool take_turn(struct store_member *in_store)
{
    struct gate_member *member = (struct gate_member *)in_store;
    return member->in_turn || gate_stop(member, MEMBER_OUT_OF_TURN);
}

/* store_member.sent */
static bool let_others_send(struct store_member *in_store)
{
    struct gate_member *member = (struct gate_member *)in_store;
    struct work_gate *gate = member->gate;
    if (gate->in_turn)
        return true;
    if (member == &gate->members[gate->count - 1])
        return take_turn(in_store);
    in_store->overtaken = true;
    return gate_stop(member, MEMBER_SENT);
}

void gate_enter(struct work_gate *gate, struct gate_member *member)
{
    member->in_store = (struct store_member){.turn = take_turn, .sent = let_others_send};
    member->in_turn = true;
    gate->store_work->member = &member->in_store;
}

void gate_leave(struct work_gate *gate, struct gate_member *member)
{
    struct store_work *work = gate->store_work;
    if (work->store->ops->member_ended)
        work->store->ops->member_ended(work, member->work->failure.code == FH_OK);
    work->member = NULL;
}

bool gate_is_stopped(const struct gate_member *member)
{
    return member->state == MEMBER_AT_GATE || member->state == MEMBER_SENT ||
           member->state == MEMBER_OUT_OF_TURN;
}

void gate_let_through(struct work_gate *gate, struct gate_member *member, bool in_turn)
{
    struct store_work *work = gate->store_work;
    if (member->state == MEMBER_AT_GATE)
        member->in_store = (struct store_member){.turn = take_turn, .sent = let_others_send};
    member->state = MEMBER_RUNNING;
    member->in_turn = in_turn;
    if (work)
        work->member = &member->in_store;
    fiber_ready(member->fiber);
    while (member->state == MEMBER_RUNNING)
        coordinator_wait(gate);
    if (work && member->state == MEMBER_ENDED && work->store->ops->member_ended)
        work->store->ops->member_ended(work, member->work->failure.code == FH_OK);
    if (work)
        work->member = NULL;
}

void gate_cancel(struct work_gate *gate)
{
    gate->cancelled = true;
    for (int i = 0; i < gate->count; i++) {
        if (gate_is_stopped(&gate->members[i]))
            gate_let_through(gate, &gate->members[i], true);
    }
}

int gate_first_failed(const struct work_gate *gate)
{
    for (int i = 0; i < gate->count; i++) {
        if (gate->members[i].state == MEMBER_ENDED && gate->members[i].work->failure.code != FH_OK)
            return i;
    }
    return -1;
}
