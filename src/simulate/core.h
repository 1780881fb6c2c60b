/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_CORE_H
#define SIMULATE_CORE_H

/*
 * The heart of a simulation: one virtual clock, one seeded generator, one heap of events, one
 * trace. Everything that happens is an event; every choice is drawn from the generator; every line
 * of the trace enters a digest. So one seed is one run, and two runs of a seed can be compared by
 * one number.
 *
 * No pointer, no hash and no real clock decides anything: of two events at one instant the one
 * with the lower drawn number comes first.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SIMULATE_NODES_MAX 32
#define SIMULATE_START_NS ((int64_t)1000000000) /* the clock begins here: 0 often means never */
#define SIMULATE_WALL_MS ((int64_t)1767225600000)
#define SIMULATE_MS ((int64_t)1000000)
#define SIMULATE_NEVER INT64_MAX

struct simulate_node;

/* Embedded in what it serves; cleared before first use. */
struct simulate_event {
    void (*fire)(struct simulate_event *event); /* on the loop, outside fibers */
    void *owner;
    struct simulate_node *node; /* waits while this one is paused; NULL: nobody's */
    bool of_process;            /* ends with the node's process */
    int64_t at_ns;
    int64_t wanted_ns; /* the time it was planned for, before any pause */
    uint64_t tie;
    size_t place; /* in the heap, from 1; 0: not planned */
};

/* What can go wrong, as chances in a million at each occasion. All 0: nothing does. */
struct simulate_faults {
    unsigned request_lost, answer_lost, doubled, late, reset;
    unsigned job_slow, sync_slow;
};

struct simulate {
    int64_t now_ns;
    uint64_t random[4];
    struct simulate_event **heap; /* from place 1 */
    size_t event_count, event_capacity;
    struct simulate_node *nodes[SIMULATE_NODES_MAX];
    int node_count;
    struct simulate_node *running; /* whose code this is, or NULL */
    struct simulate_faults faults;
    int64_t apart_until_ns[SIMULATE_NODES_MAX][SIMULATE_NODES_MAX]; /* partitions */
    uint64_t steps; /* events fired and fibers resumed */
    uint64_t digest;
    FILE *trace; /* where lines go, or NULL */
    uint64_t trace_lines;
    int log_frames; /* of the nodes' worlds */
};

void simulate_init(struct simulate *simulate, uint64_t seed);
void simulate_release(struct simulate *simulate); /* its nodes were freed before */

/* Uniform in [0, limit); limit > 0. */
uint64_t simulate_below(struct simulate *simulate, uint64_t limit);
/* Uniform in [low, high]. */
int64_t simulate_between(struct simulate *simulate, int64_t low, int64_t high);
bool simulate_chance(struct simulate *simulate, unsigned in_a_million);
void simulate_random(struct simulate *simulate, void *buffer, size_t length);

/* Plans (or plans anew) an event; a time that has passed is now. */
void simulate_plan(struct simulate *simulate, struct simulate_event *event, int64_t at_ns);
/* Later than planned, but still in its order among others that come then. */
void simulate_postpone(struct simulate *simulate, struct simulate_event *event, int64_t at_ns);
void simulate_cancel(struct simulate *simulate, struct simulate_event *event); /* or not planned */
/* The next one, still planned, or NULL. */
struct simulate_event *simulate_next(const struct simulate *simulate);
/* All events that end with the process of a node. `dropped` may free what holds them. */
void simulate_cancel_process(struct simulate *simulate, const struct simulate_node *node,
                             void (*dropped)(struct simulate_event *event));

/* One line: the virtual time, the node (NULL: nobody), what happened. */
void simulate_say(struct simulate *simulate, const struct simulate_node *node, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));

#endif
