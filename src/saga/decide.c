/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision. A saga runs its steps in order, the elements of one step in parallel, and either
 * ends, or turns back and is undone, or is parked for an operator:
 *
 *     running, step k     every element done           → step k + 1, or ended
 *                         a *no*, up to the pivot      → compensating, from step k down
 *                         a *no*, after it             → parked
 *                         deadline, up to the pivot    → compensating; after it → parked, except
 *                                                        at a run handler
 *                         closed, mismatch, fixed      → parked
 *     compensating        every sent element of step k undone or never → step k - 1, or the undone
 *                                                        handler, then undone
 *                         fixed, closed                → parked
 *     parked              an operator's retry          → in the direction in which it was going
 *                         an operator's skip           → the same, past the current step
 *                         an operator's compensate     → compensating, if all of it can be undone
 *
 * An answer without an outcome, and any status that the step does not declare as a *no*, means: try
 * the same again after a pause. Invariants: nothing is asked of a step before all earlier ones are
 * done; an element that may have been sent is never forgotten on the way back, not even a refused
 * one (a late copy with a higher attempt could still run); a saga that has turned back never turns
 * again.
 *
 * After a restore:
 *
 *     of its own store    forward: every request again, from the first step, with the same keys.
 *     (`lived`)           Back: every step is undone, sent or not: the incarnation that the restore
 *                         cut off may have sent it. A parked saga waits for an operator, then does
 *                         the same
 *     of a receiver       forward: what it did is asked again. Back: what it undid is undone again
 */

#include "saga/decide.h"

#include <stdio.h>

#include "saga/decide_moves.h"

/* The step has no undo, and some of it was done or may have been: the pivot itself is in doubt. */
static bool cannot_go_back(const struct saga_rules *rules, const struct saga_state *state)
{
    if (rules->steps[state->step].run || rules->steps[state->step].undo)
        return false;
    for (int i = 0; i < saga_elements(state, state->step); i++) {
        int element = saga_element(state, state->step, i)->state;
        if (element == SAGA_SENT || element == SAGA_DONE)
            return true;
    }
    return false;
}

/* Is any of that step done, or of a later one? Steps after the current one can be done only if the
 * current one is being asked again after a restore. */
static bool done_from(const struct saga_rules *rules, const struct saga_state *state, int step)
{
    for (int at = state->first[step]; at < state->first[rules->step_count]; at++) {
        if (state->elements[at].state == SAGA_DONE)
            return true;
    }
    return false;
}

static bool past_pivot(const struct saga_rules *rules, const struct saga_state *state)
{
    int behind = state->step + 1 > rules->pivot ? state->step + 1 : rules->pivot;
    return state->step > rules->pivot || done_from(rules, state, behind);
}

static enum saga_verdict turn_back(const struct saga_rules *rules, struct saga_state *state)
{
    if (cannot_go_back(rules, state))
        return decide_park(state,
                           "Step %s has no undo, and some of it was done or may have been: %s",
                           decide_step_name(rules, state->step), state->reason_detail);
    state->status = SAGA_COMPENSATING;
    state->back = true;
    if (done_from(rules, state, state->step + 1))
        state->step = rules->step_count - 1;
    decide_doubt_all(rules, state, true);
    decide_go_back(rules, state);
    return SAGA_CHANGED;
}

/* The current step was refused. */
static enum saga_verdict refuse_step(const struct saga_rules *rules, struct saga_state *state,
                                     const struct saga_happening *happening)
{
    decide_reason(state, state->step, happening->status, happening->detail);
    if (!past_pivot(rules, state))
        return turn_back(rules, state);
    if (state->step <= rules->pivot)
        return decide_park(
            state,
            "Step %s was asked again after a restore, when the saga was past its pivot, "
            "and refused with status %d: %s",
            decide_step_name(rules, state->step), happening->status, state->reason_detail);
    return decide_park(state, "Step %s comes after the pivot and was refused with status %d: %s",
                       decide_step_name(rules, state->step), happening->status,
                       state->reason_detail);
}

static bool is_no(const struct saga_rules *rules, int step, int status)
{
    const int *no = rules->steps[step].no;
    for (int i = 0; i < 8 && no[i]; i++)
        if (no[i] == status)
            return true;
    return false;
}

static enum saga_verdict element_done(const struct saga_rules *rules, struct saga_state *state,
                                      struct saga_element *element)
{
    element->state = SAGA_DONE;
    for (int i = 0; i < saga_elements(state, state->step); i++) {
        if (saga_element(state, state->step, i)->state != SAGA_DONE) {
            decide_send_more(state);
            return SAGA_CHANGED;
        }
    }
    decide_begin(rules, state, state->step + 1);
    return SAGA_CHANGED;
}

