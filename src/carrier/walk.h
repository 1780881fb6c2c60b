/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_WALK_H
#define CARRIER_WALK_H

/*
 * Whether links lead from where a generation began to its cursor (docs/internals/carriers.md, rules
 * 8 to 11). It is given them in order of (to, from), and remembers only those ends from which a
 * link that is still to come may begin: none is longer than CARRIED_SPAN_MAX. A link that is, or of
 * which nothing leads to the beginning, leads nowhere. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

#include "carrier/server.h"

struct carried_walk {
    int64_t reached[CARRIED_SPAN_MAX]; /* at position % CARRIED_SPAN_MAX: it, if it is reached */
    int64_t cursor;
    bool whole; /* the cursor is reached */
};

void carried_walk_begin(struct carried_walk *walk, int64_t began, int64_t cursor);
void carried_walk_link(struct carried_walk *walk, const struct carried_link *link);

#endif
