/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

/*
 * The ledger: what Freehold itself keeps in a service's store, next to the service's own data and
 * committed together with it, in tables with the prefix fh_. Each engine names what keeps it:
 * relational engines (and models built on one) share relational/ledger*.c.
 * All functions run inside an open unit of work. Text in results lives in the given arena.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/store.h"

/* ---- meta ---- */

/* Makes missing tables, reads the incarnation (a new one in a new store). In one that writes. */
static inline enum fh_code ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                                          struct fh_error *error);
#define LEDGER_INCARNATION "incarnation"
#define LEDGER_TRIMMED_POSITION "trimmed_position"
#define LEDGER_TRIMMED_ID "trimmed_id"
/* The store's earlier incarnations, as a JSON array of {"incarnation", "position"}: up to that
 * position the events are the same. With "restored": true if a backup of that one was restored:
 * what it did after the position is lost here, and others may know of it. */
#define LEDGER_ANCESTORS "ancestors"
#define LEDGER_ANCESTORS_SIZE 8192
/* The engine that it is being moved to, or was moved to. Its service does not open it. */
#define LEDGER_MOVING "moving_to"
#define LEDGER_MOVED "moved_to"
/* A store that takes another one's place and is not complete yet: the other one's incarnation; or
 * this: filled beside it, it lacks what is in that one alone (service/rebuild_join.h). */
#define LEDGER_UNFINISHED "unfinished"
#define LEDGER_REBUILT "rebuild"
/* The name of the restore that produced this store, so that it is not done twice. */
#define LEDGER_RESTORED "restored_by"

/* Facts about the store, by name: "" for one that was never put. */
static inline enum fh_code ledger_meta_get(struct store_work *work, const char *name, char *ret,
                                           size_t size, struct fh_error *error);
static inline enum fh_code ledger_meta_put(struct store_work *work, const char *name,
                                           const char *value, struct fh_error *error);
/* A new incarnation, newer than all before it; the present one becomes an ancestor, up to the
 * store's present position. store->incarnation stays as it was when the store was opened. */
enum fh_code ledger_incarnation_renew(struct store_work *work, bool restored,
                                      struct fh_error *error);
/* The same, and also newer than the incarnation `above`: that of the store whose place this one
 * takes, which others have seen. NULL: there was none. */
enum fh_code ledger_incarnation_renew_above(struct store_work *work, bool restored,
                                            const char *above, struct fh_error *error);
/* Up to which position this store's events are those of an earlier incarnation of it, which was
 * moved or restored. FH_NOT_FOUND: it never had that incarnation. */
enum fh_code ledger_ancestor_cut(struct store_work *work, const char *incarnation, int64_t *ret,
                                 struct fh_error *error);
/* The last position assigned. */
static inline enum fh_code ledger_position(struct store_work *work, int64_t *ret,
                                           struct fh_error *error);

/* ---- outbox ---- */

struct ledger_event {
    int64_t position; /* dense, from 1; never assigned twice */
    int64_t previous; /* position of the previous event of its key, 0: none; known to readers */
    int64_t time_ms;
    int version;
    const char *id;   /* random */
    const char *type; /* types that begin with "freehold." are internal: the feed skips them */
    const char *key;
    const char *data; /* JSON text */
    /* What its envelope has besides: traceparent, and after a blank the actor; "- ACTOR" without a
     * trace, "TRACEPARENT" without an actor; or NULL. */
    const char *trace;
    struct ledger_event *next; /* the next one to append; NULL: none */
};

/* The unit of work's last statements: appends the event, and those after it in its list. Fills in
 * the position; where a sequencer assigns positions after the commit, it stays 0. */
static inline enum fh_code
ledger_outbox_append(struct store_work *work, struct ledger_event *events, struct fh_error *error);
/* Shows visit the events with position > after, at most `limit`, in order; false stops. Those that
 * have no position yet are in no outbox that anyone reads. */
enum fh_code ledger_outbox_read(struct store_work *work, int64_t after, int limit,
                                bool (*visit)(void *context, const struct ledger_event *event),
                                void *context, struct fh_error *error);
/* The trimmed position and its event's id ("" when 0), and the id of the event at `position`
 * ("" when there is none or it was trimmed). */
