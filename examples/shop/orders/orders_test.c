/* SPDX-License-Identifier: Apache-2.0 */
/* Orders alone: users, products, inventory, payments and shipping are stubs. */

#include <freehold/test.h>

#define STOCK "inventory" /* who reserves */
#define RESERVE "POST /api/products/{id}/reserve"
#define RELEASE "POST /api/products/{id}/release"
#define CHARGE "POST /api/payments"
#define REFUND "POST /api/payments/refund"
#define SHIP "POST /api/shipments"

static json_t *ada(fh_test *t, const char *name)
{
    return fh_object(t, "id", 7, "name", name, "email", "ada@example.org", "address", "1 Mill Lane",
                     "order_count", 0);
}

static json_t *payment(fh_test *t)
{
    return fh_object(t, "id", "pay-1", "order_id", 1, "user_id", 7, "amount", 2400, "status",
                     "CHARGED", "charged_at", "2026-03-01T12:00:00.000Z");
}

static json_t *shipment(fh_test *t)
{
    return fh_object(t, "id", 3, "order_id", 1, "user_id", 7, "address", "1 Mill Lane", "status",
                     "CREATED", "created_at", "2026-03-01T12:00:00.000Z");
}

/* Ada is logged in, and everybody says yes. */
static void stub_all(fh_test *t)
{
    fh_test_login(t, "7", NULL, NULL);
    fh_test_stub(t, "users", "GET /api/users/7", 200, ada(t, "Ada"));
    fh_test_stub(t, "products", "GET /api/products", 200,
                 fh_array(t, fh_object(t, "id", "mug", "name", "Mug", "price", 1200)));
    fh_test_stub(t, STOCK, RESERVE, 200, json_true());
    fh_test_stub(t, "payments", CHARGE, 201, payment(t));
    fh_test_stub(t, "shipping", SHIP, 201, shipment(t));
    fh_test_stub(t, "users", "POST /api/users/7/orders/increment", 204, NULL);
}

static json_t *two_mugs(fh_test *t)
{
    return fh_object(t, "user_id", 7, "items",
                     fh_array(t, fh_object(t, "product_id", "mug", "quantity", 2)), "payment_token",
                     "tok_1");
}

FH_TEST_OF(orders, an_order_is_confirmed_when_it_is_paid_and_shipped)
{
    stub_all(t);
    json_t *order = fh_test_request(t, 202, "orders", "POST /api/orders", two_mugs(t));
    fh_test_expect_json(t, order, fh_object(t, "status", "PENDING", "total", 2400));
    fh_test_expect_event(t, "orders", "OrderConfirmed",
                         fh_object(t, "id", 1, "payment_id", "pay-1", "shipment_id", 3));
    order = fh_test_request(t, 200, "orders", "GET /api/orders/1", NULL);
    fh_test_expect_json(t, order,
                        fh_object(t, "status", "CONFIRMED", "user_name", "Ada", "items",
                                  fh_array(t, fh_object(t, "product_name", "Mug", "quantity", 2))));
    fh_test_expect_events(t, "orders", "OrderCancelled", 0);
}

FH_TEST_OF(orders, an_order_that_is_not_paid_gives_its_stock_back_and_says_why)
{
    stub_all(t);
    fh_test_stub(t, "payments", CHARGE, 402,
                 fh_object(t, "detail", "The card was declined.", "status", 402));
    fh_test_request(t, 202, "orders", "POST /api/orders", two_mugs(t));
    fh_test_expect_event(t, "orders", "OrderCancelled",
                         fh_object(t, "reason", "charge: The card was declined."));
    fh_test_expect_asked(t, STOCK, RELEASE, 1);
    fh_test_expect_asked(t, "shipping", SHIP, 0);
    fh_test_expect_events(t, "orders", "OrderConfirmed", 0);
}

