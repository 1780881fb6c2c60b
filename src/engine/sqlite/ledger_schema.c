/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's tables in SQLite. The single writer is its own sequencer: a unit of work takes the
 * positions of its events itself, from the single row of fh_counter. What the tables hold:
 * docs/internals/store.md.
 */

#include <stddef.h>

#include "engine/sqlite/internal.h"

/* Run at each opening, since earlier stores lack the table of timers: adding it changes nothing
 * that earlier programs need. */
static const char meta[] =
    "CREATE TABLE IF NOT EXISTS fh_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_timer (kind TEXT NOT NULL, due_ms INTEGER NOT NULL,"
    "  name TEXT NOT NULL, handler TEXT NOT NULL, data TEXT NOT NULL, trace TEXT,"
    "  attempts INTEGER NOT NULL, error TEXT NOT NULL, PRIMARY KEY (kind, due_ms, name))"
    "  WITHOUT ROWID";

/* Columns added since format 1. */
static const char *const upgrade[] = {
    "ALTER TABLE fh_saga ADD COLUMN start_id TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE fh_saga ADD COLUMN owner TEXT NOT NULL DEFAULT '';",
    NULL};

static const char *const tables[] = {
    "CREATE TABLE IF NOT EXISTS fh_counter (one INTEGER PRIMARY KEY CHECK (one = 1),"
    "  position INTEGER NOT NULL, epoch INTEGER NOT NULL);"
    "INSERT INTO fh_counter VALUES (1, 0, 0) ON CONFLICT DO NOTHING;"
    "CREATE TABLE IF NOT EXISTS fh_outbox (position INTEGER PRIMARY KEY, event_id TEXT NOT NULL,"
    "  type TEXT NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL, prev INTEGER NOT NULL,"
    "  time_ms INTEGER NOT NULL, data TEXT NOT NULL, trace TEXT);"
    "CREATE TABLE IF NOT EXISTS fh_last_of_key (key TEXT PRIMARY KEY, position INTEGER NOT NULL)"
    "  WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_subscriber (name TEXT NOT NULL, share TEXT NOT NULL,"
    "  incarnation TEXT NOT NULL, done INTEGER NOT NULL, seen INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL, PRIMARY KEY (name, share)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_cursor (source TEXT NOT NULL, share TEXT NOT NULL,"
    "  incarnation TEXT NOT NULL, position INTEGER NOT NULL, event_id TEXT NOT NULL,"
    "  epoch INTEGER NOT NULL, PRIMARY KEY (source, share)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_round (source TEXT NOT NULL, share TEXT NOT NULL,"
    "  round INTEGER NOT NULL, phase INTEGER NOT NULL, type INTEGER NOT NULL,"
    "  behind TEXT NOT NULL, seen_position INTEGER NOT NULL, seen_id TEXT NOT NULL,"
    "  PRIMARY KEY (source, share)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_applied (source TEXT NOT NULL, share TEXT NOT NULL,"
    "  type INTEGER NOT NULL, key TEXT NOT NULL, position INTEGER NOT NULL,"
    "  round INTEGER NOT NULL, PRIMARY KEY (source, share, type, key)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_lease (name TEXT PRIMARY KEY, owner TEXT NOT NULL,"
    "  epoch INTEGER NOT NULL, beat INTEGER NOT NULL, note TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_parked_key (source TEXT NOT NULL, share TEXT NOT NULL,"
    "  key TEXT NOT NULL, events INTEGER NOT NULL, oldest_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (source, share, key))"
    "  WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_parked (source TEXT NOT NULL, share TEXT NOT NULL,"
    "  key TEXT NOT NULL, position INTEGER NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,"
    "  time_ms INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL,"
    "  parked_ms INTEGER NOT NULL, event TEXT NOT NULL,"
    "  PRIMARY KEY (source, share, key, position));"
    "CREATE TABLE IF NOT EXISTS fh_command (caller TEXT NOT NULL, key TEXT NOT NULL,"
    "  birth TEXT NOT NULL, number INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, outcome TEXT NOT NULL, digest TEXT NOT NULL, request TEXT,"
    "  answer TEXT, undo_answer TEXT, PRIMARY KEY (caller, key)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS fh_command_number ON fh_command (caller, birth, number)"
    "  WHERE birth <> '';"
    "CREATE INDEX IF NOT EXISTS fh_command_created ON fh_command (created_ms) WHERE birth = '';"
    "CREATE TABLE IF NOT EXISTS fh_caller (caller TEXT NOT NULL, birth TEXT NOT NULL,"
    "  closed_through INTEGER NOT NULL, still_open TEXT NOT NULL, PRIMARY KEY (caller, birth))"
    "  WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_caller_newest (caller TEXT PRIMARY KEY,"
    "  incarnation TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_saga (birth TEXT NOT NULL, number INTEGER NOT NULL,"
    "  name TEXT NOT NULL, input TEXT NOT NULL, state TEXT NOT NULL, status TEXT NOT NULL,"
    "  epoch INTEGER NOT NULL, deadline_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
    "  closed INTEGER NOT NULL DEFAULT 0, start_id TEXT NOT NULL DEFAULT '',"
    "  owner TEXT NOT NULL DEFAULT '', PRIMARY KEY (birth, number)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS fh_saga_status ON fh_saga (status);"
    "CREATE INDEX IF NOT EXISTS fh_saga_unclosed ON fh_saga (birth, number) WHERE closed = 0;"
    "CREATE TABLE IF NOT EXISTS fh_saga_step (birth TEXT NOT NULL, number INTEGER NOT NULL,"
    "  step INTEGER NOT NULL, element INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    "  target TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL, answer TEXT,"
    "  receiver TEXT, receiver_position INTEGER NOT NULL,"
    "  PRIMARY KEY (birth, number, step, element)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fh_migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    "  checksum TEXT NOT NULL, applied_ms INTEGER NOT NULL);",
    NULL};

const struct ledger_schema sqlite_ledger_schema = {.meta = meta,
                                                   .tables = tables,
                                                   .format = "3",
                                                   .before = "1",
                                                   .upgrade = upgrade,
                                                   .lacking = "2"};
