/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_TRACE_H
#define CALL_TRACE_H

/*
 * W3C Trace Context (https://www.w3.org/TR/trace-context/): the traceparent header, which ties
 * what several services did for one request together. Pure: randomness is given.
 */

#include <stdbool.h>

#define TRACE_SIZE 56 /* "00-", 32 hex digits, "-", 16, "-", 2, and the NUL */
#define TRACE_RANDOM_SIZE 24

struct trace {
    char id[33];   /* the whole trace */
    char span[17]; /* who called */
    unsigned flags;
};

/* False for what the recommendation says must be ignored: wrong lengths, upper-case digits, an id
 * or span of zeros only, version ff. Later versions are read as far as this one goes. `text` may
 * be NULL. */
bool trace_parse(const char *text, struct trace *ret);
/* The header to pass on: the parent's trace with a span of its own; a new trace, not sampled, when
 * the parent is NULL or malformed. */
void trace_child(const char *parent, const unsigned char random[static TRACE_RANDOM_SIZE],
                 char out[static TRACE_SIZE]);

#endif
