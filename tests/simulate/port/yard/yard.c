/* SPDX-License-Identifier: Apache-2.0 */
/* Yard: hears each crate, and each pier's counts in their order; takes loads, some of which it
 * refuses, and takes them off again. */

#include <freehold.h>

/* One after the other, they may be written by one statement. */
static void landed(fh_work *w)
{
    fh_exec(w, "INSERT INTO heard (landing, id) VALUES (:landing, :id)",
            fh_object(w, "landing", fh_id_new(w)), fh_event_data(w));
}

static void counted(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO pier (id, n, disorder) VALUES (:pier, :n, CASE WHEN :n = 1 THEN 0 ELSE 1"
            " END) ON CONFLICT (id) DO UPDATE SET n = excluded.n, disorder = pier.disorder +"
            " CASE WHEN excluded.n = pier.n + 1 THEN 0 ELSE 1 END",
            fh_event_data(w));
}

static void load(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO load (id, loaded, undone) VALUES (:id, 1, 0)"
            " ON CONFLICT (id) DO UPDATE SET loaded = load.loaded + 1",
            fh_path(w));
    fh_reply(w, 200, fh_path(w));
}

static void unload(fh_work *w)
{
    fh_exec(w, "UPDATE load SET undone = undone + 1 WHERE id = :id", fh_path(w));
    fh_reply(w, 200, fh_path(w));
}

static void check(fh_work *w)
{
    json_int_t id = json_integer_value(json_object_get(fh_path(w), "id"));
    if (id % 3 == 0)
        fh_fail(w, 409, "It is too heavy.");
    fh_exec(w, "UPDATE load SET loaded = loaded + 100 WHERE id = :id", fh_path(w));
    fh_reply(w, 200, fh_path(w));
}

static void uncheck(fh_work *w)
{
    fh_exec(w, "UPDATE load SET undone = undone + 100 WHERE id = :id", fh_path(w));
    fh_reply(w, 200, fh_path(w));
}

FH_SERVICE(yard, .model = FH_RELATIONAL,
           .routes = {{"POST", "/loads/{id:int}", load, .audience = FH_SERVICES},
                      {"POST", "/loads/{id:int}/off", .undo = unload, .audience = FH_SERVICES},
                      {"POST", "/checks/{id:int}", check, .audience = FH_SERVICES},
                      {"POST", "/checks/{id:int}/off", .undo = uncheck, .audience = FH_SERVICES}},
           .subscribes = {{"quay", "CrateLanded", landed}, {"quay", "PierCounted", counted}});
