/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_DECIDE_H
#define SAGA_DECIDE_H

/*
 * What a saga does next: pure functions from (rules, state, one happening) to the next state. No
 * time, no randomness, no store, no network, so that every order of happenings and every crash
 * between two of them can be walked through (tests/unit/saga_decide_test.c does).
 *
 * The state alone says what is due (saga_due, saga_element_due): whoever holds a stored state,
 * after a crash too, reads from it what to ask, undo or run. A happening that does not change the
 * state is either of no concern (a late answer) or means: the same again, after a pause.
 */

#include <stdbool.h>
#include <stdint.h>

#include "freehold.h"

#define SAGA_STEPS_MAX 32
#define SAGA_ELEMENTS_MAX 1000 /* of one step */
#define SAGA_PARALLEL_MAX 16   /* elements of one step under way at once */
#define SAGA_TEXT_SIZE 224     /* a sentence */

/* What of a definition decides. */
struct saga_rules {
    const char *name;
    int step_count;
    int pivot;   /* the last step whose *no* compensates; step_count: every step's does */
    bool undone; /* a handler runs in the work that ends a compensated saga */
    struct {
        const char *name;
        bool run;     /* runs here; otherwise a request */
        bool undo;    /* has an undo route */
        bool outside; /* goes out of the system, where nothing can be asked for or undone */
        int no[8];    /* up to the first 0 */
    } steps[SAGA_STEPS_MAX];
};

enum saga_status {
    SAGA_RUNNING,
    SAGA_COMPENSATING,
    SAGA_ENDED,
    SAGA_UNDONE,
    SAGA_PARKED,
    SAGA_ABANDONED /* parked, and given up by a person: see abandon.c; nothing decides it here */
};

enum saga_element_state {
    SAGA_UNSTORED, /* its step has not begun */
    SAGA_STORED,   /* its request is stored, and was not sent */
    SAGA_SENT,     /* may have been sent: doubtful until answered */
    SAGA_DONE,
    SAGA_REFUSED,
    SAGA_TAKEN_BACK, /* its undo was answered `undone` */
    SAGA_NEVER       /* its undo was answered `never` */
};

struct saga_element {
    int16_t state;   /* enum saga_element_state; no padding, so that states compare as bytes */
    int16_t attempt; /* from 1; rises only by an operator's word */
};

struct saga_state {
    enum saga_status status;
    bool back;       /* it goes, or when parked was going, back */
    bool lived;      /* its store was restored since it began: a lost life may have sent any step */
    int step;        /* under way; -1: all undone, the undone handler is left */
    int reason_step; /* the step that made it go back or park, -1: none */
    int reason_status;
    char reason_detail[SAGA_TEXT_SIZE];
    char why[SAGA_TEXT_SIZE]; /* one sentence: why it is parked */
    uint16_t
        first[SAGA_STEPS_MAX + 1]; /* each step's first element; the last: how many there are */
    struct saga_element *elements; /* the caller's */
};

enum saga_outcome {
    SAGA_OUTCOME_NONE,
    SAGA_OUTCOME_DONE,
    SAGA_OUTCOME_REFUSED,
    SAGA_OUTCOME_UNDONE,
    SAGA_OUTCOME_NEVER,
    SAGA_OUTCOME_PENDING,
    SAGA_OUTCOME_CLOSED,
    SAGA_OUTCOME_MISMATCH,
    SAGA_OUTCOME_FIXED
};

enum saga_happened {
    SAGA_STARTED,
    SAGA_ANSWERED,        /* or not: outcome none, status 0 */
    SAGA_HANDLED,         /* the run or undone handler succeeded */
    SAGA_HANDLER_REFUSED, /* with status and detail */
    SAGA_HANDLER_FAILED,  /* for reasons that may pass */
    SAGA_DEADLINE,
    SAGA_BROKEN, /* it cannot be carried on as declared: detail says why */
    SAGA_RETRIED,
    SAGA_SKIPPED,     /* a person has seen to what is under way: on, as if it were done */
    SAGA_TURNED_BACK, /* a person wants it back; see saga_may_turn_back */
    SAGA_RELIVED,     /* its store was restored: all is asked, or undone, once more */
    SAGA_LOST         /* the receiver of that element was restored, and has lost what it answered */
};

struct saga_happening {
    enum saga_happened what;
    int step, element; /* SAGA_ANSWERED: of which; the element within its step */
    int attempt;
    bool undo; /* the answer to its undo */
    enum saga_outcome outcome;
    int status;
    const char *detail; /* or NULL */
};

enum saga_verdict {
    SAGA_IGNORE, /* of no concern any more */
    SAGA_AGAIN,  /* nothing to store: the same again after a pause */
    SAGA_CHANGED /* store the state, then do what is due */
};

enum saga_due {
    SAGA_DUE_NOTHING, /* ended, undone or parked */
    SAGA_DUE_ASK,     /* send the requests of the step's elements that are due */
    SAGA_DUE_UNDO,    /* send their undo requests */
    SAGA_DUE_RUN,     /* run the step's handler */
    SAGA_DUE_UNDONE   /* run the undone handler */
};

/* A saga before SAGA_STARTED. counts: elements of each step (1 where it has no `each`). `elements`
 * has room for all of them. */
void saga_state_init(const struct saga_rules *rules, const int *counts, struct saga_state *state,
                     struct saga_element *elements);
/* `elements` becomes the copy's; it has room. */
void saga_state_copy(const struct saga_rules *rules, const struct saga_state *from,
                     struct saga_state *to, struct saga_element *elements);

enum saga_verdict saga_decide(const struct saga_rules *rules, struct saga_state *state,
                              const struct saga_happening *happening);
/* May a parked saga be taken back? NULL, or in one sentence why not: it goes back already, or
 * something was done that nothing undoes. `why` is the sentence's room. */
const char *saga_may_turn_back(const struct saga_rules *rules, const struct saga_state *state,
                               char why[static SAGA_TEXT_SIZE]);
/* Does SAGA_DEADLINE mean anything to it as it is? */
bool saga_minds_time(const struct saga_rules *rules, const struct saga_state *state);
enum saga_due saga_due(const struct saga_rules *rules, const struct saga_state *state);
/* Of state->step, where that is SAGA_DUE_ASK or SAGA_DUE_UNDO: is this one to be sent until it is
 * answered? More than SAGA_PARALLEL_MAX may be: whoever sends keeps to that bound. */
bool saga_element_due(const struct saga_rules *rules, const struct saga_state *state, int element);

static inline int saga_elements(const struct saga_state *state, int step)
{
    return state->first[step + 1] - state->first[step];
}
static inline struct saga_element *saga_element(const struct saga_state *state, int step,
                                                int element)
{
    return &state->elements[state->first[step] + element];
}

enum saga_outcome saga_outcome_of(const char *text); /* Freehold-Outcome's value, or NULL */
/* As stored: "running", "compensating", "ended", "undone", "parked", "abandoned"; -1: none. */
const char *saga_status_name(enum saga_status status);
int saga_status_of(const char *name);
/* "stored", "sent", "done", "refused", "undone", "never". */
const char *saga_element_state_name(enum saga_element_state state);
int saga_element_state_of(const char *name);

#endif
