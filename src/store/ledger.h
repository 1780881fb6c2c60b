/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

/*
 * The ledger: what Freehold itself keeps in a service's store, beside the service's own data and
 * committed together with it. Tables carry the prefix fh_. Relational engines (and models
 * built on one) share the one implementation in relational/ledger*.c.
 *
 * All functions run inside an open work. Text in results lives in the given arena.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/store.h"

/* ---- meta ---------------------------------------------------------------------------------- */

/* Makes the tables where they are missing and reads the incarnation (a new one in a new store).
 * In an open write work. */
enum fh_code ledger_prepare(struct store_work *work, char ret_incarnation[ID_SIZE],
                            struct fh_error *error);
/* The last position given out. */
enum fh_code ledger_position(struct store_work *work, int64_t *ret, struct fh_error *error);

/* ---- outbox -------------------------------------------------------------------------------- */

struct ledger_event {
    int64_t position; /* dense, 1 and up; never given out twice */
    int64_t previous; /* position of the same key's event before, 0: none */
    int64_t time_ms;
    int version;
    const char *id;   /* random */
    const char *type; /* types that begin with "freehold." are internal: the feed skips them */
    const char *key;
    const char *data;  /* JSON text */
    const char *trace; /* traceparent, or NULL */
};

/* The work's last statements. Fills position and previous. */
enum fh_code ledger_outbox_append(struct store_work *work, struct ledger_event *event,
                                  struct fh_error *error);
/* Events with position > after, at most `limit` of them, in order, each given to visit; its
 * return false ends. */
enum fh_code ledger_outbox_read(struct store_work *work, int64_t after, int limit,
                                bool (*visit)(void *context, const struct ledger_event *event),
                                void *context, struct fh_error *error);
/* The trimmed position and its event's id ("" when 0), and the id of the event at `position`
 * ("" when there is none or it was trimmed). */
enum fh_code ledger_outbox_trimmed(struct store_work *work, int64_t *ret_position,
                                   char ret_id[ID_SIZE], struct fh_error *error);
enum fh_code ledger_outbox_id_at(struct store_work *work, int64_t position, char ret_id[ID_SIZE],
                                 struct fh_error *error);
/* Removes at most `limit` events up to `position`. */
enum fh_code ledger_outbox_trim(struct store_work *work, int64_t position, int limit,
                                int64_t *ret_removed, struct fh_error *error);
/* A subscriber as the publisher sees it: done is committed there, seen was fetched. */
enum fh_code ledger_subscriber_put(struct store_work *work, const char *name, const char *share,
                                   const char *incarnation, int64_t done, int64_t seen,
                                   int64_t now_ms, struct fh_error *error);

/* ---- cursors ------------------------------------------------------------------------------- */

struct ledger_cursor {
    char incarnation[ID_SIZE]; /* the source's; "" before the first contact */
    char event_id[ID_SIZE];    /* of the event at position */
    int64_t position;
    int64_t epoch;
};

/* A subscription that was never there begins at position 0 (FH_OK, incarnation ""). */
enum fh_code ledger_cursor_get(struct store_work *work, const char *source, const char *share,
                               struct ledger_cursor *ret, struct fh_error *error);
/* The work's first statement: from `old` to `next`. FH_CONFLICT (not retryable) when the cursor
 * is not at `old` with its epoch any more: someone else has applied these. */
enum fh_code ledger_cursor_move(struct store_work *work, const char *source, const char *share,
                                const struct ledger_cursor *old, const struct ledger_cursor *next,
                                struct fh_error *error);

/* ---- parked events ------------------------------------------------------------------------- */

/* An event whose handler kept failing, or that waits behind one of its key that did. */
struct ledger_parked {
    const char *source, *share, *key;
    int64_t position;
    const char *event_id, *type;
    int64_t time_ms;   /* the event's own; 0: it told none that can be read */
    int64_t attempts;  /* 0: it waits behind one that failed */
    const char *error; /* of the last attempt, or "" */
    int64_t parked_ms;
    const char *event; /* the envelope as it came, JSON text */
    int64_t waiting;   /* read only: how many events are parked under its key, itself included */
};

