/* SPDX-License-Identifier: Apache-2.0 */
/* What the server notifies a store of: positions that other processes have assigned. */

#include <string.h>

#include "engine/postgresql/internal.h"

bool postgresql_is_own(const struct postgresql_store *store, int backend)
{
    bool own = store->sequence.backend == backend;
    for (int i = 0; i < store->options.connections && !own; i++)
        own = store->works[i].state == CONNECTION_UP && store->works[i].backend == backend;
    return own;
}

void postgresql_on_notice(struct postgresql_connection *connection)
{
    struct postgresql_store *store = connection->store;
    bool heard = false;
    for (PGnotify *notify; (notify = postgresql_pq.PQnotifies(connection->pg));) {
        heard = heard || (!postgresql_is_own(store, notify->be_pid) &&
                          strcmp(notify->extra, connection->schema) == 0);
        postgresql_pq.PQfreemem(notify);
    }
    if (heard && !store->closing)
        store_notify_listeners(&store->base);
}
