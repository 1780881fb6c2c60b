/* SPDX-License-Identifier: Apache-2.0 */
/* Three passes over each group: work out shares, keep what can be kept, give out the rest. */

#include "work/balance.h"

#include "base/error.h"

/* Totals over all groups, and counts within the present group. */
struct tally {
    int members, able_count;
    bool able[BALANCE_MEMBERS_MAX];
    int total[BALANCE_MEMBERS_MAX]; /* items given so far */
    int held[BALANCE_MEMBERS_MAX];  /* items it had before */
    int left[BALANCE_MEMBERS_MAX];  /* of its share */
};

/* Which member gets one more than the others: one that already has more, else the one with the
 * least from other groups. */
static int find_next_larger(const struct tally *tally, int base)
{
    int best = -1;
    for (int i = 0; i < tally->members; i++) {
        if (!tally->able[i] || tally->left[i] > base)
            continue;
        bool has = tally->held[i] > base, best_has = best >= 0 && tally->held[best] > base;
        if (best < 0 || (has && !best_has) ||
            (has == best_has && tally->total[i] < tally->total[best]))
            best = i;
    }
    return best;
}

static int find_lacking(const struct tally *tally)
{
    int best = -1;
    for (int i = 0; i < tally->members; i++) {
        if (tally->left[i] > 0 && (best < 0 || tally->left[i] > tally->left[best]))
            best = i;
    }
    return best;
}

static void balance_group(struct tally *tally, struct balance_item *items, int count)
{
    int base = count / tally->able_count, larger = count % tally->able_count;
    for (int i = 0; i < tally->members; i++) {
        tally->held[i] = 0;
        tally->left[i] = tally->able[i] ? base : 0;
    }
    for (int i = 0; i < count; i++) {
        if (items[i].owner >= 0)
            tally->held[items[i].owner]++;
    }
    for (; larger > 0; larger--)
        tally->left[find_next_larger(tally, base)]++;
    for (int i = 0; i < count; i++) {
        int owner = items[i].owner;
        bool keeps = owner >= 0 && tally->left[owner] > 0;
        items[i].wanted = keeps ? owner : -1;
        tally->left[keeps ? owner : 0] -= keeps;
    }
    for (int i = 0; i < count; i++) {
        if (items[i].wanted < 0) {
            items[i].wanted = find_lacking(tally);
            tally->left[items[i].wanted]--;
        }
        tally->total[items[i].wanted]++;
    }
}

void balance(struct balance_item *items, int count, int members, balance_able *able,
             const void *context)
{
    struct tally tally = {.members = members};
    FH_ASSERT(members <= BALANCE_MEMBERS_MAX);
    for (int first = 0, behind; first < count; first = behind) {
        for (behind = first; behind < count && items[behind].group == items[first].group; behind++)
            items[behind].wanted = -1;
        tally.able_count = 0;
        for (int i = 0; i < members; i++) {
            tally.able[i] = !able || able(context, items[first].group, i);
            tally.able_count += tally.able[i];
        }
        if (tally.able_count)
            balance_group(&tally, items + first, behind - first);
    }
}
