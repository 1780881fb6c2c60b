/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_LEDGER_SCHEMA_H
#define STORE_RELATIONAL_LEDGER_SCHEMA_H

/*
 * The ledger's tables, a file for each dialect. Scripts are run one after the other, up to a NULL;
 * each may be run again, after a crash between them. `meta` makes fh_meta, which says whether the
 * others are there, and is run at each opening.
 */

#include "store/relational/sql.h"

struct ledger_schema {
    const char *meta;
    const char *const *tables;
    const char *format;         /* what fh_meta has for these tables */
    const char *before;         /* the format that can be upgraded; NULL: there was none */
    const char *const *upgrade; /* from that one; then the tables' scripts are run */
    const char *lacking; /* formats, "3 4", for which running the tables' scripts is enough */
};

extern const struct ledger_schema ledger_schema_sqlite, ledger_schema_postgresql,
    ledger_schema_mariadb;

/* Locks of keys (MariaDB: rows of fh_key_lock): works that publish events of a key wait there for
 * each other. Written into the schema: it can't be changed while works of before are under way. */
#define LEDGER_KEY_LOCKS 512

/* PostgreSQL: the class of these locks; the lock that is held shared from before seq is drawn from
 * the outbox to the transaction's end; and that of whoever gives positions. */
#define LEDGER_KEYS_POSTGRESQL "hashtext('freehold.keys.' || current_schema())"
#define LEDGER_DRAWING_POSTGRESQL LEDGER_KEYS_POSTGRESQL ", 512"
#define LEDGER_NUMBERING_POSTGRESQL LEDGER_KEYS_POSTGRESQL ", 513"

/* PostgreSQL's sequencer tells here of new positions, with the schema's name, while more than one
 * process holds the advisory lock of those who listen; a group that numbers its own always does. */
#define LEDGER_CHANNEL_POSTGRESQL "freehold_positions"
#define LEDGER_LISTENERS_POSTGRESQL "hashtextextended('freehold.listeners.' || current_schema(), 0)"

#endif
