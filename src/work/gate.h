/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_GATE_H
#define WORK_GATE_H

/*
 * The gate of a batch (batch.c): at its first use of the store a member stops here, until the
 * coordinator, which is the fiber that runs the batch, lets it through or ends it.
 */

#include "work/work.h"

enum gate_member_state { MEMBER_ASKING, MEMBER_AT_GATE, MEMBER_RUNNING, MEMBER_ENDED };

struct gate_member {
    struct work_gate *gate;
    fh_work *work;
    struct fiber *fiber;
    enum gate_member_state state;
};

struct work_gate {
    struct gate_member *members;
    int count;
    int asking; /* members that have reached neither the gate nor their end */
    struct fiber *coordinator;
    bool waiting; /* the coordinator is parked */
    bool cancelled;
    struct store_work *store_work;
};

/* Called by a member of a batch at its first use of the store: parks until it is the member's turn,
 * and returns the batch's one open transaction. Ends the member if the batch has failed. */
struct store_work *work_gate_pass(fh_work *w);

/* On a member's fiber, or the coordinator's: the member is there now. */
void gate_arrived(struct gate_member *member, enum gate_member_state state);

/* On the coordinator's fiber. */
void gate_wait_for_asking(struct work_gate *gate); /* until no member is asking any more */
void gate_let_through(struct work_gate *gate,
                      struct gate_member *member);   /* and waits for its end */
void gate_cancel(struct work_gate *gate);            /* ends the members that are at the gate */
int gate_first_failed(const struct work_gate *gate); /* the first member that failed, or -1 */

#endif
