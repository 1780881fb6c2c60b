/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's tables in PostgreSQL, and its sequencer.
 *
 * A unit of work inserts its events without positions. fh_sequence, called after commits in a
 * separate statement, assigns them. It takes the NUMBERING lock, and then locks the counter's row
 * by an update (a row lock would leave a mark in the row). The statement after that has a fresh
 * snapshot, which sees everything that the previous sequencer committed; in a single statement the
 * snapshot would be older than the wait for the lock. This needs READ COMMITTED.
 *
 * It numbers in the order of seq. Units of work that publish events of one key draw seq while they
 * hold a lock for that key until they commit, so that the order within a key is that of the units.
 * What a unit has read of another's events was committed, so it has a lower seq than what the unit
 * writes. A sequence with a cache would break both.
 *
 * Transaction ids decide nothing: an old transaction, in any database of the server, does not hold
 * the feed up.
 *
 * Each process holds the LISTENERS lock shared, on the connection on which it listens: a process
 * that can take it exclusively has nobody to notify. This matters because NOTIFY makes the server
 * commit one transaction after the other.
 *
 * Nobody else changes a row without a position, so fh_sequence finds it again by its ctid. Rows
 * without a position have a small index of their own; nothing searches by seq alone.
 *
 * It returns what it has numbered; given `wanted`, also what others have. Its plans are cached, and
 * would be those for an empty outbox: so its connection plans without sequential scans, and without
 * bitmaps, which would read the rows numbered since the last vacuum over and over, while an index
 * scan marks them dead and then skips them. (As settings of the function, they would be set and
 * reset with each call.)
 *
 * The units of work of a group number their own events in the transaction that writes them
 * (fh_append): one sync instead of two, and no row is written twice. That is correct when no event
 * without a position can precede them, and theirs are the next positions. fh_counter's `drawn` says
 * that every seq up to it has a position or will never be used. Whatever draws seq holds the
 * DRAWING lock shared until it ends (a trigger takes it, before a statement's first row). If
 * fh_drawn gets it exclusively for a moment, no transaction is between drawing and commit, and the
 * sequence's value at that moment becomes `drawn` once fh_sequence has numbered everything
 * committed. fh_append takes the NUMBERING lock if it is free, sees by the row's xmax whether the
 * counter has changed since the transaction's snapshot, and draws; if these are the numbers right
 * after `drawn`, nobody else has drawn since. Otherwise it leaves its events to fh_sequence, like
 * everyone else. A number that was drawn and is never written (the unit was rolled back) makes
 * fh_append wait for the next call of fh_sequence.
 *
 * fh_append has its plans cached, too, by a setting of its own: its connections also run the users'
 * statements. Left to choose, the server plans each call of it anew, since an array's length looks
 * like news to the planner: that takes longer than all else in it. Most units of work have one
 * event, for which simple statements do.
 *
 * A saga's start has a key of its own, which occurs only once: fh_place does not keep it.
 *
 * fh_fence makes a statement fail that should have changed a saga's row and did not, so that later
 * ones, even COMMIT, need not wait for its answer. Rows of sagas change a few times and then never
 * again; free space in their pages keeps the first of these changes out of the indexes.
 *
 * fh_derived_key has a row of each key that was ever derived for a server. A serializable unit of
 * work may commit last although it has read what another overwrote; where both derive under one
 * key, the older value would be the later one. So both change its row, and the second fails. The
 * rows stay: once one were gone, who still sees it would insert it again, and not fail.
 *
 * fh_recent: the server remembers what finished transactions have read while an older one is open,
 * but only for ten times max_connections of them. Of those before that it forgets which conflicts
 * they took part in (predicate.c, OldCommittedSxact). The transactions that began since our
 * snapshot, and those open then, are fewer as long as the id checked here has not been assigned
 * yet.
 */

#include <stddef.h>

#include "store/ledger.h"
#include "engine/postgresql/ledger.h"

#define STARTED "freehold.saga.started"
#define SLICE "10000" /* events numbered by one call */
#define ASIDE "FH003" /* leaves a block, so that its lock is released; never reported */

/* Run at each opening, since earlier stores lack the tables for marks, timers and derived keys:
 * adding them changes nothing that earlier programs need. */
static const char meta[] =
    "CREATE TABLE IF NOT EXISTS fh_meta (name TEXT COLLATE \"C\" PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS fh_opening (opening BIGINT PRIMARY KEY, process TEXT NOT NULL,"
    "  seen TIMESTAMPTZ NOT NULL DEFAULT now());"
    "CREATE TABLE IF NOT EXISTS fh_mark (opening BIGINT, number BIGINT, never TIMESTAMPTZ,"
    "  PRIMARY KEY (opening, number));"
    "CREATE TABLE IF NOT EXISTS fh_timer (kind TEXT COLLATE \"C\", due_ms BIGINT,"
    "  name TEXT COLLATE \"C\", handler TEXT NOT NULL, data TEXT NOT NULL, trace TEXT,"
    "  attempts BIGINT NOT NULL, error TEXT NOT NULL, PRIMARY KEY (kind, due_ms, name));"
    "CREATE TABLE IF NOT EXISTS fh_derived_key (name TEXT COLLATE \"C\", key TEXT COLLATE \"C\","
    "  changes BIGINT NOT NULL, PRIMARY KEY (name, key)) WITH (fillfactor = 60);"
    "CREATE OR REPLACE FUNCTION fh_recent() RETURNS boolean LANGUAGE plpgsql VOLATILE"
    " AS $recent$\n"
    "BEGIN\n"
    "    IF current_setting('transaction_isolation') <> 'serializable' THEN\n"
    "        RAISE EXCEPTION 'The transaction is not the one that was begun.'\n"
    "            USING ERRCODE = 'serialization_failure';\n"
    "    END IF;\n"
    "    PERFORM pg_xact_status(CAST(CAST(CAST(CAST(\n"
    "        pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)\n"
    "        + 8 * CAST(current_setting('max_connections') AS bigint) AS text) AS xid8));\n"
    "    RAISE EXCEPTION 'The transaction stood open while too many others ended.'\n"
    "        USING ERRCODE = 'serialization_failure';\n"
    "EXCEPTION WHEN invalid_parameter_value THEN\n"
    "    RETURN true; /* that transaction is in the future */\n"
    "END\n"
    "$recent$";

static const char events[] =
    "CREATE TABLE IF NOT EXISTS fh_counter (one BIGINT PRIMARY KEY CHECK (one = 1),"
    "  position BIGINT NOT NULL, epoch BIGINT NOT NULL);"
    "ALTER TABLE fh_counter ADD COLUMN IF NOT EXISTS drawn BIGINT NOT NULL DEFAULT -1;"
    "INSERT INTO fh_counter VALUES (1, 0, 0) ON CONFLICT DO NOTHING;"
    "CREATE TABLE IF NOT EXISTS fh_outbox ("
    "  seq BIGINT GENERATED ALWAYS AS IDENTITY (CACHE 1), position BIGINT,"
    "  event_id TEXT COLLATE \"C\" PRIMARY KEY, type TEXT NOT NULL, version BIGINT NOT NULL,"
    "  key TEXT COLLATE \"C\" NOT NULL, prev BIGINT NOT NULL DEFAULT 0, time_ms BIGINT NOT NULL,"
    "  data TEXT NOT NULL, trace TEXT);"
    "CREATE UNIQUE INDEX IF NOT EXISTS fh_outbox_position ON fh_outbox (position)"
    "  WHERE position IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS fh_outbox_unnumbered ON fh_outbox (seq) WHERE position IS NULL;"
    "CREATE TABLE IF NOT EXISTS fh_place (key TEXT COLLATE \"C\" PRIMARY KEY,"
    "  position BIGINT NOT NULL) WITH (fillfactor = 60);"
    "CREATE TABLE IF NOT EXISTS fh_subscriber (name TEXT COLLATE \"C\", share TEXT COLLATE \"C\","
    "  incarnation TEXT NOT NULL, done BIGINT NOT NULL, seen BIGINT NOT NULL,"
    "  updated_ms BIGINT NOT NULL, PRIMARY KEY (name, share));"
    "CREATE TABLE IF NOT EXISTS fh_cursor (source TEXT COLLATE \"C\", share TEXT COLLATE \"C\","
    "  incarnation TEXT NOT NULL, position BIGINT NOT NULL, event_id TEXT NOT NULL,"
    "  epoch BIGINT NOT NULL, PRIMARY KEY (source, share));"
    "CREATE TABLE IF NOT EXISTS fh_round (source TEXT COLLATE \"C\", share TEXT COLLATE \"C\","
    "  round BIGINT NOT NULL, phase BIGINT NOT NULL, type BIGINT NOT NULL,"
    "  behind TEXT COLLATE \"C\" NOT NULL, seen_position BIGINT NOT NULL, seen_id TEXT NOT NULL,"
    "  PRIMARY KEY (source, share));"
    "CREATE TABLE IF NOT EXISTS fh_applied (source TEXT COLLATE \"C\", share TEXT COLLATE \"C\","
    "  type BIGINT, key TEXT COLLATE \"C\", position BIGINT NOT NULL, round BIGINT NOT NULL,"
    "  PRIMARY KEY (source, share, type, key));"
    "CREATE TABLE IF NOT EXISTS fh_lease (name TEXT COLLATE \"C\" PRIMARY KEY,"
    "  owner TEXT COLLATE \"C\" NOT NULL, epoch BIGINT NOT NULL, beat BIGINT NOT NULL,"
    "  note TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS fh_parked_key (source TEXT COLLATE \"C\", share TEXT COLLATE \"C\","
    "  key TEXT COLLATE \"C\", events INTEGER NOT NULL, oldest_ms BIGINT NOT NULL,"
    "  PRIMARY KEY (source, share, key));"
    "CREATE TABLE IF NOT EXISTS fh_parked (source TEXT COLLATE \"C\", share TEXT COLLATE \"C\","
    "  key TEXT COLLATE \"C\", position BIGINT, event_id TEXT NOT NULL, type TEXT NOT NULL,"
    "  time_ms BIGINT NOT NULL, attempts BIGINT NOT NULL, error TEXT NOT NULL,"
    "  parked_ms BIGINT NOT NULL, event TEXT NOT NULL,"
    "  PRIMARY KEY (source, share, key, position));";

static const char works[] =
    "CREATE TABLE IF NOT EXISTS fh_command (caller TEXT COLLATE \"C\", key TEXT COLLATE \"C\","
    "  birth TEXT COLLATE \"C\" NOT NULL, number BIGINT NOT NULL, attempt BIGINT NOT NULL,"
    "  created_ms BIGINT NOT NULL, outcome TEXT NOT NULL, digest TEXT NOT NULL, request TEXT,"
    "  answer TEXT, undo_answer TEXT, PRIMARY KEY (caller, key));"
    "CREATE INDEX IF NOT EXISTS fh_command_number ON fh_command (caller, birth, number)"
    "  WHERE birth <> '';"
    "CREATE INDEX IF NOT EXISTS fh_command_created ON fh_command (created_ms) WHERE birth = '';"
    "CREATE TABLE IF NOT EXISTS fh_caller (caller TEXT COLLATE \"C\", birth TEXT COLLATE \"C\","
    "  closed_through BIGINT NOT NULL, still_open TEXT NOT NULL, PRIMARY KEY (caller, birth));"
    "CREATE TABLE IF NOT EXISTS fh_caller_newest (caller TEXT COLLATE \"C\" PRIMARY KEY,"
    "  incarnation TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS fh_work (id TEXT COLLATE \"C\" PRIMARY KEY,"
    "  created_ms BIGINT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS fh_saga (birth TEXT COLLATE \"C\", number BIGINT,"
    "  name TEXT NOT NULL, input TEXT NOT NULL, state TEXT NOT NULL,"
    "  status TEXT COLLATE \"C\" NOT NULL, epoch BIGINT NOT NULL, deadline_ms BIGINT NOT NULL,"
    "  updated_ms BIGINT NOT NULL, closed BIGINT NOT NULL DEFAULT 0,"
    "  start_id TEXT COLLATE \"C\" NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (birth, number))"
    "  WITH (fillfactor = 50);"
    "CREATE INDEX IF NOT EXISTS fh_saga_start ON fh_saga (start_id);"
    "CREATE INDEX IF NOT EXISTS fh_saga_status ON fh_saga (status, birth, number);"
    "CREATE INDEX IF NOT EXISTS fh_saga_unclosed ON fh_saga (birth, number) WHERE closed = 0;"
    "CREATE TABLE IF NOT EXISTS fh_saga_step (birth TEXT COLLATE \"C\", number BIGINT, step BIGINT,"
    "  element BIGINT, attempt BIGINT NOT NULL, target TEXT NOT NULL, request TEXT NOT NULL,"
    "  state TEXT NOT NULL, answer TEXT, receiver TEXT, receiver_position BIGINT NOT NULL,"
    "  PRIMARY KEY (birth, number, step, element)) WITH (fillfactor = 60);"
    "CREATE TABLE IF NOT EXISTS fh_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL,"
    "  checksum TEXT NOT NULL, applied_ms BIGINT NOT NULL);";

static const char fence[] =
    "CREATE OR REPLACE FUNCTION fh_fence(changed bigint, saga_birth text, saga_number bigint,"
    " saga_epoch bigint) RETURNS void LANGUAGE plpgsql"
    " AS $fence$\n"
    "BEGIN\n"
    "    IF changed = 1 THEN\n"
    "        RETURN;\n"
    "    END IF;\n"
    "    IF EXISTS (SELECT FROM fh_saga s WHERE s.birth = saga_birth AND s.number = saga_number\n"
    "               AND s.epoch = saga_epoch) THEN\n"
    "        RAISE EXCEPTION 'The row of the saga was moved.'"
    " USING ERRCODE = 'serialization_failure';\n"
    "    END IF;\n"
    "    RAISE EXCEPTION '" LEDGER_SAGA_FENCED "'"
    " USING ERRCODE = '" LEDGER_FENCED "';\n"
    "END\n"
    "$fence$;";

/* A trigger, so that it also applies to units of work of older programs. */
static const char drawing[] =
    "CREATE OR REPLACE FUNCTION fh_drawing() RETURNS trigger LANGUAGE plpgsql AS $drawing$\n"
    "BEGIN\n"
    "    PERFORM pg_advisory_xact_lock_shared(" POSTGRESQL_DRAWING ");\n"
    "    RETURN NULL;\n"
    "END\n"
    "$drawing$;\n"
    "DROP TRIGGER IF EXISTS fh_outbox_drawing ON fh_outbox;"
    "CREATE TRIGGER fh_outbox_drawing BEFORE INSERT ON fh_outbox FOR EACH STATEMENT"
    " EXECUTE FUNCTION fh_drawing()";

static const char drawn[] =
    "CREATE OR REPLACE FUNCTION fh_drawn() RETURNS bigint LANGUAGE plpgsql AS $drawn$\n"
    "DECLARE\n"
    "    seen bigint;\n"
    "BEGIN\n"
    "    IF pg_try_advisory_xact_lock(" POSTGRESQL_DRAWING ") THEN\n"
    "        SELECT s.last_value - CASE WHEN s.is_called THEN 0 ELSE 1 END INTO seen\n"
    "            FROM fh_outbox_seq_seq s;\n"
    "        RAISE EXCEPTION 'The lock is free again.' USING ERRCODE = '" ASIDE "';\n"
    "    END IF;\n"
    "    RETURN NULL;\n"
    "EXCEPTION WHEN SQLSTATE '" ASIDE "' THEN\n"
    "    RETURN seen;\n"
    "END\n"
    "$drawn$";

static const char sequence[] =
    "CREATE OR REPLACE FUNCTION fh_sequence(wanted text)"
    " RETURNS TABLE (event_id text, \"position\" bigint) LANGUAGE plpgsql VOLATILE"
    " AS $sequencer$\n"
    "#variable_conflict use_column\n"
    "DECLARE\n"
    "    last_given bigint;\n"
    "    known bigint;\n"
    "    seen bigint;\n"
    "    numbered bigint;\n"
    "BEGIN\n"
    "    IF current_setting('transaction_isolation') <> 'read committed' THEN\n"
    "        RAISE EXCEPTION 'fh_sequence needs the isolation level READ COMMITTED';\n"
    "    END IF;\n"
    "    PERFORM pg_advisory_xact_lock(" POSTGRESQL_NUMBERING ");\n"
    "    UPDATE fh_counter c SET position = c.position WHERE c.one = 1\n"
    "        RETURNING c.position, c.drawn INTO last_given, known;\n"
    "    seen := fh_drawn();\n"
    "    RETURN QUERY WITH fresh AS (\n"
    "        SELECT o.row, o.key, o.type, last_given + row_number() OVER (ORDER BY o.seq) AS "
    "place\n"
    "        FROM (SELECT u.ctid AS row, u.seq, u.key, u.type FROM fh_outbox u\n"
    "              WHERE u.position IS NULL ORDER BY u.seq LIMIT " SLICE ") o),\n"
    "    linked AS (\n"
    "        SELECT f.row, f.place, coalesce(lag(f.place) OVER (PARTITION BY f.key\n"
    "               ORDER BY f.place), p.position, 0) AS before\n"
    "        FROM fresh f LEFT JOIN fh_place p ON p.key = f.key),\n"
    "    places AS (\n"
    "        INSERT INTO fh_place (key, position) SELECT f.key, max(f.place) FROM fresh f\n"
    "        WHERE f.type <> '" STARTED "' GROUP BY f.key ORDER BY f.key\n"
    "        ON CONFLICT (key) DO UPDATE SET position = excluded.position)\n"
    "    UPDATE fh_outbox o SET position = l.place, prev = l.before FROM linked l\n"
    "    WHERE o.ctid = l.row RETURNING o.event_id, o.position;\n"
    "    GET DIAGNOSTICS numbered = ROW_COUNT;\n"
    "    IF numbered = " SLICE " THEN\n"
    "        seen := NULL;\n"
    "    END IF;\n"
    "    IF numbered > 0 OR seen <> known THEN\n"
    "        UPDATE fh_counter c SET position = last_given + numbered,\n"
    "            drawn = coalesce(seen, known) WHERE c.one = 1;\n"
    "    END IF;\n"
    "    IF numbered > 0 THEN\n"
    "        IF EXISTS (SELECT FROM fh_outbox o WHERE o.position > last_given\n"
    "                   AND o.type = '" STARTED "') THEN\n"
    "            WITH started AS MATERIALIZED (\n"
    "                SELECT o.position, o.event_id, CAST(o.data AS jsonb) AS data\n"
    "                FROM fh_outbox o WHERE o.position > last_given AND o.type = '" STARTED "'),\n"
    "            sagas AS (\n"
    "                INSERT INTO fh_saga (birth, number, name, input, state, status, epoch,\n"
    "                                     deadline_ms, updated_ms, start_id, owner)\n"
    "                SELECT s.data ->> 'birth', s.position, s.data ->> 'name',\n"
    "                       s.data ->> 'input', s.data ->> 'state', s.data ->> 'status',\n"
    "                       CAST(s.data ->> 'epoch' AS bigint),\n"
    "                       CAST(s.data ->> 'deadline_ms' AS bigint),\n"
    "                       CAST(s.data ->> 'updated_ms' AS bigint), s.event_id,\n"
    "                       s.data ->> 'owner' FROM started s)\n"
    "            INSERT INTO fh_saga_step (birth, number, step, element, attempt, target,\n"
    "                                      request, state, receiver_position)\n"
    "            SELECT s.data ->> 'birth', s.position, CAST(t.step ->> 'step' AS bigint),\n"
    "                   CAST(t.step ->> 'element' AS bigint),\n"
    "                   CAST(t.step ->> 'attempt' AS bigint), t.step ->> 'target',\n"
    "                   t.step ->> 'request', t.step ->> 'state', 0\n"
    "            FROM started s, jsonb_array_elements(s.data -> 'steps') AS t (step);\n"
    "        END IF;\n"
    "        IF NOT pg_try_advisory_xact_lock(" POSTGRESQL_LISTENERS ") THEN\n"
    "            PERFORM pg_notify('" POSTGRESQL_CHANNEL "', current_schema());\n"
    "        END IF;\n"
    "    END IF;\n"
    "    IF wanted IS NOT NULL THEN\n"
    "        RETURN QUERY SELECT o.event_id, o.position FROM fh_outbox o\n"
    "            WHERE o.event_id = ANY (ARRAY(\n"
    "                SELECT jsonb_array_elements_text(CAST(wanted AS jsonb))))\n"
    "              AND o.position IS NOT NULL;\n"
    "    END IF;\n"
    "END\n"
    "$sequencer$";

static const char append[] =
    "CREATE OR REPLACE FUNCTION fh_append(stripes integer[], ids text[], types text[],\n"
    "    versions bigint[], keys text[], times bigint[], data text[], traces text[],\n"
    "    numbers boolean) RETURNS bigint LANGUAGE plpgsql VOLATILE\n"
    "    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off\n"
    "    SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off\n"
    "    AS $append$\n"
    "DECLARE\n"
    "    last_given bigint;\n"
    "    known bigint;\n"
    "    count bigint := cardinality(ids);\n"
    "    seqs bigint[];\n"
    "    former bigint;\n"
    "BEGIN\n"
    "    PERFORM pg_advisory_xact_lock(" POSTGRESQL_KEYS ", stripe)\n"
    "        FROM unnest(stripes) AS stripe;\n"
    "    PERFORM pg_advisory_xact_lock_shared(" POSTGRESQL_DRAWING ");\n"
    "    IF numbers AND pg_try_advisory_xact_lock(" POSTGRESQL_NUMBERING ") THEN\n"
    "        SELECT c.position, c.drawn INTO last_given, known FROM fh_counter c\n"
    "            WHERE c.one = 1 AND c.xmax = '0';\n"
    "    END IF;\n"
    "    IF count = 1 THEN\n"
    "        seqs := ARRAY[nextval('fh_outbox_seq_seq')];\n"
    "    ELSE\n"
    "        seqs := ARRAY(SELECT nextval('fh_outbox_seq_seq') FROM generate_series(1, count));\n"
    "    END IF;\n"
    "    IF known IS NULL OR known < 0 OR seqs[count] <> known + count THEN\n"
    "        INSERT INTO fh_outbox (seq, event_id, type, version, key, time_ms, data, trace)\n"
    "            OVERRIDING SYSTEM VALUE\n"
    "            SELECT * FROM unnest(seqs, ids, types, versions, keys, times, data, traces);\n"
    "        RETURN NULL;\n"
    "    END IF;\n"
    "    IF count = 1 THEN\n"
    "        SELECT p.position INTO former FROM fh_place p WHERE p.key = keys[1];\n"
    "        IF former IS NULL THEN\n"
    "            INSERT INTO fh_place (key, position) VALUES (keys[1], last_given + 1);\n"
    "        ELSE\n"
    "            UPDATE fh_place p SET position = last_given + 1 WHERE p.key = keys[1];\n"
    "        END IF;\n"
    "        INSERT INTO fh_outbox (seq, position, event_id, type, version, key, prev, time_ms,\n"
    "                               data, trace) OVERRIDING SYSTEM VALUE\n"
    "            VALUES (seqs[1], last_given + 1, ids[1], types[1], versions[1], keys[1],\n"
    "                    coalesce(former, 0), times[1], data[1], traces[1]);\n"
    "    ELSE\n"
    "        WITH fresh AS MATERIALIZED (\n"
    "            SELECT e.*, last_given + e.n AS place,\n"
    "                   (SELECT p.position FROM fh_place p WHERE p.key = e.key) AS former\n"
    "            FROM unnest(seqs, ids, types, versions, keys, times, data, traces)\n"
    "                WITH ORDINALITY AS e (seq, id, type, version, key, time_ms, data, trace, "
    "n)),\n"
    "        linked AS MATERIALIZED (\n"
    "            SELECT f.*, lag(f.place, 1, coalesce(f.former, 0)) OVER w AS before,\n"
    "                   lead(f.place) OVER w AS next\n"
    "            FROM fresh f WINDOW w AS (PARTITION BY f.key ORDER BY f.place)),\n"
    "        added AS (\n"
    "            INSERT INTO fh_place (key, position) SELECT l.key, l.place FROM linked l\n"
    "            WHERE l.next IS NULL AND l.former IS NULL),\n"
    "        moved AS (\n"
    "            UPDATE fh_place p SET position = l.place FROM linked l\n"
    "            WHERE l.next IS NULL AND l.former IS NOT NULL AND p.key = l.key)\n"
    "        INSERT INTO fh_outbox (seq, position, event_id, type, version, key, prev, time_ms,\n"
    "                               data, trace) OVERRIDING SYSTEM VALUE\n"
    "            SELECT l.seq, l.place, l.id, l.type, l.version, l.key, l.before, l.time_ms, "
    "l.data,\n"
    "                   l.trace FROM linked l ORDER BY l.place;\n"
    "    END IF;\n"
    "    UPDATE fh_counter c SET position = last_given + count, drawn = known + count\n"
    "        WHERE c.one = 1;\n"
    "    PERFORM pg_notify('" POSTGRESQL_CHANNEL "', current_schema());\n"
    "    RETURN last_given + 1;\n"
    "END\n"
    "$append$";

static const char *const tables[] = {events, works, fence, drawing, drawn, sequence, NULL};

/* Earlier stores have others, which planned fh_append anew with each call. */
static const char *const functions[] = {append, NULL};

/* From format 2, whose index also held rows without a position. Existing pages stay as full as they
 * are. */
static const char *const upgrade[] = {"DROP INDEX IF EXISTS fh_outbox_position;"
                                      "ALTER TABLE fh_saga SET (fillfactor = 50);"
                                      "ALTER TABLE fh_saga_step SET (fillfactor = 60);",
                                      NULL};

const struct ledger_schema postgresql_ledger_schema = {.meta = meta,
                                                       .tables = tables,
                                                       .format = "5",
                                                       .before = "2",
                                                       .upgrade = upgrade,
                                                       .lacking = "3 4",
                                                       .functions = functions};
