/* SPDX-License-Identifier: Apache-2.0 */
/* Partner: what deals take and send, and what takes that back. A take may be slow, like one whose
 * request comes late: then it begins after its undo. */

#include "../lists.h"

static void reply_deal(fh_work *w, json_int_t deal)
{
    fh_reply(w, 201, json_pack("{s:I}", "deal", deal));
}

static void take(fh_work *w)
{
    json_int_t deal = lists_number(fh_body(w), "deal");
    int delay_ms = (int)lists_number(fh_body(w), "delay_ms");
    if (delay_ms > 0)
        fh_delay_ms(w, delay_ms);
    lists_append(w, deal, "taken");
    reply_deal(w, deal);
}

static void send_out(fh_work *w)
{
    json_int_t deal = lists_number(fh_body(w), "deal");
    if (json_is_true(json_object_get(fh_body(w), "refuse")))
        fh_fail(w, 409, "Deal %" JSON_INTEGER_FORMAT " is not wanted.", deal);
    lists_append(w, deal, "sent");
    reply_deal(w, deal);
}

static void give_back(fh_work *w)
{
    lists_append(w, lists_number(fh_undone_request(w), "deal"), "returned");
}

static void call_back(fh_work *w)
{
    lists_append(w, lists_number(fh_undone_request(w), "deal"), "unsent");
}

static void get_clock(fh_work *w)
{
    fh_reply(w, 200, json_pack("{s:I}", "now_ms", (json_int_t)fh_now_ms(w)));
}

static const fh_field take_shape[] = {
    {"deal", FH_INT}, {"delay_ms", FH_INT, .min = 0, .max = 20000}, {0}};
static const fh_field send_shape[] = {{"deal", FH_INT}, {"refuse", FH_BOOL}, {0}};

FH_SERVICE(partner, LISTS_MODEL,
           .routes = {
               {"POST", "/partner/takes", take, .body = take_shape, .audience = FH_SERVICES,
                .deadline_ms = 30000},
               {"POST", "/partner/takes/undo", .undo = give_back, .body = take_shape,
                .audience = FH_SERVICES},
               {"POST", "/partner/sends", send_out, .body = send_shape, .audience = FH_SERVICES},
               {"POST", "/partner/sends/undo", .undo = call_back, .body = send_shape,
                .audience = FH_SERVICES},
               {"GET", "/partner/lists/{list:int}", lists_get, .auth = FH_ANYONE},
               {"GET", "/partner/lists", lists_get_page, .query = lists_page_shape,
                .auth = FH_ANYONE},
               {"GET", "/partner/clock", get_clock, .auth = FH_ANYONE}});
