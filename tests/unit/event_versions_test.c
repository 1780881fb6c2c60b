/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrades of publishers and subscribers in every order, and what can't be read. */

#include "../support/versions.h"

/* ---- upgrades ---- */

static void a_publisher_that_is_upgraded_first_casts_for_who_reads_the_version_before(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_1, 1, "early");
    open_as(fixture, &search_1);
    publish_item(fixture, &products_2, 2, "late");
    publish_item(fixture, &products_2, 1, "again");
    wait_for(fixture, "following", 3);
    expect_copy(fixture, 1, "again-", 2);
    expect_copy(fixture, 2, "late-", 1);
    assert_int_equal(version_seen, 1);
    reopen_as(fixture, &search_2);
    publish_item(fixture, &products_2, 3, "new");
    wait_for(fixture, "following", 4);
    expect_copy(fixture, 3, "new", 1);
    expect_parked(fixture, 0, "");
    close_search(fixture);
}

static void a_subscriber_that_is_upgraded_first_casts_what_is_still_published(void **state)
{
    struct fixture *fixture = *state;
    open_as(fixture, &search_2);
    publish_item(fixture, &products_1, 1, "old");
    wait_for(fixture, "following", 1);
    expect_copy(fixture, 1, "old+", 1);
    assert_int_equal(version_seen, 2);
    publish_item(fixture, &products_2, 2, "new");
    publish_item(fixture, &products_1, 3, "late"); /* of an instance that was not replaced yet */
    wait_for(fixture, "following", 3);
    expect_copy(fixture, 2, "new", 1);
    expect_copy(fixture, 3, "late+", 1);
    assert_int_equal(casts, 2);
    close_search(fixture);
}

static void casts_follow_one_another(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_1, 1, "one");
    publish_item(fixture, &products_2, 2, "two");
    publish_item(fixture, &products_3, 3, "three");
    open_as(fixture, &search_1);
    wait_for(fixture, "following", 3);
    expect_copy(fixture, 1, "one", 1);
    expect_copy(fixture, 2, "two-", 1);
    expect_copy(fixture, 3, "three-", 1);
    close_search(fixture);
    service_open(&fixture->search, &fixture->harness, &fixture->world.world, &search_3);
    assert_int_equal(service_sql(&fixture->search, "DELETE FROM fh_cursor").code, FH_OK);
    assert_int_equal(service_sql(&fixture->search, "DELETE FROM copy").code, FH_OK);
    begin_hearing(&fixture->search);
    wait_for(fixture, "following", 3);
    expect_copy(fixture, 1, "one+", 1);
    expect_copy(fixture, 2, "two", 1);
    expect_copy(fixture, 3, "three", 1);
    assert_int_equal(version_seen, 3);
    close_search(fixture);
}

/* It waits for the event at 2, or has passed it. */
static bool is_before_or_after_2(void *argument)
{
    struct subscription_view view = view_of(argument);
    return strcmp(view.state, "unreachable") == 0 || view.position == 2;
}

/* The feed of an instance that was not replaced yet has events of the next program. */
static void an_instance_leaves_later_versions_than_its_own_to_the_others(void **state)
{
    struct fixture *fixture = *state;
    struct lease_manager others = {.member_count = 2};
    publish_item(fixture, &products_1, 1, "one");
    publish_item(fixture, &products_2, 2, "two");
    fixture->products.context.service = &products_1;
    fixture->products.context.leases = &others;
    open_as(fixture, &search_1);
    harness_until(&fixture->harness, is_before_or_after_2, fixture);
    assert_non_null(strstr(view_of(fixture).reason, "a later version than this instance knows"));
    fixture->products.context.service = &products_2;
    wait_for(fixture, "following", 2);
    expect_copy(fixture, 1, "one", 1);
    expect_copy(fixture, 2, "two-", 1);
    expect_parked(fixture, 0, "");
    close_search(fixture);
    fixture->products.context.leases = NULL;
}

