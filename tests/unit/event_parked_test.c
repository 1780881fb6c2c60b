/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parking: an event whose handler keeps failing waits with its key, in order, and no other does;
 * what operators do with it; and that no outage is ever taken for a poison event.
 */

#include "../support/hearing.h"
#include "../support/operator.h"
#include "../support/undecided.h"

#include "event/subscribe/parked.h"
#include "shape/shape.h"
#include "engine/sqlite/internal.h"

/* ---- what is seen ---- */

static void expect_parked(struct fixture *fixture, int64_t keys, int64_t events)
{
    struct subscription_view view = view_of(&fixture->orders);
    assert_int_equal(view.parked_keys, keys);
    assert_int_equal(view.parked_events, events);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM fh_parked_key"), keys);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM fh_parked"), events);
}

/* The names that were applied for one user, in order. */
static void expect_names(struct fixture *fixture, int id, const char *names)
{
    char sql[160];
    snprintf(sql, sizeof sql,
             "SELECT coalesce(group_concat(name), '') FROM (SELECT name FROM seen"
             " WHERE user_id = %d ORDER BY n)",
             id);
    assert_string_equal(service_sql(&fixture->orders, sql).text, names);
}

/* Key 1: a poison event, then two good ones; they end parked. Others around them. */
static void park_three(struct fixture *fixture)
{
    poison = "poison";
    publish_named(fixture, 1, "poison");
    publish_named(fixture, 2, "a");
    publish_named(fixture, 1, "b");
    publish_named(fixture, 3, "c");
    publish_named(fixture, 1, "d");
    open_orders(fixture);
    wait_for(&fixture->orders, 5, "following");
    expect_parked(fixture, 1, 3);
}

/* ---- tests ---- */

static void a_poison_is_parked_with_its_error_and_all_other_keys_go_on(void **state)
{
    struct fixture *fixture = *state;
    poison = "poison";
    publish(fixture, 1, 100);
    publish_named(fixture, 101, "poison");
    publish(fixture, 102, 300);
    open_orders(fixture);
    wait_for(&fixture->orders, 401, "following");
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM seen"), 400);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM seen WHERE user_id ="
                                                     " 101 OR user_id = 0"),
                     0);
    expect_parked(fixture, 1, 1);
    struct asked asked = ask(fixture, list_entry, NULL, false);
    assert_int_equal(asked.code, FH_OK);
    const json_t *key = first_of(&asked, "keys");
    assert_string_equal(json_string_at(key, "key"), "101");
    assert_string_equal(json_string_at(key, "type"), "UserUpdated");
    assert_string_equal(json_string_at(key, "error"), "the name poison is too much");
    assert_int_equal(number_at(key, "attempts"), SUBSCRIBE_ATTEMPTS_MAX);
    assert_int_equal(number_at(key, "position"), 101);
    json_decref(asked.answer);
    asked = ask(fixture, show_entry, "101", false);
    assert_string_equal(json_string_at(first_of(&asked, "events"), "event.data.name"), "poison");
    json_decref(asked.answer);
    close_orders(fixture);
}

static void later_events_of_a_parked_key_wait_after_it_and_lag_counts_them(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    expect_names(fixture, 1, "");
    expect_names(fixture, 2, "a");
    expect_names(fixture, 3, "c");
    struct subscription_view view = view_of(&fixture->orders);
    assert_int_equal(view.position, 5);
    assert_int_equal(view.depth, 3);
    assert_true(view.lag_ms >= view.parked_ms);
    assert_true(service_count(&fixture->orders, "SELECT min(time_ms) FROM fh_parked") > 0);
    json_t *told = event_manager_state(fixture->orders.context.events);
    json_t *subscription = json_array_get(json_object_get(told, "subscriptions"), 0);
    assert_int_equal(number_at(subscription, "parked.events"), 3);
    json_decref(told);
    publish_named(fixture, 1, "e");
    wait_for(&fixture->orders, 6, "following");
    expect_parked(fixture, 1, 4);
    assert_int_equal(view_of(&fixture->orders).applied, 2);
    close_orders(fixture);
}

