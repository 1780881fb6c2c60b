/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's statements in MariaDB's SQL.
 *
 * Upserts are ON DUPLICATE KEY UPDATE; VALUES(x) is the value that would have been inserted. INSERT
 * IGNORE only where no value can be too long, because it would silently be truncated.
 */

#include "engine/mariadb/internal.h"
#include "store/relational/ledger_words.h"

#define LISTED_TEXTS                                                                               \
    "(SELECT listed.value COLLATE utf8mb4_nopad_bin FROM JSON_TABLE(?1, '$[*]'"                    \
    " COLUMNS (value VARCHAR(512) CHARACTER SET utf8mb4 PATH '$')) AS listed)"
#define LISTED_NUMBERS(number)                                                                     \
    "(SELECT listed.value FROM JSON_TABLE(" number                                                 \
    ", '$[*]' COLUMNS (value BIGINT PATH '$')) AS listed)"

const char *const mariadb_ledger_statements[LEDGER_STATEMENTS] = {
    [LEDGER_META_PUT] = "INSERT INTO fh_meta (name, value) VALUES (?1, ?2)"
                        " ON DUPLICATE KEY UPDATE value = VALUES(value)",
    [LEDGER_OUTBOX_APPEND] =
        "INSERT INTO fh_outbox (event_id, type, version, `key`, time_ms, data, trace)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [LEDGER_COUNTER_SET] = "UPDATE fh_counter SET position = ?1 WHERE one = 1",
    [LEDGER_SUBSCRIBER_PUT] =
        "INSERT INTO fh_subscriber (name, share, incarnation, done, seen, updated_ms)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON DUPLICATE KEY UPDATE"
        " done = IF(incarnation = VALUES(incarnation) AND done > VALUES(done)"
        " AND VALUES(name) NOT LIKE '%" LEDGER_ASIDE
        "%', done, VALUES(done)), incarnation = VALUES(incarnation), seen = VALUES(seen),"
        " updated_ms = VALUES(updated_ms)",
    [LEDGER_KEY_PLACES] = LEDGER_KEY_PLACES_OF("fh_place", LISTED_TEXTS),
    [LEDGER_KEYS_UNSEQUENCED] = LEDGER_KEYS_UNSEQUENCED_OF(LISTED_TEXTS),
    [LEDGER_RESYNC_BEGIN] =
        "INSERT IGNORE INTO fh_round (source, share, round, phase, type, behind,"
        " seen_position, seen_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [LEDGER_APPLIED_PUT] = "INSERT INTO fh_applied (source, share, type, `key`, position, round)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON DUPLICATE KEY UPDATE"
                           " position = VALUES(position), round = VALUES(round)",
    [LEDGER_APPLIED_CLEAR] = "DELETE FROM fh_applied WHERE source = ?1 AND share = ?2 LIMIT ?3",
    [LEDGER_CURSOR_BEGIN] =
        "INSERT IGNORE INTO fh_cursor (source, share, incarnation, position, event_id, epoch)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [LEDGER_LEASE_BEGIN] = "INSERT IGNORE INTO fh_lease (name, owner, epoch, beat, note)"
                           " VALUES (?1, ?2, 1, 0, '')",
    [LEDGER_PARKED_KEY_PUT] =
        "INSERT INTO fh_parked_key (source, share, `key`, events, oldest_ms)"
        " VALUES (?1, ?2, ?3, 1, ?4) ON DUPLICATE KEY UPDATE events = events + 1",
    [LEDGER_PARKED_PUT] =
        "INSERT INTO fh_parked (source, share, `key`, position, event_id, type, time_ms,"
        " attempts, error, parked_ms, event)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [LEDGER_PARKED_COUNT] =
        "SELECT count(*), CAST(coalesce(sum(events), 0) AS SIGNED), min(oldest_ms)"
        " FROM fh_parked_key WHERE source = ?1 AND share = ?2",
    [LEDGER_COMMAND_CLAIM] =
        "INSERT INTO fh_command (caller, `key`, birth, number, attempt, created_ms, outcome,"
        " digest) VALUES (?1, ?2, '', 0, 0, 0, '', '') ON DUPLICATE KEY UPDATE"
        " attempt = attempt RETURNING birth, number, attempt, created_ms, outcome, digest,"
        " request, answer, undo_answer",
    [LEDGER_GATE] =
        "SELECT stripe FROM fh_key_lock ORDER BY stripe FOR UPDATE WAIT " LEDGER_GATE_WAIT_S,
    [LEDGER_KEY_LOCK] = "SELECT stripe FROM fh_key_lock WHERE stripe = ?1 FOR UPDATE",
    [LEDGER_COMMAND_PUT] =
        "INSERT INTO fh_command (caller, `key`, birth, number, attempt, created_ms,"
        " outcome, digest, request, answer, undo_answer)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        " ON DUPLICATE KEY UPDATE birth = VALUES(birth), number = VALUES(number),"
        " attempt = VALUES(attempt), created_ms = VALUES(created_ms),"
        " outcome = VALUES(outcome), digest = VALUES(digest),"
        " request = VALUES(request), answer = VALUES(answer),"
        " undo_answer = VALUES(undo_answer)",
    [LEDGER_COMMANDS_EXPIRE] = "DELETE FROM fh_command WHERE birth = '' AND created_ms < ?1"
                               " ORDER BY created_ms LIMIT ?2",
    [LEDGER_CALLER_PUT] = "INSERT INTO fh_caller (caller, birth, closed_through, still_open)"
                          " VALUES (?1, ?2, ?3, ?4) ON DUPLICATE KEY UPDATE"
                          " closed_through = VALUES(closed_through),"
                          " still_open = VALUES(still_open)",
    [LEDGER_CALLER_DELETE] = LEDGER_CALLER_DELETE_OF(LISTED_NUMBERS("?4")),
    [LEDGER_NEWEST_PUT] = "INSERT INTO fh_caller_newest (caller, incarnation) VALUES (?1, ?2)"
                          " ON DUPLICATE KEY UPDATE incarnation = VALUES(incarnation)",
    [LEDGER_STEP_PUT] = "INSERT INTO fh_saga_step (birth, number, step, element, attempt, target,"
                        " request, state, answer, receiver, receiver_position)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                        " ON DUPLICATE KEY UPDATE"
                        " attempt = VALUES(attempt), request = VALUES(request),"
                        " state = VALUES(state), answer = VALUES(answer),"
                        " receiver = VALUES(receiver),"
                        " receiver_position = VALUES(receiver_position)",
    [LEDGER_SAGAS_CLOSED] = LEDGER_SAGAS_CLOSED_OF("fh_saga", LISTED_NUMBERS("?3")),
    [LEDGER_SEQUENCE] = "CALL fh_sequence(?1)",
    [LEDGER_CLOCK] = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01',"
                     " UTC_TIMESTAMP(3)) DIV 1000",
};
