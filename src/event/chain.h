/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_CHAIN_H
#define EVENT_CHAIN_H

/*
 * How a message tells what it follows. An event belongs to one partition of 1, to one of 2, of 4,
 * and so on up to the topic's number (envelope_partition): for each of these the message names the
 * event before it there, by position and id. Freehold's own events are in no partition.
 *
 *     "1:1017,ID 4:1009,ID"    of 1 and of 2 partitions: 1017; of 4 and more: 1009
 *
 * A subscription reads one partition of a fixed number. It takes a message only if the event that
 * this names is the last one of the partition that it has: nothing is missing in between, since ids
 * are never given out again, even where positions are (commits lost at a failover, files put back).
 *
 * Whoever begins in the midst does not know the events before. It names its own place instead,
 * which is at or behind all of them: then a subscriber can only believe that something is missing,
 * and asks the publisher.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/text.h"

#define CHAIN_LEVELS_MAX 9 /* of 1, 2, 4, ... 256 partitions */
/* Of the text: each level's number, position and id. */
#define CHAIN_SIZE_MAX (CHAIN_LEVELS_MAX * (4 + 20 + ID_SIZE))

/* Of an event. Position 0, id "": before the first one. */
struct chain_place {
    int64_t position;
    char id[ID_SIZE];
};

struct chain {
    unsigned partitions;
    /* The last event of partition I of N at [N - 1 + I], for N = 1, 2, 4, ... partitions. */
    struct chain_place *last;
};

/* `partitions`: a power of two, at most ENVELOPE_SHARES_MAX. */
void chain_init(struct chain *chain, unsigned partitions);
void chain_release(struct chain *chain);
/* Nothing is known of what is before this place. */
void chain_begin(struct chain *chain, int64_t position, const char *id);
/* Appends what an event of this key follows. */
void chain_write(const struct chain *chain, const char *key, struct text *out);
/* That event is the last one of its partitions. */
void chain_follow(struct chain *chain, const char *key, int64_t position, const char *id);

/* What the message follows among `of` partitions. False: the text is malformed, or does not tell.
 */
bool chain_read(const char *text, unsigned of, struct chain_place *ret);
/* "17,ID", up to `end`: '\0' or another character; "0," is the place before the first event. */
bool chain_place_read(const char *text, char end, struct chain_place *ret, const char **ret_end);
bool chain_place_is(const struct chain_place *place, int64_t position, const char *id);

#endif
