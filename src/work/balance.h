/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_BALANCE_H
#define WORK_BALANCE_H

/*
 * Who of a service's instances should have what: a pure function of who has it now and who lives.
 *
 * All that can be had stands in groups (the shares of one subscription are one). In each group the
 * numbers that two instances get differ by one at most, and nothing moves that need not: an
 * instance keeps what it has up to its number. Everyone who is given the same comes to the same.
 */

#include <stdbool.h>

#define BALANCE_MEMBERS_MAX 256

struct balance_item {
    int group;  /* those of one group stand side by side */
    int owner;  /* a member, from 0; -1: nobody who lives */
    int wanted; /* filled in: the member that should have it, -1: none can */
};

/* Whether a member can have what is in a group: an older program may not know of it. */
typedef bool balance_able(const void *context, int group, int member);

/* `able` NULL: all are. What nobody can have is wanted by -1. */
void balance(struct balance_item *items, int count, int members, balance_able *able,
             const void *context);

#endif