static const char *outcome_meaning(enum saga_outcome outcome)
{
    if (outcome == SAGA_OUTCOME_CLOSED)
        return "the receiver says this saga is closed";
    if (outcome == SAGA_OUTCOME_MISMATCH)
        return "the receiver knows this key with another request";
    return "the receiver can't undo what it did";
}

static enum saga_verdict step_answered(const struct saga_rules *rules, struct saga_state *state,
                                       const struct saga_happening *happening)
{
    struct saga_element *element = saga_element(state, happening->step, happening->element);
    switch (happening->outcome) {
    case SAGA_OUTCOME_NONE:
    case SAGA_OUTCOME_PENDING:
        return SAGA_AGAIN;
    case SAGA_OUTCOME_DONE:
        return element_done(rules, state, element);
    case SAGA_OUTCOME_REFUSED:
        if (!is_no(rules, happening->step, happening->status))
            return SAGA_AGAIN;
        element->state = SAGA_REFUSED;
        return refuse_step(rules, state, happening);
    case SAGA_OUTCOME_UNDONE:
    case SAGA_OUTCOME_NEVER:
        element->state = SAGA_REFUSED; /* undone before it arrived: a *no* */
        return refuse_step(rules, state, happening);
    case SAGA_OUTCOME_CLOSED:
    case SAGA_OUTCOME_MISMATCH:
    case SAGA_OUTCOME_FIXED:
        break;
    }
    decide_reason(state, happening->step, happening->status, outcome_meaning(happening->outcome));
    return decide_park(state, "Step %s, element %d: %s.", decide_step_name(rules, happening->step),
                       happening->element, state->reason_detail);
}

static enum saga_verdict undo_answered(const struct saga_rules *rules, struct saga_state *state,
                                       const struct saga_happening *happening)
{
    struct saga_element *element = saga_element(state, happening->step, happening->element);
    switch (happening->outcome) {
    case SAGA_OUTCOME_NONE:
    case SAGA_OUTCOME_PENDING:
    case SAGA_OUTCOME_DONE:
    case SAGA_OUTCOME_REFUSED:
        return SAGA_AGAIN;
    case SAGA_OUTCOME_UNDONE:
    case SAGA_OUTCOME_NEVER:
        element->state = happening->outcome == SAGA_OUTCOME_UNDONE ? SAGA_TAKEN_BACK : SAGA_NEVER;
        decide_go_back(rules, state);
        return SAGA_CHANGED;
    case SAGA_OUTCOME_CLOSED:
    case SAGA_OUTCOME_MISMATCH:
    case SAGA_OUTCOME_FIXED:
        break;
    }
    return decide_park(state, "Undoing step %s, element %d: %s.",
                       decide_step_name(rules, happening->step), happening->element,
                       outcome_meaning(happening->outcome));
}

/* Takes only the answer to what is being asked now. */
static enum saga_verdict hear_step_answer(const struct saga_rules *rules, struct saga_state *state,
                                          const struct saga_happening *happening)
{
    enum saga_due due = saga_due(rules, state);
    if (due != (happening->undo ? SAGA_DUE_UNDO : SAGA_DUE_ASK) || happening->step != state->step)
        return SAGA_IGNORE;
    const struct saga_element *element = saga_element(state, state->step, happening->element);
    if (!saga_element_due(rules, state, happening->element) ||
        element->attempt != happening->attempt)
        return SAGA_IGNORE;
    return happening->undo ? undo_answered(rules, state, happening)
                           : step_answered(rules, state, happening);
}

static enum saga_verdict handler_ended(const struct saga_rules *rules, struct saga_state *state,
                                       const struct saga_happening *happening)
{
    enum saga_due due = saga_due(rules, state);
    if (due != SAGA_DUE_RUN && due != SAGA_DUE_UNDONE)
        return SAGA_IGNORE;
    if (happening->what == SAGA_HANDLER_FAILED)
        return SAGA_AGAIN;
    if (happening->what == SAGA_HANDLED) {
        if (due == SAGA_DUE_RUN)
            return element_done(rules, state, saga_element(state, state->step, 0));
        state->status = SAGA_UNDONE;
        return SAGA_CHANGED;
    }
    if (due == SAGA_DUE_RUN && !is_no(rules, state->step, happening->status))
        return SAGA_AGAIN;
    if (due == SAGA_DUE_RUN) {
        saga_element(state, state->step, 0)->state = SAGA_REFUSED;
        return refuse_step(rules, state, happening);
    }
    return decide_park(state, "All is undone, but the undone handler refused with status %d: %s",
                       happening->status, happening->detail ? happening->detail : "");
}

