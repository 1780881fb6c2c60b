/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LEDGER_TIMER_H
#define STORE_LEDGER_TIMER_H

/* A part of ledger.h, which includes it: timers. */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/store.h"

/*
 * Something to be done at a time of the wall clock. Its key is (kind, due_ms, name): kinds are read
 * in the order of due_ms, then name. A timer that was set stands under LEDGER_TIMER_SET until it
 * fires; a schedule under LEDGER_TIMER_EVERY at its next run; and what failed too often under
 * LEDGER_TIMER_PARKED.
 */
#define LEDGER_TIMER_SET "at"
#define LEDGER_TIMER_EVERY "every"
#define LEDGER_TIMER_PARKED "parked"
struct ledger_timer {
    const char *kind;
    int64_t due_ms; /* not negative */
    const char *name;
    const char *handler;
    const char *data;  /* JSON text */
    const char *trace; /* traceparent of the unit of work that set it, or NULL */
    int64_t attempts;
    const char *error; /* of the last attempt, or "" */
};

/* The key must not be there yet. */
static inline enum fh_code
ledger_timer_put(struct store_work *work, const struct ledger_timer *timer, struct fh_error *error);
/* Removes `count` timers of one kind, by their keys, in the order in which they are read; if there
 * are several, no other timer of the kind may have the name of one of them. *ret_taken: how many of
 * them were there. */
static inline enum fh_code ledger_timers_take(struct store_work *work,
                                              const struct ledger_timer *timers, int count,
                                              int64_t *ret_taken, struct fh_error *error);
/* The first timers of a kind, at most `limit` (up to LEDGER_TIMERS_MAX). What a unit of work that
 * writes finds it depends on. */
#define LEDGER_TIMERS_MAX 1000
static inline enum fh_code ledger_timers_read(struct store_work *work, const char *kind, int limit,
                                              bool (*visit)(void *context,
                                                            const struct ledger_timer *timer),
                                              void *context, struct fh_error *error);
/* FH_NOT_FOUND: it is not there. */
static inline enum fh_code ledger_timer_get(struct store_work *work, struct arena *arena,
                                            const char *kind, int64_t due_ms, const char *name,
                                            struct ledger_timer *ret, struct fh_error *error);
/* How many there are of a kind, counted up to `most`; an engine may stop at LEDGER_TIMERS_MAX. */
static inline enum fh_code ledger_timers_count(struct store_work *work, const char *kind,
                                               int64_t most, int64_t *ret, struct fh_error *error);

#endif
