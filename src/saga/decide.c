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
 * After a restore of its own store (`lived`) a saga asks again from its first step, and on its way
 * back undoes every step, sent or not: the incarnation that the restore cut off may have sent it.
 * If a receiver was restored, it is asked again for what it has lost, or to undo that again.
 */

#include "saga/decide.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "saga/decide_parts.h"

void saga_state_init(const struct saga_rules *rules, const int *counts, struct saga_state *state,
                     struct saga_element *elements)
{
    memset(state, 0, sizeof *state);
    state->status = SAGA_RUNNING;
    state->reason_step = -1;
    state->elements = elements;
    for (int i = 0; i < rules->step_count; i++) {
        FH_ASSERT(counts[i] >= 0 && counts[i] <= SAGA_ELEMENTS_MAX);
        state->first[i + 1] = (uint16_t)(state->first[i] + counts[i]);
    }
    for (int i = 0; i < state->first[rules->step_count]; i++)
        elements[i] = (struct saga_element){.state = SAGA_UNSTORED, .attempt = 1};
}

void saga_state_copy(const struct saga_rules *rules, const struct saga_state *from,
                     struct saga_state *to, struct saga_element *elements)
{
    *to = *from;
    to->elements = elements;
    memcpy(elements, from->elements, from->first[rules->step_count] * sizeof *elements);
}

/* Marks stored elements of the step as sent, up to the bound. */
void decide_send_more(struct saga_state *state)
{
    int sent = 0, count = saga_elements(state, state->step);
    for (int i = 0; i < count; i++)
        sent += saga_element(state, state->step, i)->state == SAGA_SENT;
    for (int i = 0; i < count && sent < SAGA_PARALLEL_MAX; i++) {
        struct saga_element *element = saga_element(state, state->step, i);
        if (element->state == SAGA_STORED) {
            element->state = SAGA_SENT;
            sent++;
        }
    }
}

bool decide_all_done(const struct saga_state *state, int step)
{
    for (int i = 0; i < saga_elements(state, step); i++) {
        if (saga_element(state, step, i)->state != SAGA_DONE)
            return false;
    }
    return true;
}

/* Goes forward, past steps that have no elements or are done. */
void decide_begin(const struct saga_rules *rules, struct saga_state *state, int step)
{
    while (step < rules->step_count && decide_all_done(state, step))
        step++;
    state->step = step;
    if (step == rules->step_count) {
        state->status = SAGA_ENDED;
        return;
    }
    for (int i = 0; i < saga_elements(state, step); i++) {
        if (saga_element(state, step, i)->state != SAGA_DONE)
            saga_element(state, step, i)->state = SAGA_STORED;
    }
    if (!rules->steps[step].run)
        decide_send_more(state);
}

bool decide_is_asked(const struct saga_rules *rules, int step)
{
    return !rules->steps[step].run && !rules->steps[step].outside;
}

bool decide_needs_undo(const struct saga_element *element)
{
    return element->state == SAGA_SENT || element->state == SAGA_DONE ||
           element->state == SAGA_REFUSED;
}

/* Goes back, past steps that need no undo. */
void decide_go_back(const struct saga_rules *rules, struct saga_state *state)
{
    for (; state->step >= 0; state->step--) {
        bool left = false;
        for (int i = 0; i < saga_elements(state, state->step); i++) {
            struct saga_element *element = saga_element(state, state->step, i);
            if (!decide_needs_undo(element))
                continue;
            if (rules->steps[state->step].run)
                element->state =
                    SAGA_TAKEN_BACK; /* its effects are here, for the undone handler to undo */
            else if (!rules->steps[state->step].undo && element->state == SAGA_REFUSED)
                element->state = SAGA_NEVER;
            else
                left =
                    true; /* with no undo route, the step's own route answers `never` or `fixed` */
        }
        if (left && rules->steps[state->step].outside) {
            decide_park(state,
                        "Step %s goes out of the system: it was or may have been done there before "
                        "the restore, and nothing undoes it.",
                        rules->steps[state->step].name);
            return;
        }
        if (left)
            return;
    }
    if (!rules->undone)
        state->status = SAGA_UNDONE;
}

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

