/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_TURNS_H
#define CALL_TURNS_H

/*
 * Who waits for one of a few places, and whom it is of no use to let wait. Callers take turns: each
 * has a line of its own, first come, first served, and the next place goes to the caller whose turn
 * it is. Pure: it knows neither places nor clocks, so any order of arrivals can be tested.
 *
 * Waiting alone is no harm: a burst may wait, and so may clients that each ask again only when they
 * are answered, however slow that is. But where a caller's line has become as long as its part of a
 * second's work, and TURNS_CALLER_MIN at least, and its first has waited for TURNS_LONG_NS, more
 * comes than can be done, and whatever waits only gets old. For TURNS_CALM_NS from then on as many
 * of that caller may wait as are its part of what is taken in TURNS_SHORT_NS: more are shed as they
 * arrive, and of those that wait already, once they have for TURNS_LONG_NS. Then its line may grow
 * again, and is judged anew: what made it an overload, and nothing else, keeps it one. The rate is
 * measured; nothing is guessed of how much work a request is. One caller's flood sheds its own:
 * whoever has nothing waiting is never shed. Nor does anybody wait for so long that the rest of his
 * time would not do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

#define TURNS_LONG_NS INT64_C(200000000)
#define TURNS_SHORT_NS INT64_C(100000000)
#define TURNS_CALM_NS INT64_C(1000000000)
#define TURNS_CALLER_MIN 256u              /* a line of fewer is none that grows */
#define TURNS_CALLER_MAX 4096u             /* in one caller's line */
#define TURNS_BYTES_MAX ((size_t)32 << 20) /* beyond it no caller has more than its part */

struct turns_caller;

/* Part of what waits. */
struct turns_waiter {
    int64_t until_ns; /* after which nobody wants it any more; INT64_MAX: none is known */
    size_t bytes;     /* that it keeps while it waits */
    int64_t since_ns;
    struct turns_caller *caller; /* NULL: it does not wait */
    struct turns_waiter *previous, *next;
};

struct turns {
    struct map callers;                /* those for whom something waits, by name */
    struct turns_caller *first, *last; /* the same: whose turn is next */
    unsigned caller_count;
    unsigned waiting;
    unsigned
        waiting_max; /* once so many do, no caller has more than its part of them; 0: no bound */
    size_t bytes;
    bool overloaded;    /* some caller was, until turns_calm_down says that it is over */
    int64_t shed_ns;    /* when the last one was; while overloaded */
    int64_t counted_ns; /* since when the taken ones are counted */
    int64_t taken_ns;   /* when the last one was */
    bool paused;        /* and that came later than TURNS_SHORT_NS after the one before */
    unsigned counted;   /* since then */
    unsigned rate;      /* in TURNS_SHORT_NS, as last measured; before that as high as any */
    uint64_t shed, taken;
    int64_t waited_ns; /* those that were taken */
};

void turns_init(struct turns *turns);
void turns_release(struct turns *turns); /* nothing may wait */

/* Whether a request that arrives is shed, and counts it if so. */
bool turns_shed(struct turns *turns, const char *caller, int64_t until_ns, int64_t now_ns);
/* It waits from now on; `until_ns` and `bytes` are set. */
void turns_add(struct turns *turns, const char *caller, struct turns_waiter *waiter,
               int64_t now_ns);
/* The next one, which does not wait any more; NULL: nothing waits. *ret_shed: it has waited too
 * long, and the turn is still its caller's. */
struct turns_waiter *turns_take(struct turns *turns, int64_t now_ns, bool *ret_shed);
/* Sheds those that nobody wants any more. `shed` is called for each when it does not wait any more,
 * and adds none. */
void turns_shed_late(struct turns *turns, int64_t now_ns,
                     void (*shed)(struct turns_waiter *waiter));
/* One that waits, of the caller whose turn it is; NULL: nothing waits. */
struct turns_waiter *turns_first(const struct turns *turns);
/* It waits no more: neither taken nor shed. */
void turns_step_out(struct turns *turns, struct turns_waiter *waiter);
/* To be asked about once a second while it is overloaded. True: it was, and nothing was shed for
 * TURNS_CALM_NS. */
bool turns_calm_down(struct turns *turns, int64_t now_ns);

#endif
