/* SPDX-License-Identifier: Apache-2.0 */
/* One timer for each that is overloaded, and none otherwise. */

#include "call/overload.h"

#include "base/log.h"

static void look_again_later(struct overload *overload);

static void on_calm(struct world_timer *timer)
{
    struct overload *overload = timer->owner;
    if (!turns_calm_down(&overload->turns, world_monotonic_ns(overload->world))) {
        look_again_later(overload);
        return;
    }
    overload->told = false;
    log_info("overload-ended", "No request was shed for a second (%s). Since the start %llu were.",
             overload->what, (unsigned long long)overload->turns.shed);
}

static void look_again_later(struct overload *overload)
{
    world_timer_start(overload->world, &overload->calm,
                      world_monotonic_ns(overload->world) + TURNS_CALM_NS);
}

void overload_init(struct overload *overload, struct world *world, const char *what)
{
    *overload = (struct overload){.world = world, .what = what};
    overload->calm = (struct world_timer){.fire = on_calm, .owner = overload};
    turns_init(&overload->turns);
}

void overload_release(struct overload *overload)
{
    world_timer_stop(overload->world, &overload->calm);
    turns_release(&overload->turns);
}

void overload_look(struct overload *overload)
{
    if (!overload->turns.overloaded || overload->told)
        return;
    overload->told = true;
    log_warning("overload-begun",
                "More requests come than can be carried out (%s), and %u wait. Of callers whose "
                "lines are too "
                "long, others are shed with 503 and Retry-After until it is over.",
                overload->what, overload->turns.waiting);
    look_again_later(overload);
}
