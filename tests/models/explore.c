/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See explore.h. All states lie in one array in the order in which they were found, each with the
 * one it was found from; a table of their numbers finds equal ones, compared in full. The steps are
 * kept as pairs of numbers; from the goals they are walked backwards, and a state that is not come
 * to can't get on. Labels are made only for what is printed, by taking its steps once more.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STATES_MAX ((size_t)20000000)
#define STATES_MIN 16 /* fewer, and the model does nothing */
#define NONE UINT32_MAX

struct step {
    uint32_t from, to;
};

struct explore {
    const struct explore_model *model;
    char *states;
    uint32_t *found_from, *table;
    struct step *steps;
    size_t count, capacity, table_size, step_count, step_capacity;
    uint32_t current;
    const void *looked_for; /* for its label */
    char label[200];
};

static void *grown(void *old, size_t count, size_t size)
{
    void *grown = realloc(old, count * size);
    if (!grown) {
        fprintf(stderr, "No memory for a model of %zu.\n", count);
        abort();
    }
    return grown;
}

static const void *state_at(const struct explore *explore, uint32_t number)
{
    return explore->states + number * explore->model->size;
}

static size_t place_of(const struct explore *explore, const void *state)
{
    const unsigned char *bytes = state;
    uint64_t hash = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < explore->model->size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    size_t at = (size_t)hash & (explore->table_size - 1);
    while (explore->table[at] != NONE &&
           memcmp(state_at(explore, explore->table[at]), state, explore->model->size) != 0)
        at = (at + 1) & (explore->table_size - 1);
    return at;
}

static void table_grow(struct explore *explore)
{
    explore->table_size = explore->table_size ? explore->table_size * 2 : 1 << 12;
    explore->table = grown(explore->table, explore->table_size, sizeof *explore->table);
    memset(explore->table, 0xff, explore->table_size * sizeof *explore->table);
    for (uint32_t i = 0; i < explore->count; i++)
        explore->table[place_of(explore, state_at(explore, i))] = i;
}

static uint32_t state_add(struct explore *explore, const void *state, uint32_t from)
{
    if (explore->count * 2 >= explore->table_size)
        table_grow(explore);
    size_t at = place_of(explore, state);
    if (explore->table[at] != NONE)
        return explore->table[at];
    if (explore->count == STATES_MAX) {
        fprintf(stderr, "%s has more than %zu states.\n", explore->model->name, STATES_MAX);
        abort();
    }
    if (explore->count == explore->capacity) {
        explore->capacity = explore->capacity ? explore->capacity * 2 : 1 << 10;
        explore->states = grown(explore->states, explore->capacity, explore->model->size);
        explore->found_from =
            grown(explore->found_from, explore->capacity, sizeof *explore->found_from);
    }
    uint32_t number = (uint32_t)explore->count++;
    memcpy(explore->states + number * explore->model->size, state, explore->model->size);
    explore->found_from[number] = from;
    explore->table[at] = number;
    return number;
}

void explore_step(struct explore *explore, const void *after, const char *format, ...)
{
    if (explore->looked_for) {
        if (memcmp(explore->looked_for, after, explore->model->size) != 0 || explore->label[0])
            return;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(explore->label, sizeof explore->label, format, arguments);
        va_end(arguments);
        return;
    }
    uint32_t to = state_add(explore, after, explore->current);
    if (!explore->model->goal || to == explore->current)
        return;
    if (explore->step_count == explore->step_capacity) {
        explore->step_capacity = explore->step_capacity ? explore->step_capacity * 2 : 1 << 12;
        explore->steps = grown(explore->steps, explore->step_capacity, sizeof *explore->steps);
    }
    explore->steps[explore->step_count++] = (struct step){.from = explore->current, .to = to};
}

/* ---- Schedules ---- */

static void schedule_print(struct explore *explore, uint32_t end, const char *bad)
{
    uint32_t *path = NULL;
    size_t length = 0;
    for (uint32_t at = end; at != NONE; at = explore->found_from[at]) {
        path = grown(path, length + 1, sizeof *path);
        path[length++] = at;
    }
    printf("# %s: %s\n", explore->model->name, bad);
    char *state = grown(NULL, 1, explore->model->size);
    for (size_t i = length - 1; i > 0; i--) {
        explore->looked_for = state_at(explore, path[i - 1]);
        explore->label[0] = '\0';
        memcpy(state, state_at(explore, path[i]), explore->model->size);
        explore->model->next(explore, state);
        printf("#   %2zu. %s\n", length - i, explore->label);
    }
    explore->looked_for = NULL;
    free(state);
    free(path);
}

