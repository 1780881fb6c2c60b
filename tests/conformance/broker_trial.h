/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BROKER_TRIAL_H
#define TESTS_BROKER_TRIAL_H

/*
 * A trial: one case of the suite of brokers (broker_conformance.c) on one broker, with a topic and
 * a connection of its own, and what cases publish and take: numbers, each in the partition that is
 * its remainder.
 */

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker_bed.h"
#include "harness.h"

#define PARTITIONS 8
#define WAIT_MS 60000  /* until something has to be there */
#define BACK_MS 150000 /* until a server that was killed has to be back */
#define CASE_MS 750000 /* a whole case: some wait several times, each time for so long at most */
#define TRY_MS 2000    /* the first attempt while a server may be away */
#define QUIET_MS 300   /* until something that must not come would have come */
#define MANY 100000
#define AT_ONCE 500

struct trial {
    struct harness harness;
    const struct broker_bed *bed;
    const struct broker_driver *driver;
    json_t *options;
    struct broker *broker;
    struct broker_topic topic;
    struct fh_error error;
    char name[64];
    int take_max, patience_ms;
    char wrong[512]; /* what did not hold; "": nothing */
    void (*run)(struct trial *t);
};

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            if (!t->wrong[0])                                                                      \
                snprintf(t->wrong, sizeof t->wrong, "%s:%d: %s", __FILE__, __LINE__, #condition);  \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define EXPECT_OK(call)                                                                            \
    do {                                                                                           \
        if ((call) != FH_OK) {                                                                     \
            if (!t->wrong[0])                                                                      \
                snprintf(t->wrong, sizeof t->wrong, "%s:%d: %.120s: %s", __FILE__, __LINE__,       \
                         #call, t->error.message);                                                 \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* The deadline of one call. */
int64_t trial_soon(struct trial *t);
/* After an attempt that began then. If it has used its time the next one may take twice as long:
 * what is too short once may be so each time. One that was refused at once says nothing of that. */
void trial_more_patience(struct trial *t, int64_t began_ns);
enum fh_code trial_publish(struct trial *t, unsigned partition, const char *id, const char *text,
                           struct fh_error *error);
/* Numbers from..to-1, those with n % PARTITIONS in that partition, as "n". */
enum fh_code trial_publish_numbers(struct trial *t, int from, int to, struct fh_error *error);
enum fh_code trial_consume(struct trial *t, const char *name, unsigned index, unsigned of,
                           struct broker_consumer **ret, struct fh_error *error);

/* Of each number how often it was taken, and whether a partition's came in their order. */
struct taken {
    unsigned char times[MANY];
    int newest[PARTITIONS], count, different;
    bool ordered, in_place;
    uint64_t mark;
};

/* Until so many different numbers have come, or nothing does. */
void trial_take_numbers(struct trial *t, struct broker_consumer *consumer, struct taken *taken,
                        int wanted);
bool trial_nothing_comes(struct trial *t, struct broker_consumer *consumer);

struct trial_case {
    const char *name;
    void (*run)(struct trial *t);
};
/* Each case on each broker that is built in, as "BROKER: CASE"; `only`: those that hold this text.
 * Returns what main does. */
int trial_main(const struct trial_case *cases, size_t count, const char *only);

#endif
