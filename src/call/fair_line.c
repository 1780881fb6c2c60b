/* SPDX-License-Identifier: Apache-2.0 */
/* Those that wait live on their fibers' stacks. A call that leaves passes its place on, so there
 * are places free only while nobody waits. */

#include "call/fair_line.h"

#include "base/error.h"

struct fair_waiter {
    struct turns_waiter waiter; /* first: it is cast from */
    struct fiber_queue queue;   /* holds only this fiber */
    enum fair_place place;
};

void fair_line_init(struct fair_line *line, const char *what, int in_flight_max,
                    unsigned waiting_max)
{
    *line = (struct fair_line){.in_flight_max = in_flight_max};
    overload_init(&line->overload, NULL, what); /* the first one brings its world */
    line->overload.turns.waiting_max = waiting_max;
}

void fair_line_release(struct fair_line *line)
{
    FH_ASSERT(line->in_flight == 0);
    overload_release(&line->overload);
}

static void fair_send_off(struct turns_waiter *waiter, enum fair_place place)
{
    struct fair_waiter *waiting = (struct fair_waiter *)waiter;
    waiting->place = place;
    fiber_wake_all(&waiting->queue);
}

static int64_t wanted_until_ns(int64_t deadline_ns)
{
    return deadline_ns < 0 ? INT64_MAX : deadline_ns;
}

static enum fair_place fair_wait(struct fair_line *line, struct world *world, const char *caller,
                                 size_t bytes, int64_t deadline_ns, int64_t now_ns)
{
    struct turns *turns = &line->overload.turns;
    struct fair_waiter waiting = {
        .waiter = {.until_ns = wanted_until_ns(deadline_ns), .bytes = bytes}, .place = FAIR_LATE};
    turns_add(turns, caller, &waiting.waiter, now_ns);
    fiber_wait_until(&waiting.queue, world, deadline_ns);
    if (waiting.place == FAIR_LATE)
        turns_step_out(turns, &waiting.waiter);
    return waiting.place; /* TAKEN: the place was passed on, and is already in in_flight */
}

enum fair_place fair_line_enter(struct fair_line *line, struct world *world, const char *caller,
                                size_t bytes, int64_t deadline_ns)
{
    struct overload *overload = &line->overload;
    overload->world = world;
    if (line->in_flight < line->in_flight_max) {
        line->in_flight++;
        return FAIR_TAKEN;
    }
    int64_t now_ns = world_monotonic_ns(world);
    bool shed = turns_shed(&overload->turns, caller, wanted_until_ns(deadline_ns), now_ns);
    overload_look(overload);
    return shed ? FAIR_SHED : fair_wait(line, world, caller, bytes, deadline_ns, now_ns);
}

void fair_line_leave(struct fair_line *line)
{
    struct overload *overload = &line->overload;
    int64_t now_ns = overload->turns.waiting ? world_monotonic_ns(overload->world) : 0;
    struct turns_waiter *next;
    bool shed = true;
    while (shed && (next = turns_take(&overload->turns, now_ns, &shed)) != NULL)
        fair_send_off(next, shed ? FAIR_SHED : FAIR_TAKEN);
    line->in_flight -= shed;
    overload_look(overload);
}

void fair_line_turn_away(struct fair_line *line)
{
    struct turns *turns = &line->overload.turns;
    struct turns_waiter *next;
    while ((next = turns_first(turns)) != NULL) {
        turns_step_out(turns, next);
        fair_send_off(next, FAIR_AWAY);
    }
}
