/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was sold, for the benchmarks: facts, a thousand at a time, and what they are asked for; and
 * orders, which come in meanwhile.
 *
 * Facts are made up here, so that what makes them is not what is measured: fact number n is of the
 * millisecond n, and of one of 20 categories and 30,011 customers. bench/columns.py fills stores
 * with the same ones.
 */

#include <freehold.h>

#define FACTS_MAX 1000
#define CATEGORIES 20
#define CUSTOMERS 30011
#define PRICES 9973
#define ASKED_MS 60000
#define MARKED_MS 1000 /* facts that are looked for one by one are before */

static int64_t integer_at(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void add_facts(fh_work *w)
{
    int64_t from = integer_at(fh_body(w), "from"), count = integer_at(fh_body(w), "count");
    const char *mark = json_string_value(json_object_get(fh_body(w), "category"));
    for (int64_t n = from; n < from + count; n++) {
        const char *category = mark ? mark : fh_format(w, "c%d", (int)(n % CATEGORIES));
        fh_fact(w, "sold", n,
                fh_object(w, "category", category, "customer", n * 7919 % CUSTOMERS, "cents",
                          n * 31 % PRICES));
    }
    fh_reply(w, 201, NULL);
}

static void sums(fh_work *w)
{
    const struct fh_columns question = {
        .by = (const char *const[]){"category", NULL},
        .values = (const char *const[]){"sum cents", "count", "uniq customer", NULL}};
    fh_reply(w, 200, fh_columns(w, "sold", &question));
}

static void count_of_category(fh_work *w)
{
    const struct fh_columns question = {
        .filter = fh_path(w), .to_ms = MARKED_MS, .values = (const char *const[]){"count", NULL}};
    fh_reply(w, 200, fh_columns(w, "sold", &question));
}

static void place_order(fh_work *w)
{
    json_t *order = fh_row(w,
                           "INSERT INTO orders (user_id, product_id, quantity, total)"
                           " VALUES (:user_id, :product_id, :quantity, :total) RETURNING *",
                           fh_body(w));
    fh_publish(w, "OrderCreated", order);
    fh_reply(w, 201, order);
}

static const fh_field facts_shape[] = {
    {"from", FH_INT, .min = 0},
    {"count", FH_INT, .min = 1, .max = FACTS_MAX},
    {"category", FH_STRING, .nullable = true, .default_value = "null"},
    {0}};
static const fh_field wanted_shape[] = {{"user_id", FH_INT},
                                        {"product_id", FH_STRING},
                                        {"quantity", FH_INT, .min = 1},
                                        {"total", FH_INT},
                                        {0}};
static const fh_field order_shape[] = {
    {"id", FH_INT},       {"user_id", FH_INT}, {"product_id", FH_STRING},
    {"quantity", FH_INT}, {"total", FH_INT},   {0}};
static const struct fh_derived_field sold_fields[] = {
    {"category", FH_STRING, FH_TAG}, {"customer", FH_INT, FH_TAG}, {"cents", FH_INT}, {0}};

FH_SERVICE(sales, .model = FH_RELATIONAL,
           .routes = {{"POST", "/facts", add_facts, .body = facts_shape, .auth = FH_ANYONE},
                      {"GET", "/sums", sums, .auth = FH_ANYONE, .deadline_ms = ASKED_MS},
                      {"GET", "/categories/{category}", count_of_category, .auth = FH_ANYONE},
                      {"POST", "/orders", place_order, .body = wanted_shape, .auth = FH_ANYONE}},
           .publishes = {{"OrderCreated", 1, order_shape, .key = "id"}},
           .derives = {{"sold", FH_COLUMNS, sold_fields}});
