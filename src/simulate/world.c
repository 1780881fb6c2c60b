/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of all nodes. In each turn of it, the first of these that there is:
 *
 *   a node with ready fibers (drawn, if there are several): one fiber runs until it parks
 *   an event that is due: it fires
 *   a node with posted turns (drawn): one turn runs
 *   the next event: the clock goes on to it
 *
 * So turns run when nothing else of that instant is left, as in the real loop, where they run
 * once all fibers have. A job becomes a fiber that starts a little later; its `done` comes, again
 * a little later, as an event.
 *
 * A crash inside a fiber parks that fiber for ever; outside fibers it jumps back to the loop.
 * There, and only there, the node is taken apart.
 */

#include "simulate/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/network.h"
#include "simulate/socket.h"

#define JOB_NS_MAX ((int64_t)60000) /* from the loop to the pool, and back */
#define JOB_SLOW_NS_MAX ((int64_t)20000000)

struct simulate_job {
    struct simulate_node *node;
    struct world_job *job;
    struct fiber *fiber;
    struct simulate_event event;
    struct simulate_job *previous, *next;
};

static struct simulate_node *node_of_world(struct world *world)
{
    return (struct simulate_node *)world;
}

/* ---- time, randomness, timers ---- */

static int64_t node_monotonic_ns(struct world *world)
{
    return node_of_world(world)->simulate->now_ns;
}

static int64_t node_wall_ms(struct world *world)
{
    struct simulate_node *node = node_of_world(world);
    return SIMULATE_WALL_MS + node->simulate->now_ns / SIMULATE_MS + node->wall_step_ms;
}

static void node_random(struct world *world, void *buffer, size_t length)
{
    simulate_random(node_of_world(world)->simulate, buffer, length);
}

static void timer_due(struct simulate_event *event)
{
    struct world_timer *timer = event->owner;
    timer->native = NULL;
    free(event);
    timer->fire(timer);
}

static void node_timer_stop(struct world *world, struct world_timer *timer)
{
    struct simulate_event *event = timer->native;
    if (!event)
        return;
    simulate_cancel(node_of_world(world)->simulate, event);
    timer->native = NULL;
    free(event);
}

static void node_timer_start(struct world *world, struct world_timer *timer, int64_t at_ns)
{
    struct simulate_event *event = timer->native;
    if (!event)
        event = calloc(1, sizeof *event);
    FH_ASSERT(event != NULL);
    event->fire = timer_due;
    event->owner = timer;
    event->node = node_of_world(world);
    event->of_process = true;
    timer->at_ns = at_ns;
    timer->native = event;
    simulate_plan(node_of_world(world)->simulate, event, at_ns);
}

/* ---- jobs ---- */

static void job_returned(struct simulate_event *event)
{
    struct simulate_job *pending = event->owner;
    struct world_job *job = pending->job;
    if (pending->previous)
        pending->previous->next = pending->next;
    else
        pending->node->jobs = pending->next;
    if (pending->next)
        pending->next->previous = pending->previous;
    free(pending);
    job->done(job);
}

static int64_t job_delay_ns(struct simulate *simulate)
{
    bool slow = simulate_chance(simulate, simulate->faults.job_slow);
    return simulate_between(simulate, 1000, slow ? JOB_SLOW_NS_MAX : JOB_NS_MAX);
}

static void job_entry(void *argument)
{
    struct simulate_job *pending = argument;
    struct simulate *simulate = pending->node->simulate;
    pending->fiber = fiber_self();
    pending->job->run(pending->job);
    pending->fiber = NULL;
    pending->event.fire = job_returned;
    simulate_plan(simulate, &pending->event, simulate->now_ns + job_delay_ns(simulate));
}

static void job_begins(struct simulate_event *event)
{
    struct simulate_job *pending = event->owner;
    FH_ASSERT(fiber_start(pending->node->world.fibers, job_entry, pending));
}

static void node_job(struct world *world, struct world_job *job)
{
    struct simulate_node *node = node_of_world(world);
    struct simulate_job *pending = calloc(1, sizeof *pending);
    FH_ASSERT(pending != NULL);
    *pending = (struct simulate_job){.node = node, .job = job, .next = node->jobs};
    pending->event = (struct simulate_event){
        .fire = job_begins, .owner = pending, .node = node, .of_process = true};
    if (node->jobs)
        node->jobs->previous = pending;
    node->jobs = pending;
    simulate_plan(node->simulate, &pending->event,
                  node->simulate->now_ns + job_delay_ns(node->simulate));
}

