/* SPDX-License-Identifier: Apache-2.0 */
/* Stock, for the benchmarks: hears of every order, and does two steps of the orders' saga. */

#include <freehold.h>

static void order_created(fh_work *w)
{
    fh_exec(w, "INSERT INTO heard (order_id, quantity) VALUES (:id, :quantity)", fh_event_data(w));
}

static void order_is(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO heard (order_id, quantity) VALUES (:id, :quantity)"
            " ON CONFLICT (order_id) DO UPDATE SET quantity = excluded.quantity",
            fh_event_data(w));
}

static void reserve(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO reservations (order_id, product_id, quantity)"
            " VALUES (:order_id, :product_id, :quantity)",
            fh_body(w));
    fh_reply(w, 201, fh_body(w));
}

static void release(fh_work *w)
{
    fh_exec(w, "DELETE FROM reservations WHERE order_id = :order_id", fh_undone_request(w));
}

static void charge(fh_work *w)
{
    fh_exec(w, "INSERT INTO charges (order_id, total) VALUES (:order_id, :total)", fh_body(w));
    fh_reply(w, 201, fh_body(w));
}

static const fh_field reservation_shape[] = {
    {"order_id", FH_INT}, {"product_id", FH_STRING}, {"quantity", FH_INT, .min = 1}, {0}};

static const fh_field charge_shape[] = {{"order_id", FH_INT}, {"total", FH_INT}, {0}};

FH_SERVICE(stock, .model = FH_RELATIONAL,
           .routes = {{"POST", "/reservations", reserve, .body = reservation_shape,
                       .audience = FH_SERVICES},
                      {"POST", "/reservations/release", .body = reservation_shape,
                       .audience = FH_SERVICES, .undo = release},
                      {"POST", "/charges", charge, .body = charge_shape, .audience = FH_SERVICES}},
           .subscribes = {{"orders", "OrderCreated", order_created, .fields = "id,quantity",
                           .upsert = order_is}});
