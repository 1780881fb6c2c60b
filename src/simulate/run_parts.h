/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_RUN_PARTS_H
#define SIMULATE_RUN_PARTS_H

/*
 * What the files of one run share:
 *
 *     run.c     the phases: start, prepare, clients under faults, rest, check
 *     test*.c   users' tests: see test.h
 *     rest.c    whether the system has come to rest, and what must hold of any system then
 *     faults.c  what goes wrong, and when
 *     restore.c a backup, and the service that is restored from it
 *     buses.c   a broker that carries events, and how it fails
 *     resync.c  what makes subscribers begin anew with their publishers' state
 *     client.c  the public functions of clients
 *     nodes.c   a service's runtime on its node: lives, requests in, answers out
 *     stub.c    ... and a stub in its place
 *     result.c  what it comes to
 *
 * Each calls only what stands below it: a node is told of a restore by what that has put into it.
 */

#include "service/runtime.h"
#include "simulate/disk.h"
#include "simulate/network.h"
#include "simulate/run.h"
#include "simulate/server.h"

#define RUN_SERVERS_MAX 2

struct run_node {
    struct run *run;
    struct simulate_node *node;
    const fh_service *service; /* as it is declared */
    int instance;
    struct simulate_server
        *server; /* that has its store, as those of the other instances; NULL: none */
    char name[56];
    bool stubbed; /* in a test: `stub` runs, and stub.c answers */
    json_t *config;
    char folder[64];
    struct run_life *life; /* the process', or NULL */
    struct simulate_event start;
    struct simulate_event ease; /* when its full disk has room again */
    char incarnation[ID_SIZE];  /* since it was first ready, or was restored */
    fh_service stub;            /* what runs in place of a service that is a stub */
    /* It is ready with another store than it had. False, or NULL: nobody has ordered that. */
    bool (*replaced)(struct run_node *node, const char *incarnation);
};

/* The name of the system that a run is, and the private half of its key for statements of users. */
#define RUN_SYSTEM "simulated"
#define RUN_USER_KEY "3f0d6a1be8c2475995ab10e47c6d8f2231b45a9e0c7f1d6883e2b95c4a07d61e"

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
    struct simulate_server
        *servers[RUN_SERVERS_MAX]; /* of the services that have their stores on one */
    int server_count;
    struct simulate_node *outside; /* whose fibers clients are */
    fh_client clients[65];         /* the last one prepares, waits and checks */
    int clients_open;
    int64_t skipped_ns; /* by fh_test_skip_time */
    void *state;
    struct fh_test *test; /* a user's test, or NULL */
    /* Is told of handlers' faults; NULL: nobody is. */
    void (*faulted)(struct run *run, const fh_work *w);
    bool calm;     /* nobody dies while it makes its store */
    bool faulty;   /* things fail now */
    bool hopeless; /* a service will not start again: nothing is worth waiting for */
    struct run_plan {
        int64_t pause_ns; /* between two faults, on average */
        int64_t until_ns; /* no more from then on */
        unsigned kinds;   /* that this run has, as bits */
    } plan;
    struct simulate_event next_fault, failover, bus_fault;
    int bus_partitions; /* of every topic; 0: there is no bus */
    int lost_commits;   /* by a failover */
    struct run_restore {
        struct run_node *node; /* that is restored from a backup, or NULL */
        unsigned char *data;   /* the backup, once it was taken */
        size_t size;
        int64_t position; /* up to which it goes */
        bool ordered, done;
    } restore;
    struct run_resync {
        int64_t events_max; /* that an outbox holds; 0: no subscriber is made to begin anew */
        const char *late;   /* the service that is born late, or NULL */
        const char *copied; /* whose files are put back by hand, or NULL */
        struct simulate_copy *copy;
        struct simulate_event event; /* the copy is made, or put back */
    } anew;
};

/* result.c */
__attribute__((format(printf, 2, 3))) void run_fail(struct run *run, const char *format, ...);

/* client.c: a request as fh_client_ask makes it, or fh_client_insist; but with this body, whatever
 * ask->body is. `ret` is the answer's: malloc'ed, with a NUL behind it. */
struct run_body {
    const char *type; /* NULL: JSON */
    char *bytes;
    size_t length;
};
int run_client_ask(fh_client *client, const struct fh_ask *ask, bool insists,
                   const struct run_body *body, struct run_body *ret);

/* nodes.c */
bool run_node_is(const struct run_node *node, const char *service); /* NULL: nobody's */
void run_nodes_make(struct run *run);
void run_node_start(struct run_node *node, int64_t at_ns);
bool run_nodes_ready(void *run);
/* In order, as an operator stops it; it is started again. */
void run_node_restart(struct run_node *node);

/* The runtime of its process, which lives. */
struct runtime *run_node_runtime(struct run_node *node);

/* test.c: begins the test's body, on a fiber outside of all services. */
void run_test(struct run *run);
/* stub.c: what runs in place of `node->service`; and a request to it, which is answered now.
 * False: it is the runtime's own. */
void run_stub_make(struct run_node *node);
bool run_stub_receive(struct run_node *node, struct simulate_message *message);
/* Once the services' nodes are made: one for each host outside that they fetch from. */
void run_outside_make(struct run *run);

/* faults.c: drawn for this run. They end by themselves, or when the clients have ended. */
void run_faults_begin(struct run *run);
void run_faults_end(struct run *run);

/* resync.c: drawn before the nodes are made; with the faults it begins and ends. */
void run_resync_draw(struct run *run);
void run_resync_begin(struct run *run);
/* Its files were put back, or it was restored, at least once. */
bool run_has_other_past(const struct run *run, const char *service);
void run_resync_end(struct run *run);

/* restore.c: drawn when the faults begin, with whose end the operator says no more. */
void run_restore_begin(struct run *run);
void run_restore_check(fh_client *client); /* at rest */

/* buses.c: with `bus`, before the nodes are made; what a service's configuration says of it; and
 * its faults. */
void run_bus_draw(struct run *run);
void run_bus_configure(const struct run *run, const fh_service *service, json_t *config);
void run_bus_faults_begin(struct run *run);
void run_bus_faults_end(struct run *run);

/* rest.c: on a fiber of the client's. */
void run_wait_for_rest(fh_client *client);
void run_check_always(fh_client *client);

#endif
