/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas in memory: each is a run, which is freed once nobody refers to it any more, and the queue
 * of those that something has arrived for. At most SAGA_FIBERS_MAX fibers take them from there and
 * have the manager's `process` carry each on, which only one of them does at a time.
 */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "call/user.h"
#include "saga/manager.h"

struct saga_target *saga_manager_target(struct saga_manager *manager, const char *name)
{
    struct saga_target *target = map_get(&manager->targets, name);
    if (target)
        return target;
    target = calloc(1, sizeof *target);
    FH_ASSERT(target != NULL);
    target->name = strdup(name);
    FH_ASSERT(target->name != NULL);
    map_put(&manager->targets, name, target);
    return target;
}

int64_t *saga_manager_count(struct saga_manager *manager, enum saga_status status)
{
    struct ledger_counts *counts = &manager->counts;
    switch (status) {
    case SAGA_RUNNING:
        return &counts->running;
    case SAGA_COMPENSATING:
        return &counts->compensating;
    case SAGA_ENDED:
        return &counts->ended;
    case SAGA_UNDONE:
        return &counts->undone;
    case SAGA_ABANDONED:
        return &counts->abandoned;
    case SAGA_PARKED:
        break;
    }
    return &counts->parked;
}

void saga_manager_fiber_ended(struct saga_manager *manager)
{
    if (manager->stopping)
        fiber_wake_all(&manager->stopped);
}

/* ---- Runs ---- */

struct saga_run *saga_run_new(struct saga_manager *manager, const struct saga_type *type,
                              const char *birth, int64_t number, const json_t *input,
                              const int *counts)
{
    size_t elements = 0;
    for (int i = 0; i < type->rules.step_count; i++)
        elements += (size_t)counts[i];
    struct saga_run *run = calloc(1, sizeof *run);
    FH_ASSERT(run != NULL);
    /* The stored state's elements, and two sets for later states. */
    struct saga_element *all = calloc(3 * elements + 1, sizeof *all);
    run->parts = calloc(elements + 1, sizeof *run->parts);
    run->times = calloc((size_t)type->rules.step_count + 1, sizeof *run->times);
    FH_ASSERT(all && run->parts && run->times);
    run->scratch = all + elements;
    run->manager = manager;
    run->type = type;
    run->number = number;
    run->epoch = 1;
    run->losses = manager->context->store->losses;
    run->references = 1;
    run->input = json_copy_out(input);
    snprintf(run->birth, sizeof run->birth, "%s", birth);
    snprintf(run->reference, sizeof run->reference, "%s.%lld", birth, (long long)number);
    saga_state_init(&type->rules, counts, &run->state, all);
    return run;
}

void saga_run_release(struct saga_run *run)
{
    if (--run->references > 0)
        return;
    FH_ASSERT(!run->queued && !run->busy);
    int elements = run->state.first[run->type->rules.step_count];
    for (int i = 0; i < elements; i++) {
        free(run->parts[i].path);
        free(run->parts[i].undo_path);
        free(run->parts[i].body);
        free(run->parts[i].spent);
        free(run->parts[i].answer);
    }
    while (run->heard_first) {
        struct saga_heard *heard = run->heard_first;
        run->heard_first = heard->next;
        free(heard->answer);
        free(heard);
    }
    struct arena *before = json_arena_set(NULL);
    json_decref(run->input);
    json_decref(run->secrets);
    json_arena_set(before);
    free(run->trace);
    user_unref(run->user);
    free(run->parts);
    free(run->times);
    free(run->state.elements);
    free(run);
}

void saga_manager_read_begin(struct saga_manager *manager)
{
    if (manager->reading++ == 0)
        map_init(&manager->removed);
}

void saga_manager_read_end(struct saga_manager *manager)
{
    if (--manager->reading > 0)
        return;
    map_release(&manager->removed);
    manager->read_by_former = false;
}

bool saga_manager_add(struct saga_manager *manager, struct saga_run *run)
{
    bool left = manager->reading && map_get(&manager->removed, run->reference);
    bool former = manager->away || manager->read_by_former;
    manager->reload = manager->reload || former;
    if (former || left || map_get(&manager->runs, run->reference)) {
        saga_run_release(run);
        return false;
    }
    map_put(&manager->runs, run->reference, run);
    if (run->number > manager->newest)
        manager->newest = run->number;
    return true;
}

/* ---- The queue ---- */

static struct saga_run *take_queued(struct saga_manager *manager)
{
    struct saga_turn *turn = saga_turns_take(&manager->queue);
    if (!turn)
        return NULL;
    struct saga_run *run = (struct saga_run *)((char *)turn - offsetof(struct saga_run, turn));
    run->queued = false;
    return run;
}

void saga_manager_drop_queue(struct saga_manager *manager)
{
    struct saga_run *run;
    while ((run = take_queued(manager)) != NULL)
        saga_run_release(run);
}

static void run_queued(void *argument)
{
    struct saga_manager *manager = argument;
    struct saga_run *run;
    while (!manager->stopping && (run = take_queued(manager)) != NULL) {
        run->busy = true;
        manager->process(run);
        run->busy = false;
        if (run->heard_first && !run->gone && run->retry_at_ns == 0)
            saga_run_queue(run);
        saga_run_release(run); /* the queue's reference */
    }
    manager->fibers--;
    saga_manager_fiber_ended(manager);
}

void saga_run_queue(struct saga_run *run)
{
    struct saga_manager *manager = run->manager;
    if (run->queued || run->busy || run->gone || manager->stopping)
        return;
    run->queued = true;
    run->references++;
    saga_turns_add(&manager->queue, &run->turn, run->number);
    if (manager->fibers < SAGA_FIBERS_MAX &&
        fiber_start(manager->context->world->fibers, run_queued, manager))
        manager->fibers++;
}

void saga_run_hear(struct saga_run *run, struct saga_heard *heard)
{
    heard->next = NULL;
    if (run->heard_last)
        run->heard_last->next = heard;
    else
        run->heard_first = heard;
    run->heard_last = heard;
    saga_run_queue(run);
}
