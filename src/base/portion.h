/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PORTION_H
#define BASE_PORTION_H

/*
 * How many things to take at once, where the limit is something other than their number: bytes,
 * memory, time. The number shrinks, down to one, when a portion fails, and is doubled when portions
 * succeed. After a failed attempt to grow, more portions must succeed before the next attempt, so
 * that failures cost only a small part of the work. Kept in memory only. All bits zero is a valid
 * initial state.
 *
 *     n = portion_size(&portion, MOST);
 *     if (take(n)) portion_passed(&portion, n); else if (n > 1) portion_failed(&portion, n / 2);
 */

struct portion {
    int size;   /* 0: no limit */
    int passed; /* portions of this size that succeeded in a row */
    int needed; /* how many must, before it grows */
    int grew;   /* to this size, at which no portion has succeeded yet */
};

#define PORTION_NEEDED_MAX 64

int portion_size(const struct portion *portion, int most); /* 1 to `most` */
/* A whole portion of `size` succeeded. */
void portion_passed(struct portion *portion, int size);
/* A portion failed: the next one has size `next`, but at least one. */
void portion_failed(struct portion *portion, int next);

#endif
