/* SPDX-License-Identifier: Apache-2.0 */
/* Books: what was sold, told on. EDITION 1 books ten times the amount; EDITION 2 is mended. For one
 * sale it asks the till for leave. */

#include "../sale.h"

#ifndef EDITION
#define EDITION 1
#endif
#define TIMES (EDITION == 1 ? 10 : 1)
#define ASKED_SALE 100

static void book_sale(fh_work *w)
{
    json_t *sale = fh_event_data(w);
    json_t *booked =
        fh_object(w, "id", fh_int(w, sale, "id"), "amount", fh_int(w, sale, "amount") * TIMES);
    if (fh_int(w, sale, "id") == ASKED_SALE)
        fh_get(w, "till", "/api/leave");
    fh_exec(w,
            "INSERT INTO booked (id, amount, times) VALUES (:id, :amount, 1)"
            " ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, times = booked.times + 1",
            booked);
    fh_publish(w, "SaleBooked", booked);
    fh_at(w, fh_now_ms(w) + 1, "remind", booked);
}

static void remind(fh_work *w)
{
    fh_exec(w, "INSERT INTO reminded (id) VALUES (:id)", fh_timer_data(w));
}

static void get_sum(fh_work *w)
{
    fh_reply(w, 200,
             fh_row(w, "SELECT count(*) AS sales, coalesce(sum(amount), 0) AS amount,"
                       " coalesce(sum(times), 0) AS applied,"
                       " (SELECT count(*) FROM reminded) AS reminded FROM booked"));
}

FH_SERVICE(books, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/sum", get_sum, .auth = FH_ANYONE, .of_view = true}},
           .publishes = {{"SaleBooked", 1, sale_shape, .key = "id"}},
           .asks = {{"till", "/api/leave"}}, .subscribes = {{"till", "SaleMade", book_sale}},
           .timers = {{"remind", remind}});
