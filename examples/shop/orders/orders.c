/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders: takes orders and drives each one to CONFIRMED or CANCELLED. Owns `orders`, `order_items`
 * and `cart_orders`, and the names of users and products to show beside them.
 *
 * A name comes with the first order that needs it and is kept fresh by events. Whatever an event
 * has told stands: an answer of `users` may be older than a UserUpdated that was heard meanwhile,
 * and when it is newer, its event is still to come.
 *
 * Of a cart one order is under way at a time, until what it ordered was taken out. What a cart was
 * asked for before that is no order: see check_out.
 */

#include <freehold.h>

#define TOTAL_MAX 9007199254740991 /* 2^53 - 1: so far every reader of JSON counts exactly */
#define ITEMS_MAX 100              /* of an order */
#define ORDERS_AT_ONCE 100         /* with all of their items */
#define ORDER "SELECT orders.*, user_name FROM orders JOIN user_names USING (user_id) "

#define CART_ORDER "SELECT order_id, under_way FROM cart_orders WHERE user_id = :user_id"

/* Gives each of `orders`, or the one order, its items. */
static json_t *with_items(fh_work *w, json_t *orders)
{
    json_t *ids = json_array();
    size_t i;
    json_t *order;
    json_array_foreach (orders, i, order)
        json_array_append(ids, json_object_get(order, "id"));
    if (json_is_object(orders))
        json_array_append(ids, json_object_get(orders, "id"));
    if (json_array_size(ids) == 0)
        return orders;

    json_t *items = fh_rows(w,
                            "SELECT order_id, product_id, product_name, quantity, price"
                            " FROM order_items JOIN product_names USING (product_id)"
                            " WHERE order_id IN (:ids) ORDER BY order_id, line",
                            fh_object(w, "ids", ids));
    return fh_nest(w, orders, "items", items, "order_id");
}

static json_t *order_with_items(fh_work *w, json_t *named_by)
{
    return with_items(w, fh_row(w, ORDER "WHERE orders.id = :id", named_by));
}

static void get_order(fh_work *w)
{
    json_t *order = order_with_items(w, fh_path(w));
    fh_must_own(w, order, "user_id");
    fh_reply(w, 200, order);
}

static void get_orders(fh_work *w)
{
    fh_must_own(w, fh_query(w), "user_id");
    json_t *page = fh_object(w, "after", 0, "limit", 100);
    json_t *orders = fh_rows(w,
                             ORDER "WHERE user_id = :user_id AND orders.id > :after"
                                   " ORDER BY orders.id LIMIT :limit",
                             fh_query(w), page);
    fh_reply(w, 200, with_items(w, orders));
}

/* What is wanted, with the prices and names that `products` has for it. */
static json_t *priced_items(fh_work *w, json_t *wanted, bool from_cart)
{
    json_t *ids = json_array();
    json_t *items = json_array();
    size_t i;
    json_t *item;
    json_array_foreach (wanted, i, item)
        json_array_append(ids, json_object_get(item, "product_id"));

    json_t *products = fh_get_each(w, "products", "/api/products?ids={ids}", ids);
    json_array_foreach (wanted, i, item) {
        const char *id = json_string_value(json_object_get(item, "product_id"));
        json_t *product = json_object_get(products, id);
        if (!product && from_cart)
            fh_fail(w, 409, "There is no product %s any more: take it out of the cart.", id);
        if (!product)
            fh_fail_at(w, 422, fh_format(w, "/items/%zu/product_id", i), "There is no product %s.",
                       id);
        json_array_append(items, fh_object(w, "line", i, "product_id", id, "product_name",
                                           json_object_get(product, "name"), "quantity",
                                           json_object_get(item, "quantity"), "price",
                                           json_object_get(product, "price")));
    }
    return items;
}

static json_int_t total_of(fh_work *w, json_t *items)
{
    json_int_t total = 0;
    size_t i;
    json_t *item;
    json_array_foreach (items, i, item) {
        json_int_t quantity = json_integer_value(json_object_get(item, "quantity"));
        json_int_t price = json_integer_value(json_object_get(item, "price"));
        if (price > (TOTAL_MAX - total) / quantity)
            fh_fail_at(w, 422, "/items", "The total would be more than %lld.",
                       (long long)TOTAL_MAX);
        total += quantity * price;
    }
    return total;
}

/* The order that each cart was made into last, as it is in `rows`; 0: it was none yet. */
static json_int_t last_order(json_t *rows)
{
    return json_integer_value(json_object_get(json_array_get(rows, 0), "order_id"));
}

/* Makes `order` the one that is under way of its cart, which was asked when `behind` was the last.
 */
