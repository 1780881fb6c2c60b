/* SPDX-License-Identifier: Apache-2.0 */
/* The timers that are due and wait all the same: in memory, found by what their rows are. */

#include <stdio.h>
#include <string.h>

#include "timer/manager.h"

#define NS_A_MS INT64_C(1000000)
#define HELD_MS 60000 /* how long one is remembered that is not read any more */

struct timer_held *held_of(struct timer_manager *manager, const struct ledger_timer *timer)
{
    for (int i = 0; i < manager->held_count; i++) {
        struct timer_held *held = &manager->held[i];
        if (held->due_ms == timer->due_ms && strcmp(held->name, timer->name) == 0 &&
            strcmp(held->kind, timer->kind) == 0)
            return held;
    }
    return NULL;
}

void release_held(struct timer_manager *manager, const struct ledger_timer *timer)
{
    struct timer_held *held = held_of(manager, timer);
    if (held)
        *held = manager->held[--manager->held_count];
}

void forget_held(struct timer_manager *manager, int64_t now_ns)
{
    for (int i = manager->held_count - 1; i >= 0; i--) {
        const struct timer_held *held = &manager->held[i];
        int64_t last_ns = held->seen_ns > held->retry_at_ns ? held->seen_ns : held->retry_at_ns;
        if (now_ns - last_ns > HELD_MS * NS_A_MS)
            manager->held[i] = manager->held[--manager->held_count];
    }
}

struct timer_held *hold_timer(struct timer_manager *manager, const struct ledger_timer *timer)
{
    struct timer_held *held = held_of(manager, timer);
    bool schedule = strcmp(timer->kind, LEDGER_TIMER_EVERY) == 0;
    if (held || manager->held_count >= TIMER_HELD_MAX - (schedule ? 0 : SCHEDULE_ROWS_MAX))
        return held;
    held = &manager->held[manager->held_count++];
    *held = (struct timer_held){.due_ms = timer->due_ms};
    snprintf(held->kind, sizeof held->kind, "%s", timer->kind);
    snprintf(held->name, sizeof held->name, "%s", timer->name);
    return held;
}
