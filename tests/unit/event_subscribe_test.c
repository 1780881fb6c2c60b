/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions against a real feed, both on real stores in one process; between them a world
 * whose requests the test loses, repeats, holds or answers itself. Whatever happens, each event
 * takes effect once, in order, and `done` never passes what is committed.
 */

#include "../support/hearing.h"
#include "../support/undecided.h"

/* ---- tests ---- */

static void events_are_applied_once_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 600);
    open_orders(fixture);
    wait_for(&fixture->orders, 600, "following");
    publish(fixture, 601, 1);
    publish(fixture, 602, 100);
    wait_for(&fixture->orders, 701, "following");
    expect_seen(&fixture->orders, 1, 701);
    assert_int_equal(cursor_of(&fixture->orders), 701);
    struct subscription_view view = view_of(&fixture->orders);
    assert_int_equal(view.depth, 0);
    assert_int_equal(view.lag_ms, 0);
    assert_int_equal(view.applied, 701);
    close_orders(fixture);
}

static void only_the_fields_subscribed_to_arrive(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 1);
    open_orders(fixture);
    wait_for(&fixture->orders, 1, "following");
    assert_int_equal(service_count(&fixture->orders, "SELECT fields FROM seen"), 2);
    close_orders(fixture);
}

static void a_restart_continues_after_what_was_applied(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    for (int i = 0; i < 3; i++) {
        publish(fixture, 1 + 50 * i, 50);
        wait_for(&fixture->orders, 50 * (i + 1), "following");
        close_orders(fixture);
        open_orders(fixture);
    }
    publish(fixture, 151, 10);
    wait_for(&fixture->orders, 160, "following");
    expect_seen(&fixture->orders, 1, 160);
    close_orders(fixture);
}

static char was[ID_SIZE];

/* What is known of a store that was moved whole when its last event stood at 100. */
static void name_ancestor(fh_work *w)
{
    char text[128];
    snprintf(text, sizeof text, "[{\"incarnation\": \"%s\", \"position\": 100}]", was);
    fh_exec(w, "INSERT INTO fh_meta (name, value) VALUES ('ancestors', :text)",
            json_pack("{s:s}", "text", text), NULL);
}

static void a_publisher_that_was_moved_is_followed_on(void **state)
{
    struct fixture *fixture = *state;
    char *incarnation = fixture->users.context.store->incarnation;
    publish(fixture, 1, 100);
    open_orders(fixture);
    wait_for(&fixture->orders, 100, "following");
    close_orders(fixture);
    memcpy(was, incarnation, ID_SIZE);
    incarnation[0] ^= 1;
    service_must(&fixture->users, name_ancestor);
    publish(fixture, 101, 20);
    open_orders(fixture);
    wait_for(&fixture->orders, 120, "following");
    expect_seen(&fixture->orders, 1, 120);
    close_orders(fixture);
}

static void a_cursor_behind_the_move_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *incarnation = fixture->users.context.store->incarnation;
    publish(fixture, 1, 101);
    open_orders(fixture);
    wait_for(&fixture->orders, 101, "following");
    close_orders(fixture);
    memcpy(was, incarnation, ID_SIZE);
    incarnation[0] ^= 1;
    service_must(&fixture->users, name_ancestor);
    open_orders(fixture);
    wait_for(&fixture->orders, 101, "refused");
    close_orders(fixture);
}

static void the_publisher_may_come_later(void **state)
{
    struct fixture *fixture = *state;
    fixture->road = ROAD_DOWN;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "unreachable");
    assert_non_null(strstr(view_of(&fixture->orders).reason, "users can't be reached"));
    publish(fixture, 1, 5);
    fixture->road = ROAD_GOOD;
    wait_for(&fixture->orders, 5, "following");
    expect_seen(&fixture->orders, 1, 5);
    close_orders(fixture);
}

static void lost_answers_are_asked_for_again(void **state)
{
    struct fixture *fixture = *state;
    fixture->road = ROAD_LOST;
    fixture->every = 2;
    publish(fixture, 1, 1000);
    open_orders(fixture);
    wait_for(&fixture->orders, 1000, "following");
    expect_seen(&fixture->orders, 1, 1000);
    close_orders(fixture);
}

static void an_answer_that_comes_twice_is_applied_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->road = ROAD_REPEATED;
    fixture->every = 2;
    publish(fixture, 1, 1000);
    open_orders(fixture);
    wait_for(&fixture->orders, 1000, "following");
    expect_seen(&fixture->orders, 1, 1000);
    close_orders(fixture);
}

