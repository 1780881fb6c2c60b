/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements of the ledger that each dialect has its own words for. NULL: SQLite's serve.
 *
 * MariaDB's upserts: ON DUPLICATE KEY UPDATE; VALUES(x) is what was to be inserted. INSERT IGNORE
 * only where no value can be too long, for it would be cut in silence.
 */

#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"

static const char *const statements[LEDGER_STATEMENTS][SQL_DIALECTS] = {
    [LEDGER_META_PUT] = {[SQL_SQLITE] = "INSERT INTO fh_meta (name, value) VALUES (?1, ?2)"
                                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                         [SQL_MARIADB] = "INSERT INTO fh_meta (name, value) VALUES (?1, ?2)"
                                         " ON DUPLICATE KEY UPDATE value = VALUES(value)"},
#define POSTGRESQL_KEY_LOCK(parameter)                                                             \
    "pg_advisory_xact_lock(" LEDGER_KEYS_POSTGRESQL ", CAST(" parameter " AS integer))"
#define TEXTS(parameter) "CAST(CAST(" parameter " AS text) AS text[]), "
#define NUMBERS(parameter) "CAST(CAST(" parameter " AS text) AS bigint[]), "
    [LEDGER_OUTBOX_APPEND] =
        {[SQL_POSTGRESQL] =
             "INSERT INTO fh_outbox (event_id, type, version, key, time_ms, data, trace)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
         [SQL_MARIADB] =
             "INSERT INTO fh_outbox (event_id, type, version, `key`, time_ms, data, trace)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
    /* The lock is had before seq is drawn: rows come from `locked` when it is there. */
    [LEDGER_OUTBOX_APPEND_LOCKED] =
        {[SQL_POSTGRESQL] = "WITH locked AS MATERIALIZED (SELECT " POSTGRESQL_KEY_LOCK(
             "?8") ")"
                   " INSERT INTO fh_outbox (event_id, type, version, key, time_ms, data, trace)"
                   " SELECT ?1, ?2, CAST(?3 AS bigint), ?4, CAST(?5 AS bigint), ?6, ?7 FROM "
                   "locked"},
    [LEDGER_OUTBOX_APPEND_ALL] =
        {[SQL_POSTGRESQL] = "SELECT fh_append(CAST(CAST(?1 AS text) AS integer[]), " TEXTS("?2")
             TEXTS("?3") NUMBERS("?4") TEXTS("?5") NUMBERS("?6") TEXTS("?7")
                 TEXTS("?8") "CAST(?9 AS integer) = 1)"},
    [LEDGER_COUNTER_SET] = {[SQL_SQLITE] = "UPDATE fh_counter SET position = ?1 WHERE one = 1",
                            [SQL_POSTGRESQL] =
                                "UPDATE fh_counter SET position = ?1, drawn = -1 WHERE one = 1"},
    [LEDGER_SUBSCRIBER_PUT] =
        {[SQL_SQLITE] =
             "INSERT INTO fh_subscriber (name, share, incarnation, done, seen, updated_ms)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name, share) DO UPDATE SET"
             " incarnation = excluded.incarnation, done = CASE WHEN"
             " fh_subscriber.incarnation = excluded.incarnation AND"
             " fh_subscriber.done > excluded.done THEN fh_subscriber.done ELSE excluded.done END,"
             " seen = excluded.seen, updated_ms = excluded.updated_ms",
         [SQL_MARIADB] =
             "INSERT INTO fh_subscriber (name, share, incarnation, done, seen, updated_ms)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON DUPLICATE KEY UPDATE"
             " done = IF(incarnation = VALUES(incarnation) AND done > VALUES(done), done,"
             " VALUES(done)), incarnation = VALUES(incarnation), seen = VALUES(seen),"
             " updated_ms = VALUES(updated_ms)"},
#define TEXTS_SQLITE "(SELECT value FROM json_each(?1))"
#define TEXTS_POSTGRESQL "(SELECT jsonb_array_elements_text(CAST(?1 AS jsonb)))"
#define TEXTS_MARIADB                                                                              \
    "(SELECT listed.value COLLATE utf8mb4_nopad_bin FROM JSON_TABLE(?1, '$[*]'"                    \
    " COLUMNS (value VARCHAR(512) CHARACTER SET utf8mb4 PATH '$')) AS listed)"
#define KEY_PLACES(table, list)                                                                    \
    "SELECT " table ".key, position FROM " table " WHERE " table ".key IN " list
#define KEYS_UNSEQUENCED(list)                                                                     \
    "SELECT fh_outbox.key FROM fh_outbox WHERE position IS NULL AND fh_outbox.key IN " list
    [LEDGER_KEY_PLACES] = {KEY_PLACES("fh_last_of_key", TEXTS_SQLITE),
                           KEY_PLACES("fh_place", TEXTS_POSTGRESQL),
                           KEY_PLACES("fh_place", TEXTS_MARIADB)},
    [LEDGER_KEYS_UNSEQUENCED] = {KEYS_UNSEQUENCED(TEXTS_SQLITE), KEYS_UNSEQUENCED(TEXTS_POSTGRESQL),
                                 KEYS_UNSEQUENCED(TEXTS_MARIADB)},
    [LEDGER_ROUND_BEGIN] =
        {[SQL_SQLITE] =
             "INSERT INTO fh_round (source, share, round, phase, type, behind, seen_position,"
             " seen_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
         [SQL_MARIADB] = "INSERT IGNORE INTO fh_round (source, share, round, phase, type, behind,"
                         " seen_position, seen_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
    [LEDGER_APPLIED_PUT] =
        {[SQL_SQLITE] = "INSERT INTO fh_applied (source, share, type, key, position, round)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (source, share, type, key)"
                        " DO UPDATE SET position = excluded.position, round = excluded.round",
         [SQL_MARIADB] = "INSERT INTO fh_applied (source, share, type, `key`, position, round)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON DUPLICATE KEY UPDATE"
                         " position = VALUES(position), round = VALUES(round)"},
    [LEDGER_APPLIED_CLEAR] =
        {[SQL_SQLITE] = "DELETE FROM fh_applied WHERE source = ?1 AND share = ?2 AND (type, key) IN"
                        " (SELECT type, key FROM fh_applied WHERE source = ?1 AND share = ?2"
                        " LIMIT ?3)",
         [SQL_MARIADB] = "DELETE FROM fh_applied WHERE source = ?1 AND share = ?2 LIMIT ?3"},
    [LEDGER_CURSOR_BEGIN] =
        {[SQL_SQLITE] =
             "INSERT INTO fh_cursor (source, share, incarnation, position, event_id, epoch)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
         [SQL_MARIADB] =
             "INSERT IGNORE INTO fh_cursor (source, share, incarnation, position, event_id, epoch)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
    [LEDGER_LEASE_BEGIN] = {[SQL_SQLITE] = "INSERT INTO fh_lease (name, owner, epoch, beat, note)"
                                           " VALUES (?1, ?2, 1, 0, '') ON CONFLICT DO NOTHING",
                            [SQL_MARIADB] =
                                "INSERT IGNORE INTO fh_lease (name, owner, epoch, beat, note)"
                                " VALUES (?1, ?2, 1, 0, '')"},
    [LEDGER_PARKED_KEY_PUT] =
        {[SQL_SQLITE] = "INSERT INTO fh_parked_key (source, share, key, events, oldest_ms)"
                        " VALUES (?1, ?2, ?3, 1, ?4) ON CONFLICT (source, share, key)"
                        " DO UPDATE SET events = fh_parked_key.events + 1",
         [SQL_MARIADB] = "INSERT INTO fh_parked_key (source, share, `key`, events, oldest_ms)"
                         " VALUES (?1, ?2, ?3, 1, ?4) ON DUPLICATE KEY UPDATE events = events + 1"},
    [LEDGER_PARKED_PUT] =
        {[SQL_SQLITE] =
             "INSERT INTO fh_parked (source, share, key, position, event_id, type, time_ms,"
             " attempts, error, parked_ms, event)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
         [SQL_MARIADB] =
             "INSERT INTO fh_parked (source, share, `key`, position, event_id, type, time_ms,"
             " attempts, error, parked_ms, event)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"},
    [LEDGER_PARKED_COUNT] =
        {[SQL_SQLITE] = "SELECT count(*), coalesce(sum(events), 0), min(oldest_ms)"
                        " FROM fh_parked_key WHERE source = ?1 AND share = ?2",
         [SQL_MARIADB] = "SELECT count(*), CAST(coalesce(sum(events), 0) AS SIGNED), min(oldest_ms)"
                         " FROM fh_parked_key WHERE source = ?1 AND share = ?2"},
    [LEDGER_COMMAND_CLAIM] =
        {[SQL_MARIADB] =
             "INSERT INTO fh_command (caller, `key`, birth, number, attempt, created_ms, outcome,"
             " digest) VALUES (?1, ?2, '', 0, 0, 0, '', '') ON DUPLICATE KEY UPDATE"
             " attempt = attempt RETURNING birth, number, attempt, created_ms, outcome, digest,"
             " request, answer, undo_answer"},
    /* PostgreSQL: a row's lock would write the row. */
    [LEDGER_KEY_LOCK] = {[SQL_SQLITE] =
                             "SELECT stripe FROM fh_key_lock WHERE stripe = ?1 FOR UPDATE",
                         [SQL_POSTGRESQL] = "SELECT " POSTGRESQL_KEY_LOCK("?1")},
    [LEDGER_COMMAND_PUT] =
        {[SQL_SQLITE] = "INSERT INTO fh_command (caller, key, birth, number, attempt, created_ms,"
                        " outcome, digest, request, answer, undo_answer)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                        " ON CONFLICT (caller, key) DO UPDATE SET attempt = excluded.attempt,"
                        " outcome = excluded.outcome, digest = excluded.digest,"
                        " request = excluded.request, answer = excluded.answer,"
                        " undo_answer = excluded.undo_answer",
         [SQL_MARIADB] =
             "INSERT INTO fh_command (caller, `key`, birth, number, attempt, created_ms,"
             " outcome, digest, request, answer, undo_answer)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
             " ON DUPLICATE KEY UPDATE birth = VALUES(birth), number = VALUES(number),"
             " attempt = VALUES(attempt), created_ms = VALUES(created_ms),"
             " outcome = VALUES(outcome), digest = VALUES(digest),"
             " request = VALUES(request), answer = VALUES(answer),"
             " undo_answer = VALUES(undo_answer)"},
    [LEDGER_COMMANDS_EXPIRE] =
        {[SQL_SQLITE] = "DELETE FROM fh_command WHERE (caller, key) IN (SELECT caller, key"
                        " FROM fh_command WHERE birth = '' AND created_ms < ?1"
                        " ORDER BY created_ms LIMIT ?2)",
         [SQL_MARIADB] = "DELETE FROM fh_command WHERE birth = '' AND created_ms < ?1"
                         " ORDER BY created_ms LIMIT ?2"},
    [LEDGER_CALLER_PUT] = {[SQL_SQLITE] =
                               "INSERT INTO fh_caller (caller, birth, closed_through, still_open)"
                               " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (caller, birth) DO UPDATE SET"
                               " closed_through = excluded.closed_through,"
                               " still_open = excluded.still_open",
                           [SQL_MARIADB] =
                               "INSERT INTO fh_caller (caller, birth, closed_through, still_open)"
                               " VALUES (?1, ?2, ?3, ?4) ON DUPLICATE KEY UPDATE"
                               " closed_through = VALUES(closed_through),"
                               " still_open = VALUES(still_open)"},
#define CALLER_DELETE(list)                                                                        \
    "DELETE FROM fh_command WHERE caller = ?1 AND birth = ?2 AND birth <> ''"                      \
    " AND number <= ?3 AND outcome <> 'pending' AND number NOT IN " list
#define SAGAS_CLOSED(list)                                                                         \
    "UPDATE fh_saga SET closed = 1 WHERE closed = 0 AND birth = ?1 AND number <= ?2"               \
    " AND status IN " LEDGER_SAGA_OVER " AND number NOT IN " list
#define LIST_SQLITE(number) "(SELECT value FROM json_each(" number "))"
#define LIST_POSTGRESQL(number)                                                                    \
    "(SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(" number " AS jsonb)))"
#define LIST_MARIADB(number)                                                                       \
    "(SELECT listed.value FROM JSON_TABLE(" number                                                 \
    ", '$[*]' COLUMNS (value BIGINT PATH '$')) AS listed)"
    [LEDGER_CALLER_DELETE] = {CALLER_DELETE(LIST_SQLITE("?4")),
                              CALLER_DELETE(LIST_POSTGRESQL("?4")),
                              CALLER_DELETE(LIST_MARIADB("?4"))},
    [LEDGER_SAGAS_CLOSED] = {SAGAS_CLOSED(LIST_SQLITE("?3")), SAGAS_CLOSED(LIST_POSTGRESQL("?3")),
                             SAGAS_CLOSED(LIST_MARIADB("?3"))},
    [LEDGER_NEWEST_PUT] =
        {[SQL_SQLITE] = "INSERT INTO fh_caller_newest (caller, incarnation) VALUES (?1, ?2)"
                        " ON CONFLICT (caller) DO UPDATE SET incarnation = excluded.incarnation",
         [SQL_MARIADB] = "INSERT INTO fh_caller_newest (caller, incarnation) VALUES (?1, ?2)"
                         " ON DUPLICATE KEY UPDATE incarnation = VALUES(incarnation)"},
    [LEDGER_STEP_PUT] =
        {[SQL_SQLITE] = "INSERT INTO fh_saga_step (birth, number, step, element, attempt, target,"
                        " request, state, answer, receiver, receiver_position)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                        " ON CONFLICT (birth, number, step, element) DO UPDATE SET"
                        " attempt = excluded.attempt, request = excluded.request,"
                        " state = excluded.state, answer = excluded.answer,"
                        " receiver = excluded.receiver,"
                        " receiver_position = excluded.receiver_position",
         [SQL_MARIADB] = "INSERT INTO fh_saga_step (birth, number, step, element, attempt, target,"
                         " request, state, answer, receiver, receiver_position)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                         " ON DUPLICATE KEY UPDATE"
                         " attempt = VALUES(attempt), request = VALUES(request),"
                         " state = VALUES(state), answer = VALUES(answer),"
                         " receiver = VALUES(receiver),"
                         " receiver_position = VALUES(receiver_position)"},
/* fh_fence tells a row that was moved, which is tried again, from one whose epoch is another. One
 * that is over is for ever: it is told to have another epoch, too. */
#define ADVANCE_POSTGRESQL(where)                                                                  \
    "WITH moved AS (UPDATE fh_saga SET state = ?4, status = ?5, deadline_ms = ?6,"                 \
    " updated_ms = ?7 WHERE birth = ?1 AND number = ?2 AND epoch = ?3"                             \
    " AND status IN " LEDGER_SAGA_OPEN where " RETURNING 1)"                                       \
    " SELECT fh_fence(count(*), ?1, ?2, CASE WHEN count(*) = 1 THEN ?3 WHEN EXISTS"                \
    " (SELECT FROM fh_saga WHERE birth = ?1 AND number = ?2 AND status IN " LEDGER_SAGA_OVER       \
    ") THEN -1 ELSE ?3 END) FROM moved"
    [LEDGER_SAGA_ADVANCE] = {[SQL_POSTGRESQL] = ADVANCE_POSTGRESQL("")},
    [LEDGER_SAGA_ADVANCE_AT] = {[SQL_POSTGRESQL] =
                                    ADVANCE_POSTGRESQL(" AND ctid = CAST(?8 AS tid)")},
    [LEDGER_SEQUENCE] = {[SQL_POSTGRESQL] = "SELECT event_id, position FROM fh_sequence(NULL)",
                         [SQL_MARIADB] = "CALL fh_sequence(?1)"},
    [LEDGER_PLACED] = {[SQL_POSTGRESQL] =
                           "SELECT event_id, position FROM fh_outbox WHERE position IS NOT NULL"
                           " AND event_id = ANY (ARRAY("
                           "SELECT jsonb_array_elements_text(CAST(?1 AS jsonb))))"},
    [LEDGER_CLOCK] = {[SQL_POSTGRESQL] =
                          "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
                      [SQL_MARIADB] = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01',"
                                      " UTC_TIMESTAMP(3)) DIV 1000"},
};

const char *ledger_sql_of(enum sql_dialect dialect, enum ledger_statement statement)
{
    const char *text = statements[statement][dialect];
    return text ? text : statements[statement][SQL_SQLITE];
}

const char *ledger_sql(const struct store_work *work, enum ledger_statement statement)
{
    return ledger_sql_of(work->store->engine->sql->dialect, statement);
}
