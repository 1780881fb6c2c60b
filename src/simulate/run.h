/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_RUN_H
#define SIMULATE_RUN_H

/*
 * One run of a system by one seed. What a crash leaves lying in memory is not given back: a run is
 * made in a process of its own (see many.h), which ends with it.
 */

#include <freehold/simulate.h>
#include <freehold/test.h>

#include "simulate/core.h"
#include "system/file/file.h"

#define RUN_FAILURES_MAX 8
#define RUN_FAILURE_SIZE 1024
#define RUN_COUNTS_MAX 8

struct run_result {
    bool ended; /* otherwise the process died of it */
    int failures;
    char failure[RUN_FAILURES_MAX][RUN_FAILURE_SIZE]; /* no two are alike */
    int repeated[RUN_FAILURES_MAX]; /* how many more like this one were counted in `failures` */
    char crash[RUN_FAILURE_SIZE];   /* where its process died, if by a signal; or "" */
    uint64_t digest, steps, trace_lines;
    int64_t virtual_ns;
    int crashes;
    struct {
        char name[32];
        int64_t value;
    } counts[RUN_COUNTS_MAX];
};

struct run_system {
    const struct system_file *file; /* which services there are, and their migrations */
    const fh_service *const *services;
    size_t service_count;
    const fh_simulation *simulation;
    const struct fh_test_case *test; /* instead of the simulation's phases; or NULL */
    /* Instead of what the seed draws: "7:2,9:1", what becomes of the 7th and of the 9th message
     * between the services and their server while the clients work. NULL: it is drawn. */
    const char *fates;
    /* Every service's events are also published to a broker in memory, and subscribers take them
     * from there. The broker fails, too. */
    bool bus;
};

/* `trace` may be NULL. */
void run_once(const struct run_system *system, uint64_t seed, FILE *trace, struct run_result *ret);

#endif
