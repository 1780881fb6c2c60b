/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAGA_ADMISSION_H
#define SAGA_ADMISSION_H

/*
 * Sagas under way go before new ones. A unit of work that begins a saga wants of the process and of
 * the store what the steps of others want, and a client that begins many can have any number of
 * them in progress, while no more than SAGA_TARGET_FLIGHT_MAX steps go to one receiver. So as long
 * as sagas move on, at most SAGA_STARTS_MAX units of work that begin one use the store at once, and
 * half as many while more than SAGA_STARTS_OPEN are in memory; the next ones wait before they use
 * it, first come, first served, and SAGA_START_WAIT_MS at most. Where nothing moves, because
 * receivers are away or slow to answer, sagas begin freely: nothing would be gained.
 *
 * What waits here is in memory alone, and nobody was told of it.
 */

#include <stdbool.h>

#include "world/world.h"

#define SAGA_STARTS_MAX 64
#define SAGA_STARTS_OPEN 256
#define SAGA_STARTS_WAITING_MAX 1000
#define SAGA_START_WAIT_MS 1000
#define SAGA_MOVES_MS 100 /* a saga whose state was stored so recently: they move on */

/* Zero-initialise it. */
struct saga_admission {
    int places; /* as of the last one that came */
    int inside, waiting;
    struct fiber_queue queue;
};

/* So many may be inside at once now. */
int saga_admission_places(bool moves, size_t in_memory);
/* On a fiber. False: too many wait. Otherwise call saga_admission_leave. */
bool saga_admission_enter(struct saga_admission *admission, struct world *world, int places);
void saga_admission_leave(struct saga_admission *admission);

#endif
