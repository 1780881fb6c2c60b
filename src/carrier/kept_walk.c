/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of ends, as in walk.c, of one place more: of the longest links several may begin where one
 * has, in lives that the owner has lost, so its end is not written over its beginning. */

#include "carrier/kept_walk.h"

#include <string.h>

static struct kept_places *kept_places_at(struct kept_walk *walk, int64_t position)
{
    return &walk->reached[position % KEPT_PLACES];
}

static bool is_kept_place(struct kept_walk *walk, int64_t position, const char *id)
{
    const struct kept_places *places = kept_places_at(walk, position);
    for (int i = 0; i < places->count && places->position == position; i++) {
        if (strcmp(places->ids[i], id) == 0)
            return true;
    }
    return false;
}

static void add_kept_place(struct kept_walk *walk, int64_t position, const char *id)
{
    struct kept_places *places = kept_places_at(walk, position);
    if (places->position != position)
        *places = (struct kept_places){.position = position};
    if (places->count == CARRIED_LIVES_MAX) {
        memmove(places->ids[0], places->ids[1], sizeof places->ids - sizeof places->ids[0]);
        places->count--;
    }
    memcpy(places->ids[places->count++], id, ID_SIZE);
}

void kept_walk_begin(struct kept_walk *walk, const struct carried_place *began)
{
    memset(walk, 0, sizeof *walk);
    add_kept_place(walk, began->position, began->id);
}

bool kept_walk_link(struct kept_walk *walk, const struct carried_link *link)
{
    if (link->from < 0 || link->to <= link->from || link->to - link->from > CARRIED_SPAN_MAX ||
        !is_kept_place(walk, link->from, link->from_id))
        return false;
    if (!is_kept_place(walk, link->to, link->to_id))
        add_kept_place(walk, link->to, link->to_id);
    return true;
}
