/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inventory: how much there is of each product. Owns the documents `stock`, one a product, which it
 * took over from the products (docs/guide/boundaries.md). Its public path is still a product's own.
 *
 * A reservation looks and takes in one step, because one work changes one document: two that come
 * at once can't both have the last piece.
 *
 * What is for sale is the products' word, and heard a little later. Until then a stock is asked for
 * there, and a reservation has to come again (503): it is no refusal, since the goods may be here.
 * A product that was deleted leaves its document, as gone: of that nothing can be reserved any
 * more.
 */

#include <freehold.h>

#define LOW_BY_DEFAULT 5

static const char *path_id(fh_work *w)
{
    return json_string_value(json_object_get(fh_path(w), "id"));
}

static json_int_t asked_quantity(fh_work *w)
{
    return json_integer_value(json_object_get(fh_query(w), "quantity"));
}

static bool is_live(json_t *stock)
{
    return json_is_integer(json_object_get(stock, "quantity"));
}

/* Below it the products are told that there is little left. */
static json_int_t low(fh_work *w)
{
    json_t *set = json_object_get(fh_settings(w), "low");
    return set ? json_integer_value(set) : LOW_BY_DEFAULT;
}

/* Tells whoever crosses that line, either way. */
static void tell_level(fh_work *w, json_t *stock, json_int_t before)
{
    json_int_t after = json_integer_value(json_object_get(stock, "quantity"));
    if (before >= low(w) && after < low(w))
        fh_publish(w, "StockLow", stock);
    if (before < low(w) && after >= low(w))
        fh_publish(w, "StockRefilled", stock);
}

static void tell(fh_work *w, json_t *stock, json_int_t before)
{
    fh_publish(w, "StockChanged", stock);
    tell_level(w, stock, before);
}

static json_t *new_stock(fh_work *w, const char *id, json_t *quantity)
{
    return fh_object(w, "id", id, "quantity", quantity ? quantity : json_integer(0));
}

/* The product, of which nothing is here yet, or nothing any more. Whoever says that there is none
 * are the products. */
static json_t *find_product(fh_work *w, json_t *named_by)
{
    json_t *problem;
    json_t *product = fh_try_get(w, &problem, "products", "/api/products/{id}", named_by);
    if (!product && json_integer_value(json_object_get(problem, "status")) != 404)
        fh_fail(w, 503, "The products can't be asked for %s now.",
                json_string_value(json_object_get(named_by, "id")));
    return product;
}

static json_t *ask_product(fh_work *w)
{
    json_t *product = find_product(w, fh_path(w));
    if (!product)
        fh_fail(w, 404, "There is no product %s.", path_id(w));
    return product;
}

static void get_stock(fh_work *w)
{
    json_t *stock = fh_peek_doc(w, "stock", path_id(w));
    json_t *quantity = is_live(stock) ? json_object_get(stock, "quantity")
                                      : json_object_get(ask_product(w), "stock");
    fh_reply(w, 200, fh_object(w, "quantity", quantity ? quantity : json_integer(0)));
}

static void set_stock(fh_work *w)
{
    json_t *quantity = json_object_get(fh_body(w), "quantity");
    if (!is_live(fh_peek_doc(w, "stock", path_id(w))))
        ask_product(w);
    json_t *before = fh_try_doc(w, "stock", path_id(w));
    json_t *stock;
    if (!before)
        stock = fh_doc_insert(w, "stock", new_stock(w, path_id(w), quantity));
    else if (is_live(before))
        stock = fh_doc_update(w, "stock", path_id(w), NULL,
                              fh_object(w, "$set", fh_object(w, "quantity", quantity)));
    else
        fh_fail(w, 409, "Product %s was deleted or created just now: try again soon.", path_id(w));
    tell(w, stock, before ? json_integer_value(json_object_get(before, "quantity")) : low(w));
    fh_reply(w, 200, fh_object(w, "quantity", quantity));
}

