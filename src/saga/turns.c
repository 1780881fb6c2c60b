/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is: a pairing heap by the age of sagas. */

#include "saga/turns.h"

#include <stdbool.h>
#include <stddef.h>

static bool comes_first(const struct saga_turn *one, const struct saga_turn *other)
{
    return one->age != other->age ? one->age < other->age : one->order < other->order;
}

/* The first of two heaps takes the other as its newest child. Either may be NULL. */
static struct saga_turn *meld_turns(struct saga_turn *one, struct saga_turn *other)
{
    if (!one || !other)
        return one ? one : other;
    struct saga_turn *first = comes_first(one, other) ? one : other;
    struct saga_turn *second = first == one ? other : one;
    second->sibling = first->child;
    first->child = second;
    return first;
}

void saga_turns_add(struct saga_turns *turns, struct saga_turn *turn, int64_t age)
{
    *turn = (struct saga_turn){.age = age, .order = turns->arrived++};
    turns->first = meld_turns(turns->first, turn);
}

/* Two by two, from the newest; then all of these, from the last pair. */
static struct saga_turn *meld_siblings(struct saga_turn *each)
{
    struct saga_turn *pairs = NULL, *whole = NULL;
    while (each) {
        struct saga_turn *one = each, *other = one->sibling;
        each = other ? other->sibling : NULL;
        one->sibling = NULL;
        if (other)
            other->sibling = NULL;
        struct saga_turn *pair = meld_turns(one, other);
        pair->sibling = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct saga_turn *pair = pairs;
        pairs = pair->sibling;
        pair->sibling = NULL;
        whole = meld_turns(whole, pair);
    }
    return whole;
}

struct saga_turn *saga_turns_take(struct saga_turns *turns)
{
    struct saga_turn *first = turns->first;
    if (!first)
        return NULL;
    turns->first = meld_siblings(first->child);
    first->child = NULL;
    return first;
}