/* Removes a character that was cut in half at the end. */
static void mend_end(char text[static SAGA_TEXT_SIZE])
{
    size_t length = strlen(text);
    if (length < SAGA_TEXT_SIZE - 1)
        return;
    size_t lead = length - 1;
    while (lead > 0 && ((unsigned char)text[lead] & 0xC0) == 0x80)
        lead--;
    unsigned char first = (unsigned char)text[lead];
    size_t needed = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (lead + needed > length)
        text[lead] = '\0';
}

void decide_reason(struct saga_state *state, int step, int status, const char *detail)
{
    state->reason_step = step;
    state->reason_status = status;
    snprintf(state->reason_detail, sizeof state->reason_detail, "%s", detail ? detail : "");
    mend_end(state->reason_detail);
}

enum saga_verdict decide_park(struct saga_state *state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state->why, sizeof state->why, format, arguments);
    va_end(arguments);
    mend_end(state->why);
    state->status = SAGA_PARKED;
    return SAGA_CHANGED;
}

const char *decide_step_name(const struct saga_rules *rules, int step)
{
    return step >= 0 ? rules->steps[step].name : "undone";
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
static enum saga_verdict refuse(const struct saga_rules *rules, struct saga_state *state,
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

static enum saga_verdict answered(const struct saga_rules *rules, struct saga_state *state,
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
        return refuse(rules, state, happening);
    case SAGA_OUTCOME_UNDONE:
    case SAGA_OUTCOME_NEVER:
        element->state = SAGA_REFUSED; /* undone before it arrived: a *no* */
        return refuse(rules, state, happening);
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
static enum saga_verdict hear(const struct saga_rules *rules, struct saga_state *state,
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
                           : answered(rules, state, happening);
}

static enum saga_verdict handled(const struct saga_rules *rules, struct saga_state *state,
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
        return refuse(rules, state, happening);
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

static enum saga_verdict deadline(const struct saga_rules *rules, struct saga_state *state)
{
    if (!saga_minds_time(rules, state))
        return SAGA_IGNORE;
    decide_reason(state, state->step, 504, "The saga's deadline passed.");
    if (!past_pivot(rules, state))
        return turn_back(rules, state);
    return decide_park(state, "The deadline passed after the pivot, at step %s.",
                       decide_step_name(rules, state->step));
}

enum saga_verdict saga_decide(const struct saga_rules *rules, struct saga_state *state,
                              const struct saga_happening *happening)
{
    switch (happening->what) {
    case SAGA_STARTED:
        decide_begin(rules, state, 0);
        return SAGA_CHANGED;
    case SAGA_ANSWERED:
        return hear(rules, state, happening);
    case SAGA_HANDLED:
    case SAGA_HANDLER_REFUSED:
    case SAGA_HANDLER_FAILED:
        return handled(rules, state, happening);
    case SAGA_DEADLINE:
        return deadline(rules, state);
    case SAGA_BROKEN:
        if (saga_due(rules, state) == SAGA_DUE_NOTHING)
            return SAGA_IGNORE;
        return decide_park(state, "%s", happening->detail);
    case SAGA_RETRIED:
        return decide_retry(rules, state);
    case SAGA_SKIPPED:
        return decide_skip(rules, state);
    case SAGA_TURNED_BACK:
        return decide_take_back(rules, state);
    case SAGA_RELIVED:
        return decide_relive(rules, state);
    case SAGA_LOST:
        return decide_lose(rules, state, happening);
    }
    return SAGA_IGNORE;
}

enum saga_due saga_due(const struct saga_rules *rules, const struct saga_state *state)
{
    if (state->status == SAGA_COMPENSATING)
        return state->step < 0 ? SAGA_DUE_UNDONE : SAGA_DUE_UNDO;
    if (state->status == SAGA_RUNNING)
        return rules->steps[state->step].run ? SAGA_DUE_RUN : SAGA_DUE_ASK;
    return SAGA_DUE_NOTHING;
}

bool saga_element_due(const struct saga_rules *rules, const struct saga_state *state, int element)
{
    (void)rules;
    if (element < 0 || element >= saga_elements(state, state->step))
        return false;
    const struct saga_element *asked = saga_element(state, state->step, element);
    return state->status == SAGA_COMPENSATING ? decide_needs_undo(asked)
                                              : asked->state == SAGA_SENT;
}
