/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_RUNTIME_H
#define SERVICE_RUNTIME_H

/*
 * One running service: its declaration, its store, and the managers that work for it, on any world.
 * What the files of this layer share, and what its host (program.c, a simulation) calls.
 */

#include "http/outside.h"
#include "http/server.h"
#include "service/admission.h"
#include "service/confine.h"
#include "service/exposure.h"
#include "service/process.h"
#include "service/undecided.h"
#include "shape/problem.h"
#include "store/relational/report.h"
#include "work/lease.h"
#include "work/request_log.h"
#include "work/work.h"

#define RUNTIME_ROUTES_MAX 64
#define RUNTIME_BUCKETS 7
#define RUNTIME_DEADLINE_MS 10000
#define RUNTIME_EXPIRE_INTERVAL_MS 300000
#define RUNTIME_QUESTION_MS (PROCESS_GRACE_MS / 4) /* that questions of the store get, draining */
#define RUNTIME_DRAIN_MS_MAX (PROCESS_GRACE_MS + 3000) /* `up` kills after 15 s */

enum runtime_phase { RUNTIME_STARTING, RUNTIME_READY, RUNTIME_DRAINING };

/* Counted per route; metrics.c formats them for Prometheus. */
struct runtime_route {
    const struct fh_route *route;
    const struct doing *doing;
    uint64_t by_class[6];                  /* 2xx is [2] */
    uint64_t by_duration[RUNTIME_BUCKETS]; /* not cumulative */
    double seconds;
    bool told_unapplied; /* the log says that nobody can wait here */
    bool begins_sagas;   /* its handler has begun one */
};

struct exchange;
struct runtime;

/* Where requests come from, and how a process ends. */
struct runtime_host {
    /* Everything is ready: from now on requests go to exchange_incoming. On a fiber. */
    enum fh_code (*serve)(struct runtime *runtime, struct fh_error *error);
    /* Something that may take long begins, or has ended, before it is ready. NULL: not reported. */
    void (*works)(struct runtime *runtime, bool works);
    /* How far that has come. NULL: not reported. */
    void (*told)(struct runtime *runtime, const struct course *course);
    void (*ready)(struct runtime *runtime);
    /* No new requests. Calls runtime_requests_drained once all accepted ones have been answered, at
     * most PROCESS_GRACE_MS later. */
    void (*drain)(struct runtime *runtime);
    /* No request goes out any more; those in progress fail. On a fiber. */
    void (*silence)(struct runtime *runtime);
    /* Everything is closed. On a fiber. */
    void (*ended)(struct runtime *runtime);
    /* Ends the process at once: it can't start, or can't end in order. */
    void (*fail)(struct runtime *runtime, int exit_code);
};

struct runtime {
    struct world *world;
    const struct runtime_host *host;
    struct work_context context;
    const fh_service *service;
    const json_t *config;
    const char *engine;
    struct confinement confinement;
    struct outside_rules outside;
    enum exposure exposures[EXPOSED_COUNT];
    struct audience *audience;  /* the host's; NULL: every caller is believed */
    struct clocks *clocks;      /* NULL until it has its store */
    struct http_server *server; /* NULL: the host receives requests another way */
    enum runtime_phase phase;
    int64_t began_ms;  /* when this process began, by the wall clock of then */
    bool keeps_schema; /* the store has served this program already: nothing is migrated */
    bool migrating;    /* what is being done to the store, or has failed, is its migrations */
    struct runtime_route routes[RUNTIME_ROUTES_MAX]; /* most literal pattern first */
    int route_count;
    struct reports reports;
    bool requests_drained, sagas_stopped; /* both: the rest can be closed */
    unsigned exchanges;                   /* requests that wait or have a fiber, answered or not */
    struct admission admission;           /* which of these begin when */
    struct undecided_requests requests;   /* the same requests */
    struct request_log request_log;
    bool expiring;         /* the fiber of upkeep.h is running */
    struct backup *backup; /* of backup.c: the one being made, or NULL */
    struct lease expiry;   /* for upkeep by one instance at a time */
    struct alike_keeper {  /* of carriers_alike.c */
        json_t *own;       /* what this program derives for servers; NULL: nobody need know */
        struct lease_watcher watcher;
        bool joined, noted, settled, running;
        bool begins; /* it has joined the others, perhaps anew, and not settled since */
        bool due;    /* it is to be settled again */
        bool failed; /* the last time */
    } alike;
    struct fiber_queue expire_sleep;
    struct world_timer drain_end; /* when draining has to be over */
};

/* runtime.c. Everything but `runtime` is borrowed. */
void runtime_init(struct runtime *runtime, const fh_service *service, const json_t *config,
                  struct world *world, const struct runtime_host *host);
bool runtime_start(struct runtime *runtime); /* on its own fiber; false: none left */
void runtime_stop(struct runtime *runtime);  /* once; also while it starts */
/* What a start does before it asks or serves anybody, and then closes the store. On a fiber. */
enum fh_code runtime_try(struct runtime *runtime, struct fh_error *error);
void runtime_requests_drained(struct runtime *runtime);

/* describe.c: what `--describe` prints. New reference. */
json_t *service_describe(const fh_service *service);
/* ... and what `--statements` prints, of all the services of a program. New reference. */
struct declared;
json_t *service_statements(const struct declared *declared, const struct fh_program *program);
/* Prints either, which it takes, on standard output; returns the exit code. */
int service_print(json_t *object);

/* migrate.c: applies what is new in `folder` (NULL: nothing), each in a transaction of its own if
 * the engine can. On a fiber. FH_INVALID: a file is wrong, changed or missing; says which. */
enum fh_code service_migrate(struct store *store, const char *folder, int *ret_applied,
                             struct fh_error *error);
/* Says so where the folder has others than the store; changes nothing. On a fiber. */
void service_migrations_defer(struct store *store, const char *folder);
/* The newest one applied to the store; 0: none, -1: it can't be read now. On a fiber. */
int64_t service_migrated(struct store *store);

/* arrival.c: requests that arrive, as an http_handler's functions: whether one is shed, and one
 * that is not, from arrival to answer. */
const struct http_answer *exchange_shed(void *runtime, const struct http_incoming *incoming);
void exchange_incoming(void *runtime, struct http_incoming *incoming);
/* answer.c: http_handler.untold */
void exchange_untold(void *runtime, const struct http_answer *answer);

/* own_routes.c: /livez, /readyz, /metrics, /_freehold/...; false: none of these. On a fiber. */
bool own_route(struct runtime *runtime, struct exchange *exchange);

/* metrics.c: Prometheus' text format. malloc'ed. */
char *metrics_text(struct runtime *runtime);
void metrics_count(struct runtime_route *route, int status, double seconds);

#endif
