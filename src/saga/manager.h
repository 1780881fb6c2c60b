/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_MANAGER_H
#define SAGA_MANAGER_H

/*
 * What the files of this layer share: sagas in memory, and which file does what with them.
 *
 *     definition.c  what a declared saga means           record.c   a saga's rows, written and read
 *     decide.c      what it does next                    start.c    fh_saga_start
 *     runs.c        sagas in memory, and their queue     load.c     which of them are
 *     admission.c   how many begin at once
 *     run.c         happenings in, transitions stored    ask.c      requests out, answers in
 *     handlers.c    run and undone handlers              closing.c  notifying receivers of ends
 *     manager.c     start, stop and counts               wait.c     waiting, retrying
 *     lease.c       which instance has the duties        takeover.c what dead instances left
 *     handover.c    sagas whose definitions other instances have
 *     store.c       transitions of many sagas, in one transaction
 *     turns.c       whose turn it is: the oldest one's
 *     unnumbered.c  sagas whose numbers are not known yet
 *     look.c        sagas that were missed
 *     lost.c        sagas that the store has lost
 *     forget.c      sagas that ended long ago
 *     restored.c    restores, of this store and of receivers
 *     marks.c       what of them is personal or secret, and when it is dropped
 *     times.c       when its steps began and were settled
 *     show.c        one of them, from its rows; list.c: many
 *     needed.c      which definitions the sagas that are not over began with
 *
 * A loaded saga is one `struct saga_run`. Happenings (answers, its timer) queue up in it, and it
 * queues up in the manager until one of at most SAGA_FIBERS_MAX fibers takes it. Only that fiber
 * then decides, stores, and sends what is due; everything else runs on the loop and only queues.
 */

#include "base/map.h"
#include "saga/admission.h"
#include "saga/definition.h"
#include "saga/run.h"
#include "saga/turns.h"
#include "work/fault.h"
#include "work/lease.h"
#include "work/restored.h"

struct saga_ask;
struct saga_storing;
struct saga_unnumbered;

/* One per element. Text is on the heap. */
struct saga_part {
    char *path, *undo_path, *body; /* the stored request; path NULL: not made yet */
    char *spent;  /* the body to send from now on, without secrets; NULL: the same (marks.h) */
    char *answer; /* {"status", "body"}: the last one with an outcome, or NULL */
    char receiver[ID_SIZE]; /* which incarnation gave it, at which position */
    int64_t receiver_position;
    struct saga_ask *ask; /* in progress, or NULL */
    int tries;            /* unanswered so far */
    int64_t retry_at_ns;  /* not before */
    bool dirty;           /* the answer is not stored yet */
};

/* A happening that has arrived, until it is stored. */
struct saga_heard {
    struct saga_happening happening;
    char *answer; /* the raw body, or NULL; owned */
    size_t answer_length;
    char receiver[ID_SIZE];
    int64_t receiver_position;
    struct saga_heard *next;
};

/* Of a step, by the wall clock, for display: times.c. 0: it is not so, or nobody knows since when.
 */
struct saga_times {
    int64_t begun_ms;   /* its requests are stored, and sent from then on */
    int64_t settled_ms; /* each of them has been answered for good, or undone */
    int64_t undone_ms;  /* something of it was undone, and the saga goes back before it */
};

