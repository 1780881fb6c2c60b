/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the shop that must fail, each for the reason that tests_test.py names. */

#include <freehold/test.h>

static json_t *ada(void)
{
    return json_pack("{s:s, s:s}", "name", "Ada", "email", "ada@example.org");
}

static json_t *order(void)
{
    return json_pack("{s:i, s:[{s:s, s:i}], s:s}", "user_id", 7, "items", "product_id", "mug",
                     "quantity", 1, "payment_token", "tok_1");
}

FH_TEST_OF(users, another_status)
{
    fh_test_request(t, 200, "users", "POST /api/users", ada());
}

FH_TEST_OF(users, another_value)
{
    json_t *user = fh_test_request(t, 201, "users", "POST /api/users", ada());
    fh_test_expect_json(t, user, json_pack("{s:s}", "name", "Eve"));
}

FH_TEST_OF(users, an_event_that_never_comes)
{
    fh_test_request(t, 201, "users", "POST /api/users", ada());
    fh_test_expect_event(t, "users", "UserDeleted", NULL);
}

FH_TEST_OF(users, more_events_than_expected)
{
    fh_test_request(t, 201, "users", "POST /api/users", ada());
    fh_test_login(t, "1", NULL, NULL);
    fh_test_request(t, 204, "users", "DELETE /api/users/1", NULL);
    fh_test_expect_events(t, "users", "UserDeleted", 0);
}

FH_TEST_OF(users, an_event_that_is_not_declared)
{
    fh_test_expect_events(t, "users", "UserRenamed", 0);
}

FH_TEST_OF(orders, asks_without_a_stub)
{
    fh_test_login(t, "7", NULL, NULL);
    fh_test_request(t, 202, "orders", "POST /api/orders", order());
}

FH_TEST_OF(orders, a_stub_of_no_route)
{
    fh_test_stub(t, "users", "GET /api/people/7", 200, NULL);
}

FH_TEST_OF(orders, a_stub_that_answers_as_the_service_would_not)
{
    fh_test_stub(t, "users", "GET /api/users/7", 200, json_pack("{s:s}", "id", "7"));
}

FH_TEST_OF(orders, a_stub_of_what_runs)
{
    fh_test_stub(t, "orders", "GET /api/orders/1", 200, NULL);
}

FH_TEST_OF(orders, publishing_what_does_not_fit)
{
    fh_test_publish(t, "users", "UserDeleted", json_pack("{s:s}", "id", "7"));
}

FH_TEST_OF(orders, asked_otherwise_than_expected)
{
    fh_test_login(t, "7", NULL, NULL);
    fh_test_stub(t, "users", "GET /api/users/7", 404, NULL);
    fh_test_request(t, 422, "orders", "POST /api/orders", order());
    fh_test_expect_asked(t, "users", "GET /api/users/7", 2);
}

FH_TEST_OF(orders, fewer_are_parked_than_expected)
{
    fh_test_expect_parked(t, "orders", 1, 0);
}

FH_TEST(a_service_that_is_none)
{
    fh_test_crash(t, "printers");
}