/* Nobody is left who could cast what the next program has published. */
static void an_upgrade_that_is_taken_back_parks_what_it_has_published(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_2, 1, "one");
    publish_item(fixture, &products_1, 2, "two");
    open_as(fixture, &search_1); /* alone */
    wait_for(fixture, "following", 2);
    expect_copy(fixture, 2, "two", 1);
    expect_parked(fixture, 1, "is in version 2, and search reads version 1");
    close_search(fixture);
}

static void others_are_not_waited_for_long(void **state)
{
    struct fixture *fixture = *state;
    struct lease_manager others = {.member_count = 2};
    publish_item(fixture, &products_2, 1, "one");
    struct service_sql aged =
        service_sql(&fixture->products, "UPDATE fh_outbox SET time_ms = time_ms - 3600000");
    assert_int_equal(aged.code, FH_OK);
    publish_item(fixture, &products_1, 2, "two");
    fixture->products.context.leases = &others;
    open_as(fixture, &search_1);
    wait_for(fixture, "following", 2);
    expect_copy(fixture, 2, "two", 1);
    expect_parked(fixture, 1, "is in version 2, and search reads version 1");
    close_search(fixture);
    fixture->products.context.leases = NULL;
}

static void who_says_no_version_gets_what_there_is(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_1, 1, "one");
    publish_item(fixture, &products_2, 2, "two");
    open_as(fixture, &search_any);
    wait_for(fixture, "following", 2);
    expect_copy(fixture, 1, "one", 1);
    expect_copy(fixture, 2, "?", 1);
    assert_int_equal(casts, 0);
    close_search(fixture);
}

/* ---- what can't be read ---- */

static void a_version_that_nobody_makes_parks_its_key_until_the_next_program(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_1, 1, "one");
    publish_item(fixture, &products_2_alone, 2, "two");
    publish_item(fixture, &products_2_alone, 2, "again");
    publish_item(fixture, &products_1, 3, "three");
    open_as(fixture, &search_1);
    wait_for(fixture, "following", 4);
    expect_copy(fixture, 1, "one", 1);
    expect_copy(fixture, 3, "three", 1);
    expect_parked(fixture, 2, "is in version 2, and search reads version 1");
    reopen_as(fixture, &search_2);
    harness_until(&fixture->harness, none_is_parked, fixture);
    expect_copy(fixture, 2, "again", 2);
    close_search(fixture);
}

static void a_version_without_an_upcast_parks_its_key(void **state)
{
    static const fh_service search_2_alone = {
        .name = "search",
        .model = FH_RELATIONAL,
        .subscribes = {{"products", "ItemChanged", titled_changed, .version = 2}}};
    struct fixture *fixture = *state;
    publish_item(fixture, &products_1, 1, "one");
    publish_item(fixture, &products_2, 2, "two");
    open_as(fixture, &search_2_alone);
    wait_for(fixture, "following", 2);
    expect_copy(fixture, 2, "two", 1);
    expect_parked(fixture, 1, "it has no upcast from 1");
    close_search(fixture);
}

static void what_an_upcast_makes_wrong_is_parked_alone(void **state)
{
    static const char *const names[] = {WRONG, REFUSED, AWAY};
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++)
        publish_item(fixture, &products_1, i + 1, names[i]);
    publish_item(fixture, &products_1, 4, "fine");
    open_as(fixture, &search_2);
    wait_for(fixture, "following", 4);
    expect_copy(fixture, 4, "fine+", 1);
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 1);
    assert_int_equal(
        service_count(&fixture->search,
                      "SELECT count(DISTINCT error) FROM fh_parked WHERE error LIKE"
                      " 'The upcast of ItemChanged from version 1 makes data that do not fit"
                      " version 2: at \"/title\"%' OR error LIKE '%nobody is there%' OR error ="
                      " '[personal] has no such version'"),
        3);
    close_search(fixture);
}

