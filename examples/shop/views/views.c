/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: a list of orders with names, and with what became of payment and shipment. Made of events
 * alone, of five services: it asks nobody, and nobody's store is joined with another's.
 *
 * Each publisher's events fill tables of their own, which are joined when somebody looks. So it
 * does not matter whose event comes first: a payment that is heard of before its order waits here,
 * and a user's new name is one row, however many orders there are. All rows can be made anew:
 * `freehold rebuild views` (docs/operate/rebuilding.md).
 *
 * Of personal data it takes the user's name. Where an order was sent to is not its business.
 */

#include <freehold.h>

#define SHOWN "id,user_id,status,total,created_at" /* all that is kept of an order */
#define PAGE_MAX 100                               /* with all items: as many as fh_rows reads */

/* A user who is gone, or not heard of yet, has no name here. */
#define LISTED                                                                                     \
    "SELECT orders.id, orders.user_id, users.name AS user_name, orders.status, orders.total,"      \
    " payments.status AS payment, shipments.status AS shipment, orders.created_at FROM orders"     \
    " LEFT JOIN users ON users.id = orders.user_id"                                                \
    " LEFT JOIN payments ON payments.order_id = orders.id"                                         \
    " LEFT JOIN shipments ON shipments.order_id = orders.id "

/* ---- What is heard ---- */

/* Whatever became of it by now. Its items are told once, and never change. */
static void order_heard(fh_work *w)
{
    json_t *order = fh_event_data(w), *item;
    size_t i;
    fh_exec(w,
            "INSERT INTO orders (id, user_id, status, total, created_at)"
            " VALUES (:id, :user_id, :status, :total, :created_at)"
            " ON CONFLICT (id) DO UPDATE SET status = excluded.status",
            order);
    json_array_foreach (json_object_get(order, "items"), i, item) {
        fh_exec(w,
                "INSERT INTO order_items (order_id, line, product_id, quantity, price)"
                " VALUES (:id, :line, :product_id, :quantity, :price) ON CONFLICT DO NOTHING",
                order, item, fh_object(w, "line", i));
    }
}

static void user_heard(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO users (id, name) VALUES (:id, :name)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            fh_event_data(w));
}

static void user_deleted(fh_work *w)
{
    fh_exec(w, "DELETE FROM users WHERE id = :id", fh_event_data(w));
}

/* The name of a product that is gone stays: it was bought under that. */
static void product_heard(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO products (id, name) VALUES (:id, :name)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            fh_event_data(w));
}

static void payment_heard(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO payments (order_id, status) VALUES (:order_id, :status)"
            " ON CONFLICT (order_id) DO UPDATE SET status = excluded.status",
            fh_event_data(w));
}

static void shipment_heard(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO shipments (order_id, status) VALUES (:order_id, :status)"
            " ON CONFLICT (order_id) DO UPDATE SET status = excluded.status",
            fh_event_data(w));
}

/* ---- Beginning anew with what there is (docs/guide/events.md) ---- */

static void order_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM order_items WHERE order_id = :key", fh_event_data(w));
    fh_exec(w, "DELETE FROM orders WHERE id = :key", fh_event_data(w));
}

static void user_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM users WHERE id = :key", fh_event_data(w));
}

static void payment_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM payments WHERE order_id = :key", fh_event_data(w));
}

static void shipment_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM shipments WHERE order_id = :key", fh_event_data(w));
}

static void orders_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT id FROM orders WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

static void users_held(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT id FROM users WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w)));
}

static void payments_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT order_id FROM payments WHERE order_id > :after ORDER BY order_id"
                     " LIMIT :limit",
                     fh_query(w)));
}

static void shipments_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT order_id FROM shipments WHERE order_id > :after ORDER BY order_id"
                     " LIMIT :limit",
                     fh_query(w)));
}

/* ---- What is shown ---- */

static json_t *with_items(fh_work *w, json_t *orders)
{
    json_t *ids = json_array(), *order;
    size_t i;
    json_array_foreach (orders, i, order)
        json_array_append(ids, json_object_get(order, "id"));
    if (json_array_size(ids) == 0)
        return orders;
    json_t *items = fh_rows(w,
                            "SELECT order_id, product_id, products.name AS product_name, quantity,"
                            " price FROM order_items LEFT JOIN products ON products.id = product_id"
                            " WHERE order_id IN (:ids) ORDER BY order_id, line",
                            fh_object(w, "ids", ids));
    return fh_nest(w, orders, "items", items, "order_id");
}

