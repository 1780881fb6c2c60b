/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_DECIDE_MOVES_H
#define SAGA_DECIDE_MOVES_H

/* What decisions (decide.c) are made of. Pure, like them. */

#include "saga/decide.h"

bool decide_all_done(const struct saga_state *state, int step);
bool decide_is_asked(const struct saga_rules *rules, int step); /* by a request to a service */
bool decide_needs_undo(const struct saga_element *element);
/* Marks stored elements of the step as sent, up to the bound. */
void decide_send_more(struct saga_state *state);
/* Go forward from `step`, or back from state->step, skipping whatever is settled. */
void decide_begin(const struct saga_rules *rules, struct saga_state *state, int step);
void decide_go_back(const struct saga_rules *rules, struct saga_state *state);
/* When a saga that lived before a restore goes back: any request may have been sent. `outside`:
 * even those that leave the system. */
void decide_doubt_all(const struct saga_rules *rules, struct saga_state *state, bool outside);
/* Why it goes back or parks; and parks it, with one sentence. */
void decide_reason(struct saga_state *state, int step, int status, const char *detail);
enum saga_verdict decide_park(struct saga_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *decide_step_name(const struct saga_rules *rules, int step);

#endif
