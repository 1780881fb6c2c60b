/* SPDX-License-Identifier: Apache-2.0 */
/* Till: sells many things at once, each of which is an event; and answers who asks for leave, or
 * has it wait. */

#include "../sale.h"

static const fh_field sales_shape[] = {
    {"from", FH_INT, .min = 1, .max = 1000000}, {"count", FH_INT, .min = 1, .max = 10000}, {0}};

static const fh_field hold_shape[] = {{"held", FH_BOOL}, {0}};
static bool held; /* as long as the process lives */

static void hold(fh_work *w)
{
    held = json_is_true(json_object_get(fh_body(w), "held"));
}

static void leave(fh_work *w)
{
    if (held)
        fh_fail(w, 503, "Not yet.");
}

static void sell(fh_work *w)
{
    int64_t from = fh_int(w, fh_body(w), "from"), count = fh_int(w, fh_body(w), "count");
    for (int64_t id = from; id < from + count; id++)
        fh_publish(w, "SaleMade", fh_object(w, "id", id, "amount", id % 100));
}

FH_SERVICE(till, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/sales", sell, .body = sales_shape, .auth = FH_ANYONE},
                      {"POST", "/api/hold", hold, .body = hold_shape, .auth = FH_ANYONE},
                      {"GET", "/api/leave", leave, .auth = FH_ANYONE}},
           .publishes = {{"SaleMade", 1, sale_shape, .key = "id"}});
