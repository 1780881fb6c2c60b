/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions that would be stuck: an instance that has the lease and finds another epoch in the
 * cursor takes the lease again; and whatever is stuck reports for how long.
 */

#include "../support/hearing.h"
#include "work/lease.h"

static struct engine many;

static void join_entry(void *argument)
{
    struct service *service = argument;
    service->code = lease_manager_start(service->context.leases, &service->error);
}

/* Orders as one instance of several, on a store of one process: there is no other. */
static void open_instance(struct fixture *fixture)
{
    struct service *service = &fixture->orders;
    service_open(service, &fixture->harness, &fixture->world.world, &orders);
    service_must(service, make_table);
    many = *service->context.store->engine;
    many.abilities |= ENGINE_MANY_INSTANCES;
    service->context.store->engine = &many;
    service->context.leases = lease_manager_new(&service->context, "0");
    harness_run(&fixture->harness, join_entry, service);
    assert_int_equal(service->code, FH_OK);
    begin_hearing(service);
}

static void leave_entry(void *argument)
{
    lease_manager_stop(((struct service *)argument)->context.leases);
}

/* In the order of a program that ends: the leases know the partitions until they are given back. */
static void close_instance(struct fixture *fixture)
{
    struct service *service = &fixture->orders;
    lease_manager_drain(service->context.leases);
    event_manager_drain(service->context.events);
    let_products_fail(fixture);
    harness_run(&fixture->harness, wait_entry, service->context.events);
    harness_run(&fixture->harness, leave_entry, service);
    end_hearing(fixture, service);
    lease_manager_free(service->context.leases);
    service_close(service);
}

static bool all_follow(void *argument)
{
    const struct service *service = argument;
    const struct subscription *at = NULL;
    struct subscription_view view;
    while ((at = subscription_next(service->context.events, at))) {
        subscription_view(at, &view);
        if (strcmp(view.state, "following") != 0 || view.depth)
            return false;
    }
    return true;
}

static void age_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    FH_ASSERT(store_begin(fixture->orders.context.store, STORE_WRITE, &work, ERROR_UNHEEDED) ==
              FH_OK);
    for (int i = 0; i < 8; i++) {
        char partition[16];
        snprintf(partition, sizeof partition, "%d/8", i);
        FH_ASSERT(ledger_cursor_take(work, "users", partition, 0, ERROR_UNHEEDED) == FH_OK);
    }
    FH_ASSERT(store_commit(work, ERROR_UNHEEDED) == FH_OK);
}

static bool all_seen(void *argument)
{
    struct service *service = argument;
    return all_follow(service) && service_count(service, "SELECT count(*) FROM seen") == 80;
}

static void who_has_the_lease_and_finds_its_cursor_fenced_takes_it_anew(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 40);
    open_instance(fixture);
    harness_until(&fixture->harness, all_follow, &fixture->orders);
    harness_run(&fixture->harness, age_entry, fixture);
    publish(fixture, 41, 40);
    harness_until(&fixture->harness, all_seen, &fixture->orders);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(DISTINCT user_id) FROM seen"),
                     80);
    close_instance(fixture);
}

static bool is_fenced(void *argument)
{
    struct subscription_view view = view_of(argument);
    return strcmp(view.state, "waiting") == 0 && strstr(view.reason, "Another instance") &&
           view.lag_ms > 0;
}

static void a_fenced_subscription_reports_for_how_long(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    publish(fixture, 1, 5);
    wait_for(&fixture->orders, 5, "following");
    assert_int_equal(view_of(&fixture->orders).lag_ms, 0);
    harness_run(&fixture->harness, take_over_entry, fixture);
    publish(fixture, 6, 1);
    harness_until(&fixture->harness, is_fenced, &fixture->orders);
    close_orders(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(who_has_the_lease_and_finds_its_cursor_fenced_takes_it_anew),
        TEST(a_fenced_subscription_reports_for_how_long),
    };
    return cmocka_run_group_tests_name("event_standing", tests, NULL, NULL);
}
