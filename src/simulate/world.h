/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_WORLD_H
#define SIMULATE_WORLD_H

/*
 * A node: one process of the simulated system, with a world of its own over the common virtual
 * clock. Its fibers run one after the other, as on a real loop; its jobs run as fibers too, which
 * wait at file operations while the others go on.
 *
 * A node can crash between any two steps (a fiber's turn, a file operation). Nothing of it runs
 * any more from there on: its fibers are never resumed, its events are dropped, its memory is
 * left lying, as a killed process' would be. The next life begins with a new set of fibers on
 * what its disk kept. What lies there is given back when the run's process ends.
 */

#include <setjmp.h>

#include "simulate/core.h"
#include "world/world.h"

struct simulate_disk;
struct simulate_call;
struct simulate_message;

enum simulate_crash {
    SIMULATE_KILLED, /* the process: what it wrote is still in the kernel's hands */
    SIMULATE_POWER   /* the machine: unsynced writes are lost but for some */
};

struct simulate_node {
    struct world world; /* the first: a node is found from its world */
    struct simulate *simulate;
    const char *name;
    const char *service; /* whose process it is; several may be one's */
    int number;
    struct simulate_disk *disk; /* NULL: none */
    /* What a disk, which outlives the processes, has to do with their beginnings and ends. */
    const struct simulate_disk_ops {
        void (*attach)(struct simulate_disk *disk, struct world *world);
        void (*crashed)(struct simulate_disk *disk, enum simulate_crash how);
    } * disk_ops;
    int64_t wall_step_ms; /* how far its wall clock is off */
    int64_t paused_until_ns;
    unsigned life; /* how many processes it has had */
    bool alive;
    /* Steps until it crashes; 0: it does not. */
    int64_t crash_after;
    enum simulate_crash crash_how;

    /* Called after a crash, and when the process has ended itself (why says so). */
    void (*died)(struct simulate_node *node, const char *why);
    /* A request has arrived; NULL or not alive: it waits until simulate_network_open. */
    void (*receive)(struct simulate_node *node, struct simulate_message *message);
    void *owner;

    /* world.c */
    bool ready, dying;
    const char *why;
    struct world_turn *turn_first, **turn_last;
    struct simulate_job *jobs;
    struct simulate_event resume;
    jmp_buf escape; /* out of a callback of the loop, for what is fatal there */
    bool in_callback;

    /* network.c */
    bool open;                        /* takes requests */
    bool silent;                      /* sends none */
    struct simulate_call *calls;      /* of this process, unanswered */
    struct simulate_message *serving; /* taken and not answered */
    struct simulate_message *backlog_first, **backlog_last;
};

/* `name` is borrowed. */
struct simulate_node *simulate_node_new(struct simulate *simulate, const char *name);
void simulate_node_free(struct simulate_node *node); /* all its fibers have ended, or leak */

/* A new process: afterwards fibers can be started in node->world. */
void simulate_node_begin(struct simulate_node *node);
/* The process is gone, now. From the loop; from a fiber of the node it ends that fiber's turn and
 * does not return. */
void simulate_node_crash(struct simulate_node *node, enum simulate_crash how, const char *why);
/* Nothing of it happens until then. */
void simulate_node_pause(struct simulate_node *node, int64_t until_ns);
/* A step that may be its last; called at each file operation. Does not return if it was, on a
 * fiber. */
void simulate_node_step(struct simulate_node *node);
/* Whether this code is a job's; then it may wait here, and others of the node go on. */
bool simulate_node_in_job(const struct simulate_node *node);
void simulate_node_wait(struct simulate_node *node, int64_t ns);

/* Goes on until the condition holds (true), nothing is left to happen, or time or steps have run
 * out. */
bool simulate_run(struct simulate *simulate, bool (*holds)(void *), void *argument,
                  int64_t until_ns, uint64_t steps_max);

#endif
