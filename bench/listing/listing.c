/* SPDX-License-Identifier: Apache-2.0 */
/* Products, for the benchmarks: one of them, a list of them, and a fault. */

#include <freehold.h>

static void add_product(fh_work *w)
{
    fh_reply(w, 201,
             fh_row(w,
                    "INSERT INTO products (name, price, category) VALUES (:name, :price, :category)"
                    " RETURNING *",
                    fh_body(w)));
}

static void get_product(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT * FROM products WHERE id = :id", fh_path(w)));
}

static void list_products(fh_work *w)
{
    fh_reply(w, 200, fh_page_rows(w, "SELECT * FROM products"));
}

/* The value that the statement names is in none of its objects. */
static void fail_statement(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT * FROM products WHERE id = :number", fh_path(w)));
}

static const fh_field product_shape[] = {
    {"name", FH_STRING}, {"price", FH_INT}, {"category", FH_STRING}, {0}};

FH_SERVICE(listing, .model = FH_RELATIONAL,
           .routes = {{"POST", "/products", add_product, .body = product_shape, .auth = FH_ANYONE},
                      {"GET", "/products", list_products, .page = {.by = "id", .limit = 100},
                       .auth = FH_ANYONE},
                      {"GET", "/products/{id:int}", get_product, .auth = FH_ANYONE},
                      {"GET", "/products/{id:int}/fault", fail_statement, .auth = FH_ANYONE}});
