/* SPDX-License-Identifier: Apache-2.0 */
/* Units of work that begin sagas take turns: admission.h. */

#include "saga/admission.h"

#include <limits.h>

#include "saga/manager.h"

int saga_admission_places(bool moves, size_t in_memory)
{
    if (!moves)
        return INT_MAX;
    return in_memory > SAGA_STARTS_OPEN ? SAGA_STARTS_MAX / 2 : SAGA_STARTS_MAX;
}

/* Who leaves hands the place over, so nobody who comes meanwhile gets it. */
bool saga_admission_enter(struct saga_admission *admission, struct world *world, int places)
{
    admission->places = places;
    if (admission->inside < places && !admission->waiting) {
        admission->inside++;
        return true;
    }
    if (admission->waiting >= SAGA_STARTS_WAITING_MAX)
        return false;
    admission->waiting++;
    bool given = fiber_wait_until(&admission->queue, world, world_in_ms(world, SAGA_START_WAIT_MS));
    admission->waiting--;
    admission->inside += !given;
    return true;
}

void saga_admission_leave(struct saga_admission *admission)
{
    admission->inside--;
    while (admission->inside < admission->places && admission->queue.first) {
        admission->inside++;
        fiber_wake_one(&admission->queue);
    }
}

/* ---- As units of work see it ---- */

static void enter_start(fh_work *w)
{
    struct saga_manager *manager = w->context->sagas;
    struct world *world = w->context->world;
    bool moves = manager->moved_at_ns && world_monotonic_ns(world) - manager->moved_at_ns <
                                             SAGA_MOVES_MS * INT64_C(1000000);
    int places = saga_admission_places(moves, manager->runs.count);
    if (moves)
        work_parks(w);
    if (saga_admission_enter(&manager->admission, world, places))
        return;
    w->retry_after_s = 1;
    work_fail_as(w, PROBLEM_OVERLOADED, NULL, "Too many sagas wait to begin: nothing was done.");
}

static void leave_start(fh_work *w)
{
    saga_admission_leave(&w->context->sagas->admission);
}

const struct work_entrance saga_entrance = {.enter = enter_start, .leave = leave_start};
