/* SPDX-License-Identifier: Apache-2.0 */
/* Shelf: subscribes to what the desk makes, can resync with what there is, and takes the steps of
 * its deals. */

#include "../tally.h"

#include <string.h>

static const char *named(fh_work *w)
{
    return json_string_value(json_object_get(fh_path(w), "name"));
}

static const char *heard_name(fh_work *w)
{
    return json_string_value(json_object_get(fh_event_data(w), "name"));
}

/* Each position once, and never one after a higher one of its key. */
static void made(fh_work *w)
{
    static const char prefix[] = "heard@";
    json_int_t position = json_integer_value(json_object_get(fh_event(w), "position"));
    const char *what;
    json_t *times;
    json_t *known = tally_of(w, heard_name(w));
    json_object_foreach (known, what, times)
        if (strncmp(what, prefix, sizeof prefix - 1) == 0 &&
            strtoll(what + sizeof prefix - 1, NULL, 10) > position) {
            tally_add(w, heard_name(w), "disorder");
            break;
        }
    tally_add(w, heard_name(w), fh_format(w, "%s%" JSON_INTEGER_FORMAT, prefix, position));
}

static void is_there(fh_work *w)
{
    tally_add(w, heard_name(w), "taken over");
}

static void is_gone(fh_work *w)
{
    tally_add(w, json_string_value(json_object_get(fh_event_data(w), "key")), "gone");
}

static void hold(fh_work *w)
{
    tally_add(w, named(w), "held");
    fh_reply(w, 200, fh_path(w));
}

static void release(fh_work *w)
{
    tally_add(w, named(w), "released");
    fh_reply(w, 200, fh_path(w));
}

static void send_off(fh_work *w)
{
    if (json_integer_value(json_object_get(fh_query(w), "refuse")))
        fh_fail(w, 409, "This one is not sent.");
    tally_add(w, named(w), "sent");
    fh_reply(w, 200, fh_path(w));
}

static const fh_field sent_query[] = {{"refuse", FH_INT, .min = 0, .max = 1}, {0}};

FH_SERVICE(shelf, .model = TALLY_MODEL,
           .routes = {{"POST", "/api/held/{name}", hold, .audience = FH_SERVICES},
                      {"POST", "/api/released/{name}", .audience = FH_SERVICES, .undo = release},
                      {"POST", "/api/sent/{name}", send_off, .query = sent_query,
                       .audience = FH_SERVICES},
                      {"GET", "/api/tally", get_tally, .query = tally_query, .auth = FH_ANYONE}},
           .subscribes = {{"desk", "Made", made, "name", .upsert = is_there, .gone = is_gone,
                           .held = get_names}},
           .collections = {{"tally"}});