static void take_cart(fh_work *w, json_t *order, json_int_t behind)
{
    json_int_t last = last_order(fh_rows(w, CART_ORDER, order));
    if (last != behind)
        fh_fail(w, 409, "The cart was made into order %" JSON_INTEGER_FORMAT " meanwhile.", last);
    fh_exec(w,
            "INSERT INTO cart_orders VALUES (:user_id, :id, TRUE) ON CONFLICT (user_id)"
            " DO UPDATE SET order_id = excluded.order_id, under_way = TRUE",
            order);
}

/* Nothing of it is left in its cart, or it will take nothing out. */
static void leave_cart(fh_work *w)
{
    if (json_array_size(json_object_get(fh_saga_input(w), "carts")) > 0)
        fh_exec(w,
                "UPDATE cart_orders SET under_way = FALSE"
                " WHERE user_id = :user_id AND order_id = :id",
                fh_saga_input(w));
}

/* The order's saga takes out of the cart what came from there. */
static json_t *carts_of(fh_work *w, json_t *wanted, bool from_cart)
{
    return from_cart ? fh_array(w, fh_object(w, "items", json_object_get(wanted, "items")))
                     : fh_array(w);
}

/* From a cart that was asked for behind an order, or behind none; NULL: from no cart. */
static void place(fh_work *w, json_t *wanted, const json_int_t *behind)
{
    bool from_cart = behind != NULL;
    json_t *user = fh_get(w, "users", "/api/users/{user_id}", wanted);
    json_t *items = priced_items(w, json_object_get(wanted, "items"), from_cart);

    /* It goes to the user's own address unless the order says where to. */
    json_t *order = fh_row(w,
                           "INSERT INTO orders (user_id, status, total, address, created_at)"
                           " VALUES (:user_id, 'PENDING', :total, :address, :now) RETURNING *",
                           wanted,
                           fh_object(w, "total", total_of(w, items), "now", fh_now(w), "address",
                                     json_object_get(user, "address")));
    fh_exec(w, "INSERT INTO user_names VALUES (:id, :name) ON CONFLICT DO NOTHING", user);
    size_t i;
    json_t *item;
    json_array_foreach (items, i, item) {
        fh_exec(w,
                "INSERT INTO product_names VALUES (:product_id, :product_name)"
                " ON CONFLICT DO NOTHING",
                item);
        fh_exec(w,
                "INSERT INTO order_items (order_id, line, product_id, quantity, price)"
                " VALUES (:id, :line, :product_id, :quantity, :price)",
                order, item);
    }

    if (from_cart)
        take_cart(w, order, *behind);
    json_t *shown = order_with_items(w, order), *created = json_copy(order);
    json_object_set(created, "items", json_object_get(shown, "items"));
    fh_publish(w, "OrderCreated", created);
    json_t *input = json_copy(order);
    json_object_set(input, "items", items);
    json_object_set_new(input, "carts", carts_of(w, wanted, from_cart));
    json_object_set(input, "token", json_object_get(wanted, "payment_token"));
    fh_saga_start(w, "place_order", input);
    fh_reply(w, 202, shown);
}

static void place_order(fh_work *w)
{
    fh_must_own(w, fh_body(w), "user_id");
    place(w, fh_body(w), NULL);
}

/* Looks at the cart's last order before it asks for the cart: if that is still the last one in the
 * work, the cart was asked when all that it ordered had been taken out. The question names it, so
 * that a rerun behind another order asks again instead of hearing what was answered before. */
static void check_out(fh_work *w)
{
    fh_must_own(w, fh_path(w), "user_id");
    json_t *rows = fh_peek(w, CART_ORDER, fh_path(w));
    json_int_t behind = last_order(rows);
    if (json_is_true(json_object_get(json_array_get(rows, 0), "under_way")))
        fh_fail(w, 409, "Order %" JSON_INTEGER_FORMAT " of this cart is still under way.", behind);
    json_t *cart = fh_get(w, "carts", "/api/carts/{user_id}?behind={behind}", fh_path(w),
                          fh_object(w, "behind", behind));
    json_t *wanted = json_copy(fh_body(w));
    if (json_array_size(json_object_get(cart, "items")) == 0)
        fh_fail(w, 409, "The cart is empty.");
    json_object_update(wanted, cart);
    place(w, wanted, &behind);
}

static void confirm_order(fh_work *w)
{
    json_t *payment = json_object_get(fh_saga_answer(w, "charge"), "id");
    json_t *shipment = json_object_get(fh_saga_answer(w, "ship"), "id");
    json_t *order =
        fh_row(w,
               "UPDATE orders SET status = 'CONFIRMED', payment_id = :payment,"
               " shipment_id = :shipment WHERE id = :id RETURNING *",
               fh_object(w, "payment", payment, "shipment", shipment), fh_saga_input(w));
    fh_publish(w, "OrderConfirmed", order);
}

