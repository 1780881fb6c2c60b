/* SPDX-License-Identifier: Apache-2.0 */
/* What commands record: nothing of a secret, neither in the answer nor in the request, nor by a
 * digest of it; and what a failure says has nothing that is marked. */

#include "../support/sent.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "shape/shape.h"
#include "work/command_key.h"

#define NOW "01900000-0000-7000-8000-000000000002"
#define KEY "orders/" NOW ".7/charge/0"
#define PASSWORD "correct-horse-battery"
#define BODY "{\"name\":\"Zebedee\",\"password\":\"" PASSWORD "\"}"

static const fh_field login_shape[] = {{"name", FH_STRING, .personal = true},
                                       {"password", FH_STRING, .secret = true, .optional = true},
                                       {0}};
static const fh_field key_shape[] = {
    {"id", FH_INT}, {"key", FH_STRING, .secret = true, .optional = true}, {0}};
static const struct fh_route route = {.method = "POST",
                                      .path = "/api/keys",
                                      .body = login_shape,
                                      .answer = {.status = 201, .shape = key_shape}};
static const fh_service service = {.name = "keys", .model = FH_RELATIONAL};
static const char script[] = "CREATE TABLE effect (id INTEGER PRIMARY KEY, what TEXT NOT NULL);"
                             "CREATE TABLE one (name TEXT UNIQUE);";

static int set_up(void **state)
{
    return fixture_set_up(state, &service, script);
}

static char undone_request[256];

static struct sent send_to(void *state, fh_handler *handler, bool service_asks, const char *body)
{
    struct fixture *fixture = state;
    struct sent sent = {.fixture = fixture,
                        .route = &route,
                        .handler = handler,
                        .request = {.method = "POST",
                                    .path = "/api/keys",
                                    .pattern = "/api/keys",
                                    .body = body,
                                    .body_length = strlen(body),
                                    .key = service_asks ? KEY : "a-key",
                                    .from = service_asks ? "orders/" NOW : NULL,
                                    .to = fixture->context.store->incarnation}};
    sent_go(&sent);
    return sent;
}

static void make_key(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('made')");
    fh_reply(w, 201, json_pack("{s:i, s:s}", "id", 7, "key", "k-" PASSWORD));
}

static void make_key_with_header(fh_work *w)
{
    make_key(w);
    fh_reply_header(w, "Location", "/keys/k-" PASSWORD);
}

static void refuse(fh_work *w)
{
    fh_fail(w, 409, "%s can't use %s.", json_string_at(fh_body(w), "name"),
            json_string_at(fh_body(w), "password"));
}

static void be_twice(fh_work *w)
{
    fh_exec(w, "INSERT INTO one (name) VALUES (:name)", fh_body(w));
    fh_fail(w, 500, "No idea what to do with %s.", json_string_at(fh_body(w), "name"));
}

struct looked {
    struct fixture *fixture;
    char text[2048];
};

static bool add_row(void *context, const struct sql_row *row)
{
    struct looked *looked = context;
    for (int i = 0; i < 4; i++) {
        size_t length = strlen(looked->text);
        const char *text = row->values[i].text;
        snprintf(looked->text + length, sizeof looked->text - length, "%s|", text ? text : "");
    }
    return true;
}

static void look(void *argument)
{
    struct looked *looked = argument;
    struct store_work *work;
    FH_ASSERT(store_begin(looked->fixture->context.store, STORE_READ, &work, ERROR_UNHEEDED) ==
              FH_OK);
    sql_run(work, "SELECT digest, request, answer, undo_answer FROM fh_command", NULL, 0, add_row,
            looked, NULL, ERROR_UNHEEDED);
    store_rollback(work);
}

static void nothing_secret_is_recorded(void *state)
{
    struct looked looked = {.fixture = state};
    harness_run(&looked.fixture->harness, look, &looked);
    assert_true(looked.text[0] != '\0');
    assert_null(strstr(looked.text, PASSWORD));
}

static void a_client_is_shown_a_secret_once(void **state)
{
    struct sent sent = send_to(*state, make_key, false, BODY);
    assert_string_equal(sent.reply, "{\"id\":7,\"key\":\"k-" PASSWORD "\"}");
    assert_string_equal(sent.left_out, "");
    nothing_secret_is_recorded(*state);
    sent = send_to(*state, make_key, false, BODY);
    assert_int_equal(sent.status, 201);
    assert_string_equal(sent.reply, "{\"id\":7}");
    assert_string_equal(sent.left_out, "secrets");
}

/* Its saga stores what it is told, and must be told the same each time. */
static void a_service_is_never_answered_a_secret(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct sent sent = send_to(*state, make_key, true, BODY);
        assert_string_equal(sent.outcome, "done");
        assert_string_equal(sent.reply, "{\"id\":7}");
        assert_string_equal(sent.left_out, "secrets");
    }
    nothing_secret_is_recorded(*state);
}

