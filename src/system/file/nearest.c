/* SPDX-License-Identifier: Apache-2.0 */
/* Edit distance with swaps of neighbours (optimal string alignment), keeping three rows at a
 * time. */

#include "system/file/nearest.h"

#include <string.h>

#define WORD_LENGTH_MAX 64

static size_t smaller_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t nearest_distance(const char *a, const char *b)
{
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > WORD_LENGTH_MAX || b_length > WORD_LENGTH_MAX)
        return WORD_LENGTH_MAX;
    size_t rows[3][WORD_LENGTH_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = smaller_of(change, smaller_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller_of(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[b_length];
}

struct nearest nearest_begin(const char *wanted)
{
    return (struct nearest){.wanted = wanted, .distance = WORD_LENGTH_MAX};
}

void nearest_offer(struct nearest *nearest, const char *known)
{
    size_t distance = nearest_distance(nearest->wanted, known);
    /* By the shorter one: of "nope" two letters make "move", which nobody has mistyped. */
    size_t length = smaller_of(strlen(nearest->wanted), strlen(known));
    size_t near_enough = length <= 4 ? 1 : length <= 8 ? 2 : length / 4 + 1;
    if (distance <= near_enough && distance < nearest->distance) {
        nearest->word = known;
        nearest->distance = distance;
    }
}
