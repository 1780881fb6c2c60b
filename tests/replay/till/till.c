/* SPDX-License-Identifier: Apache-2.0 */
/* Till: sells many things at once, each of which is an event. */

#include "../sale.h"

static const fh_field sales_shape[] = {
    {"from", FH_INT, .min = 1, .max = 1000000}, {"count", FH_INT, .min = 1, .max = 10000}, {0}};

static void sell(fh_work *w)
{
    int64_t from = fh_int(w, fh_body(w), "from"), count = fh_int(w, fh_body(w), "count");
    for (int64_t id = from; id < from + count; id++)
        fh_publish(w, "SaleMade", fh_object(w, "id", id, "amount", id % 100));
}

FH_SERVICE(till, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/sales", sell, .body = sales_shape, .auth = FH_ANYONE}},
           .publishes = {{"SaleMade", 1, sale_shape, .key = "id"}});