/* After its use the initiator repeats a request without the secret. */
static void requests_that_differ_in_a_secret_alone_are_the_same(void **state)
{
    send_to(*state, make_key, true, BODY);
    struct sent sent = send_to(*state, make_key, true, "{\"name\":\"Zebedee\"}");
    assert_string_equal(sent.outcome, "done");
    sent = send_to(*state, make_key, true, "{\"name\":\"Florence\"}");
    assert_string_equal(sent.outcome, "mismatch");
}

struct older {
    struct fixture *fixture;
    const char *digest;
};

static void put_older(void *argument)
{
    struct older *older = argument;
    struct store_work *work;
    struct fh_error error;
    FH_ASSERT(store_begin(older->fixture->context.store, STORE_WRITE, &work, &error) == FH_OK);
    struct sql_value digest = sql_text(older->digest);
    FH_ASSERT(sql_run(work, "UPDATE fh_command SET digest = ?1", &digest, 1, NULL, NULL, NULL,
                      &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static void a_record_from_before_the_mark_is_recognised(void **state)
{
    char digest[COMMAND_DIGEST_SIZE];
    struct older older = {*state, digest};
    command_digest(digest, "POST", "/api/keys", NULL, BODY, strlen(BODY));
    send_to(*state, make_key, true, BODY);
    harness_run(&older.fixture->harness, put_older, &older);
    struct sent sent = send_to(*state, make_key, true, BODY);
    assert_string_equal(sent.outcome, "done");
}

static void a_recorded_refusal_has_no_secret_and_the_failure_nothing_that_is_marked(void **state)
{
    struct sent sent = send_to(*state, refuse, true, BODY);
    assert_int_equal(sent.status, 409);
    assert_string_equal(sent.failure, "[personal] can't use [secret].");
    nothing_secret_is_recorded(*state);
    sent = send_to(*state, refuse, true, BODY);
    assert_non_null(strstr(sent.reply, "Zebedee can't use [secret]."));
}

#define AWKWARD_BODY "{\"name\":\"Zebedee\",\"password\":\"pass\\\"word\\\\\\n x\"}"

/* In the record it is escaped, as in the request. */
static void a_secret_that_json_escapes_is_not_recorded(void **state)
{
    send_to(*state, refuse, false, AWKWARD_BODY);
    struct sent sent = send_to(*state, refuse, false, AWKWARD_BODY);
    assert_non_null(strstr(sent.reply, "can't use [secret]."));
    sent = send_to(*state, refuse, true, AWKWARD_BODY); /* a saga would keep it */
    assert_non_null(strstr(sent.reply, "can't use [secret]."));
    struct looked looked = {.fixture = *state};
    harness_run(&looked.fixture->harness, look, &looked);
    assert_null(strstr(looked.text, "word"));
}

static void a_header_with_a_secret_is_left_out(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct sent sent = send_to(*state, make_key_with_header, false, BODY);
        assert_string_equal(sent.location, i ? "" : "/keys/k-" PASSWORD);
        assert_string_equal(sent.left_out, i ? "secrets" : "");
        sent = send_to(*state, make_key_with_header, true, BODY);
        assert_string_equal(sent.location, "");
        assert_string_equal(sent.left_out, "secrets");
    }
    nothing_secret_is_recorded(*state);
}

static void a_handlers_fault_says_nothing_that_is_marked(void **state)
{
    struct sent sent = send_to(*state, be_twice, false, BODY);
    assert_int_equal(sent.status, 500);
    assert_string_equal(sent.failure, "No idea what to do with [personal].");
}

static void take_back(fh_work *w)
{
    char *text = json_text(fh_undone_request(w));
    snprintf(undone_request, sizeof undone_request, "%s", text);
    json_text_free(text);
    assert_null(json_object_get(fh_undone_answer(w), "key"));
}

static void an_undo_is_given_no_secret(void **state)
{
    send_to(*state, make_key, true, BODY);
    struct fixture *fixture = *state;
    struct sent undo = {.fixture = fixture,
                        .route = &route,
                        .handler = take_back,
                        .request = {.method = "POST",
                                    .path = "/api/keys/undo",
                                    .pattern = "/api/keys/undo",
                                    .body = "{\"name\":\"Zebedee\"}",
                                    .body_length = 18,
                                    .undone = KEY,
                                    .undo = take_back,
                                    .from = "orders/" NOW,
                                    .to = fixture->context.store->incarnation}};
    sent_go(&undo);
    assert_string_equal(undo.outcome, "undone");
    assert_string_equal(undone_request, "{\"name\":\"Zebedee\"}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_is_shown_a_secret_once),
        TEST(a_service_is_never_answered_a_secret),
        TEST(requests_that_differ_in_a_secret_alone_are_the_same),
        TEST(a_record_from_before_the_mark_is_recognised),
        TEST(a_recorded_refusal_has_no_secret_and_the_failure_nothing_that_is_marked),
        TEST(a_secret_that_json_escapes_is_not_recorded),
        TEST(a_header_with_a_secret_is_left_out),
        TEST(a_handlers_fault_says_nothing_that_is_marked),
        TEST(an_undo_is_given_no_secret),
    };
    return cmocka_run_group_tests_name("command_marks", tests, NULL, NULL);
}
