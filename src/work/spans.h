/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_SPANS_H
#define WORK_SPANS_H

/*
 * What this process did recently and how long it took, each with the W3C trace it belongs to, so
 * that a request can be followed through all services (`freehold trace`). Spans are kept in two
 * rings: one for requests that only read, which are many and say little, and one for everything
 * else. Keeping a span copies about 200 bytes and never waits. Spans in a file outlive the process,
 * but nothing is synced: whatever matters is in the store.
 */

#include <jansson.h>
#include <stdint.h>

#include "world/world.h"

#define SPANS_READS_MAX 1024
#define SPANS_OTHERS_MAX 8192
#define SPANS_TOLD_MAX 2000 /* in one answer */

enum span_kind {
    SPAN_READ,      /* a request that only reads */
    SPAN_REQUEST,   /* any other request */
    SPAN_ASK,       /* a GET to another service */
    SPAN_STEP,      /* a saga's step, from when it was sent until it was answered */
    SPAN_UNDO,      /* the same for its compensation */
    SPAN_HANDLER,   /* a saga's handler in this service */
    SPAN_APPLIED,   /* an attempt to apply an event, successful or not */
    SPAN_PUBLISHED, /* an event was published */
};

struct span {
    enum span_kind kind;
    const char *parent;  /* traceparent of the span it is part of, or NULL */
    const char *own;     /* traceparent that its own parts carry, or NULL */
    const char *what;    /* "POST", a step, an event's type */
    const char *where;   /* "/api/orders" (without its query), or NULL */
    const char *service; /* the other service, or NULL */
    const char *key;     /* of an event, or the reference of a saga; or NULL */
    int status;          /* an HTTP status; 0: no answer */
    int64_t began_ns;    /* monotonic */
    int64_t ended_ns;    /* 0: now */
};

struct spans;

#define SPANS_FILE "spans" /* in the process's own folder; further instances add -N */

/* Opens a file for spans, about 3 MB, creating it where it is missing; pass it to spans_new. -1:
 * there can be no file, and spans are kept in memory. */
int spans_open(const char *path);
/* Starts with the spans already in the file. Takes over `fd`; -1: in memory. */
struct spans *spans_new(struct world *world, int fd);
/* Another process's spans, for spans_find, even while that process keeps running. NULL: there are
 * none. */
struct spans *spans_read(const char *path);
void spans_free(struct spans *spans);
/* Keeps nothing if `spans` is NULL or the span has no trace. */
void spans_keep(struct spans *spans, const struct span *span);
/* The traceparent of the `number`th part of `parent`: always the same for the same arguments.
 * False, with `out` empty, if `parent` is not a traceparent. */
#define SPANS_TRACE_SIZE 56
/* By its form alone. False for NULL, and for what a publisher put into its place. */
bool spans_is_traceparent(const char *text);
bool spans_part(const char *parent, uint64_t number, char out[static SPANS_TRACE_SIZE]);

/* The spans of a trace (32 hex digits), or those with a key, oldest first within each ring:
 * {"spans": [{"trace", "kind", "what", "where", "service", "key", "status", "span", "parent",
 * "at_us", "took_us"}], "more"}. at_us counts from the start of the machine: it is the same clock
 * for all processes on it. New reference. */
json_t *spans_find(const struct spans *spans, const char *trace, const char *key);

#endif
