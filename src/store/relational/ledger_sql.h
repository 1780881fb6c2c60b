/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_LEDGER_SQL_H
#define STORE_RELATIONAL_LEDGER_SQL_H

/*
 * The ledger's words of SQL that differ between dialects. What is the same in all of them stands
 * where it is run. Written so that it need not differ: `key`, which MariaDB reserves, always with
 * its table before it (fh_outbox.key), which only lists of columns can't have.
 */

#include "store/relational/sql.h"

#define LEDGER_SAGA_OPEN "('running', 'compensating', 'parked')"
#define LEDGER_SAGA_OVER "('ended', 'undone', 'abandoned')"

enum ledger_statement {
    LEDGER_META_PUT,
    LEDGER_OUTBOX_APPEND, /* engines with a sequencer: 1 id, type, version, key, 5 time_ms, data,
                             trace */
    LEDGER_OUTBOX_APPEND_LOCKED, /* the same, of a single event: takes the lock of 8 stripe first.
                                    NULL: LEDGER_KEY_LOCK is sent before it */
    LEDGER_OUTBOX_APPEND_ALL,    /* of many events: arrays, as PostgreSQL writes them, of 1 stripes,
                                    2 to 8 what LEDGER_OUTBOX_APPEND has; 9: 1, if they may get
                                    positions at once. The first one's; NULL: they did not */
    LEDGER_COUNTER_SET,          /* 1: the last position, of a store that was copied */
    LEDGER_SUBSCRIBER_PUT,
    LEDGER_KEY_PLACES,       /* 1: keys as a JSON array; rows of key and position */
    LEDGER_KEYS_UNSEQUENCED, /* the same, as rows of key: events without a position yet */
    LEDGER_RESYNC_BEGIN,
    LEDGER_APPLIED_PUT,
    LEDGER_APPLIED_CLEAR,
    LEDGER_CURSOR_BEGIN,
    LEDGER_LEASE_BEGIN,
    LEDGER_PARKED_KEY_PUT,
    LEDGER_PARKED_PUT,
    LEDGER_PARKED_COUNT,
    LEDGER_COMMAND_CLAIM, /* the record of 1 caller, 2 key, or a new one without outcome; as a row
                             of birth, number, attempt, created_ms, outcome, digest, request,
                             answer, undo_answer. NULL: to look for it is enough */
    LEDGER_KEY_LOCK,
    LEDGER_COMMAND_PUT,
    LEDGER_COMMANDS_EXPIRE,
    LEDGER_CALLER_PUT,
    LEDGER_CALLER_DELETE,
    LEDGER_NEWEST_PUT,
    LEDGER_STEP_PUT,
    LEDGER_SAGAS_CLOSED,
    LEDGER_SAGA_ADVANCE,    /* as ledger_saga_update: the statement itself fails where it changes
                               nothing, so nobody waits for it. NULL: it is asked */
    LEDGER_SAGA_ADVANCE_AT, /* the same, of the row that lies at 8 */
    /* Autocommitted, outside of works: gives positions to STORE_SEQUENCE_SLICE events at the most,
     * and rows to the sagas among them. MariaDB's takes 1: ids as a JSON array, of which it tells
     * those that have a position by then, as rows of event_id and position. PostgreSQL's tells the
     * same of those that it has numbered itself; for others there is LEDGER_PLACED, which takes
     * the ids. */
    LEDGER_SEQUENCE,
    LEDGER_PLACED,
    LEDGER_CLOCK, /* the server's, in ms since 1970; NULL: there is no server */
    LEDGER_STATEMENTS
};

/* In the words of the work's engine. */
static inline const char *ledger_sql(const struct store_work *work, enum ledger_statement statement)
{
    return sql_dialect_of(work->store)->ledger[statement];
}

/* A statement outside of works, committed by itself, at READ COMMITTED. */
typedef enum fh_code ledger_run(struct store *store, const char *sql,
                                const struct sql_value *values, int count, sql_visit *visit,
                                void *context, struct fh_error *error);
/* What server engines' store_ops.sequence does, with the engine's own way to run a statement. */
enum fh_code ledger_sequence(struct store *store, ledger_run *run, struct store_placed *placed,
                             int count, struct fh_error *error);

/* What store_ops.clock does on relational servers. */
enum fh_code ledger_clock(struct store *store, int64_t *ret_ms, struct fh_error *error);

#endif
