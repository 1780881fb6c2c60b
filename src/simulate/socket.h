/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_SOCKET_H
#define SIMULATE_SOCKET_H

/*
 * Descriptors of a simulated process: what a server engine watches through world_poll. Whoever
 * models a server (postgresql/ does; another engine's would, too) opens one for each connection of
 * its client library, and says when it could be read or written; its readiness is then an event of
 * virtual time, which waits while the process is paused, and ends with it.
 */

#include "simulate/world.h"

struct simulate_socket {
    int fd;
    struct simulate_node *node;
    unsigned held;              /* what could be done: WORLD_READABLE, WORLD_WRITABLE */
    struct world_poll *watched; /* or NULL */
    unsigned wanted;
    struct simulate_event event;
    struct simulate_socket *next;
};

/* From now on the stores of this process take models for their servers. */
void simulate_socket_trust_models(void);
void simulate_socket_open(struct simulate_socket *socket, struct simulate_node *node);
void simulate_socket_close(struct simulate_socket *socket); /* watched by nobody any more */
void simulate_socket_hold(struct simulate_socket *socket, unsigned held);

/* The world's: see world_ops. */
void simulate_socket_watch(struct world *world, struct world_poll *poll, unsigned events);
void simulate_socket_unwatch(struct world *world, struct world_poll *poll);

#endif
