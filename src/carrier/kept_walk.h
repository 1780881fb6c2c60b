/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_KEPT_WALK_H
#define CARRIER_KEPT_WALK_H

/*
 * The same as walk.h for facts that a server alone has, whose links name events besides positions
 * (24): of one position there may be several, of lives that the owner has lost. It is given links
 * in the order of (to, from, from_id, to_id), and says of each whether its end is reached. Pure.
 */

#include <stdbool.h>

#include "carrier/server.h"

#define KEPT_PLACES (CARRIED_SPAN_MAX + 1)
#define CARRIED_LIVES_MAX 4 /* of one position that are remembered: the newest */

struct kept_walk {
    struct kept_places {
        int64_t position;
        int count;
        char ids[CARRIED_LIVES_MAX][ID_SIZE];
    } reached[KEPT_PLACES]; /* at position % KEPT_PLACES */
};

void kept_walk_begin(struct kept_walk *walk, const struct carried_place *began);
/* Whether it leads on from what is reached. */
bool kept_walk_link(struct kept_walk *walk, const struct carried_link *link);

#endif
