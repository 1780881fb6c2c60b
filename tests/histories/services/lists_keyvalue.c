/* SPDX-License-Identifier: Apache-2.0 */
/* Each list is the value of a key; the sorted set "lists" has their numbers. */

#include "lists.h"

static const char *key_of(fh_work *w, json_int_t list)
{
    return fh_format(w, "list:%" JSON_INTEGER_FORMAT, list);
}

static const char *member_of(fh_work *w, json_int_t list)
{
    return fh_format(w, "%" JSON_INTEGER_FORMAT, list);
}

json_int_t lists_append(fh_work *w, json_int_t list, const char *value)
{
    json_t *values = fh_try_kv(w, key_of(w, list));
    values = values ? json_deep_copy(values) : json_array();
    if (json_array_size(values) == 0)
        fh_kv_score_set(w, "lists", member_of(w, list), list);
    json_array_append_new(values, json_string(value));
    fh_kv_set(w, key_of(w, list), values);
    return (json_int_t)json_array_size(values);
}

json_t *lists_values(fh_work *w, json_int_t list)
{
    json_t *values = fh_try_kv(w, key_of(w, list));
    return values ? json_incref(values) : json_array();
}

void lists_put(fh_work *w, json_int_t list, json_t *values)
{
    if (json_array_size(values) > 0) {
        fh_kv_score_set(w, "lists", member_of(w, list), list);
        fh_kv_set(w, key_of(w, list), values);
    } else {
        fh_kv_member_delete(w, "lists", member_of(w, list));
        fh_kv_delete(w, key_of(w, list));
    }
}

json_t *lists_page(fh_work *w, json_int_t after, json_int_t below, json_int_t limit)
{
    json_t *page = json_array(), *member;
    json_t *members = fh_kv_lowest(w, "lists", after + 1, below - 1, 0, (int)limit);
    size_t i;
    json_array_foreach (members, i, member) {
        json_int_t list = lists_number(member, "score");
        json_t *values = lists_values(w, list);
        size_t count = json_array_size(values);
        json_array_append_new(page, json_pack("{s:I, s:I, s:O, s:O}", "list", list, "number",
                                              (json_int_t)count, "value",
                                              json_array_get(values, count - 1), "values", values));
    }
    return page;
}