struct saga_run {
    struct saga_manager *manager;
    const struct saga_type *type;
    char birth[ID_SIZE];
    int64_t number;
    char reference[ID_SIZE + 24]; /* "BIRTH.NUMBER" */
    int64_t epoch;
    json_t *input;          /* heap; without its secrets */
    json_t *secrets;        /* of the input, heap; NULL: none, or none is needed any more */
    char *trace;            /* or NULL */
    struct work_user *user; /* on whose behalf it began, or NULL; one reference */
    int64_t deadline_ns;
    struct saga_state state;      /* as stored */
    struct saga_element *scratch; /* two sets, for states that are not stored yet */
    struct saga_part *parts;      /* one for each element */
    struct saga_times *times; /* one for each step: of the state that is stored, or about to be */
    struct saga_heard *heard_first, *heard_last;
    int decided; /* this many of them, from the first, are in the state being stored */
    int tries;   /* of the handler or the store operation that is due */
    int64_t retry_at_ns;
    struct world_timer timer;
    int64_t timer_at_ns; /* 0: not running; INT64_MAX: not needed */
    uint64_t losses;     /* the store's, when its rows were last known to be as this is: lost.c */
    bool queued, busy;
    bool gone;                  /* another instance runs it */
    bool relives;               /* its store was restored since it was last stored */
    struct fiber_queue waiting; /* for its end */
    int references;             /* the manager's, each ask's, each waiter's */
    struct saga_turn turn;      /* in the queue */
};

/* A service that sagas send to. */
struct saga_target {
    char *name;
    char incarnation[ID_SIZE]; /* as of its last answer; "" before the first */
    int in_flight;
    struct saga_turns waiting; /* asks, in flight as soon as there is space */
    /* Restores: see restored.c. */
    bool untold;         /* it has not been notified yet that our store was restored */
    bool looks;          /* its incarnation has changed: ask for its former ones */
    char seen[ID_SIZE];  /* its newest incarnation known here, or "" */
    struct lives *lives; /* its incarnations, if it was restored; NULL: not that we know */
    int mending_tries;
    int64_t mending_at_ns; /* not before */
};

/* Which ends a target still has to learn of, for the sagas born in one incarnation. */
struct saga_closing {
    char birth[ID_SIZE];
    struct saga_target *target;
    int ending;           /* sagas whose end is being stored */
    uint64_t generation;  /* one more for each end */
    uint64_t told;        /* the generation just before the last snapshot it was sent */
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
    struct saga_turns queue;
    int64_t newest; /* the highest number of those that were ever in memory */
    void (*process)(struct saga_run *run); /* what the queue is for: saga_run_process */
    int fibers;
    struct saga_admission admission;
    int64_t moved_at_ns;      /* when a saga's next state was stored; 0: never */
    int loaded_max;           /* SAGAS_LOADED_MAX */
    bool crowded;             /* some open sagas are only in the store: see load.c */
    bool reread;              /* there may be some before the place that was read to */
    bool unread;              /* some have begun since the last page was read */
    char read_birth[ID_SIZE]; /* the place; "": nothing was read yet */
    int64_t read_number;
    bool closing_fiber, refilling;
    int load_tries;     /* that have failed since one succeeded */
    int64_t load_at_ns; /* they are not read before; 0: at any time */
    /* With several instances: the one with this lease takes over dead instances' sagas and notifies
     * receivers of ended ones (takeover.c). */
    struct lease lease;
    struct lease_watcher watcher;
    struct fiber_queue adoptable;
    bool adopting;
    int strangers;          /* in the store, ours, but begun with definitions we don't have */
    int64_t stranger_at_ns; /* since when there have been any; 0: there are none */
    int64_t looked_at_ns;   /* when we last looked at them */
    int64_t handed;         /* how many of them we gave to instances that have the definition */
    int64_t handed_seen;    /* the total that the others have handed over, to any instance */
    bool reload;            /* the store may have something new of ours */
    struct saga_storing *storing_first, *storing_last; /* not taken yet; see store.c */
    bool storing;                                      /* one transaction of them is in progress */
    struct fiber_queue stored;
    struct saga_unnumbered *unnumbered; /* started here; see unnumbered.c */
    int unnumbered_count;
    int64_t read_through; /* the highest number of this incarnation whose row was read */
    bool looking;         /* a fiber checks whether they have numbers now */
    bool look_again;      /* something arrived since it began */
    int late_looks;       /* how many remain, for sagas not kept that had no number: look.c */
    int busy_looks;       /* how many found too much in memory to look for missed ones */
    bool looks;           /* its fiber is running */
    struct fiber_queue lookable;
    struct store_listener listener;
    int reading;        /* fibers that are making runs from rows */
    struct map removed; /* references that left memory since then */
    /* This instance was taken for dead (takeover.c). The sagas it ran may still have a unit of work
     * in progress, under an epoch that is valid until another instance takes them over: they are
     * not loaded a second time. */
    bool away;           /* until it has a new session */
    uint64_t deaths;     /* how often */
    bool read_by_former; /* some of `reading` began in a former session */
    bool stopping;
    struct fiber_queue stopped;  /* those waiting for the fibers to end */
    struct fiber_queue closable; /* the closing fiber's pause */
    struct ledger_counts counts;
    uint64_t forgotten; /* by this process */
    struct lives lives; /* this store's incarnations */
    bool restored;      /* one of them ended with a restore */
    bool judges;        /* some receiver was restored: its answers may be lost */
    bool mending;       /* a fiber is handling restores */
    struct fiber_queue mendable;
};