static void reserve(fh_work *w)
{
    json_int_t quantity = asked_quantity(w);
    if (!fh_peek_doc(w, "stock", path_id(w)) && !find_product(w, fh_path(w)))
        fh_fail(w, 409, "There is no product %s.", path_id(w));
    json_t *stock = fh_try_doc_update(w, "stock", path_id(w),
                                      fh_object(w, "quantity", fh_object(w, "$gte", quantity)),
                                      fh_object(w, "$inc", fh_object(w, "quantity", -quantity)));
    if (!stock && !fh_try_doc(w, "stock", path_id(w)))
        fh_fail(w, 503, "Product %s is new: its stock is still to be heard of.", path_id(w));
    if (!stock)
        fh_fail(w, 409, "There are not %" JSON_INTEGER_FORMAT " of product %s in stock.", quantity,
                path_id(w));
    tell(w, stock, json_integer_value(json_object_get(stock, "quantity")) + quantity);
    fh_reply(w, 200, json_true());
}

/* Takes a reservation back, or puts goods on the shelf. Those of a product that is gone go too. */
static void release(fh_work *w)
{
    json_int_t quantity = asked_quantity(w);
    json_t *stock = fh_try_doc_update(w, "stock", path_id(w),
                                      fh_object(w, "quantity", fh_object(w, "$exists", true)),
                                      fh_object(w, "$inc", fh_object(w, "quantity", quantity)));
    if (stock)
        tell(w, stock, json_integer_value(json_object_get(stock, "quantity")) - quantity);
}

/* For the books: all stocks, page by page. */
static void get_stocks(fh_work *w)
{
    json_t *limit = json_object_get(fh_query(w), "limit");
    fh_reply(w, 200,
             fh_docs(w, "stock", NULL, NULL,
                     json_string_value(json_object_get(fh_query(w), "after")),
                     limit ? (int)json_integer_value(limit) : 100));
}

/* Somebody may have set its stock before this was heard: that is newer. */
static void product_created(fh_work *w)
{
    json_t *product = fh_event_data(w), *quantity = json_object_get(product, "stock");
    const char *id = json_string_value(json_object_get(product, "id"));
    json_t *known = fh_try_doc(w, "stock", id), *stock = new_stock(w, id, quantity);
    if (!known)
        tell_level(w, fh_doc_insert(w, "stock", stock), low(w));
    else if (!is_live(known)) /* told: former stocks may be heard behind its new life's beginning */
        tell(w,
             fh_doc_update(w, "stock", id, NULL,
                           fh_object(w, "$set",
                                     fh_object(w, "quantity", json_object_get(stock, "quantity")),
                                     "$unset", fh_object(w, "gone", ""))),
             low(w));
}

static void mark_gone(fh_work *w, const char *id)
{
    if (!fh_try_doc_update(w, "stock", id, NULL,
                           fh_object(w, "$set", fh_object(w, "gone", true), "$unset",
                                     fh_object(w, "quantity", ""))))
        fh_doc_insert(w, "stock", fh_object(w, "id", id, "gone", true));
}

static void product_deleted(fh_work *w)
{
    mark_gone(w, json_string_value(json_object_get(fh_event_data(w), "id")));
}

/* ---- Beginning anew with what there is (docs/guide/events.md) ---- */

/* A product that there is now. One that is known keeps its stock, which nobody else has; shown as
 * another one, it is told again. */
static void product_is(fh_work *w)
{
    json_t *product = fh_event_data(w);
    json_t *known = fh_try_doc(w, "stock", json_string_value(json_object_get(product, "id")));
    if (!is_live(known))
        product_created(w);
    else if (!json_equal(json_object_get(known, "quantity"), json_object_get(product, "stock")))
        fh_publish(w, "StockChanged", known);
}

/* Not among the products that were told. One whose stock was set meanwhile may be newer: whether it
 * is gone is the products' word. */
static void product_gone(fh_work *w)
{
    json_t *named_by = fh_object(w, "id", json_object_get(fh_event_data(w), "key"));
    if (!find_product(w, named_by))
        mark_gone(w, json_string_value(json_object_get(named_by, "id")));
}

