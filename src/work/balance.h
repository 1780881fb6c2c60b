/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_BALANCE_H
#define WORK_BALANCE_H

/*
 * Which of a service's instances should have which items: a pure function of the present owners and
 * of which instances are alive.
 *
 * Items come in groups (the partitions of one subscription form one). Within each group the shares
 * of any two instances differ by one at most, and nothing moves unnecessarily: an instance keeps
 * what it has, up to its share. The same input gives the same result everywhere.
 */

#include <stdbool.h>

#define BALANCE_MEMBERS_MAX 256

struct balance_item {
    int group;  /* items of one group are adjacent */
    int owner;  /* a member, from 0; -1: no live member */
    int wanted; /* result: the member that should have it; -1: none can */
};

/* Whether a member can have items of a group: an older program may not know the group. */
typedef bool balance_able(const void *context, int group, int member);

/* `able` NULL: every member is able. `wanted` is -1 for items that no member can have. */
void balance(struct balance_item *items, int count, int members, balance_able *able,
             const void *context);

#endif