/* As after one that ran out of time at the first key. */
static void a_retry_of_all_keys_begins_after_the_last_one_that_was_tried(void **state)
{
    struct fixture *fixture = *state;
    poison = "poison";
    for (int id = 1; id <= 3; id++)
        publish_named(fixture, id, "poison");
    open_orders(fixture);
    wait_for(&fixture->orders, 3, "following");
    struct event_manager *manager = fixture->orders.context.events;
    static const char *const order[] = {"1", "2", "3"};
    for (size_t tried = 0; tried < 3; tried++) {
        struct asked asked = ask(fixture, list_entry, NULL, false);
        const json_t *last = json_array_get(json_object_get(asked.answer, "keys"), tried);
        snprintf(manager->retried.source, sizeof manager->retried.source, "%s",
                 json_string_at(last, "source"));
        snprintf(manager->retried.share, sizeof manager->retried.share, "%s",
                 json_string_at(last, "share"));
        manager->retried.position = number_at(last, "position");
        json_decref(asked.answer);
        asked = ask(fixture, retry_entry, NULL, false);
        assert_string_equal(json_string_at(first_of(&asked, "keys"), "key"),
                            order[(tried + 1) % 3]);
        assert_int_equal(json_array_size(json_object_get(asked.answer, "keys")), 3);
        assert_int_equal(manager->retried.position, (int64_t)tried + 1);
        json_decref(asked.answer);
    }
    close_orders(fixture);
}

static void a_retry_applies_a_keys_events_in_order_and_unparks_it(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    poison = NULL; /* the handler is fixed */
    struct asked asked = ask(fixture, retry_entry, "1", false);
    assert_int_equal(asked.code, FH_OK);
    assert_int_equal(number_at(asked.answer, "applied"), 3);
    assert_int_equal(number_at(first_of(&asked, "keys"), "left"), 0);
    json_decref(asked.answer);
    expect_names(fixture, 1, "poison,b,d");
    expect_parked(fixture, 0, 0);
    publish_named(fixture, 1, "e");
    wait_for(&fixture->orders, 6, "following");
    expect_names(fixture, 1, "poison,b,d,e");
    assert_int_equal(view_of(&fixture->orders).depth, 0);
    close_orders(fixture);
}

static void a_retry_is_undecided(struct fixture *fixture, enum undecided_fate fate)
{
    struct asked retry = {.service = &fixture->orders, .source = "users", .key = "1"};
    park_three(fixture);
    poison = NULL;
    undecided_begin(fixture->orders.context.store, 0, 1, fate);
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, retry_entry, &retry));
    harness_until(&fixture->harness, undecided_is_held, NULL);
    undecided_end();
    harness_until(&fixture->harness, asked_done, &retry);
    assert_int_equal(number_at(retry.answer, "applied"), 3);
    json_decref(retry.answer);
    expect_names(fixture, 1, "poison,b,d");
    expect_parked(fixture, 0, 0);
    close_orders(fixture);
}

static void a_retry_that_is_decided_late_is_applied_once(void **state)
{
    a_retry_is_undecided(*state, UNDECIDED_DONE);
}

static void a_retry_that_never_came_is_made_again(void **state)
{
    a_retry_is_undecided(*state, UNDECIDED_NEVER);
}

static void a_retry_that_fails_again_keeps_its_place(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    struct asked asked = ask(fixture, retry_entry, NULL, false);
    assert_int_equal(number_at(asked.answer, "applied"), 0);
    assert_int_equal(number_at(first_of(&asked, "keys"), "left"), 3);
    assert_string_equal(json_string_at(first_of(&asked, "keys"), "error"),
                        "the name poison is too much");
    json_decref(asked.answer);
    expect_parked(fixture, 1, 3);
    expect_names(fixture, 1, "");
    assert_int_equal(service_count(&fixture->orders, "SELECT max(attempts) FROM fh_parked"),
                     SUBSCRIBE_ATTEMPTS_MAX + 1);
    asked = ask(fixture, retry_entry, "4", false);
    assert_int_equal(asked.code, FH_NOT_FOUND);
    close_orders(fixture);
}

static void an_outage_during_a_retry_counts_no_attempt(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    asker = "poison";
    fixture->products_down = true;
    struct asked asked = ask(fixture, retry_entry, "1", false);
    assert_non_null(
        strstr(json_string_at(first_of(&asked, "keys"), "error"), "products can't be reached"));
    json_decref(asked.answer);
    assert_int_equal(service_count(&fixture->orders, "SELECT max(attempts) FROM fh_parked"),
                     SUBSCRIBE_ATTEMPTS_MAX);
    expect_parked(fixture, 1, 3);
    close_orders(fixture);
}

