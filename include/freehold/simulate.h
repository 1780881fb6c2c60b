/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_SIMULATE_H
#define FREEHOLD_SIMULATE_H

/*
 * Simulating a system: all its services, unchanged, in one process on virtual time, while a seed
 * decides what is lost, late, duplicated or torn, and which process dies when. Here a system says
 * what its clients do and what must hold at the end. See docs/internals/simulation.md.
 *
 *     prepare   once, while nothing fails yet; may be NULL
 *     client    `clients` of them in parallel, while anything may fail
 *     check     once, when all faults have ended and the system has become idle
 *
 * Each is straight-line code; waiting takes virtual time. A run must depend on nothing but its
 * seed: no clock, no randomness and no state other than what is declared here.
 */

#include <freehold.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A client that sends requests to the services from outside. */
typedef struct fh_client fh_client;

#define FH_SIMULATION_NAMES_MAX 8

typedef struct fh_simulation fh_simulation;
struct fh_simulation {
    const char *name;
    size_t state_size; /* of fh_client_state; cleared before each run */
    int clients;       /* 0: 4; at most 64 */
    void (*prepare)(fh_client *client);
    void (*client)(fh_client *client, int number); /* from 0 */
    void (*check)(fh_client *client);
    /* An operator's actions on parked sagas: called again and again from the end of the faults
     * until the system is idle, which it is not while sagas are parked. NULL: no operator. */
    void (*operate)(fh_client *client);
    bool parks; /* events may still be parked when idle: `check` examines them */
    /* Services that the file has on a database server run there, with as many instances as it says,
     * if there is a model of that server (src/simulate/server.c). It understands the ledger's
     * statements, and those of the services themselves that SQLite accepts, too. All other services
     * are on SQLite, and so are all if this is false. */
    bool servers;
    /* Once, while everything fails, a replica replaces a server: it lacks some of the last commits,
     * whether acknowledged or not. `check` knows what is lost (fh_client_loses). */
    bool fails_over;
    bool trims; /* `check` counts no events in outboxes: they are trimmed as early as possible */
    /* All subscriptions can resync with their publishers' state. A quarter of the runs make them do
     * so: outboxes then hold few events, and may have been trimmed by the time of `check`. In half
     * of these runs one of `late` is started for the first time when the others are already at
     * work: `prepare` must not send it requests. In half, the files of one of `copied_back` are put
     * back as they were seconds before: `check` knows what is lost (fh_client_loses). */
    bool resyncs;
    const char *late[FH_SIMULATION_NAMES_MAX], *copied_back[FH_SIMULATION_NAMES_MAX];
    /* In most runs one of these is restored from a backup made seconds before. Then sagas may be
     * parked when idle, and `check` knows what is lost (fh_client_loses) and what is reported. */
    const char *restored[FH_SIMULATION_NAMES_MAX];
};

#define FH_SIMULATION(simulation_name, ...)                                                        \
    extern const fh_simulation fh_simulation_##simulation_name;                                    \
    const fh_simulation fh_simulation_##simulation_name = {.name = #simulation_name, __VA_ARGS__}; \
    static const fh_simulation *const fh_simulated_##simulation_name                               \
        __attribute__((used, retain, section("fh_simulations"))) =                                 \
            &fh_simulation_##simulation_name

struct fh_ask {
    const char *service, *method, *path;
    json_t *body;     /* borrowed; NULL: none */
    const char *key;  /* its Idempotency-Key, or NULL */
    bool as_operator; /* may use routes that are not public */
    int timeout_ms;   /* 0: 5,000 */
    /* On whose behalf; NULL: nobody is logged in. Their scopes and roles are written as in `.auth`:
     * FH_SCOPE("stock:write") FH_ROLE("staff"); NULL: none. */
    const char *user, *grants;
    json_t *claims;        /* borrowed; NULL: none */
    const char *statement; /* a Freehold-User, sent as it stands: to see it refused; or NULL */
    json_t *headers; /* borrowed; {"Freehold-Wait": "..."}, at most 8 texts; NULL: no others */
    /* Where the answer's headers are put, {"freehold-as-of": "..."}, names in lower case: a new
     * reference, of no answer NULL. NULL: nobody asks. */
    json_t **ret_headers;
};

/* One request, one attempt. Returns the status; 0: no answer. *ret_answer (may be NULL) is a new
 * reference, or NULL if the answer had no JSON. */
FH_API int fh_client_ask(fh_client *client, const struct fh_ask *ask, json_t **ret_answer);
/* Repeats the request, with pauses, until the status is below 500: for requests that have a key, or
 * may be done twice. 0: no such answer in two hours of virtual time. */
FH_API int fh_client_insist(fh_client *client, const struct fh_ask *ask, json_t **ret_answer);
/* Rows of a service's store, read directly, not through the service: for `check`. New reference. */
FH_API json_t *fh_client_rows(fh_client *client, const char *service, const char *sql);

/* Whether the store of `service` is put back in this run as it was some time before, or restored
 * from a backup: what it has acknowledged since then is lost. */
FH_API bool fh_client_loses(fh_client *client, const char *service);

FH_API void *fh_client_state(fh_client *client);
FH_API uint64_t fh_client_random(fh_client *client, uint64_t below);
FH_API void fh_client_sleep_ms(fh_client *client, int ms);
FH_API int64_t fh_client_ms(fh_client *client); /* of virtual time, from some moment on */
/* Adds to a counter in the summary of all runs: "orders". `what` is a string literal. */
FH_API void fh_client_count(fh_client *client, const char *what, int64_t more);
/* Adds a line to the trace. */
FH_API void fh_client_note(fh_client *client, const char *format, ...) FH_PRINTF(2, 3);
/* Something that must hold; if it does not, the run has failed, and goes on. Returns `holds`. */
FH_API bool fh_client_expect(fh_client *client, bool holds, const char *format, ...)
    FH_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