/* A page of those that match, as a subscriber or the products' own list goes on. */
static json_t *page_of_stock(fh_work *w, const char *operation, json_t *value)
{
    return fh_docs(w, "stock", fh_object(w, "quantity", fh_object(w, operation, value)), NULL,
                   json_string_value(json_object_get(fh_query(w), "after")),
                   (int)json_integer_value(json_object_get(fh_query(w), "limit")));
}

static void every_stock(fh_work *w)
{
    fh_reply(w, 200, page_of_stock(w, "$exists", json_true()));
}

static void products_held(fh_work *w)
{
    json_t *ids = json_array(), *stocks = page_of_stock(w, "$exists", json_true()), *stock;
    size_t i;
    json_array_foreach (stocks, i, stock)
        json_array_append(ids, json_object_get(stock, "id"));
    fh_reply(w, 200, ids);
}

static void every_low_stock(fh_work *w)
{
    fh_reply(w, 200, page_of_stock(w, "$lt", json_integer(low(w))));
}

/* A product as it stood where stocks were kept before. */
static void take_over_stock(fh_work *w)
{
    json_t *product = fh_event_data(w);
    const char *id = json_string_value(json_object_get(product, "id"));
    if (!fh_try_doc(w, "stock", id))
        fh_doc_insert(w, "stock", new_stock(w, id, json_object_get(product, "stock")));
}

static const fh_field quantity_shape[] = {{"quantity", FH_INT, .max = 1000000000000}, {0}};
static const fh_field asked_shape[] = {{"quantity", FH_INT, .min = 1, .max = 1000000000}, {0}};
static const fh_field page_shape[] = {{"limit", FH_INT, .min = 1, .max = 1000, .optional = true},
                                      {"after", FH_STRING, .optional = true},
                                      {0}};
static const fh_field stock_shape[] = {{"id", FH_STRING}, {"quantity", FH_INT, .max = -1}, {0}};
/* As it is kept: the stock of a product that is gone has no quantity. */
static const fh_field kept_shape[] = {{"id", FH_STRING},
                                      {"quantity", FH_INT, .max = -1, .optional = true},
                                      {"gone", FH_BOOL, .optional = true},
                                      {0}};
static const fh_field settings_shape[] = {{"low", FH_INT, .max = 1000000000000, .optional = true},
                                          {0}};

FH_SERVICE(
    inventory, .model = FH_DOCUMENT, .collections = {{"stock"}}, .settings = settings_shape,
    .routes = {{"GET", "/api/products/{id}/stock", get_stock, .answer = {200, quantity_shape},
                .auth = FH_ANYONE, .name = "get_stock",
                .summary = "How many there are of a product"},
               {"PUT", "/api/products/{id}/stock", set_stock, .body = quantity_shape,
                .answer = {200, quantity_shape}, .auth = FH_ROLE("staff"), .name = "set_stock",
                .summary = "Sets how many there are of a product"},
               {"POST", "/api/products/{id}/reserve", reserve, .query = asked_shape,
                .audience = FH_SERVICES, .answer = {200}, .name = "reserve"},
               {"POST", "/api/products/{id}/release", release, .query = asked_shape,
                .audience = FH_SERVICES, .undo = release, .answer = {204}, .name = "release"},
               {"GET", "/api/stock", get_stocks, .query = page_shape, .audience = FH_OPERATORS,
                .answer = {200, .each = kept_shape}, .name = "get_stocks"}},
    .publishes = {{"StockChanged", 1, stock_shape, .key = "id", .state = every_stock},
                  {"StockLow", 1, stock_shape, .key = "id", .state = every_low_stock},
                  {"StockRefilled", 1, stock_shape, .key = "id"}},
    .subscribes = {{"products", "ProductCreated", product_created, .fields = "id,stock",
                    .upsert = product_is, .gone = product_gone, .held = products_held},
                   {"products", "ProductDeleted", product_deleted, .fields = "id",
                    .covered_by = "ProductCreated"}},
    .asks = {{"products", "/api/products/{id}"}},
    .takes_over = {{"products", "/api/products", take_over_stock, "reserve"}},
    .shapes = {{"Stock", quantity_shape}});