/* After the pivot a run handler waits for nothing but its own store: its duration means nothing,
 * and an operator could do no more than let it run. */
bool saga_minds_time(const struct saga_rules *rules, const struct saga_state *state)
{
    return state->status == SAGA_RUNNING &&
           !(rules->steps[state->step].run && past_pivot(rules, state));
}

static enum saga_verdict deadline_passes(const struct saga_rules *rules, struct saga_state *state)
{
    if (!saga_minds_time(rules, state))
        return SAGA_IGNORE;
    decide_reason(state, state->step, 504, "The saga's deadline passed.");
    if (!past_pivot(rules, state))
        return turn_back(rules, state);
    return decide_park(state, "The deadline passed after the pivot, at step %s.",
                       decide_step_name(rules, state->step));
}

/* ---- Once more, by an operator or after a restore ---- */

/* Asks again from the first step on, with the same requests: a receiver that has their answers
 * repeats them. Steps that ran here, and answers from outside, are in the store and are not
 * repeated. */
static void ask_steps_again(const struct saga_rules *rules, struct saga_state *state)
{
    for (int step = 0; step < rules->step_count; step++) {
        for (int i = 0; i < saga_elements(state, step) && decide_is_asked(rules, step); i++) {
            struct saga_element *element = saga_element(state, step, i);
            if (element->state != SAGA_UNSTORED)
                element->state = SAGA_STORED;
        }
    }
    decide_begin(rules, state, 0);
}

static bool all_done_before(const struct saga_state *state, int step)
{
    while (--step >= 0) {
        if (!decide_all_done(state, step))
            return false;
    }
    return true;
}

/* Only an operator raises attempts: a receiver runs a refused element again if its attempt is
 * higher. */
static bool is_tried_again(const struct saga_element *element)
{
    return element->state == SAGA_SENT || element->state == SAGA_REFUSED;
}

static enum saga_verdict retry_parked(const struct saga_rules *rules, struct saga_state *state)
{
    char why[SAGA_TEXT_SIZE];
    if (saga_may_retry(rules, state, why))
        return SAGA_IGNORE;
    state->why[0] = '\0';
    if (state->back) {
        state->status = SAGA_COMPENSATING;
        decide_go_back(rules, state);
        return SAGA_CHANGED;
    }
    state->status = SAGA_RUNNING;
    for (int i = 0; i < saga_elements(state, state->step); i++) {
        struct saga_element *element = saga_element(state, state->step, i);
        if (!is_tried_again(element))
            continue;
        element->attempt++;
        element->state = rules->steps[state->step].run ? SAGA_STORED : SAGA_SENT;
    }
    if (state->lived)
        ask_steps_again(rules, state);
    else if (!all_done_before(state, state->step)) /* some was lost since */
        decide_begin(rules, state, 0);
    else if (!rules->steps[state->step].run)
        decide_send_more(state);
    return SAGA_CHANGED;
}

const char *saga_may_retry(const struct saga_rules *rules, const struct saga_state *state,
                           char why[static SAGA_TEXT_SIZE])
{
    if (state->status != SAGA_PARKED) {
        snprintf(why, SAGA_TEXT_SIZE, "The saga is not parked.");
        return why;
    }
    for (int i = 0; !state->back && i < saga_elements(state, state->step); i++) {
        const struct saga_element *element = saga_element(state, state->step, i);
        if (!is_tried_again(element) || element->attempt < SAGA_ATTEMPTS_MAX)
            continue;
        snprintf(why, SAGA_TEXT_SIZE,
                 "Step %s was tried %d times, and can't be retried any more: skip it, or turn the "
                 "saga back.",
                 decide_step_name(rules, state->step), element->attempt);
        return why;
    }
    return NULL;
}

/* What an operator has dealt with counts as done, or as undone on the way back. */
static enum saga_verdict skip_step(const struct saga_rules *rules, struct saga_state *state)
{
    if (state->status != SAGA_PARKED)
        return SAGA_IGNORE;
    state->why[0] = '\0';
    if (state->back && state->step < 0) {
        state->status = SAGA_UNDONE;
        return SAGA_CHANGED;
    }
    for (int i = 0; i < saga_elements(state, state->step); i++) {
        struct saga_element *element = saga_element(state, state->step, i);
        if (!state->back)
            element->state = SAGA_DONE;
        else if (decide_needs_undo(element))
            element->state = SAGA_TAKEN_BACK;
    }
    state->status = state->back ? SAGA_COMPENSATING : SAGA_RUNNING;
    if (state->back)
        decide_go_back(rules, state);
    else
        decide_begin(rules, state, state->step + 1);
    return SAGA_CHANGED;
}