/* Here nothing is taken from anybody. */
static bool node_lower(struct world *world, int64_t after_ns)
{
    (void)world, (void)after_ns;
    return true;
}

bool simulate_node_in_job(const struct simulate_node *node)
{
    const struct fiber *self = fiber_self();
    const struct simulate_job *job = node->jobs;
    while (self && job && job->fiber != self)
        job = job->next;
    return self && job;
}

void simulate_node_wait(struct simulate_node *node, int64_t ns)
{
    fiber_sleep_until(&node->world, node->simulate->now_ns + ns);
}

/* ---- turns, requests, the end ---- */

static void node_turn(struct world *world, struct world_turn *turn)
{
    struct simulate_node *node = node_of_world(world);
    if (turn->posted)
        return;
    turn->posted = true;
    turn->next = NULL;
    *node->turn_last = turn;
    node->turn_last = &turn->next;
}

static void node_request(struct world *world, struct world_request *request)
{
    simulate_network_send(node_of_world(world), request);
}

static void node_fatal(struct world *world, const char *why)
{
    simulate_node_crash(node_of_world(world), SIMULATE_KILLED, why);
}

static const struct world_ops node_ops = {
    .monotonic_ns = node_monotonic_ns,
    .wall_ms = node_wall_ms,
    .random = node_random,
    .timer_start = node_timer_start,
    .timer_stop = node_timer_stop,
    .job = node_job,
    .job_aside = node_job,
    .lower = node_lower,
    .turn = node_turn,
    .poll_start = simulate_socket_watch,
    .poll_stop = simulate_socket_unwatch,
    .request = node_request,
    .fatal = node_fatal,
};

/* ---- lives ---- */

static void node_wake(void *context)
{
    struct simulate_node *node = context;
    node->ready = true;
}

static void resume_due(struct simulate_event *event)
{
    (void)event; /* the loop looks at the node again */
}

struct simulate_node *simulate_node_new(struct simulate *simulate, const char *name)
{
    FH_ASSERT(simulate->node_count < SIMULATE_NODES_MAX);
    struct simulate_node *node = calloc(1, sizeof *node);
    FH_ASSERT(node != NULL);
    node->simulate = simulate;
    node->name = node->service = name;
    node->number = simulate->node_count;
    node->backlog_last = &node->backlog_first;
    node->resume.fire = resume_due;
    simulate->nodes[simulate->node_count++] = node;
    return node;
}

void simulate_node_begin(struct simulate_node *node)
{
    FH_ASSERT(!node->alive);
    struct fibers *fibers = fibers_new(node_wake, node);
    FH_ASSERT(fibers != NULL);
    node->world = (struct world){.ops = &node_ops, .fibers = fibers};
    if (node->disk)
        node->disk_ops->attach(node->disk, &node->world);
    node->turn_first = NULL;
    node->turn_last = &node->turn_first;
    node->jobs = NULL;
    node->ready = node->dying = false;
    node->alive = true;
    node->life++;
}

void simulate_node_free(struct simulate_node *node)
{
    if (node->alive && fibers_alive(node->world.fibers) == 0)
        fibers_free(node->world.fibers);
    simulate_cancel(node->simulate, &node->resume);
    simulate_network_release(node);
    free(node);
}

/* Timers' events are their own; a job's lies within it. What held them is the dead process'. */
static void event_dropped(struct simulate_event *event)
{
    if (event->fire == timer_due)
        free(event);
}

static void take_apart(struct simulate_node *node)
{
    struct simulate *simulate = node->simulate;
    const char *why = node->why;
    simulate_say(simulate, node, "ends: %s%s", why,
                 node->crash_how == SIMULATE_POWER ? ", and the machine's power with it" : "");
    node->alive = node->dying = node->ready = false;
    node->crash_after = 0;
    simulate_cancel_process(simulate, node, event_dropped);
    simulate_network_crashed(node);
    if (node->disk)
        node->disk_ops->crashed(node->disk, node->crash_how);
    node->world.fibers = NULL;
    if (node->died)
        node->died(node, why);
}

