/* SPDX-License-Identifier: Apache-2.0 */
/* Quay: crates are landed (one statement and an event: such works share transactions), piers count
 * them (everybody writes the same few rows, and events of one key have an order), lifts are sagas;
 * no two have the same place, which no constraint says.
 */

#include <freehold.h>

#define FULL_PIER 9

static void land(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO crate (id, pier, times) VALUES (:id, :pier, 1)"
            " ON CONFLICT (id) DO UPDATE SET times = crate.times + 1",
            fh_body(w));
    if (json_integer_value(json_object_get(fh_body(w), "pier")) == FULL_PIER)
        fh_fail(w, 409, "The pier is full."); /* after it has written: its group begins anew */
    fh_publish(w, "CrateLanded", fh_body(w));
    fh_reply(w, 201, fh_body(w));
}

static void count(fh_work *w)
{
    json_t *pier = fh_row(w,
                          "INSERT INTO pier (id, n) VALUES (:pier, 1)"
                          " ON CONFLICT (id) DO UPDATE SET n = pier.n + 1 RETURNING id AS pier, n",
                          fh_body(w));
    fh_publish(w, "PierCounted", pier);
    fh_reply(w, 200, pier);
}

/* Reads what others write, and writes what they have not read. */
static void start_lift(fh_work *w)
{
    fh_try_row(w, "SELECT n FROM pier WHERE id = :id % 3", fh_body(w));
    json_t *lift = fh_row(w, "SELECT count(*) + 1 AS place FROM lift", NULL);
    json_object_update(lift, fh_body(w));
    fh_exec(w, "INSERT INTO lift (id, status, ends, place) VALUES (:id, 'OPEN', 0, :place)", lift);
    fh_saga_start(w, "lift", fh_body(w));
    fh_reply(w, 202, fh_body(w));
}

static void finish(fh_work *w)
{
    fh_exec(w, "UPDATE lift SET status = 'DONE', ends = ends + 1 WHERE id = :id", fh_saga_input(w));
}

static void give_up(fh_work *w)
{
    fh_exec(w, "UPDATE lift SET status = 'GONE', ends = ends + 1 WHERE id = :id", fh_saga_input(w));
}

static const fh_step lift_steps[] = {
    {"load", .call = "yard POST /loads/{id}", .undo = "yard POST /loads/{id}/off"},
    {"check", .call = "yard POST /checks/{id}", .undo = "yard POST /checks/{id}/off"},
    {"finish", .run = finish},
    {0}};

static const fh_field crate_shape[] = {{"id", FH_INT}, {"pier", FH_INT}, {0}};
static const fh_field pier_shape[] = {{"pier", FH_INT}, {"n", FH_INT, .optional = true}, {0}};
static const fh_field lift_shape[] = {{"id", FH_INT}, {0}};

FH_SERVICE(quay, .model = FH_RELATIONAL,
           .routes = {{"POST", "/crates", land, .body = crate_shape, .auth = FH_ANYONE},
                      {"POST", "/counts", count, .body = pier_shape, .auth = FH_ANYONE},
                      {"POST", "/lifts", start_lift, .body = lift_shape, .auth = FH_ANYONE}},
           .publishes = {{"CrateLanded", 1, crate_shape, .key = "pier"},
                         {"PierCounted", 1, pier_shape, .key = "pier"}},
           .sagas = {{"lift", lift_steps, .undone = give_up}});
