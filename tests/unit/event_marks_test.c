/* SPDX-License-Identifier: Apache-2.0 */
/* What is personal in an event is in no error that is kept, and is not shown; the event itself is
 * complete, and an operator who changes it need not know what was not shown. */

#define HEARING_PERSONAL "name"
#include "../support/hearing.h"
#include "../support/operator.h"

#include "event/marks.h"
#include "event/outbox/list.h"
#include "shape/mark.h"
#include "shape/shape.h"
#include "work/redact.h"

#define SECRET_NAME "Zebedee Quartermain"

static void park_one(struct fixture *fixture)
{
    poison = SECRET_NAME;
    publish_named(fixture, 1, SECRET_NAME);
    publish_named(fixture, 2, "a");
    open_orders(fixture);
    wait_for(&fixture->orders, 2, "following");
}

static void a_parked_error_has_nothing_personal(void **state)
{
    struct fixture *fixture = *state;
    park_one(fixture);
    struct asked asked = ask(fixture, list_entry, NULL, false);
    json_t *key = json_array_get(json_object_get(asked.answer, "keys"), 0);
    assert_string_equal(json_string_at(key, "error"), "the name [personal] is too much");
    json_decref(asked.answer);
    assert_string_equal(service_sql(&fixture->orders, "SELECT error FROM fh_parked").text,
                        "the name [personal] is too much");
    close_orders(fixture);
}

static void what_is_shown_of_a_parked_event_is_redacted_and_what_is_kept_is_not(void **state)
{
    struct fixture *fixture = *state;
    park_one(fixture);
    struct asked asked = ask(fixture, show_entry, "1", false);
    json_t *event = json_array_get(json_object_get(asked.answer, "events"), 0);
    assert_string_equal(json_string_at(event, "event.data.name"), "[personal]");
    assert_int_equal(number_at(event, "event.data.id"), 1);
    json_decref(asked.answer);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM fh_parked WHERE"
                                                     " instr(event, '" SECRET_NAME "') > 0"),
                     1);
    poison = NULL;
    asked = ask(fixture, retry_entry, "1", false);
    assert_int_equal(number_at(asked.answer, "applied"), 1);
    json_decref(asked.answer);
    assert_string_equal(
        service_sql(&fixture->orders, "SELECT name FROM seen WHERE user_id = 1").text, SECRET_NAME);
    close_orders(fixture);
}

static void an_edit_keeps_what_was_not_shown_and_shows_no_earlier_data(void **state)
{
    struct fixture *fixture = *state;
    park_one(fixture);
    struct edited edited = edit(fixture, "1", 1, "{\"id\": 7, \"name\": \"[personal]\"}");
    assert_int_equal(edited.code, FH_OK);
    json_decref(edited.answer); /* it is the same name, so it failed again */
    struct asked asked = ask(fixture, show_entry, "1", false);
    assert_int_equal(asked.code, FH_OK);
    char *text = json_text(asked.answer);
    assert_null(strstr(text, SECRET_NAME));
    assert_non_null(strstr(text, "\"before\""));
    json_text_free(text);
    json_decref(asked.answer);
    poison = NULL;
    asked = ask(fixture, retry_entry, "1", false);
    json_decref(asked.answer);
    assert_string_equal(
        service_sql(&fixture->orders, "SELECT name FROM seen WHERE user_id = 7").text, SECRET_NAME);
    close_orders(fixture);
}

struct listed {
    struct event_manager *manager;
    json_t *answer;
};

static void list_outbox(void *argument)
{
    struct listed *listed = argument;
    struct event_question question = {.limit = 10};
    FH_ASSERT(event_list(listed->manager, &question, &listed->answer, ERROR_UNHEEDED) == FH_OK);
}

static void a_publisher_lists_its_events_without_what_is_personal(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed = {.manager = fixture->users.context.events};
    publish_named(fixture, 1, SECRET_NAME);
    harness_run(&fixture->harness, list_outbox, &listed);
    json_t *event = json_array_get(json_object_get(listed.answer, "events"), 0);
    assert_string_equal(json_string_at(event, "data.name"), "[personal]");
    json_decref(listed.answer);
}

/* What the publisher has marked since counts as well as what the subscription names. */
static void marks_are_those_of_the_publisher_and_of_the_subscription(void **state)
{
    static const fh_field published[] = {
        {"id", FH_INT}, {"mail", FH_STRING, .personal = true}, {0}};
    struct fixture *fixture = *state;
    struct event_manager manager = {.context = &fixture->orders.context};
    json_t *schemas = json_pack("{s:{s:o}}", "users", "UserUpdated", shape_schema(published));
    manager.schemas = schemas;
    fixture->orders.context.service = &orders;
    manager.marks = event_marks_new(&manager);
    json_t *envelope = json_pack("{s:s, s:{s:i, s:s, s:s}}", "type", "UserUpdated", "data", "id", 1,
                                 "name", "Ann", "mail", "ann@example");
    event_marks_redact(&manager, "users", envelope);
    assert_string_equal(json_string_at(envelope, "data.name"), "[personal]");
    assert_string_equal(json_string_at(envelope, "data.mail"), "[personal]");
    assert_int_equal(number_at(envelope, "data.id"), 1);
    assert_null(event_marks_of(&manager, "users", "UserDeleted", 1));
    event_marks_free(manager.marks);
    json_decref(envelope);
    json_decref(schemas);
}

static void names_beyond_what_is_kept_make_everything_personal(void **state)
{
    struct fixture *fixture = *state;
    char names[16 * (SHAPE_NAMED_MAX + 2)] = "";
    for (int i = 0; i < SHAPE_NAMED_MAX; i++)
        snprintf(names + strlen(names), 16, "field_%d,", i);
    snprintf(names + strlen(names), 16, "name");
    fh_service many = orders;
    many.subscribes[0].personal = names;
    fixture->orders.context.service = &many;
    struct event_manager manager = {.context = &fixture->orders.context};
    manager.marks = event_marks_new(&manager);
    json_t *envelope =
        json_pack("{s:s, s:{s:s}}", "type", many.subscribes[0].type, "data", "name", "Ann");
    event_marks_redact(&manager, many.subscribes[0].service, envelope);
    assert_string_equal(json_string_at(envelope, "data.name"), "[personal]");
    fixture->orders.context.service = &orders;
    event_marks_free(manager.marks);
    json_decref(envelope);
}

/* As in a row of the store that somebody has changed by hand. */
static void an_event_without_data_hides_nothing(void **state)
{
    static const fh_field marked[] = {{"name", FH_STRING, .personal = true}, {0}};
    struct work_context context = {0};
    struct work_event event = {.tree = json_pack("{s:s}", "id", "x")};
    const fh_work w = {.context = &context, .event = &event, .given.shape = marked};
    char text[] = "Zebedee is too much";
    (void)state;
    work_redact(&w, SHAPE_MARKED, text, sizeof text);
    assert_string_equal(text, "Zebedee is too much");
    json_decref(event.tree);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_parked_error_has_nothing_personal),
        TEST(what_is_shown_of_a_parked_event_is_redacted_and_what_is_kept_is_not),
        TEST(an_edit_keeps_what_was_not_shown_and_shows_no_earlier_data),
        TEST(a_publisher_lists_its_events_without_what_is_personal),
        TEST(names_beyond_what_is_kept_make_everything_personal),
        TEST(marks_are_those_of_the_publisher_and_of_the_subscription),
        cmocka_unit_test(an_event_without_data_hides_nothing),
    };
    return cmocka_run_group_tests_name("event_marks", tests, NULL, NULL);
}