static void cancel_order(fh_work *w)
{
    json_t *why = fh_saga_reason(w); /* the step that could not be done, and what it said */
    const char *reason = fh_format(w, "%s: %s", json_string_value(json_object_get(why, "step")),
                                   json_string_value(json_object_get(why, "detail")));
    json_t *order = fh_row(w,
                           "UPDATE orders SET status = 'CANCELLED', reason = :reason"
                           " WHERE id = :id RETURNING *",
                           fh_object(w, "reason", reason), fh_saga_input(w));
    fh_publish(w, "OrderCancelled", order);
    leave_cart(w);
}

static void user_renamed(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO user_names VALUES (:id, :name)"
            " ON CONFLICT (user_id) DO UPDATE SET user_name = excluded.user_name",
            fh_event_data(w));
}

static void user_deleted(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO user_names VALUES (:id, 'user [deleted]')"
            " ON CONFLICT (user_id) DO UPDATE SET user_name = excluded.user_name",
            fh_event_data(w));
}

static void product_renamed(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO product_names VALUES (:id, :name)"
            " ON CONFLICT (product_id) DO UPDATE SET product_name = excluded.product_name",
            fh_event_data(w));
}

/* ---- Beginning anew with what there is (docs/guide/events.md) ---- */

/* The name of a product that is gone stays, as it does when that is told. */
static void user_gone(fh_work *w)
{
    fh_exec(w, "UPDATE user_names SET user_name = 'user [deleted]' WHERE user_id = :key",
            fh_event_data(w));
}

static void users_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT user_id FROM user_names WHERE user_id > :after"
                     " ORDER BY user_id LIMIT :limit",
                     fh_query(w)));
}

