/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_APART_H
#define BASE_APART_H

/*
 * Whether two clocks differ. Their difference is noted from messages, which may have waited long in
 * a socket whose reader stood still, and a clock may be set while they are under way. So a
 * difference counts only once it has been noted APART_NOTES times in a row, over at least APART_NS.
 * A measured difference counts at once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APART_MS 30000       /* well-kept machines' clocks are closer than this */
#define APART_AGAIN_MS 15000 /* clocks that are apart count as together again when this close */
#define APART_NOTES 3
#define APART_NS INT64_C(2000000000)
#define APART_TEXT_SIZE 64

struct apart {
    bool is;                    /* they are apart */
    int64_t ahead_ms;           /* of the other clock, as last noted; negative: it is behind */
    int64_t since_ns, heard_ns; /* when the first note of this row came, and the last note of all */
    int notes;
};

/* `ahead_ms`: at least this much. True: `is` has changed. */
bool apart_note(struct apart *apart, int64_t ahead_ms, bool measured, int64_t now_ns);
/* "2 days 3 h ahead of", "40 s behind". */
void apart_text(char out[static APART_TEXT_SIZE], int64_t ahead_ms);

#endif
