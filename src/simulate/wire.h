/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_WIRE_H
#define SIMULATE_WIRE_H

/* What becomes of the messages between processes and a server, and how long things take there:
 * drawn by the run's seed, or as link points say. The same for each model of a server. */

#include "simulate/core.h"

/* How long a message is on its way; a held one; until an end that was not notified finds out. */
#define WIRE_WAY_NS_MIN ((int64_t)20000)
#define WIRE_WAY_NS_MAX ((int64_t)200000)
#define WIRE_HELD_NS_MIN (200 * SIMULATE_MS)
#define WIRE_HELD_NS_MAX (15000 * SIMULATE_MS)
#define WIRE_CLIENT_FINDS_NS (10000 * SIMULATE_MS)
#define WIRE_SERVER_FINDS_NS (11000 * SIMULATE_MS)
#define WIRE_REFUSED_NS (3000 * SIMULATE_MS)
#define WIRE_DOWN_NS_MAX (12000 * SIMULATE_MS)
#define WIRE_LATE_NS (2000 * SIMULATE_MS)

enum simulate_fate {
    FATE_ARRIVES,    /* 0 */
    FATE_CUT_BEFORE, /* the link is cut, and it does not arrive */
    FATE_CUT_AFTER,  /* it arrives, and the link is cut: no answer comes back */
    FATE_SWALLOWED,  /* it is lost, and nobody hears of it for a while */
    FATE_HELD,       /* the link is cut, and it arrives long after */
    FATE_REFUSED,    /* the link is cut before it, and for a while nobody may connect */
    FATES
};

struct simulate_wire {
    struct simulate *simulate;
    struct {
        unsigned cut_before, cut_after, swallowed, held, torn, slow; /* in a million */
    } faults;
    int64_t slow_until_ns, bad_until_ns;
    int64_t refuses_until_ns; /* nobody may connect */
    const char *fates;        /* of messages by number, instead of what is drawn; or NULL */
    int64_t messages;         /* that were counted for it */
};

void wire_faults_draw(struct simulate_wire *wire);
void wire_faults_end(struct simulate_wire *wire);
void wire_fates(struct simulate_wire *wire, const char *fates);
int64_t wire_fates_end(struct simulate_wire *wire);
/* *ret_torn: only the first part of it arrives, and the link is cut after that. */
enum simulate_fate wire_fate(struct simulate_wire *wire, bool towards, bool *ret_torn);
/* A time, or a much longer one while the server is slow. */
int64_t wire_slowed(struct simulate_wire *wire, int64_t ns);
void wire_slow_down(struct simulate_wire *wire);  /* for a while */
int64_t wire_down_ns(struct simulate_wire *wire); /* how long a restart takes */
static inline int64_t wire_way_ns(struct simulate_wire *wire)
{
    return simulate_between(wire->simulate, WIRE_WAY_NS_MIN, WIRE_WAY_NS_MAX);
}
static inline int64_t wire_held_ns(struct simulate_wire *wire)
{
    return simulate_between(wire->simulate, WIRE_HELD_NS_MIN, WIRE_HELD_NS_MAX);
}
static inline void wire_refuse(struct simulate_wire *wire)
{
    wire->refuses_until_ns = wire->simulate->now_ns + WIRE_REFUSED_NS;
}

#endif