struct ledger_parked_counts {
    int64_t keys, events;
    int64_t oldest_ms; /* when the oldest event was published; 0: there is none */
};

/* Is anything parked of this subscription; is this key. An applying or retrying work looks here
 * before anything else, but for its cursor. */
enum fh_code ledger_parked_any(struct store_work *work, const char *source, const char *share,
                               bool *ret, struct fh_error *error);
enum fh_code ledger_parked_has(struct store_work *work, const char *source, const char *share,
                               const char *key, bool *ret, struct fh_error *error);
enum fh_code ledger_parked_count(struct store_work *work, const char *source, const char *share,
                                 struct ledger_parked_counts *ret, struct fh_error *error);
/* Parks an event, and its key if it is not parked yet. */
enum fh_code ledger_parked_put(struct store_work *work, const struct ledger_parked *parked,
                               struct fh_error *error);
/* Removes the first event of a key, and with its last one the key (*ret_unparked). FH_CONFLICT
 * (not retryable) when the event at `position` is not the first of its key, or not there. */
enum fh_code ledger_parked_take(struct store_work *work, const char *source, const char *share,
                                const char *key, int64_t position, bool *ret_unparked,
                                struct fh_error *error);
/* One more attempt on it failed, with parked->error. */
enum fh_code ledger_parked_failed(struct store_work *work, const struct ledger_parked *parked,
                                  struct fh_error *error);
/* The first event of each parked key, `event` left "". `source` NULL: of all. */
enum fh_code ledger_parked_keys(struct store_work *work, const char *source, int limit,
                                bool (*visit)(void *context, const struct ledger_parked *parked),
                                void *context, struct fh_error *error);
/* Those of one key, in order. */
enum fh_code ledger_parked_events(struct store_work *work, const char *source, const char *key,
                                  int limit,
                                  bool (*visit)(void *context, const struct ledger_parked *parked),
                                  void *context, struct fh_error *error);

/* ---- commands ------------------------------------------------------------------------------ */

enum ledger_outcome { LEDGER_DONE, LEDGER_REFUSED, LEDGER_UNDONE, LEDGER_NEVER, LEDGER_PENDING };

struct ledger_command {
    const char *caller; /* a service's name, or "client METHOD /pattern" */
    const char *key;
    const char *birth; /* the incarnation in the key, "" for outside clients */
    int64_t number;    /* the saga's number in the key, 0 for outside clients */
    int64_t attempt;
    int64_t created_ms;
    enum ledger_outcome outcome;
    const char *digest;      /* hex; of method, path, body */
    const char *request;     /* body as JSON text, or NULL */
    const char *answer;      /* {"status", "headers", "body"} as JSON text, or NULL */
    const char *undo_answer; /* or NULL */
};

const char *ledger_outcome_name(enum ledger_outcome outcome);

/* FH_NOT_FOUND: none. */
enum fh_code ledger_command_get(struct store_work *work, struct arena *arena, const char *caller,
                                const char *key, struct ledger_command *ret,
                                struct fh_error *error);
/* Inserts or replaces (caller, key). */
enum fh_code ledger_command_put(struct store_work *work, const struct ledger_command *command,
                                struct fh_error *error);
/* Outside clients' records older than `before_ms`, at most `limit`. */
enum fh_code ledger_commands_expire(struct store_work *work, int64_t before_ms, int limit,
                                    int64_t *ret_removed, struct fh_error *error);

struct ledger_caller {
    int64_t closed_through;
    const char *still_open; /* JSON array of numbers, ascending */
};

/* What is closed of a caller's sagas, by its birth incarnation. None: closed_through 0, "[]". */
enum fh_code ledger_caller_get(struct store_work *work, struct arena *arena, const char *caller,
                               const char *birth, struct ledger_caller *ret,
                               struct fh_error *error);
