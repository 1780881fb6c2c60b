/* SPDX-License-Identifier: Apache-2.0 */
/* The quay with keys and values: a crate is a counter that nobody reads, with a note that soon
 * ends; a pier is a hash that everybody reads and changes; lifts are sagas.
 */

#include <freehold.h>

#define FULL_PIER 9
#define NOTE_MS 1500

static const char *name_of(fh_work *w, const char *what, json_t *number)
{
    return fh_format(w, "%s:%" JSON_INTEGER_FORMAT, what, json_integer_value(number));
}

static void land(fh_work *w)
{
    json_t *id = json_object_get(fh_body(w), "id");
    fh_kv_count(w, name_of(w, "crate", id), 1);
    if (json_integer_value(json_object_get(fh_body(w), "pier")) == FULL_PIER)
        fh_fail(w, 409, "The pier is full.");
    fh_kv_set(w, name_of(w, "note", id), fh_body(w));
    fh_kv_expire_at(w, name_of(w, "note", id), fh_now_ms(w) + NOTE_MS);
    fh_publish(w, "CrateLanded", fh_body(w));
    fh_reply(w, 201, fh_body(w));
}

/* All fields: so the process remembers them, and other instances change them. */
static void count(fh_work *w)
{
    json_t *pier = json_object_get(fh_body(w), "pier");
    const char *key = name_of(w, "pier", pier);
    json_int_t n = json_integer_value(json_object_get(fh_kv_fields(w, key), "n")) + 1;
    fh_kv_field_set(w, key, "n", json_integer(n));
    fh_kv_score_set(w, "piers", key, n);
    json_t *counted = json_pack("{s:O, s:I}", "pier", pier, "n", n);
    fh_publish(w, "PierCounted", counted);
    fh_reply(w, 200, counted);
}

/* Reads what others write, and writes what they have not read. */
static void start_lift(fh_work *w)
{
    json_t *id = json_object_get(fh_body(w), "id");
    int64_t n;
    fh_kv_score(w, "piers", name_of(w, "pier", json_integer(json_integer_value(id) % 3)), &n);
    fh_kv_set(w, name_of(w, "lift", id), json_pack("{s:s, s:i}", "status", "OPEN", "ends", 0));
    fh_saga_start(w, "lift", fh_body(w));
    fh_reply(w, 202, fh_body(w));
}

static void end(fh_work *w, const char *status)
{
    const char *key = name_of(w, "lift", json_object_get(fh_saga_input(w), "id"));
    json_int_t ends = json_integer_value(json_object_get(fh_kv(w, key), "ends"));
    fh_kv_set(w, key, json_pack("{s:s, s:I}", "status", status, "ends", ends + 1));
}

static void finish(fh_work *w)
{
    end(w, "DONE");
}

static void give_up(fh_work *w)
{
    end(w, "GONE");
}

static const fh_step lift_steps[] = {
    {"load", .call = "yard POST /loads/{id}", .undo = "yard POST /loads/{id}/off"},
    {"check", .call = "yard POST /checks/{id}", .undo = "yard POST /checks/{id}/off"},
    {"finish", .run = finish},
    {0}};

static const fh_field crate_shape[] = {{"id", FH_INT}, {"pier", FH_INT}, {0}};
static const fh_field pier_shape[] = {{"pier", FH_INT}, {"n", FH_INT, .optional = true}, {0}};
static const fh_field lift_shape[] = {{"id", FH_INT}, {0}};

FH_SERVICE(quay, .model = FH_KEY_VALUE,
           .routes = {{"POST", "/crates", land, .body = crate_shape, .auth = FH_ANYONE},
                      {"POST", "/counts", count, .body = pier_shape, .auth = FH_ANYONE},
                      {"POST", "/lifts", start_lift, .body = lift_shape, .auth = FH_ANYONE}},
           .publishes = {{"CrateLanded", 1, crate_shape, .key = "pier"},
                         {"PierCounted", 1, pier_shape, .key = "pier"}},
           .sagas = {{"lift", lift_steps, .undone = give_up}});
