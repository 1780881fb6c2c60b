/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_SIMULATE_H
#define FREEHOLD_SIMULATE_H

/*
 * Simulating a system: all its services, unchanged, in one process on virtual time, while a seed
 * decides what is lost, late, doubled or torn, and who dies when. This is how a system says what
 * its clients do and what must hold at the end. See docs/internals/simulation.md.
 *
 *     prepare   once, while nothing fails yet; may be NULL
 *     client    `clients` of them side by side, while everything may fail
 *     check     once, when all faults have ended and the system has come to rest
 *
 * Each is straight-line code; waiting takes virtual time. A run must depend on nothing but its
 * seed: no clock, no randomness, no memory but what is here.
 */

#include <freehold.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One who speaks to the services from outside. */
typedef struct fh_client fh_client;

#define FH_SIMULATION_NAMES_MAX 8

typedef struct fh_simulation fh_simulation;
struct fh_simulation {
    const char *name;
    size_t state_size; /* of fh_client_state: cleared for each run */
    int clients;       /* 0: 4; at most 64 */
    void (*prepare)(fh_client *client);
    void (*client)(fh_client *client, int number); /* from 0 */
    void (*check)(fh_client *client);
    /* An operator's words, again and again from when the faults have ended until the system has
     * come to rest: to sagas that are parked, which is no rest. NULL: nobody says any. */
    void (*operate)(fh_client *client);
    bool parks; /* events may still be parked at rest: `check` looks at them */
    /* Services that the file has on PostgreSQL are there, as so many instances as it says: a model
     * of its server answers the ledger's statements, and those of the services' own that SQLite
     * takes, too. Else all are on SQLite. */
    bool servers;
    /* Once, while everything fails, a replica takes over in the place of a server: it lacks some of
     * the last commits, answered or not. `check` knows what is lost (fh_client_loses). */
    bool fails_over;
    bool trims; /* `check` counts no events in outboxes: they are trimmed as soon as they may be */
    /* All subscriptions can begin anew with their publishers' state. A quarter of the runs make
     * them: outboxes then hold few events, and may have been trimmed when `check` looks. In half of
     * these one of `late` is born when the others are at work already, and in half the files of one
     * of `copied_back` are put back as they were seconds before: `prepare` asks none of the first,
     * and of the second `check` knows what is lost (fh_client_loses). */
    bool resyncs;
    const char *late[FH_SIMULATION_NAMES_MAX], *copied_back[FH_SIMULATION_NAMES_MAX];
    /* In most runs one of these is restored from a backup of seconds before. Then sagas may
     * be parked at rest, and `check` knows what is lost (fh_client_loses) and what is reported. */
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
    bool as_operator; /* to routes that are not public */
    int timeout_ms;   /* 0: 5,000 */
};

/* One request, one attempt. The status; 0: no answer came. *ret_answer (may be NULL) is a new
 * reference, or NULL where there was no JSON. */
FH_API int fh_client_ask(fh_client *client, const struct fh_ask *ask, json_t **ret_answer);
/* The same request again, with pauses, until a status below 500 has come: for what has a key, or
 * may be done twice. 0: after two hours of virtual time there was none. */
FH_API int fh_client_insist(fh_client *client, const struct fh_ask *ask, json_t **ret_answer);
/* Rows of a service's store, read past the service: for `check`. A new reference. */
FH_API json_t *fh_client_rows(fh_client *client, const char *service, const char *sql);

/* Whether the store of `service` is put back in this run as it was some time before, or was
 * restored from a backup: what it has acknowledged since then is lost. */
FH_API bool fh_client_loses(fh_client *client, const char *service);

FH_API void *fh_client_state(fh_client *client);
FH_API uint64_t fh_client_random(fh_client *client, uint64_t below);
FH_API void fh_client_sleep_ms(fh_client *client, int ms);
/* Counted in the summary of all runs: "orders". `what` is a literal. */
FH_API void fh_client_count(fh_client *client, const char *what, int64_t more);
/* A line in the trace. */
FH_API void fh_client_note(fh_client *client, const char *format, ...) FH_PRINTF(2, 3);
/* What must hold; if it does not, the run has failed, and goes on. Returns `holds`. */
FH_API bool fh_client_expect(fh_client *client, bool holds, const char *format, ...)
    FH_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
