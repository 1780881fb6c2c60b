/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milestones of facts that a server alone has (docs/internals/carriers.md, 38). Each page leaves a
 * link, so where little is derived at a time, but always something, there are a million within a
 * day, and they stay. A look begins at the newest milestone, so it walks the links behind that.
 *
 *     the milestone is sent          nobody knows its name: nothing begins there
 *     the server has run on          the same
 *     it was looked at once more     the same
 *     it is noted                    looks begin there, as long as the server has it
 */

#include "carrier/kept.h"

#include <string.h>

#include "base/crash.h"
#include "base/id.h"
#include "store/ledger.h"
#include "world/world.h"

struct milestone_placing {
    struct carried_milestone milestone;
    struct carried_name generation;
    int64_t gaps;
};

static enum fh_code note_milestone(struct carrier_change *change, struct store_work *work,
                                   struct carrier_look *look, struct fh_error *error)
{
    const struct milestone_placing *placing = change->what;
    struct carried_generation *serving = &look->record.serving;
    const struct carried_place *place = &placing->milestone.place;
    char life[ID_SIZE];
    bool lives = false;
    if (carried_name_compare(&serving->name, &placing->generation) != 0 || serving->lost ||
        serving->kept.lacks || serving->kept.gaps != placing->gaps)
        return FH_OK;
    enum fh_code code = ledger_meta_get(work, LEDGER_INCARNATION, life, sizeof life, error);
    if (code == FH_OK)
        code = carried_place_lives(work, place, look->trimmed, &lives, error);
    change->changed = code == FH_OK && lives && strcmp(life, placing->milestone.life) == 0;
    if (change->changed)
        serving->kept.milestone = placing->milestone;
    return code;
}

static void name_milestone(struct world *world, char ret[static ID_SIZE])
{
    unsigned char random[10];
    world_random(world, random, sizeof random);
    id_format(ret, world_wall_ms(world), random);
}

/* A page without facts, and the name instead of an event's id and of a life: so it takes no other
 * link's place, and is no other attempt's. */
static enum fh_code send_milestone(struct derived_carrier *carrier,
                                   const struct milestone_placing *placing, struct fh_error *error)
{
    const struct carried_milestone *milestone = &placing->milestone;
    struct carried_page page = {
        .link = {.from = milestone->place.position - 1, .to = milestone->place.position}};
    memcpy(page.link.from_id, milestone->name, ID_SIZE);
    memcpy(page.link.to_id, milestone->place.id, ID_SIZE);
    memcpy(page.life, milestone->name, ID_SIZE);
    return carrier->server->ops->send(carrier->server, carrier->declared, &placing->generation,
                                      &page, error);
}

static enum fh_code has_run_on(struct derived_carrier *carrier, int64_t began_ns, bool *ret,
                               struct fh_error *error)
{
    int64_t settle_s, running_s = 0;
    enum fh_code code =
        carrier->server->ops->settles(carrier->server, &settle_s, &running_s, error);
    int64_t for_s = (world_monotonic_ns(carrier->context->world) - began_ns) / 1000000000;
    *ret = code == FH_OK && running_s > for_s;
    return code;
}

/* By all links since the milestone before, and then from this one on. */
static enum fh_code is_still_whole(struct derived_carrier *carrier,
                                   const struct carried_milestone *milestone, bool *ret,
                                   struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    struct carried_place whole;
    bool there;
    enum fh_code code = kept_look(carrier, serving, &whole, &there, error);
    *ret = code == FH_OK && there && whole.position >= milestone->place.position;
    if (*ret)
        code = kept_look_from(carrier, serving, milestone, &whole, ret, error);
    *ret &= code == FH_OK;
    return code;
}

enum fh_code kept_place_milestone(struct derived_carrier *carrier,
                                  const struct carried_place *place, int64_t began_ns,
                                  struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    struct milestone_placing placing = {
        .milestone = {.place = *place}, .generation = serving->name, .gaps = serving->kept.gaps};
    struct carrier_change change = {.carrier = carrier, .change = note_milestone, .what = &placing};
    bool holds = false;
    int most = carrier->server->ops->look_links;
    if (carrier->links < (most ? most : CARRIED_WALKED_MAX))
        return FH_OK;
    memcpy(placing.milestone.life, carrier->life, ID_SIZE);
    name_milestone(carrier->context->world, placing.milestone.name);
    enum fh_code code = send_milestone(carrier, &placing, error);
    CRASH_POINT("kept.milestone.sent");
    if (code == FH_OK)
        code = has_run_on(carrier, began_ns, &holds, error);
    if (code == FH_OK && holds)
        code = is_still_whole(carrier, &placing.milestone, &holds, error);
    if (code == FH_OK && holds)
        code = carrier_change_run(&change, error);
    CRASH_POINT("kept.milestone.noted");
    carrier->counters.milestones += change.changed;
    return code == FH_NOT_FOUND ? FH_OK : code;
}
