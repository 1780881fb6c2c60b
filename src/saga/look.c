/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever was passed over. Mostly a saga is carried on by who has started it, or is read at the
 * start; a fiber looks every LOOK_MS for those that nobody has:
 *
 * - open sagas that could not be read, since the store was away when there was room for them;
 * - sagas without a number, of which there were too many to wait for each one (unnumbered.c), or
 *   for which there was no place: once all that is committed has its number, they are read;
 * - where there are several instances, rows of our own that are not in memory, whatever the reason:
 *   few rows are open then, and one question tells them.
 *
 * What dead instances have left is looked for by takeover.c, as often.
 */

#include "saga/manager.h"

#define LOOK_MS 10000
#define LOOK_RUNS_MAX 100 /* so many in memory: who is passed over is read when they get fewer */

static void look_once(struct saga_manager *manager)
{
    struct store *store = manager->context->store;
    bool few = manager->context->leases && manager->runs.count < LOOK_RUNS_MAX;
    bool numbered = manager->late_looks && store_sequence(store, NULL, 0, NULL) == FH_OK;
    manager->late_looks -= numbered;
    manager->crowded |= few || numbered;
    if (!manager->stopping)
        saga_manager_refill(manager);
}

static void look(void *argument)
{
    struct saga_manager *manager = argument;
    struct world *world = manager->context->world;
    while (!manager->stopping) {
        fiber_wait_until(&manager->lookable, world, world_in_ms(world, LOOK_MS));
        if (!manager->stopping)
            look_once(manager);
    }
    manager->looks = false;
    saga_manager_fiber_ended(manager);
}

void saga_look_start(struct saga_manager *manager)
{
    manager->looks = fiber_start(manager->context->world->fibers, look, manager);
}
