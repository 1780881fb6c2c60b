/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products: what is for sale. Owns the documents `products`.
 *
 * A product has whatever attributes its seller gives it. How much is left is the inventory's: a
 * product is made with its first stock, shows what it has heard of it since, and whether that is
 * little.
 */

#include <freehold.h>
#include <string.h>

static const char *path_id(fh_work *w)
{
    return json_string_value(json_object_get(fh_path(w), "id"));
}

static void create_product(fh_work *w)
{
    json_t *product = json_copy(fh_body(w));
    const char *id = json_string_value(json_object_get(product, "id"));
    if (id && strchr(id, ','))
        fh_fail_at(w, 422, "/id", "expected an id without a comma, which stands between ids");
    if (json_object_get(product, "low_stock"))
        fh_fail_at(w, 422, "/low_stock", "the inventory says when there is little left");
    if (!json_object_get(product, "stock"))
        json_object_set_new(product, "stock", json_integer(0));
    product = fh_doc_insert(w, "products", product);
    fh_publish(w, "ProductCreated", product);
    fh_reply(w, 201, product);
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
        filter = fh_object(w, "id", fh_object(w, "$in", ids));
    else if (category)
        filter = fh_object(w, "category", category);
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
        if (strcmp(name, "stock") == 0 || strcmp(name, "low_stock") == 0)
            fh_fail_at(w, 422, fh_pointer(w, name),
                       "the stock is set with PUT /api/products/{id}/stock");
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
    fh_publish(w, "ProductDeleted", fh_path(w));
}

/* For those who begin anew with what there is (docs/guide/events.md). */
static void every_product(fh_work *w)
{
    fh_reply(w, 200,
             fh_docs(w, "products", NULL, NULL,
                     json_string_value(json_object_get(fh_query(w), "after")),
                     (int)json_integer_value(json_object_get(fh_query(w), "limit"))));
}

/* What the inventory tells. Of a product that is gone it changes nothing. */
static void change_heard(fh_work *w, json_t *update)
{
    fh_try_doc_update(w, "products", json_string_value(json_object_get(fh_event_data(w), "id")),
                      NULL, update);
}

static void stock_changed(fh_work *w)
{
    change_heard(
        w,
        fh_object(w, "$set", fh_object(w, "stock", json_object_get(fh_event_data(w), "quantity"))));
}

static void stock_low(fh_work *w)
{
    change_heard(w, fh_object(w, "$set", fh_object(w, "low_stock", true)));
}

static void stock_refilled(fh_work *w)
{
    change_heard(w, fh_object(w, "$unset", fh_object(w, "low_stock", "")));
}

/* Beginning anew with what the inventory has now: those of which there is little, and no others,
 * are marked. */
static void stock_not_low(fh_work *w)
{
    fh_try_doc_update(w, "products", json_string_value(json_object_get(fh_event_data(w), "key")),
                      NULL, fh_object(w, "$unset", fh_object(w, "low_stock", "")));
}

static void marked_as_low(fh_work *w)
{
    json_t *ids = json_array(), *product;
    size_t i;
    json_t *marked = fh_docs(w, "products", fh_object(w, "low_stock", true), NULL,
                             json_string_value(json_object_get(fh_query(w), "after")),
                             (int)json_integer_value(json_object_get(fh_query(w), "limit")));
    json_array_foreach (marked, i, product)
        json_array_append(ids, json_object_get(product, "id"));
    fh_reply(w, 200, ids);
}

static const fh_field new_product_shape[] = {
    {"id", FH_STRING, .min = 1, .max = 200, .optional = true}, /* the seller's own, or a new one */
    {"name", FH_STRING, .min = 1, .max = 500},
    {"price", FH_INT, .max = 10000000000}, /* in the smallest unit */
    {"category", FH_STRING, .max = 200, .optional = true},
    {"stock", FH_INT, .max = 1000000000000, .optional = true},
    {"*", FH_ANY},
    {0}};

/* Everything has an id once it is there. */
static const fh_field product_shape[] = {
    {"id", FH_STRING, .min = 1, .max = 200},
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

static const fh_field deleted_shape[] = {{"id", FH_STRING}, {0}};

FH_SERVICE(products, .model = FH_DOCUMENT, .collections = {{"products", {"category"}}},
           .routes = {{"POST", "/api/products", create_product, .body = new_product_shape,
                       .answer = {201, product_shape}, .auth = FH_ROLE("staff"),
                       .name = "create_product", .summary = "Makes a product"},
                      {"GET", "/api/products", get_products, .query = page_shape,
                       .answer = {200, .each = product_shape}, .auth = FH_ANYONE,
                       .name = "get_products", .summary = "Products by their ids, or page by page"},
                      {"GET", "/api/products/{id}", get_product, .answer = {200, product_shape},
                       .auth = FH_ANYONE, .name = "get_product", .summary = "A product"},
                      {"PATCH", "/api/products/{id}", change_product, .body = change_shape,
                       .answer = {200, product_shape}, .auth = FH_ROLE("staff"),
                       .name = "change_product", .summary = "Changes a product"},
                      {"DELETE", "/api/products/{id}", delete_product, .answer = {204},
                       .auth = FH_ROLE("staff"), .name = "delete_product",
                       .summary = "Removes a product"}},
           .publishes = {{"ProductCreated", 1, product_shape, .key = "id", .state = every_product},
                         {"ProductUpdated", 1, product_shape, .key = "id", .state = every_product},
                         {"ProductDeleted", 1, deleted_shape, .key = "id"}},
           .subscribes = {{"inventory", "StockChanged", stock_changed, .fields = "id,quantity",
                           .upsert = stock_changed},
                          {"inventory", "StockLow", stock_low, .fields = "id", .upsert = stock_low,
                           .gone = stock_not_low, .held = marked_as_low},
                          {"inventory", "StockRefilled", stock_refilled, .fields = "id",
                           .covered_by = "StockLow"}},
           .shapes = {{"Product", product_shape}, {"ProductChange", change_shape}});
