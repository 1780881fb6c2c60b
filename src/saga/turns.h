/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_TURNS_H
#define SAGA_TURNS_H

/*
 * Whose turn it is: the oldest saga's. What waits for a fiber, or for a receiver that has enough to
 * do, is taken in the order in which its sagas began, not in that in which it came. First come,
 * first served would have every saga that begins do its first step before those under way do their
 * second: where more begin than can end, hardly any would end.
 *
 * The waiter embeds a turn. Both operations are cheap whatever the order: a pairing heap (Fredman,
 * Sedgewick, Sleator and Tarjan, 1986). Those of the same age keep their order.
 */

#include <stdint.h>

struct saga_turn {
    int64_t age;    /* the smaller, the older: its saga's number */
    uint64_t order; /* of arrival */
    struct saga_turn *child, *sibling;
};

/* Zero-initialise it. */
struct saga_turns {
    struct saga_turn *first;
    uint64_t arrived;
};

void saga_turns_add(struct saga_turns *turns, struct saga_turn *turn, int64_t age);
struct saga_turn *saga_turns_take(struct saga_turns *turns); /* the oldest one; NULL: none */

#endif
