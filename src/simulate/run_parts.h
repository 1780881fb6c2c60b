/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_RUN_PARTS_H
#define SIMULATE_RUN_PARTS_H

/*
 * What the files of one run share:
 *
 *     run.c     the phases: start, prepare, clients under faults, rest, check
 *     nodes.c   a service's runtime on its node: lives, requests in, answers out
 *     faults.c  what goes wrong, and when
 *     rest.c    whether the system has come to rest, and what must hold of any system then
 *     client.c  the public functions of clients
 */

#include "service/runtime.h"
#include "simulate/disk.h"
#include "simulate/network.h"
#include "simulate/run.h"

struct run_node {
    struct run *run;
    struct simulate_node *node;
    const fh_service *service;
    json_t *config;
    char folder[64];
    struct run_life *life; /* the process', or NULL */
    struct simulate_event start;
    struct simulate_event ease; /* when its full disk has room again */
    char incarnation[ID_SIZE];  /* since it was first ready */
};

struct fh_client {
    struct run *run;
    int number;
    bool done;
};

struct run {
    struct simulate simulate;
    const struct run_system *system;
    struct run_result *result;
    struct run_node nodes[SIMULATE_NODES_MAX];
    int node_count;
    struct simulate_node *outside; /* whose fibers clients are */
    fh_client clients[65];         /* the last one prepares, waits and checks */
    int clients_open;
    void *state;
    bool faulty;   /* things fail now */
    bool hopeless; /* a service will not start again: nothing is worth waiting for */
    struct run_plan {
        int64_t pause_ns; /* between two faults, on average */
        int64_t until_ns; /* no more from then on */
        unsigned kinds;   /* that this run has, as bits */
    } plan;
    struct simulate_event next_fault;
};

__attribute__((format(printf, 2, 3))) void run_fail(struct run *run, const char *format, ...);

/* nodes.c */
void run_nodes_make(struct run *run);
void run_node_start(struct run_node *node, int64_t at_ns);
bool run_nodes_ready(void *run);
/* In order, as an operator stops it; it is started again. */
void run_node_restart(struct run_node *node);

/* faults.c: drawn for this run. They end by themselves, or when the clients have ended. */
void run_faults_begin(struct run *run);
void run_faults_end(struct run *run);

/* rest.c: on a fiber of the client's. */
void run_wait_for_rest(fh_client *client);
void run_check_always(fh_client *client);

#endif
