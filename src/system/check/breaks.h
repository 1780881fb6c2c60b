/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_BREAKS_H
#define SYSTEM_CHECK_BREAKS_H

/*
 * Which statements of new migrations break the version of a service that still runs while they
 * are applied, and goes on beside the new one for a while (docs/operate/migrations.md). Judged by what
 * PostgreSQL's own parser reads; of other engines' SQL, what it reads too.
 */

#include "service/migration.h"

/* What is found in one statement; valid while it is visited. */
struct breaking {
    const struct migration *migration;
    int line;
    bool judged;         /* false: it could not be read, and nothing but `why` is set */
    const char *what;    /* "drops the column orders.total" */
    const char *why;     /* "whose statements may still name it" */
    const char *instead; /* whole sentences: how to do it in two steps */
    /* The note before it that says that this is known, or NULL. */
    const char *reason;
    int reason_length;
};

bool breaks_built_in(void);

/* Of the migrations newer than `applied`. Tables and columns that they make themselves are theirs
 * to change. */
void breaks_find(const struct migrations *all, int64_t applied, const struct sql_dialect *dialect,
                 void (*visit)(void *context, const struct breaking *breaking), void *context);

#endif
