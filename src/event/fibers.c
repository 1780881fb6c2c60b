/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a manager do to it from below: fibers that it counts, which sleep until it
 * drains, and waking those that read its outbox. manager.c starts and ends all of them. */

#include "event/manager.h"
#include "work/work.h"
#include "world/world.h"

bool event_manager_fiber(struct event_manager *manager, void (*entry)(void *), void *argument)
{
    if (!fiber_start(manager->context->world->fibers, entry, argument))
        return false;
    manager->fibers++;
    return true;
}

void event_manager_fiber_ends(struct event_manager *manager)
{
    manager->fibers--;
    fiber_wake_all(&manager->idle);
}

bool event_manager_sleep(struct event_manager *manager, int64_t until_ns)
{
    struct world *world = manager->context->world;
    while (!manager->draining && world_monotonic_ns(world) < until_ns)
        fiber_wait_until(&manager->sleepers, world, until_ns);
    return !manager->draining;
}

void event_manager_committed(struct event_manager *manager, int64_t position, int count)
{
    if (position > manager->position)
        manager->position = position;
    manager->commits++;
    manager->counters.published += (uint64_t)count;
    fiber_wake_all(&manager->readers);
}
