/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milestones of facts that a server alone has (docs/internals/carriers.md, 38). Each page leaves a
 * link, so where little is derived at a time, but always something, there are a million within a
 * day, and they stay. A look begins at the newest milestone, and walks the links behind that.
 *
 *     a look finds all whole, and that has settled    the milestone is sent; if it is not answered,
 *                                                     it is forgotten
 *     the next one finds all whole, then walks from   it is noted, if the server has been running
 *     the milestone to the cursor                     since before the first one
 *
 *     killed after it was sent     nobody knows its name, so nothing ever begins there
 *     killed after it was noted    looks begin there
 */

#include "carrier/kept.h"

#include <string.h>

#include "base/crash.h"
#include "base/id.h"
#include "world/world.h"

static enum fh_code note_milestone(struct carrier_change *change, struct store_work *work,
                                   struct carrier_look *look, struct fh_error *error)
{
    const struct carrier_placing *placing = change->what;
    const struct carried_milestone *milestone = &placing->milestone;
    struct carried_generation *serving = &look->record.serving;
    bool lives = false;
    if (carried_name_compare(&serving->name, &change->carrier->look.record.serving.name) != 0 ||
        serving->lost || serving->kept.lacks || serving->kept.gaps != placing->gaps ||
        strcmp(serving->kept.milestone.name, placing->replaces) != 0)
        return FH_OK;
    enum fh_code code = carried_place_lives(work, &milestone->place, look->trimmed, &lives, error);
    change->changed = code == FH_OK && lives;
    if (change->changed)
        serving->kept.milestone = *milestone;
    return code;
}

static bool has_run_since(const struct derived_carrier *carrier, int64_t began_ns,
                          int64_t running_s)
{
    return running_s > (world_monotonic_ns(carrier->context->world) - began_ns) / 1000000000;
}

static void place_later(struct derived_carrier *carrier)
{
    carrier->places_ns = world_in_ms(carrier->context->world, CARRIED_WALK_MS);
}

/* ---- Sending ---- */

static void name_milestone(struct world *world, char ret[static ID_SIZE])
{
    unsigned char random[10];
    world_random(world, random, sizeof random);
    id_format(ret, world_wall_ms(world), random);
}

/* A page without facts, and the name instead of an event's id and of a life: so it takes no other
 * link's place, and is no other attempt's. */
static enum fh_code send_milestone(struct derived_carrier *carrier,
                                   const struct carried_milestone *milestone,
                                   struct fh_error *error)
{
    const struct carried_name name = carrier->look.record.serving.name;
    struct carried_page page = {
        .link = {.from = milestone->place.position - 1, .to = milestone->place.position}};
    memcpy(page.link.from_id, milestone->name, ID_SIZE);
    memcpy(page.link.to_id, milestone->place.id, ID_SIZE);
    memcpy(page.life, milestone->name, ID_SIZE);
    return carrier->server->ops->send(carrier->server, carrier->declared, &name, &page, error);
}

void kept_send_milestone(struct derived_carrier *carrier, const struct carried_place *place,
                         int64_t began_ns, int64_t running_s)
{
    const struct carried_kept *kept = &carrier->look.record.serving.kept;
    int most = carrier->server->ops->look_links;
    struct world *world = carrier->context->world;
    struct carrier_placing placing = {
        .milestone = {.place = *place}, .began_ns = began_ns, .gaps = kept->gaps};
    struct fh_error error = {0};
    if (carrier->links_shown < (most ? most : CARRIED_WALKED_MAX) ||
        world_monotonic_ns(world) < carrier->places_ns ||
        !has_run_since(carrier, began_ns, running_s))
        return;
    memcpy(placing.replaces, kept->milestone.name, ID_SIZE);
    name_milestone(world, placing.milestone.name);
    enum fh_code code = send_milestone(carrier, &placing.milestone, &error);
    CRASH_POINT("kept.milestone_sent");
    if (code == FH_OK)
        carrier->placing = placing;
    else
        place_later(carrier);
}

/* ---- Noting ---- */

enum fh_code kept_note_milestone(struct derived_carrier *carrier, int64_t running_s,
                                 struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    struct carrier_placing placing = carrier->placing;
    struct carrier_change change = {.carrier = carrier, .change = note_milestone, .what = &placing};
    bool leads = false;
    enum fh_code code = FH_OK;
    carrier->placing = (struct carrier_placing){0};
    if (!placing.milestone.name[0])
        return FH_OK;
    if (has_run_since(carrier, placing.began_ns, running_s))
        code = kept_leads_on(carrier, serving, &placing.milestone, &leads, error);
    if (code == FH_OK && leads)
        code = carrier_change_run(&change, error);
    CRASH_POINT("kept.milestone_noted");
    carrier->counters.milestones += change.changed;
    if (!change.changed)
        place_later(carrier);
    return code;
}
