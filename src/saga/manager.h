/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_MANAGER_H
#define SAGA_MANAGER_H

/*
 * What the files of this room share: sagas in memory, and who does what with them.
 *
 *     definition.c  what a declared saga means           record.c   a saga's rows, there and back
 *     decide.c      what it does next                    start.c    fh_saga_start
 *     run.c         happenings in, transitions stored    ask.c      requests out, answers in
 *     handlers.c    run and undone handlers' works       closing.c  telling receivers what ended
 *     room.c        start, recovery, stop, counts       wait.c     waiting, retrying
 *     takeover.c    what instances that have died left
 *     store.c       transitions of many sagas, in one work
 *     unnumbered.c  sagas whose numbers are not known yet
 *     look.c        those that were passed over
 *     forget.c      sagas that have ended long ago
 *     restored.c    restores, of this store and of receivers
 *     needed.c      which definitions those that are not over began with
 *
 * A loaded saga is one `struct saga_run`. Happenings (answers, its timer) queue up in it, and it
 * queues up in the room until one of at most SAGA_FIBERS_MAX fibers takes it: that one alone then
 * decides, stores, and sends what is due. Everything else runs on the loop and only queues.
 */

#include "base/map.h"
#include "saga/definition.h"
#include "saga/run.h"
#include "work/lease.h"
#include "work/restored.h"

struct saga_ask;
struct saga_storing;
struct saga_unnumbered;

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
    struct saga_manager *manager;
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
    bool relives;               /* its store was restored since it was stored last */
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
    /* Restores: see restored.c. */
    bool untold;         /* it was not told yet that our store was restored */
    bool looks;          /* it is another one than before: its lives are to be asked for */
    char seen[ID_SIZE];  /* the newest incarnation of it that we know of, or "" */
    struct lives *lives; /* of one that was restored; NULL: of none that we know of */
    int mending_tries;
    int64_t mending_at_ns; /* not before */
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

struct saga_manager {
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
    /* Where there are other instances: who takes over the dead ones' sagas and tells receivers
     * what has ended (takeover.c). */
    struct lease lease;
    struct lease_watcher watcher;
    struct fiber_queue adoptable;
    bool adopting;
    int strangers;          /* in the store, ours, and begun with definitions that we have not */
    int64_t stranger_at_ns; /* since when there are some; 0: there are none */
    int64_t looked_at_ns;   /* when they were looked at last */
    int64_t handed;         /* so many of them were given to who has the definition */
    int64_t handed_seen;    /* by the others, to anybody */
    bool reload;            /* there may be something new of ours in the store */
    struct saga_storing *storing_first, *storing_last; /* not taken yet; see store.c */
    bool storing;                                      /* one work of them is under way */
    struct fiber_queue stored;
    struct saga_unnumbered *unnumbered; /* started here; see unnumbered.c */
    int unnumbered_count;
    int64_t read_through; /* the highest number of this incarnation whose row was read */
    bool looking;         /* a fiber looks whether they have numbers now */
    bool look_again;      /* something came since it began to */
    int late_looks;       /* left, for those that were not kept and had no number then: look.c */
    bool looks;           /* its fiber lives */
    struct fiber_queue lookable;
    struct store_listener listener;
    int reading;        /* fibers that make runs of rows */
    struct map removed; /* references that left memory meanwhile */
    /* This instance was taken for dead (takeover.c). What it ran may have a work under way, under
     * an epoch that holds until somebody takes it over: it is not loaded a second time. */
    bool away;           /* until it has a new life */
    uint64_t deaths;     /* so many */
    bool read_by_former; /* some of `reading` have begun in a former life */
    bool stopping;
    struct fiber_queue stopped;  /* whoever waits for the fibers to end */
    struct fiber_queue closable; /* the closing fiber's pause */
    struct ledger_counts counts;
    uint64_t forgotten; /* by this process */
    struct lives lives; /* this store's */
    bool restored;      /* in one of them */
    bool judges;        /* some receiver was restored: what it answered may be lost */
    bool mending;       /* a fiber sees to restores */
    struct fiber_queue mendable;
};

/* definition.c */
/* The newest of that name; and the one that a stored saga began with, by what its row's state says
 * (NULL, with a sentence, when this program has it no more). */
struct saga_type *saga_manager_type(struct saga_manager *manager, const char *name);
struct saga_type *saga_manager_type_of(struct saga_manager *manager, const char *name,
                                       const json_t *state, struct fh_error *error);

/* room.c */
struct saga_target *saga_manager_target(struct saga_manager *manager, const char *name);
/* New, not in the room yet: everything is cleared but what is given. `input` is copied. */
struct saga_run *saga_run_new(struct saga_manager *manager, const struct saga_type *type,
                              const char *birth, int64_t number, const json_t *input,
                              const int *counts);
void saga_run_release(struct saga_run *run); /* one reference less */
/* Around reading rows and adding what they tell: what leaves memory in between is not added, as its
 * rows may have been read before its last transition. */
