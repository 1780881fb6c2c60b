/* SPDX-License-Identifier: Apache-2.0 */
/* Versions on the other ways of events, by snapshots and brokers; fields, marks, declarations. */

#include "../support/versions.h"

/* ---- snapshots ---- */

static void rows_of_a_snapshot_are_in_the_version_that_is_read(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_2, 1, "one");
    trim(fixture);
    open_as(fixture, &search_1);
    wait_for(fixture, "following", 1);
    expect_copy(fixture, 1, "one-", 1);
    close_search(fixture);
}

static void rows_in_an_earlier_version_are_upcast(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_1, 1, "one");
    trim(fixture);
    open_as(fixture, &search_2);
    wait_for(fixture, "following", 1);
    expect_copy(fixture, 1, "one+", 1);
    close_search(fixture);
}

/* Between two pages: rows are in the version that each page was read in. */
static void replace_publisher(struct fixture *fixture)
{
    fixture->products.context.service = &products_2;
}

static void a_publisher_may_be_replaced_between_two_pages(void **state)
{
    struct fixture *fixture = *state;
    changing(1, 1500, "item");
    fixture->products.context.service = &products_1;
    service_must(&fixture->products, change_some);
    trim(fixture);
    fixture->hook_at = 3; /* the beginning and the first page are before it */
    fixture->hook = replace_publisher;
    open_as(fixture, &search_2);
    wait_for(fixture, "following", 1500);
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 1500);
    int upcast = (int)service_count(&fixture->search, "SELECT count(*) FROM copy WHERE name ="
                                                      " 'item+'");
    assert_true(upcast > 0 && upcast < 1500);
    assert_int_equal(
        service_count(&fixture->search, "SELECT count(*) FROM copy WHERE name = 'item'"),
        1500 - upcast);
    close_search(fixture);
}

static void a_row_that_can_not_be_cast_is_named_and_holds_the_resync_up(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_2, 1, WRONG);
    trim(fixture);
    open_as(fixture, &search_1);
    wait_for(fixture, "failing", -1);
    assert_non_null(
        strstr(view_of(fixture).reason, "answers the snapshot of ItemChanged with 500"));
    close_search(fixture);
}

/* What the publisher has removed is no data in any version. */
static void what_is_gone_is_given_up_without_a_cast(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_1, 1, "one");
    trim(fixture);
    service_open(&fixture->search, &fixture->harness, &fixture->world.world, &search_2);
    service_must(&fixture->search, make_copies);
    assert_int_equal(service_sql(&fixture->search, "INSERT INTO copy VALUES (7, 'gone', 1)").code,
                     FH_OK);
    begin_hearing(&fixture->search);
    wait_for(fixture, "following", 1);
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 1);
    expect_copy(fixture, 1, "one+", 1);
    close_search(fixture);
}

/* ---- by a broker ---- */

static void start_relay(void *argument)
{
    relay_start(argument);
}

static json_t *options;

static int setup_broker(void **state)
{
    simulate_broker_begin();
    options = json_pack("{s:s}", "driver", SIMULATE_BROKER);
    return setup_versions(state);
}

static int teardown_broker(void **state)
{
    int result = teardown_versions(state);
    simulate_broker_end();
    json_decref(options);
    return result;
}

static void open_by_broker(struct fixture *fixture, const fh_service *program)
{
    struct service *service = &fixture->search;
    service_open(service, &fixture->harness, &fixture->world.world, program);
    service_must(service, make_copies);
    service->context.events = event_manager_new(&service->context);
    service->context.calls = call_manager_new(&service->context);
    FH_ASSERT(carried_add(service->context.events, "test", "products", options, ERROR_UNHEEDED) ==
              FH_OK);
    harness_run(&fixture->harness, start_manager, service);
    assert_int_equal(service->code, FH_OK);
}

struct pause {
    struct world *world;
    int64_t until_ns;
};

static bool is_over(void *argument)
{
    const struct pause *pause = argument;
    return world_monotonic_ns(pause->world) >= pause->until_ns;
}

