/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a server is whole that alone has facts: its links are walked from where the generation
 * began, or from a milestone. An end that is reached counts where the present outbox has that
 * event: a former life's may be reached, too, and what followed there was lost. What is before the
 * outbox's beginning is of no use, as nothing can be sent again from there; so the ends of a batch
 * of links are looked up at once, those from there on alone.
 */

#include "carrier/kept.h"

#include <stdlib.h>
#include <string.h>

#include "store/ledger.h"

struct kept_looking {
    struct kept_walk walk;
    struct carried_link last;
    struct carried_place cursor, ends[CARRIED_LINKS_MAX], best; /* ends: of this batch, in order */
    int end_count;
    int64_t trimmed;
    bool lives; /* the present outbox has what is at the cursor */
    bool whole;
    bool any;        /* some link is reached */
    int64_t must_by; /* or nothing behind there will be */
};

static enum fh_code look_at_cursor(struct derived_carrier *carrier, struct kept_looking *looking,
                                   struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(carrier->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = carried_place_lives(work, &looking->cursor, looking->trimmed, &looking->lives, error);
    store_rollback(work);
    return code;
}

static void look_at_kept_link(void *context, const struct carried_link *link)
{
    struct kept_looking *looking = context;
    looking->last = *link;
    if (!kept_walk_link(&looking->walk, link) || link->to > looking->cursor.position)
        return;
    struct carried_place place = {.position = link->to};
    memcpy(place.id, link->to_id, ID_SIZE);
    looking->any = true;
    if (place.position == looking->cursor.position && strcmp(place.id, looking->cursor.id) == 0)
        looking->whole = looking->lives;
    if (looking->end_count < CARRIED_LINKS_MAX)
        looking->ends[looking->end_count++] = place;
}

/* The last end that the outbox has, or, before all it has, that is reached. */
static enum fh_code find_kept_place(struct derived_carrier *carrier, struct kept_looking *looking,
                                    struct fh_error *error)
{
    struct store_work *work;
    bool lives = false;
    enum fh_code code = store_begin(carrier->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = looking->end_count - 1; i >= 0 && code == FH_OK && !lives; i--) {
        code = carried_place_lives(work, &looking->ends[i], looking->trimmed, &lives, error);
        if (code == FH_OK && lives)
            looking->best = looking->ends[i];
    }
    store_rollback(work);
    return code;
}

/* Whoever answers the same again would be asked for ever. */
static bool has_looked_on(const struct carried_link *before, const struct carried_link *last)
{
    if (before->to != last->to || before->from != last->from)
        return last->to > before->to || (last->to == before->to && last->from > before->from);
    int order = strcmp(last->from_id, before->from_id);
    return order > 0 || (order == 0 && strcmp(last->to_id, before->to_id) > 0);
}

/* Links behind `after`. Of those behind a milestone's place none is reached without it. */
static enum fh_code look_at_kept_links(struct derived_carrier *carrier,
                                       const struct carried_generation *serving, int64_t after,
                                       struct kept_looking *looking, struct fh_error *error)
{
    struct carried_server *server = carrier->server;
    struct carried_link before;
    enum fh_code code;
    int count = 0;
    carrier->links_shown = 0;
    looking->last = (struct carried_link){.from = after, .to = after};
    do {
        before = looking->last;
        looking->end_count = 0;
        code = server->ops->links(server, carrier->declared, &serving->name, &before,
                                  CARRIED_LINKS_MAX, look_at_kept_link, looking, &count, error);
        carrier->links_shown += count;
        if (code == FH_OK && !looking->whole)
            code = find_kept_place(carrier, looking, error);
    } while (code == FH_OK && !looking->whole && count == CARRIED_LINKS_MAX &&
             has_looked_on(&before, &looking->last) &&
             looking->last.to <= looking->cursor.position &&
             (looking->any || looking->last.to <= looking->must_by));
    carrier->counters.walks++;
    return code;
}

/* NULL: there is no memory. */
static struct kept_looking *looking_new(const struct derived_carrier *carrier,
                                        const struct carried_generation *serving,
                                        const struct carried_place *from, struct fh_error *error)
{
    struct kept_looking *looking = calloc(1, sizeof *looking);
    if (!looking) {
        error_set(error, FH_NO_MEMORY, "There is no memory to look for what is lost.");
        return NULL;
    }
    looking->cursor.position = serving->cursor;
    memcpy(looking->cursor.id, serving->kept.cursor_id, ID_SIZE);
    looking->trimmed = carrier->look.trimmed;
    looking->must_by = INT64_MAX;
    kept_walk_begin(&looking->walk, from);
    return looking;
}

enum fh_code kept_leads_on(struct derived_carrier *carrier,
                           const struct carried_generation *serving,
                           const struct carried_milestone *milestone, bool *ret,
                           struct fh_error *error)
{
    struct carried_place name = {.position = milestone->place.position - 1};
    memcpy(name.id, milestone->name, ID_SIZE);
    *ret = false;
    struct kept_looking *looking = looking_new(carrier, serving, &name, error);
    if (!looking)
        return FH_NO_MEMORY;
    looking->must_by = milestone->place.position;
    enum fh_code code = look_at_cursor(carrier, looking, error);
    if (code == FH_OK)
        code = look_at_kept_links(carrier, serving, name.position, looking, error);
    *ret = code == FH_OK && looking->whole;
    free(looking);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

static enum fh_code look_at_all_links(struct derived_carrier *carrier,
                                      const struct carried_generation *serving,
                                      struct carried_place *ret, bool *ret_there,
                                      struct fh_error *error)
{
    struct carried_place began = {.position = serving->began};
    memcpy(began.id, serving->kept.began_id, ID_SIZE);
    struct kept_looking *looking = looking_new(carrier, serving, &began, error);
    if (!looking)
        return FH_NO_MEMORY;
    looking->best = began;
    enum fh_code code = look_at_cursor(carrier, looking, error);
    looking->whole = looking->lives && serving->cursor == serving->began;
    if (code == FH_OK)
        code = look_at_kept_links(carrier, serving, began.position, looking, error);
    *ret_there = code != FH_NOT_FOUND;
    *ret = code == FH_OK ? looking->whole ? looking->cursor : looking->best : began;
    free(looking);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

static bool may_begin_at_milestone(const struct derived_carrier *carrier,
                                   const struct carried_generation *serving, int64_t now_ns)
{
    const struct carried_milestone *milestone = &serving->kept.milestone;
    return milestone->name[0] && milestone->place.position > serving->began &&
           now_ns < carrier->walks_all_ns;
}

/* A milestone says only that nothing is missing. Where it does not, all links say what is. */
enum fh_code kept_look(struct derived_carrier *carrier, const struct carried_generation *serving,
                       struct carried_place *ret, bool *ret_there, struct fh_error *error)
{
    struct world *world = carrier->context->world;
    int64_t began_ns = world_monotonic_ns(world);
    enum fh_code code = FH_OK;
    *ret_there = false;
    if (may_begin_at_milestone(carrier, serving, began_ns))
        code = kept_leads_on(carrier, serving, &serving->kept.milestone, ret_there, error);
    *ret = (struct carried_place){.position = serving->cursor};
    memcpy(ret->id, serving->kept.cursor_id, ID_SIZE);
    if (code != FH_OK || *ret_there)
        return code;
    began_ns = world_monotonic_ns(world);
    code = look_at_all_links(carrier, serving, ret, ret_there, error);
    int64_t now_ns = world_monotonic_ns(world);
    int64_t rest_ns = CARRIED_WALK_REST * (now_ns - began_ns);
    int64_t least_ns = CARRIED_ALL_MS * INT64_C(1000000);
    if (code == FH_OK)
        carrier->walks_all_ns = now_ns + (rest_ns > least_ns ? rest_ns : least_ns);
    return code;
}
