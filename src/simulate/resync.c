/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes subscribers begin anew with their publishers' state (docs/guide/events.md,
 * "Snapshots"), in some runs of a system whose simulation says that all of its subscriptions can:
 *
 *   limits       outboxes hold few events, whoever has not read them: who falls behind is expired
 *   late         a service is born while the others are at work, and finds the beginning trimmed
 *   copied back  an operator puts a service's files back as they were some time before: whatever it
 *                has published since is known no more, and its positions are given out again; and
 *                so on, from a new copy, as long as there are faults
 */

#include <string.h>

#include "simulate/run_parts.h"

#define RESYNC_RUNS 250000 /* in a million */
#define EVENTS_MAX_MIN 4
#define EVENTS_MAX_MAX 60
#define LATE_NS_MAX (8000 * SIMULATE_MS)
#define COPY_NS_MAX (2000 * SIMULATE_MS)
#define BACK_NS_MAX (4000 * SIMULATE_MS)

/* The number of names before the first NULL. */
static size_t count_names(const char *const *names)
{
    size_t count = 0;
    while (count < FH_SIMULATION_NAMES_MAX && names[count])
        count++;
    return count;
}

/* One of them, in half of the runs; NULL: none. */
static const char *draw_name(struct run *run, const char *const *names)
{
    size_t count = count_names(names);
    if (count == 0 || simulate_chance(&run->simulate, 500000))
        return NULL;
    return names[simulate_below(&run->simulate, count)];
}

void run_resync_draw(struct run *run)
{
    const fh_simulation *simulation = run->system->simulation;
    struct run_resync *anew = &run->anew;
    if (!simulation || !simulation->resyncs || !simulate_chance(&run->simulate, RESYNC_RUNS))
        return;
    anew->events_max = simulate_between(&run->simulate, EVENTS_MAX_MIN, EVENTS_MAX_MAX);
    anew->late = draw_name(run, simulation->late);
    anew->copied = draw_name(run, simulation->copied_back);
    if (anew->late && anew->copied && strcmp(anew->late, anew->copied) == 0)
        anew->copied = NULL; /* there is nothing to copy yet */
    simulate_say(&run->simulate, NULL, "outboxes hold %lld events; late: %s; copied back: %s",
                 (long long)anew->events_max, anew->late ? anew->late : "nobody",
                 anew->copied ? anew->copied : "nobody");
}

static struct run_node *find_run_node(struct run *run, const char *name)
{
    for (int i = 0; name && i < run->node_count; i++) {
        if (run_node_is(&run->nodes[i], name))
            return &run->nodes[i];
    }
    return NULL;
}

static void copy_files(struct simulate_event *event);

static void copy_soon(struct run_node *node)
{
    struct simulate *simulate = &node->run->simulate;
    node->run->anew.event = (struct simulate_event){.fire = copy_files, .owner = node};
    simulate_plan(simulate, &node->run->anew.event,
                  simulate->now_ns + simulate_between(simulate, 0, COPY_NS_MAX));
}

/* By hand: the process does not notice that its files are others when it is started again. */
static void put_back(struct simulate_event *event)
{
    struct run_node *node = event->owner;
    struct run_resync *anew = &node->run->anew;
    simulate_node_crash(node->node, SIMULATE_KILLED, "its operator kills it");
    simulate_say(&node->run->simulate, node->node, "its files are put back as they were");
    simulate_disk_put_back(node->node->disk, anew->copy);
    simulate_copy_free(anew->copy);
    anew->copy = NULL;
    copy_soon(node);
}

static void copy_files(struct simulate_event *event)
{
    struct run_node *node = event->owner;
    struct simulate *simulate = &node->run->simulate;
    struct run_resync *anew = &node->run->anew;
    simulate_say(simulate, node->node, "its files are copied");
    anew->copy = simulate_disk_copy(node->node->disk);
    anew->event = (struct simulate_event){.fire = put_back, .owner = node};
    simulate_plan(simulate, &anew->event,
                  simulate->now_ns + simulate_between(simulate, SIMULATE_MS, BACK_NS_MAX));
}

void run_resync_begin(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    struct run_node *late = find_run_node(run, run->anew.late),
                    *copied = find_run_node(run, run->anew.copied);
    if (late)
        run_node_start(late, simulate->now_ns + simulate_between(simulate, 0, LATE_NS_MAX));
    if (copied)
        copy_soon(copied);
}

void run_resync_end(struct run *run)
{
    struct run_node *late = find_run_node(run, run->anew.late);
    simulate_cancel(&run->simulate, &run->anew.event);
    if (late && late->node->life == 0)
        run_node_start(late, run->simulate.now_ns);
}

bool run_has_other_past(const struct run *run, const char *service)
{
    const char *copied = run->anew.copied;
    const char *restored = run->restore.done ? run->restore.node->service->name : NULL;
    return (copied && strcmp(copied, service) == 0) || (restored && strcmp(restored, service) == 0);
}

bool fh_client_loses(fh_client *client, const char *service)
{
    return client->run->lost_commits > 0 || run_has_other_past(client->run, service);
}
