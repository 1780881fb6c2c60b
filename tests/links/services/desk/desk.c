/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Desk: publishes, and begins sagas: each kind of work that a service does by itself is here once.
 * The shelf is at the other end of all of them.
 */

#include "../tally.h"

static const char *named(json_t *object)
{
    return json_string_value(json_object_get(object, "name"));
}

/* One statement and one event. */
static void make(fh_work *w)
{
    tally_add(w, named(fh_body(w)), "made");
    fh_publish(w, "Made", fh_body(w));
    fh_reply(w, 201, fh_body(w));
}

/* Several events of one unit of work, which reach their subscriber as one batch. */
static void make_several(fh_work *w)
{
    json_int_t count = json_integer_value(json_object_get(fh_body(w), "count"));
    json_t *made = json_pack("{s:s}", "name", named(fh_body(w)));
    tally_add(w, named(fh_body(w)), "made several");
    for (json_int_t i = 0; i < count; i++)
        fh_publish(w, "Made", made);
    fh_reply(w, 201, fh_body(w));
}

/* An event that nobody subscribes to: it moves the cursors that pass it. */
static void note(fh_work *w)
{
    tally_add(w, named(fh_body(w)), "noted");
    fh_publish(w, "Noted", fh_body(w));
    fh_reply(w, 201, fh_body(w));
}

static void begin_deal(fh_work *w)
{
    tally_add(w, named(fh_body(w)), "begun");
    fh_saga_start(w, "deal", fh_body(w));
    fh_reply(w, 202, fh_body(w));
}

static void end_deal(fh_work *w)
{
    tally_add(w, named(fh_saga_input(w)), "ended");
}

static void undo_deal(fh_work *w)
{
    tally_add(w, named(fh_saga_input(w)), "undone");
}

static const fh_step deal_steps[] = {{"hold", .call = "shelf POST /api/held/{name}",
                                      .undo = "shelf POST /api/released/{name}",
                                      .timeout_ms = 2000},
                                     {"send", .call = "shelf POST /api/sent/{name}?refuse={refuse}",
                                      .pivot = true, .timeout_ms = 2000},
                                     {"end", .run = end_deal},
                                     {0}};

static const fh_field several_shape[] = {
    {"name", FH_STRING, .min = NAME_LENGTH, .max = NAME_LENGTH},
    {"count", FH_INT, .min = 1, .max = 100},
    {0}};
static const fh_field deal_shape[] = {{"name", FH_STRING, .min = NAME_LENGTH, .max = NAME_LENGTH},
                                      {"refuse", FH_INT, .min = 0, .max = 1},
                                      {0}};

FH_SERVICE(desk, .model = TALLY_MODEL,
           .routes = {{"POST", "/api/items", make, .body = name_shape, .auth = FH_ANYONE},
                      {"POST", "/api/batches", make_several, .body = several_shape,
                       .auth = FH_ANYONE},
                      {"POST", "/api/notes", note, .body = name_shape, .auth = FH_ANYONE},
                      {"POST", "/api/deals", begin_deal, .body = deal_shape, .auth = FH_ANYONE},
                      {"GET", "/api/tally", get_tally, .query = tally_query, .auth = FH_ANYONE}},
           .publishes = {{"Made", 1, name_shape, .key = "name", .state = get_names},
                         {"Noted", 1, name_shape, .key = "name"}},
           .collections = {{"tally"}}, .sagas = {{"deal", deal_steps, .undone = undo_deal}});
