/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas that were missed. Usually the process that starts a saga carries it on, or it is loaded at
 * the start. Every LOOK_MS a fiber looks for those that nobody has loaded:
 *
 * - open sagas that could not be read, because the store was away when there was space for them:
 * these are tried again sooner, at load_at_ns (load.c);
 * - sagas without a number that were too many to wait for one by one (unnumbered.c), or did not fit
 * into memory: they are read once everything committed has its number, and when the store reports
 * positions;
 * - on a server, or with several instances, our own rows that are not in memory, for whatever
 * reason. While few are in memory, few are open, and one query finds them. While there are many,
 * that is a longer reading, which only every LOOKS_BUSY_MAX-th look does: so that no saga is passed
 * over for ever, however far behind the sequencer was.
 *
 * takeover.c looks for what dead instances have left.
 */

#include "saga/manager.h"

#define LOOK_MS 10000
#define LOOKS_BUSY_MAX 30 /* missed ones wait for so many, or until fewer are in memory */

static bool looks_for_all(struct saga_manager *manager)
{
    const struct work_context *context = manager->context;
    if (!context->leases && !context->store->ops->sequence)
        return false;
    if (manager->runs.count >= SAGA_LOOK_RUNS_MAX && ++manager->busy_looks < LOOKS_BUSY_MAX)
        return false;
    manager->busy_looks = 0;
    return true;
}

static void look_for_missed(struct saga_manager *manager)
{
    struct store *store = manager->context->store;
    bool all = looks_for_all(manager);
    bool numbered = manager->late_looks && store_sequence(store, NULL, 0, ERROR_UNHEEDED) == FH_OK;
    manager->late_looks -= numbered;
    if (all || numbered)
        saga_manager_reread(manager);
    if (!manager->stopping)
        saga_manager_refill(manager);
}

/* What could not be read is tried again when its time comes. */
static void retry_load(struct saga_manager *manager)
{
    manager->load_at_ns = 0;
    saga_manager_refill(manager);
}

static void run_look(void *argument)
{
    struct saga_manager *manager = argument;
    struct world *world = manager->context->world;
    int64_t look_ns = world_in_ms(world, LOOK_MS);
    while (!manager->stopping) {
        bool retries = manager->load_at_ns && manager->load_at_ns < look_ns;
        int64_t at_ns = retries ? manager->load_at_ns : look_ns;
        if (fiber_wait_until(&manager->lookable, world, at_ns) || manager->stopping)
            continue; /* load_at_ns may have changed */
        if (retries) {
            retry_load(manager);
            continue;
        }
        look_for_missed(manager);
        look_ns = world_in_ms(world, LOOK_MS);
    }
    manager->looks = false;
    saga_manager_fiber_ended(manager);
}

void saga_look_start(struct saga_manager *manager)
{
    manager->looks = fiber_start(manager->context->world->fibers, run_look, manager);
}
