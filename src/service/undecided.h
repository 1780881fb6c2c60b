/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_UNDECIDED_H
#define SERVICE_UNDECIDED_H

/*
 * Requests under way, and the clients of those whose commit is not decided in time.
 *
 * A commit returns when it is decided, which may take as long as a server is away (store.h). The
 * fiber of a request waits for that, and then does what belongs to it: its hooks, its key, its
 * saga. Its client need not: when the request's time is over and its work is being committed, it
 * is answered 503 at once, and what the fiber answers later is dropped. As long as that is so an
 * equal key waits, and is answered 503 by its own time.
 */

#include "world/world.h"

struct runtime;

#define UNDECIDED_MAX 1000 /* requests answered early and not ended; beyond, others are 503 */
#define UNDECIDED_LOOK_MS 1000

/* One request; a part of its exchange. */
struct undecided_request {
    const struct fiber *fiber;
    int64_t until_ns; /* when its time is over; INT64_MAX: when a commit has taken as long as one
                         has by default (RUNTIME_DEADLINE_MS) */
    bool answered;    /* early */
    struct undecided_request *previous, *next;
};

/* All of a runtime's, the oldest first. */
struct undecided_requests {
    struct undecided_request *first, *last;
    unsigned answered; /* of these, early */
    struct world_timer look;
    bool looks; /* it runs */
};

void undecided_enter(struct runtime *runtime, struct undecided_request *request);
void undecided_leave(struct runtime *runtime, struct undecided_request *request);
void undecided_stop(struct runtime *runtime);
/* No more requests that may change something are taken now. */
bool undecided_full(const struct runtime *runtime);

#endif
