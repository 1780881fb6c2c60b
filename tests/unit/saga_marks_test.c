/* SPDX-License-Identifier: Apache-2.0 */
/* A saga's secrets: where they can't be, when they go, and requests without them. Pure. */

#include "../support/harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "saga/marks.h"
#include "shape/mark.h"

static const fh_field place[] = {{"street", FH_STRING, .personal = true}, {0}};
static const fh_field input[] = {{"id", FH_INT},
                                 {"name", FH_STRING, .personal = true},
                                 {"token", FH_STRING, .card = true},
                                 {"pin", FH_STRING, .secret = true, .optional = true},
                                 {"places", FH_ARRAY, .of = place},
                                 {"*"},
                                 {0}};
static const fh_step steps[] = {
    {"reserve", .each = "places", .call = "stock POST /a/{id}", .undo = "stock POST /b/{id}",
     .body = "street,id"},
    {"charge", .call = "bank POST /pay", .undo = "bank POST /refund",
     .body = "order=id,token,code=pin"},
    {"ship", .call = "post POST /send", .body = "name", .pivot = true, .personal = "address"},
    {0}};

static struct saga_type type;

static int set_up(void **state)
{
    static const struct fh_saga_definition definition = {"order", steps, .input = input};
    struct fh_error error = {0};
    (void)state;
    json_memory_init();
    if (saga_type_init(&type, &definition, &error) != FH_OK)
        fail_msg("%s", error.message);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    saga_type_release(&type);
    return 0;
}

static json_t *parsed(const char *text)
{
    json_t *value = NULL;
    struct fh_error error = {0};
    if (json_parse(text, strlen(text), &value, &error) != FH_OK)
        fail_msg("%s: %s", text, error.message);
    return value;
}

static void is(json_t *value, const char *expected)
{
    char *text = value ? json_text(value) : NULL;
    assert_string_equal(text ? text : "(none)", expected);
    json_text_free(text);
    json_decref(value);
}

static void refused(const fh_step *given, const fh_field *shape, const char *words)
{
    struct fh_saga_definition definition = {"bad", given, .input = shape};
    struct fh_error error = {0};
    assert_int_equal(saga_definition_check(&definition, &error), FH_INVALID);
    if (!strstr(error.message, words))
        assert_string_equal(error.message, words);
}

static void what_can_not_be_kept_out_is_refused(void **state)
{
    static const fh_step in_path[] = {{"a", .call = "x POST /a/{name}", .pivot = true}, {0}};
    static const fh_step in_query[] = {{"a", .call = "x POST /a?t={token}", .pivot = true}, {0}};
    static const fh_step in_undo[] = {
        {"a", .call = "x POST /a", .undo = "x POST /b/{street}", .each = "places"}, {0}};
    static const fh_step outside[] = {{"a", .outside = "token", .pivot = true}, {0}};
    static const fh_step right[] = {{"a", .call = "x POST /a", .body = "token", .pivot = true},
                                    {0}};
    static const fh_field hidden[] = {{"pin", FH_STRING, .secret = true}, {0}};
    static const fh_field within[] = {{"card", FH_OBJECT, .of = hidden}, {0}};
    static const fh_field others[] = {{"*", FH_ANY, .secret = true}, {0}};
    (void)state;
    refused(in_path, input, "\"name\" is personal or secret, and can't be in a path");
    refused(in_query, input, "\"token\" is personal or secret");
    refused(in_undo, input, "\"street\" is personal or secret");
    refused(outside, input, "the URL \"token\" can't be marked as secret");
    refused(right, within, "a secret or a card within \"card\"");
    refused(right, others, "a secret or a card within \"*\"");
}

static void secrets_are_taken_out_of_the_input(void **state)
{
    json_t *rest, *secrets,
        *value = parsed("{\"id\":1,\"name\":\"Ann\",\"token\":\"tok_1\",\"places\":[],\"x\":2}");
    (void)state;
    saga_secrets_part(&type, value, &rest, &secrets);
    struct saga_run run = {.type = &type, .input = rest, .secrets = secrets};
    json_t *whole = saga_whole_input(&run);
    assert_true(json_equal(whole, value));
    json_decref(whole);
    is(rest, "{\"id\":1,\"name\":\"Ann\",\"places\":[],\"x\":2}");
    is(secrets, "{\"token\":\"tok_1\"}");
    json_decref(value);
}

