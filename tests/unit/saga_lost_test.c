/* SPDX-License-Identifier: Apache-2.0 */
/* An instance that was taken for dead while it lives: what it had under way takes effect once,
 * whoever takes its sagas over, itself in its next session included. */

#include "../support/saga_network.h"
#include "saga/manager.h"
#include "work/lease.h"

static struct engine many;

static void join_entry(void *argument)
{
    struct fixture *fixture = argument;
    fixture->code = lease_manager_start(fixture->contexts[2].leases, &fixture->error);
}

static void leave_entry(void *argument)
{
    lease_manager_stop(((struct fixture *)argument)->contexts[2].leases);
}

/* Orders as one instance of several, on a store of one process: there is no other. */
static int set_up_instance(void **state)
{
    set_up(state);
    struct fixture *fixture = *state;
    struct work_context *context = &fixture->contexts[2];
    harness_run(&fixture->harness, stop_manager, fixture);
    saga_manager_free(context->sagas);
    many = *context->store->engine;
    many.abilities |= ENGINE_MANY_INSTANCES;
    context->store->engine = &many;
    context->leases = lease_manager_new(context, "0");
    harness_run(&fixture->harness, join_entry, fixture);
    assert_int_equal(fixture->code, FH_OK);
    harness_run(&fixture->harness, start_manager, fixture);
    assert_int_equal(fixture->code, FH_OK);
    return 0;
}

static int tear_down_instance(void **state)
{
    struct fixture *fixture = *state;
    struct lease_manager *leases = fixture->contexts[2].leases;
    lease_manager_drain(leases);
    harness_run(&fixture->harness, stop_manager, fixture);
    harness_run(&fixture->harness, leave_entry, fixture);
    tear_down(state);
    lease_manager_free(leases);
    return 0;
}

static bool one_waits(void *argument)
{
    (void)argument;
    return confirms_waiting == 1;
}

static bool two_wait(void *argument)
{
    (void)argument;
    return confirms_waiting == 2;
}

static bool is_ended(void *argument)
{
    return look(argument, 2, "SELECT count(*) FROM fh_saga WHERE status = 'ended'") == 1;
}

/* As whoever takes it for dead does. */
static void bury(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    FH_ASSERT(store_begin(fixture->contexts[2].store, STORE_WRITE, &work, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(sql_run(work, "DELETE FROM fh_lease WHERE name = 'instance 0'", NULL, 0, NULL, NULL,
                      NULL, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(store_commit(work, ERROR_UNHEEDED) == FH_OK);
}

static void what_is_under_way_then_is_done_once(void **state)
{
    struct fixture *fixture = *state;
    confirms_held = true;
    place_order(fixture, 1, NULL, NULL);
    harness_until(&fixture->harness, one_waits, NULL);
    fixture->contexts[2].sagas->crowded = true; /* there may be more in the store */
    harness_run(&fixture->harness, bury, fixture);
    harness_until(&fixture->harness, two_wait, NULL);
    confirms_held = false;
    fiber_wake_all(&for_confirms);
    while (!is_ended(fixture))
        ;
    assert_int_equal(look(fixture, 2, "SELECT times FROM placed"), 1);
    expect_balance(fixture, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_under_way_then_is_done_once, set_up_instance,
                                        tear_down_instance),
    };
    return cmocka_run_group_tests_name("saga_lost", tests, NULL, NULL);
}
