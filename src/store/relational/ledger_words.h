/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_LEDGER_WORDS_H
#define STORE_RELATIONAL_LEDGER_WORDS_H

/*
 * Statements of the ledger (ledger_sql.h) that dialects share, in the form in which their tables
 * list them: complete, or with a parameter for how a list ?n, a JSON array, is read as rows.
 */

#include "store/ledger.h"

#define LEDGER_GATE_WAIT_S "2" /* for units of work that publish now: LEDGER_GATE */

#define LEDGER_KEY_PLACES_OF(table, list)                                                          \
    "SELECT " table ".key, position FROM " table " WHERE " table ".key IN " list
#define LEDGER_KEYS_UNSEQUENCED_OF(list)                                                           \
    "SELECT fh_outbox.key FROM fh_outbox WHERE position IS NULL AND fh_outbox.key IN " list
#define LEDGER_CALLER_DELETE_OF(list)                                                              \
    "DELETE FROM fh_command WHERE caller = ?1 AND birth = ?2 AND birth <> ''"                      \
    " AND number <= ?3 AND outcome <> 'pending' AND number NOT IN " list
#define LEDGER_SAGAS_CLOSED_OF(table, list)                                                        \
    "UPDATE " table " SET closed = 1 WHERE closed = 0 AND birth = ?1 AND number <= ?2"             \
    " AND " LEDGER_SAGA_IS_OVER " AND number NOT IN " list
/* By the whole primary key: where two columns of it are compared with a list, SQLite looks through
 * all that there is, for each slice again. */
#define LEDGER_APPLIED_TYPE " (SELECT min(type) FROM fh_applied WHERE source = ?1 AND share = ?2)"

/* Shared by dialects that have INSERT ... ON CONFLICT. */
#define LEDGER_ON_CONFLICT                                                                         \
    [LEDGER_META_PUT] = "INSERT INTO fh_meta (name, value) VALUES (?1, ?2)"                        \
                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",                \
    [LEDGER_SUBSCRIBER_PUT] =                                                                      \
        "INSERT INTO fh_subscriber (name, share, incarnation, done, seen, updated_ms)"             \
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name, share) DO UPDATE SET"                 \
        " incarnation = excluded.incarnation, done = CASE WHEN"                                    \
        " fh_subscriber.incarnation = excluded.incarnation AND"                                    \
        " fh_subscriber.done > excluded.done AND excluded.name NOT LIKE '%" LEDGER_ASIDE "%'"      \
        " THEN fh_subscriber.done ELSE excluded.done END,"                                         \
        " seen = excluded.seen, updated_ms = excluded.updated_ms",                                 \
    [LEDGER_RESYNC_BEGIN] =                                                                        \
        "INSERT INTO fh_round (source, share, round, phase, type, behind, seen_position,"          \
        " seen_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",                \
    [LEDGER_APPLIED_PUT] =                                                                         \
        "INSERT INTO fh_applied (source, share, type, key, position, round)"                       \
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (source, share, type, key)"                  \
        " DO UPDATE SET position = excluded.position, round = excluded.round",                     \
    [LEDGER_APPLIED_CLEAR] =                                                                       \
        "DELETE FROM fh_applied WHERE source = ?1 AND share = ?2 AND type =" LEDGER_APPLIED_TYPE   \
        " AND key IN (SELECT key FROM fh_applied WHERE source = ?1 AND share = ?2 AND type "       \
        "=" LEDGER_APPLIED_TYPE " LIMIT ?3)",                                                      \
    [LEDGER_CURSOR_BEGIN] =                                                                        \
        "INSERT INTO fh_cursor (source, share, incarnation, position, event_id, epoch)"            \
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",                                 \
    [LEDGER_LEASE_BEGIN] = "INSERT INTO fh_lease (name, owner, epoch, beat, note)"                 \
                           " VALUES (?1, ?2, 1, 0, '') ON CONFLICT DO NOTHING",                    \
    [LEDGER_PARKED_KEY_PUT] = "INSERT INTO fh_parked_key (source, share, key, events, oldest_ms)"  \
                              " VALUES (?1, ?2, ?3, 1, ?4) ON CONFLICT (source, share, key)"       \
                              " DO UPDATE SET events = fh_parked_key.events + 1",                  \
    [LEDGER_PARKED_PUT] =                                                                          \
        "INSERT INTO fh_parked (source, share, key, position, event_id, type, time_ms,"            \
        " attempts, error, parked_ms, event)"                                                      \
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",                                  \
    [LEDGER_PARKED_COUNT] = "SELECT count(*), coalesce(sum(events), 0), min(oldest_ms)"            \
                            " FROM fh_parked_key WHERE source = ?1 AND share = ?2",                \
    [LEDGER_COMMAND_PUT] =                                                                         \
        "INSERT INTO fh_command (caller, key, birth, number, attempt, created_ms,"                 \
        " outcome, digest, request, answer, undo_answer)"                                          \
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"                                   \
        " ON CONFLICT (caller, key) DO UPDATE SET attempt = excluded.attempt,"                     \
        " outcome = excluded.outcome, digest = excluded.digest,"                                   \
        " request = excluded.request, answer = excluded.answer,"                                   \
        " undo_answer = excluded.undo_answer",                                                     \
    [LEDGER_COMMANDS_EXPIRE] = "DELETE FROM fh_command WHERE (caller, key) IN (SELECT caller, key" \
                               " FROM fh_command WHERE birth = '' AND created_ms < ?1"             \
                               " ORDER BY created_ms LIMIT ?2)",                                   \
    [LEDGER_CALLER_PUT] = "INSERT INTO fh_caller (caller, birth, closed_through, still_open)"      \
                          " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (caller, birth) DO UPDATE SET"     \
                          " closed_through = excluded.closed_through,"                             \
                          " still_open = excluded.still_open",                                     \
    [LEDGER_NEWEST_PUT] =                                                                          \
        "INSERT INTO fh_caller_newest (caller, incarnation) VALUES (?1, ?2)"                       \
        " ON CONFLICT (caller) DO UPDATE SET incarnation = excluded.incarnation",                  \
    [LEDGER_STEP_PUT] = "INSERT INTO fh_saga_step (birth, number, step, element, attempt, target," \
                        " request, state, answer, receiver, receiver_position)"                    \
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"                   \
                        " ON CONFLICT (birth, number, step, element) DO UPDATE SET"                \
                        " attempt = excluded.attempt, request = excluded.request,"                 \
                        " state = excluded.state, answer = excluded.answer,"                       \
                        " receiver = excluded.receiver,"                                           \
                        " receiver_position = excluded.receiver_position"

#endif