static void garbage_moves_no_cursor(void **state)
{
    struct fixture *fixture = *state;
    fixture->road = ROAD_GARBAGE;
    publish(fixture, 1, 3);
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "unreachable");
    assert_non_null(strstr(view_of(&fixture->orders).reason, "what can't be read"));
    fixture->road = ROAD_GOOD;
    wait_for(&fixture->orders, 3, "following");
    expect_seen(&fixture->orders, 1, 3);
    close_orders(fixture);
}

/* Its handlers may change a document each, so no two of them can share a commit. */
static void where_a_commit_changes_one_document_each_event_has_its_own_transaction(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "following");
    struct store *store = fixture->orders.context.store;
    struct engine one_document = *store->engine;
    one_document.abilities |= ENGINE_ONE_DOCUMENT;
    store->engine = &one_document;
    uint64_t before = fixture->orders.context.counters.committed;
    publish(fixture, 1, 50);
    wait_for(&fixture->orders, 50, "following");
    expect_seen(&fixture->orders, 1, 50);
    assert_int_equal(fixture->orders.context.counters.committed - before, 50);
    close_orders(fixture);
}

static void the_cursor_passes_what_nobody_subscribes_to(void **state)
{
    struct fixture *fixture = *state;
    publish_unheard(fixture, 300);
    open_orders(fixture);
    wait_for(&fixture->orders, 300, "following");
    assert_int_equal(cursor_of(&fixture->orders), 300);
    publish_unheard(fixture, 10);
    publish(fixture, 1, 1);
    publish_unheard(fixture, 10);
    wait_for(&fixture->orders, 321, "following");
    expect_seen(&fixture->orders, 1, 1);
    close_orders(fixture);
}

/* ---- failures and outages ---- */

static void an_event_that_fails_at_first_is_retried_on_its_own(void **state)
{
    struct fixture *fixture = *state;
    poison = "poison";
    heals_after = SUBSCRIBE_ATTEMPTS_MAX + 1; /* in the two groups as well, before it is alone */
    publish(fixture, 1, 3);
    publish_named(fixture, 4, "poison");
    publish(fixture, 5, 3);
    open_orders(fixture);
    wait_for(&fixture->orders, 7, "following");
    expect_seen(&fixture->orders, 1, 7); /* and nothing half done */
    assert_int_equal(view_of(&fixture->orders).failures, SUBSCRIBE_ATTEMPTS_MAX - 1);
    assert_int_equal(view_of(&fixture->orders).parked_events, 0);
    close_orders(fixture);
}

/* Schedule 14. */
static void a_batch_whose_second_event_asks_another_service_is_applied_in_order(void **state)
{
    struct fixture *fixture = *state;
    asker = "asker";
    publish(fixture, 1, 1);
    publish_named(fixture, 2, "asker");
    publish(fixture, 3, 3);
    open_orders(fixture);
    wait_for(&fixture->orders, 5, "following");
    expect_seen(&fixture->orders, 1, 5);
    close_orders(fixture);
}

static void an_outage_of_a_service_that_is_queried_is_no_poison(void **state)
{
    struct fixture *fixture = *state;
    asker = "asker";
    fixture->products_down = true;
    publish(fixture, 1, 1);
    publish_named(fixture, 2, "asker");
    publish(fixture, 3, 1);
    open_orders(fixture);
    wait_for(&fixture->orders, 1, "waiting"); /* what comes before it goes on */
    assert_non_null(strstr(view_of(&fixture->orders).reason, "products can't be reached"));
    fixture->products_down = false;
    wait_for(&fixture->orders, 3, "following");
    assert_int_equal(view_of(&fixture->orders).failures, 0);
    expect_seen(&fixture->orders, 1, 3);
    close_orders(fixture);
}

/* Schedule 27, in short. */
static void an_outage_of_the_store_is_no_poison(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "following");
    make_tricky(&fixture->orders);
    trick_begins = 5;
    publish(fixture, 1, 10);
    wait_for(&fixture->orders, 10, "following");
    assert_int_equal(trick_begins, 0);
    assert_int_equal(view_of(&fixture->orders).failures, 0);
    expect_seen(&fixture->orders, 1, 10);
    close_orders(fixture);
}

#define FEW 10
static int64_t rows_before;

static bool read_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

