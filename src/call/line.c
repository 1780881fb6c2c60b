/* SPDX-License-Identifier: Apache-2.0 */
/* A list of waiters that live on their fibers' stacks. */

#include "call/line.h"

struct line_waiter {
    struct fiber_queue queue; /* holds only this fiber */
    enum line_place place;
    struct line_waiter *previous, *next;
};

static void step_out(struct line *line, struct line_waiter *waiter)
{
    *(waiter->previous ? &waiter->previous->next : &line->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &line->last) = waiter->previous;
    line->waiting--;
}

enum line_place line_enter(struct line *line, struct world *world, int in_flight_max,
                           int waiting_max, int64_t deadline_ns)
{
    if (line->in_flight < in_flight_max) {
        line->in_flight++;
        if (line->in_flight > line->in_flight_high)
            line->in_flight_high = line->in_flight;
        return LINE_TAKEN;
    }
    if (line->waiting >= waiting_max)
        return LINE_FULL;
    struct line_waiter waiter = {.place = LINE_LATE, .previous = line->last};
    *(line->last ? &line->last->next : &line->first) = &waiter;
    line->last = &waiter;
    line->waiting++;
    fiber_wait_until(&waiter.queue, world, deadline_ns);
    if (waiter.place == LINE_LATE)
        step_out(line, &waiter);
    return waiter.place; /* TAKEN: the place was passed on, and is already in in_flight */
}

static void send_off(struct line *line, struct line_waiter *waiter, enum line_place place)
{
    step_out(line, waiter);
    waiter->place = place;
    fiber_wake_all(&waiter->queue);
}

void line_leave(struct line *line)
{
    if (line->first)
        send_off(line, line->first, LINE_TAKEN);
    else
        line->in_flight--;
}

void line_turn_away(struct line *line)
{
    while (line->first)
        send_off(line, line->first, LINE_AWAY);
}
