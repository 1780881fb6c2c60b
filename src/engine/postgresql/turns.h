/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_TURNS_H
#define ENGINE_POSTGRESQL_TURNS_H

/* Units of work that have met conflicts send their COMMITs in rounds: turns.c. */

#include "world/fiber.h"

#define POSTGRESQL_TURN_WAIT_MS 50

/* Of a store. */
struct postgresql_turns {
    int wait_ms;      /* POSTGRESQL_TURN_WAIT_MS */
    int under_way[2]; /* of the even and of the odd round */
    int waiters;
    uint64_t round; /* the newest */
    struct fiber_queue waiting;
};

/* Of a unit of work. */
struct postgresql_turn {
    struct postgresql_statement *kind; /* its handler's first statement; or NULL */
    bool taken;                        /* its COMMIT is under way since then */
    int64_t since_ns;
    uint64_t round; /* its own */
};

struct postgresql_work;
/* This statement runs in the unit of work: its handler's first one names its kind. */
void postgresql_turn_kind(struct postgresql_work *work, struct postgresql_statement *statement);
/* Around what is sent with COMMIT. _take waits for a short time at most. */
void postgresql_turn_take(struct postgresql_work *work);
void postgresql_turn_end(struct postgresql_work *work);
/* A call of it failed that has `crossed`. */
void postgresql_turn_learn(struct postgresql_work *work);

#endif
