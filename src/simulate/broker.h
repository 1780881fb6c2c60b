/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_BROKER_H
#define SIMULATE_BROKER_H

/*
 * A broker in memory that does to messages what a broker may do, and worse: it loses what it has
 * acknowledged, singly or all at once, delivers twice, out of order and very late, takes some of a
 * batch and refuses it, takes all of one and does not answer, and is away. All of it as chances,
 * drawn from the world of whoever asks; all 0 (the beginning): it is a good one.
 *
 * There is one in a process. What it keeps outlives the simulated processes, which die anywhere: it
 * wakes nobody, but who waits for messages looks again and again.
 */

#include "broker/broker.h"

#define SIMULATE_BROKER "memory" /* the driver's name */

struct simulate_broker_faults {
    /* Chances in a million: of a message, and of a batch. */
    unsigned lost, doubled, late, overtaken, refused, unanswered;
    int64_t away_until_ns;
};

struct simulate_broker_counts {
    uint64_t published, taken, lost, doubled, late, overtaken, refused, unanswered, wiped, woken;
};

/* Adds the driver, once in a process, and begins with an empty broker. */
void simulate_broker_begin(void);
void simulate_broker_end(void);
struct simulate_broker_faults *simulate_broker_faults(void);
const struct simulate_broker_counts *simulate_broker_counts(void);
/* All messages are gone, and how far consumers have come; topics, too. */
void simulate_broker_wipe(void);
/* What was ever published and acknowledged: visit it in its order. */
void simulate_broker_visit(void (*visit)(void *context, const char *topic,
                                         const struct broker_message *message),
                           void *context);
/* Puts a message there that no relay has published. */
void simulate_broker_forge(const char *topic, unsigned partition, const char *data);

#endif