/* definition.c */
/* The newest of that name; and the one a stored saga began with, according to its row's state
 * (NULL, with a sentence, if this program no longer has it). */
struct saga_type *saga_manager_type(struct saga_manager *manager, const char *name);
struct saga_type *saga_manager_type_of(struct saga_manager *manager, const char *name,
                                       const json_t *state, struct fh_error *error);

/* runs.c */
struct saga_target *saga_manager_target(struct saga_manager *manager, const char *name);
/* New, not in the manager yet: all zero except the arguments. `input` is copied. */
struct saga_run *saga_run_new(struct saga_manager *manager, const struct saga_type *type,
                              const char *birth, int64_t number, const json_t *input,
                              const int *counts);
void saga_run_release(struct saga_run *run); /* drops one reference */
/* Call these around reading rows and adding runs made from them: a saga that leaves memory in
 * between is not added, as its rows may have been read before its last transition. */
void saga_manager_read_begin(struct saga_manager *manager);
void saga_manager_read_end(struct saga_manager *manager);
/* Adds it to the manager, which takes over the reference. False: it is there already, has left
 * since, or is no longer ours; then the run is released. */
bool saga_manager_add(struct saga_manager *manager, struct saga_run *run);
void saga_manager_fiber_ended(struct saga_manager *manager);
int64_t *saga_manager_count(struct saga_manager *manager, enum saga_status status);
void saga_run_queue(struct saga_run *run);
void saga_manager_drop_queue(struct saga_manager *manager);
/* Takes over `heard`. May be called from anywhere. */
void saga_run_hear(struct saga_run *run, struct saga_heard *heard);

/* load.c */
/* Starts to load what is open only in the store, if there is space. If that fails, it says so, and
 * it is tried again until it succeeds. */
void saga_manager_refill(struct saga_manager *manager);
/* The store may have open sagas of ours that are not in memory, wherever: the next reading, or the
 * present one when it has reached the end, begins from the first. */
void saga_manager_reread(struct saga_manager *manager);
/* A saga that has begun: does it wait in the store for its turn? `number` 0: not known yet. */
bool saga_manager_waits(struct saga_manager *manager, const char *birth, int64_t number);
/* Ended, parked or gone: removes it from memory and wakes its waiters. */
void saga_manager_remove(struct saga_manager *manager, struct saga_run *run);

/* unnumbered.c */
/* For a saga started here that has no number yet, or whose row may already have been read. */
#define SAGA_EPOCH_FIRST 1
void saga_manager_await(struct saga_manager *manager, const char *birth, const char *start_id);
void saga_manager_heard(void *manager);                  /* the store has new positions */
void saga_unnumbered_free(struct saga_manager *manager); /* drops all that wait */

