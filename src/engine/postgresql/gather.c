/* SPDX-License-Identifier: Apache-2.0 */
/* The statements that wait for the next group, and when that may be sent: see group.c. */

#include "engine/postgresql/gather.h"

void postgresql_gather_look(struct postgresql_store *store)
{
    if (store->gather.first)
        world_turn(store->base.world, &store->gather.turn);
}

static void gather_leave(struct postgresql_gather *gather, struct postgresql_gathered *gathered)
{
    struct postgresql_gathered **at = &gather->first;
    while (*at != gathered)
        at = &(*at)->next;
    *at = gathered->next;
    if (!*at)
        gather->end = at;
}

void postgresql_gather_go_on(struct postgresql_gathered *gathered, enum gathered_as as)
{
    gathered->as = as;
    fiber_wake_all(&gathered->waiting);
}

/* Makes a group of the waiting statements, as many as fit. One waiting alone becomes a group unless
 * groups leave numbering to the sequencer for now. */
void postgresql_gathered(struct postgresql_store *store)
{
    struct postgresql_gather *gather = &store->gather;
    struct postgresql_gathered *first = gather->first, **end = &gather->first;
    if (!first || gather->leading || (gather->groups && !gather->committing) ||
        !postgresql_numbering_gate(store))
        return;
    bool leads = first->next || postgresql_may_number(store);
    if (!leads && gather->groups)
        return;
    if (!leads && gather->apart)
        gather->apart--;
    for (int i = 0; i < POSTGRESQL_GROUP_MAX && *end; i++) {
        (*end)->as = GATHERED_CHOSEN;
        end = &(*end)->next;
    }
    gather->first = *end;
    if (!*end)
        gather->end = &gather->first;
    *end = NULL;
    gather->groups += leads;
    gather->leading = leads;
    postgresql_gather_go_on(first, leads ? GATHERED_LEADS : GATHERED_APART);
}

void postgresql_gather_wait(struct postgresql_store *store, struct postgresql_gathered *own)
{
    struct world *world = store->base.world;
    int64_t deadline_ns = world_in_ms(world, store->gather.wait_ms);
    *store->gather.end = own;
    store->gather.end = &own->next;
    postgresql_gather_look(store);
    while (own->as == GATHERED_WAITS) {
        if (fiber_wait_until(&own->waiting, world, deadline_ns) || own->as != GATHERED_WAITS)
            continue;
        gather_leave(&store->gather, own);
        own->as = GATHERED_APART;
    }
    while (own->as == GATHERED_CHOSEN)
        fiber_wait(&own->waiting);
}

void postgresql_group_committing(struct postgresql_work *carrier)
{
    struct postgresql_store *store = (struct postgresql_store *)carrier->base.store;
    store->gather.committing = carrier;
    postgresql_gather_look(store);
}

void postgresql_group_committed(struct postgresql_work *carrier)
{
    struct postgresql_store *store = (struct postgresql_store *)carrier->base.store;
    if (store->gather.committing == carrier)
        store->gather.committing = NULL;
    store->gather.committed_ns = world_monotonic_ns(store->base.world);
}
