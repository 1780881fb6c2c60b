/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorder: takes entries of lists and publishes each, and runs deals, which are sagas. What
 * becomes of a deal is written into a list of its own, here and at the partner's: so that whatever
 * is done twice, or not at all, shows there.
 */

#include "../lists.h"

static void tell(fh_work *w, json_int_t list, json_int_t number, const char *value)
{
    fh_publish(w, "Appended",
               json_pack("{s:I, s:I, s:s}", "list", list, "number", number, "value", value));
}

static json_int_t append(fh_work *w, json_int_t list, const char *value)
{
    json_int_t number = lists_append(w, list, value);
    if (list < LISTS_QUIET)
        tell(w, list, number, value);
    return number;
}

static void append_entry(fh_work *w)
{
    const json_t *body = fh_body(w);
    json_int_t list = lists_number(body, "list");
    const char *value = json_string_value(json_object_get(body, "value"));
    json_int_t number = append(w, list, value);
    if (json_is_true(json_object_get(body, "refuse")))
        fh_fail(w, 409, "%s was not wanted.", value);
    fh_reply(w, 201, json_pack("{s:I, s:I, s:s}", "list", list, "number", number, "value", value));
}

static void begin_deal(fh_work *w)
{
    json_int_t deal = lists_number(fh_body(w), "deal");
    append(w, deal, "begun");
    fh_saga_start(w, "deal", fh_body(w));
    fh_reply(w, 202, json_pack("{s:I}", "deal", deal));
}

static void mark_deal(fh_work *w)
{
    append(w, lists_number(fh_saga_input(w), "deal"), "marked");
}

static void confirm_deal(fh_work *w)
{
    append(w, lists_number(fh_saga_input(w), "deal"), "confirmed");
}

static void deal_undone(fh_work *w)
{
    append(w, lists_number(fh_saga_input(w), "deal"), "undone");
}

/* For subscribers that resync. */
static void every_list(fh_work *w)
{
    const json_t *query = fh_query(w);
    fh_reply(
        w, 200,
        lists_page(w, lists_number(query, "after"), LISTS_QUIET, lists_number(query, "limit")));
}

/* What time this process believes it is: shows whether a clock is as far off as it should be. */
static void get_clock(fh_work *w)
{
    fh_reply(w, 200, json_pack("{s:I}", "now_ms", (json_int_t)fh_now_ms(w)));
}

static const fh_step deal_steps[] = {
    {"take", .call = "partner POST /partner/takes", .undo = "partner POST /partner/takes/undo",
     .body = "deal,delay_ms", .timeout_ms = 700},
    {"mark", .run = mark_deal},
    {"send", .call = "partner POST /partner/sends", .undo = "partner POST /partner/sends/undo",
     .body = "deal,refuse", .timeout_ms = 2000, .pivot = true},
    {"confirm", .run = confirm_deal},
    {0}};

static const fh_field entry_shape[] = {{"list", FH_INT, .min = 1, .max = LISTS_BELOW},
                                       {"value", FH_STRING, .min = 1, .max = 64},
                                       {"refuse", FH_BOOL, .optional = true},
                                       {0}};
static const fh_field deal_shape[] = {{"deal", FH_INT, .min = 1, .max = LISTS_QUIET - 1},
                                      {"delay_ms", FH_INT, .min = 0, .max = 20000},
                                      {"refuse", FH_BOOL},
                                      {0}};

FH_SERVICE(
    recorder, LISTS_MODEL,
    .routes = {{"POST", "/recorder/entries", append_entry, .body = entry_shape, .auth = FH_ANYONE},
               {"POST", "/recorder/deals", begin_deal, .body = deal_shape, .auth = FH_ANYONE},
               {"GET", "/recorder/lists/{list:int}", lists_get, .auth = FH_ANYONE},
               {"GET", "/recorder/lists", lists_get_page, .query = lists_page_shape,
                .auth = FH_ANYONE},
               {"GET", "/recorder/clock", get_clock, .auth = FH_ANYONE}},
    .publishes = {{"Appended", 1, lists_entry_shape, .key = "list", .state = every_list}},
    .sagas = {{"deal", deal_steps, .deadline_s = 5, .undone = deal_undone}});