static void get_own_orders(fh_work *w)
{
    fh_must_own(w, fh_path(w), "user_id");
    fh_reply(w, 200, with_items(w, fh_page_rows(w, LISTED "WHERE user_id = :user_id", fh_path(w))));
}

static void get_orders(fh_work *w)
{
    json_t *orders = fh_page_rows(
        w, LISTED "WHERE CAST(:status AS TEXT) IS NULL OR orders.status = :status", fh_query(w));
    fh_reply(w, 200, with_items(w, orders));
}

static const char *const statuses[] = {"PENDING", "CONFIRMED", "CANCELLED", NULL};
static const fh_field filter_shape[] = {
    {"status", FH_STRING, .one_of = statuses, .nullable = true, .default_value = "null"}, {0}};

static const fh_field item_shape[] = {{"product_id", FH_STRING},
                                      {"product_name", FH_STRING, .nullable = true},
                                      {"quantity", FH_INT},
                                      {"price", FH_INT},
                                      {0}};
static const fh_field listed_shape[] = {
    {"id", FH_INT},
    {"user_id", FH_INT},
    {"user_name", FH_STRING, .nullable = true, .personal = true},
    {"status", FH_STRING},
    {"total", FH_INT},
    {"payment", FH_STRING, .nullable = true},
    {"shipment", FH_STRING, .nullable = true},
    {"created_at", FH_STRING},
    {"items", FH_ARRAY, .of = item_shape},
    {0}};

#define NEWEST_FIRST                                                                               \
    {                                                                                              \
        "id", .limit = 20, .limit_max = PAGE_MAX, .descending = true                               \
    }

FH_SERVICE(
    views, .model = FH_RELATIONAL,
    .routes = {{"GET", "/api/users/{user_id:int}/orders", get_own_orders, .page = NEWEST_FIRST,
                .answer = {200, .each = listed_shape}, .auth = FH_USER, .name = "list_own_orders",
                .summary = "A user's orders with all that belongs to them, the newest first",
                .of_view = true},
               {"GET", "/api/views/orders", get_orders, .query = filter_shape, .page = NEWEST_FIRST,
                .answer = {200, .each = listed_shape}, .auth = FH_ROLE("staff"),
                .name = "list_orders",
                .summary = "All orders with all that belongs to them, the newest first",
                .of_view = true}},
    .subscribes =
        {{"orders", "OrderCreated", order_heard, .fields = SHOWN ",items", .upsert = order_heard,
          .gone = order_gone, .held = orders_held},
         {"orders", "OrderConfirmed", order_heard, .fields = SHOWN, .covered_by = "OrderCreated"},
         {"orders", "OrderCancelled", order_heard, .fields = SHOWN, .covered_by = "OrderCreated"},
         {"users", "UserUpdated", user_heard, .fields = "id,name", .upsert = user_heard,
          .gone = user_gone, .held = users_held, .personal = "name"},
         {"users", "UserCreated", user_heard, .fields = "id,name", .covered_by = "UserUpdated",
          .personal = "name"},
         {"users", "UserDeleted", user_deleted, .fields = "id", .covered_by = "UserUpdated"},
         {"products", "ProductUpdated", product_heard, .fields = "id,name",
          .upsert = product_heard},
         {"products", "ProductCreated", product_heard, .fields = "id,name",
          .covered_by = "ProductUpdated"},
         {"payments", "PaymentProcessed", payment_heard, .fields = "order_id,status",
          .upsert = payment_heard, .gone = payment_gone, .held = payments_held},
         {"payments", "PaymentRefunded", payment_heard, .fields = "order_id,status",
          .covered_by = "PaymentProcessed"},
         {"shipping", "ShipmentCreated", shipment_heard, .fields = "order_id,status",
          .upsert = shipment_heard, .gone = shipment_gone, .held = shipments_held},
         {"shipping", "ShipmentCancelled", shipment_heard, .fields = "order_id,status",
          .covered_by = "ShipmentCreated"}},
    .shapes = {{"ListedOrder", listed_shape}, {"ListedItem", item_shape}});
