/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_DIALECT_H
#define STORE_RELATIONAL_DIALECT_H

/*
 * What differs in the SQL of relational engines: how a text is read, a few statements, and the
 * ledger's tables. Each engine has one (struct sql_ops), in its dialect.c.
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct catalog_table;
struct ledger_schema;

/* Syntax other than '...', "..." and comments that may hide a semicolon in a script. */
enum sql_lexis {
    SQL_BACKTICKS = 1 << 0,        /* `name` */
    SQL_BRACKETS = 1 << 1,         /* [name] */
    SQL_DOLLAR_QUOTES = 1 << 2,    /* $tag$ ... $tag$ */
    SQL_ESCAPE_STRINGS = 1 << 3,   /* E'it\'s' */
    SQL_NESTED_COMMENTS = 1 << 4,  /* comments may be nested */
    SQL_HASH_COMMENTS = 1 << 5,    /* # to the end of the line */
    SQL_DASHES_AND_BLANK = 1 << 6, /* -- begins a comment only if a blank follows */
    SQL_COMMENTED_SQL = 1 << 7,    /* the text of a comment that begins with ! or M! is run */
    /* A backslash escapes in '...', unless the session turns that off, as the engine's own sessions
     * do. */
    SQL_BACKSLASHES = 1 << 8,
};

struct sql_dialect {
    unsigned lexis; /* of enum sql_lexis */
    char quote;     /* around names */

    const struct ledger_schema *schema;
    /* Indexed by enum ledger_statement (ledger_sql.h), which says what may be NULL. */
    const char *const *ledger;

    /* The queries of catalog.h: the names of all tables, sorted; and for the table ?1 the columns
     * that are not generated, those of its primary key in its order, and the tables that its
     * foreign keys reference. One name per row. */
    const char *tables, *columns, *key, *parents;
    /* About how many rows all tables have, by the server's statistics. NULL: it keeps none, and
     * counting is fast. */
    const char *rows;
    /* See catalog_next_number and catalog_set_next_number. */
    enum fh_code (*next_number)(struct store_work *work, const struct catalog_table *table,
                                int64_t *ret, struct fh_error *error);
    enum fh_code (*set_next_number)(struct store_work *work, const struct catalog_table *table,
                                    int64_t next, struct fh_error *error);

    /* In an INSERT, between the columns and VALUES: allows explicit values for a counted column. */
    const char *overriding;
    /* Runs first in a migration, so that no statement of it waits long for a lock: all later users
     * of the table would wait with it. NULL: the session's own limit is enough. */
    const char *bound_locks;
    /* The position of the server's log; and 1 or 0, whether a replica has reached the position ?1.
     * NULL: the engine has no read replicas. */
    const char *log_position, *log_reached;
    bool locks_commit; /* LOCK TABLES and UNLOCK TABLES end the transaction */
    /* libpg_query can read its SQL unchanged; what it can't read is not SQL of this engine. */
    bool postgresql_grammar;
};

static inline bool sql_has(const struct sql_dialect *dialect, enum sql_lexis lexis)
{
    return dialect->lexis & (unsigned)lexis;
}

#endif
