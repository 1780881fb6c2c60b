/* SPDX-License-Identifier: Apache-2.0 */
/* Desk: makes deals, each of which takes something from the left and from the right, and is noted
 * on the left. Each has a token of its own: a deal that is lost and made anew is another one. */

#include <freehold.h>
#include <string.h>

static void start_deal(fh_work *w)
{
    json_t *deal = json_pack("{s:s, s:O}", "token", fh_id_new(w), "refused",
                             json_object_get(fh_body(w), "refused"));
    fh_exec(w, "INSERT INTO deal (token, status) VALUES (:token, 'OPEN')", deal);
    fh_publish(w, "DealMade", deal);
    fh_saga_start(w, "deal", deal);
    fh_reply(w, 202, deal);
}

/* By chance it says no, not yet, or yes: a life after a restore need not say what the one before
 * said. In between the left has been taken from, and the right has not been asked. */
static void consider(fh_work *w)
{
    const char *id = fh_id_new(w);
    char drawn = id[strlen(id) - 1]; /* a random hexadecimal digit */
    if (drawn < '8')
        fh_fail(w, 503, "Not yet.");
    if (drawn < 'b')
        fh_fail(w, 409, "No.");
}

static void confirm(fh_work *w)
{
    fh_exec(w, "UPDATE deal SET status = 'DONE' WHERE token = :token", fh_saga_input(w));
}

static void give_up(fh_work *w)
{
    fh_exec(w, "UPDATE deal SET status = 'GONE' WHERE token = :token", fh_saga_input(w));
}

static const fh_step deal_steps[] = {
    {"left", .call = "left POST /taken", .undo = "left POST /taken/back", .body = "token,refused"},
    {"consider", .run = consider},
    {"right", .call = "right POST /taken", .undo = "right POST /taken/back",
     .body = "token,refused", .pivot = true},
    {"confirm", .run = confirm},
    {"note", .call = "left POST /notes", .body = "token,refused"},
    {0}};

static const fh_field deal_shape[] = {{"refused", FH_BOOL}, {0}};
static const fh_field made_shape[] = {{"token", FH_STRING}, {"refused", FH_BOOL}, {0}};

FH_SERVICE(desk, .model = FH_RELATIONAL,
           .routes = {{"POST", "/deals", start_deal, .body = deal_shape, .auth = FH_ANYONE}},
           .publishes = {{"DealMade", 1, made_shape, .key = "token"}},
           .sagas = {{"deal", deal_steps, .deadline_s = 60, .undone = give_up}});