static void data_that_do_not_fit_their_version_are_not_cast(void **state)
{
    static const fh_field other[] = {{"id", FH_INT}, {"label", FH_STRING}, {0}};
    static const fh_service search_other = {
        .name = "search",
        .model = FH_RELATIONAL,
        .subscribes = {{"products", "ItemChanged", titled_changed, .version = 2}},
        .upcasts = {{"products", "ItemChanged", 1, other, shape_2, up_to_2}}};
    struct fixture *fixture = *state;
    publish_item(fixture, &products_1, 1, "one");
    open_as(fixture, &search_other);
    wait_for(fixture, "following", 1);
    expect_parked(fixture, 1, "does not fit version 1, in which it is: at \"/label\"");
    assert_int_equal(casts, 0);
    close_search(fixture);
}

static void use_the_store(fh_work *w)
{
    fh_exec(w, "DELETE FROM copy", NULL);
}

static void peek_at_the_store(fh_work *w)
{
    fh_peek(w, "SELECT 1 FROM copy", NULL);
}

static void use_the_time(fh_work *w)
{
    fh_now(w);
}

static void draw_an_id(fh_work *w)
{
    fh_id_new(w);
}

static void use_settings(fh_work *w)
{
    fh_settings(w);
}

static void use_the_event(fh_work *w)
{
    fh_event_data(w);
}

static void wait_a_while(fh_work *w)
{
    fh_delay_ms(w, 1);
}

static void a_cast_uses_nothing_but_its_data(void **state)
{
    static void (*const misuses[])(fh_work * w) = {use_the_store, peek_at_the_store, use_the_time,
                                                   draw_an_id,    use_settings,      use_the_event,
                                                   wait_a_while};
    struct fixture *fixture = *state;
    struct fh_error error;
    char *data;
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
        misuse = misuses[i];
        fixture->products.context.service = &products_2;
        assert_int_equal(versions_for_reader(&fixture->products.context, "ItemChanged", 2, 1,
                                             "{\"id\":1,\"title\":\"longer\",\"changes\":1}", &data,
                                             &error),
                         VERSIONS_FAILED);
        if (!strstr(error.message, "is a function of its data alone"))
            fail_msg("%zu: %s", i, error.message);
    }
    misuse = use_the_store;
    publish_item(fixture, &products_1, 1, "one");
    open_as(fixture, &search_2);
    wait_for(fixture, "following", 1);
    expect_parked(fixture, 1, "uses the store");
    close_search(fixture);
}

static void a_downcast_that_fails_leaves_the_event_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    publish_item(fixture, &products_2, 1, WRONG);
    publish_item(fixture, &products_2, 2, "two");
    open_as(fixture, &search_1);
    wait_for(fixture, "following", 2);
    expect_copy(fixture, 2, "two-", 1);
    expect_parked(fixture, 1, "is in version 2, and search reads version 1");
    close_search(fixture);
}

/* ---- parked events ---- */

struct operating {
    struct event_manager *manager;
    const char *data;
    json_t *answer, *faults;
    enum fh_code code;
    struct fh_error error;
};

static void show_parked(void *argument)
{
    struct operating *operating = argument;
    operating->code =
        parked_show(operating->manager, "products", "1", &operating->answer, &operating->error);
}

static void retry_parked(void *argument)
{
    struct operating *operating = argument;
    operating->code =
        parked_retry(operating->manager, "products", "1", &operating->answer, &operating->error);
}

static void edit_parked(void *argument)
{
    struct operating *operating = argument;
    struct parked_change change = {"products", "1", 0, NULL, "ada"};
    FH_ASSERT(json_parse(operating->data, strlen(operating->data), &change.data, ERROR_UNHEEDED) ==
              FH_OK);
    operating->code = parked_edit(operating->manager, &change, &operating->answer,
                                  &operating->faults, &operating->error);
    json_decref(change.data);
}