/* Stores it and deletes that caller's commands it closes (never pending ones). */
enum fh_code ledger_caller_close(struct store_work *work, const char *caller, const char *birth,
                                 const struct ledger_caller *closed, struct fh_error *error);
/* The newest present incarnation seen of a caller ("" none), and storing a newer one. */
enum fh_code ledger_caller_newest(struct store_work *work, const char *caller,
                                  char ret_incarnation[ID_SIZE], struct fh_error *error);
enum fh_code ledger_caller_set_newest(struct store_work *work, const char *caller,
                                      const char *incarnation, struct fh_error *error);

/* ---- sagas --------------------------------------------------------------------------------- */

struct ledger_saga {
    const char *birth; /* incarnation in which it began */
    int64_t number;    /* the position of its start in the outbox */
    const char *name;
    const char *input;  /* JSON text */
    const char *state;  /* JSON text: see saga/decide.h */
    const char *status; /* "running", "compensating", "ended", "undone", "parked" */
    int64_t epoch;
    int64_t deadline_ms; /* wall clock, for people; the runner counts what is left */
    int64_t updated_ms;
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
    const char *receiver; /* its incarnation as the answer told, or NULL */
    int64_t receiver_position;
};

enum fh_code ledger_saga_insert(struct store_work *work, const struct ledger_saga *saga,
                                struct fh_error *error);
/* WHERE epoch = saga->epoch; FH_CONFLICT (not retryable) when it is not. */
enum fh_code ledger_saga_update(struct store_work *work, const struct ledger_saga *saga,
                                struct fh_error *error);
enum fh_code ledger_saga_get(struct store_work *work, struct arena *arena, const char *birth,
                             int64_t number, struct ledger_saga *ret, struct fh_error *error);
enum fh_code ledger_step_put(struct store_work *work, const struct ledger_step *step,
                             struct fh_error *error);
/* In order of (step, element). */
enum fh_code ledger_steps_get(struct store_work *work, struct arena *arena, const char *birth,
                              int64_t number,
                              bool (*visit)(void *context, const struct ledger_step *step),
                              void *context, struct fh_error *error);
/* Sagas whose status is none of "ended", "undone"; in order of number. */
enum fh_code ledger_sagas_open(struct store_work *work,
                               bool (*visit)(void *context, const struct ledger_saga *saga),
                               void *context, struct fh_error *error);
/* Closing: ended sagas whose receivers have not all been told are kept with closed = 0.
 * What can be said of a birth's sagas in one snapshot: closed_through is the highest number of an
 * ended one (0: none), still_open the numbers of those below it that have not ended. */
enum fh_code ledger_sagas_closable(struct store_work *work, struct arena *arena, const char *birth,
                                   struct ledger_caller *ret, struct fh_error *error);
/* Marks as closed the ended ones up to closed->closed_through, but for those in still_open: they
 * may have ended since. */
enum fh_code ledger_sagas_closed(struct store_work *work, const char *birth,
                                 const struct ledger_caller *closed, int64_t *ret_marked,
                                 struct fh_error *error);
/* Each pair of birth and target that an ended, unclosed saga has steps of, once. */
enum fh_code ledger_sagas_unclosed(struct store_work *work,
                                   bool (*visit)(void *context, const char *birth,
                                                 const char *target),
                                   void *context, struct fh_error *error);
struct ledger_counts {
    int64_t running, compensating, ended, undone, parked;
};
enum fh_code ledger_saga_counts(struct store_work *work, struct ledger_counts *ret,
                                struct fh_error *error);

/* ---- migrations ---------------------------------------------------------------------------- */

/* Applied versions in order. */
enum fh_code ledger_migrations_get(struct store_work *work,
                                   bool (*visit)(void *context, int64_t version, const char *name,
                                                 const char *checksum),
                                   void *context, struct fh_error *error);
enum fh_code ledger_migration_put(struct store_work *work, int64_t version, const char *name,
                                  const char *checksum, int64_t now_ms, struct fh_error *error);

#endif