void simulate_node_crash(struct simulate_node *node, enum simulate_crash how, const char *why)
{
    if (!node->alive || node->dying)
        return;
    node->dying = true;
    node->crash_how = how;
    node->why = why;
    if (fiber_of(node->world.fibers))
        fiber_park(); /* for ever */
    if (fiber_self())
        return; /* another's: the loop sees it next */
    if (node->in_callback)
        longjmp(node->escape, 1);
    take_apart(node);
}

void simulate_node_step(struct simulate_node *node)
{
    if (node->crash_after && --node->crash_after == 0)
        simulate_node_crash(node, node->crash_how, "killed");
}

void simulate_node_pause(struct simulate_node *node, int64_t until_ns)
{
    simulate_say(node->simulate, node, "stands still for %lld ms",
                 (long long)((until_ns - node->simulate->now_ns) / SIMULATE_MS));
    node->paused_until_ns = until_ns;
    simulate_plan(node->simulate, &node->resume, until_ns);
}

/* ---- the loop ---- */

static bool is_paused(const struct simulate_node *node)
{
    return node->paused_until_ns > node->simulate->now_ns;
}

static bool is_dying(const struct simulate_node *node)
{
    return node->dying;
}

static bool has_ready(const struct simulate_node *node)
{
    return node->alive && node->ready && !is_paused(node);
}

static bool has_turn(const struct simulate_node *node)
{
    return node->alive && node->turn_first && !is_paused(node);
}

/* One of those that fit, drawn; NULL: none does. */
static struct simulate_node *draw_node(struct simulate *simulate,
                                       bool (*fits)(const struct simulate_node *))
{
    struct simulate_node *fitting[SIMULATE_NODES_MAX];
    uint64_t count = 0;
    for (int i = 0; i < simulate->node_count; i++) {
        if (fits(simulate->nodes[i]))
            fitting[count++] = simulate->nodes[i];
    }
    return count == 0 ? NULL : fitting[count == 1 ? 0 : simulate_below(simulate, count)];
}

static void run_fiber(struct simulate_node *node)
{
    node->simulate->running = node;
    node->ready = fibers_run_one(node->world.fibers);
    node->simulate->running = NULL;
    if (!node->dying)
        simulate_node_step(node);
    else
        take_apart(node);
}

/* `call` on the loop, as the node's own code: what is fatal in it comes back here. */
static void call_back(struct simulate_node *node, void (*call)(void *), void *argument)
{
    node->simulate->running = node;
    if (setjmp(node->escape) == 0) {
        node->in_callback = true;
        call(argument);
    }
    node->in_callback = false;
    node->simulate->running = NULL;
    if (node->dying)
        take_apart(node);
}

static void turn_call(void *argument)
{
    struct simulate_node *node = argument;
    struct world_turn *turn = node->turn_first;
    node->turn_first = turn->next;
    if (!node->turn_first)
        node->turn_last = &node->turn_first;
    turn->posted = false;
    turn->run(turn);
}

static void event_call(void *argument)
{
    struct simulate_event *event = argument;
    event->fire(event);
}

static void fire_next(struct simulate *simulate)
{
    struct simulate_event *event = simulate_next(simulate);
    struct simulate_node *node = event->node;
    simulate->now_ns = event->at_ns;
    if (node && is_paused(node)) {
        simulate_postpone(simulate, event, node->paused_until_ns);
        return;
    }
    simulate_cancel(simulate, event);
    if (node && node->alive)
        call_back(node, event_call, event);
    else
        event->fire(event);
}

/* False: nothing is left to happen before `until_ns`. */
static bool run_step(struct simulate *simulate, int64_t until_ns)
{
    struct simulate_node *node = draw_node(simulate, is_dying); /* ended by another's code */
    if (node) {
        take_apart(node);
        return true;
    }
    node = draw_node(simulate, has_ready);
    if (node) {
        run_fiber(node);
        return true;
    }
    struct simulate_event *next = simulate_next(simulate);
    if (!next || next->at_ns > simulate->now_ns)
        node = draw_node(simulate, has_turn);
    if (node) {
        call_back(node, turn_call, node);
        return true;
    }
    if (!next || next->at_ns > until_ns)
        return false;
    fire_next(simulate);
    return true;
}

bool simulate_run(struct simulate *simulate, bool (*holds)(void *), void *argument,
                  int64_t until_ns, uint64_t steps_max)
{
    for (uint64_t i = 0; i < steps_max; i++) {
        if (holds && holds(argument))
            return true;
        simulate->steps++;
        if (!run_step(simulate, until_ns))
            return holds && holds(argument);
    }
    return false;
}
