/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Search: finds products by the words in their names, categories and descriptions, the best first.
 * Owns `products`, what it has heard of each, and a derived store of the same name, in which words
 * are found (docs/guide/search.md).
 */

#include <freehold.h>

#define SHOWN "id,name,price,category,description" /* all that is kept of a product */

/* A seller may give a product a description of any type: only a text is one. */
static json_t *heard(fh_work *w)
{
    json_t *product = fh_event_data(w), *description = json_object_get(product, "description");
    return fh_object(w, "id", json_object_get(product, "id"), "name",
                     json_object_get(product, "name"), "price", json_object_get(product, "price"),
                     "category", json_string_value(json_object_get(product, "category")),
                     "description", json_string_value(description));
}

static void product_heard(fh_work *w)
{
    json_t *product = heard(w);
    fh_exec(w,
            "INSERT INTO products (id, name, price, category, description)"
            " VALUES (:id, :name, :price, :category, :description) ON CONFLICT (id)"
            " DO UPDATE SET name = excluded.name, price = excluded.price,"
            " category = excluded.category, description = excluded.description",
            product);
    fh_derive(w, "products", fh_text(w, product, "id"), product);
}

static void forget_product(fh_work *w, const char *member)
{
    const char *id = fh_text(w, fh_event_data(w), member);
    fh_exec(w, "DELETE FROM products WHERE id = :id", fh_object(w, "id", id));
    fh_derive_gone(w, "products", id);
}

static void product_deleted(fh_work *w)
{
    forget_product(w, "id");
}

/* A search that begins anew takes over all products there are, and gives up what is gone. Once a
 * day it compares what it shows of them with what they are: a wrong price is worse than a late one.
 */
static void product_gone(fh_work *w)
{
    forget_product(w, "key");
}

static void products_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT id, name, price FROM products WHERE id > :after ORDER BY id"
                     " LIMIT :limit",
                     fh_query(w)));
}

/* Of which the derived store is made anew, when it was declared otherwise. */
static void products_state(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT " SHOWN " FROM products WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

static json_t *hit_of(fh_work *w, json_t *hit)
{
    json_t *product = json_object_get(hit, "value");
    return fh_object(w, "id", json_object_get(product, "id"), "name",
                     json_object_get(product, "name"), "price", json_object_get(product, "price"),
                     "category", json_object_get(product, "category"), "highlight",
                     json_object_get(hit, "highlight"));
}

static void search(fh_work *w)
{
    json_t *query = fh_query(w), *category = json_object_get(query, "category"), *hit;
    const struct fh_search question = {
        .text = fh_text(w, query, "q"),
        .prefix = true,
        .filter = json_is_string(category) ? fh_object(w, "category", category) : NULL,
        .facets = (const char *const[]){"category", NULL},
        .highlight = "description",
        .sort = fh_text(w, query, "sort"),
        .after = fh_text(w, query, "after"),
        .limit = (int)fh_int(w, query, "limit")};
    json_t *found = fh_search(w, "products", &question), *hits = fh_array(w);
    size_t i;
    json_array_foreach (json_object_get(found, "hits"), i, hit)
        json_array_append(hits, hit_of(w, hit));
    fh_reply(w, 200,
             fh_object(w, "total", json_object_get(found, "total"), "hits", hits, "categories",
                       json_object_get(json_object_get(found, "facets"), "category"), "next",
                       json_object_get(found, "next")));
}

static const struct fh_derived_field product_fields[] = {
    {"id", FH_STRING, FH_SORTED},        {"name", FH_STRING, FH_TEXT | FH_SORTED, .weight = 5},
    {"price", FH_INT, FH_SORTED},        {"category", FH_STRING, FH_TEXT | FH_FACET, .weight = 2},
    {"description", FH_STRING, FH_TEXT}, {0}};

static const char *const orders[] = {"id", "name", "price", NULL};
static const fh_field search_shape[] = {
    {"q", FH_STRING, .min = 1, .max = 256},
    {"category", FH_STRING, .max = 200, .nullable = true, .default_value = "null"},
    {"sort", FH_STRING, .one_of = orders, .nullable = true, .default_value = "null"},
    {"limit", FH_INT, .min = 1, .max = 100, .default_value = "20"},
    {"after", FH_STRING, .max = 2000, .nullable = true, .default_value = "null"},
    {0}};

static const fh_field found_shape[] = {{"id", FH_STRING},
                                       {"name", FH_STRING},
                                       {"price", FH_INT},
                                       {"category", FH_STRING, .nullable = true},
                                       {"highlight", FH_STRING, .nullable = true},
                                       {0}};
static const fh_field category_shape[] = {{"value", FH_STRING}, {"count", FH_INT}, {0}};
static const fh_field answer_shape[] = {{"total", FH_INT},
                                        {"hits", FH_ARRAY, .of = found_shape},
                                        {"categories", FH_ARRAY, .of = category_shape},
                                        {"next", FH_STRING, .nullable = true},
                                        {0}};

FH_SERVICE(search, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/search", search, .query = search_shape,
                       .answer = {200, answer_shape}, .auth = FH_ANYONE, .name = "search",
                       .summary = "Finds products by words, the best first", .of_view = true}},
           .subscribes = {{"products", "ProductUpdated", product_heard, .fields = SHOWN,
                           .upsert = product_heard, .gone = product_gone, .held = products_held,
                           .sync_s = 24 * 60 * 60},
                          {"products", "ProductCreated", product_heard, .fields = SHOWN,
                           .covered_by = "ProductUpdated"},
                          {"products", "ProductDeleted", product_deleted, .fields = "id",
                           .covered_by = "ProductUpdated"}},
           .derives = {{"products", FH_SEARCH, product_fields, .state = products_state}},
           .shapes = {{"FoundProduct", found_shape},
                      {"FoundProducts", answer_shape},
                      {"FoundCategory", category_shape}});