/* A server on which a long unit of work conflicts with others, whenever it runs. */
static enum fh_code commit_a_few(struct store_work *work, struct fh_error *error)
{
    int64_t rows = rows_before;
    sql_run(work, "SELECT count(*) FROM seen", NULL, 0, read_count, &rows, NULL, ERROR_UNHEEDED);
    if (rows - rows_before > FEW) {
        honest->rollback(work);
        error_set(error, FH_CONFLICT,
                  "The transaction conflicted with another one on the same rows.");
        error->retryable = true;
        return FH_CONFLICT;
    }
    rows_before = rows;
    return honest->commit(work, error);
}

static void a_batch_that_always_conflicts_is_applied_in_smaller_transactions(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "following");
    make_tricky(&fixture->orders);
    tricky.commit = commit_a_few;
    rows_before = 0;
    publish(fixture, 1, 50);
    wait_for(&fixture->orders, 50, "following");
    assert_int_equal(view_of(&fixture->orders).failures, 0);
    expect_seen(&fixture->orders, 1, 50);
    close_orders(fixture);
}

static void a_batch_whose_commit_is_decided_late_is_applied_once(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "following");
    for (int i = 0; i < 2; i++) {
        undecided_begin(fixture->orders.context.store, 0, 1,
                        i == 0 ? UNDECIDED_DONE : UNDECIDED_NEVER);
        publish(fixture, 1 + 10 * i, 10);
        harness_until(&fixture->harness, undecided_is_held, NULL);
        undecided_end();
        wait_for(&fixture->orders, 10 * (i + 1), "following");
    }
    expect_seen(&fixture->orders, 1, 20);
    assert_int_equal(view_of(&fixture->orders).failures, 0);
    close_orders(fixture);
}

/* ---- crashes, and others who apply ---- */

static bool products_are_asked(void *argument)
{
    return ((struct fixture *)argument)->held_count > 0;
}

/* An instance that was paused, taken for dead, and wakes up with events in its hands. */
static void who_was_taken_over_applies_nothing_more(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    publish(fixture, 1, 5);
    wait_for(&fixture->orders, 5, "following");
    harness_run(&fixture->harness, take_over_entry, fixture);
    publish(fixture, 6, 5);
    wait_for(&fixture->orders, 5, "waiting");
    assert_non_null(strstr(view_of(&fixture->orders).reason, "Another instance"));
    expect_seen(&fixture->orders, 1, 5);
    assert_int_equal(cursor_of(&fixture->orders), 5);
    close_orders(fixture);
    /* Whoever has it now continues from there. */
    open_orders(fixture);
    wait_for(&fixture->orders, 10, "following");
    expect_seen(&fixture->orders, 1, 10);
    close_orders(fixture);
}

static bool done_is_100(void *argument)
{
    return service_count(&((struct fixture *)argument)->users,
                         "SELECT coalesce(max(done), 0) FROM fh_subscriber") == 100;
}

/* Schedule 9: fetched 101 to 200, committed none of them, trimmed, crashed. */
static void what_was_fetched_and_not_committed_is_not_trimmed(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 100);
    open_orders(fixture);
    wait_for(&fixture->orders, 100, "following");
    asker = "asker";
    fixture->products_hold = true;
    publish_named(fixture, 101, "asker");
    publish(fixture, 102, 99);
    harness_until(&fixture->harness, products_are_asked, fixture);
    while (!done_is_100(fixture))
        uv_run(&fixture->harness.loop, UV_RUN_NOWAIT);
    assert_int_equal(fixture->done_seen, 100);
    service_trim(&fixture->users, 100);
    close_orders(fixture); /* the batch under way fails: nothing of it is committed */
    open_orders(fixture);
    wait_for(&fixture->orders, 200, "following");
    expect_seen(&fixture->orders, 1, 200);
    close_orders(fixture);
}

/* A paused instance that wakes up, as two instances on one store that both believe that they are
 * alone. */
static void two_instances_of_one_subscription_apply_each_event_once(void **state)
{
    struct fixture *fixture = *state;
    struct service other;
    open_orders(fixture);
    other = fixture->orders;
    begin_hearing(&other);
    for (int i = 0; i < 20; i++)
        publish(fixture, 1 + 37 * i, 37);
    wait_for(&fixture->orders, 740, "following");
    wait_for(&other, 740, "following");
    expect_seen(&fixture->orders, 1, 740);
    assert_int_equal(view_of(&other).applied + view_of(&fixture->orders).applied, 740);
    end_hearing(fixture, &other);
    close_orders(fixture);
}

/* ---- refused ---- */

