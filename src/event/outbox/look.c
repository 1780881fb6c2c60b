/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noticing events that other processes have published into the same store. Some server engines
 * notify us themselves (ENGINE_NOTIFIES). On the others, processes signal a notifier
 * (store/notifier.h), and a process that it can't reach polls the store's last position: often
 * while events come, more and more rarely while none do, and only while a reader waits for them in
 * a long poll. Even with a notifier there is a rare poll: some process may have no notifier, or run
 * on another machine.
 *
 * Four times a minute, whether readers wait or not, positions are assigned to events that have
 * none. A process leaves such events when it dies after a commit, or when the server committed what
 * it had sent only after its successor had looked. Usually the next publisher has assigned their
 * positions long before. Every instance does this, even the only one: there may be no other to do
 * it.
 *
 * Embedded stores have one process: nobody else publishes.
 */

#include "event/manager.h"
#include "store/ledger.h"
#include "work/work.h"

#define LOOK_MS_MIN 20
#define LOOK_MS_MAX 1000
#define SWEEP_MS 15000

static int pause_ms_min(const struct event_manager *manager)
{
    return manager->context->store->notifier ? LOOK_MS_MAX : LOOK_MS_MIN;
}

static bool someone_waits(const struct event_manager *manager)
{
    return manager->reader_count > 0 &&
           !engine_can(manager->context->store->engine, ENGINE_NOTIFIES);
}

/* True: there is something new. */
static bool look_for_events(struct event_manager *manager)
{
    struct store_work *work;
    int64_t last = 0;
    if (store_begin(manager->context->store, STORE_READ_COMMITTED, &work, ERROR_UNHEEDED) != FH_OK)
        return false; /* readers will find out why themselves */
    enum fh_code code = ledger_position(work, &last, ERROR_UNHEEDED);
    store_rollback(work);
    if (code != FH_OK || last <= manager->position)
        return false;
    manager->position = last;
    if (last > manager->context->position)
        manager->context->position = last;
    store_notify_listeners(manager->context->store);
    return true;
}

static void run_event_looker(void *argument)
{
    struct event_manager *manager = argument;
    struct world *world = manager->context->world;
    int64_t sweep_ns = world_in_ms(world, SWEEP_MS);
    int pause_ms = pause_ms_min(manager);
    while (!manager->draining) {
        bool waits = someone_waits(manager);
        int64_t next_ns = waits ? world_in_ms(world, pause_ms) : sweep_ns;
        bool woken =
            fiber_wait_until(&manager->looker, world, next_ns < sweep_ns ? next_ns : sweep_ns);
        if (manager->draining)
            break;
        bool sweeps = world_monotonic_ns(world) >= sweep_ns;
        if (sweeps) {
            sweep_ns = world_in_ms(world, SWEEP_MS);
            store_sequence(manager->context->store, NULL, 0, ERROR_UNHEEDED);
        }
        if (woken && !sweeps)
            continue; /* a reader waits now */
        pause_ms = look_for_events(manager) ? pause_ms_min(manager) : pause_ms * 2;
        if (pause_ms > LOOK_MS_MAX)
            pause_ms = LOOK_MS_MAX;
    }
    event_manager_fiber_ends(manager);
}

void event_look_start(struct event_manager *manager)
{
    if (manager->context->store->ops->sequence)
        event_manager_fiber(manager, run_event_looker, manager);
}

void event_look_soon(struct event_manager *manager)
{
    if (manager->reader_count == 1 && someone_waits(manager))
        fiber_wake_all(&manager->looker);
}
