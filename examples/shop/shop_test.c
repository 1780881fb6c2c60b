/* SPDX-License-Identifier: Apache-2.0 */
/* The whole shop: all of its services run. */

#include <freehold/test.h>
#include <stdio.h>

#define STOCK "inventory" /* who keeps the stock */
#define MUGS 5

/* Staff fill it, and Ada, who has registered, is logged in. */
static void open_shop(fh_test *t)
{
    fh_test_request(
        t, 201, "users", "POST /api/users",
        fh_object(t, "name", "Ada", "email", "ada@example.org", "address", "1 Mill Lane"));
    fh_test_login(t, "clerk", FH_ROLE("staff"), NULL);
    fh_test_request(t, 201, "products", "POST /api/products",
                    fh_object(t, "id", "mug", "name", "Mug", "price", 1200));
    fh_test_rest(t);
    fh_test_request(t, 200, STOCK, "PUT /api/products/mug/stock", fh_object(t, "quantity", MUGS));
    fh_test_login(t, "1", NULL, NULL);
}

static json_t *mugs(fh_test *t, int quantity, const char *token)
{
    return fh_object(t, "user_id", 1, "items",
                     fh_array(t, fh_object(t, "product_id", "mug", "quantity", quantity)),
                     "payment_token", token);
}

static void expect_stock(fh_test *t, int quantity)
{
    json_t *stock = fh_test_request(t, 200, STOCK, "GET /api/products/mug/stock", NULL);
    fh_test_expect_json(t, stock, fh_object(t, "quantity", quantity));
}

FH_TEST(an_order_takes_its_stock_and_is_counted)
{
    open_shop(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(t, 2, "tok_1"));
    fh_test_expect_event(t, "orders", "OrderConfirmed", fh_object(t, "total", 2400));
    fh_test_expect_events(t, "payments", "PaymentProcessed", 1);
    expect_stock(t, MUGS - 2);
    json_t *user = fh_test_request(t, 200, "users", "GET /api/users/1", NULL);
    fh_test_expect_json(t, user, fh_object(t, "order_count", 1));
}

FH_TEST(what_is_not_paid_is_back_in_stock)
{
    open_shop(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(t, 2, "tok_declined"));
    fh_test_expect_event(t, "orders", "OrderCancelled", NULL);
    fh_test_expect_events(t, "payments", "PaymentProcessed", 0);
    expect_stock(t, MUGS);
}

FH_TEST(nobody_gets_the_sixth_of_five)
{
    open_shop(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(t, 3, "tok_1"));
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(t, 3, "tok_2"));
    fh_test_expect_events(t, "orders", "OrderConfirmed", 1);
    fh_test_expect_events(t, "orders", "OrderCancelled", 1);
    expect_stock(t, MUGS - 3);
}

FH_TEST(an_order_is_one_order_whatever_fails)
{
    open_shop(t);
    fh_test_faults_begin(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(t, 1, "tok_1"));
    fh_test_skip_time(t, 5);
    fh_test_faults_end(t);
    fh_test_expect_events(t, "orders", "OrderCreated", 1);
    fh_test_expect_events(t, "orders", "OrderConfirmed", 1);
    fh_test_expect_events(t, "payments", "PaymentProcessed", 1);
    expect_stock(t, MUGS - 1);
}

FH_TEST(stock_and_prices_are_for_staff)
{
    open_shop(t);
    fh_test_request(t, 403, STOCK, "PUT /api/products/mug/stock", fh_object(t, "quantity", 1000));
    fh_test_request(t, 403, "products", "PATCH /api/products/mug", fh_object(t, "price", 1));
    fh_test_request(t, 403, "products", "DELETE /api/products/mug", NULL);
    fh_test_login(t, NULL, NULL, NULL);
    fh_test_request(t, 401, "products", "PATCH /api/products/mug", fh_object(t, "price", 1));
    json_t *mug = fh_test_request(t, 200, "products", "GET /api/products/mug", NULL);
    fh_test_expect_json(t, mug, fh_object(t, "price", 1200));
    expect_stock(t, MUGS);
}

FH_TEST(what_an_order_brings_about_is_its_users_own)
{
    open_shop(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(t, 2, "tok_1"));
    fh_test_expect_event(t, "orders", "OrderConfirmed", NULL);
    json_t *order = fh_test_request(t, 200, "orders", "GET /api/orders/1", NULL);
    static const char *const paths[] = {"GET /api/shipments/1", "GET /api/orders/1/shipment"};
    json_t *rows = fh_test_rows(t, "orders", "SELECT payment_id FROM orders");
    char payment[128];
    snprintf(payment, sizeof payment, "GET /api/payments/%s",
             json_string_value(json_object_get(json_array_get(rows, 0), "payment_id")));
    fh_test_expect_json(t, order, fh_object(t, "user_id", 1));
    fh_test_request(t, 200, "payments", payment, NULL);
    for (size_t i = 0; i < 2; i++)
        fh_test_request(t, 200, "shipping", paths[i], NULL);
    fh_test_login(t, "2", NULL, NULL);
    fh_test_request(t, 404, "payments", payment, NULL);
    for (size_t i = 0; i < 2; i++)
        fh_test_request(t, 404, "shipping", paths[i], NULL);
    fh_test_request(t, 404, "carts", "GET /api/carts/1", NULL);
    fh_test_request(t, 404, "carts", "PUT /api/carts/1/items/mug", fh_object(t, "quantity", 1));
    fh_test_request(t, 404, "carts", "DELETE /api/carts/1/items/mug", NULL);
}
