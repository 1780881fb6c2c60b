/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports: what was sold by day and category, and what became of orders. Made of the events of
 * orders and products alone, in tables of its own: however long a report takes, the orders do not
 * notice. The questions are SQL, in reports/NAME.sql (docs/guide/reports.md); operators ask them
 * with `freehold report reports`.
 *
 * Nothing here is about a person: no order says whose it is.
 */

#include <freehold.h>
#include <string.h>

#define COUNTED "id,status,total,reason,created_at" /* all that is kept of an order */

/* "charge: The card was declined.": the step, without its words. */
static const char *refused_by(fh_work *w, json_t *order)
{
    const char *reason = json_string_value(json_object_get(order, "reason"));
    return reason ? fh_format(w, "%.*s", (int)strcspn(reason, ":"), reason) : NULL;
}

/* Whatever became of it by now. Its items are told once, and never change. */
static void order_heard(fh_work *w)
{
    json_t *order = fh_event_data(w), *item;
    size_t i;
    fh_exec(w,
            "INSERT INTO orders (id, day, outcome, refused_by, total)"
            " VALUES (:id, :day, :status, :refused_by, :total) ON CONFLICT (id)"
            " DO UPDATE SET outcome = excluded.outcome, refused_by = excluded.refused_by",
            order,
            fh_object(w, "day", fh_format(w, "%.10s", fh_text(w, order, "created_at")),
                      "refused_by", refused_by(w, order)));
    json_array_foreach (json_object_get(order, "items"), i, item) {
        fh_exec(w,
                "INSERT INTO order_items (order_id, line, product_id, quantity, price)"
                " VALUES (:id, :line, :product_id, :quantity, :price) ON CONFLICT DO NOTHING",
                order, item, fh_object(w, "line", i));
    }
}

/* That of a product that is gone stays: it was sold in that. */
static void product_heard(fh_work *w)
{
    json_t *product = fh_event_data(w);
    fh_exec(w,
            "INSERT INTO products (id, category) VALUES (:id, :category)"
            " ON CONFLICT (id) DO UPDATE SET category = excluded.category",
            fh_object(w, "id", fh_text(w, product, "id"), "category",
                      json_string_value(json_object_get(product, "category"))));
}

/* ---- Beginning anew with what there is (docs/guide/events.md) ---- */

static void order_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM order_items WHERE order_id = :key", fh_event_data(w));
    fh_exec(w, "DELETE FROM orders WHERE id = :key", fh_event_data(w));
}

static void orders_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT id FROM orders WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

/* ---- What is reported ---- */

static void sales_by_day(fh_work *w)
{
    fh_reply(w, 200, fh_report(w, "sales_by_day", fh_query(w)));
}

static void sales_by_category(fh_work *w)
{
    fh_reply(w, 200, fh_report(w, "sales_by_category", fh_query(w)));
}

static void outcomes(fh_work *w)
{
    fh_reply(w, 200, fh_report(w, "outcomes", fh_query(w)));
}

static const fh_field days_shape[] = {
    {"from_day", FH_STRING, .max = 10, .nullable = true, .default_value = "null"},
    {"to_day", FH_STRING, .max = 10, .nullable = true, .default_value = "null"},
    {0}};
static const fh_field day_shape[] = {
    {"day", FH_STRING}, {"orders", FH_INT}, {"cents", FH_INT}, {0}};
static const fh_field category_shape[] = {{"category", FH_STRING, .nullable = true},
                                          {"orders", FH_INT},
                                          {"quantity", FH_INT},
                                          {"cents", FH_INT},
                                          {0}};
static const fh_field outcome_shape[] = {{"outcome", FH_STRING},
                                         {"refused_by", FH_STRING, .nullable = true},
                                         {"orders", FH_INT},
                                         {"cents", FH_INT},
                                         {0}};

FH_SERVICE(reports, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/reports/sales_by_day", sales_by_day, .query = days_shape,
                       .answer = {200, .each = day_shape}, .auth = FH_ROLE("staff"),
                       .name = "sales_by_day", .summary = "What was sold, by day", .of_view = true},
                      {"GET", "/api/reports/sales_by_category", sales_by_category,
                       .query = days_shape, .answer = {200, .each = category_shape},
                       .auth = FH_ROLE("staff"), .name = "sales_by_category",
                       .summary = "What was sold, by category", .of_view = true},
                      {"GET", "/api/reports/outcomes", outcomes, .query = days_shape,
                       .answer = {200, .each = outcome_shape}, .auth = FH_ROLE("staff"),
                       .name = "outcomes", .summary = "What became of orders", .of_view = true}},
           .subscribes = {{"orders", "OrderCreated", order_heard, .fields = COUNTED ",items",
                           .upsert = order_heard, .gone = order_gone, .held = orders_held},
                          {"orders", "OrderConfirmed", order_heard, .fields = COUNTED,
                           .covered_by = "OrderCreated"},
                          {"orders", "OrderCancelled", order_heard, .fields = COUNTED,
                           .covered_by = "OrderCreated"},
                          {"products", "ProductUpdated", product_heard, .fields = "id,category",
                           .upsert = product_heard},
                          {"products", "ProductCreated", product_heard, .fields = "id,category",
                           .covered_by = "ProductUpdated"}},
           .shapes = {{"SalesOfDay", day_shape},
                      {"SalesOfCategory", category_shape},
                      {"Outcome", outcome_shape}});
