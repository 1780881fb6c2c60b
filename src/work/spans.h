/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_SPANS_H
#define WORK_SPANS_H

/*
 * What this process did lately, and how long it took, each with the W3C trace it belongs to: so
 * that one request can be followed through all services (`freehold trace`). Kept in two rings: one
 * of requests that only read, of which there are many and which say little, and one of all else.
 * Keeping one copies about 200 bytes and waits for nobody. Where there is a file for them they
 * outlive the process, but nothing is synced: what it did that matters is in its store.
 */

#include <jansson.h>
#include <stdint.h>

#include "world/world.h"

#define SPANS_READS_MAX 1024
#define SPANS_OTHERS_MAX 8192
#define SPANS_TOLD_MAX 2000 /* of one question */

enum span_kind {
    SPAN_READ,      /* a request that only reads */
    SPAN_REQUEST,   /* any other */
    SPAN_ASK,       /* a GET to another service */
    SPAN_STEP,      /* a saga's step, from when it was sent until it was answered */
    SPAN_UNDO,      /* the same of its compensation */
    SPAN_HANDLER,   /* a saga's handler in this service */
    SPAN_APPLIED,   /* an event applied, or not */
    SPAN_PUBLISHED, /* an event that was published */
};

struct span {
    enum span_kind kind;
    const char *parent;  /* traceparent of what it is part of, or NULL */
    const char *own;     /* traceparent that its own parts carry, or NULL */
    const char *what;    /* "POST", a step, a type of event */
    const char *where;   /* "/api/orders" (its query is left out), or NULL */
    const char *service; /* the other one, or NULL */
    const char *key;     /* of an event; the reference of a saga; or NULL */
    int status;          /* as HTTP has it; 0: no answer */
    int64_t began_ns;    /* monotonic; it ends now */
};

struct spans;

#define SPANS_FILE "spans" /* in a process's own folder; of another instance than the first: -N */

/* A file for spans, about 3 MB, made where it is missing: to be given to spans_new. -1: there can
 * be none, and they are kept in memory. */
int spans_open(const char *path);
/* With those that the file has already. `fd` is taken over; -1: in memory. */
struct spans *spans_new(struct world *world, int fd);
/* Another process's, to be asked by spans_find, while it may go on. NULL: there are none. */
struct spans *spans_read(const char *path);
void spans_free(struct spans *spans);
/* `spans` NULL, or a span without a trace: nothing is kept. */
void spans_keep(struct spans *spans, const struct span *span);
/* The traceparent of a part of `parent`'s, the `number`th: always the same one. False, and `out` is
 * empty: `parent` is none. */
#define SPANS_TRACE_SIZE 56
bool spans_part(const char *parent, uint64_t number, char out[static SPANS_TRACE_SIZE]);

/* Those of a trace (32 hex digits), or those with a key, the oldest first: {"spans": [{"trace",
 * "kind", "what", "where", "service", "key", "status", "span", "parent", "at_us", "took_us"}],
 * "more"}. at_us counts from the start of the machine: it is the same clock for all processes on
 * it. New reference. */
json_t *spans_find(const struct spans *spans, const char *trace, const char *key);

#endif
