/* SPDX-License-Identifier: Apache-2.0 */
/* Each list is a document. */

#include "lists.h"

static const char *id_of(fh_work *w, json_int_t list)
{
    return fh_format(w, "%010" JSON_INTEGER_FORMAT, list); /* in the order of the numbers */
}

json_int_t lists_append(fh_work *w, json_int_t list, const char *value)
{
    const char *id = id_of(w, list);
    if (!fh_try_doc(w, "lists", id))
        fh_doc_insert(w, "lists", json_pack("{s:s, s:I, s:[]}", "id", id, "list", list, "values"));
    json_t *now =
        fh_doc_update(w, "lists", id, NULL, json_pack("{s:{s:s}}", "$push", "values", value));
    return (json_int_t)json_array_size(json_object_get(now, "values"));
}

json_t *lists_values(fh_work *w, json_int_t list)
{
    json_t *document = fh_try_doc(w, "lists", id_of(w, list));
    return document ? json_incref(json_object_get(document, "values")) : json_array();
}

void lists_put(fh_work *w, json_int_t list, json_t *values)
{
    const char *id = id_of(w, list);
    fh_doc_delete(w, "lists", id);
    if (json_array_size(values) > 0)
        fh_doc_insert(w, "lists",
                      json_pack("{s:s, s:I, s:O}", "id", id, "list", list, "values", values));
}

json_t *lists_page(fh_work *w, json_int_t after, json_int_t below, json_int_t limit)
{
    json_t *page = json_array(), *document;
    json_t *documents = fh_docs(w, "lists", json_pack("{s:{s:I}}", "list", "$lt", below), NULL,
                                after < 0 ? NULL : id_of(w, after), (int)limit);
    size_t i;
    json_array_foreach (documents, i, document) {
        json_t *values = json_object_get(document, "values");
        size_t count = json_array_size(values);
        json_array_append_new(page, json_pack("{s:O, s:I, s:O, s:O}", "list",
                                              json_object_get(document, "list"), "number",
                                              (json_int_t)count, "value",
                                              json_array_get(values, count - 1), "values", values));
    }
    return page;
}
