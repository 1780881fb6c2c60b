/* SPDX-License-Identifier: Apache-2.0 */
/* Closing a store, which ends with the last thing that is still under way in it. */

#include <stdlib.h>

#include "engine/postgresql/internal.h"

static void destroy_store(struct postgresql_store *store)
{
    for (int i = 0; i < store->options.connections && store->works; i++)
        postgresql_disconnect(&store->works[i]);
    for (int i = 0; i < POSTGRESQL_READERS; i++)
        postgresql_disconnect(&store->readers[i]);
    postgresql_disconnect(&store->sequence);
    postgresql_statements_release(&store->statements);
    free(store->works);
    free(store);
}

/* A reader's sync may still be posted for the end of the turn, or the listening fiber be about to
 * end: the last of them then destroys the store. */
static bool is_in_use(const struct postgresql_store *store)
{
    bool used = store->listens || store->gather.turn.posted;
    for (int i = 0; i < POSTGRESQL_READERS; i++)
        used = used || store->readers[i].turn.posted;
    return used;
}

void postgresql_leave(struct postgresql_store *store)
{
    if (store->closing && !store->closer && !is_in_use(store))
        destroy_store(store);
}

void postgresql_close(struct store *base)
{
    struct postgresql_store *store = (struct postgresql_store *)base;
    store->closing = true;
    fiber_wake_all(&store->listening);
    store->closer = fiber_self() != NULL;
    while (store->closer && store->listens)
        fiber_wait(&store->connecting);
    store->closer = false;
    postgresql_leave(store);
}
