/* SPDX-License-Identifier: Apache-2.0 */
/* A catalog of documents, for the benchmarks: its products are read and added over HTTP, added by
 * timers, and it gives its state to whoever begins anew with it. bench/documents.c fills its store.
 */

#include <freehold.h>

static void get_product(fh_work *w)
{
    fh_reply(w, 200, fh_doc(w, "products", json_string_value(json_object_get(fh_path(w), "id"))));
}

static json_t *insert_product(fh_work *w, json_t *wanted)
{
    json_t *product = json_copy(wanted);
    json_object_set_new(product, "description", json_string("One of many"));
    json_object_set_new(product, "stock", json_integer(0));
    product = fh_doc_insert(w, "products", product);
    fh_publish(w, "ProductChanged", product);
    return product;
}

static void add_product(fh_work *w)
{
    fh_reply(w, 201, insert_product(w, fh_body(w)));
}

static void add_when_due(fh_work *w)
{
    insert_product(w, fh_timer_data(w));
}

static void set_timers(fh_work *w)
{
    json_t *body = fh_body(w);
    json_int_t count = json_integer_value(json_object_get(body, "count"));
    for (json_int_t i = 0; i < count; i++)
        fh_at(w, json_integer_value(json_object_get(body, "due_ms")), "add",
              json_object_get(body, "data"));
    fh_reply(w, 201, json_pack("{s:I}", "count", count));
}

static void every_product(fh_work *w)
{
    const char *after = json_string_value(json_object_get(fh_query(w), "after"));
    fh_reply(w, 200,
             fh_docs(w, "products", NULL, NULL, *after ? after : NULL,
                     (int)json_integer_value(json_object_get(fh_query(w), "limit"))));
}

static const fh_field product_shape[] = {{"id", FH_STRING},          {"name", FH_STRING},
                                         {"description", FH_STRING}, {"price", FH_INT},
                                         {"stock", FH_INT},          {0}};

static const fh_field wanted_shape[] = {{"name", FH_STRING}, {"price", FH_INT}, {0}};

static const fh_field timers_shape[] = {{"count", FH_INT, .min = 1, .max = 1000},
                                        {"due_ms", FH_INT},
                                        {"data", FH_OBJECT, .of = wanted_shape},
                                        {0}};

FH_SERVICE(catalog, .model = FH_DOCUMENT, .collections = {{"products"}},
           .routes = {{"GET", "/products/{id}", get_product, .auth = FH_ANYONE},
                      {"POST", "/products", add_product, .body = wanted_shape, .auth = FH_ANYONE},
                      {"POST", "/timers", set_timers, .body = timers_shape, .auth = FH_ANYONE}},
           .publishes = {{"ProductChanged", 1, product_shape, .key = "id", .state = every_product}},
           .timers = {{"add", add_when_due, .data = wanted_shape}});