void saga_manager_read_begin(struct saga_manager *manager);
void saga_manager_read_end(struct saga_manager *manager);
/* Into the room, which takes the reference over. False: it is there already, left meanwhile, or is
 * not ours any more; then the run is released. */
bool saga_manager_add(struct saga_manager *manager, struct saga_run *run);
/* Ended, parked or gone: out of memory, and its waiters are told. */
void saga_manager_remove(struct saga_manager *manager, struct saga_run *run);
/* Into the room, and on its way. */
void saga_manager_begin(struct saga_manager *manager, struct saga_run *run);
void saga_manager_refill(
    struct saga_manager *manager); /* what is open in the store alone, if it may be */
void saga_manager_fiber_ended(struct saga_manager *manager);
int64_t *saga_manager_count(struct saga_manager *manager, enum saga_status status);

/* unnumbered.c */
/* One that has started here and has no number yet, or was perhaps read from its rows by now. */
#define SAGA_EPOCH_FIRST 1
void saga_manager_await(struct saga_manager *manager, const char *birth, const char *start_id);
void saga_manager_heard(void *manager);                  /* there are new positions in the store */
void saga_unnumbered_free(struct saga_manager *manager); /* nobody waits any more */

/* look.c */
#define SAGA_LATE_LOOKS 3 /* the sequencer numbers so many at once, and may be behind */
void saga_look_start(struct saga_manager *manager);

/* run.c */
void saga_run_queue(struct saga_run *run);
/* Takes the heard thing over. From anywhere. */
void saga_run_hear(struct saga_run *run, struct saga_heard *heard);
/* Sends what is due and sets the timer for what is due later. */
void saga_run_go_on(struct saga_run *run);

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
/* A run from its rows, in its stored state. FH_UNSUPPORTED with a sentence: this program has not
 * the definition that it began with. FH_INVALID: it can't be read. */
enum fh_code saga_record_load(struct saga_manager *manager, struct store_work *work,
                              const struct ledger_saga *row, struct saga_run **ret,
                              struct fh_error *error);

/* store.c */
/* Stores `next`, which the run's present state leads to: one attempt. FH_CONFLICT not retryable:
 * another instance runs the saga. `alone`: in a work of its own, beside which none writes. */
enum fh_code saga_store(struct saga_run *run, const struct saga_state *next, bool exclusive,
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

/* takeover.c: NULL where there is one process, else the life whose sagas are ours. */
const char *saga_takeover_owner(const struct saga_manager *manager);
void saga_takeover_start(struct saga_manager *manager);
void saga_takeover_stop(struct saga_manager *manager);
void saga_takeover_told(struct saga_manager *manager); /* the closing fiber has ended */
/* Of a saga whose definition this program has not: true when it is left to another instance. */
bool saga_takeover_leave(struct saga_manager *manager, const struct ledger_saga *row);
/* Loads what is open, ours and not in memory. */
enum fh_code saga_manager_load(struct saga_manager *manager, struct fh_error *error);

/* closing.c */
enum fh_code saga_closing_recover(struct saga_manager *manager, struct store_work *work,
                                  struct fh_error *error);
/* Where there are other instances: from now on we tell, as long as the lease is ours. */
void saga_closing_take(struct saga_manager *manager);
/* Around the work that stores a saga's end, so that no snapshot in between is taken for the end. */
void saga_closing_begin(struct saga_run *run);
void saga_closing_end(struct saga_run *run, bool ended);
/* The same for a saga that ends without a run: each target of its steps. */
void saga_closing_expect(struct saga_manager *manager, const char *birth, const char *target);
void saga_closing_came(struct saga_manager *manager, const char *birth, const char *target,
                       bool ended);
void saga_closing_free(struct saga_manager *manager);
/* Does this process tell receivers, for all instances? */
bool saga_manager_tells(const struct saga_manager *manager);
/* At most so many open numbers are told: what has ended behind them is told when some of these have
 * ended. */
void saga_closing_cut(struct ledger_caller *closed, int most, struct arena *arena);
/* One closing. `more`: further members of the message (",\"name\":value"), or NULL. True: the
 * target has it; then *ret_answer is its body, unless ret_answer is NULL. */
bool saga_closing_send(struct saga_manager *manager, const struct saga_target *target,
                       const char *birth, const struct ledger_caller *closed, const char *more,
                       json_t **ret_answer);
/* The same with what is closed of that birth now. */
bool saga_closing_again(struct saga_manager *manager, const struct saga_target *target,
                        const char *birth, const char *more, json_t **ret_answer);

/* restored.c */
/* What is known of restores; before anything is loaded. */
enum fh_code saga_restored_recover(struct saga_manager *manager, struct store_work *work,
                                   struct fh_error *error);
void saga_restored_start(struct saga_manager *manager);
/* The target's incarnation was told by an answer. */
void saga_restored_heard(struct saga_manager *manager, struct saga_target *target);
/* Lets the state take in what restored receivers have lost. True: it has changed. */
bool saga_restored_judge(struct saga_run *run, struct saga_state *next);

#endif
