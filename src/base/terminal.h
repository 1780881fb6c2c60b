/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

/*
 * What reaches a terminal. Much of what the command shows was written by somebody else: a service's
 * log, an event, a file's values. Control characters in it could move the cursor, set the window's
 * title, or overwrite what was shown. So standard output and standard error are filtered as a
 * whole, and no place that prints has to remember it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/text.h"

#define TERMINAL_HELD_MAX 8
#define TERMINAL_COLOURS 6

extern const char *const terminal_colours[TERMINAL_COLOURS]; /* by enum cli_colour */

/* A stream's state: the bytes of a character or a colour whose end has not been seen. */
struct terminal_filter {
    char held[TERMINAL_HELD_MAX];
    size_t held_length;
};

/* Appends `data` to `ret` with what a terminal would obey, or could not show, as \x1b or \u202e.
 * Line feeds, tabs, UTF-8 and the colours of cli_colour pass. What is incomplete at the end waits
 * for more. */
void terminal_filter(struct terminal_filter *filter, const char *data, size_t length,
                     struct text *ret);

/* From now on stdout and stderr are filtered. Their descriptors stay what they were. */
void terminal_guard(void);
/* An escape sequence of the command's own, past the filter; `stream` may be any. */
void terminal_control(FILE *stream, const char *sequence);
bool terminal_shows(FILE *stream);
/* What `stream` writes to, guarded or not. */
int terminal_descriptor(FILE *stream);

#endif
