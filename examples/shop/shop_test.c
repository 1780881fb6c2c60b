/* SPDX-License-Identifier: Apache-2.0 */
/* The whole shop: all of its services run. */

#include <freehold/test.h>

#define STOCK "inventory" /* who keeps the stock */
#define MUGS 5

static void open_shop(fh_test *t)
{
    fh_test_request(t, 201, "users", "POST /api/users",
                    json_pack("{s:s, s:s, s:s}", "name", "Ada", "email", "ada@example.org",
                              "address", "1 Mill Lane"));
    fh_test_request(t, 201, "products", "POST /api/products",
                    json_pack("{s:s, s:s, s:i}", "id", "mug", "name", "Mug", "price", 1200));
    fh_test_rest(t);
    fh_test_request(t, 200, STOCK, "PUT /api/products/mug/stock",
                    json_pack("{s:i}", "quantity", MUGS));
}

static json_t *mugs(int quantity, const char *token)
{
    return json_pack("{s:i, s:[{s:s, s:i}], s:s}", "user_id", 1, "items", "product_id", "mug",
                     "quantity", quantity, "payment_token", token);
}

static void expect_stock(fh_test *t, int quantity)
{
    json_t *stock = fh_test_request(t, 200, STOCK, "GET /api/products/mug/stock", NULL);
    fh_test_expect_json(t, stock, json_pack("{s:i}", "quantity", quantity));
}

FH_TEST(an_order_takes_its_stock_and_is_counted)
{
    open_shop(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(2, "tok_1"));
    fh_test_expect_event(t, "orders", "OrderConfirmed", json_pack("{s:i}", "total", 2400));
    fh_test_expect_events(t, "payments", "PaymentProcessed", 1);
    expect_stock(t, MUGS - 2);
    json_t *user = fh_test_request(t, 200, "users", "GET /api/users/1", NULL);
    fh_test_expect_json(t, user, json_pack("{s:i}", "order_count", 1));
}

FH_TEST(what_is_not_paid_is_back_in_stock)
{
    open_shop(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(2, "tok_declined"));
    fh_test_expect_event(t, "orders", "OrderCancelled", NULL);
    fh_test_expect_events(t, "payments", "PaymentProcessed", 0);
    expect_stock(t, MUGS);
}

FH_TEST(nobody_gets_the_sixth_of_five)
{
    open_shop(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(3, "tok_1"));
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(3, "tok_2"));
    fh_test_expect_events(t, "orders", "OrderConfirmed", 1);
    fh_test_expect_events(t, "orders", "OrderCancelled", 1);
    expect_stock(t, MUGS - 3);
}

FH_TEST(an_order_is_one_order_whatever_fails)
{
    open_shop(t);
    fh_test_faults_begin(t);
    fh_test_request(t, 202, "orders", "POST /api/orders", mugs(1, "tok_1"));
    fh_test_skip_time(t, 5);
    fh_test_faults_end(t);
    fh_test_expect_events(t, "orders", "OrderCreated", 1);
    fh_test_expect_events(t, "orders", "OrderConfirmed", 1);
    fh_test_expect_events(t, "payments", "PaymentProcessed", 1);
    expect_stock(t, MUGS - 1);
}
