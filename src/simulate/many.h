/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_MANY_H
#define SIMULATE_MANY_H

/*
 * Many runs, each in a process of its own: it begins from the same memory whatever ran before, its
 * end gives back what crashes left lying, and a run that dies takes nothing else with it.
 */

#include "simulate/run.h"

#define MANY_SIDE_BY_SIDE_MAX 64
#define MANY_RUN_S_MAX 30    /* of a processor; then a run is ended, and has failed */
#define MANY_STILL_S_MAX 600 /* of real time: a busy machine's are long */

struct many_seed {
    uint64_t seed;
    struct run_result result;
    bool failed;
    bool replayed_otherwise; /* the same seed was another run the second time */
    char death[64];          /* how its process ended, if not in order */
};

struct many {
    struct run_system system;
    uint64_t first_seed, runs;
    int side_by_side; /* 0: as many as there are processors */
    bool replay;      /* each seed twice */
    /* After each seed, in the order in which they end. False: no more are begun. */
    bool (*seen)(void *context, const struct many_seed *seed);
    void *context;
};

void many_run(const struct many *many);
/* One run with its trace, written to `trace` as it happens. */
void many_trace(const struct run_system *system, uint64_t seed, FILE *trace, struct many_seed *ret);
/* The last lines of what a seed's run says of itself, on standard output. */
void many_trace_end(const struct run_system *system, uint64_t seed);

#endif
