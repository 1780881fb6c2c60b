/* SPDX-License-Identifier: Apache-2.0 */
/* A catalog of documents, for the benchmarks: its products are read and added over HTTP, and it
 * gives its state to whoever begins anew with it. bench/documents.c fills its store. */

#include <freehold.h>

static void get_product(fh_work *w)
{
    fh_reply(w, 200, fh_doc(w, "products", json_string_value(json_object_get(fh_path(w), "id"))));
}

static void add_product(fh_work *w)
{
    json_t *product = json_copy(fh_body(w));
    json_object_set_new(product, "description", json_string("One of many"));
    json_object_set_new(product, "stock", json_integer(0));
    product = fh_doc_insert(w, "products", product);
    fh_publish(w, "ProductChanged", product);
    fh_reply(w, 201, product);
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

FH_SERVICE(catalog, .model = FH_DOCUMENT, .collections = {{"products"}},
           .routes = {{"GET", "/products/{id}", get_product, .auth = FH_ANYONE},
                      {"POST", "/products", add_product, .body = wanted_shape, .auth = FH_ANYONE}},
           .publishes = {
               {"ProductChanged", 1, product_shape, .key = "id", .state = every_product}});
