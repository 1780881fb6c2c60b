/* SPDX-License-Identifier: Apache-2.0 */
/* What is sold, and reports of it. */

#include <freehold.h>

static void sell(fh_work *w)
{
    fh_exec(w, "INSERT INTO sale (day, customer, cents) VALUES (:day, :customer, :cents)",
            fh_body(w));
    fh_reply(w, 201, NULL);
}

static void by_day(fh_work *w)
{
    fh_reply(w, 200, fh_report(w, "by_day", fh_query(w), fh_object(w, "customer", json_null())));
}

static const fh_field sale_shape[] = {
    {"day", FH_STRING}, {"customer", FH_STRING}, {"cents", FH_INT}, {0}};
static const fh_field days_shape[] = {{"from_day", FH_STRING}, {0}};

FH_SERVICE(till, .model = FH_RELATIONAL,
           .routes = {
               {"POST", "/api/sales", sell, .body = sale_shape, .auth = FH_ANYONE},
               {"GET", "/api/reports/by_day", by_day, .query = days_shape, .auth = FH_ANYONE}});