/* look.c */
#define SAGA_LOOK_RUNS_MAX 100 /* with no more in memory, all open rows are few */
#define SAGA_LATE_LOOKS 3      /* the sequencer numbers so many at once, and may lag */
void saga_look_start(struct saga_manager *manager);

/* run.c */
/* Carries on a run that was in the queue, as far as it goes now; from a fiber. */
void saga_run_process(struct saga_run *run);
/* Sends what is due now and sets the timer for what is due later. */
void saga_run_go_on(struct saga_run *run);
/* Adds it to the manager and sets it going. */
void saga_manager_begin(struct saga_manager *manager, struct saga_run *run);

/* lost.c */
/* A connection to the store was lost since its rows were known: nothing may be sent for it. */
bool saga_is_in_doubt(const struct saga_run *run);
/* Reads them again, on a fiber. FH_OK: it is in no doubt, or has left memory. */
enum fh_code saga_lost_check(struct saga_run *run, struct fh_error *error);

/* record.c */
/* The saga's row for a state; text on the arena. */
void saga_record_row(const struct saga_run *run, const struct saga_state *state,
                     struct arena *arena, struct ledger_saga *ret);
/* Writes the row (the transaction's first statement, guarded by the epoch) and every element that
 * differs from run->state or has a new answer. */
enum fh_code saga_record_put(struct store_work *work, const struct saga_run *run,
                             const struct saga_state *state, struct arena *arena,
                             struct fh_error *error);
void saga_record_step(const struct saga_run *run, const struct saga_state *state, int step,
                      int element, struct arena *arena, struct ledger_step *ret);
/* Makes the requests of elements that have begun, into the parts. FH_INVALID: one can't be made. */
enum fh_code saga_record_render(struct saga_run *run, const struct saga_state *state,
                                struct fh_error *error);
/* A run from its rows, in its stored state. FH_UNSUPPORTED with a sentence: this program does not
 * have the definition that it began with. FH_INVALID: it can't be read. */
enum fh_code saga_record_load(struct saga_manager *manager, struct store_work *work,
                              const struct ledger_saga *row, struct saga_run **ret,
                              struct fh_error *error);

/* times.c */
/* Notes what has become so in `state`, which is about to be stored. */
void saga_times_take(struct saga_times *times, const struct saga_rules *rules,
                     const struct saga_state *state, int64_t now_ms);
/* As a member of the row's state, and back from there: one step's; or all of a run's. */
void saga_times_add(const struct saga_times *times, const struct saga_rules *rules,
                    struct text *text);
struct saga_times saga_times_of(const json_t *state, int step);
void saga_times_load(struct saga_times *times, const struct saga_rules *rules,
                     const struct saga_state *state, const json_t *stored);

/* store.c */
/* Stores `next`, the state that follows run->state: one attempt. FH_CONFLICT not retryable: another
 * instance runs the saga. `exclusive`: in a transaction of its own, with no other writer beside
 * it. */
enum fh_code saga_store(struct saga_run *run, const struct saga_state *next, bool exclusive,
                        struct fh_error *error);

/* ask.c */
/* Sends what is due and not in progress. Returns when the next one may be sent; INT64_MAX: none. */
int64_t saga_ask_due(struct saga_run *run);

/* handlers.c */
/* Runs the handler that is due in `state`, and stores the state after it in the same transaction.
 * SAGA_HANDLED: `state` is that one, stored. Otherwise nothing was done; the happening says why. */
struct saga_happening saga_handler_run(struct saga_run *run, struct saga_state *state,
                                       char detail[static SAGA_TEXT_SIZE],
                                       char fault[static FAULT_TEXT_SIZE]);

/* lease.c */
/* The session whose sagas are ours; NULL if there is only one process. */
const char *saga_manager_session(const struct saga_manager *manager);
/* Does this process notify receivers, on behalf of all instances? */
bool saga_manager_tells(const struct saga_manager *manager);
/* One of the fibers that work under the lease has ended. */
void saga_lease_left(struct saga_manager *manager);