FH_TEST_OF(orders, the_money_goes_back_where_nothing_can_be_shipped_to)
{
    stub_all(t);
    fh_test_stub(t, "shipping", SHIP, 409, NULL);
    fh_test_request(t, 202, "orders", "POST /api/orders", two_mugs(t));
    fh_test_expect_event(t, "orders", "OrderCancelled", fh_object(t, "id", 1));
    fh_test_expect_asked(t, "payments", REFUND, 1);
    fh_test_expect_asked(t, STOCK, RELEASE, 1);
}

FH_TEST_OF(orders, an_order_is_charged_once_whenever_orders_dies)
{
    stub_all(t);
    fh_test_crash_soon(t, "orders");
    fh_test_request(t, 202, "orders", "POST /api/orders", two_mugs(t));
    fh_test_crash_soon(t, "orders");
    fh_test_expect_event(t, "orders", "OrderConfirmed", NULL);
    fh_test_expect_events(t, "orders", "OrderCreated", 1);
    fh_test_expect_events(t, "orders", "OrderConfirmed", 1);
    fh_test_expect_asked(t, "payments", CHARGE, 1);
}

FH_TEST_OF(orders, a_bank_that_is_away_is_waited_for_until_the_sagas_time_is_over)
{
    stub_all(t);
    fh_test_stub(t, "payments", CHARGE, 503, NULL);
    fh_test_request(t, 202, "orders", "POST /api/orders", two_mugs(t));
    fh_test_skip_time(t, 500);
    json_t *order = fh_test_request(t, 200, "orders", "GET /api/orders/1", NULL);
    fh_test_expect_json(t, order, fh_object(t, "status", "PENDING"));
    fh_test_skip_time(t, 200);
    fh_test_expect_events(t, "orders", "OrderCancelled", 1);
    fh_test_expect_asked(t, "payments", REFUND, 1); /* it may have been charged unheard */
}

FH_TEST_OF(orders, a_users_name_is_kept_as_it_is_told)
{
    stub_all(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", two_mugs(t));
    fh_test_publish(t, "users", "UserUpdated", ada(t, "Ada Lovelace"));
    fh_test_rest(t);
    json_t *order = fh_test_request(t, 200, "orders", "GET /api/orders/1", NULL);
    fh_test_expect_json(t, order, fh_object(t, "user_name", "Ada Lovelace"));
    fh_test_publish(t, "users", "UserDeleted", fh_object(t, "id", 7));
    fh_test_crash(t, "orders");
    fh_test_rest(t);
    order = fh_test_request(t, 200, "orders", "GET /api/orders/1", NULL);
    fh_test_expect_json(t, order, fh_object(t, "user_name", "user [deleted]"));
}

FH_TEST_OF(orders, nobody_orders_what_is_not_sold)
{
    stub_all(t);
    fh_test_stub(t, "products", "GET /api/products", 200, json_array());
    json_t *problem = fh_test_request(t, 422, "orders", "POST /api/orders", two_mugs(t));
    fh_test_expect_json(t, problem, fh_object(t, "detail", "There is no product mug."));
    fh_test_expect_events(t, "orders", "OrderCreated", 0);
}

FH_TEST_OF(orders, an_order_is_its_users_own)
{
    stub_all(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", two_mugs(t));
    fh_test_rest(t);
    fh_test_login(t, "8", FH_ROLE("staff"), NULL);
    json_t *others = fh_test_request(t, 404, "orders", "GET /api/orders/1", NULL);
    json_t *none = fh_test_request(t, 404, "orders", "GET /api/orders/2", NULL);
    fh_test_expect_json(t, others, json_deep_copy(none)); /* no telling one from the other */
    fh_test_request(t, 404, "orders", "GET /api/orders?user_id=7", NULL);
    fh_test_request(t, 404, "orders", "POST /api/orders", two_mugs(t));
    fh_test_request(t, 404, "orders", "POST /api/carts/7/checkout",
                    fh_object(t, "payment_token", "tok_1"));
    fh_test_login(t, NULL, NULL, NULL);
    fh_test_request(t, 401, "orders", "GET /api/orders/1", NULL);
    fh_test_expect_events(t, "orders", "OrderCreated", 1);
}
