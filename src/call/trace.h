/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_TRACE_H
#define CALL_TRACE_H

/*
 * W3C Trace Context (https://www.w3.org/TR/trace-context/): the traceparent header, which connects
 * what several services did for one request. Pure: randomness is passed in.
 */

#include <stdbool.h>

#define TRACE_SIZE 56 /* "00-", 32 hex digits, "-", 16, "-", 2, and the NUL */
#define TRACE_RANDOM_SIZE 24

struct trace {
    char id[33];   /* of the whole trace */
    char span[17]; /* of the caller */
    unsigned flags;
};

/* False for headers that the recommendation says must be ignored: wrong lengths, upper-case digits,
 * an id or span of only zeros, version ff. Of later versions, the part known in this one is read.
 * `text` may be NULL. */
bool trace_parse(const char *text, struct trace *ret);
/* Makes the header to pass on: the parent's trace with a new span. If the parent is NULL or
 * malformed: a new trace, not sampled. */
void trace_child(const char *parent, const unsigned char random[static TRACE_RANDOM_SIZE],
                 char out[static TRACE_SIZE]);

#endif
