/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_NETWORK_H
#define SIMULATE_NETWORK_H

/*
 * Requests between nodes. Each takes a drawn time, there and back, so they overtake each other. By
 * the faults' chances one is lost, or its answer; or it comes twice, the second time perhaps long
 * after the first was answered; or its connection is reset. Nodes that are apart hear nothing of
 * each other.
 *
 * A node that takes no requests (it starts, or is down) refuses them, or keeps them waiting as the
 * listening socket that `up` holds does; drawn. Those that a process had taken when it died are
 * reset.
 */

#include "simulate/world.h"

/* A request as its receiver has it. Texts live until it was answered. */
struct simulate_message {
    const char *method, *path, *body;
    size_t body_length;
    const struct world_header *headers; /* up to the first NULL name */

    /* network.c */
    struct simulate_node *to;
    struct simulate_call *call; /* NULL: nobody waits for the answer */
    struct simulate_message *previous, *next;
    struct simulate_event event;
    int from;
    bool serving;
    struct simulate_answer *answer;
};

void simulate_network_send(struct simulate_node *from, struct world_request *request);
/* Once for each received message. Headers' names in any case. */
void simulate_network_answer(struct simulate_message *message, int status,
                             const struct world_header *headers, size_t header_count,
                             const char *body, size_t length);
/* From now on the node takes requests, those that waited first; or takes none. */
void simulate_network_open(struct simulate_node *node, bool open);
/* The process sends no more; what it has asked fails at once. */
void simulate_network_silence(struct simulate_node *node);
void simulate_network_crashed(struct simulate_node *node);
void simulate_network_release(struct simulate_node *node);
/* The two hear nothing of each other until then. */
void simulate_network_part(struct simulate_node *one, struct simulate_node *other,
                           int64_t until_ns);

#endif
