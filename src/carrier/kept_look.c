/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a server is whole that alone has facts: its links are walked from where the generation
 * began. An end that is reached counts where the present outbox has that event: a former life's may
 * be reached, too, and what followed there was lost. What is before the outbox's beginning is of no
 * use, as nothing can be sent again from there; so the ends of a batch of links are looked up at
 * once, those from there on alone.
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
    const struct carried_milestone *milestone; /* NULL: from where the chain begins */
    bool passed;                               /* the server has it */
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
    looking->passed = true;
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

/* Behind `after`, which is before where the walk begins. */
static enum fh_code look_at_kept_links(struct derived_carrier *carrier,
                                       const struct carried_generation *serving, int64_t after,
                                       struct kept_looking *looking, struct fh_error *error)
{
    struct carried_server *server = carrier->server;
    struct carried_link before;
    enum fh_code code;
    int count = 0;
    looking->last = (struct carried_link){.from = after, .to = after};
    do {
        before = looking->last;
        looking->end_count = 0;
        code = server->ops->links(server, carrier->declared, &serving->name, &before,
                                  CARRIED_LINKS_MAX, look_at_kept_link, looking, &count, error);
        carrier->links += count;
        if (code == FH_OK && !looking->whole)
            code = find_kept_place(carrier, looking, error);
    } while (code == FH_OK && !looking->whole && count == CARRIED_LINKS_MAX &&
             has_looked_on(&before, &looking->last) &&
             looking->last.to <= looking->cursor.position);
    return code;
}

/* From the milestone on, or from where the chain begins. */
static enum fh_code walk_kept_chain(struct derived_carrier *carrier,
                                    const struct carried_generation *serving,
                                    const struct carried_milestone *milestone,
                                    struct kept_looking *looking, struct fh_error *error)
{
    struct carried_place began = {.position = serving->began};
    memcpy(began.id, serving->kept.began_id, ID_SIZE);
    looking->cursor.position = serving->cursor;
    memcpy(looking->cursor.id, serving->kept.cursor_id, ID_SIZE);
    looking->trimmed = carrier->look.trimmed;
    looking->best = began;
    enum fh_code code = look_at_cursor(carrier, looking, error);
    if (code != FH_OK)
        return code;
    if (milestone) { /* before its link nothing is reached */
        began.position = milestone->place.position - 1;
        memcpy(began.id, milestone->name, ID_SIZE);
    }
    kept_walk_begin(&looking->walk, &began);
    looking->milestone = milestone;
    looking->whole = !milestone && looking->lives && serving->cursor == serving->began;
    carrier->links = 0;
    carrier->counters.walks++;
    return look_at_kept_links(carrier, serving, began.position, looking, error);
}

enum fh_code kept_look_from(struct derived_carrier *carrier,
                            const struct carried_generation *serving,
                            const struct carried_milestone *milestone, struct carried_place *ret,
                            bool *ret_there, struct fh_error *error)
{
    struct kept_looking *looking = calloc(1, sizeof *looking);
    if (!looking)
        return error_set(error, FH_NO_MEMORY, "There is no memory to look for what is lost.");
    enum fh_code code = walk_kept_chain(carrier, serving, milestone, looking, error);
    *ret_there = code != FH_NOT_FOUND && (!milestone || looking->passed);
    *ret = code == FH_OK && looking->whole ? looking->cursor : looking->best;
    if (code == FH_NOT_FOUND) {
        *ret = (struct carried_place){.position = serving->began};
        memcpy(ret->id, serving->kept.began_id, ID_SIZE);
    }
    free(looking);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

/* One of a life that the owner has lost says nothing of where the present one's chain leads. */
static bool has_milestone(const struct derived_carrier *carrier,
                          const struct carried_generation *serving)
{
    const struct carried_milestone *milestone = &serving->kept.milestone;
    return milestone->name[0] && milestone->place.position > serving->began &&
           strcmp(milestone->life, carrier->life) == 0;
}

/* Without its milestone the server is one of before, or lacks more than that. */
enum fh_code kept_look(struct derived_carrier *carrier, const struct carried_generation *serving,
                       struct carried_place *ret, bool *ret_there, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    *ret_there = false;
    if (has_milestone(carrier, serving))
        code = kept_look_from(carrier, serving, &serving->kept.milestone, ret, ret_there, error);
    if (code != FH_OK || *ret_there)
        return code;
    return kept_look_from(carrier, serving, NULL, ret, ret_there, error);
}