static struct operating operate(struct fixture *fixture, void (*entry)(void *), const char *data)
{
    struct operating operating = {.manager = fixture->search.context.events, .data = data};
    harness_run(&fixture->harness, entry, &operating);
    return operating;
}

static void park_poison(struct fixture *fixture)
{
    refused_title = "poison";
    publish_item(fixture, &products_1, 1, "poison");
    open_as(fixture, &search_1);
    wait_for(fixture, "following", 1);
    expect_parked(fixture, 1, "[personal] is too much");
}

static void parked_events_are_cast_once_when_they_are_retried(void **state)
{
    struct fixture *fixture = *state;
    park_poison(fixture);
    publish_item(fixture, &products_1, 1, "after");
    wait_for(fixture, "following", 2);
    struct operating retried = operate(fixture, retry_parked, NULL); /* in vain: nothing changes */
    assert_int_equal(retried.code, FH_OK);
    json_decref(retried.answer);
    expect_parked(fixture, 2, "");
    reopen_as(fixture, &search_2);
    harness_until(&fixture->harness, none_is_parked, fixture);
    expect_copy(fixture, 1, "after+", 2);
    assert_int_equal(version_seen, 2);
    assert_int_equal(casts, 2);
    close_search(fixture);
}

static bool has_failed(void *argument)
{
    struct fixture *fixture = argument;
    return fixture->search.context.events->counters.failures > 0;
}

static void what_is_parked_is_shown_and_edited_in_its_own_version(void **state)
{
    struct fixture *fixture = *state;
    struct operating edited;
    park_poison(fixture);
    refused_title = "poison+"; /* the next program can't process it either */
    reopen_as(fixture, &search_2);
    harness_until(&fixture->harness, has_failed, fixture);
    struct operating shown = operate(fixture, show_parked, NULL);
    json_int_t version;
    json_t *event = json_array_get(json_object_get(shown.answer, "events"), 0);
    assert_true(json_integer_at(event, "event.version", &version) && version == 1);
    assert_string_equal(json_string_at(event, "event.data.name"), "[personal]");
    json_decref(shown.answer);
    edited = operate(fixture, edit_parked, "{\"id\":1,\"title\":\"mended\",\"changes\":1}");
    assert_int_equal(edited.code, FH_INVALID);
    json_decref(edited.faults);
    do /* its retry at the start may still note that it has failed */
        edited = operate(fixture, edit_parked, "{\"id\":1,\"name\":\"mended\",\"changes\":1}");
    while (edited.code == FH_CONFLICT);
    assert_int_equal(edited.code, FH_OK);
    json_decref(edited.answer);
    expect_parked(fixture, 0, "");
    expect_copy(fixture, 1, "mended+", 1);
    close_search(fixture);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup_versions, teardown_versions)
        CASE(a_publisher_that_is_upgraded_first_casts_for_who_reads_the_version_before),
        CASE(a_subscriber_that_is_upgraded_first_casts_what_is_still_published),
        CASE(casts_follow_one_another),
        CASE(an_instance_leaves_later_versions_than_its_own_to_the_others),
        CASE(an_upgrade_that_is_taken_back_parks_what_it_has_published),
        CASE(others_are_not_waited_for_long),
        CASE(who_says_no_version_gets_what_there_is),
        CASE(a_version_that_nobody_makes_parks_its_key_until_the_next_program),
        CASE(a_version_without_an_upcast_parks_its_key),
        CASE(what_an_upcast_makes_wrong_is_parked_alone),
        CASE(data_that_do_not_fit_their_version_are_not_cast),
        CASE(a_cast_uses_nothing_but_its_data),
        CASE(a_downcast_that_fails_leaves_the_event_as_it_is),
        CASE(parked_events_are_cast_once_when_they_are_retried),
        CASE(what_is_parked_is_shown_and_edited_in_its_own_version),
    };
    return cmocka_run_group_tests_name("event_versions", tests, NULL, NULL);
}
