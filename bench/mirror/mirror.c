/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's documents once more, in a store of its own, for the benchmarks. */

#include <freehold.h>

static void product_is(fh_work *w)
{
    json_t *product = fh_event_data(w);
    const char *id = json_string_value(json_object_get(product, "id"));
    if (fh_try_doc(w, "products", id))
        fh_doc_update(w, "products", id, NULL, json_pack("{s:O}", "$set", product));
    else
        fh_doc_insert(w, "products", product);
}

FH_SERVICE(mirror, .model = FH_DOCUMENT, .collections = {{"products"}},
           .subscribes = {{"catalog", "ProductChanged", product_is, .upsert = product_is}});
