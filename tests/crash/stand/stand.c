/* SPDX-License-Identifier: Apache-2.0 */
/* Items that are searched on a server; the second edition declares them in another way. How often
 * each was put is a fact, which another server sums up. */

#include <freehold.h>

static void put_item(fh_work *w)
{
    json_t *item = fh_row(w,
                          "INSERT INTO item VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET "
                          "name = excluded.name RETURNING id, name",
                          fh_body(w));
    fh_derive(w, "items", json_string_value(json_object_get(item, "id")), item);
    fh_exec(w, "INSERT INTO put VALUES (:id)", item);
    fh_fact(w, "puts", 1700000000000, item);
    fh_reply(w, 200, item);
}

static void remove_item(fh_work *w)
{
    fh_exec(w, "DELETE FROM item WHERE id = :id", fh_path(w));
    fh_derive_gone(w, "items", fh_text(w, fh_path(w), "id"));
}

static void list_items(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT id, name FROM item WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

static void find_items(fh_work *w)
{
    fh_reply(w, 200, fh_search(w, "items", &(struct fh_search){.limit = 100}));
}

static void sum_puts(fh_work *w)
{
    static const char *const ids[] = {"id", NULL}, *const counts[] = {"count", NULL};
    json_t *answer = json_object();
    json_object_set_new(answer, "own",
                        fh_rows(w, "SELECT id, count(*) AS puts FROM put GROUP BY id ORDER BY id"));
    json_object_set_new(answer, "found",
                        fh_columns(w, "puts", &(struct fh_columns){.by = ids, .values = counts}));
    fh_reply(w, 200, answer);
}

static const fh_field item_shape[] = {{"id", FH_STRING}, {"name", FH_STRING}, {0}};
static const struct fh_derived_field item_fields[] = {{"name", FH_STRING, FH_TEXT}, {0}};
static const struct fh_derived_field put_fields[] = {{"id", FH_STRING, FH_TAG}, {0}};

FH_SERVICE(stand, .model = FH_RELATIONAL,
           .routes = {{"PUT", "/api/items", put_item, .body = item_shape, .auth = FH_ANYONE},
                      {"DELETE", "/api/items/{id}", remove_item, .auth = FH_ANYONE},
                      {"GET", "/api/items", find_items, .auth = FH_ANYONE},
                      {"GET", "/api/puts", sum_puts, .auth = FH_ANYONE}},
           .derives = {{.name = "items",
                        .model = FH_SEARCH,
                        .fields = item_fields,
                        .state = list_items,
                        .version = EDITION},
                       {.name = "puts", .model = FH_COLUMNS, .fields = put_fields}});
