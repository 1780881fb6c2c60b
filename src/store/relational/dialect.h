/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_DIALECT_H
#define STORE_RELATIONAL_DIALECT_H

/*
 * What differs between the SQL of relational engines: how a text is to be read, the words of a few
 * statements, and the tables of the ledger. An engine has one (struct sql_ops), in its dialect.c.
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct catalog_table;
struct ledger_schema;

/* What may hide a semicolon from whoever reads a script, besides '...', "..." and comments. */
enum sql_lexis {
    SQL_BACKTICKS = 1 << 0,        /* `name` */
    SQL_BRACKETS = 1 << 1,         /* [name] */
    SQL_DOLLAR_QUOTES = 1 << 2,    /* $tag$ ... $tag$ */
    SQL_ESCAPE_STRINGS = 1 << 3,   /* E'it\'s' */
    SQL_NESTED_COMMENTS = 1 << 4,  /* a comment may stand in a comment */
    SQL_HASH_COMMENTS = 1 << 5,    /* # up to the line's end */
    SQL_DASHES_AND_BLANK = 1 << 6, /* -- begins a comment only with a blank after it */
    SQL_COMMENTED_SQL = 1 << 7,    /* what stands in a comment that begins with ! or M! is run */
    /* A backslash escapes in '...', unless the session turns it off, as the engine's own do. */
    SQL_BACKSLASHES = 1 << 8,
    SQL_LOCKS_COMMIT = 1 << 9, /* LOCK TABLES and UNLOCK TABLES commit */
};

struct sql_dialect {
    unsigned lexis; /* of enum sql_lexis */
    char quote;     /* around names */

    const struct ledger_schema *schema;
    /* Of enum ledger_statement (ledger_sql.h), which says which of them may be NULL. */
    const char *const *ledger;

    /* What the catalog (catalog.h) asks: names of all tables in their order; and of the table ?1
     * the columns with values of their own, those of its primary key in its order, and the tables
     * that its foreign keys name. One name a row. */
    const char *tables, *columns, *key, *parents;
    /* About how many rows all tables have, by the server's statistics. NULL: it keeps none, and
     * counting is quick. */
    const char *rows;
    /* As catalog_next_number and catalog_set_next_number. */
    enum fh_code (*next_number)(struct store_work *work, const struct catalog_table *table,
                                int64_t *ret, struct fh_error *error);
    enum fh_code (*set_next_number)(struct store_work *work, const struct catalog_table *table,
                                    int64_t next, struct fh_error *error);

    /* In an INSERT, between the columns and VALUES: lets a counted column be given its number. */
    const char *overriding;
    /* First in a migration: no statement of it waits for a lock for long, since all who come later
     * would wait with it. NULL: the session's own bound is enough. */
    const char *bound_locks;
    /* Where the server's log stands; and 1 or 0, whether a replica has got to there, ?1. NULL: it
     * has no read replicas. */
    const char *log_position, *log_reached;
    /* libpg_query reads it as it stands; what it can't read is no SQL of this engine. */
    bool postgresql_grammar;
};

#endif
