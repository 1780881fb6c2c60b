/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_LEDGER_SCHEMA_H
#define STORE_RELATIONAL_LEDGER_SCHEMA_H

/*
 * The ledger's tables, which each dialect has in its own words. Scripts are run one after the
 * other, up to a NULL; each may be run again, after a crash between them. `meta` makes fh_meta,
 * which says whether the others are there, and is run at each opening.
 */

struct ledger_schema {
    const char *meta;
    const char *const *tables;
    const char *format;         /* what fh_meta has for these tables */
    const char *before;         /* the format that can be upgraded; NULL: there was none */
    const char *const *upgrade; /* from that one; then the tables' scripts are run */
    const char *lacking; /* formats, "3 4", for which running the tables' scripts is enough */
};

/* Locks of keys (MariaDB: rows of fh_key_lock): works that publish events of a key wait there for
 * each other. Written into the schema: it can't be changed while works of before are under way. */
#define LEDGER_KEY_LOCKS 512

#endif
