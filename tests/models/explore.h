/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_EXPLORE_H
#define TESTS_EXPLORE_H

/*
 * Models of a mechanism, explored exhaustively: every state that any order of its steps leads to,
 * breadth first, so that a schedule that breaks something is a shortest one.
 *
 * A state is a plain struct of bytes without padding that holds anything: equal states are equal
 * byte by byte. Faults carry budgets, so that there are finitely many states, and so that each may
 * happen but need not. A rule of the mechanism is a field of the state that no step changes: a test
 * asserts that all is well with every rule, and that without any one of them something is caught.
 *
 * Progress: from every state some way leads on to a goal. In a finite graph that is: every run that
 * is fair to all steps ends in a goal.
 *
 * The schedules are printed where one was not expected, and all of them with FREEHOLD_SCHEDULES=1.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct explore;

struct explore_model {
    const char *name;
    size_t size; /* of a state */
    /* Calls explore_step for each step that may be taken here. */
    void (*next)(struct explore *explore, const void *state);
    const char *(*bad)(const void *state); /* what is broken in it, or NULL */
    bool (*goal)(const void *state);       /* all is done; NULL: progress is not looked at */
};

/* One step, as a line of the schedule tells it, and the state behind it. */
void explore_step(struct explore *explore, const void *after, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct explored {
    const char *bad; /* what is broken, or NULL */
    size_t states, steps;
};
struct explored explore_run(const struct explore_model *model, const void *first);

/* For test cases: all is well, and there were more than a handful of states. */
void explore_holds(const struct explore_model *model, const void *first);
#define EXPLORE_NO_PROGRESS "there is no way on"
/* It is not: `bad` is what is caught. */
void explore_catches(const struct explore_model *model, const void *first, const char *bad);
/* A test case of models whose states say in `without` which rules are broken: `begin` makes the
 * first state, and without `rule` it is `what` that is caught. */
#define EXPLORE_CAUGHT(name, model, begin, rule, what)                                             \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        __typeof__(begin()) first = begin();                                                       \
        first.without[rule] = 1;                                                                   \
        explore_catches(&(model), &first, what);                                                   \
    }
/* 1 with FREEHOLD_DEEP=1, else 0: what is added to budgets where that takes minutes. */
uint8_t explore_deep(void);

#endif
