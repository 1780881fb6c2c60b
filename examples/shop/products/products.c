/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products: what is for sale, and how much of it is left. Owns the documents `products`.
 *
 * A product has whatever attributes its seller gives it. Its stock is part of its document, because
 * one work changes one document: a reservation looks and takes in one step, and two that come
 * at once can't both have the last piece.
 */

#include <freehold.h>
#include <string.h>

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
    json_t *product = json_copy(fh_body(w));
    const char *id = json_string_value(json_object_get(product, "id"));
    if (id && strchr(id, ','))
        fh_fail_at(w, 422, "/id", "expected an id without a comma, which stands between ids");
    if (!json_object_get(product, "stock"))
        json_object_set_new(product, "stock", json_integer(0));
    fh_reply(w, 201, fh_doc_insert(w, "products", product));
}

static void get_product(fh_work *w)
{
    fh_reply(w, 200, fh_doc(w, "products", path_id(w)));
}

/* ?ids=a,b,c for many at once, or a page of a category: ?category=&limit=&after= */
static void get_products(fh_work *w)
{
    json_t *query = fh_query(w);
    json_t *ids = json_object_get(query, "ids");
    json_t *category = json_object_get(query, "category");
    json_t *limit = json_object_get(query, "limit");
    json_t *filter = NULL;
    if (ids)
        filter = json_pack("{s:{s:O}}", "id", "$in", ids);
    else if (category)
        filter = json_pack("{s:O}", "category", category);
    fh_reply(w, 200,
             fh_docs(w, "products", filter, NULL,
                     json_string_value(json_object_get(query, "after")),
                     limit ? (int)json_integer_value(limit) : 100));
}

/* In an update a dot would reach into an attribute, past the shape, and '$' begins an operator. */
static bool is_attribute(const char *name)
{
    return *name && *name != '$' && !strchr(name, '.');
}

/* A JSON merge patch, RFC 7386, of one level: null takes an attribute away. */
static void change_product(fh_work *w)
{
    json_t *set = json_object();
    json_t *unset = json_object();
    const char *name;
    json_t *value;
    json_object_foreach (fh_body(w), name, value) {
        if (strcmp(name, "stock") == 0)
            fh_fail_at(w, 422, "/stock", "the stock is set with PUT /api/products/{id}/stock");
        if (!is_attribute(name))
            fh_fail_at(w, 422, fh_pointer(w, name),
                       "expected a name without a dot, that does not begin with '$'");
        json_object_set(json_is_null(value) ? unset : set, name, value);
    }

    json_t *update = json_object();
    if (json_object_size(set) > 0)
        json_object_set(update, "$set", set);
    if (json_object_size(unset) > 0)
        json_object_set(update, "$unset", unset);
    json_t *product = json_object_size(update) > 0
                          ? fh_doc_update(w, "products", path_id(w), NULL, update)
                          : fh_doc(w, "products", path_id(w));
    fh_publish(w, "ProductUpdated", product);
    fh_reply(w, 200, product);
}

static void delete_product(fh_work *w)
{
    if (!fh_doc_delete(w, "products", path_id(w)))
        fh_fail(w, 404, "There is no product %s.", path_id(w));
}

static void reply_stock(fh_work *w, json_t *product)
{
    fh_reply(w, 200, json_pack("{s:O}", "quantity", json_object_get(product, "stock")));
}

static void get_stock(fh_work *w)
{
    reply_stock(w, fh_doc(w, "products", path_id(w)));
}

static void set_stock(fh_work *w)
{
    json_t *quantity = json_object_get(fh_body(w), "quantity");
    reply_stock(w, fh_doc_update(w, "products", path_id(w), NULL,
                                 json_pack("{s:{s:O}}", "$set", "stock", quantity)));
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

/* Takes a reservation back, or puts goods on the shelf. Those of a product that is gone go too. */
static void release(fh_work *w)
{
    fh_try_doc_update(w, "products", path_id(w), NULL,
                      json_pack("{s:{s:I}}", "$inc", "stock", asked_quantity(w)));
}

static const fh_field product_shape[] = {
    {"id", FH_STRING, .min = 1, .max = 200, .optional = true}, /* the seller's own, or a new one */
    {"name", FH_STRING, .min = 1, .max = 500},
    {"price", FH_INT, .max = 10000000000}, /* in the smallest unit */
    {"category", FH_STRING, .max = 200, .optional = true},
    {"stock", FH_INT, .max = 1000000000000, .optional = true},
    {"*", FH_ANY},
    {0}};

static const fh_field change_shape[] = {
    {"name", FH_STRING, .min = 1, .max = 500, .optional = true},
    {"price", FH_INT, .max = 10000000000, .optional = true},
    {"category", FH_STRING, .max = 200, .optional = true, .nullable = true},
    {"*", FH_ANY},
    {0}};

static const fh_field page_shape[] = {{"ids", FH_LIST, .min = 1, .max = 100, .optional = true},
                                      {"category", FH_STRING, .optional = true},
                                      {"limit", FH_INT, .min = 1, .max = 1000, .optional = true},
                                      {"after", FH_STRING, .optional = true},
                                      {0}};

static const fh_field stock_shape[] = {{"quantity", FH_INT, .max = 1000000000000}, {0}};
static const fh_field quantity_shape[] = {{"quantity", FH_INT, .min = 1, .max = 1000000000}, {0}};

FH_SERVICE(products, .model = FH_DOCUMENT, .collections = {{"products", {"category"}}},
           .routes = {{"POST", "/api/products", create_product, .body = product_shape},
                      {"GET", "/api/products", get_products, .query = page_shape},
                      {"GET", "/api/products/{id}", get_product},
                      {"PATCH", "/api/products/{id}", change_product, .body = change_shape},
                      {"DELETE", "/api/products/{id}", delete_product},
                      {"GET", "/api/products/{id}/stock", get_stock},
                      {"PUT", "/api/products/{id}/stock", set_stock, .body = stock_shape},
                      {"POST", "/api/products/{id}/reserve", reserve, .query = quantity_shape,
                       .audience = FH_SERVICES},
                      {"POST", "/api/products/{id}/release", release, .query = quantity_shape,
                       .audience = FH_SERVICES, .undo = release}},
           .publishes = {{"ProductUpdated", 1, product_shape, .key = "id"}});
