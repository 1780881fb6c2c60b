/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_ADMISSION_H
#define SERVICE_ADMISSION_H

/*
 * When a request begins: at once, as long as there are places and the loop comes round soon; else
 * when it is its caller's turn (call/turns.h). Each lane has places of its own, so that no client's
 * request keeps the system's from going on, whatever is offered:
 *
 *     OWN      probes, metrics, the feed, closings, operators: no lane, they begin at once
 *     STEPS    what sagas and operators ask of the service's routes: half of the loop, if they
 *              need it
 *     CLIENTS  all else: requests from outside, GETs of other services
 *
 * One thread runs the handlers, so what waits for it waits in the sockets, unseen, as long as it
 * does not look there. So of what it has found there at one time it begins as many requests as
 * ADMISSION_ROUND_NS hold; the rest are read, and wait or are shed here, and it looks again.
 */

#include "call/overload.h"

#define ADMISSION_ROUND_NS INT64_C(10000000)
/* Under way at one time, of clients; of steps. What has begun to wait for others has left its place
 * for good (work_parks): services that ask each other in a circle would wait for each other's
 * places, and a slow one would take those of all who ask it. */
#define ADMISSION_PLACES 512u
#define ADMISSION_LOOK_MS 1000 /* how late one is shed that nobody wants any more */

enum admission_lane {
    ADMISSION_STEPS,
    ADMISSION_CLIENTS,
    ADMISSION_LANES,
    ADMISSION_OWN = ADMISSION_LANES
};

/* Part of a request. */
struct admission_request {
    struct turns_waiter waiter; /* first: it is cast from */
    /* Both are called on the loop, one of them and once. It has a place now. */
    void (*begin)(struct admission_request *request);
    /* It has waited too long. */
    void (*shed)(struct admission_request *request);
    enum admission_lane lane;
    bool placed;
};

struct admission {
    struct world *world;
    struct {
        struct overload overload;
        unsigned under_way;
    } lanes[ADMISSION_LANES];
    uint64_t round; /* the world's, in which began_ns is when the first request came */
    int64_t began_ns;
    unsigned batch; /* how many a round holds, by what the last ones took */
    unsigned batched;
    int64_t batched_ns; /* when the last `batched` were begun */
    struct world_turn turn;
    struct world_timer look; /* runs while anything waits */
    bool looks;
};

void admission_init(struct admission *admission, struct world *world);
void admission_release(struct admission *admission); /* nothing may wait */

/* Somebody waits: whom a request is from has to be known before admission_enter or admission_shed
 * is called. */
bool admission_presses(const struct admission *admission);
/* Whether a request that arrives is to be shed. */
bool admission_shed(struct admission *admission, enum admission_lane lane, const char *caller,
                    int64_t until_ns, int64_t now_ns);
/* It begins at once, or waits, in its lane; all above `placed` is filled in. `caller`:
 * NULL is fine if nobody waits, and then it may be asked for again: false, nothing was done. */
bool admission_enter(struct admission *admission, struct admission_request *request,
                     const char *caller, int64_t now_ns);
/* It needs no place any more. Again is fine. */
void admission_leave(struct admission *admission, struct admission_request *request);
/* "clients", "steps" */
const char *admission_lane_name(enum admission_lane lane);

#endif
