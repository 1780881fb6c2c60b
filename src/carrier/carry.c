/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying what follows the generation's cursor (pages.c): a page is sent in one request, and only
 * when the server has answered the cursor is noted (1). It only rises (2), so of two carriers that
 * have sent overlapping pages the slower one notes nothing. A request that is not answered is made
 * again from the cursor (7), perhaps as part of a longer page: versions and links make both orders
 * the same (4, 10).
 */

#include <string.h>

#include "base/crash.h"
#include "carrier/page.h"
#include "carrier/parts.h"
#include "carrier/walk.h"

/* ---- What was acknowledged ---- */

static enum fh_code note_page(struct carrier_change *change, struct store_work *work,
                              struct carrier_look *look, struct fh_error *error)
{
    struct carried_reading *reading = change->what;
    const struct carried_page *page = &reading->page;
    struct carried_generation *generation =
        carried_record_find(&look->record, &reading->generation);
    reading->noted = false;
    if (!generation)
        return FH_OK;
    bool lives = false;
    enum fh_code code = carried_place_lives(work, &reading->end, look->trimmed, &lives, error);
    if (code != FH_OK)
        return code;
    if (!lives && !generation->lost)
        generation->lost = change->changed = true;
    if (!lives || generation->cursor >= page->link.to)
        return FH_OK;
    for (int i = 0; i < page->count; i++) {
        const struct carried_op *op = &page->ops[i];
        if (!op->refused[0])
            carried_unpark(generation, op);
        else if (!carried_park(generation, op))
            return error_set(error, FH_UNSUPPORTED,
                             "The server refuses the values of more than %d keys of the derived "
                             "store %s, and no more is carried there: %.100s",
                             CARRIED_PARKED_MAX, change->carrier->declared->name, op->refused);
    }
    generation->cursor = page->link.to;
    generation->filled |= reading->fills;
    reading->noted = change->changed = true;
    return FH_OK;
}

static void count_page(struct derived_carrier *carrier, const struct carried_page *page)
{
    carrier->counters.pages++;
    carrier->counters.ops += (uint64_t)page->count;
    for (int i = 0; i < page->count; i++)
        carrier->counters.refused += page->ops[i].refused[0] != 0;
}

static enum fh_code send_page(struct derived_carrier *carrier, struct carried_reading *reading,
                              struct fh_error *error)
{
    struct carried_page *page = &reading->page;
    const struct carried_name *generation = &reading->generation;
    struct carried_server *server = carrier->server;
    struct carrier_change change = {.carrier = carrier, .change = note_page, .what = reading};
    carrier_note_sent(carrier, generation, &reading->end); /* it may come, whatever is answered */
    enum fh_code code = server->ops->send(server, carrier->declared, generation, page, error);
    CRASH_POINT("carrier.sent");
    if (code == FH_NOT_FOUND)
        return carrier_lose(carrier, generation, error);
    if (code == FH_OK)
        code = carrier_change_run(&change, error);
    CRASH_POINT("carrier.noted");
    reading->noted = code == FH_OK && reading->noted;
    if (reading->noted)
        count_page(carrier, page);
    else if (code == FH_OK && change.changed)
        carrier_count_set_back(carrier);
    return code;
}

enum fh_code carrier_carry(struct derived_carrier *carrier,
                           const struct carried_generation *generation, bool *ret_more,
                           struct fh_error *error)
{
    struct carried_start start = {.generation = generation->name,
                                  .position = generation->cursor,
                                  .sent = *carrier_sent(carrier, &generation->name)};
    enum fh_code code = carrier_carry_pages(carrier, &start, send_page, ret_more, error);
    if (code != FH_OK || !carrier->missing.id[0])
        return code;
    *ret_more = true;
    const struct carried_place missing = carrier->missing;
    return carrier_lose_set_back(carrier, &start.generation, &missing, error);
}

/* ---- What the server has lost ---- */

static void walk_link(void *context, const struct carried_link *link)
{
    struct carrier_walking *walking = context;
    carried_walk_link(&walking->walk, link);
    walking->last = *link;
}

static bool has_walked_on(const struct carried_link *before, const struct carried_link *last)
{
    return last->to > before->to || (last->to == before->to && last->from > before->from);
}

/* Links behind the cursor, as it was when this began, are of pages that were not noted then: they
 * are not asked for. Nor is a server asked again that shows none behind those that it has shown. */
static enum fh_code walk_links(struct derived_carrier *carrier, struct carrier_walking *walking,
                               bool *ret_over, struct fh_error *error)
{
    struct carried_server *server = carrier->server;
    int most = server->ops->look_links ? server->ops->look_links : CARRIED_WALKED_MAX;
    int count = 0, walked = 0;
    enum fh_code code = FH_OK;
    *ret_over = walking->walk.whole;
    while (code == FH_OK && !*ret_over && walked < most) {
        const struct carried_link before = walking->last;
        int limit = most - walked < CARRIED_LINKS_MAX ? most - walked : CARRIED_LINKS_MAX;
        code = server->ops->links(server, carrier->declared, &walking->generation, &before, limit,
                                  walk_link, walking, &count, error);
        *ret_over = walking->walk.whole || count < limit ||
                    !has_walked_on(&before, &walking->last) ||
                    walking->last.to > walking->walk.cursor;
        walked += count;
    }
    return code;
}

/* A carrier that remembers nothing looks beyond the outbox's end before it sends (37). */
static enum fh_code walk_begin(struct derived_carrier *carrier,
                               const struct carried_generation *generation, bool *ret_whole,
                               struct fh_error *error)
{
    struct carrier_walking *walking = &carrier->walking;
    *ret_whole = true;
    if (carried_name_compare(&walking->generation, &generation->name) == 0)
        return FH_OK;
    memset(walking, 0, sizeof *walking); /* large for a fiber's stack */
    walking->last.to = generation->began;
    carried_walk_begin(&walking->walk, generation->began, generation->cursor);
    enum fh_code code = carrier_look_beyond(carrier, &generation->name, ret_whole, error);
    if (code == FH_OK)
        walking->generation = generation->name;
    return code;
}

enum fh_code carrier_walk(struct derived_carrier *carrier,
                          const struct carried_generation *generation, bool *ret_whole,
                          bool *ret_over, struct fh_error *error)
{
    const struct carried_name name = generation->name;
    struct carrier_walking *walking = &carrier->walking;
    enum fh_code code = walk_begin(carrier, generation, ret_whole, error);
    *ret_over = true;
    if (code == FH_OK && *ret_whole)
        code = walk_links(carrier, walking, ret_over, error);
    if (code == FH_OK ? !*ret_over : code != FH_NOT_FOUND)
        return code; /* it goes on from there */
    bool lost = code == FH_NOT_FOUND || (*ret_whole && !walking->walk.whole);
    walking->generation = (struct carried_name){0};
    carrier->counters.walks++;
    *ret_whole = *ret_whole && !lost;
    return lost ? carrier_lose(carrier, &name, error) : FH_OK;
}