static void expect_refused(struct fixture *fixture, int64_t position, const char *status)
{
    wait_for(&fixture->orders, position, "refused");
    assert_non_null(strstr(view_of(&fixture->orders).reason, status));
    json_t *manager = event_manager_state(fixture->orders.context.events);
    json_t *subscription = json_array_get(json_object_get(manager, "subscriptions"), 0);
    assert_string_equal(json_string_at(subscription, "source"), "users");
    assert_string_equal(json_string_at(subscription, "state"), "refused");
    assert_non_null(json_string_at(subscription, "reason"));
    json_decref(manager);
}

static void lose_users_store(struct fixture *fixture)
{
    char command[256];
    close_users(fixture);
    snprintf(command, sizeof command, "%s/store.db", fixture->users.folder);
    remove(command);
    snprintf(command, sizeof command, "%s/store.db-wal", fixture->users.folder);
    remove(command);
    snprintf(command, sizeof command, "%s/store.db-shm", fixture->users.folder);
    remove(command);
    open_users(fixture);
}

static void a_publisher_that_was_reset_stops_the_subscription_instead_of_skipping(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 5);
    open_orders(fixture);
    wait_for(&fixture->orders, 5, "following");
    close_orders(fixture);
    lose_users_store(fixture);
    publish(fixture, 1, 20);
    open_orders(fixture);
    expect_refused(fixture, 5, "409");
    assert_int_equal(cursor_of(&fixture->orders), 5);
    expect_seen(&fixture->orders, 1, 5);
    assert_int_equal(service_count(&fixture->users, "SELECT count(*) FROM fh_subscriber"), 0);
    close_orders(fixture);
}

static void a_subscriber_behind_what_was_trimmed_stops_and_reports_it(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 5);
    open_orders(fixture);
    wait_for(&fixture->orders, 5, "following");
    close_orders(fixture);
    publish(fixture, 6, 5);
    service_trim(&fixture->users, 8);
    open_orders(fixture);
    expect_refused(fixture, 5, "410");
    expect_seen(&fixture->orders, 1, 5);
    close_orders(fixture);
}

/* ---- wrong declarations ---- */

static const fh_service deaf = {
    .name = "deaf", .model = FH_RELATIONAL, .subscribes = {{"users", "UserUpdated", NULL}}};
static const fh_service doubled = {
    .name = "doubled",
    .model = FH_RELATIONAL,
    .subscribes = {{"users", "UserUpdated", user_updated}, {"users", "UserUpdated", user_updated}}};

static void wrong_declarations_do_not_start(void **state)
{
    struct fixture *fixture = *state;
    const fh_service *wrong[] = {&deaf, &doubled};
    for (int i = 0; i < 2; i++) {
        struct service service;
        service_open(&service, &fixture->harness, &fixture->world.world, wrong[i]);
        service.context.events = event_manager_new(&service.context);
        harness_run(&fixture->harness, start_manager, &service);
        assert_int_equal(service.code, FH_INVALID);
        event_manager_free(service.context.events);
        service_close(&service);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(events_are_applied_once_and_in_order),
        TEST(only_the_fields_subscribed_to_arrive),
        TEST(a_restart_continues_after_what_was_applied),
        TEST(a_publisher_that_was_moved_is_followed_on),
        TEST(a_cursor_behind_the_move_is_refused),
        TEST(the_publisher_may_come_later),
        TEST(lost_answers_are_asked_for_again),
        TEST(an_answer_that_comes_twice_is_applied_once),
        TEST(garbage_moves_no_cursor),
        TEST(where_a_commit_changes_one_document_each_event_has_its_own_transaction),
        TEST(the_cursor_passes_what_nobody_subscribes_to),
        TEST(an_event_that_fails_at_first_is_retried_on_its_own),
        TEST(a_batch_whose_second_event_asks_another_service_is_applied_in_order),
        TEST(an_outage_of_a_service_that_is_queried_is_no_poison),
        TEST(an_outage_of_the_store_is_no_poison),
        TEST(a_batch_that_always_conflicts_is_applied_in_smaller_transactions),
        TEST(a_batch_whose_commit_is_decided_late_is_applied_once),
        TEST(what_was_fetched_and_not_committed_is_not_trimmed),
        TEST(two_instances_of_one_subscription_apply_each_event_once),
        TEST(who_was_taken_over_applies_nothing_more),
        TEST(a_publisher_that_was_reset_stops_the_subscription_instead_of_skipping),
        TEST(a_subscriber_behind_what_was_trimmed_stops_and_reports_it),
        TEST(wrong_declarations_do_not_start),
    };
    return cmocka_run_group_tests_name("event_subscribe", tests, NULL, NULL);
}
