/* SPDX-License-Identifier: Apache-2.0 */
/* A caller is known only while something of it waits, so there are never more of them than waiters.
 */

#include "call/turns.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct turns_caller {
    struct turns_waiter *first, *last;
    unsigned waiting;
    size_t bytes;
    int64_t overloaded_until_ns;
    struct turns_caller *previous, *next;
    char name[];
};

void turns_init(struct turns *turns)
{
    *turns = (struct turns){.rate = TURNS_CALLER_MAX};
    map_init(&turns->callers);
}

void turns_release(struct turns *turns)
{
    FH_ASSERT(turns->waiting == 0);
    map_release(&turns->callers);
}

/* ---- Callers ---- */

static void append_caller(struct turns *turns, struct turns_caller *caller)
{
    caller->previous = turns->last;
    caller->next = NULL;
    *(turns->last ? &turns->last->next : &turns->first) = caller;
    turns->last = caller;
}

static void unlink_caller(struct turns *turns, struct turns_caller *caller)
{
    *(caller->previous ? &caller->previous->next : &turns->first) = caller->next;
    *(caller->next ? &caller->next->previous : &turns->last) = caller->previous;
}

static struct turns_caller *turns_caller_of(struct turns *turns, const char *name)
{
    struct turns_caller *caller = map_get(&turns->callers, name);
    size_t size = strlen(name) + 1;
    if (caller)
        return caller;
    caller = calloc(1, sizeof *caller + size);
    FH_ASSERT(caller != NULL);
    memcpy(caller->name, name, size);
    map_put(&turns->callers, name, caller);
    append_caller(turns, caller);
    turns->caller_count++;
    return caller;
}

/* ---- How many are taken ---- */

static void count_anew(struct turns *turns, int64_t now_ns)
{
    turns->counted = 0;
    turns->counted_ns = turns->taken_ns = now_ns;
}

/* A pause is no measure of what can be done: the loop stood still, or all places were taken by what
 * waited for a disk. The former rate stays. But if each is taken so late, that is the rate. */
static void measure_rate(struct turns *turns, int64_t now_ns)
{
    bool was_paused = turns->paused;
    int64_t took_ns = now_ns - turns->counted_ns;
    bool is_pause = now_ns - turns->taken_ns > TURNS_SHORT_NS;
    turns->taken_ns = now_ns;
    if (!is_pause && took_ns < TURNS_SHORT_NS)
        return;
    turns->paused = is_pause;
    if (!is_pause || was_paused)
        turns->rate = (unsigned)(turns->counted * TURNS_SHORT_NS / took_ns);
    count_anew(turns, now_ns);
}

/* ---- Waiting ---- */

void turns_add(struct turns *turns, const char *name, struct turns_waiter *waiter, int64_t now_ns)
{
    struct turns_caller *caller = turns_caller_of(turns, name);
    if (!turns->waiting) { /* nothing was taken since there was nothing: that is no measure */
        turns->paused = false;
        count_anew(turns, now_ns);
    }
    waiter->since_ns = now_ns;
    waiter->caller = caller;
    waiter->previous = caller->last;
    waiter->next = NULL;
    *(caller->last ? &caller->last->next : &caller->first) = waiter;
    caller->last = waiter;
    caller->waiting++;
    caller->bytes += waiter->bytes;
    turns->waiting++;
    turns->bytes += waiter->bytes;
}

static void remove_waiter(struct turns *turns, struct turns_waiter *waiter)
{
    struct turns_caller *caller = waiter->caller;
    *(waiter->previous ? &waiter->previous->next : &caller->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &caller->last) = waiter->previous;
    waiter->caller = NULL;
    turns->waiting--;
    turns->bytes -= waiter->bytes;
    caller->bytes -= waiter->bytes;
    if (--caller->waiting)
        return;
    unlink_caller(turns, caller);
    turns->caller_count--;
    map_remove(&turns->callers, caller->name);
    free(caller);
}

/* ---- Too long ---- */

static void note_shed(struct turns *turns, int64_t now_ns)
{
    turns->shed++;
    turns->shed_ns = now_ns;
}

static unsigned bounded_number(unsigned number, unsigned least, unsigned most)
{
    return number < least ? least : number < most ? number : most;
}