/* Publishes until events come by the broker, which may have to be connected, or to catch up. */
static void await_broker(struct fixture *fixture, const fh_service *program)
{
    const struct event_manager *reader = fixture->search.context.events;
    uint64_t before = reader->counters.carried;
    for (int i = 0; i < 1000 && reader->counters.carried == before; i++) {
        publish_item(fixture, program, 1, "once more");
        wait_for(fixture, "following", LAST);
        struct pause pause = {fixture->harness.world, world_in_ms(fixture->harness.world, 10)};
        harness_until(&fixture->harness, is_over, &pause);
    }
    if (reader->counters.carried == before)
        fail_msg("nothing came by the broker: %s", view_of(fixture).reason);
}

static void what_a_broker_brings_is_cast_as_what_the_feed_has(void **state)
{
    struct fixture *fixture = *state;
    struct event_manager *publisher = fixture->products.context.events;
    assert_int_equal(relay_new(publisher, "test", options, ERROR_UNHEEDED), FH_OK);
    harness_run(&fixture->harness, start_relay, publisher);
    open_by_broker(fixture, &search_2_part);
    await_broker(fixture, &products_1);
    assert_int_equal(members_seen, 2); /* `changes` is no field of what the upcast takes */
    publish_item(fixture, &products_1, 2, "carried");
    wait_for(fixture, "following", LAST);
    expect_copy(fixture, 2, "carried+", 1);
    close_search(fixture); /* which ends the relay, too */
    harness_run(&fixture->harness, start_relay, publisher);
    open_by_broker(fixture, &search_1);
    await_broker(fixture, &products_1);
    publish_item(fixture, &products_2, 3, "later"); /* which the feed has in version 1 */
    wait_for(fixture, "following", LAST);
    expect_copy(fixture, 3, "later-", 1);
    expect_parked(fixture, 0, "");
    close_search(fixture);
}

/* ---- fields ---- */

static char feed_asked[2048];

static void keep_asked(struct fake_world *fake, struct world_request *asked)
{
    snprintf(feed_asked, sizeof feed_asked, "%s", asked->path);
    request(fake, asked);
}

static void fields_are_those_of_the_version_that_comes(void **state)
{
    struct fixture *fixture = *state;
    fixture->world.request = keep_asked;
    publish_item(fixture, &products_1, 1, "one");
    open_as(fixture, &search_2_part);
    wait_for(fixture, "following", 1);
    expect_copy(fixture, 1, "one+", 1);
    assert_int_equal(members_seen, 2);
    assert_non_null(strstr(feed_asked, "&fields=ItemChanged%401:id,ItemChanged%401:name,"
                                       "ItemChanged:id,ItemChanged:title"
                                       "&versions=ItemChanged:2&"));
    publish_item(fixture, &products_2, 2, "two");
    wait_for(fixture, "following", 2);
    expect_copy(fixture, 2, "two", 1);
    reopen_as(fixture, &search_1_part);
    publish_item(fixture, &products_2, 3, "three");
    wait_for(fixture, "following", 3);
    expect_copy(fixture, 3, "three-", 1);
    close_search(fixture);
}

/* ---- what is marked ---- */

static bool shows(const struct event_manager *manager, const char *source, int version,
                  const char *member)
{
    json_t *envelope = json_pack("{s:s, s:i, s:{s:i, s:s}}", "type", "ItemChanged", "version",
                                 version, "data", "id", 1, member, "Ada Lovelace");
    event_marks_redact(manager, source, envelope);
    bool shown =
        strcmp(json_string_at(json_object_get(envelope, "data"), member), "[personal]") != 0;
    json_decref(envelope);
    return shown;
}

