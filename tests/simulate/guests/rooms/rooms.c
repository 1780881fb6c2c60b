/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms: each step of a stay writes down for whom it came, however late that is. */

#include <freehold.h>
#include <string.h>

static json_t *guest(fh_work *w)
{
    const struct fh_user *user = fh_user(w);
    return json_pack("{s:s, s:s}", "guest", user ? user->subject : "nobody", "caller",
                     fh_caller(w));
}

static void whoami(fh_work *w)
{
    json_t *told = guest(w);
    json_object_del(told, "caller");
    fh_reply(w, 200, told);
}

static void book(fh_work *w)
{
    json_t *path = fh_path(w);
    json_int_t stay = json_integer_value(json_object_get(path, "stay"));
    json_int_t step = json_integer_value(json_object_get(path, "step"));
    if (strcmp(fh_caller(w), "desk") != 0)
        fh_fail(w, 500, "Only the desk books.");
    if (step == 2 && stay % 3 == 0)
        fh_fail(w, 409, "There is no second room.");
    if (step == 1)
        fh_exec(w, "INSERT INTO booking (stay, guest) VALUES (:stay, :guest)", path, guest(w));
    else if (fh_exec_count(w, "UPDATE booking SET guest = :guest WHERE stay = :stay", path,
                           guest(w)) != 1)
        fh_fail(w, 500, "There is no first room.");
}

static void unbook(fh_work *w)
{
    fh_exec(w, "UPDATE booking SET undone_for = :guest WHERE stay = :stay", fh_path(w), guest(w));
}

static void stay_begun(fh_work *w)
{
    json_t *event = fh_event(w), *actor = json_object_get(event, "actor");
    if (strcmp(fh_caller(w), "desk") != 0 || fh_user(w) || fh_header(w, "Accept"))
        fh_fail(w, 500, "An event comes from its publisher, and is no user's request.");
    fh_exec(w, "INSERT INTO heard VALUES (:id, :actor)", fh_event_data(w),
            json_pack("{s:O}", "actor", actor ? actor : json_string("nobody")));
}

FH_SERVICE(rooms, .model = FH_RELATIONAL,
           .routes = {{"GET", "/whoami", whoami, .audience = FH_SERVICES},
                      {"POST", "/bookings/{stay:int}/{step:int}", book, .audience = FH_SERVICES},
                      {"POST", "/bookings/{stay:int}/off", .undo = unbook,
                       .audience = FH_SERVICES}},
           .subscribes = {{"desk", "StayBegun", stay_begun}});
