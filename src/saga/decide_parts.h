/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_DECIDE_PARTS_H
#define SAGA_DECIDE_PARTS_H

/* What decide.c and decide_again.c share; they explain it. */

#include "saga/decide.h"

/* decide.c */
bool decide_all_done(const struct saga_state *state, int step);
bool decide_is_asked(const struct saga_rules *rules, int step); /* by a request to a service */
bool decide_needs_undo(const struct saga_element *element);
void decide_send_more(struct saga_state *state);
/* Go forward from `step`, or back from state->step, skipping whatever is settled. */
void decide_begin(const struct saga_rules *rules, struct saga_state *state, int step);
void decide_go_back(const struct saga_rules *rules, struct saga_state *state);
void decide_reason(struct saga_state *state, int step, int status, const char *detail);
enum saga_verdict decide_park(struct saga_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *decide_step_name(const struct saga_rules *rules, int step);

/* decide_again.c */
/* When a saga that lived before a restore goes back: any request may have been sent. `outside`:
 * even those that leave the system. */
void decide_doubt_all(const struct saga_rules *rules, struct saga_state *state, bool outside);
enum saga_verdict decide_retry(const struct saga_rules *rules, struct saga_state *state);
enum saga_verdict decide_skip(const struct saga_rules *rules, struct saga_state *state);
enum saga_verdict decide_take_back(const struct saga_rules *rules, struct saga_state *state);
enum saga_verdict decide_relive(const struct saga_rules *rules, struct saga_state *state);
enum saga_verdict decide_lose(const struct saga_rules *rules, struct saga_state *state,
                              const struct saga_happening *happening);

#endif