/* Schedule 8. */
static void a_parked_keys_retry_empties_its_list_while_a_new_event_of_that_key_arrives(void **state)
{
    struct fixture *fixture = *state;
    struct asked retry = {.service = &fixture->orders, .source = "users", .key = "1"};
    park_three(fixture);
    /* The retry of the last one is under way, and queries; the new event is applied meanwhile. */
    poison = NULL;
    asker = "d";
    fixture->products_hold = true;
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, retry_entry, &retry));
    harness_until(&fixture->harness, retry_is_held, fixture);
    expect_names(fixture, 1, "poison,b");
    publish_named(fixture, 1, "e");
    wait_for(&fixture->orders, 6, "following");
    expect_names(fixture, 1, "poison,b"); /* after it, not before it */
    let_products_answer(fixture);
    harness_until(&fixture->harness, asked_done, &retry);
    assert_int_equal(number_at(retry.answer, "applied"), 4);
    json_decref(retry.answer);
    expect_names(fixture, 1, "poison,b,d,e");
    expect_parked(fixture, 0, 0);
    close_orders(fixture);
}

/* Schedule 8, the other way round: the new event's unit of work was planned while its key was
 * parked. */
static void
a_new_event_planned_behind_a_parked_key_is_applied_when_the_retry_was_first(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    poison = NULL;
    asker = "asker";
    fixture->products_hold = true;
    publish_two(fixture, 9, "asker", 1, "e");
    harness_until(&fixture->harness, retry_is_held, fixture);
    struct asked asked = ask(fixture, retry_entry, "1", false);
    assert_int_equal(number_at(asked.answer, "applied"), 3);
    json_decref(asked.answer);
    let_products_answer(fixture);
    wait_for(&fixture->orders, 7, "following");
    expect_names(fixture, 1, "poison,b,d,e");
    expect_names(fixture, 9, "asker");
    expect_parked(fixture, 0, 0);
    close_orders(fixture);
}

/* Schedule 30's rule, for events. */
static void what_is_retried_twice_at_once_is_applied_once(void **state)
{
    struct fixture *fixture = *state;
    struct asked retries[2] = {{.service = &fixture->orders, .source = "users", .key = "1"},
                               {.service = &fixture->orders, .source = "users", .key = "1"}};
    park_three(fixture);
    poison = NULL;
    asker = "poison";
    fixture->products_hold = true;
    for (int i = 0; i < 2; i++)
        FH_ASSERT(fiber_start(fixture->harness.world->fibers, retry_entry, &retries[i]));
    while (fixture->held_count < 2)
        uv_run(&fixture->harness.loop, UV_RUN_NOWAIT);
    let_products_answer(fixture);
    for (int i = 0; i < 2; i++)
        harness_until(&fixture->harness, asked_done, &retries[i]);
    assert_int_equal(
        number_at(retries[0].answer, "applied") + number_at(retries[1].answer, "applied"), 3);
    json_decref(retries[0].answer);
    json_decref(retries[1].answer);
    expect_names(fixture, 1, "poison,b,d");
    expect_parked(fixture, 0, 0);
    close_orders(fixture);
}

static void an_edited_event_is_applied_in_its_place_and_its_key_goes_on(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    struct edited edited = edit(fixture, "1", 1, "{\"id\":1,\"name\":\"mended\"}");
    assert_int_equal(edited.code, FH_OK);
    assert_int_equal(number_at(edited.answer, "applied"), 3);
    json_decref(edited.answer);
    expect_names(fixture, 1, "mended,b,d");
    expect_parked(fixture, 0, 0);
    assert_int_equal(edit(fixture, "1", 0, "{}").code, FH_NOT_FOUND);
    close_orders(fixture);
}

static void an_edit_that_helps_nothing_is_kept_with_what_was_there_before(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    poison = "other";
    for (int i = 0; i < PARKED_EDITS_MAX + 2; i++) {
        struct edited edited = edit(fixture, "1", 1, "{\"id\":1,\"name\":\"other\"}");
        assert_int_equal(
            number_at(first_of(&(struct asked){.answer = edited.answer}, "keys"), "left"), 3);
        json_decref(edited.answer);
    }
    expect_parked(fixture, 1, 3);
    struct asked asked = ask(fixture, show_entry, "1", false);
    const json_t *first = first_of(&asked, "events"), *edits = json_object_get(first, "edits");
    assert_string_equal(json_string_at(first, "event.data.name"), "other");
    assert_null(json_at(first, "event.edits"));
    assert_int_equal(json_array_size(edits), PARKED_EDITS_MAX);
    const json_t *oldest = json_array_get(edits, 0);
    assert_string_equal(json_string_at(oldest, "before.name"), "poison");
    assert_string_equal(json_string_at(oldest, "by"), "ada");
    assert_true(number_at(oldest, "time_ms") > 0);
    assert_string_equal(json_string_at(json_array_get(edits, PARKED_EDITS_MAX - 1), "before.name"),
                        "other");
    json_decref(asked.answer);
    close_orders(fixture);
}

