/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_GATE_H
#define WORK_GATE_H

/*
 * The gate of a batch (batch.c): at its first use of the store a member stops here, until the
 * coordinator, which is the fiber that runs the batch, lets it through or ends it. Where the engine
 * can, it stops once more when its statement was sent, for the next ones to send theirs.
 */

#include "work/work.h"

enum gate_member_state {
    MEMBER_ASKING,
    MEMBER_AT_GATE,
    MEMBER_RUNNING,
    MEMBER_SENT,        /* its statement was sent, and is to be answered (store_member) */
    MEMBER_OUT_OF_TURN, /* wants to do something else, and members before it have not ended */
    MEMBER_ENDED
};

struct gate_member {
    struct store_member in_store; /* first: it is cast from */
    struct work_gate *gate;
    fh_work *work;
    struct fiber *fiber;
    enum gate_member_state state;
    bool in_turn;
};

struct work_gate {
    struct gate_member *members;
    int count;
    int asking; /* members that have reached neither the gate nor their end */
    struct fiber *coordinator;
    bool waiting; /* the coordinator is parked */
    bool cancelled;
    struct store_work *store_work;
    /* All on one fiber, each from its beginning to its end, while the transaction is open. */
    bool in_turn;
    bool runs;      /* that fiber */
    bool has_asked; /* one of them would have waited: for others' answers, or for a server's */
    struct work_batch_habits *habits; /* or NULL */
    bool questioned; /* one of them asks the store a question (work_gate_question) */
    struct fiber_queue questions;
};

/* Called by a member of a batch at its first use of the store: parks until it is the member's turn,
 * and returns the batch's one open transaction. Ends the member if the batch has failed. */
struct store_work *work_gate_pass(fh_work *w);
/* Called by a member before it asks for anything that is not of the transaction. Ends it, where
 * that is open already. */
void work_gate_asks(fh_work *w);

/* Around a question to the store that may take long, by whatever unit of work: the members of a
 * batch ask theirs one after the other, as they would take up the whole line otherwise. */
void work_gate_question(fh_work *w);
void work_gate_answered(fh_work *w);

/* On a member's fiber, or the coordinator's: the member is there now. */
void gate_arrived(struct gate_member *member, enum gate_member_state state);

void gate_ran(struct work_gate *gate); /* on the one fiber of all */

/* On the coordinator's fiber. */
void gate_wait_for_asking(struct work_gate *gate); /* until no member is asking any more */
void gate_wait_for_turns(struct work_gate *gate);  /* until gate_ran */
/* Lets a member run on, and waits until it has ended, has sent its statement, or is out of turn.
 * `in_turn`: all before it have ended. */
void gate_let_through(struct work_gate *gate, struct gate_member *member, bool in_turn);
bool gate_is_stopped(const struct gate_member *member);
/* On the one fiber of all, around a member's run. */
void gate_enter(struct work_gate *gate, struct gate_member *member);
void gate_leave(struct work_gate *gate, struct gate_member *member);
void gate_cancel(struct work_gate *gate);            /* ends the members that have not ended */
int gate_first_failed(const struct work_gate *gate); /* the first member that failed, or -1 */

#endif