/* All wait together where nothing is taken, so that no rate tells how many are too many. */
static bool has_its_part(const struct turns *turns, const struct turns_caller *caller)
{
    bool many = turns->waiting_max && turns->waiting >= turns->waiting_max &&
                caller->waiting >= turns->waiting_max / turns->caller_count;
    bool large =
        turns->bytes >= TURNS_BYTES_MAX && caller->bytes >= TURNS_BYTES_MAX / turns->caller_count;
    return many || large;
}

/* How many of a caller may wait. */
static unsigned line_allowed(const struct turns *turns, const struct turns_caller *caller,
                             int64_t now_ns)
{
    return now_ns < caller->overloaded_until_ns
               ? bounded_number(turns->rate / turns->caller_count, 1, TURNS_CALLER_MAX)
               : TURNS_CALLER_MAX;
}

/* More comes than can be done, if a line is as long as a second's work and its first has waited.
 * Whether that is still so is not to be seen while the line is kept short: it may grow again. */
static void note_growth(struct turns *turns, struct turns_caller *caller, int64_t now_ns)
{
    unsigned second = turns->rate * (unsigned)(TURNS_CALM_NS / TURNS_SHORT_NS);
    unsigned much =
        bounded_number(second / turns->caller_count, TURNS_CALLER_MIN, TURNS_CALLER_MAX);
    if (now_ns < caller->overloaded_until_ns || caller->waiting < much ||
        now_ns - caller->first->since_ns <= TURNS_LONG_NS)
        return;
    caller->overloaded_until_ns = now_ns + TURNS_CALM_NS;
    turns->overloaded = true;
    turns->shed_ns = now_ns;
}

bool turns_shed(struct turns *turns, const char *name, int64_t until_ns, int64_t now_ns)
{
    struct turns_caller *caller = turns->waiting ? map_get(&turns->callers, name) : NULL;
    if (!caller)
        return false;
    note_growth(turns, caller, now_ns);
    int64_t oldest_ns = now_ns - caller->first->since_ns;
    if (caller->waiting < line_allowed(turns, caller, now_ns) && !has_its_part(turns, caller) &&
        oldest_ns <= (until_ns - now_ns) / 2)
        return false;
    note_shed(turns, now_ns);
    return true;
}

struct turns_waiter *turns_take(struct turns *turns, int64_t now_ns, bool *ret_shed)
{
    struct turns_caller *caller = turns->first;
    if (!caller)
        return NULL;
    struct turns_waiter *waiter = caller->first;
    int64_t waited_ns = now_ns - waiter->since_ns;
    measure_rate(turns, now_ns);
    *ret_shed =
        now_ns >= waiter->until_ns ||
        (waited_ns > TURNS_LONG_NS && caller->waiting > line_allowed(turns, caller, now_ns));
    if (*ret_shed) {
        note_shed(turns, now_ns);
    } else {
        turns->taken++;
        turns->counted++;
        turns->waited_ns += waited_ns;
        unlink_caller(turns, caller);
        append_caller(turns, caller);
    }
    remove_waiter(turns, waiter);
    return waiter;
}

static void shed_late_of(struct turns *turns, struct turns_caller *caller, int64_t now_ns,
                         void (*shed)(struct turns_waiter *waiter))
{
    struct turns_waiter *next;
    for (struct turns_waiter *each = caller->first; each; each = next) {
        next = each->next; /* with the last one the caller is gone */
        if (now_ns < each->until_ns)
            continue;
        note_shed(turns, now_ns);
        remove_waiter(turns, each);
        shed(each);
    }
}

void turns_shed_late(struct turns *turns, int64_t now_ns, void (*shed)(struct turns_waiter *waiter))
{
    struct turns_caller *next;
    for (struct turns_caller *each = turns->first; each; each = next) {
        next = each->next;
        shed_late_of(turns, each, now_ns, shed);
    }
}

struct turns_waiter *turns_first(const struct turns *turns)
{
    return turns->first ? turns->first->first : NULL;
}

void turns_step_out(struct turns *turns, struct turns_waiter *waiter)
{
    remove_waiter(turns, waiter);
}

bool turns_calm_down(struct turns *turns, int64_t now_ns)
{
    if (!turns->overloaded || now_ns - turns->shed_ns < TURNS_CALM_NS)
        return false;
    turns->overloaded = false;
    return true;
}
