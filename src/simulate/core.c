/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generator is xoshiro256** (Blackman and Vigna), its state spread from the seed by splitmix64,
 * as its authors advise. The digest is 64-bit FNV-1a over all lines of the trace. The heap is
 * binary; an event knows its place, so cancelling needs no search.
 */

#include "simulate/core.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/world.h"

#define LINE_LENGTH_MAX 1024

static uint64_t next_splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void simulate_init(struct simulate *simulate, uint64_t seed)
{
    memset(simulate, 0, sizeof *simulate);
    simulate->now_ns = SIMULATE_START_NS;
    simulate->digest = 14695981039346656037u;
    for (int i = 0; i < 4; i++)
        simulate->random[i] = next_splitmix(&seed);
}

void simulate_release(struct simulate *simulate)
{
    free(simulate->heap);
    simulate->heap = NULL;
    simulate->event_count = simulate->event_capacity = 0;
}

static uint64_t rotate_bits(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

static uint64_t next_random(struct simulate *simulate)
{
    uint64_t *s = simulate->random;
    uint64_t result = rotate_bits(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_bits(s[3], 45);
    return result;
}

uint64_t simulate_below(struct simulate *simulate, uint64_t limit)
{
    uint64_t value, floor = -limit % limit; /* values below would favour small results */
    do {
        value = next_random(simulate);
    } while (value < floor);
    return value % limit;
}

int64_t simulate_between(struct simulate *simulate, int64_t low, int64_t high)
{
    return low + (int64_t)simulate_below(simulate, (uint64_t)(high - low) + 1);
}

bool simulate_chance(struct simulate *simulate, unsigned in_a_million)
{
    return in_a_million && simulate_below(simulate, 1000000) < in_a_million;
}

void simulate_random(struct simulate *simulate, void *buffer, size_t length)
{
    unsigned char *at = buffer;
    while (length) {
        uint64_t value = next_random(simulate);
        size_t some = length < sizeof value ? length : sizeof value;
        memcpy(at, &value, some);
        at += some;
        length -= some;
    }
}

/* ---- the heap ---- */

static bool comes_before(const struct simulate_event *one, const struct simulate_event *other)
{
    if (one->at_ns != other->at_ns)
        return one->at_ns < other->at_ns;
    if (one->wanted_ns != other->wanted_ns)
        return one->wanted_ns < other->wanted_ns;
    return one->tie < other->tie;
}

static void event_heap_set(struct simulate *simulate, size_t place, struct simulate_event *event)
{
    simulate->heap[place] = event;
    event->place = place;
}

static void event_heap_up(struct simulate *simulate, size_t place)
{
    struct simulate_event *event = simulate->heap[place];
    while (place > 1 && comes_before(event, simulate->heap[place / 2])) {
        event_heap_set(simulate, place, simulate->heap[place / 2]);
        place /= 2;
    }
    event_heap_set(simulate, place, event);
}

static void event_heap_down(struct simulate *simulate, size_t place)
{
    struct simulate_event *event = simulate->heap[place];
    for (;;) {
        size_t child = place * 2;
        if (child > simulate->event_count)
            break;
        if (child < simulate->event_count &&
            comes_before(simulate->heap[child + 1], simulate->heap[child]))
            child++;
        if (!comes_before(simulate->heap[child], event))
            break;
        event_heap_set(simulate, place, simulate->heap[child]);
        place = child;
    }
    event_heap_set(simulate, place, event);
}

void simulate_cancel(struct simulate *simulate, struct simulate_event *event)
{
    size_t place = event->place;
    if (!place)
        return;
    struct simulate_event *last = simulate->heap[simulate->event_count--];
    event->place = 0;
    if (last == event)
        return;
    event_heap_set(simulate, place, last);
    event_heap_up(simulate, place);
    event_heap_down(simulate, last->place);
}

static void event_heap_add(struct simulate *simulate, struct simulate_event *event, int64_t at_ns)
{
    simulate_cancel(simulate, event);
    if (simulate->event_count + 2 > simulate->event_capacity) {
        size_t capacity = simulate->event_capacity ? simulate->event_capacity * 2 : 256;
        struct simulate_event **heap =
            realloc(simulate->heap, capacity * sizeof(struct simulate_event *));
        FH_ASSERT(heap != NULL);
        simulate->heap = heap;
        simulate->event_capacity = capacity;
    }
    event->at_ns = at_ns > simulate->now_ns ? at_ns : simulate->now_ns;
    event->tie = next_random(simulate);
    event_heap_set(simulate, ++simulate->event_count, event);
    event_heap_up(simulate, event->place);
}

void simulate_plan(struct simulate *simulate, struct simulate_event *event, int64_t at_ns)
{
    simulate_cancel(simulate, event);
    event->wanted_ns = at_ns;
    event_heap_add(simulate, event, at_ns);
}

void simulate_postpone(struct simulate *simulate, struct simulate_event *event, int64_t at_ns)
{
    event_heap_add(simulate, event, at_ns);
}

struct simulate_event *simulate_next(const struct simulate *simulate)
{
    return simulate->event_count ? simulate->heap[1] : NULL;
}

void simulate_cancel_process(struct simulate *simulate, const struct simulate_node *node,
                             void (*dropped)(struct simulate_event *event))
{
    size_t kept = 0, count = simulate->event_count;
    for (size_t i = 1; i <= count; i++) {
        struct simulate_event *event = simulate->heap[i];
        if (event->of_process && event->node == node) {
            event->place = 0;
            dropped(event);
        } else {
            event_heap_set(simulate, ++kept, event);
        }
    }
    simulate->event_count = kept;
    for (size_t i = kept / 2; i >= 1; i--)
        event_heap_down(simulate, i);
}

/* ---- the trace ---- */

void simulate_say(struct simulate *simulate, const struct simulate_node *node, const char *format,
                  ...)
{
    char line[LINE_LENGTH_MAX];
    int64_t now_us = (simulate->now_ns - SIMULATE_START_NS) / 1000;
    int used = snprintf(line, sizeof line, "%5lld.%06lld %-10s ", (long long)(now_us / 1000000),
                        (long long)(now_us % 1000000), node ? node->name : "");
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    if (length < 0)
        return;
    for (const char *at = line; *at; at++)
        simulate->digest = (simulate->digest ^ (unsigned char)*at) * 1099511628211u;
    simulate->trace_lines++;
    if (simulate->trace)
        fprintf(simulate->trace, "%s\n", line);
}