static inline enum fh_code ledger_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                                 char ret_id[ID_SIZE], struct fh_error *error);
static inline enum fh_code ledger_outbox_id_at(struct store_work *work, int64_t position,
                                               char ret_id[ID_SIZE], struct fh_error *error);
/* Removes at most `limit` events up to `position`. */
static inline enum fh_code ledger_outbox_trim(struct store_work *work, int64_t position, int limit,
                                              int64_t *ret_removed, struct fh_error *error);
#define LEDGER_ASIDE "~"
/* A subscriber as the publisher sees it: it has committed the events up to `done`, and fetched
 * those up to `seen`. Within one incarnation done never goes back, even if a late request reports
 * less; but for a name with LEDGER_ASIDE in it, which each of several readers has in turn. */
static inline enum fh_code ledger_subscriber_put(struct store_work *work, const char *name,
                                                 const char *partition, const char *incarnation,
                                                 int64_t done, int64_t seen, int64_t now_ms,
                                                 struct fh_error *error);
struct ledger_subscriber {
    const char *name, *partition, *incarnation;
    int64_t done, seen, updated_ms;
};
/* All that have ever asked for events. */
static inline enum fh_code
ledger_subscribers_get(struct store_work *work,
                       bool (*visit)(void *context, const struct ledger_subscriber *subscriber),
                       void *context, struct fh_error *error);

/* ---- cursors ---- */

struct ledger_cursor {
    char incarnation[ID_SIZE]; /* the source's; "" before the first contact */
    char event_id[ID_SIZE];    /* of the event at position */
    int64_t position;
    int64_t epoch;
};

/* A subscription that does not exist yet begins at position 0 (FH_OK, incarnation ""). */
static inline enum fh_code ledger_cursor_get(struct store_work *work, const char *source,
                                             const char *partition, struct ledger_cursor *ret,
                                             struct fh_error *error);
/* The unit of work's first statement: moves the cursor from `old` to `next`. FH_CONFLICT (not
 * retryable): it is no longer at `old` with old's epoch: someone else has applied these events. */
static inline enum fh_code ledger_cursor_move(struct store_work *work, const char *source,
                                              const char *partition,
                                              const struct ledger_cursor *old,
                                              const struct ledger_cursor *next,
                                              struct fh_error *error);

/* The partitions that a subscription has, each "I/N"; none before it exists. */
static inline enum fh_code ledger_cursor_partitions(struct store_work *work, const char *source,
                                                    bool (*visit)(void *context,
                                                                  const char *partition),
                                                    void *context, struct fh_error *error);
/* All of a source. What visit is shown is valid only while it runs; it returns false to stop. */
typedef bool ledger_visit_cursor(void *context, const char *partition,
                                 const struct ledger_cursor *cursor);
static inline enum fh_code ledger_cursors_get(struct store_work *work, const char *source,
                                              ledger_visit_cursor *visit, void *context,
                                              struct fh_error *error);
/* From now on it can be moved only with `epoch`. A missing one is created, at no position. */
static inline enum fh_code ledger_cursor_take(struct store_work *work, const char *source,
                                              const char *partition, int64_t epoch,
                                              struct fh_error *error);

/* ---- leases: engines with many instances ---- */

/* What one instance has at a time. Each instance also has a lease on itself, named LEDGER_INSTANCE
 * and its number, which it renews to show that it is alive. See work/lease.h. */
struct ledger_lease {
    const char *name;  /* "share users 0/8" */
    const char *owner; /* an instance's session, "0.3f9a0c12"; "": nobody */
    int64_t epoch;     /* one more with each owner */
    int64_t beat;      /* an instance's own lease: how often it was renewed */
    const char *note;  /* JSON text that the owner wrote, or "" */
};
#define LEDGER_INSTANCE "instance "

/* All of them, in order of their names. */
static inline enum fh_code ledger_leases_get(struct store_work *work,
                                             bool (*visit)(void *context,
                                                           const struct ledger_lease *lease),
                                             void *context, struct fh_error *error);
/* Gives the lease from whoever has it with `epoch` (0: it does not exist yet) to `owner`, with
 * epoch + 1. FH_CONFLICT (not retryable): somebody was quicker. */
static inline enum fh_code ledger_lease_take(struct store_work *work, const char *name,
                                             int64_t epoch, const char *owner,
                                             struct fh_error *error);
