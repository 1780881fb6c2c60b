/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PORTION_H
#define BASE_PORTION_H

/*
 * How many things to take at once, where what bounds them is something else than their number:
 * bytes, memory, time. It becomes less when a portion fails, down to one, and is doubled when
 * portions come through. An attempt to grow that fails is made again only after more portions have
 * come through, so that what fails costs a small part of what succeeds. Memory only. All bits zero
 * is a good beginning.
 *
 *     n = portion_size(&portion, MOST);
 *     if (take(n)) portion_passed(&portion, n); else if (n > 1) portion_failed(&portion, n / 2);
 */

struct portion {
    int size;   /* 0: as many as there may be */
    int passed; /* of this size, in a row */
    int needed; /* before it grows */
    int grew;   /* to this size, which has not come through yet */
};

#define PORTION_NEEDED_MAX 64

int portion_size(const struct portion *portion, int most); /* 1 to `most` */
/* So many, a whole portion, came through. */
void portion_passed(struct portion *portion, int size);
/* A portion failed: the next one has `next`, at least one. */
void portion_failed(struct portion *portion, int next);

#endif
