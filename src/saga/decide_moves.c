/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moves that decisions are made of: forward, back, and to a stop. Each leaves the state at the
 * step that is due next, with its elements marked as sent where their requests may go out.
 */

#include "saga/decide_moves.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

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

/* ---- A stop ---- */

void decide_reason(struct saga_state *state, int step, int status, const char *detail)
{
    state->reason_step = step;
    state->reason_status = status;
    snprintf(state->reason_detail, sizeof state->reason_detail, "%s", detail ? detail : "");
    text_mend_end(state->reason_detail);
}

enum saga_verdict decide_park(struct saga_state *state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state->why, sizeof state->why, format, arguments);
    va_end(arguments);
    text_mend_end(state->why);
    state->status = SAGA_PARKED;
    return SAGA_CHANGED;
}

const char *decide_step_name(const struct saga_rules *rules, int step)
{
    return step >= 0 ? rules->steps[step].name : "undone";
}

/* ---- Forward ---- */

bool decide_all_done(const struct saga_state *state, int step)
{
    for (int i = 0; i < saga_elements(state, step); i++) {
        if (saga_element(state, step, i)->state != SAGA_DONE)
            return false;
    }
    return true;
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

/* ---- Back ---- */

bool decide_is_asked(const struct saga_rules *rules, int step)
{
    return !rules->steps[step].run && !rules->steps[step].outside;
}

bool decide_needs_undo(const struct saga_element *element)
{
    return element->state == SAGA_SENT || element->state == SAGA_DONE ||
           element->state == SAGA_REFUSED;
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
