/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of the items, for test_points_resync.py: each counts its changes itself, so that a change
 * applied twice, or not at all, shows. */

#include <freehold.h>

static void item_changed(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO copies (id, changes) VALUES (:id, 1)"
            " ON CONFLICT (id) DO UPDATE SET changes = changes + 1",
            fh_event_data(w));
}

static void item_is(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO copies (id, changes) VALUES (:id, :changes)"
            " ON CONFLICT (id) DO UPDATE SET changes = excluded.changes",
            fh_event_data(w));
}

static void item_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM copies WHERE id = :key", fh_event_data(w));
}

static void items_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT id FROM copies WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

static void get_copies(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT * FROM copies ORDER BY id", NULL));
}

FH_SERVICE(copies, .model = FH_RELATIONAL,
           .routes = {{"GET", "/rows", get_copies, .auth = FH_ANYONE}},
           .subscribes = {{"items", "ItemChanged", item_changed, .upsert = item_is,
                           .gone = item_gone, .held = items_held}});
