/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shop's products as they were before the inventory: they kept the stock in their own documents
 * and reserved it. Just enough of them to make a store out of which test_boundary.py then moves the
 * stock.
 */

#include <freehold.h>

static const char *path_id(fh_work *w)
{
    return json_string_value(json_object_get(fh_path(w), "id"));
}

static json_int_t asked_quantity(fh_work *w)
{
    return json_integer_value(json_object_get(fh_query(w), "quantity"));
}

static void create_product(fh_work *w)
{
    fh_reply(w, 201, fh_doc_insert(w, "products", fh_body(w)));
}

static void get_product(fh_work *w)
{
    fh_reply(w, 200, fh_doc(w, "products", path_id(w)));
}

static void get_products(fh_work *w)
{
    json_t *ids = json_object_get(fh_query(w), "ids");
    json_t *filter = ids ? json_pack("{s:{s:O}}", "id", "$in", ids) : NULL;
    fh_reply(w, 200, fh_docs(w, "products", filter, NULL, NULL, 1000));
}

static void get_stock(fh_work *w)
{
    json_t *product = fh_doc(w, "products", path_id(w));
    fh_reply(w, 200, json_pack("{s:O}", "quantity", json_object_get(product, "stock")));
}

static void reserve(fh_work *w)
{
    json_int_t quantity = asked_quantity(w);
    if (!fh_try_doc_update(w, "products", path_id(w),
                           json_pack("{s:{s:I}}", "stock", "$gte", quantity),
                           json_pack("{s:{s:I}}", "$inc", "stock", -quantity)))
        fh_fail(w, 409, "There are not %" JSON_INTEGER_FORMAT " of product %s in stock.", quantity,
                path_id(w));
    fh_reply(w, 200, json_true());
}

static void release(fh_work *w)
{
    fh_try_doc_update(w, "products", path_id(w), NULL,
                      json_pack("{s:{s:I}}", "$inc", "stock", asked_quantity(w)));
}

static const fh_field product_shape[] = {{"id", FH_STRING, .min = 1, .max = 200},
                                         {"name", FH_STRING, .min = 1, .max = 500},
                                         {"price", FH_INT},
                                         {"stock", FH_INT},
                                         {"*", FH_ANY},
                                         {0}};
static const fh_field ids_shape[] = {{"ids", FH_LIST, .min = 1, .max = 100, .optional = true}, {0}};
static const fh_field quantity_shape[] = {{"quantity", FH_INT, .min = 1, .max = 1000000000}, {0}};

FH_SERVICE(products, .model = FH_DOCUMENT, .collections = {{"products", {"category"}}},
           .routes = {{"POST", "/api/products", create_product, .body = product_shape,
                       .auth = FH_ANYONE},
                      {"GET", "/api/products", get_products, .query = ids_shape, .auth = FH_ANYONE},
                      {"GET", "/api/products/{id}", get_product, .auth = FH_ANYONE},
                      {"GET", "/api/products/{id}/stock", get_stock, .auth = FH_ANYONE},
                      {"POST", "/api/products/{id}/reserve", reserve, .query = quantity_shape,
                       .audience = FH_SERVICES},
                      {"POST", "/api/products/{id}/release", release, .query = quantity_shape,
                       .audience = FH_SERVICES, .undo = release}},
           .publishes = {{"ProductUpdated", 1, product_shape, .key = "id"},
                         {"ProductCreated", 1, product_shape, .key = "id"},
                         {"ProductDeleted", 1, product_shape, .key = "id"}});
