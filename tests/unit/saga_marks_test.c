/* SPDX-License-Identifier: Apache-2.0 */
/* A saga's secrets: where they can't be, when they go, and requests without them. Pure. */

#include "../support/values.h"

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

/* Whose name a step takes is told by the element, by the input, or by neither. */
static void a_mark_is_found_wherever_the_name_may_come_from(void **state)
{
    static const fh_field others[] = {{"id", FH_INT}, {"*", FH_ANY, .personal = true}, {0}};
    static const fh_field loose[] = {{"street", FH_STRING, .optional = true}, {0}};
    static const fh_field some[] = {{"id", FH_INT, .personal = true},
                                    {"spots", FH_ARRAY, .of = place},
                                    {"ids", FH_ARRAY, .elements = FH_INT, .personal = true},
                                    {"fields", FH_ARRAY, .of = others},
                                    {0}};
    static const fh_field above[] = {{"street", FH_STRING, .personal = true},
                                     {"spots", FH_ARRAY, .of = loose},
                                     {"x", FH_INT},
                                     {"*"},
                                     {0}};
    static const fh_step by_others[] = {{"a", .call = "x POST /a/{word}", .pivot = true}, {0}};
    static const fh_step whole[] = {
        {"a", .call = "x POST /a/{element}", .each = "spots", .undo = "x POST /b"}, {0}};
    static const fh_step of_list[] = {
        {"a", .call = "x POST /a/{element}", .each = "ids", .undo = "x POST /b"}, {0}};
    static const fh_step above_it[] = {
        {"a", .call = "x POST /a/{street}", .each = "spots", .undo = "x POST /b"}, {0}};
    static const fh_step below_it[] = {
        {"a", .call = "x POST /a/{id}", .each = "fields", .undo = "x POST /b"}, {0}};
    static const fh_step beside[] = {
        {"a", .call = "x POST /a/{x}", .each = "spots", .undo = "x POST /b"}, {0}};
    const struct fh_saga_definition right[] = {{"a", below_it, .input = some},
                                               {"a", beside, .input = above}};
    struct fh_error error = {0};
    (void)state;
    refused(by_others, others, "\"word\" is personal");
    refused(whole, some, "\"element\" is personal");
    refused(of_list, some, "\"element\" is personal");
    refused(above_it, above, "\"street\" is personal"); /* where an element has none */
    for (int i = 0; i < 2; i++)
        if (saga_definition_check(&right[i], &error) != FH_OK)
            fail_msg("%s", error.message);
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

/* A step takes a part of what is marked, and a receiver tells it in words of its own. */
static void what_is_shown_of_a_step_is_redacted_by_the_values_too(void **state)
{
    json_t *whole = parsed("{\"id\":1,\"name\":\"Zebedee\",\"token\":\"tok_1234\"}");
    json_t *shown = parsed("{\"request\":{\"body\":\"{\\\"order\\\":\\\"of Zebedee\\\"}\"},"
                           "\"answer\":{\"status\":409,\"body\":{\"errors\":"
                           "[{\"detail\":\"tok_1234 of Zebedee is spent\"}]}}}");
    (void)state;
    saga_redact_step(&type, 1, whole, shown);
    is(shown, "{\"request\":{\"body\":\"{\\\"order\\\":\\\"of [personal]\\\"}\"},"
              "\"answer\":{\"status\":409,\"body\":{\"errors\":"
              "[{\"detail\":\"[card] of [personal] is spent\"}]}}}");
    json_decref(whole);
}

static void a_personal_url_is_not_shown(void **state)
{
    static const fh_field urls[] = {{"url", FH_STRING, .personal = true}, {0}};
    static const fh_step outside[] = {{"a", .outside = "url", .pivot = true}, {0}};
    static const struct fh_saga_definition definition = {"hooks", outside, .input = urls};
    struct saga_type hooks;
    json_t *input_told = parsed("{\"url\":\"https://ann.example/x\"}");
    json_t *shown = parsed("{\"request\":{\"path\":\"https://ann.example/x\"},\"answer\":null}");
    (void)state;
    assert_int_equal(saga_type_init(&hooks, &definition, ERROR_UNHEEDED), FH_OK);
    saga_redact_step(&hooks, 0, input_told, shown);
    is(shown, "{\"request\":{\"path\":\"[personal]\"},\"answer\":null}");
    json_decref(input_told);
    saga_type_release(&hooks);
}

static void nothing_is_shown_of_a_saga_that_the_program_does_not_know(void **state)
{
    json_t *whole = parsed("{\"name\":\"Zebedee\"}");
    json_t *shown = parsed("{\"step\":\"a\",\"request\":{\"path\":\"/Zebedee\"},\"answer\":null}");
    (void)state;
    saga_redact_step(NULL, 0, whole, shown);
    is(shown, "{\"step\":\"a\",\"request\":\"[unknown]\",\"answer\":\"[unknown]\"}");
    saga_redact_input(NULL, &whole);
    is(whole, "\"[unknown]\"");
}

static void a_refusal_is_kept_without_secrets_and_its_reason_without_what_is_marked(void **state)
{
    struct states at;
    struct saga_part parts[4] = {0};
    json_t *body = parsed("{\"detail\":\"tok_1234\",\"address\":\"Elm 1\"}");
    struct saga_run run = {.type = &type,
                           .input = parsed("{\"name\":\"Zebedee\"}"),
                           .secrets = parsed("{\"token\":\"tok_1234\"}"),
                           .parts = parts};
    char detail[SAGA_TEXT_SIZE] = "tok_1234 of Zebedee, Elm 1";
    (void)state;
    begin(&at);
    run.state = at.state;
    is(saga_refusal_to_keep(&run, body), "{\"detail\":\"[card]\",\"address\":\"Elm 1\"}");
    saga_redact_detail(&run, 2, body, detail, sizeof detail);
    assert_string_equal(detail, "[card] of [personal], [personal]");
    json_decref(run.input);
    json_decref(run.secrets);
    json_decref(body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_can_not_be_kept_out_is_refused),
        TEST(a_mark_is_found_wherever_the_name_may_come_from),
        TEST(secrets_are_taken_out_of_the_input),
        TEST(secrets_are_needed_until_their_step_is_done),
        TEST(a_saga_that_goes_back_needs_no_secrets),
        TEST(a_spent_request_has_what_was_not_secret),
        TEST(what_is_shown_of_a_step_is_redacted),
        TEST(what_is_shown_of_a_step_is_redacted_by_the_values_too),
        TEST(a_personal_url_is_not_shown),
        TEST(nothing_is_shown_of_a_saga_that_the_program_does_not_know),
        TEST(a_refusal_is_kept_without_secrets_and_its_reason_without_what_is_marked),
    };
    return cmocka_run_group_tests_name("saga_marks", tests, NULL, NULL);
}
