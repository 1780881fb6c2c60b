/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders, for the benchmarks: the least that a real service does. A few tables; an answer without
 * the store, one row read, an order with its event, the same placed by a timer, one of three
 * statements, and an order that is a saga of three steps. With DERIVES it declares derived stores,
 * and derives nothing.
 */

#include <freehold.h>

static void constant(fh_work *w)
{
    fh_reply(w, 200, json_pack("{s:i, s:i, s:s}", "id", 1, "user_id", 7, "status", "PLACED"));
}

static void get_order(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT * FROM orders WHERE id = :id", fh_path(w)));
}

static json_t *insert_order(fh_work *w, json_t *wanted, const char *status)
{
    return fh_row(w,
                  "INSERT INTO orders (user_id, product_id, quantity, total, status)"
                  " VALUES (:user_id, :product_id, :quantity, :total, :status) RETURNING *",
                  wanted, json_pack("{s:s}", "status", status));
}

static json_t *place(fh_work *w, json_t *wanted)
{
    json_t *order = insert_order(w, wanted, "PLACED");
    fh_publish(w, "OrderCreated", order);
    return order;
}

static void place_order(fh_work *w)
{
    fh_reply(w, 201, place(w, fh_body(w)));
}

/* Three statements beside the event: what a client asks for with a key. */
static void check_out(fh_work *w)
{
    json_t *product = fh_row(w, "SELECT price FROM products WHERE id = :product_id", fh_body(w));
    json_t *order = insert_order(w, fh_body(w), "PLACED");
    fh_exec(w,
            "INSERT INTO order_lines (order_id, product_id, quantity, price)"
            " VALUES (:id, :product_id, :quantity, :price)",
            order, product);
    fh_publish(w, "OrderCreated", order);
    fh_reply(w, 201, order);
}

static void place_when_due(fh_work *w)
{
    place(w, fh_timer_data(w));
}

static void set_timers(fh_work *w)
{
    json_t *body = fh_body(w);
    json_int_t count = json_integer_value(json_object_get(body, "count"));
    for (json_int_t i = 0; i < count; i++)
        fh_at(w, json_integer_value(json_object_get(body, "due_ms")), "place",
              json_object_get(body, "data"));
    fh_reply(w, 201, json_pack("{s:I}", "count", count));
}

static void every_order(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT * FROM orders WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w)));
}

static void buy(fh_work *w)
{
    json_t *order = insert_order(w, fh_body(w), "PENDING");
    fh_saga_start(w, "buy", order);
    fh_reply(w, 202, order);
}

static void confirm(fh_work *w)
{
    fh_exec(w, "UPDATE orders SET status = 'CONFIRMED' WHERE id = :id", fh_saga_input(w));
}

static void cancel(fh_work *w)
{
    fh_exec(w, "UPDATE orders SET status = 'CANCELLED' WHERE id = :id", fh_saga_input(w));
}

static const fh_step buy_steps[] = {
    {"reserve", .call = "stock POST /reservations", .undo = "stock POST /reservations/release",
     .body = "order_id=id,product_id,quantity"},
    {"charge", .call = "stock POST /charges", .body = "order_id=id,total", .pivot = true},
    {"confirm", .run = confirm},
    {0}};

static const fh_field wanted_shape[] = {{"user_id", FH_INT},
                                        {"product_id", FH_STRING},
                                        {"quantity", FH_INT, .min = 1},
                                        {"total", FH_INT},
                                        {0}};

static const fh_field timers_shape[] = {{"count", FH_INT, .min = 1, .max = 1000},
                                        {"due_ms", FH_INT},
                                        {"data", FH_OBJECT, .of = wanted_shape},
                                        {0}};

static const fh_field order_shape[] = {{"id", FH_INT},
                                       {"user_id", FH_INT},
                                       {"product_id", FH_STRING},
                                       {"quantity", FH_INT},
                                       {"total", FH_INT},
                                       {"status", FH_STRING},
                                       {0}};

#ifdef DERIVES
static const struct fh_derived_field searched_fields[] = {{"product_id", FH_STRING, FH_TEXT}, {0}};
static const struct fh_derived_field sold_fields[] = {
    {"product_id", FH_STRING, FH_TAG}, {"total", FH_INT}, {0}};
#define DERIVED                                                                                    \
    {                                                                                              \
        {"searched", FH_SEARCH, searched_fields},                                                  \
        {                                                                                          \
            "sold", FH_COLUMNS, sold_fields                                                        \
        }                                                                                          \
    }
#else
#define DERIVED                                                                                    \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#endif

FH_SERVICE(orders, .model = FH_RELATIONAL,
           .routes = {{"GET", "/constant", constant, .auth = FH_ANYONE},
                      {"GET", "/orders/{id:int}", get_order, .auth = FH_ANYONE},
                      {"POST", "/orders", place_order, .body = wanted_shape, .auth = FH_ANYONE},
                      {"POST", "/checkouts", check_out, .body = wanted_shape, .auth = FH_ANYONE},
                      {"POST", "/timers", set_timers, .body = timers_shape, .auth = FH_ANYONE},
                      {"POST", "/purchases", buy, .body = wanted_shape,
                       .answer = {202, order_shape}, .location = "/orders/{id}",
                       .auth = FH_ANYONE}},
           .publishes = {{"OrderCreated", 1, order_shape, .key = "id", .state = every_order}},
           .sagas = {{"buy", buy_steps, .undone = cancel}},
           .timers = {{"place", place_when_due, .data = wanted_shape}}, .derives = DERIVED);
