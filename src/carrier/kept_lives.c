/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server that alone has facts holds of lives that the owner has lost, and what an operator
 * gives up of its own. Facts of a lost life stay. They are counted before the present one has sent
 * any, since positions are given out again.
 *
 *     killed before it is noted    they are counted again: nothing was sent
 *     killed after it              the same as if it had not been
 */

#include "carrier/kept.h"

#include <string.h>

#include "base/crash.h"
#include "store/ledger.h"
#include "world/world.h"

#define COUNT_MS_MAX INT64_C(20000) /* most of what a server has for a request */

/* ---- Generations of before ---- */

struct left_behind {
    const struct carried_name *serving;
    int count;
};

static void count_left_behind(void *context, const struct carried_name *name)
{
    struct left_behind *left = context;
    left->count += name->kept && carried_name_compare(name, left->serving) != 0;
}

/* A backup that was restored may be older than the generation that served. */
enum fh_code kept_count_left(struct derived_carrier *carrier, struct fh_error *error)
{
    struct carried_server *server = carrier->server;
    struct left_behind left = {.serving = &carrier->look.record.serving.name};
    enum fh_code code =
        server->ops->generations(server, carrier->declared, count_left_behind, &left, error);
    if (code == FH_OK)
        carrier->counters.left += (uint64_t)left.count;
    return code;
}

/* ---- A life that the owner has lost ---- */

static enum fh_code note_former(struct carrier_change *change, struct store_work *work,
                                struct carrier_look *look, struct fh_error *error)
{
    const struct carried_former *former = change->what;
    struct carried_kept *kept = &look->record.serving.kept;
    char life[ID_SIZE];
    if (!look->record.serving.name.kept || strcmp(kept->life, former->incarnation) != 0)
        return FH_OK;
    enum fh_code code = ledger_meta_get(work, LEDGER_INCARNATION, life, sizeof life, error);
    if (code != FH_OK || strcmp(life, kept->life) == 0)
        return code;
    if (former->facts && kept->former_count == CARRIED_LOSSES_MAX)
        memmove(kept->formers, kept->formers + 1, sizeof kept->formers - sizeof *kept->formers);
    if (former->facts && kept->former_count < CARRIED_LOSSES_MAX)
        kept->former_count++;
    if (former->facts)
        kept->formers[kept->former_count - 1] = *former;
    memcpy(kept->life, life, ID_SIZE);
    change->changed = true;
    return FH_OK;
}

/* Up to where the outbox is that of this life as well. A life that is no ancestor any more, since
 * there were many, has nothing behind the outbox's end. */
static enum fh_code cut_of_former(struct derived_carrier *carrier, struct carried_former *former,
                                  struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(carrier->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_ancestor_cut(work, former->incarnation, &former->position, error);
    if (code == FH_NOT_FOUND)
        code = ledger_position(work, &former->position, error);
    store_rollback(work);
    return code;
}

/* A server that can't count them in time is not asked for ever: nothing is carried meanwhile. */
static enum fh_code count_behind(struct derived_carrier *carrier, struct carried_former *former,
                                 struct fh_error *error)
{
    struct carried_server *server = carrier->server;
    struct world *world = carrier->context->world;
    int64_t began_ns = world_monotonic_ns(world);
    enum fh_code code =
        server->ops->count(server, carrier->declared, &carrier->look.record.serving.name,
                           former->position, &former->facts, error);
    int64_t most_ms = carrier->count_ms_max ? carrier->count_ms_max : COUNT_MS_MAX;
    bool late = world_monotonic_ns(world) - began_ns >= most_ms * 1000000;
    if (code != FH_UNAVAILABLE || !late)
        return code;
    former->facts = CARRIED_UNCOUNTED;
    return FH_OK;
}

/* Before anything of this life is sent: so what is behind the cut is the lost life's. */
enum fh_code kept_count_former(struct derived_carrier *carrier, struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    struct carried_former former = {0};
    struct carrier_change change = {.carrier = carrier, .change = note_former, .what = &former};
    memcpy(former.incarnation, serving->kept.life, ID_SIZE);
    enum fh_code code = cut_of_former(carrier, &former, error);
    if (code == FH_OK)
        code = count_behind(carrier, &former, error);
    if (code == FH_NOT_FOUND) /* what is lost is found out by looking */
        code = FH_OK;
    if (code == FH_OK)
        code = carrier_change_run(&change, error);
    CRASH_POINT("kept.counted");
    if (code == FH_OK && change.changed)
        carrier->counters.formers += former.facts != 0;
    return code;
}

/* ---- What an operator gives up ---- */

static enum fh_code give_up(struct carrier_change *change, struct store_work *work,
                            struct carrier_look *look, struct fh_error *error)
{
    struct carried_loss *loss = change->what;
    struct carried_generation *serving = &look->record.serving;
    struct carried_kept *kept = &serving->kept;
    if (!serving->name.kept || !serving->lost)
        return error_set(error, FH_CONFLICT,
                         "The server of %s has lost nothing that nobody else has.",
                         change->carrier->declared->name);
    *loss = (struct carried_loss){.after = kept->whole,
                                  .to = look->trimmed,
                                  .at_ms = world_wall_ms(change->carrier->context->world)};
    if (kept->loss_count == CARRIED_LOSSES_MAX)
        memmove(kept->losses, kept->losses + 1, sizeof kept->losses - sizeof *kept->losses);
    else
        kept->loss_count++;
    kept->losses[kept->loss_count - 1] = *loss;
    serving->began = look->trimmed;
    serving->lost = kept->made = false;
    kept->lacks = true; /* what the outbox has: until somebody has looked */
    if (kept->settled > look->trimmed)
        kept->settled = look->trimmed;
    kept->gaps++;
    kept->milestone = (struct carried_milestone){0};
    change->changed = true;
    enum fh_code code = carried_place_id(work, serving->began, kept->began_id, error);
    if (serving->cursor < serving->began) { /* what was not carried yet was trimmed, too */
        serving->cursor = serving->began;
        memcpy(kept->cursor_id, kept->began_id, ID_SIZE);
    }
    return code;
}

enum fh_code carrier_accept_loss(struct derived_carrier *carrier, struct carried_loss *ret,
                                 struct fh_error *error)
{
    struct carrier_change change = {.carrier = carrier, .change = give_up, .what = ret};
    if (!carrier->kept)
        return error_set(error, FH_CONFLICT,
                         "The derived store %s is made anew where it is lost: there is nothing to "
                         "accept.",
                         carrier->declared->name);
    enum fh_code code = carrier_change_run(&change, error);
    CRASH_POINT("kept.accepted");
    if (code == FH_OK)
        carrier->walked = (struct carried_name){0};
    return code;
}
