/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the outbox that are kept in memory: read once, passed often, and never trusted when the
 * store has gone back before them. */

#include "../support/service.h"

#include <stdlib.h>

#include "event/outbox/slice.h"

#define ROWS_MAX 64

static const fh_field user_shape[] = {{"id", FH_INT}, {0}};

static const fh_service users = {
    .name = "users",
    .model = FH_RELATIONAL,
    .publishes = {{"UserUpdated", 1, user_shape, .key = "id"}},
};

struct fixture {
    struct harness harness;
    struct service service;
    struct event_manager *manager;
    char ids[ROWS_MAX][ID_SIZE]; /* as they were passed */
    int passed;
    const char *sql;
    enum fh_code code;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    service_open(&fixture->service, &fixture->harness, fixture->harness.world, &users);
    fixture->service.context.events = event_manager_new(&fixture->service.context);
    fixture->manager = fixture->service.context.events;
    *state = fixture;
    return 0;
}

static bool manager_ended(void *argument)
{
    return event_manager_ended(((struct fixture *)argument)->manager);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    event_manager_drain(fixture->manager);
    harness_until(&fixture->harness, manager_ended, fixture);
    event_manager_free(fixture->manager);
    service_close(&fixture->service);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

static void publish_ten(fh_work *w)
{
    for (int i = 0; i < 10; i++)
        fh_publish(w, "UserUpdated", json_pack("{s:i}", "id", i));
}

static void run_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    store_begin(fixture->service.context.store, STORE_WRITE, &work, ERROR_UNHEEDED);
    fixture->code = sql_run(work, fixture->sql, NULL, 0, NULL, NULL, NULL, ERROR_UNHEEDED);
    store_commit(work, ERROR_UNHEEDED);
}

static void runs(struct fixture *fixture, const char *sql)
{
    fixture->sql = sql;
    harness_run(&fixture->harness, run_entry, fixture);
    assert_int_equal(fixture->code, FH_OK);
}

static bool take_id(void *context, const struct ledger_event *event)
{
    struct fixture *fixture = context;
    assert_int_equal(event->position, fixture->passed + 1);
    snprintf(fixture->ids[fixture->passed++], ID_SIZE, "%s", event->id);
    return true;
}

static void read_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    int64_t last = 0;
    store_begin(fixture->service.context.store, STORE_READ, &work, ERROR_UNHEEDED);
    ledger_position(work, &last, ERROR_UNHEEDED);
    fixture->passed = 0;
    fixture->code =
        slice_read(fixture->manager, work, 0, last, ROWS_MAX, take_id, fixture, ERROR_UNHEEDED);
    store_rollback(work);
}

static enum fh_code reads(struct fixture *fixture)
{
    harness_run(&fixture->harness, read_entry, fixture);
    return fixture->code;
}

static void what_was_read_is_passed_again_and_what_came_behind_it_is_added(void **state)
{
    struct fixture *fixture = *state;
    for (int tens = 1; tens <= 3; tens++) {
        service_must(&fixture->service, publish_ten);
        assert_int_equal(reads(fixture), FH_OK);
        assert_int_equal(fixture->passed, 10 * tens);
    }
    /* If it were read from the store, it would be another one. */
    runs(fixture, "UPDATE fh_outbox SET type = 'Other', event_id = 'other' WHERE position = 7");
    assert_int_equal(reads(fixture), FH_OK);
    assert_string_not_equal(fixture->ids[6], "other");
}

/* As after a failover to a standby that lacks the last commits: other events have got their
 * positions. */
static void what_the_store_has_gone_back_behind_is_passed_to_nobody(void **state)
{
    struct fixture *fixture = *state;
    service_must(&fixture->service, publish_ten);
    assert_int_equal(reads(fixture), FH_OK);
    runs(fixture, "UPDATE fh_outbox SET event_id = 'another-' || position WHERE position >= 8");
    service_must(&fixture->service, publish_ten);
    assert_int_equal(reads(fixture), FH_UNAVAILABLE);
    assert_int_equal(reads(fixture), FH_OK);
    assert_int_equal(fixture->passed, 20);
    assert_string_equal(fixture->ids[7], "another-8");
    assert_string_equal(fixture->ids[9], "another-10");
}

static void rows_that_were_trimmed_meanwhile_are_no_reason_to_forget_them(void **state)
{
    struct fixture *fixture = *state;
    service_must(&fixture->service, publish_ten);
    assert_int_equal(reads(fixture), FH_OK);
    runs(fixture, "DELETE FROM fh_outbox");
    service_must(&fixture->service, publish_ten);
    assert_int_equal(reads(fixture), FH_OK);
    assert_int_equal(fixture->passed, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_was_read_is_passed_again_and_what_came_behind_it_is_added, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_store_has_gone_back_behind_is_passed_to_nobody,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            rows_that_were_trimmed_meanwhile_are_no_reason_to_forget_them, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
