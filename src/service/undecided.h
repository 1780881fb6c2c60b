/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_UNDECIDED_H
#define SERVICE_UNDECIDED_H

/*
 * Requests in progress, and the clients of those whose commit is not decided in time.
 *
 * A commit returns once it is decided, which can take as long as a server is away (store.h). The
 * request's fiber waits for that, and then does what belongs to it: its hooks, its key, its saga.
 * Its client need not wait: if the request's time is over while its unit of work is being
 * committed, it is answered 503 at once, and what the fiber answers later is dropped. Until the
 * commit is decided, a request with an equal key waits, and is answered 503 when its own time is
 * over.
 */

#include "world/world.h"

struct runtime;

#define UNDECIDED_MAX 1000 /* answered early and not ended; at this many, others get 503 */
#define UNDECIDED_LOOK_MS 1000

/* One request; part of its exchange. */
struct undecided_request {
    const struct fiber *fiber;
    int64_t until_ns; /* when its time is over; INT64_MAX: once a commit has taken as long as one
                         has by default (RUNTIME_DEADLINE_MS) */
    bool answered;    /* early */
    struct undecided_request *previous, *next;
};

/* All of a runtime's, the oldest first. */
struct undecided_requests {
    struct undecided_request *first, *last;
    unsigned answered; /* how many of them, early */
    struct world_timer look;
    bool looks; /* it is running */
};

void undecided_enter(struct runtime *runtime, struct undecided_request *request);
void undecided_leave(struct runtime *runtime, struct undecided_request *request);
void undecided_stop(struct runtime *runtime);
/* No more requests that may change something are accepted now. */
bool undecided_full(const struct runtime *runtime);

#endif
