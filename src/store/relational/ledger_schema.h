/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_LEDGER_SCHEMA_H
#define STORE_RELATIONAL_LEDGER_SCHEMA_H

/*
 * The ledger's tables, written separately in each dialect. Scripts are run in order, up to a NULL;
 * each can be run again after a crash between them. `meta` creates fh_meta, which says whether the
 * others exist, and is run each time the store is opened.
 */

struct ledger_schema {
    const char *meta;
    const char *const *tables;
    const char *format;         /* fh_meta's format with these tables */
    const char *before;         /* the format that can be upgraded; NULL: none */
    const char *const *upgrade; /* upgrades that one; the tables' scripts run after it */
    const char *lacking;        /* formats, "3 4", that need nothing but the tables' scripts */
    /* NULL: none. Run after the others, and each time the store is opened: earlier stores have
     * other texts of these, which do the same. */
    const char *const *functions;
};

/* Locks of keys (MariaDB: rows of fh_key_lock): units of work that publish events of one key wait
 * for each other there. The number is part of the schema: it can't change while units of work with
 * the old one are running. */
#define LEDGER_KEY_LOCKS 512

#endif
