/* SPDX-License-Identifier: Apache-2.0 */
/* A catalog of documents, for the benchmarks: it gives its state to whoever begins anew with it.
 * bench/documents.c fills its store. */

#include <freehold.h>

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

FH_SERVICE(catalog, .model = FH_DOCUMENT, .collections = {{"products"}},
           .publishes = {
               {"ProductChanged", 1, product_shape, .key = "id", .state = every_product}});
