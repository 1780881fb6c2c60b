/* SPDX-License-Identifier: Apache-2.0 */
/* The yard with keys and values: hears each crate, and each pier's counts in their order; takes
 * loads, some of which it refuses, and takes them off again. */

#include <freehold.h>

static const char *name_of(fh_work *w, const char *what, json_t *number)
{
    return fh_format(w, "%s:%" JSON_INTEGER_FORMAT, what, json_integer_value(number));
}

static void landed(fh_work *w)
{
    fh_kv_count(w, name_of(w, "heard", json_object_get(fh_event_data(w), "id")), 1);
}

static void counted(fh_work *w)
{
    json_t *told = json_object_get(fh_event_data(w), "n");
    const char *key = name_of(w, "pier", json_object_get(fh_event_data(w), "pier"));
    json_int_t n = json_integer_value(fh_kv_field(w, key, "n"));
    fh_kv_field_add(w, key, "disorder", json_integer_value(told) == n + 1 ? 0 : 1);
    fh_kv_field_set(w, key, "n", told);
}

static void add(fh_work *w, const char *field, int64_t more)
{
    fh_kv_field_add(w, name_of(w, "load", json_object_get(fh_path(w), "id")), field, more);
    fh_reply(w, 200, fh_path(w));
}

static void load(fh_work *w)
{
    add(w, "loaded", 1);
}

static void unload(fh_work *w)
{
    add(w, "undone", 1);
}

static void check(fh_work *w)
{
    if (json_integer_value(json_object_get(fh_path(w), "id")) % 3 == 0)
        fh_fail(w, 409, "It is too heavy.");
    add(w, "loaded", 100);
}

static void uncheck(fh_work *w)
{
    add(w, "undone", 100);
}

FH_SERVICE(yard, .model = FH_KEY_VALUE,
           .routes = {{"POST", "/loads/{id:int}", load, .audience = FH_SERVICES},
                      {"POST", "/loads/{id:int}/off", .undo = unload, .audience = FH_SERVICES},
                      {"POST", "/checks/{id:int}", check, .audience = FH_SERVICES},
                      {"POST", "/checks/{id:int}/off", .undo = uncheck, .audience = FH_SERVICES}},
           .subscribes = {{"quay", "CrateLanded", landed}, {"quay", "PierCounted", counted}});
