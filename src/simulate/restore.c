/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restores from a backup, in most runs of a system whose simulation names who may be
 * restored: the files of one such service are copied at some moment, and later, with its process
 * dead, put back. Before it starts again its store gets a new incarnation, as `freehold restore`
 * gives it. Runs without a restore are as strict as they are in other systems.
 */

#include <stdlib.h>
#include <string.h>

#include "service/move.h"
#include "simulate/run_parts.h"
#include "store/ledger.h"

#define RESTORE_RUNS 800000 /* in a million */
#define COPY_NS_MAX (4000 * SIMULATE_MS)
#define BACK_NS_MAX (4000 * SIMULATE_MS)

static enum fh_code renew(struct store *store, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_ALONE, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_incarnation_renew(work, true, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* A death in the midst of it leaves it to the next start: another incarnation more does no harm. */
bool run_restore_renew(struct run_node *node, struct fh_error *error)
{
    struct store *store = NULL;
    enum fh_code code =
        service_store_open(node->service, node->config, &node->node->world, &store, error);
    if (code == FH_OK)
        code = renew(store, error);
    if (store)
        store_close(store);
    if (code != FH_OK)
        return false;
    node->renews = false;
    node->incarnation[0] = '\0'; /* it comes back as another one */
    return true;
}

static void put_back(struct simulate_event *event)
{
    struct run_node *node = event->owner;
    struct run_restore *restore = &node->run->restore;
    simulate_node_crash(node->node, SIMULATE_KILLED, "its operator stops it");
    simulate_say(&node->run->simulate, node->node, "its store is restored from the backup");
    simulate_disk_put_back(node->node->disk, restore->copy);
    node->renews = true;
    restore->done = true;
}

static void copy(struct simulate_event *event)
{
    struct run_node *node = event->owner;
    struct simulate *simulate = &node->run->simulate;
    struct run_restore *restore = &node->run->restore;
    if (!node->incarnation[0])
        return; /* it is still making its store */
    simulate_say(simulate, node->node, "a backup is made");
    restore->copy = simulate_disk_copy(node->node->disk);
    restore->event = (struct simulate_event){.fire = put_back, .owner = node};
    simulate_plan(simulate, &restore->event,
                  simulate->now_ns + simulate_between(simulate, SIMULATE_MS, BACK_NS_MAX));
}

void run_restore_begin(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    const fh_simulation *simulation = run->system->simulation;
    size_t count = 0;
    while (count < FH_SIMULATION_NAMES_MAX && simulation->restored[count])
        count++;
    if (count == 0 || !simulate_chance(simulate, RESTORE_RUNS))
        return;
    const char *name = simulation->restored[simulate_below(simulate, count)];
    for (int i = 0; i < run->node_count; i++) {
        if (strcmp(run->nodes[i].service->name, name) != 0)
            continue;
        run->restore.service = name;
        run->restore.event = (struct simulate_event){.fire = copy, .owner = &run->nodes[i]};
        simulate_plan(simulate, &run->restore.event,
                      simulate->now_ns + simulate_between(simulate, 0, COPY_NS_MAX));
    }
}

void run_restore_end(struct run *run)
{
    simulate_cancel(&run->simulate, &run->restore.event);
}