const char *saga_may_turn_back(const struct saga_rules *rules, const struct saga_state *state,
                               char why[static SAGA_TEXT_SIZE])
{
    if (state->status != SAGA_PARKED || state->back) {
        snprintf(why, SAGA_TEXT_SIZE, "%s",
                 state->back ? "The saga goes back already: retry it, or skip what it is at."
                             : "The saga is not parked.");
        return why;
    }
    for (int step = 0; step <= state->step; step++) {
        bool undone = rules->steps[step].run ? rules->undone : rules->steps[step].undo;
        for (int i = 0; i < saga_elements(state, step) && !undone; i++) {
            int element = saga_element(state, step, i)->state;
            if (element != SAGA_SENT && element != SAGA_DONE)
                continue;
            snprintf(why, SAGA_TEXT_SIZE,
                     "Step %s was done, or may have been, and nothing undoes it.",
                     decide_step_name(rules, step));
            return why;
        }
    }
    return NULL;
}

static enum saga_verdict take_saga_back(const struct saga_rules *rules, struct saga_state *state)
{
    char why[SAGA_TEXT_SIZE];
    if (saga_may_turn_back(rules, state, why))
        return SAGA_IGNORE;
    state->why[0] = '\0';
    if (state->reason_step < 0)
        decide_reason(state, state->step, 409, "An operator took it back.");
    state->status = SAGA_COMPENSATING;
    state->back = true;
    decide_doubt_all(rules, state, true);
    decide_go_back(rules, state);
    return SAGA_CHANGED;
}

/* A parked saga waits for an operator, then asks again or undoes everything. */
static enum saga_verdict relive_saga(const struct saga_rules *rules, struct saga_state *state)
{
    if (!state->lived || saga_due(rules, state) == SAGA_DUE_NOTHING)
        return SAGA_IGNORE;
    if (state->status == SAGA_RUNNING) {
        ask_steps_again(rules, state);
    } else {
        decide_doubt_all(rules, state, false);
        decide_go_back(rules, state);
    }
    return SAGA_CHANGED;
}

static enum saga_verdict lose_answer(const struct saga_rules *rules, struct saga_state *state,
                                     const struct saga_happening *happening)
{
    struct saga_element *element = saga_element(state, happening->step, happening->element);
    bool was_undone = element->state == SAGA_TAKEN_BACK || element->state == SAGA_NEVER;
    if (state->status == SAGA_ENDED || state->status == SAGA_UNDONE ||
        (state->back ? !was_undone : element->state != SAGA_DONE))
        return SAGA_IGNORE;
    element->state = state->back ? SAGA_SENT : SAGA_STORED;
    if (state->status == SAGA_RUNNING)
        decide_begin(rules, state, 0);
    if (state->back)
        state->step = rules->step_count - 1;
    if (state->status == SAGA_COMPENSATING)
        decide_go_back(rules, state);
    return SAGA_CHANGED;
}

/* ---- Any happening ---- */

enum saga_verdict saga_decide(const struct saga_rules *rules, struct saga_state *state,
                              const struct saga_happening *happening)
{
    switch (happening->what) {
    case SAGA_STARTED:
        decide_begin(rules, state, 0);
        return SAGA_CHANGED;
    case SAGA_ANSWERED:
        return hear_step_answer(rules, state, happening);
    case SAGA_HANDLED:
    case SAGA_HANDLER_REFUSED:
    case SAGA_HANDLER_FAILED:
        return handler_ended(rules, state, happening);
    case SAGA_DEADLINE:
        return deadline_passes(rules, state);
    case SAGA_BROKEN:
        if (saga_due(rules, state) == SAGA_DUE_NOTHING)
            return SAGA_IGNORE;
        return decide_park(state, "%s", happening->detail);
    case SAGA_RETRIED:
        return retry_parked(rules, state);
    case SAGA_SKIPPED:
        return skip_step(rules, state);
    case SAGA_TURNED_BACK:
        return take_saga_back(rules, state);
    case SAGA_RELIVED:
        return relive_saga(rules, state);
    case SAGA_LOST:
        return lose_answer(rules, state, happening);
    }
    return SAGA_IGNORE;
}
