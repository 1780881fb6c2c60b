/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_DOING_H
#define BASE_DOING_H

/*
 * What a process is doing right now, for whoever has to say so when it can't be asked any more: the
 * backtrace of a crash, the watchdog of a handler that does not return, and also the log's line
 * about a fault. It names only what was declared (a route's template, an event's type, a saga's
 * step), nothing of a request.
 *
 * A `struct doing` is made once for each declaration and never freed: another thread, or a signal
 * handler, may be reading it whatever happens meanwhile.
 */

#include <stdatomic.h>
#include <stdbool.h>

#define DOING_SIZE 192
#define DOINGS_MAX 1024 /* more are not told apart */

typedef void doing_function(void);
struct doing {
    char what[DOING_SIZE];    /* "POST /api/orders", "event UserUpdated of users" */
    char handler[DOING_SIZE]; /* its function's name (symbol.h), or "" */
    doing_function *function; /* cast to this type; NULL: none */
};

/* The one for this text and this function: always the same. */
const struct doing *doing_of(doing_function *handler, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What the running fiber does; NULL: nothing that has a name. Only the thread of the loop sets it,
 * any thread may read it. */
extern _Atomic(const struct doing *) doing_now;

/* Returns what was set before. */
static inline const struct doing *doing_set(const struct doing *doing)
{
    const struct doing *before = atomic_load_explicit(&doing_now, memory_order_relaxed);
    atomic_store_explicit(&doing_now, doing, memory_order_relaxed);
    return before;
}

#endif