/* ---- Progress ---- */

/* The first state from which no goal can be come to, or NONE. */
static uint32_t stuck(const struct explore *explore)
{
    size_t count = explore->count;
    uint32_t *begin = calloc(count + 2, sizeof *begin), *before, *queue;
    before = grown(NULL, explore->step_count + 1, sizeof *before);
    queue = grown(NULL, count, sizeof *queue);
    bool *gets_on = calloc(count, sizeof *gets_on);
    if (!begin || !gets_on)
        abort();
    for (size_t i = 0; i < explore->step_count; i++)
        begin[explore->steps[i].to + 2]++;
    for (size_t i = 2; i < count + 2; i++)
        begin[i] += begin[i - 1];
    for (size_t i = 0; i < explore->step_count; i++)
        before[begin[explore->steps[i].to + 1]++] = explore->steps[i].from;
    size_t first = 0, end = 0;
    for (uint32_t i = 0; i < count; i++) {
        gets_on[i] = explore->model->goal(state_at(explore, i));
        if (gets_on[i])
            queue[end++] = i;
    }
    while (first < end) {
        uint32_t at = queue[first++];
        for (uint32_t i = begin[at]; i < begin[at + 1]; i++) {
            if (!gets_on[before[i]])
                queue[end++] = before[i];
            gets_on[before[i]] = true;
        }
    }
    uint32_t found = NONE;
    for (uint32_t i = 0; i < count && found == NONE; i++)
        found = gets_on[i] ? NONE : i;
    free(begin);
    free(before);
    free(queue);
    free(gets_on);
    return found;
}

/* ---- Exploring ---- */

/* The number of the state in which something is broken, or NONE. */
static uint32_t walk(struct explore *explore, const char **ret_bad)
{
    const struct explore_model *model = explore->model;
    char *state = grown(NULL, 1, model->size);
    uint32_t found = NONE;
    for (uint32_t i = 0; i < explore->count && found == NONE; i++) {
        *ret_bad = model->bad(state_at(explore, i));
        if (*ret_bad) {
            found = i;
            break;
        }
        memcpy(state, state_at(explore, i), model->size); /* which may move */
        explore->current = i;
        model->next(explore, state);
    }
    free(state);
    return found;
}

static struct explored run(const struct explore_model *model, const void *first, bool expected)
{
    struct explore explore = {.model = model};
    struct explored explored = {0};
    state_add(&explore, first, NONE);
    uint32_t found = walk(&explore, &explored.bad);
    if (found == NONE && model->goal) {
        found = stuck(&explore);
        explored.bad = found == NONE ? NULL : EXPLORE_NO_PROGRESS;
    }
    if (found != NONE && (!expected || getenv("FREEHOLD_SCHEDULES")))
        schedule_print(&explore, found, explored.bad);
    explored.states = explore.count;
    explored.steps = explore.step_count;
    free(explore.states);
    free(explore.found_from);
    free(explore.table);
    free(explore.steps);
    return explored;
}

struct explored explore_run(const struct explore_model *model, const void *first)
{
    return run(model, first, false);
}

void explore_holds(const struct explore_model *model, const void *first)
{
    struct explored explored = run(model, first, false);
    printf("# %s: %zu states, %zu steps\n", model->name, explored.states, explored.steps);
    assert_null(explored.bad);
    assert_true(explored.states > STATES_MIN);
}

uint8_t explore_deep(void)
{
    return getenv("FREEHOLD_DEEP") ? 1 : 0;
}

void explore_catches(const struct explore_model *model, const void *first, const char *bad)
{
    struct explored explored = run(model, first, true);
    if (!explored.bad)
        print_message("%s: nothing was caught in %zu states\n", model->name, explored.states);
    assert_non_null(explored.bad);
    assert_string_equal(explored.bad, bad);
}
