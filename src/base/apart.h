/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_APART_H
#define BASE_APART_H

/*
 * Whether two clocks are apart. What is noted of it comes by messages, which may have waited for
 * long in a socket whose reader stood still, and a clock may be set while they are under way. So a
 * difference counts once it was noted APART_NOTES times, over APART_NS at least, and none of them
 * said that there is none; but one that was measured counts at once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APART_MS 30000       /* clocks of machines that are looked after are nearer */
#define APART_AGAIN_MS 15000 /* who was apart is together again when he is as near */
#define APART_NOTES 3
#define APART_NS INT64_C(2000000000)
#define APART_TEXT_SIZE 64

struct apart {
    bool is;                    /* they are apart */
    int64_t ahead_ms;           /* of the other one, as it was noted last; negative: behind */
    int64_t since_ns, heard_ns; /* of the first note that said so in a row, and of the last one */
    int notes;
};

/* `ahead_ms`: at least so much. True: `is` has changed. */
bool apart_note(struct apart *apart, int64_t ahead_ms, bool measured, int64_t now_ns);
/* "2 days 3 h ahead of", "40 s behind". */
void apart_text(char out[static APART_TEXT_SIZE], int64_t ahead_ms);

#endif