/* Adds one to the beat, and replaces the note unless `note` is NULL. FH_CONFLICT (not retryable):
 * it is no longer this owner's. */
static inline enum fh_code ledger_lease_renew(struct store_work *work, const char *name,
                                              const char *owner, const char *note,
                                              struct fh_error *error);
/* Removes the lease of an instance whose beat is still `beat`, so that it is dead; -1: whatever the
 * beat, for an instance's own. FH_CONFLICT (not retryable): the beat has moved, or there is no such
 * lease. */
static inline enum fh_code ledger_lease_drop(struct store_work *work, const char *name,
                                             const char *owner, int64_t beat,
                                             struct fh_error *error);

/* ---- parked events ---- */

/* An event whose handler kept failing, or that waits for an earlier one of its key that did. */
struct ledger_parked {
    const char *source, *partition, *key;
    int64_t position;
    const char *event_id, *type;
    int64_t time_ms;   /* the event's own; 0: it has none that can be read */
    int64_t attempts;  /* 0: it waits for one that failed */
    const char *error; /* of the last attempt, or "" */
    int64_t parked_ms;
    const char *event; /* the envelope as received, JSON text */
    int64_t waiting;   /* only when read: how many events are parked under its key, including it */
};

struct ledger_parked_counts {
    int64_t keys, events;
    int64_t oldest_ms; /* when the oldest event was published; 0: there is none */
};

/* Whether anything of this subscription is parked; whether this key is. A unit of work that applies
 * or retries checks this before anything else except its cursor. */
static inline enum fh_code ledger_parked_any(struct store_work *work, const char *source,
                                             const char *partition, bool *ret,
                                             struct fh_error *error);
static inline enum fh_code ledger_parked_has(struct store_work *work, const char *source,
                                             const char *partition, const char *key, bool *ret,
                                             struct fh_error *error);
static inline enum fh_code ledger_parked_count(struct store_work *work, const char *source,
                                               const char *partition,
                                               struct ledger_parked_counts *ret,
                                               struct fh_error *error);
/* Parks an event, and its key if it is not parked yet. */
static inline enum fh_code ledger_parked_put(struct store_work *work,
                                             const struct ledger_parked *parked,
                                             struct fh_error *error);
/* Removes the first event of a key, and with its last event the key itself (*ret_unparked).
 * FH_CONFLICT (not retryable): the event at its position is not the first of its key, or not there,
 * or was tried or edited since it was read (`attempts`). */
static inline enum fh_code ledger_parked_take(struct store_work *work,
                                              const struct ledger_parked *parked,
                                              bool *ret_unparked, struct fh_error *error);
/* Replaces its `event`; this counts as an attempt, so that whoever read it before can't take it.
 * FH_CONFLICT (not retryable): it is not there, or was tried or edited since it was read. */
static inline enum fh_code ledger_parked_edit(struct store_work *work,
                                              const struct ledger_parked *parked,
                                              struct fh_error *error);
/* Records one more failed attempt on it, with parked->error. */
static inline enum fh_code ledger_parked_failed(struct store_work *work,
                                                const struct ledger_parked *parked,
                                                struct fh_error *error);
/* The first event of each parked key, with `event` left "". `source` NULL: of all sources. */
static inline enum fh_code
ledger_parked_keys(struct store_work *work, const char *source, int limit,
                   bool (*visit)(void *context, const struct ledger_parked *parked), void *context,
                   struct fh_error *error);
/* The parked events of one key, in order. */
static inline enum fh_code
ledger_parked_events(struct store_work *work, const char *source, const char *key, int limit,
                     bool (*visit)(void *context, const struct ledger_parked *parked),
                     void *context, struct fh_error *error);

/* ---- commands ---- */

enum ledger_outcome { LEDGER_DONE, LEDGER_REFUSED, LEDGER_UNDONE, LEDGER_NEVER, LEDGER_PENDING };

struct ledger_command {
    /* A service's name, or "client METHOD /pattern", which for a user is followed by a digest of
     * who that is: keys are each user's own. */
    const char *caller;
    const char *key;
    const char *birth; /* the incarnation in the key, "" for outside clients */
    int64_t number;    /* the saga's number in the key, 0 for outside clients */
    int64_t attempt;
    int64_t created_ms;
    enum ledger_outcome outcome;
    const char *digest;      /* hex; of method, path and body */
    const char *request;     /* body as JSON text, or NULL */
    const char *answer;      /* {"status", "headers", "body"} as JSON text, or NULL */
    const char *undo_answer; /* or NULL */
};

