/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_DECIDE_H
#define SAGA_DECIDE_H

/*
 * What a saga does next: pure functions from (rules, state, one happening) to the next state. No
 * time, no randomness, no store, no network, so a test can walk through every order of happenings
 * and every crash between two of them (tests/unit/saga_decide_test.c does).
 *
 * The state alone says what is due (saga_due, saga_element_due): from a stored state, even after a
 * crash, one can read what to ask, undo or run. A happening that does not change the state either
 * no longer matters (a late answer) or means: try the same again after a pause.
 */

#include <stdbool.h>
#include <stdint.h>

#include "freehold.h"

#define SAGA_STEPS_MAX 32
#define SAGA_ELEMENTS_MAX 1000  /* per step */
#define SAGA_PARALLEL_MAX 16    /* elements of one step in progress at once */
#define SAGA_ATTEMPTS_MAX 10000 /* of one element, by an operator */
#define SAGA_TEXT_SIZE 224      /* one sentence */

/* The part of a definition that decides. */
struct saga_rules {
    const char *name;
    int step_count;
    int pivot;   /* the last step whose *no* compensates; step_count: every step's does */
    bool undone; /* a handler runs in the transaction that ends a compensated saga */
    struct {
        const char *name;
        bool run;     /* it runs here; otherwise it is a request */
        bool undo;    /* it has an undo route */
        bool outside; /* it leaves the system: nothing there can be asked about or undone */
        int no[8];    /* ends at the first 0 */
    } steps[SAGA_STEPS_MAX];
};

enum saga_status {
    SAGA_RUNNING,
    SAGA_COMPENSATING,
    SAGA_ENDED,
    SAGA_UNDONE,
    SAGA_PARKED,
    SAGA_ABANDONED /* parked, then given up by an operator: see abandon.c, not decided here */
};

enum saga_element_state {
    SAGA_UNSTORED, /* its step has not begun */
    SAGA_STORED,   /* its request is stored, but has not been sent */
    SAGA_SENT,     /* may have been sent: in doubt until answered */
    SAGA_DONE,
    SAGA_REFUSED,
    SAGA_TAKEN_BACK, /* its undo was answered `undone` */
    SAGA_NEVER       /* its undo was answered `never` */
};

struct saga_element {
    int16_t state;   /* enum saga_element_state; no padding, so states compare as bytes */
    int16_t attempt; /* from 1 to SAGA_ATTEMPTS_MAX; only an operator raises it */
};

struct saga_state {
    enum saga_status status;
    bool back;       /* it is going back; if parked, it was going back */
    bool lived;      /* its store was restored since: a lost incarnation may have sent any step */
    int step;        /* the current one; -1: all undone, only the undone handler is left */
    int reason_step; /* the step that made it go back or park; -1: none */
    int reason_status;
    char reason_detail[SAGA_TEXT_SIZE];
    char why[SAGA_TEXT_SIZE]; /* why it is parked, in one sentence */
    uint16_t
        first[SAGA_STEPS_MAX + 1]; /* each step's first element; the last: how many there are */
    struct saga_element *elements; /* owned by the caller */
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
    SAGA_ANSWERED,        /* or not: then outcome none, status 0 */
    SAGA_HANDLED,         /* the run or undone handler succeeded */
    SAGA_HANDLER_REFUSED, /* with status and detail */
    SAGA_HANDLER_FAILED,  /* for a reason that may pass */
    SAGA_DEADLINE,
    SAGA_BROKEN, /* it can't be carried on as declared: `detail` says why */
    SAGA_RETRIED,
    SAGA_SKIPPED,     /* an operator has dealt with the current step: continue as if it were done */
    SAGA_TURNED_BACK, /* an operator wants it undone; see saga_may_turn_back */
    SAGA_RELIVED,     /* its store was restored: everything is asked, or undone, once more */
    SAGA_LOST         /* the element's receiver was restored and has lost what it answered */
};

struct saga_happening {
    enum saga_happened what;
    int step, element; /* SAGA_ANSWERED: which one; the element within its step */
    int attempt;
    bool undo; /* it answers the undo */
    enum saga_outcome outcome;
    int status;
    const char *detail; /* or NULL */
};

enum saga_verdict {
    SAGA_IGNORE, /* no longer matters */
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

/* A saga before SAGA_STARTED. counts: elements of each step (1 if it has no `each`). `elements` has
 * space for all of them. */
void saga_state_init(const struct saga_rules *rules, const int *counts, struct saga_state *state,
                     struct saga_element *elements);
/* The copy uses `elements`, which must be large enough. */
void saga_state_copy(const struct saga_rules *rules, const struct saga_state *from,
                     struct saga_state *to, struct saga_element *elements);

enum saga_verdict saga_decide(const struct saga_rules *rules, struct saga_state *state,
                              const struct saga_happening *happening);
/* Can a parked saga be turned back? NULL, or one sentence why not: it is already going back, or
 * something was done that nothing undoes. `why` is the buffer for the sentence. */
const char *saga_may_turn_back(const struct saga_rules *rules, const struct saga_state *state,
                               char why[static SAGA_TEXT_SIZE]);
/* The same of retrying it: something was tried too often. */
const char *saga_may_retry(const struct saga_rules *rules, const struct saga_state *state,
                           char why[static SAGA_TEXT_SIZE]);
/* Does SAGA_DEADLINE have any effect in this state? */
bool saga_minds_time(const struct saga_rules *rules, const struct saga_state *state);
enum saga_due saga_due(const struct saga_rules *rules, const struct saga_state *state);
/* For elements of state->step while SAGA_DUE_ASK or SAGA_DUE_UNDO is due: does this one have to be
 * sent until it is answered? More than SAGA_PARALLEL_MAX may have to: the sender keeps to that
 * bound. */
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

enum saga_outcome saga_outcome_of(const char *text); /* of Freehold-Outcome's value, or of NULL */
/* As stored: "running", "compensating", "ended", "undone", "parked", "abandoned"; -1: none. */
const char *saga_status_name(enum saga_status status);
int saga_status_of(const char *name);
/* "stored", "sent", "done", "refused", "undone", "never". */
const char *saga_element_state_name(enum saga_element_state state);
int saga_element_state_of(const char *name);

#endif
