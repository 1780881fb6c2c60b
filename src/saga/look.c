/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas that were missed. Usually the process that starts a saga carries it on, or it is loaded at
 * the start. Every LOOK_MS a fiber looks for those that nobody has loaded:
 *
 * - open sagas that could not be read, because the store was away when there was space for them;
 * - sagas without a number that were too many to wait for one by one (unnumbered.c), or did not fit
 * into memory: they are read once everything committed has its number;
 * - with several instances, our own rows that are not in memory, for whatever reason: few rows are
 * open then, and one query finds them.
 *
 * takeover.c looks for what dead instances have left.
 */

#include "saga/manager.h"

#define LOOK_MS 10000
#define LOOK_RUNS_MAX 100 /* with more in memory, missed ones wait until there are fewer */

static void look_for_missed(struct saga_manager *manager)
{
    struct store *store = manager->context->store;
    bool few = manager->context->leases && manager->runs.count < LOOK_RUNS_MAX;
    bool numbered = manager->late_looks && store_sequence(store, NULL, 0, ERROR_UNHEEDED) == FH_OK;
    manager->late_looks -= numbered;
    manager->crowded |= few || numbered;
    if (!manager->stopping)
        saga_manager_refill(manager);
}

static void run_look(void *argument)
{
    struct saga_manager *manager = argument;
    struct world *world = manager->context->world;
    while (!manager->stopping) {
        fiber_wait_until(&manager->lookable, world, world_in_ms(world, LOOK_MS));
        if (!manager->stopping)
            look_for_missed(manager);
    }
    manager->looks = false;
    saga_manager_fiber_ended(manager);
}

void saga_look_start(struct saga_manager *manager)
{
    manager->looks = fiber_start(manager->context->world->fibers, run_look, manager);
}