static void an_edit_must_have_the_shape_of_the_fields_subscribed_to(void **state)
{
    struct fixture *fixture = *state;
    static const fh_field user[] = {{"id", FH_INT, .min = 1},
                                    {"name", FH_STRING, .min = 1, .max = 9},
                                    {"email", FH_STRING},
                                    {0}};
    park_three(fixture);
    json_t *schemas = json_pack("{s:{s:o}}", "users", "UserUpdated", shape_schema(user));
    fixture->orders.context.events->schemas = schemas;
    struct edited edited = edit(fixture, "1", 0, "{\"id\":\"1\",\"name\":\"much too long\"}");
    assert_int_equal(edited.code, FH_INVALID);
    assert_string_equal(json_string_at(json_array_get(edited.faults, 0), "pointer"), "/id");
    assert_string_equal(json_string_at(json_array_get(edited.faults, 1), "pointer"), "/name");
    json_decref(edited.faults);
    edited = edit(fixture, "1", 0, "[]");
    assert_int_equal(edited.code, FH_INVALID);
    assert_null(edited.faults);
    edited = edit(fixture, "1", 2, "{\"id\":1,\"name\":\"mended\"}");
    assert_int_equal(edited.code, FH_CONFLICT); /* that one is not the first */
    edited = edit(fixture, "1", 1, "{\"id\":1,\"name\":\"mended\",\"email\":\"a@b\"}");
    assert_string_equal(json_string_at(json_array_get(edited.faults, 0), "pointer"), "/email");
    json_decref(edited.faults); /* it gets no more than id and name */
    expect_parked(fixture, 1, 3);
    assert_int_equal(service_count(&fixture->orders, "SELECT max(attempts) FROM fh_parked"),
                     SUBSCRIBE_ATTEMPTS_MAX);
    edited = edit(fixture, "1", 1, "{\"id\":1,\"name\":\"mended\"}");
    assert_int_equal(edited.code, FH_OK);
    json_decref(edited.answer);
    expect_names(fixture, 1, "mended,b,d");
    fixture->orders.context.events->schemas = NULL;
    json_decref(schemas);
    close_orders(fixture);
}

/* Schedule 8's fence, for edits: the retry has read the event, and queries while it is edited. */
static void a_retry_that_read_an_event_before_it_was_edited_does_not_apply_it(void **state)
{
    struct fixture *fixture = *state;
    struct asked retry = {.service = &fixture->orders, .source = "users", .key = "1"};
    park_three(fixture);
    poison = NULL;
    asker = "poison";
    fixture->products_hold = true;
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, retry_entry, &retry));
    harness_until(&fixture->harness, retry_is_held, fixture);
    struct edited edited = edit(fixture, "1", 1, "{\"id\":1,\"name\":\"mended\"}");
    assert_int_equal(edited.code, FH_OK);
    json_decref(edited.answer);
    let_products_answer(fixture);
    harness_until(&fixture->harness, asked_done, &retry);
    json_decref(retry.answer);
    expect_names(fixture, 1, "mended,b,d");
    expect_parked(fixture, 0, 0);
    close_orders(fixture);
}

static void what_is_dropped_is_gone_and_the_rest_waits_for_its_retry(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    struct asked asked = ask(fixture, drop_entry, "1", false);
    assert_int_equal(asked.code, FH_OK);
    assert_int_equal(number_at(first_of(&asked, "dropped"), "position"), 1);
    assert_int_equal(number_at(asked.answer, "left"), 2);
    json_decref(asked.answer);
    expect_parked(fixture, 1, 2);
    asked = ask(fixture, retry_entry, "1", false);
    json_decref(asked.answer);
    expect_names(fixture, 1, "b,d");
    expect_parked(fixture, 0, 0);
    assert_int_equal(ask(fixture, drop_entry, "1", true).code, FH_NOT_FOUND);
    close_orders(fixture);
}

