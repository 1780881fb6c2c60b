/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a saga's steps began, were settled and were undone, by the wall clock, for those who read
 * it: nothing is decided by these. They are kept in the saga's state, as
 *
 *     "times": [[begun_ms, settled_ms, undone_ms], ...]     steps in order; 0, or not there:
 * unknown
 *
 * A time is taken when a state is first about to be stored in which that is so. If it can't be
 * stored, and what is stored in the end is another state, the times that do not hold in that one
 * are forgotten. What an earlier version stored has no times: its past stays unknown.
 */

#include "base/json.h"
#include "base/text.h"
#include "saga/manager.h"

#define UNKNOWN_MS (-1) /* it is so, but nobody noted since when */

static bool has_step_begun(const struct saga_state *state, int step)
{
    for (int i = 0; i < saga_elements(state, step); i++) {
        if (saga_element(state, step, i)->state != SAGA_UNSTORED)
            return true;
    }
    return false;
}

static bool is_step_settled(const struct saga_state *state, int step)
{
    for (int i = 0; i < saga_elements(state, step); i++) {
        int16_t is = saga_element(state, step, i)->state;
        if (is == SAGA_UNSTORED || is == SAGA_STORED || is == SAGA_SENT)
            return false;
    }
    return true;
}

/* The saga has passed it on its way back, and something of it was undone. */
static bool is_step_undone(const struct saga_state *state, int step)
{
    if (!state->back || state->step >= step)
        return false;
    for (int i = 0; i < saga_elements(state, step); i++) {
        int16_t is = saga_element(state, step, i)->state;
        if (is == SAGA_TAKEN_BACK || is == SAGA_NEVER)
            return true;
    }
    return false;
}

static void note_time(int64_t *time_ms, bool is_so, int64_t now_ms)
{
    if (!is_so)
        *time_ms = 0;
    else if (*time_ms == 0)
        *time_ms = now_ms;
}

void saga_times_take(struct saga_times *times, const struct saga_rules *rules,
                     const struct saga_state *state, int64_t now_ms)
{
    for (int step = 0; step < rules->step_count; step++) {
        /* A step over an empty list has nothing to begin: it is passed. */
        bool empty = saga_elements(state, step) == 0;
        bool begun = has_step_begun(state, step) || (empty && state->step > step);
        note_time(&times[step].begun_ms, begun, now_ms);
        note_time(&times[step].settled_ms, begun && is_step_settled(state, step), now_ms);
        note_time(&times[step].undone_ms, is_step_undone(state, step), now_ms);
    }
}

static void add_step_time(struct text *text, const char *before, int64_t time_ms)
{
    text_add(text, before);
    text_integer(text, time_ms == UNKNOWN_MS ? 0 : time_ms);
}

void saga_times_add(const struct saga_times *times, const struct saga_rules *rules,
                    struct text *text)
{
    int count = rules->step_count;
    while (count > 0 && times[count - 1].begun_ms == 0)
        count--;
    text_add(text, ",\"times\":[");
    for (int step = 0; step < count; step++) {
        const struct saga_times *at = &times[step];
        add_step_time(text, step ? ",[" : "[", at->begun_ms);
        if (at->settled_ms || at->undone_ms)
            add_step_time(text, ",", at->settled_ms);
        if (at->undone_ms)
            add_step_time(text, ",", at->undone_ms);
        text_add(text, "]");
    }
    text_add(text, "]");
}

struct saga_times saga_times_of(const json_t *state, int step)
{
    const json_t *one =
        step < 0 ? NULL : json_array_get(json_object_get(state, "times"), (size_t)step);
    return (struct saga_times){.begun_ms = json_integer_value(json_array_get(one, 0)),
                               .settled_ms = json_integer_value(json_array_get(one, 1)),
                               .undone_ms = json_integer_value(json_array_get(one, 2))};
}

void saga_times_load(struct saga_times *times, const struct saga_rules *rules,
                     const struct saga_state *state, const json_t *stored)
{
    for (int step = 0; step < rules->step_count; step++)
        times[step] = saga_times_of(stored, step);
    saga_times_take(times, rules, state, UNKNOWN_MS);
}
