/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server lacks of facts that nobody else has: sent again, as far as the outbox has it
 * (28), or lost. Either is noted first, so that no process answers until a carrier has seen that
 * the server is whole; and it is counted, since what another one saw before says nothing then.
 *
 *     killed before it is noted    the next carrier looks before anything else
 *     killed after it              nobody answers, and the next one looks
 *     carried up to the cursor     the page that reaches it notes that it is whole
 */

#include "carrier/kept.h"

#include <string.h>

#include "base/crash.h"

struct kept_gap {
    struct carried_place whole; /* up to there it is */
    int64_t gaps;               /* as the look before knew them; then as noted */
    bool lost;
};

/* The cursor may be of a life that the owner has lost: it is not where this one is. */
static enum fh_code bring_cursor_back(struct carrier_look *look, struct store_work *work,
                                      const struct carried_place *whole, struct fh_error *error)
{
    struct carried_generation *serving = &look->record.serving;
    struct carried_place cursor = {.position = serving->cursor};
    bool lives = true;
    memcpy(cursor.id, serving->kept.cursor_id, ID_SIZE);
    enum fh_code code = carried_place_lives(work, &cursor, look->trimmed, &lives, error);
    if (code != FH_OK || lives)
        return code;
    serving->cursor = whole->position;
    memcpy(serving->kept.cursor_id, whole->id, ID_SIZE);
    return FH_OK;
}

static enum fh_code note_gap(struct carrier_change *change, struct store_work *work,
                             struct carrier_look *look, struct fh_error *error)
{
    struct kept_gap *gap = change->what;
    struct carried_generation *serving = &look->record.serving;
    gap->lost = serving->lost;
    if (!serving->name.kept || serving->lost || serving->kept.gaps != gap->gaps)
        return FH_OK;
    gap->gaps = ++serving->kept.gaps;
    gap->lost = gap->whole.position < look->trimmed;
    serving->kept.lacks = change->changed = true;
    serving->kept.milestone = (struct carried_milestone){0};
    /* It was more than not settled. What the outbox has it keeps, also where some is lost. */
    int64_t settled = gap->lost ? look->trimmed : gap->whole.position;
    if (settled < serving->kept.settled)
        serving->kept.settled = settled;
    if (!gap->lost)
        return bring_cursor_back(look, work, &gap->whole, error);
    serving->kept.whole = gap->whole.position;
    serving->lost = true;
    return FH_OK;
}

enum fh_code kept_send_again(struct derived_carrier *carrier, const struct carried_place *whole,
                             bool there, bool *ret_more, struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    struct kept_gap gap = {.whole = *whole, .gaps = serving->kept.gaps};
    struct carrier_change change = {.carrier = carrier, .change = note_gap, .what = &gap};
    carrier->settling.to = 0;
    carrier->lacks = false;
    *ret_more = true;
    enum fh_code code = carrier_change_run(&change, error);
    CRASH_POINT("kept.lost");
    if (code != FH_OK || !change.changed)
        carrier->walked = (struct carried_name){0}; /* it is looked at once more */
    if (code != FH_OK)
        return code;
    carrier->counters.lost += gap.lost && change.changed;
    if (gap.lost || !change.changed)
        return FH_OK;
    carrier->lacks = true;
    carrier->gaps = gap.gaps;
    carrier->from = *whole;
    carrier->counters.resent += serving->kept.made;
    if (there)
        return FH_OK;
    if (whole->position == serving->cursor) /* no page follows that would end the gap */
        carrier->walked = (struct carried_name){0};
    return carrier->server->ops->make(carrier->server, carrier->declared, &serving->name, error);
}

static enum fh_code note_no_gap(struct carrier_change *change, struct store_work *work,
                                struct carrier_look *look, struct fh_error *error)
{
    const struct kept_gap *gap = change->what;
    struct carried_generation *serving = &look->record.serving;
    (void)work;
    (void)error;
    change->changed = serving->name.kept && serving->kept.lacks &&
                      serving->kept.gaps == gap->gaps && serving->cursor == gap->whole.position;
    if (change->changed)
        serving->kept.lacks = false;
    return FH_OK;
}

enum fh_code kept_note_whole(struct derived_carrier *carrier, const struct carried_place *whole,
                             struct fh_error *error)
{
    const struct carried_kept *kept = &carrier->look.record.serving.kept;
    struct kept_gap gap = {.whole = *whole, .gaps = kept->gaps};
    struct carrier_change change = {.carrier = carrier, .change = note_no_gap, .what = &gap};
    return kept->lacks ? carrier_change_run(&change, error) : FH_OK;
}
