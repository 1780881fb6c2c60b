/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_OUTBOX_READER_H
#define EVENT_OUTBOX_READER_H

/*
 * Reading this service's own outbox, in order, from a place that the reader keeps: in terms of the
 * store and its events alone, whatever the events are used for afterwards. Its readers are the feed
 * (feed/feed.c), which prints them for subscribers, and the relay (relay/relay.c), which publishes
 * them to a broker. Code that derives something from them in the same process would use this header
 * too. Where several instances could do that, it should hold a lease, as a subscription's partition
 * does (subscribe/subscribe.c): reading needs no lease, moving a place does.
 *
 *     struct outbox_reading reading = {.manager = manager, .incarnation = ..., .after = ...,
 *                                      .id = ..., .limit = 256, .take = take, .until_ns = ...};
 *     outbox_begin(&reading);
 *     do
 *         code = outbox_read(&reading, &error);
 *     while (code == FH_OK && reading.place == PLACE_HERE && reading.count == 0 &&
 *            outbox_wait(&reading));
 *
 * Results:
 *
 *   not FH_OK              the store can't be read now; nothing is known about the place. Events
 *                          already taken must be discarded
 *   place not PLACE_HERE   the place is not one of this store, or what follows it was trimmed:
 *                          nothing was taken. The reader has to begin with the present state
 *   count > 0              that many events were taken, up to `next`
 *   count 0                nothing yet: everything up to `next` was looked at, and the filter let
 *                          nothing through
 *
 * A reader reports what it no longer needs with subscribers_told (outbox/subscribers.h); until then
 * it is not trimmed. Reading alone moves nothing.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/outbox/place.h"
#include "event/chain.h"
#include "event/manager.h"
#include "store/ledger.h"

#define OUTBOX_SCAN_MAX 4096    /* rows looked at in one snapshot */
#define OUTBOX_READERS_MAX 1024 /* that wait at once; further ones do not wait */
/* If the only new events are ones that the filter excludes, the reading ends after this long. That
 * way a busy neighbour's commits do not each cause an answer. */
#define OUTBOX_SKIPPED_HOLD_MS 1000

/* Freehold's own events are always excluded. */
struct outbox_filter {
    const json_t *types; /* an array of names; NULL: all */
    /* Only this partition's keys, of so many (envelope_partition). */
    unsigned partition, partitions;
};

struct outbox_reading {
    struct event_manager *manager;
    /* The place: a position, and the id of the event there. `incarnation` "": the present one. */
    const char *incarnation, *id;
    int64_t after;
    /* A later place that must also be of this store; checked only when beyond `after`. */
    int64_t seen;
    const char *seen_id;
    struct outbox_filter filter;
    int limit;        /* events taken at most */
    int scan;         /* rows looked at in one snapshot; 0: OUTBOX_SCAN_MAX */
    bool follows;     /* `own` is wanted */
    int64_t until_ns; /* how long outbox_wait waits at most */
    /* Takes one event, whose texts are valid until it returns. Must not park. False: there is no
     * room for the event, which will be the first of the next reading. Must not refuse the first
     * event. */
    bool (*take)(void *context, const struct ledger_event *event);
    void *context;

    /* The results. */
    enum place place;
    bool continued; /* `incarnation` is an ancestor that shares the place with this store */
    int count;      /* taken */
    int64_t last;   /* the store's position */
    int64_t next;   /* scanned to */
    char next_id[ID_SIZE];
    /* The last event of the partition that was scanned, of whatever type; position 0: none was. */
    struct chain_place own;

    /* Private to reader.c. */
    uint64_t commits;
    uint64_t answers; /* as the manager's when it began */
    bool held;
};

/* Call it once, when all of the above is set. */
void outbox_begin(struct outbox_reading *reading);
/* Judges the place and reads events after `next`, in one snapshot of the store. Parks. */
enum fh_code outbox_read(struct outbox_reading *reading, struct fh_error *error);
/* After a reading that took nothing. True: there is more to read, possibly after a while in which
 * the fiber was parked. False: the time is over, the manager drains, or too many wait already. */
bool outbox_wait(struct outbox_reading *reading);

#endif