static void all_of_a_key_can_be_dropped(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    struct asked asked = ask(fixture, drop_entry, "1", true);
    assert_int_equal(json_array_size(json_object_get(asked.answer, "dropped")), 3);
    json_decref(asked.answer);
    expect_parked(fixture, 0, 0);
    publish_named(fixture, 1, "e");
    wait_for(&fixture->orders, 6, "following");
    expect_names(fixture, 1, "e");
    close_orders(fixture);
}

/* ---- many of one key ---- */

static int many_from, many_count;
static const char *many_name;

static void publish_many_work(fh_work *w)
{
    for (int i = 0; i < many_count; i++)
        fh_publish(w, "UserUpdated", json_pack("{s:i, s:s}", "id", many_from, "name", many_name));
}

static void publish_many(struct fixture *fixture, int id, const char *name, int count)
{
    many_from = id;
    many_name = name;
    for (; count > 0; count -= 500) {
        many_count = count < 500 ? count : 500;
        service_must(&fixture->users, publish_many_work);
    }
}

/* Parks so many of key 1, the first a poison event, which the handler accepts from then on. */
static void park_many(struct fixture *fixture, int count)
{
    poison = "poison";
    publish_many(fixture, 1, "poison", 1);
    publish_many(fixture, 1, "b", count - 1);
    open_orders(fixture);
    wait_for(&fixture->orders, count, "following");
    expect_parked(fixture, 1, count);
    poison = NULL;
}

static void retry_all(struct fixture *fixture)
{
    do {
        struct asked asked = ask(fixture, retry_entry, "1", false);
        assert_int_equal(asked.code, FH_OK);
        json_decref(asked.answer);
    } while (view_of(&fixture->orders).parked_events > 0);
}

static int64_t pages_of(const struct sqlite_connection *connection)
{
    int hits = 0, misses = 0, unused;
    if (connection->db) {
        sqlite3_db_status(connection->db, SQLITE_DBSTATUS_CACHE_HIT, &hits, &unused, 0);
        sqlite3_db_status(connection->db, SQLITE_DBSTATUS_CACHE_MISS, &misses, &unused, 0);
    }
    return (int64_t)hits + misses;
}

/* All that its store has read so far. */
static int64_t pages_visited(const struct service *service)
{
    const struct sqlite_store *store = (const struct sqlite_store *)service->context.store;
    int64_t pages = pages_of(&store->writer);
    for (int i = 0; i < SQLITE_READERS_MAX; i++)
        pages += pages_of(&store->readers[i]);
    return pages;
}

/* The pages that are visited for one when so many are retried. */
static double cost_of_one(struct fixture *fixture, int count)
{
    park_many(fixture, count);
    int64_t before = pages_visited(&fixture->orders);
    retry_all(fixture);
    double cost = (double)(pages_visited(&fixture->orders) - before) / count;
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM seen"), count);
    assert_int_equal(service_count(&fixture->orders,
                                   "SELECT count(*) FROM seen a JOIN seen b ON b.n = a.n + 1"
                                   " WHERE b.name = 'poison'"),
                     0);
    return cost;
}

static void one_of_many_is_retried_as_cheaply_as_one_of_few(void **state)
{
    struct fixture *fixture = *state;
    double many = cost_of_one(fixture, 3000);
    close_orders(fixture);
    teardown(state);
    setup(state);
    fixture = *state;
    double few = cost_of_one(fixture, 300);
    close_orders(fixture);
    if (many > 2 * few)
        fail_msg("%.0f pages for one of many, %.0f for one of few", many, few);
}

struct slots {
    struct fixture *fixture;
    int64_t applied;
};

static bool some_went_on(void *argument)
{
    struct slots *slots = argument;
    return view_of(&slots->fixture->orders).position >= slots->applied;
}

static void a_place_is_free_as_soon_as_an_event_is_through(void **state)
{
    struct fixture *fixture = *state;
    park_many(fixture, 300);
    fixture->orders.context.events->parked_max = 300;
    poison = "other poison";
    asker = "b"; /* each retry queries, and is held there */
    fixture->products_hold = true;
    publish_named(fixture, 2, "other poison");
    publish_named(fixture, 3, "c");
    wait_for(&fixture->orders, 300, "full");
    struct asked asked = {.service = &fixture->orders, .source = "users", .key = "1"};
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, retry_entry, &asked));
    struct slots slots = {fixture, 302};
    harness_until(&fixture->harness, some_went_on, &slots);
    assert_false(asked.done);
    expect_names(fixture, 3, "c");
    fixture->products_hold = false;
    let_products_answer(fixture);
    harness_until(&fixture->harness, asked_done, &asked);
    json_decref(asked.answer);
    close_orders(fixture);
}