const char *ledger_outcome_name(enum ledger_outcome outcome);
enum ledger_outcome ledger_outcome_of(const char *name); /* of a name from ledger_outcome_name */

/* FH_NOT_FOUND: no such record. A unit of work that writes asks for this first, and only for a
 * record that it then writes: so the engine may look outside its snapshot, provided that it sees no
 * less and that the write fails (retryable FH_CONFLICT) if the record appeared in between. */
static inline enum fh_code ledger_command_get(struct store_work *work, struct arena *arena,
                                              const char *caller, const char *key,
                                              struct ledger_command *ret, struct fh_error *error);
/* Inserts or replaces (caller, key). */
static inline enum fh_code ledger_command_put(struct store_work *work,
                                              const struct ledger_command *command,
                                              struct fh_error *error);
/* Removes outside clients' records older than `before_ms`, at most `limit`. */
static inline enum fh_code ledger_commands_expire(struct store_work *work, int64_t before_ms,
                                                  int limit, int64_t *ret_removed,
                                                  struct fh_error *error);

struct ledger_caller {
    int64_t closed_through;
    const char *still_open; /* JSON array of numbers, ascending */
};

/* Which of a caller's sagas of one birth incarnation are closed. None: closed_through 0, "[]". */
static inline enum fh_code ledger_caller_get(struct store_work *work, struct arena *arena,
                                             const char *caller, const char *birth,
                                             struct ledger_caller *ret, struct fh_error *error);
/* Stores it and deletes that caller's commands which it closes (never pending ones). */
static inline enum fh_code ledger_caller_close(struct store_work *work, const char *caller,
                                               const char *birth,
                                               const struct ledger_caller *closed,
                                               struct fh_error *error);
/* For a boundary that moves (docs/guide/boundaries.md), and for the consequences of a restore:
 * services' commands after (caller, key), in that order, at most `limit`; and what is closed of
 * each caller. Each is shown to visit, which returns false to stop. */
static inline enum fh_code
ledger_commands_read(struct store_work *work, const char *caller, const char *key, int limit,
                     bool (*visit)(void *context, const struct ledger_command *command),
                     void *context, struct fh_error *error);
static inline enum fh_code ledger_callers_read(struct store_work *work,
                                               bool (*visit)(void *context, const char *caller,
                                                             const char *birth,
                                                             const struct ledger_caller *closed),
                                               void *context, struct fh_error *error);
/* The newest incarnation of a caller that has been seen ("": none); and storing a newer one. */
static inline enum fh_code ledger_caller_newest(struct store_work *work, const char *caller,
                                                char ret_incarnation[ID_SIZE],
                                                struct fh_error *error);
/* ledger_caller_newest and ledger_caller_get in one call. */
enum fh_code ledger_caller_look(struct store_work *work, struct arena *arena, const char *caller,
                                const char *birth, char ret_incarnation[ID_SIZE],
                                struct ledger_caller *ret, struct fh_error *error);
static inline enum fh_code ledger_caller_set_newest(struct store_work *work, const char *caller,
                                                    const char *incarnation,
                                                    struct fh_error *error);

/* ---- sagas ---- */

struct ledger_saga {
    const char *birth;    /* incarnation in which it started */
    int64_t number;       /* the position of its start event in the outbox */
    const char *start_id; /* that event's id; "" in stores created before there was one */
    const char *name;
    const char *input;  /* JSON text */
    const char *state;  /* JSON text: see saga/decide.h */
    const char *status; /* "running", "compensating", "ended", "undone", "parked", "abandoned" */
    int64_t epoch;
    int64_t deadline_ms; /* wall clock, for display; the runner counts the time left */
    int64_t updated_ms;
    /* Updating: with this the saga's secrets go out of its state. If its start event holds the
     * whole saga, its data go, too. */
    bool spends;
    bool stays; /* updating: `status` is stored already; an engine may rely on it */
};

