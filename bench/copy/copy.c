/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of all orders, compared with their publisher every minute, for the benchmarks. */

#include <freehold.h>

static void order_is(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO order_copies (id, user_id, product_id, quantity, total)"
            " VALUES (:id, :user_id, :product_id, :quantity, :total)"
            " ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id,"
            " product_id = excluded.product_id, quantity = excluded.quantity,"
            " total = excluded.total",
            fh_event_data(w));
}

static void order_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM order_copies WHERE id = :id", fh_event_data(w));
}

static void orders_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT id, user_id, product_id, quantity, total FROM order_copies"
                     " WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

FH_SERVICE(copy, .model = FH_RELATIONAL,
           .subscribes = {{"orders", "OrderCreated", order_is,
                           .fields = "id,user_id,product_id,quantity,total", .upsert = order_is,
                           .gone = order_gone, .held = orders_held, .sync_s = 90}});
