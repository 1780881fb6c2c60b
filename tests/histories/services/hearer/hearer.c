/* SPDX-License-Identifier: Apache-2.0 */
/* Hearer: copies each of the recorder's lists from its events, in their order. */

#include <stdlib.h>

#include "../lists.h"

static void appended(fh_work *w)
{
    const json_t *entry = fh_event_data(w);
    lists_append(w, lists_number(entry, "list"),
                 json_string_value(json_object_get(entry, "value")));
}

static void list_is(fh_work *w)
{
    const json_t *entry = fh_event_data(w);
    lists_put(w, lists_number(entry, "list"), json_object_get(entry, "values"));
}

static void list_gone(fh_work *w)
{
    const char *key = json_string_value(json_object_get(fh_event_data(w), "key"));
    lists_put(w, strtoll(key, NULL, 10), NULL);
}

static void lists_held(fh_work *w)
{
    const json_t *query = fh_query(w);
    json_t *keys = json_array(), *entry;
    json_t *page =
        lists_page(w, lists_number(query, "after"), LISTS_BELOW, lists_number(query, "limit"));
    size_t i;
    json_array_foreach (page, i, entry)
        json_array_append(keys, json_object_get(entry, "list"));
    fh_reply(w, 200, keys);
}

static void get_clock(fh_work *w)
{
    fh_reply(w, 200, json_pack("{s:I}", "now_ms", (json_int_t)fh_now_ms(w)));
}

FH_SERVICE(hearer, LISTS_MODEL,
           .routes = {{"GET", "/hearer/lists/{list:int}", lists_get, .auth = FH_ANYONE},
                      {"GET", "/hearer/lists", lists_get_page, .query = lists_page_shape,
                       .auth = FH_ANYONE},
                      {"GET", "/hearer/clock", get_clock, .auth = FH_ANYONE}},
           .subscribes = {{"recorder", "Appended", appended, "list,number,value,values",
                           .upsert = list_is, .gone = list_gone, .held = lists_held}});
