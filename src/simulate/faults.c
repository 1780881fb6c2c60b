/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong in a run. Each run draws which kinds of faults it has, and how often: a run with
 * all of them at once hides what only one brings to light. When a fault's time has come, its kind
 * and its node are drawn. What is counted in operations (a death, a disk's error) happens that
 * many steps later, in the midst of whatever the node is doing then.
 */

#include "simulate/server.h"
#include "simulate/run_parts.h"

#define KILL_STEPS_MAX 300
#define PAUSE_NS_MAX (6000 * SIMULATE_MS)
#define APART_NS_MAX (8000 * SIMULATE_MS)
#define FULL_NS_MAX (3000 * SIMULATE_MS)
#define FULL_ROOM_MAX 60000
#define DISK_OPERATIONS_MAX 200
#define CLOCK_OFF_MS_MAX (INT64_C(40) * 86400000) /* a clock is at most so far off */
#define CLOCK_STEP_MS_MAX 3000
#define FAULTS_NS_MIN (500 * SIMULATE_MS) /* how long they last; clients go on after them */
#define FAULTS_NS_MAX (20000 * SIMULATE_MS)

#define FAILOVER_NS_MAX (3000 * SIMULATE_MS)
#define LOST_MAX 4 /* commits */

enum kind {
    FAULT_KILL,
    FAULT_POWER,
    FAULT_RESTART,
    FAULT_PAUSE,
    FAULT_APART,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_FULL,
    FAULT_CLOCK,
    FAULT_KINDS
};

static void crash_soon(struct run_node *node, enum simulate_crash how)
{
    if (!node->node->alive || node->node->crash_after)
        return;
    node->node->crash_how = how;
    node->node->crash_after = simulate_between(&node->run->simulate, 1, KILL_STEPS_MAX);
}

static void part_node(struct run_node *node)
{
    struct simulate *simulate = &node->run->simulate;
    struct simulate_node *other =
        simulate->nodes[simulate_below(simulate, (uint64_t)simulate->node_count)];
    if (other == node->node)
        return;
    int64_t until_ns = simulate->now_ns + simulate_between(simulate, SIMULATE_MS, APART_NS_MAX);
    simulate_say(simulate, node->node, "is apart from %s for %lld ms", other->name,
                 (long long)((until_ns - simulate->now_ns) / SIMULATE_MS));
    simulate_network_part(node->node, other, until_ns);
}

static void has_room_again(struct simulate_event *event)
{
    struct run_node *node = event->owner;
    simulate_disk_faults(node->node->disk)->size_max = 0;
}

static void fill_disk(struct run_node *node)
{
    struct simulate *simulate = &node->run->simulate;
    struct simulate_disk_faults *faults = simulate_disk_faults(node->node->disk);
    if (faults->size_max)
        return;
    faults->size_max =
        simulate_disk_size(node->node->disk) + (size_t)simulate_below(simulate, FULL_ROOM_MAX);
    node->ease = (struct simulate_event){.fire = has_room_again, .owner = node};
    simulate_plan(simulate, &node->ease,
                  simulate->now_ns + simulate_between(simulate, SIMULATE_MS, FULL_NS_MAX));
}

static void step_clock(struct run_node *node)
{
    struct simulate *simulate = &node->run->simulate;
    int64_t off_ms = node->node->wall_step_ms +
                     simulate_between(simulate, -CLOCK_STEP_MS_MAX, CLOCK_STEP_MS_MAX);
    if (simulate_chance(simulate, 300000))
        off_ms = simulate_between(simulate, -CLOCK_OFF_MS_MAX, CLOCK_OFF_MS_MAX);
    simulate_say(simulate, node->node, "its wall clock steps by %lld ms",
                 (long long)(off_ms - node->node->wall_step_ms));
    node->node->wall_step_ms = off_ms;
}

static int64_t draw_operations(struct run_node *node)
{
    return simulate_between(&node->run->simulate, 1, DISK_OPERATIONS_MAX);
}

static void cause_fault(struct run_node *node, enum kind kind)
{
    struct simulate *simulate = &node->run->simulate;
    struct simulate_disk_faults *faults = simulate_disk_faults(node->node->disk);
    switch (kind) {
    case FAULT_KILL:
        crash_soon(node, SIMULATE_KILLED);
        break;
    case FAULT_POWER:
        crash_soon(node, SIMULATE_POWER);
        break;
    case FAULT_RESTART:
        run_node_restart(node);
        break;
    case FAULT_PAUSE:
        if (node->node->alive && node->node->paused_until_ns <= simulate->now_ns)
            simulate_node_pause(node->node,
                                simulate->now_ns + simulate_between(simulate, 1, PAUSE_NS_MAX));
        break;
    case FAULT_APART:
        part_node(node);
        break;
    case FAULT_READ:
        faults->read_in = draw_operations(node);
        break;
    case FAULT_WRITE:
        faults->write_in = draw_operations(node);
        break;
    case FAULT_SYNC:
        faults->sync_in = simulate_between(simulate, 1, 10);
        break;
    case FAULT_FULL:
        fill_disk(node);
        break;
    case FAULT_CLOCK:
        step_clock(node);
        break;
    case FAULT_KINDS:
        break;
    }
}

static void plan_next(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    simulate_plan(simulate, &run->next_fault,
                  simulate->now_ns + simulate_between(simulate, 1, run->plan.pause_ns * 2));
}

static void on_run_fault(struct simulate_event *event)
{
    struct run *run = event->owner;
    struct simulate *simulate = &run->simulate;
    if (simulate->now_ns >= run->plan.until_ns) {
        run_faults_end(run);
        return;
    }
    enum kind kind = (enum kind)simulate_below(simulate, FAULT_KINDS);
    struct run_node *node = &run->nodes[simulate_below(simulate, (uint64_t)run->node_count)];
    if (run->plan.kinds & 1u << kind)
        cause_fault(node, kind);
    plan_next(run);
}

static void on_failover(struct simulate_event *event)
{
    struct run *run = event->owner;
    struct simulate_server *server = run->servers[0];
    run->lost_commits = server->ops->lose(server, LOST_MAX);
}

static void failover_draw(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    if (!run->system->simulation->fails_over || !run->server_count || !run->servers[0]->ops->lose)
        return;
    run->failover = (struct simulate_event){.fire = on_failover, .owner = run};
    simulate_plan(simulate, &run->failover,
                  simulate->now_ns + simulate_between(simulate, 1, FAILOVER_NS_MAX));
}

/* A rate that half of the runs have, and few have high. */
static unsigned draw_fault_rate(struct simulate *simulate, unsigned highest)
{
    if (simulate_chance(simulate, 500000))
        return 0;
    return (unsigned)simulate_below(simulate,
                                    simulate_chance(simulate, 300000) ? highest : highest / 4);
}

void run_faults_begin(struct run *run)
{
    static const int64_t pauses_ms[] = {20, 60, 200, 1000};
    struct simulate *simulate = &run->simulate;
    struct simulate_faults *faults = &simulate->faults;
    faults->request_lost = draw_fault_rate(simulate, 200000);
    faults->answer_lost = draw_fault_rate(simulate, 200000);
    faults->doubled = draw_fault_rate(simulate, 200000);
    faults->late = draw_fault_rate(simulate, 100000);
    faults->reset = draw_fault_rate(simulate, 100000);
    faults->job_slow = draw_fault_rate(simulate, 200000);
    faults->sync_slow = draw_fault_rate(simulate, 200000);
    run->plan.kinds = (unsigned)simulate_below(simulate, 1u << FAULT_KINDS);
    run->plan.until_ns =
        simulate->now_ns + simulate_between(simulate, FAULTS_NS_MIN, FAULTS_NS_MAX);
    run->plan.pause_ns = pauses_ms[simulate_below(simulate, 4)] * SIMULATE_MS;
    simulate_say(simulate, NULL,
                 "faults: kinds %#x, one in %lld ms; of a million requests %u lost, %u answers, %u "
                 "doubled, %u late, %u reset",
                 run->plan.kinds, (long long)(run->plan.pause_ns / SIMULATE_MS),
                 faults->request_lost, faults->answer_lost, faults->doubled, faults->late,
                 faults->reset);
    run->faulty = true;
    run->next_fault = (struct simulate_event){.fire = on_run_fault, .owner = run};
    plan_next(run);
    for (int i = 0; i < run->server_count; i++)
        run->servers[i]->ops->faults_begin(run->servers[i], run->plan.until_ns, run->plan.pause_ns);
    failover_draw(run);
    run_resync_begin(run);
    run_restore_begin(run);
    run_bus_faults_begin(run);
}

void run_faults_end(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    if (!run->faulty)
        return;
    simulate_say(simulate, NULL, "no more faults");
    run->faulty = false;
    simulate->faults = (struct simulate_faults){0};
    simulate_cancel(simulate, &run->next_fault);
    simulate_cancel(simulate, &run->failover);
    run_resync_end(run);
    run_bus_faults_end(run);
    for (int i = 0; i < run->server_count; i++)
        run->servers[i]->ops->faults_end(run->servers[i]);
    for (int i = 0; i < simulate->node_count; i++) {
        for (int j = 0; j < simulate->node_count; j++)
            simulate->apart_until_ns[i][j] = 0;
    }
    for (int i = 0; i < run->node_count; i++) {
        struct run_node *node = &run->nodes[i];
        node->node->crash_after = 0;
        *simulate_disk_faults(node->node->disk) = (struct simulate_disk_faults){0};
    }
}
