/* SPDX-License-Identifier: Apache-2.0 */
/* What is the same on each kind of store. */

#include "lists.h"

json_int_t lists_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

void lists_get(fh_work *w)
{
    json_int_t list = lists_number(fh_path(w), "list");
    fh_reply(w, 200, json_pack("{s:I, s:O}", "list", list, "values", lists_values(w, list)));
}

void lists_get_page(fh_work *w)
{
    const json_t *query = fh_query(w);
    fh_reply(
        w, 200,
        lists_page(w, lists_number(query, "after"), LISTS_BELOW, lists_number(query, "limit")));
}

const fh_field lists_page_shape[] = {
    {"after", FH_INT}, {"limit", FH_INT, .min = 1, .max = 1000}, {0}};
const fh_field lists_entry_shape[] = {{"list", FH_INT},
                                      {"number", FH_INT},
                                      {"value", FH_STRING},
                                      {"values", FH_ARRAY, .elements = FH_STRING, .optional = true},
                                      {0}};