/* Their items by the hundred orders: so there are no more of them than fh_rows reads. */
static void every_order(fh_work *w)
{
    json_t *orders =
        fh_rows(w, "SELECT * FROM orders WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w));
    for (size_t first = 0; first < json_array_size(orders); first += ORDERS_AT_ONCE) {
        json_t *some = json_array();
        for (size_t i = first; i < json_array_size(orders) && i < first + ORDERS_AT_ONCE; i++)
            json_array_append(some, json_array_get(orders, i));
        with_items(w, some);
    }
    fh_reply(w, 200, orders);
}

static void every_confirmed_order(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT * FROM orders WHERE status = 'CONFIRMED' AND id > :after"
                     " ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

/* Everything up to the pivot can be undone: where nothing can be sent to, the money goes back. Once
 * the goods are on their way, the rest will be done. */
#define PLACE_ORDER                                                                                \
    {"reserve", .each = "items",                                                                   \
     .call = "inventory POST /api/products/{product_id}/reserve?quantity={quantity}",              \
     .undo = "inventory POST /api/products/{product_id}/release?quantity={quantity}"},             \
        {"charge", .call = "payments POST /api/payments",                                          \
         .undo = "payments POST /api/payments/refund",                                             \
         .body = "order_id=id,user_id,amount=total,token", .timeout_ms = 1000},                    \
        {"ship",                                                                                   \
         .call = "shipping POST /api/shipments",                                                   \
         .undo = "shipping POST /api/shipments/cancel",                                            \
         .body = "order_id=id,user_id,address",                                                    \
         .pivot = true,                                                                            \
         .personal = "address"},                                                                   \
        {"confirm", .run = confirm_order},                                                         \
        {"count", .call = "users POST /api/users/{user_id}/orders/increment"},                     \
        {"empty_cart", .each = "carts", .call = "carts POST /api/carts/{user_id}/remove",          \
         .body = "items"},
static const fh_step place_order_steps[] = {PLACE_ORDER{"leave_cart", .run = leave_cart}, {0}};
static const fh_step place_order_steps_1[] = {PLACE_ORDER{0}}; /* of orders that were under way */

static const fh_field item_shape[] = {{"product_id", FH_STRING, .min = 1, .max = 200},
                                      {"quantity", FH_INT, .min = 1, .max = 1000000000},
                                      {0}};

static const fh_field place_order_shape[] = {
    {"user_id", FH_INT, .min = 1},
    {"items", FH_ARRAY, .of = item_shape, .min = 1, .max = ITEMS_MAX},
    {"payment_token", FH_STRING, .min = 1, .max = 200, .card = true},
    {"address", FH_STRING, .max = 1000, .optional = true, .personal = true},
    {0}};

static const fh_field check_out_shape[] = {
    {"payment_token", FH_STRING, .min = 1, .max = 200, .card = true},
    {"address", FH_STRING, .max = 1000, .optional = true, .personal = true},
    {0}};

/* The token is gone from the saga as soon as the card was charged. */
static const fh_field place_order_input[] = {{"id", FH_INT},
                                             {"user_id", FH_INT},
                                             {"address", FH_STRING, .personal = true},
                                             {"token", FH_STRING, .card = true},
                                             {"*"},
                                             {0}};

static const fh_field page_shape[] = {
    {"user_id", FH_INT, .min = 1},
    {"limit", FH_INT, .min = 1, .max = ORDERS_AT_ONCE, .optional = true},
    {"after", FH_INT, .min = 0, .optional = true},
    {0}};

static const fh_field order_shape[] = {{"id", FH_INT},
                                       {"user_id", FH_INT},
                                       {"status", FH_STRING},
                                       {"total", FH_INT},
                                       {"address", FH_STRING, .personal = true},
                                       {"payment_id", FH_STRING, .nullable = true},
                                       {"shipment_id", FH_INT, .nullable = true},
                                       {"reason", FH_STRING, .nullable = true},
                                       {"created_at", FH_STRING},
                                       {0}};

static const fh_field answered_item_shape[] = {{"product_id", FH_STRING},
                                               {"product_name", FH_STRING},
                                               {"quantity", FH_INT},
                                               {"price", FH_INT},
                                               {0}};

/* An order that was made, as its event tells: one from an earlier edition has no items. */
static const fh_field created_shape[] = {
    {"id", FH_INT},
    {"user_id", FH_INT},
    {"status", FH_STRING},
    {"total", FH_INT},
    {"address", FH_STRING, .personal = true},
    {"payment_id", FH_STRING, .nullable = true},
    {"shipment_id", FH_INT, .nullable = true},
    {"reason", FH_STRING, .nullable = true},
    {"created_at", FH_STRING},
    {"items", FH_ARRAY, .of = answered_item_shape, .optional = true},
    {0}};

/* An order as it is answered: with its items, and names to show. */
static const fh_field answer_shape[] = {{"id", FH_INT},
                                        {"user_id", FH_INT},
                                        {"user_name", FH_STRING, .personal = true},
                                        {"status", FH_STRING},
                                        {"total", FH_INT},
                                        {"address", FH_STRING, .personal = true},
                                        {"payment_id", FH_STRING, .nullable = true},
                                        {"shipment_id", FH_INT, .nullable = true},
                                        {"reason", FH_STRING, .nullable = true},
                                        {"created_at", FH_STRING},
                                        {"items", FH_ARRAY, .of = answered_item_shape},
                                        {0}};

FH_SERVICE(
    orders, .model = FH_RELATIONAL,
    .routes = {{"POST", "/api/orders", place_order, .body = place_order_shape,
                .answer = {202, answer_shape}, .auth = FH_USER, .name = "place_order",
                .summary = "Places an order", .location = "/api/orders/{id}"},
               {"POST", "/api/carts/{user_id:int}/checkout", check_out, .body = check_out_shape,
                .answer = {202, answer_shape}, .auth = FH_USER, .name = "check_out",
                .summary = "Orders what is in a cart", .location = "/api/orders/{id}"},
               {"GET", "/api/orders", get_orders, .query = page_shape,
                .answer = {200, .each = answer_shape}, .auth = FH_USER, .name = "get_orders",
                .summary = "A user's orders, in their order"},
               {"GET", "/api/orders/{id:int}", get_order, .answer = {200, answer_shape},
                .auth = FH_USER, .name = "get_order", .summary = "An order"}},
    .publishes = {{"OrderCreated", 1, created_shape, .key = "id", .state = every_order},
                  {"OrderConfirmed", 1, order_shape, .key = "id", .state = every_confirmed_order},
                  {"OrderCancelled", 1, order_shape, .key = "id"}},
    .subscribes = {{"users", "UserUpdated", user_renamed, .fields = "id,name",
                    .upsert = user_renamed, .gone = user_gone, .held = users_held,
                    .personal = "name"},
                   {"users", "UserDeleted", user_deleted, .fields = "id",
                    .covered_by = "UserUpdated"},
                   {"products", "ProductUpdated", product_renamed, .fields = "id,name",
                    .upsert = product_renamed}},
    .asks = {{"users", "/api/users/{user_id}", .personal = "name,email,address"},
             {"products", "/api/products?ids={ids}"},
             {"carts", "/api/carts/{user_id}?behind={behind}"}},
    .sagas = {{"place_order", place_order_steps, .undone = cancel_order, .version = 2,
               .input = place_order_input},
              {"place_order", place_order_steps_1, .undone = cancel_order,
               .input = place_order_input}},
    .shapes = {{"Order", answer_shape},
               {"OrderItem", answered_item_shape},
               {"NewOrder", place_order_shape},
               {"NewOrderItem", item_shape},
               {"Checkout", check_out_shape}});
