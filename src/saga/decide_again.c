/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions by which something is done once more: when an operator acts on a parked saga, and
 * after a restore of the saga's own store (relive) or of a receiver (lose). Pure, like decide.c.
 *
 *     own store restored   forward: every request again, from the first step, with the same keys.
 *                          Back: every step is undone, sent or not: a lost incarnation may have
 *                          sent it. A parked saga waits for an operator, then does the same.
 *     receiver restored    forward: what it did is asked again. Back: what it undid is undone again
 */

#include <stdio.h>

#include "saga/decide_parts.h"

/* Asks again from the first step on, with the same requests: a receiver that has their answers
 * repeats them. Steps that ran here, and answers from outside, are in the store and are not
 * repeated. */
static void ask_again(const struct saga_rules *rules, struct saga_state *state)
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

/* A lost incarnation may have sent any of its requests. `outside`: including those sent outside. */
void decide_doubt_all(const struct saga_rules *rules, struct saga_state *state, bool outside)
{
    if (!state->lived)
        return;
    state->step = rules->step_count - 1;
    for (int step = 0; step < rules->step_count; step++) {
        bool doubted = decide_is_asked(rules, step) || (outside && rules->steps[step].outside);
        for (int i = 0; i < saga_elements(state, step) && doubted; i++) {
            struct saga_element *element = saga_element(state, step, i);
            if (element->state == SAGA_UNSTORED || element->state == SAGA_STORED)
                element->state = SAGA_SENT;
        }
    }
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
enum saga_verdict decide_retry(const struct saga_rules *rules, struct saga_state *state)
{
    if (state->status != SAGA_PARKED)
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
        if (element->state != SAGA_SENT && element->state != SAGA_REFUSED)
            continue;
        element->attempt++;
        element->state = rules->steps[state->step].run ? SAGA_STORED : SAGA_SENT;
    }
    if (state->lived)
        ask_again(rules, state);
    else if (!all_done_before(state, state->step)) /* some was lost since */
        decide_begin(rules, state, 0);
    else if (!rules->steps[state->step].run)
        decide_send_more(state);
    return SAGA_CHANGED;
}

/* What an operator has dealt with counts as done, or as undone on the way back. */
enum saga_verdict decide_skip(const struct saga_rules *rules, struct saga_state *state)
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

enum saga_verdict decide_take_back(const struct saga_rules *rules, struct saga_state *state)
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

/* A parked saga waits for an operator, then asks again (retry) or undoes everything (take_back). */
enum saga_verdict decide_relive(const struct saga_rules *rules, struct saga_state *state)
{
    if (!state->lived || saga_due(rules, state) == SAGA_DUE_NOTHING)
        return SAGA_IGNORE;
    if (state->status == SAGA_RUNNING) {
        ask_again(rules, state);
    } else {
        decide_doubt_all(rules, state, false);
        decide_go_back(rules, state);
    }
    return SAGA_CHANGED;
}

enum saga_verdict decide_lose(const struct saga_rules *rules, struct saga_state *state,
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