static void marks_are_those_of_each_version(void **state)
{
    struct fixture *fixture = *state;
    open_as(fixture, &search_2);
    const struct event_manager *reader = fixture->search.context.events;
    assert_false(shows(reader, "products", 1, "name"));
    assert_true(shows(reader, "products", 1, "title"));
    assert_false(shows(reader, "products", 2, "title"));
    assert_true(shows(reader, "products", 2, "name"));
    assert_false(shows(reader, "products", 3, "other")); /* who knows what it is */
    assert_false(shows(reader, "products", 0, "other"));
    fixture->products.context.service = &products_2;
    const struct event_manager *publisher = fixture->products.context.events;
    assert_false(shows(publisher, "products", 1, "name"));
    assert_false(shows(publisher, "products", 2, "title"));
    assert_true(shows(publisher, "products", 2, "name"));
    assert_false(shows(publisher, "products", 7, "other"));
    close_search(fixture);
}

/* ---- declarations ---- */

static void expect_refused(fh_service declaration, const char *why)
{
    struct fh_error error;
    assert_int_equal(versions_check(&declaration, &error), FH_INVALID);
    if (!strstr(error.message, why))
        fail_msg("%s", error.message);
}

static void declarations_without_sense_are_refused(void **state)
{
    struct fh_error error;
    fh_service wrong = search_3;
    (void)state;
    assert_int_equal(versions_check(&search_3, &error), FH_OK);
    assert_int_equal(versions_check(&search_2_part, &error), FH_OK);
    assert_int_equal(versions_check(&products_3, &error), FH_OK);
    wrong.upcasts[0] = search_3.upcasts[1];
    wrong.upcasts[1] = (struct fh_upcast){0};
    expect_refused(wrong, "none from version 2 that would lead on to 3");
    wrong = search_3;
    wrong.upcasts[2] = wrong.upcasts[1];
    expect_refused(wrong, "two upcasts of ItemChanged from version 1");
    wrong = search_3;
    wrong.upcasts[1].into = shape_3;
    expect_refused(wrong, "makes another shape than the one from version 2 takes");
    wrong = search_3;
    wrong.upcasts[0].from = 3;
    expect_refused(wrong, "from version 3 can't lead to version 3");
    wrong = search_3;
    wrong.upcasts[0].cast = NULL;
    expect_refused(wrong, "needs `shape`, `into` and `cast`");
    wrong = search_3;
    wrong.subscribes[0].version = 0;
    expect_refused(wrong, "does not say which `.version` it reads");
    wrong = search_3;
    wrong.upcasts[0].type = "ItemMoved";
    expect_refused(wrong, "to which nothing subscribes");
    wrong = search_3;
    wrong.subscribes[0].version = -1;
    expect_refused(wrong, "can't have the version -1");
    wrong = products_3;
    wrong.downcasts[0] = wrong.downcasts[1];
    wrong.downcasts[1] = (struct fh_downcast){0};
    expect_refused(wrong, "none to version 2 from which it would begin");
    wrong = products_3;
    wrong.downcasts[2] = wrong.downcasts[0];
    expect_refused(wrong, "two downcasts of ItemChanged to version 2");
    wrong = products_3;
    wrong.downcasts[0].to = 3;
    expect_refused(wrong, "to version 3 can't begin at version 3");
    wrong = products_3;
    wrong.downcasts[0].type = "ItemMoved";
    expect_refused(wrong, "which products does not publish");
    wrong = products_3;
    wrong.publishes[0].type = "ItemChanged@2";
    expect_refused(wrong, "stand for a version");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup_versions, teardown_versions)
        CASE(rows_of_a_snapshot_are_in_the_version_that_is_read),
        CASE(rows_in_an_earlier_version_are_upcast),
        CASE(a_publisher_may_be_replaced_between_two_pages),
        CASE(a_row_that_can_not_be_cast_is_named_and_holds_the_resync_up),
        CASE(what_is_gone_is_given_up_without_a_cast),
        cmocka_unit_test_setup_teardown(what_a_broker_brings_is_cast_as_what_the_feed_has,
                                        setup_broker, teardown_broker),
        CASE(fields_are_those_of_the_version_that_comes),
        CASE(marks_are_those_of_each_version),
        cmocka_unit_test(declarations_without_sense_are_refused),
    };
    return cmocka_run_group_tests_name("event_versions_ways", tests, NULL, NULL);
}
