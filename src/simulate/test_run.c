/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's test is a run (run.h) without clients of its own: once all services are ready, its body
 * is one fiber outside of them, and what it says happens through the same network and disks as all
 * else. When something is not as expected, the run has failed and is hopeless, and the body's fiber
 * is left where it stands: the run's process ends with it.
 */

#include <stdlib.h>

#include "base/json.h"
#include "simulate/test.h"

/* What is parked without being expected is a failure that nobody has looked at. */
static void check_parked(fh_test *t)
{
    for (int i = 0; i < t->run->node_count; i++) {
        const char *name = t->run->nodes[i].service->name;
        if (!json_object_get(t->parked, name))
            fh_test_expect_parked(t, name, 0, 0);
    }
}

static void test_entry(void *argument)
{
    fh_test *t = argument;
    t->declared->body(t);
    fh_test_rest(t);
    check_parked(t);
    test_check_faults(t);
    t->run->clients_open--;
}

void run_test(struct run *run)
{
    fh_test *t = calloc(1, sizeof *t);
    FH_ASSERT(t != NULL);
    run->test = t;
    run->faulted = test_fault_met;
    t->run = run;
    t->declared = run->system->test;
    t->client = (fh_client){.run = run};
    t->kept = json_array();
    t->asked = json_array();
    t->parked = json_object();
    t->faults = json_object();
    run->clients_open++;
    FH_ASSERT(fiber_start(run->outside->world.fibers, test_entry, t));
}