static bool a_hundred_are_through(void *argument)
{
    struct fixture *fixture = argument;
    return fixture->orders.context.events->counters.retried >= 100;
}

static void all_can_be_dropped_while_they_are_retried(void **state)
{
    struct fixture *fixture = *state;
    park_many(fixture, 900);
    struct asked asked = {.service = &fixture->orders, .source = "users", .key = "1"};
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, retry_entry, &asked));
    harness_until(&fixture->harness, a_hundred_are_through, fixture);
    struct asked dropped = ask(fixture, drop_entry, "1", true);
    assert_int_equal(dropped.code, FH_OK);
    assert_int_equal(number_at(dropped.answer, "left"), 0);
    size_t count = json_array_size(json_object_get(dropped.answer, "dropped"));
    json_decref(dropped.answer);
    harness_until(&fixture->harness, asked_done, &asked);
    json_decref(asked.answer);
    expect_parked(fixture, 0, 0);
    int64_t seen = service_count(&fixture->orders, "SELECT count(*) FROM seen");
    assert_int_equal(seen + (int64_t)count, 900);
    close_orders(fixture);
}

static bool nothing_is_parked(void *argument)
{
    return view_of(argument).parked_events == 0;
}

static void what_is_parked_outlives_a_restart_and_is_tried_once_at_start(void **state)
{
    struct fixture *fixture = *state;
    park_three(fixture);
    close_orders(fixture);
    int before = attempts;
    open_orders(fixture);
    while (service_count(&fixture->orders, "SELECT max(attempts) FROM fh_parked") ==
           SUBSCRIBE_ATTEMPTS_MAX)
        uv_run(&fixture->harness.loop, UV_RUN_NOWAIT);
    assert_int_equal(attempts, before + 1);
    expect_parked(fixture, 1, 3);
    close_orders(fixture);
    poison = NULL; /* the new program accepts it */
    open_orders(fixture);
    harness_until(&fixture->harness, nothing_is_parked, &fixture->orders);
    expect_names(fixture, 1, "poison,b,d");
    close_orders(fixture);
}

static bool it_was_tried(void *argument)
{
    (void)argument;
    return attempts >= 3;
}

static bool outages_are_many(void *argument)
{
    struct service *service = argument;
    return service->context.events->counters.outages > SUBSCRIBE_ATTEMPTS_MAX;
}

/* Schedule 40. */
static void
a_poison_event_at_the_head_an_outage_in_the_middle_a_crash_between_only_its_own_key_waits_in_order(
    void **state)
{
    struct fixture *fixture = *state;
    poison = "poison";
    asker = "asker";
    publish_named(fixture, 1, "poison");
    publish_named(fixture, 2, "a");
    publish_named(fixture, 3, "asker");
    publish_named(fixture, 1, "b");
    publish_named(fixture, 4, "c");
    publish_named(fixture, 1, "d");
    fixture->products_down = true;
    open_orders(fixture);
    harness_until(&fixture->harness, it_was_tried, NULL);
    close_orders(fixture); /* while it is being tried */
    fixture->products_down = true;
    open_orders(fixture);
    harness_until(&fixture->harness, outages_are_many, &fixture->orders);
    expect_parked(fixture, 1, 1); /* the poison event; the outage parks none */
    close_orders(fixture);        /* in the middle of the outage */
    open_orders(fixture);
    wait_for(&fixture->orders, 6, "following");
    expect_parked(fixture, 1, 3);
    expect_names(fixture, 1, "");
    expect_names(fixture, 2, "a");
    expect_names(fixture, 3, "asker");
    expect_names(fixture, 4, "c");
    poison = NULL;
    struct asked asked = ask(fixture, retry_entry, NULL, false);
    json_decref(asked.answer);
    expect_names(fixture, 1, "poison,b,d");
    expect_parked(fixture, 0, 0);
    close_orders(fixture);
}

