/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_GATHER_H
#define ENGINE_POSTGRESQL_GATHER_H

/* How units of work find together that share a transaction: gather.c, for group.c. */

#include "engine/postgresql/internal.h"

#define POSTGRESQL_GROUP_MAX 64
enum gathered_as { GATHERED_WAITS, GATHERED_CHOSEN, GATHERED_LEADS, GATHERED_APART, GATHERED_SENT };

/* A unit's first statement, while it waits on its fiber's stack. */
struct postgresql_gathered {
    struct postgresql_work *work;
    struct postgresql_statement *statement;
    const struct sql_value *values;
    int count;
    unsigned how;
    enum gathered_as as;
    struct fiber_queue waiting;
    struct postgresql_call *call;
    struct postgresql_gathered *next; /* in the queue, then in the group being formed */
};
void postgresql_gather_wait(struct postgresql_store *store, struct postgresql_gathered *own);
void postgresql_gather_go_on(struct postgresql_gathered *gathered, enum gathered_as as);
void postgresql_gathered(struct postgresql_store *store); /* runs on the loop */
void postgresql_gather_look(struct postgresql_store *store);
/* A group's COMMIT was sent; it was answered. */
void postgresql_group_committing(struct postgresql_work *carrier);
void postgresql_group_committed(struct postgresql_work *carrier);

#endif
