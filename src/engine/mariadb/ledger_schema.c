/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's tables in MariaDB, and its sequencer: see engine/postgresql/ledger_schema.c for how
 * it keeps the order.
 *
 * fh_sequence is a procedure, so that it is a single statement for its caller, and completes even
 * if the caller no longer waits. It collects the rows to number with INSERT ... SELECT, which at
 * READ COMMITTED reads committed rows without waiting. The UPDATE after that waits for any
 * transaction whose rows it touches, so it reaches only its own, by their primary keys.
 *
 * Texts compare byte by byte, without padding: "a" and "a " are two keys. A statement that changes
 * the schema commits; fh_meta's format is written once all of them have run.
 */

#include <stddef.h>

#include "engine/mariadb/internal.h"

#define TABLE_OPTIONS                                                                              \
    " ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
#define ID "VARCHAR(36)"
#define SERVICE "VARCHAR(128)" /* also for partitions and states: names that Freehold assigns */
#define KEY "VARCHAR(512)"

/* Includes the tables of mark.c and of timers, which earlier stores lack: adding them changes
 * nothing that earlier programs need. */
static const char meta[] =
    "CREATE TABLE IF NOT EXISTS fh_meta (name VARCHAR(64) PRIMARY KEY, "
    "  value TEXT NOT NULL)" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_opening (opening BIGINT PRIMARY KEY, process " SERVICE
    " NOT NULL, seen DATETIME NOT NULL)" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_mark (opening BIGINT, number BIGINT, never DATETIME,"
    "  asked BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (opening, number))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_timer (kind " SERVICE " NOT NULL, due_ms BIGINT NOT NULL,"
    "  name " SERVICE " NOT NULL, handler " SERVICE " NOT NULL, data LONGTEXT NOT NULL,"
    "  trace TEXT, attempts BIGINT NOT NULL, error TEXT NOT NULL,"
    "  PRIMARY KEY (kind, due_ms, name))" TABLE_OPTIONS;

static const char events[] =
    "CREATE TABLE IF NOT EXISTS fh_counter (one BIGINT PRIMARY KEY CHECK (one = 1),"
    "  position BIGINT NOT NULL, epoch BIGINT NOT NULL)" TABLE_OPTIONS ";"
    "INSERT IGNORE INTO fh_counter VALUES (1, 0, 0);"
    "CREATE TABLE IF NOT EXISTS fh_outbox (seq BIGINT PRIMARY KEY AUTO_INCREMENT,"
    "  position BIGINT, event_id " ID " NOT NULL, type VARCHAR(255) NOT NULL,"
    "  version BIGINT NOT NULL, `key` " KEY " NOT NULL, prev BIGINT NOT NULL DEFAULT 0,"
    "  time_ms BIGINT NOT NULL, data LONGTEXT NOT NULL, trace TEXT,"
    "  UNIQUE KEY fh_outbox_position (position), KEY fh_outbox_event_id (event_id))" TABLE_OPTIONS
    ";"
    "CREATE TABLE IF NOT EXISTS fh_key_lock (stripe BIGINT PRIMARY KEY)" TABLE_OPTIONS ";"
    "INSERT IGNORE INTO fh_key_lock WITH RECURSIVE stripes (stripe) AS (SELECT 0 UNION ALL"
    "  SELECT stripe + 1 FROM stripes WHERE stripe < 511) SELECT stripe FROM stripes;"
    "CREATE TABLE IF NOT EXISTS fh_place (`key` " KEY
    " PRIMARY KEY, position BIGINT NOT NULL)" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_subscriber (name " SERVICE ", share " SERVICE ","
    "  incarnation " ID " NOT NULL, done BIGINT NOT NULL, seen BIGINT NOT NULL,"
    "  updated_ms BIGINT NOT NULL, PRIMARY KEY (name, share))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_cursor (source " SERVICE ", share " SERVICE ","
    "  incarnation " ID " NOT NULL, position BIGINT NOT NULL, event_id " ID " NOT NULL,"
    "  epoch BIGINT NOT NULL, PRIMARY KEY (source, share))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_round (source " SERVICE ", share VARCHAR(32),"
    "  round BIGINT NOT NULL, phase BIGINT NOT NULL, type BIGINT NOT NULL, behind TEXT NOT NULL,"
    "  seen_position BIGINT NOT NULL, seen_id " ID " NOT NULL,"
    "  PRIMARY KEY (source, share))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_applied (source " SERVICE ", share VARCHAR(32), type BIGINT,"
    "  `key` " KEY ", position BIGINT NOT NULL, round BIGINT NOT NULL,"
    "  PRIMARY KEY (source, share, type, `key`))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_lease (name " SERVICE " PRIMARY KEY, owner " SERVICE " NOT NULL,"
    "  epoch BIGINT NOT NULL, beat BIGINT NOT NULL, note LONGTEXT NOT NULL)" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_parked_key (source " SERVICE ", share VARCHAR(32),"
    "  `key` " KEY ", events BIGINT NOT NULL, oldest_ms BIGINT NOT NULL,"
    "  PRIMARY KEY (source, share, `key`))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_parked (source " SERVICE ", share VARCHAR(32), `key` " KEY ","
    "  position BIGINT, event_id " ID " NOT NULL, type VARCHAR(255) NOT NULL,"
    "  time_ms BIGINT NOT NULL, attempts BIGINT NOT NULL, error TEXT NOT NULL,"
    "  parked_ms BIGINT NOT NULL, event LONGTEXT NOT NULL,"
    "  PRIMARY KEY (source, share, `key`, position))" TABLE_OPTIONS;

static const char works[] =
    "CREATE TABLE IF NOT EXISTS fh_command (caller VARCHAR(400), `key` VARCHAR(255),"
    "  birth " ID " NOT NULL, number BIGINT NOT NULL, attempt BIGINT NOT NULL,"
    "  created_ms BIGINT NOT NULL, outcome " SERVICE " NOT NULL, digest VARCHAR(128) NOT NULL,"
    "  request LONGTEXT, answer LONGTEXT, undo_answer LONGTEXT, PRIMARY KEY (caller, `key`),"
    "  KEY fh_command_number (caller, birth, number), KEY fh_command_created (birth, "
    "created_ms))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_caller (caller " SERVICE ", birth " ID ","
    "  closed_through BIGINT NOT NULL, still_open LONGTEXT NOT NULL, PRIMARY KEY (caller, "
    "birth))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_caller_newest (caller " SERVICE " PRIMARY KEY,"
    "  incarnation " ID " NOT NULL)" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_work (id " SERVICE
    " PRIMARY KEY, created_ms BIGINT NOT NULL)" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_saga (birth " ID ", number BIGINT, name " SERVICE " NOT NULL,"
    "  input LONGTEXT NOT NULL, state LONGTEXT NOT NULL, status " SERVICE " NOT NULL,"
    "  epoch BIGINT NOT NULL, deadline_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL,"
    "  closed BIGINT NOT NULL DEFAULT 0, start_id " ID " NOT NULL, owner " SERVICE " NOT NULL,"
    "  PRIMARY KEY (birth, number), KEY fh_saga_start (start_id),"
    "  KEY fh_saga_status (status, birth, number), KEY fh_saga_unclosed (closed, birth, "
    "number))" TABLE_OPTIONS ";"
    "CREATE TABLE IF NOT EXISTS fh_saga_step (birth " ID ", number BIGINT, step BIGINT,"
    "  element BIGINT, attempt BIGINT NOT NULL, target " SERVICE " NOT NULL,"
    "  request LONGTEXT NOT NULL, state " SERVICE " NOT NULL, answer LONGTEXT, receiver " ID ","
    "  receiver_position BIGINT NOT NULL, PRIMARY KEY (birth, number, step, element))" TABLE_OPTIONS
    ";"
    "CREATE TABLE IF NOT EXISTS fh_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL,"
    "  checksum TEXT NOT NULL, applied_ms BIGINT NOT NULL)" TABLE_OPTIONS;

static const char sequencer[] =
    "CREATE PROCEDURE IF NOT EXISTS fh_sequence (IN wanted LONGTEXT) MODIFIES SQL DATA\n"
    "BEGIN\n"
    "    DECLARE last_given BIGINT;\n"
    "    DECLARE numbered BIGINT;\n"
    "    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;\n"
    "    CREATE TEMPORARY TABLE IF NOT EXISTS fh_fresh (seq BIGINT PRIMARY KEY,\n"
    "        place BIGINT NOT NULL, prev BIGINT NOT NULL) ENGINE=MEMORY;\n"
    "    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n"
    "    START TRANSACTION;\n"
    "    SELECT position INTO last_given FROM fh_counter WHERE one = 1 FOR UPDATE;\n"
    "    DELETE FROM fh_fresh;\n"
    "    INSERT INTO fh_fresh (seq, place, prev)\n"
    "        SELECT f.seq, f.place, coalesce(lag(f.place) OVER (PARTITION BY f.name\n"
    "               ORDER BY f.place), p.position, 0)\n"
    "        FROM (SELECT o.seq, o.name, last_given + row_number() OVER (ORDER BY o.seq) AS place\n"
    "              FROM (SELECT u.seq, u.`key` AS name FROM fh_outbox u WHERE u.position IS NULL\n"
    "                    ORDER BY u.seq LIMIT 10000) o) f\n"
    "        LEFT JOIN fh_place p ON p.`key` = f.name;\n"
    "    SELECT count(*) INTO numbered FROM fh_fresh;\n"
    "    IF numbered > 0 THEN\n"
    "        UPDATE fh_fresh f STRAIGHT_JOIN fh_outbox o FORCE INDEX (PRIMARY)\n"
    "            ON o.seq = f.seq SET o.position = f.place, o.prev = f.prev;\n"
    "        INSERT INTO fh_place (`key`, position)\n"
    "            SELECT o.`key`, max(f.place) FROM fh_fresh f\n"
    "            STRAIGHT_JOIN fh_outbox o ON o.seq = f.seq GROUP BY o.`key`\n"
    "            ON DUPLICATE KEY UPDATE position = VALUES(position);\n"
    "        UPDATE fh_counter SET position = last_given + numbered WHERE one = 1;\n"
    "        INSERT INTO fh_saga (birth, number, name, input, state, status, epoch, deadline_ms,\n"
    "                             updated_ms, start_id, owner)\n"
    "            SELECT s.birth, o.position, s.name, s.input, s.state, s.status, s.epoch,\n"
    "                   s.deadline_ms, s.updated_ms, o.event_id, s.owner\n"
    "            FROM fh_outbox o, JSON_TABLE(o.data, '$' COLUMNS (birth " ID " PATH '$.birth',\n"
    "                 name " SERVICE " PATH '$.name', input LONGTEXT PATH '$.input',\n"
    "                 state LONGTEXT PATH '$.state', status " SERVICE " PATH '$.status',\n"
    "                 epoch BIGINT PATH '$.epoch', deadline_ms BIGINT PATH '$.deadline_ms',\n"
    "                 updated_ms BIGINT PATH '$.updated_ms', owner " SERVICE
    " PATH '$.owner')) AS s\n"
    "            WHERE o.position > last_given AND o.type = 'freehold.saga.started';\n"
    "        INSERT INTO fh_saga_step (birth, number, step, element, attempt, target, request,\n"
    "                                  state, receiver_position)\n"
    "            SELECT JSON_VALUE(o.data, '$.birth'), o.position, t.step, t.element, t.attempt,\n"
    "                   t.target, t.request, t.state, 0\n"
    "            FROM fh_outbox o, JSON_TABLE(o.data, '$.steps[*]' COLUMNS (\n"
    "                 step BIGINT PATH '$.step', element BIGINT PATH '$.element',\n"
    "                 attempt BIGINT PATH '$.attempt', target " SERVICE " PATH '$.target',\n"
    "                 request LONGTEXT PATH '$.request', state " SERVICE " PATH '$.state')) AS t\n"
    "            WHERE o.position > last_given AND o.type = 'freehold.saga.started';\n"
    "    END IF;\n"
    "    COMMIT;\n"
    "    SELECT o.event_id, o.position\n"
    "    FROM JSON_TABLE(wanted, '$[*]' COLUMNS (id " ID " PATH '$')) AS w\n"
    "    STRAIGHT_JOIN fh_outbox o ON o.event_id = w.id COLLATE utf8mb4_nopad_bin\n"
    "    WHERE o.position IS NOT NULL;\n"
    "END";

static const char *const tables[] = {events, works, sequencer, NULL};

const struct ledger_schema mariadb_ledger_schema = {
    .meta = meta, .tables = tables, .format = "3", .lacking = "2"};
