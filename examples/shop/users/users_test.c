/* SPDX-License-Identifier: Apache-2.0 */
/* Users alone: whatever is answered stays, and is told once. */

#include <freehold/test.h>

static json_t *ada(fh_test *t)
{
    return fh_object(t, "name", "Ada", "email", "ada@example.org");
}

/* Registers as nobody, and is logged in from then on. */
static void register_ada(fh_test *t)
{
    fh_test_request(t, 201, "users", "POST /api/users", ada(t));
    fh_test_login(t, "1", NULL, NULL);
}

FH_TEST_OF(users, a_change_is_told_as_it_is_kept)
{
    register_ada(t);
    json_t *user = fh_test_request(t, 200, "users", "PATCH /api/users/1",
                                   fh_object(t, "name", "Ada Lovelace"));
    fh_test_expect_event(t, "users", "UserUpdated", json_deep_copy(user));
    fh_test_expect_events(t, "users", "UserUpdated", 1);
}

FH_TEST_OF(users, what_was_answered_is_there_after_the_power_went)
{
    fh_test_crash_soon(t, "users");
    fh_test_request(t, 201, "users", "POST /api/users", ada(t));
    fh_test_crash(t, "users");
    json_t *rows = fh_test_rows(t, "users", "SELECT name FROM users");
    fh_test_expect_json(t, rows, fh_array(t, fh_object(t, "name", "Ada")));
}

FH_TEST_OF(users, a_user_who_is_gone_is_told_once)
{
    register_ada(t);
    fh_test_request(t, 204, "users", "DELETE /api/users/1", NULL);
    fh_test_request(t, 404, "users", "DELETE /api/users/1", NULL);
    fh_test_expect_events(t, "users", "UserDeleted", 1);
}

static json_t *confirmed(fh_test *t, int id, int user)
{
    return fh_object(t, "id", id, "user_id", user, "status", "CONFIRMED", "total", 100 * id,
                     "address", "", "payment_id", "pay-1", "shipment_id", 3, "reason", json_null(),
                     "created_at", "2026-03-01T12:00:00.000Z");
}

FH_TEST_OF(users, what_a_user_has_bought_is_listed_the_newest_first)
{
    register_ada(t);
    fh_test_request(t, 201, "users", "POST /api/users", ada(t));
    for (int id = 1; id <= 5; id++)
        fh_test_publish(t, "orders", "OrderConfirmed", confirmed(t, id, id == 4 ? 2 : 1));
    fh_test_crash(t, "users");
    fh_test_rest(t);
    json_t *page =
        fh_test_request(t, 200, "users", "GET /api/users/1/orders/history?limit=3", NULL);
    fh_test_expect_json(t, page,
                        fh_array(t, fh_object(t, "order_id", 5, "total", 500),
                                 fh_object(t, "order_id", 3), fh_object(t, "order_id", 2)));
    page =
        fh_test_request(t, 200, "users", "GET /api/users/1/orders/history?limit=3&after=2", NULL);
    fh_test_expect_json(t, page, fh_array(t, fh_object(t, "order_id", 1)));
    fh_test_login(t, "3", NULL, NULL);
    fh_test_request(t, 404, "users", "GET /api/users/3/orders/history", NULL);
}

FH_TEST_OF(users, a_history_goes_with_its_user)
{
    register_ada(t);
    fh_test_publish(t, "orders", "OrderConfirmed", confirmed(t, 1, 1));
    fh_test_rest(t);
    fh_test_request(t, 204, "users", "DELETE /api/users/1", NULL);
    fh_test_publish(t, "orders", "OrderConfirmed", confirmed(t, 2, 1));
    fh_test_rest(t);
    fh_test_request(t, 404, "users", "GET /api/users/1/orders/history", NULL);
    json_t *rows = fh_test_rows(t, "users", "SELECT count(*) AS n FROM order_history");
    fh_test_expect_json(t, rows, fh_array(t, fh_object(t, "n", 0)));
}

FH_TEST_OF(users, nobody_sees_or_changes_another_user)
{
    register_ada(t);
    fh_test_login(t, "2", FH_ROLE("staff"), NULL);
    json_t *others = fh_test_request(t, 404, "users", "GET /api/users/1", NULL);
    json_t *none = fh_test_request(t, 404, "users", "GET /api/users/2", NULL);
    fh_test_expect_json(t, others, json_deep_copy(none)); /* no telling one from the other */
    fh_test_request(t, 404, "users", "PATCH /api/users/1", fh_object(t, "name", "Eve"));
    fh_test_request(t, 404, "users", "DELETE /api/users/1", NULL);
    fh_test_request(t, 404, "users", "GET /api/users/1/orders/history", NULL);
    fh_test_request(t, 200, "users", "GET /api/users?ids=1", NULL); /* as staff */
    fh_test_login(t, "2", NULL, NULL);
    fh_test_request(t, 403, "users", "GET /api/users?ids=1", NULL);
    fh_test_login(t, NULL, NULL, NULL);
    fh_test_request(t, 401, "users", "GET /api/users/1", NULL);
    fh_test_expect_events(t, "users", "UserUpdated", 0);
    fh_test_expect_events(t, "users", "UserDeleted", 0);
}
