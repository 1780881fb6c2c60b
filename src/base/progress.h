/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

/*
 * How far long work has come, for the person who waits for it: on a terminal one line of standard
 * error that is drawn again and goes away at the end, elsewhere a plain line every few seconds.
 * Only one is drawn at a time. What came of the work is for its owner to say.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_LINE_SIZE 256

/* How far long work has come, as who does it tells who shows it. */
struct course {
    int64_t done;
    int64_t total;  /* 0: not known */
    bool guessed;   /* the total */
    const char *of; /* what it is at: a table */
};

struct progress {
    const char *what; /* "users"; may be another one as it goes */
    const char *unit; /* "rows" */
    int64_t done;
    int64_t total; /* 0: not known; may become known as it goes */
    bool guessed;  /* the total is an estimate: said so, and forgotten once it was passed */
    FILE *stream;  /* NULL: it says nothing */
    int width;     /* of the terminal; 0: it is none */
    bool drawn;
    int64_t began_ns, drawn_ns;
};

/* `quiet`: says nothing, as with --json. The texts are borrowed until the end. */
void progress_begin(struct progress *progress, const char *what, const char *unit, int64_t total,
                    bool quiet);
/* It has come to `done`. Cheap: draws only when it is time to. */
void progress_reach(struct progress *progress, int64_t done);
/* The same as another process told it; what began anew is shown so. */
void progress_follow(struct progress *progress, const struct course *course);
/* Takes the line away before something else is written; the next reach draws it again. */
void progress_hide(struct progress *progress);
void progress_end(struct progress *progress);

/* The line itself after `seconds`, without a bar when `width` is 0, and never wider than it is
 * otherwise. */
void progress_line(const struct progress *progress, double seconds, int width,
                   char out[static PROGRESS_LINE_SIZE]);

#endif
