/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_LEDGER_SQL_H
#define STORE_RELATIONAL_LEDGER_SQL_H

/*
 * The ledger's statements that differ between dialects; the common ones are where they are run. To
 * keep them common, `key`, which MariaDB reserves, always has its table in front (fh_outbox.key);
 * only in lists of columns that is not possible.
 */

#include "store/relational/sql.h"

#define LEDGER_SAGA_OPEN "('running', 'compensating', 'parked')"
#define LEDGER_SAGA_OVER "('ended', 'undone', 'abandoned')"
/* The same where no index is meant: SQLite makes a table of a list of three, for each execution. */
#define LEDGER_SAGA_IS_OPEN "status <> 'ended' AND status <> 'undone' AND status <> 'abandoned'"
#define LEDGER_SAGA_IS_OVER                                                                        \
    "status <> 'running' AND status <> 'compensating' AND status <> 'parked'"

enum ledger_statement {
    LEDGER_META_PUT,
    LEDGER_OUTBOX_APPEND, /* engines with a sequencer: 1 id, type, version, key, 5 time_ms, data,
                           * trace */
    LEDGER_OUTBOX_APPEND_LOCKED, /* the same for a single event: takes the lock of 8 stripe first.
                                  * NULL: LEDGER_KEY_LOCK is sent before it */
    LEDGER_OUTBOX_APPEND_ALL,    /* for many events: arrays in PostgreSQL's syntax, 1 stripes, 2 to
                                  * 8 as in LEDGER_OUTBOX_APPEND; 9: 1 if they may get positions at
                                  * once. Returns the first one's position; NULL: they got none */
    LEDGER_COUNTER_SET,          /* 1: the last position, for a store that was copied */
    LEDGER_SUBSCRIBER_PUT,
    LEDGER_KEY_PLACES,       /* 1: keys as a JSON array; rows of key and position */
    LEDGER_KEYS_UNSEQUENCED, /* the same, as rows of key: those with events without a position */
    LEDGER_RESYNC_BEGIN,
    LEDGER_APPLIED_PUT,
    LEDGER_APPLIED_CLEAR,
    LEDGER_CURSOR_BEGIN,
    LEDGER_LEASE_BEGIN,
    LEDGER_PARKED_KEY_PUT,
    LEDGER_PARKED_PUT,
    LEDGER_PARKED_COUNT,
    LEDGER_COMMAND_CLAIM, /* the record of 1 caller, 2 key, or a new one without outcome; as a row
                           * of birth, number, attempt, created_ms, outcome, digest, request,
                           * answer, undo_answer. NULL: a plain lookup is enough */
    LEDGER_KEY_LOCK,
    LEDGER_COMMAND_PUT,
    LEDGER_COMMANDS_EXPIRE,
    LEDGER_CALLER_PUT,
    LEDGER_CALLER_DELETE,
    LEDGER_NEWEST_PUT,
    LEDGER_STEP_PUT,
    LEDGER_SAGAS_CLOSED,
    LEDGER_SAGA_STAY,       /* as ledger_saga_update, for one that stays in its status 5, which is
                             * not written again, nor its index. NULL: that saves nothing */
    LEDGER_SAGA_ADVANCE,    /* as ledger_saga_update: the statement itself fails if it changes
                             * nothing, so its result need not be awaited. NULL: the number of
                             * changed rows is checked */
    LEDGER_SAGA_ADVANCE_AT, /* the same, for the row at physical place 8 */
    LEDGER_DERIVED_TOUCH, /* changes a row of each of the keys in 1, a JSON array of pairs. NULL: of
                           * two units of work the one that has read what the other overwrites
                           * commits first anyway */
    LEDGER_TIMERS_TAKE,   /* those of 1 names as a JSON array and 2 kind, from the key of 3 due_ms,
                           * 4 name to that of 5, 6; NULL: some names at a time are enough */
    /* Run separately, outside units of work, and committed at once: assigns positions to at most
     * STORE_SEQUENCE_SLICE events, and creates the rows of the sagas among them. MariaDB's takes 1:
     * ids as a JSON array, and returns those that have a position by then, as rows of event_id and
     * position. PostgreSQL's returns such rows for the events that it has numbered itself; for
     * others there is LEDGER_PLACED, which takes the ids. */
    LEDGER_SEQUENCE,
    LEDGER_PLACED,
    LEDGER_CLOCK, /* the server's time in ms since 1970; NULL: there is no server */
    /* Waits, for a bounded time, until no unit of work that publishes is in progress; those that
     * want to wait until this one ends. The first statement bounds the second one's wait; NULL: it
     * does so itself. NULL: the engine has no sequencer. */
    LEDGER_GATE_BOUND,
    LEDGER_GATE,
    LEDGER_STATEMENTS
};

/* The statement in the dialect of the unit of work's engine. */
static inline const char *ledger_sql(const struct store_work *work, enum ledger_statement statement)
{
    return sql_dialect_of(work->store)->ledger[statement];
}

/* Runs a statement outside units of work, committed separately, at READ COMMITTED. */
typedef enum fh_code ledger_run(struct store *store, const char *sql,
                                const struct sql_value *values, int count, sql_visit *visit,
                                void *context, struct fh_error *error);
/* store_ops.sequence for relational servers, given the engine's own way to run a statement. */
enum fh_code ledger_sequence(struct store *store, ledger_run *run, struct store_placed *placed,
                             int count, struct fh_error *error);

/* store_ops.clock for relational servers. */
enum fh_code ledger_clock(struct store *store, int64_t *ret_ms, struct fh_error *error);

#endif