/* One element of one step. */
struct ledger_step {
    const char *birth;
    int64_t number;
    int step;
    int element; /* 0 where the step has no `each` */
    int64_t attempt;
    const char *target;   /* service */
    const char *request;  /* {"method","path","body","undo_path"}: stored before it is sent */
    const char *state;    /* "stored", "sent", "done", "refused", "undone", "never" */
    const char *answer;   /* {"status","body"} or NULL */
    const char *receiver; /* its incarnation as the answer gave it, or NULL */
    int64_t receiver_position;
};

/* The unit of work's last statements, like ledger_outbox_append. `event` says that the saga
 * started; its position is the saga's number. Engines that assign positions after the commit write
 * the whole saga and its steps into that event, and make rows of them when they number it: until
 * then number and position are 0, and the saga is known by event->id (saga->start_id). */
static inline enum fh_code ledger_saga_start(struct store_work *work, struct ledger_event *event,
                                             struct ledger_saga *saga,
                                             const struct ledger_step *steps, int count,
                                             struct fh_error *error);
/* Updates the saga if its epoch is saga->epoch and it is not over: "ended", "undone" and
 * "abandoned" are final. Otherwise FH_CONFLICT, not retryable: at once, or from whatever the unit
 * of work does next, its commit at the latest; error->native is LEDGER_FENCED. */
#define LEDGER_FENCED "FH001"
#define LEDGER_SAGA_FENCED "The saga is over, or another instance runs it now."
static inline enum fh_code
ledger_saga_update(struct store_work *work, const struct ledger_saga *saga, struct fh_error *error);
static inline enum fh_code ledger_saga_get(struct store_work *work, struct arena *arena,
                                           const char *birth, int64_t number,
                                           struct ledger_saga *ret, struct fh_error *error);
/* By the id of its start event, for as long as its number is not known. */
static inline enum fh_code ledger_saga_find(struct store_work *work, struct arena *arena,
                                            const char *birth, const char *start_id,
                                            struct ledger_saga *ret, struct fh_error *error);
static inline enum fh_code ledger_step_put(struct store_work *work, const struct ledger_step *step,
                                           struct fh_error *error);
/* Elements of `target` that were answered in another incarnation of it than `present`, in sagas
 * that nobody carries on (neither "running" nor "compensating"). Each with its saga, whose `input`
 * and `state` may be "". In no order. */
static inline enum fh_code ledger_steps_answered(
    struct store_work *work, const char *target, const char *present,
    bool (*visit)(void *context, const struct ledger_saga *saga, const struct ledger_step *step),
    void *context, struct fh_error *error);
/* In order of (step, element). */
static inline enum fh_code
ledger_steps_get(struct store_work *work, struct arena *arena, const char *birth, int64_t number,
                 bool (*visit)(void *context, const struct ledger_step *step), void *context,
                 struct fh_error *error);
/* Gives `owner` the unfinished sagas whose owner is no instance's present session, with epoch + 1.
 * ledger_saga_take gives it one saga, whoever has it. */
static inline enum fh_code ledger_sagas_adopt(struct store_work *work, const char *owner,
                                              int64_t *ret_adopted, struct fh_error *error);
static inline enum fh_code ledger_saga_take(struct store_work *work, const char *birth,
                                            int64_t number, const char *owner,
                                            struct fh_error *error);
struct ledger_open {
    const char *owner; /* NULL: of all */
    const char *birth; /* after this one; NULL: from the first */
    int64_t number;
    int limit; /* how many are needed now; 0: all */
};
/* Sagas whose status is none of "ended", "undone", "abandoned"; in order of (birth, number), at
 * most `limit`. */
static inline enum fh_code
ledger_sagas_open(struct store_work *work, const struct ledger_open *open,
                  bool (*visit)(void *context, const struct ledger_saga *saga), void *context,
                  struct fh_error *error);
struct ledger_over {
    const char *birth;
    int64_t below; /* only numbers below this one; 0: from the newest */
    int limit;
};
/* Sagas of one birth whose status is "ended", "undone" or "abandoned", the newest number first; at
 * most `limit`. An engine whose answers are bounded may visit fewer, but one if there is any. */
static inline enum fh_code
ledger_sagas_over(struct store_work *work, const struct ledger_over *over,
                  bool (*visit)(void *context, const struct ledger_saga *saga), void *context,
                  struct fh_error *error);
