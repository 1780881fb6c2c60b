/* SPDX-License-Identifier: Apache-2.0 */
/* Desk: guests begin stays and see their own; staff set prices. */

#include <freehold.h>

static json_t *guest(fh_work *w)
{
    const struct fh_user *user = fh_user(w);
    return json_pack("{s:s}", "guest", user ? user->subject : "nobody");
}

static void start_stay(fh_work *w)
{
    json_t *there = fh_get(w, "rooms", "/whoami", guest(w));
    if (!json_equal(there, guest(w)))
        fh_fail(w, 409, "The rooms take you for somebody else.");
    json_t *stay =
        fh_row(w, "INSERT INTO stay (guest, status) VALUES (:guest, 'OPEN') RETURNING id, guest",
               guest(w));
    fh_saga_start(w, "stay", stay);
    fh_publish(w, "StayBegun", stay);
    fh_reply(w, 202, stay);
}

static void get_stay(fh_work *w)
{
    json_t *stay = fh_row(w, "SELECT id, guest FROM stay WHERE id = :id", fh_path(w));
    fh_must_own(w, stay, "guest");
    fh_reply(w, 200, stay);
}

static void set_price(fh_work *w)
{
    fh_exec(w, "INSERT INTO price (set_by, amount) VALUES (:guest, :amount)", fh_body(w), guest(w));
}

/* The input names a guest, too: it is left out, so that only the user counts. */
static void end_stay_as(fh_work *w, const char *status)
{
    json_t *input = fh_saga_input(w);
    json_object_del(input, "guest");
    fh_exec(w, "UPDATE stay SET status = :status, ended_for = :guest WHERE id = :id", input,
            guest(w), json_pack("{s:s}", "status", status));
}

static void end_stay(fh_work *w)
{
    end_stay_as(w, "BOOKED");
}

static void give_up_stay(fh_work *w)
{
    end_stay_as(w, "GONE");
}

static const fh_step stay_steps[] = {
    {"first", .call = "rooms POST /bookings/{id}/1", .undo = "rooms POST /bookings/{id}/off"},
    {"second", .call = "rooms POST /bookings/{id}/2", .undo = "rooms POST /bookings/{id}/off"},
    {"end", .run = end_stay},
    {0}};

static const fh_field price_shape[] = {
    {"amount", FH_NUMBER, .minimum = "0.01", .default_value = "19.99"}, {0}};
static const fh_field stay_shape[] = {{"id", FH_INT}, {"guest", FH_STRING}, {0}};

FH_SERVICE(desk, .model = FH_RELATIONAL,
           .routes = {{"POST", "/stays", start_stay, .auth = FH_USER},
                      {"GET", "/stays/{id:int}", get_stay, .auth = FH_USER},
                      {"POST", "/prices", set_price, .body = price_shape,
                       .auth = FH_ROLE("staff") FH_SCOPE("prices:write")}},
           .publishes = {{"StayBegun", 1, stay_shape, .key = "id", .actor = true}},
           .asks = {{"rooms", "/whoami"}}, .sagas = {{"stay", stay_steps, .undone = give_up_stay}});
