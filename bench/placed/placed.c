/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders as the shop's are, for the benchmarks: with two items each, and confirmed at once. It
 * keeps none of them; what is measured is who subscribes to them, which are the shop's own
 * services.
 */

#include <freehold.h>

#define ORDERS_AT_ONCE 50 /* two events each */
#define USERS 1000

static json_t *item_of(fh_work *w, int64_t number, int64_t quantity, int64_t price)
{
    return fh_object(w, "product_id", fh_format(w, "p-%d", (int)(number % 100)), "product_name",
                     "One of many", "quantity", quantity, "price", price);
}

static json_t *order_of(fh_work *w, int64_t id, const char *status)
{
    const char *none = NULL;
    return fh_object(w, "id", id, "user_id", id % USERS + 1, "status", status, "total", 8997,
                     "address", "1 Main Street", "payment_id", none, "shipment_id", none, "reason",
                     none, "created_at", "2026-03-01T12:00:00.000Z");
}

static void place_orders(fh_work *w)
{
    int64_t from = json_integer_value(json_object_get(fh_path(w), "from"));
    for (int64_t id = from; id < from + ORDERS_AT_ONCE; id++) {
        json_t *created = order_of(w, id, "PENDING"), *items = json_array();
        json_array_append(items, item_of(w, id, 2, 2999));
        json_array_append(items, item_of(w, id + 1, 1, 2999));
        json_object_set(created, "items", items);
        fh_publish(w, "OrderCreated", created);
        fh_publish(w, "OrderConfirmed", order_of(w, id, "CONFIRMED"));
    }
    fh_reply(w, 201, NULL);
}

#define ORDER_FIELDS                                                                               \
    {"id", FH_INT}, {"user_id", FH_INT}, {"status", FH_STRING}, {"total", FH_INT},                 \
        {"address", FH_STRING, .personal = true}, {"payment_id", FH_STRING, .nullable = true},     \
        {"shipment_id", FH_INT, .nullable = true}, {"reason", FH_STRING, .nullable = true},        \
    {                                                                                              \
        "created_at", FH_STRING                                                                    \
    }

static const fh_field item_shape[] = {{"product_id", FH_STRING},
                                      {"product_name", FH_STRING},
                                      {"quantity", FH_INT},
                                      {"price", FH_INT},
                                      {0}};
static const fh_field created_shape[] = {
    ORDER_FIELDS, {"items", FH_ARRAY, .of = item_shape, .optional = true}, {0}};
static const fh_field order_shape[] = {ORDER_FIELDS, {0}};

FH_SERVICE(orders, .model = FH_RELATIONAL,
           .routes = {{"POST", "/orders/{from:int}", place_orders, .auth = FH_ANYONE}},
           .publishes = {{"OrderCreated", 1, created_shape, .key = "id"},
                         {"OrderConfirmed", 1, order_shape, .key = "id"},
                         {"OrderCancelled", 1, order_shape, .key = "id"}});