/* Schedule 27: here it is down for more tries than any event has. */
static void the_subscribers_store_is_down_for_a_minute_nothing_is_parked(void **state)
{
    struct fixture *fixture = *state;
    open_orders(fixture);
    wait_for(&fixture->orders, 0, "following");
    make_tricky(&fixture->orders);
    trick_begins = 1000000;
    publish(fixture, 1, 10);
    harness_until(&fixture->harness, outages_are_many, &fixture->orders);
    assert_string_equal(view_of(&fixture->orders).state, "waiting");
    trick_begins = 0;
    wait_for(&fixture->orders, 10, "following");
    assert_int_equal(view_of(&fixture->orders).failures, 0);
    expect_parked(fixture, 0, 0);
    expect_seen(&fixture->orders, 1, 10);
    close_orders(fixture);
}

static void no_more_keys_are_parked_than_may_be_and_that_is_reported(void **state)
{
    struct fixture *fixture = *state;
    poison = "poison";
    open_orders(fixture);
    fixture->orders.context.events->parked_keys_max = 2;
    for (int i = 1; i <= 3; i++)
        publish_named(fixture, i, "poison");
    publish_named(fixture, 1, "behind"); /* of a key that is parked already */
    publish_named(fixture, 4, "a");
    wait_for(&fixture->orders, 2, "full");
    assert_non_null(strstr(view_of(&fixture->orders).reason, "2 keys are parked"));
    expect_parked(fixture, 2, 2);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM seen"), 0);
    struct asked asked = ask(fixture, drop_entry, "1", true); /* there is room, it goes on */
    json_decref(asked.answer);
    wait_for(&fixture->orders, 5, "following");
    expect_parked(fixture, 2, 2);
    expect_names(fixture, 1, "behind");
    expect_names(fixture, 4, "a");
    close_orders(fixture);
}

static void another_instance_that_knows_of_no_parked_key_finds_it_out(void **state)
{
    struct fixture *fixture = *state;
    struct service other;
    park_three(fixture);
    other = fixture->orders;
    begin_hearing(&other);
    for (int i = 0; i < 20; i++) {
        publish_named(fixture, 1, "later");
        publish_named(fixture, 7 + i, "other");
    }
    wait_for(&fixture->orders, 45, "following");
    wait_for(&other, 45, "following");
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM fh_parked"), 23);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM seen"), 22);
    end_hearing(fixture, &other);
    close_orders(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_poison_is_parked_with_its_error_and_all_other_keys_go_on),
        TEST(later_events_of_a_parked_key_wait_after_it_and_lag_counts_them),
        TEST(a_retry_of_all_keys_begins_after_the_last_one_that_was_tried),
        TEST(a_retry_applies_a_keys_events_in_order_and_unparks_it),
        TEST(a_retry_that_is_decided_late_is_applied_once),
        TEST(a_retry_that_never_came_is_made_again),
        TEST(a_retry_that_fails_again_keeps_its_place),
        TEST(an_outage_during_a_retry_counts_no_attempt),
        TEST(a_parked_keys_retry_empties_its_list_while_a_new_event_of_that_key_arrives),
        TEST(a_new_event_planned_behind_a_parked_key_is_applied_when_the_retry_was_first),
        TEST(what_is_retried_twice_at_once_is_applied_once),
        TEST(an_edited_event_is_applied_in_its_place_and_its_key_goes_on),
        TEST(an_edit_that_helps_nothing_is_kept_with_what_was_there_before),
        TEST(an_edit_must_have_the_shape_of_the_fields_subscribed_to),
        TEST(a_retry_that_read_an_event_before_it_was_edited_does_not_apply_it),
        TEST(what_is_dropped_is_gone_and_the_rest_waits_for_its_retry),
        TEST(all_of_a_key_can_be_dropped),
        TEST(what_is_parked_outlives_a_restart_and_is_tried_once_at_start),
        TEST(
            a_poison_event_at_the_head_an_outage_in_the_middle_a_crash_between_only_its_own_key_waits_in_order),
        TEST(the_subscribers_store_is_down_for_a_minute_nothing_is_parked),
        TEST(no_more_keys_are_parked_than_may_be_and_that_is_reported),
        TEST(one_of_many_is_retried_as_cheaply_as_one_of_few),
        TEST(a_place_is_free_as_soon_as_an_event_is_through),
        TEST(all_can_be_dropped_while_they_are_retried),
        TEST(another_instance_that_knows_of_no_parked_key_finds_it_out),
    };
    return cmocka_run_group_tests_name("event_parked", tests, NULL, NULL);
}
