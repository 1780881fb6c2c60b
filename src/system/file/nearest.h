/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_NEAREST_H
#define SYSTEM_FILE_NEAREST_H

/* "Did you mean ...?": the known word nearest to a mistyped one. */

#include <stddef.h>

/* How many letters must be changed, added, dropped, or swapped with their neighbour. A word longer
 * than 64 letters is at the greatest distance from any other. */
size_t nearest_distance(const char *a, const char *b);

struct nearest {
    const char *wanted;
    const char *word; /* the nearest so far, or NULL */
    size_t distance;
};

/* Offer each known word; `word` stays NULL if none is close enough to be a typing mistake. */
struct nearest nearest_begin(const char *wanted);
void nearest_offer(struct nearest *nearest, const char *known);

#endif
