/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_BREAKS_H
#define SYSTEM_CHECK_BREAKS_H

/*
 * Finds statements in new migrations that break the version of a service that is still running
 * while they are applied, and that goes on beside the new one for a while
 * (docs/operate/migrations.md). Statements are parsed by PostgreSQL's own parser; other engines'
 * SQL as far as it can read it.
 */

#include "service/migration.h"

/* A finding in one statement; valid during the visit. */
struct breaking {
    const struct migration *migration;
    int line;
    bool judged;         /* false: it could not be parsed, and only `why` is set */
    const char *what;    /* "drops the column orders.total" */
    const char *why;     /* "whose statements may still name it" */
    const char *instead; /* full sentences: how to do it in two steps */
    /* The reason given in the comment before it that acknowledges the break, or NULL. */
    const char *reason;
    int reason_length;
};

bool breaks_built_in(void);
/* Whether PostgreSQL's parser reads it. FH_UNSUPPORTED: it does not; FH_UNAVAILABLE: none is built
 * in. */
enum fh_code breaks_parse(const char *sql, struct fh_error *error);

/* For the migrations newer than `applied`. They may change tables and columns that they create
 * themselves. */
void breaks_find(const struct migrations *all, int64_t applied, const struct sql_dialect *dialect,
                 void (*visit)(void *context, const struct breaking *breaking), void *context);

#endif
