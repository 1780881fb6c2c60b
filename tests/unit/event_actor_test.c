/* SPDX-License-Identifier: Apache-2.0 */
/* Whom an event names as its actor: the user whom the gateway stated, if the event wants one, and
 * nobody whom somebody else has written into a trace. */

#include "../support/service.h"

#include <stdlib.h>

#include "event/feed/feed.h"
#include "event/manager.h"
#include "event/outbox/publish.h"
#include "http/path.h"
#include "work/spans.h"
#include "work/user.h"
#include "work/work.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const fh_field user_shape[] = {{"id", FH_INT}, {0}};

static const fh_service users = {
    .name = "users",
    .model = FH_RELATIONAL,
    .publishes = {{"UserUpdated", 1, user_shape, .key = "id"},
                  {"UserNamed", 1, user_shape, .key = "id", .actor = true}},
};

static const char *const wrong[] = {"- mallory",
                                    GOOD " mallory",
                                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331 mal",
                                    "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                    " ",
                                    ""};
#define WRONG_COUNT (sizeof wrong / sizeof *wrong)

struct fixture {
    struct harness harness;
    struct service service;
    json_t *events;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    service_open(&fixture->service, &fixture->harness, fixture->harness.world, &users);
    fixture->service.context.events = event_manager_new(&fixture->service.context);
    *state = fixture;
    return 0;
}

static bool manager_ended(void *argument)
{
    return event_manager_ended(((struct fixture *)argument)->service.context.events);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    event_manager_drain(fixture->service.context.events);
    harness_until(&fixture->harness, manager_ended, fixture);
    event_manager_free(fixture->service.context.events);
    service_close(&fixture->service);
    harness_release(&fixture->harness);
    json_decref(fixture->events);
    free(fixture);
    return 0;
}

static const char *traced, *type;
static struct work_user *acting;

static void publish_traced(fh_work *w)
{
    w->trace = traced;
    w->user = acting;
    fh_publish(w, type, json_pack("{s:i}", "id", 1));
}

static void publish(struct fixture *fixture, const char *trace)
{
    traced = trace;
    service_must(&fixture->service, publish_traced);
}

static void read_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct feed_answer answer;
    json_t *query;
    if (path_query("after=0", &query, ERROR_UNHEEDED) != FH_OK)
        return;
    feed_answer(fixture->service.context.events, query, NULL, &answer);
    json_decref(query);
    json_parse(answer.body, answer.body_length, &fixture->events, ERROR_UNHEEDED);
    feed_answer_release(&answer);
}

static const char *member_of(const struct fixture *fixture, size_t index, const char *name)
{
    json_t *event = json_array_get(fixture->events, index);
    assert_non_null(event);
    return json_string_at(event, name);
}

/* In the handler of an event the trace is what that event's publisher wrote. */
static void a_trace_from_elsewhere_names_no_actor(void **state)
{
    struct fixture *fixture = *state;
    type = "UserUpdated";
    acting = NULL;
    publish(fixture, GOOD);
    for (size_t i = 0; i < WRONG_COUNT; i++)
        publish(fixture, wrong[i]);
    harness_run(&fixture->harness, read_entry, fixture);
    assert_string_equal(member_of(fixture, 0, "traceparent"), GOOD);
    assert_null(member_of(fixture, 0, "actor"));
    for (size_t i = 1; i <= WRONG_COUNT; i++) {
        assert_null(member_of(fixture, i, "actor"));
        assert_null(member_of(fixture, i, "traceparent"));
    }
}

static void the_actor_is_the_user_whatever_the_trace_is(void **state)
{
    struct fixture *fixture = *state;
    struct work_user ada = {.shown = {.subject = "ada lovelace"}, .references = 1};
    type = "UserNamed";
    acting = &ada;
    publish(fixture, GOOD);
    for (size_t i = 0; i < WRONG_COUNT; i++)
        publish(fixture, wrong[i]);
    harness_run(&fixture->harness, read_entry, fixture);
    for (size_t i = 0; i <= WRONG_COUNT; i++)
        assert_string_equal(member_of(fixture, i, "actor"), "ada lovelace");
    acting = NULL;
}

static void a_traceparent_is_known_by_its_form(void **state)
{
    (void)state;
    assert_true(spans_is_traceparent(GOOD));
    assert_false(spans_is_traceparent(NULL));
    for (size_t i = 0; i < WRONG_COUNT; i++)
        assert_false(spans_is_traceparent(wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_trace_from_elsewhere_names_no_actor, setup, teardown),
        cmocka_unit_test_setup_teardown(the_actor_is_the_user_whatever_the_trace_is, setup,
                                        teardown),
        cmocka_unit_test(a_traceparent_is_known_by_its_form),
    };
    return cmocka_run_group_tests_name("event_actor", tests, NULL, NULL);
}