/* handover.c */
/* What the other instances are told: a lease_watcher's `tell`. */
json_t *saga_handover_tell(void *manager);
/* Does the store have anything of ours that may be new to us? */
bool saga_handover_news(struct saga_manager *manager, bool changed);
/* For a saga whose definition this program lacks: true if it is left to another instance. */
bool saga_handover_leave(struct saga_manager *manager, const struct ledger_saga *row);

/* takeover.c */
void saga_takeover_start(struct saga_manager *manager);
void saga_takeover_stop(struct saga_manager *manager);

/* closing.c */
enum fh_code saga_closing_recover(struct saga_manager *manager, struct store_work *work,
                                  struct fh_error *error);
/* With several instances: from now on we notify receivers, as long as the lease is ours. */
void saga_closing_take(struct saga_manager *manager);
/* Call these around the transaction that stores a saga's end, so that a snapshot taken in between
 * is not mistaken for one that includes the end. */
void saga_closing_begin(struct saga_run *run);
void saga_closing_end(struct saga_run *run, bool ended);
/* The same for a saga that ends without a run, for each target of its steps. */
void saga_closing_expect(struct saga_manager *manager, const char *birth, const char *target);
void saga_closing_came(struct saga_manager *manager, const char *birth, const char *target,
                       bool ended);
void saga_closing_free(struct saga_manager *manager);
/* Keeps at most `most` open numbers: sagas that ended after these are reported once some of these
 * have ended. */
void saga_closing_cut(struct ledger_caller *closed, int most, struct arena *arena);
/* Sends one closing. `more`: further members of the message (",\"name\":value"), or NULL. True: the
 * target has it; then *ret_answer is its body, unless ret_answer is NULL. */
bool saga_closing_send(struct saga_manager *manager, const struct saga_target *target,
                       const char *birth, const struct ledger_caller *closed, const char *more,
                       json_t **ret_answer);
/* The same, with what is closed of that birth now. */
bool saga_closing_again(struct saga_manager *manager, const struct saga_target *target,
                        const char *birth, const char *more, json_t **ret_answer);

/* restored.c */
/* Reads what is known of restores; call it before anything is loaded. */
enum fh_code saga_restored_recover(struct saga_manager *manager, struct store_work *work,
                                   struct fh_error *error);
void saga_restored_start(struct saga_manager *manager);
/* An answer has revealed the target's incarnation. */
void saga_restored_heard(struct saga_manager *manager, struct saga_target *target);

/* restored_peers.c */
/* `stored`: what was stored about the peer before, or NULL. */
typedef enum fh_code saga_peer_look(struct saga_manager *manager, struct saga_target *target,
                                    const json_t *stored, struct store_work *work,
                                    struct restored_news *news, struct fh_error *error);
/* Adds `fields` (stolen) to what is stored about a peer, in a transaction of its own. `look`, or
 * NULL, adds to the report what it finds in the same transaction. */
enum fh_code saga_peer_store(struct saga_manager *manager, struct saga_target *target,
                             json_t *fields, saga_peer_look *look, struct fh_error *error);
/* Copies everything stored into the targets; and sets one target's incarnations, as it told
 * them. */
enum fh_code saga_peers_take(struct saga_manager *manager, struct store_work *work,
                             struct fh_error *error);
void saga_peer_lives(struct saga_manager *manager, struct saga_target *target, const char *present,
                     const json_t *ancestors);

/* restored_receiver.c */
/* Sends it again what is closed, asks for its incarnations, and reports what it has lost. True:
 * done. */
bool saga_restored_look(struct saga_manager *manager, struct saga_target *target);
/* Applies to the state what restored receivers have lost. True: it has changed. */
bool saga_restored_judge(struct saga_run *run, struct saga_state *next);
/* Every saga in memory takes account of what was lost. */
void saga_restored_judge_all(struct saga_manager *manager);

#endif
