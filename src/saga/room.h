/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_ROOM_H
#define SAGA_ROOM_H

/*
 * What the files of this room share: sagas in memory, and who does what with them.
 *
 *     definition.c  what a declared saga means           record.c   a saga's rows, there and back
 *     decide.c      what it does next                    start.c    fh_saga_start
 *     run.c         happenings in, transitions stored    ask.c      requests out, answers in
 *     handlers.c    run and undone handlers' works       closing.c  telling receivers what ended
 *     room.c        start, recovery, stop, waiting, counts
 *
 * A loaded saga is one `struct saga_run`. Happenings (answers, its timer) queue up in it, and it
 * queues up in the room until one of at most SAGA_FIBERS_MAX fibers takes it: that one alone then
 * decides, stores, and sends what is due. Everything else runs on the loop and only queues.
 */

#include "base/map.h"
#include "saga/definition.h"
#include "saga/run.h"

struct saga_ask;

/* Of one element. Text is on the heap. */
struct saga_part {
    char *path, *undo_path, *body; /* the stored request; path NULL: not made yet */
    char *answer;                  /* {"status", "body"}: the last one with an outcome, or NULL */
    char receiver[ID_SIZE];        /* and who gave it, where */
    int64_t receiver_position;
    struct saga_ask *ask; /* under way, or NULL */
    int tries;            /* unanswered so far */
    int64_t retry_at_ns;  /* not before */
    bool dirty;           /* the answer is not stored yet */
};

/* Something that was heard, until it is stored. */
struct saga_heard {
    struct saga_happening happening;
    char *answer; /* the raw body, or NULL; owned */
    size_t answer_length;
    char receiver[ID_SIZE];
    int64_t receiver_position;
    struct saga_heard *next;
};

struct saga_run {
    struct saga_room *room;
    const struct saga_type *type;
    char birth[ID_SIZE];
    int64_t number;
    char reference[ID_SIZE + 24]; /* "BIRTH.NUMBER" */
    int64_t epoch;
    json_t *input; /* heap */
    char *trace;   /* or NULL */
    int64_t deadline_ns;
    struct saga_state state;      /* as stored */
    struct saga_element *scratch; /* two sets, for states that are not stored yet */
    struct saga_part *parts;      /* as many as elements */
    struct saga_heard *heard_first, *heard_last;
    int decided; /* so many of them, from the first, are in what is being stored */
    int tries;   /* of the handler or the store that is due */
    int64_t retry_at_ns;
    struct world_timer timer;
    int64_t timer_at_ns; /* 0: it does not run; INT64_MAX: it need not */
    bool queued, busy;
    bool gone;                  /* another instance runs it */
    struct fiber_queue waiting; /* for its end */
    int references;             /* the room's, each ask's, each waiter's */
    struct saga_run *next;      /* queued */
};

/* A service that sagas send to. */
struct saga_target {
    char *name;
    char incarnation[ID_SIZE]; /* as its last answer told; "" before the first */
    int in_flight;
    struct saga_ask *waiting_first, *waiting_last;
};

/* What a target still has to be told of the sagas born in one incarnation. */
struct saga_closing {
    char birth[ID_SIZE];
    struct saga_target *target;
    int ending;           /* sagas whose end is being stored */
    uint64_t generation;  /* one more for each end */
    uint64_t told;        /* the generation before the snapshot that was told last */
    int64_t told_through; /* and what that snapshot said: struct ledger_caller */
    char *told_open;
    int tries;
    int64_t retry_at_ns;
};

#define SAGA_TYPES_MAX 16

struct saga_room {
    struct work_context *context;
    struct saga_type types[SAGA_TYPES_MAX];
    int type_count;
    struct map targets;  /* name → saga_target */
    struct map closings; /* "BIRTH target" → saga_closing */
    struct map runs;     /* reference → saga_run */
    struct saga_run *queue_first, *queue_last;
    int fibers;
    bool crowded; /* some open sagas are in the store alone */
    bool closing_fiber, refilling;
    struct map removed; /* references that left memory while it is refilled */
    bool stopping;
    struct fiber_queue stopped;  /* whoever waits for the fibers to end */
    struct fiber_queue closable; /* the closing fiber's pause */
    struct ledger_counts counts;
};

/* room.c */
struct saga_type *saga_room_type(struct saga_room *room, const char *name);
struct saga_target *saga_room_target(struct saga_room *room, const char *name);
/* New, not in the room yet: everything is cleared but what is given. `input` is copied. */
struct saga_run *saga_run_new(struct saga_room *room, const struct saga_type *type,
                              const char *birth, int64_t number, const json_t *input,
                              const int *counts);
void saga_run_release(struct saga_run *run); /* one reference less */
/* Into the room, which takes the reference over. False: it is there already, or left meanwhile;
 * then the run is released. */
bool saga_room_add(struct saga_room *room, struct saga_run *run);
/* Ended, parked or gone: out of memory, and its waiters are told. */
void saga_room_remove(struct saga_room *room, struct saga_run *run);
void saga_room_fiber_ended(struct saga_room *room);
int64_t *saga_room_count(struct saga_room *room, enum saga_status status);

/* run.c */
void saga_run_queue(struct saga_run *run);
/* Takes the heard thing over. From anywhere. */
void saga_run_hear(struct saga_run *run, struct saga_heard *heard);
/* Sends what is due and sets the timer for what is due later. */
void saga_run_go_on(struct saga_run *run);
/* After the n-th failure in a row: uniform up to a bound that doubles. */
int64_t saga_backoff_ns(struct saga_room *room, int tries);

/* record.c */
/* The saga's row from a state; text on the arena. */
void saga_record_row(const struct saga_run *run, const struct saga_state *state,
                     struct arena *arena, struct ledger_saga *ret);
/* Writes the row (the work's first statement, by epoch) and every element that differs from
 * run->state or has a new answer. */
enum fh_code saga_record_put(struct store_work *work, const struct saga_run *run,
                             const struct saga_state *state, struct arena *arena,
                             struct fh_error *error);
void saga_record_step(const struct saga_run *run, const struct saga_state *state, int step,
                      int element, struct arena *arena, struct ledger_step *ret);
/* Makes the requests of elements that have begun; on the parts. FH_INVALID: it can't be made. */
enum fh_code saga_record_render(struct saga_run *run, const struct saga_state *state,
                                struct fh_error *error);
/* A run from its rows, in its stored state. FH_INVALID with a sentence when it does not fit the
 * definition any more: then *ret is a run that is not to be carried on, or NULL without one. */
enum fh_code saga_record_load(struct saga_room *room, struct store_work *work,
                              const struct ledger_saga *row, struct saga_run **ret,
                              struct fh_error *error);

/* ask.c */
/* Sends what is due and not under way, and returns when the next of them may be sent, INT64_MAX
 * for none. */
int64_t saga_ask_due(struct saga_run *run);

/* handlers.c */
/* Runs the handler that is due in `state`, in one work with storing what comes after it.
 * SAGA_HANDLED: `state` is that, and stored. Else nothing was done; the happening says why. */
struct saga_happening saga_handler_run(struct saga_run *run, struct saga_state *state,
                                       char detail[static SAGA_TEXT_SIZE]);

/* closing.c */
enum fh_code saga_closing_recover(struct saga_room *room, struct store_work *work,
                                  struct fh_error *error);
/* Around the work that stores a saga's end, so that no snapshot in between is taken for the end. */
void saga_closing_begin(struct saga_run *run);
void saga_closing_end(struct saga_run *run, bool ended);
void saga_closing_free(struct saga_room *room);

#endif
