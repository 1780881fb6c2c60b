/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_LEDGER_H
#define ENGINE_POSTGRESQL_LEDGER_H

/* The ledger in PostgreSQL: its tables and functions (ledger_schema.c), its statements
 * (ledger_sql.c), and the names of the locks and of the channel that both use. */

#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"

extern const struct ledger_schema postgresql_ledger_schema;
extern const char *const postgresql_ledger_statements[LEDGER_STATEMENTS];

/* KEYS: the class of the key locks (LEDGER_KEY_LOCKS of them). DRAWING: held shared from before seq
 * is drawn from the outbox until the transaction ends. NUMBERING: held by whoever assigns
 * positions. */
#define POSTGRESQL_KEYS "hashtext('freehold.keys.' || current_schema())"
#define POSTGRESQL_DRAWING POSTGRESQL_KEYS ", 512"
#define POSTGRESQL_NUMBERING POSTGRESQL_KEYS ", 513"

/* The channel announces new positions, with the schema's name. The sequencer notifies it while more
 * than one process holds the listeners' advisory lock; a group that numbers its own events always
 * does. */
#define POSTGRESQL_CHANNEL "freehold_positions"
#define POSTGRESQL_LISTENERS "hashtextextended('freehold.listeners.' || current_schema(), 0)"

#endif
