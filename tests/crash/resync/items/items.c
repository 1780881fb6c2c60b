/* SPDX-License-Identifier: Apache-2.0 */
/* Items whose changes are counted and published, for test_points_resync.py. */

#include <freehold.h>

static void change_items(fh_work *w)
{
    json_int_t from = json_integer_value(json_object_get(fh_body(w), "from"));
    json_int_t count = json_integer_value(json_object_get(fh_body(w), "count"));
    for (json_int_t id = from; id < from + count; id++)
        fh_publish(w, "ItemChanged",
                   fh_row(w,
                          "INSERT INTO items (id, changes) VALUES (:id, 1) ON CONFLICT (id)"
                          " DO UPDATE SET changes = changes + 1 RETURNING id, changes",
                          json_pack("{s:I}", "id", id)));
    fh_reply(w, 200, fh_body(w));
}

static void every_item(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT * FROM items WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w)));
}

static void get_items(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT * FROM items ORDER BY id", NULL));
}

static const fh_field range_shape[] = {
    {"from", FH_INT, .min = 1}, {"count", FH_INT, .min = 1, .max = 2000}, {0}};
static const fh_field item_shape[] = {{"id", FH_INT}, {"changes", FH_INT}, {0}};

FH_SERVICE(items, .model = FH_RELATIONAL,
           .routes = {{"POST", "/items", change_items, .body = range_shape, .auth = FH_ANYONE},
                      {"GET", "/rows", get_items, .auth = FH_ANYONE}},
           .publishes = {{"ItemChanged", 1, item_shape, .key = "id", .state = every_item}});