struct states {
    struct saga_state state;
    struct saga_element elements[4]; /* two places, charge, ship */
};

static void begin(struct states *states)
{
    static const int counts[SAGA_STEPS_MAX] = {2, 1, 1};
    memset(states, 0, sizeof *states);
    saga_state_init(&type.rules, counts, &states->state, states->elements);
    states->state.status = SAGA_RUNNING;
}

static void secrets_are_needed_until_their_step_is_done(void **state)
{
    struct states at;
    (void)state;
    begin(&at);
    assert_true(saga_secrets_needed(&type, &at.state));
    at.elements[0].state = at.elements[1].state = SAGA_DONE;
    at.elements[2].state = SAGA_SENT;
    assert_true(saga_secrets_needed(&type, &at.state));
    assert_true(saga_part_is_spent(&at.state, 0));
    assert_false(saga_part_is_spent(&at.state, 2));
    at.elements[2].state = SAGA_REFUSED; /* a person may have it sent again */
    assert_true(saga_secrets_needed(&type, &at.state));
    at.elements[2].state = SAGA_DONE;
    assert_false(saga_secrets_needed(&type, &at.state));
    assert_true(saga_part_is_spent(&at.state, 2));
}

static void a_saga_that_goes_back_needs_no_secrets(void **state)
{
    struct states at;
    (void)state;
    begin(&at);
    at.elements[2].state = SAGA_SENT;
    at.state.back = true;
    assert_false(saga_secrets_needed(&type, &at.state));
    assert_true(saga_part_is_spent(&at.state, 2));
}

static void a_spent_request_has_what_was_not_secret(void **state)
{
    char *spent = saga_spent_body(&type, 1, "{\"order\":7,\"token\":\"t\",\"code\":\"1234\"}");
    (void)state;
    assert_string_equal(spent, "{\"order\":7}");
    free(spent);
    assert_null(saga_spent_body(&type, 2, "{\"name\":\"Ann\"}"));
    assert_null(saga_spent_body(&type, 1, NULL));
}

static void what_is_shown_of_a_step_is_redacted(void **state)
{
    json_t *whole = parsed("{\"id\":1,\"name\":\"Zebedee\",\"places\":[{\"street\":\"Elm\"}]}");
    json_t *shown =
        parsed("{\"request\":{\"path\":\"/send\",\"body\":\"{\\\"name\\\":\\\"Zebedee\\\"}\"},"
               "\"answer\":{\"status\":409,\"body\":{\"detail\":\"no Zebedee here\","
               "\"address\":\"Elm 1\"}}}");
    (void)state;
    saga_redact_step(&type, 2, whole, shown);
    assert_string_equal(json_string_at(shown, "request.body"), "{\"name\":\"[personal]\"}");
    assert_string_equal(json_string_at(shown, "answer.body.detail"), "no [personal] here");
    assert_string_equal(json_string_at(shown, "answer.body.address"), "[personal]");
    json_decref(shown);
    shown = parsed(
        "{\"request\":{\"path\":\"/a/1\",\"body\":\"{\\\"street\\\":\\\"Elm\\\",\\\"id\\\":1}\"}}");
    saga_redact_step(&type, 0, whole, shown);
    assert_string_equal(json_string_at(shown, "request.body"),
                        "{\"street\":\"[personal]\",\"id\":1}");
    json_decref(shown);
    saga_redact_input(&type, &whole);
    is(whole, "{\"id\":1,\"name\":\"[personal]\",\"places\":[{\"street\":\"[personal]\"}]}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_can_not_be_kept_out_is_refused),
        TEST(secrets_are_taken_out_of_the_input),
        TEST(secrets_are_needed_until_their_step_is_done),
        TEST(a_saga_that_goes_back_needs_no_secrets),
        TEST(a_spent_request_has_what_was_not_secret),
        TEST(what_is_shown_of_a_step_is_redacted),
    };
    return cmocka_run_group_tests_name("saga_marks", tests, NULL, NULL);
}
