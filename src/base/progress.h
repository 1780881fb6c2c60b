/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

/*
 * The progress of long work, for the person who waits for it: on a terminal one line of standard
 * error that is redrawn and disappears at the end, elsewhere a plain line every few seconds. Only
 * one is drawn at a time. The caller reports the outcome.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_LINE_SIZE 256

/* The progress of long work, as the process that does it reports it to the one that shows it. */
struct course {
    int64_t done;
    int64_t total;  /* 0: unknown */
    bool guessed;   /* `total` is an estimate */
    const char *of; /* what is being worked on: a table, or COURSE_EVENTS */
};
#define COURSE_EVENTS "events" /* then these are counted, otherwise rows */
const char *course_unit(const struct course *course);

struct progress {
    const char *what; /* "users"; may change on the way */
    const char *unit; /* "rows" */
    int64_t done;
    int64_t total; /* 0: unknown; may become known on the way */
    bool guessed; /* the total is an estimate: the line says so, and omits it once it is exceeded */
    FILE *stream; /* NULL: shows nothing */
    int width;    /* of the terminal; 0: not a terminal */
    bool drawn;
    int64_t began_ns, drawn_ns;
};

/* `quiet`: shows nothing, as with --json. The strings must live until progress_end. */
void progress_begin(struct progress *progress, const char *what, const char *unit, int64_t total,
                    bool quiet);
/* `done` is reached. Cheap: draws only when it is time to. */
void progress_reach(struct progress *progress, int64_t done);
/* The same, as another process reported it. If that one started over, so does the rate. */
void progress_follow(struct progress *progress, const struct course *course);
/* Removes the line before something else is written; the next progress_reach redraws it. */
void progress_hide(struct progress *progress);
void progress_end(struct progress *progress);

/* The line itself after `seconds`: without a bar if `width` is 0, else at most `width` wide. */
void progress_line(const struct progress *progress, double seconds, int width,
                   char out[static PROGRESS_LINE_SIZE]);

#endif