/* Closing: ended sagas whose receivers have not all been told yet have closed = 0. This gives what
 * one snapshot says about a birth's sagas: closed_through is the highest number of an ended one (0:
 * none), still_open the numbers of those below it that have not ended. */
static inline enum fh_code ledger_sagas_closable(struct store_work *work, struct arena *arena,
                                                 const char *birth, struct ledger_caller *ret,
                                                 struct fh_error *error);
/* Marks ended sagas up to closed->closed_through as closed, except those in still_open: they may
 * have ended since. */
static inline enum fh_code ledger_sagas_closed(struct store_work *work, const char *birth,
                                               const struct ledger_caller *closed,
                                               int64_t *ret_marked, struct fh_error *error);
/* Each pair of birth and target for which an ended saga that is not closed has steps, once. */
static inline enum fh_code ledger_sagas_unclosed(struct store_work *work,
                                                 bool (*visit)(void *context, const char *birth,
                                                               const char *target),
                                                 void *context, struct fh_error *error);
struct ledger_counts {
    int64_t running, compensating, ended, undone, parked, abandoned;
};
static inline enum fh_code ledger_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                              struct fh_error *error);
/* Removes, with their steps, sagas that have ended, are marked as closed, have a number up to
 * `number_max`, and last changed before `before_ms` (wall clock): some of the oldest, at most
 * `limit`. *ret_removed: how many of each status. */
static inline enum fh_code ledger_sagas_forget(struct store_work *work, int64_t number_max,
                                               int64_t before_ms, int limit,
                                               struct ledger_counts *ret_removed,
                                               struct fh_error *error);

/* ---- migrations ---- */

/* Applied versions in order. */
static inline enum fh_code ledger_migrations_get(struct store_work *work,
                                                 bool (*visit)(void *context, int64_t version,
                                                               const char *name,
                                                               const char *checksum),
                                                 void *context, struct fh_error *error);
static inline enum fh_code ledger_migration_put(struct store_work *work, int64_t version,
                                                const char *name, const char *checksum,
                                                int64_t now_ms, struct fh_error *error);

#include "store/ledger_timer.h"

/* ---- implementations ---- */

/* The slots of an engine's table: one for each function above, without its prefix. */
/* clang-format off */
#define LEDGER_FUNCTIONS(X) \
    X(prepare) X(position) X(outbox_append) X(outbox_read) X(outbox_trimmed) X(outbox_id_at) \
    X(outbox_trim) X(subscriber_put) X(subscribers_get) X(cursor_get) X(cursor_move) \
    X(cursor_partitions) X(cursors_get) X(cursor_take) X(leases_get) X(lease_take) X(lease_renew) \
    X(lease_drop) X(parked_any) X(parked_has) X(parked_count) X(parked_put) X(parked_take) \
    X(parked_edit) X(parked_failed) X(parked_keys) X(parked_events) X(command_get) X(command_put) \
    X(commands_expire) X(commands_read) X(callers_read) X(caller_get) X(caller_close) \
    X(caller_newest) X(caller_set_newest) X(saga_start) X(saga_update) X(saga_get) X(saga_find) \
    X(step_put) X(steps_get) X(steps_answered) X(sagas_adopt) X(saga_take) X(sagas_open) \
    X(sagas_over) X(sagas_closable) X(sagas_closed) X(sagas_unclosed) X(sagas_forget) \
    X(saga_counts) X(migrations_get) X(migration_put) X(timer_put) X(timers_take) X(timers_read) \
    X(timer_get) X(timers_count) X(meta_get) X(meta_put)
/* clang-format on */

struct ledger_ops {
#define LEDGER_SLOT(name) __typeof__(ledger_##name) *name;
    LEDGER_FUNCTIONS(LEDGER_SLOT)
#undef LEDGER_SLOT
    const struct ledger_snapshot_ops *snapshots; /* ledger_snapshot.h */
    const struct record_ops *records;            /* records/records.h; NULL: not kept as records */
    __typeof__(ledger_caller_look) *caller_look; /* NULL: calls caller_newest and caller_get */
    enum fh_code (*derived_touch)(struct store_work *work, const char *keys,
                                  struct fh_error *error);
};

#include "store/ledger_dispatch.h"

#endif
