/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_BUS_H
#define EVENT_BUS_H

/*
 * The contract of a bus: how events get from a publisher's outbox to a subscription. The
 * subscription (src/event/subscribe) knows nothing else about where its events come from: neither
 * what they travelled in nor how the publisher was asked. The feed over HTTP is one bus
 * (feed/bus.c).
 *
 * That an event takes effect once is the subscription's business: its cursor moves in the
 * transaction in which the handlers run. So nothing that a bus does is durable on this side;
 * whatever gets lost on the way is asked for again, from the last place that arrived. A bus does
 * owe the following: it leaves out no event of a subscribed type; it delivers them in the order of
 * their positions; and it delivers only what follows the place it was asked for, so it must drop a
 * broker's redeliveries. It may deliver types that nobody subscribes to.
 *
 * A place is an incarnation of the publisher's store, a position in it, and the id of the event
 * there (struct ledger_cursor without its epoch). Whatever carries events has to carry all three:
 * position and id are in the envelope.
 *
 * The snapshots of a resync stay with the publisher's feed, whatever the bus (src/event/resync). A
 * snapshot may end at a place ahead of what the bus has: the bus answers "nothing yet", which is no
 * reason for another resync.
 *
 *   slot    required  parks  what it does
 *   open    yes       no     makes a reader of one partition. It can't fail: whatever has to be
 *                            reached is reached by the first fetch
 *   fetch   yes       yes    gets what follows a place, in one batch
 *   cancel  no        no     the reader is wanted no more: a fetch in progress waits no longer
 *   close   yes       no     frees the reader, which has no fetch in progress
 *
 * Two readers of one partition may be open for a while: if the partition is given up and taken
 * again while a reader waits for an answer, that reader is abandoned, and what it gets is thrown
 * away.
 *
 * Two slots that a bus might be expected to have are missing. Acknowledging: the subscription
 * passes what it has committed as `done` of its next question, which is soon enough; a bus that has
 * to tell a broker does so first thing in its fetch. Publishing: the feed's readers read the outbox
 * where it is, and what carries it to a broker belongs to the publisher (relay/relay.h).
 */

#include <stdint.h>

#include "event/subscribe/batch.h"
#include "freehold.h"
#include "store/ledger.h"

struct bus_reader; /* each bus has its own, perhaps by another name */
struct work_context;

#define BUS_WHY_SIZE 320

/* The result of a fetch. Only BUS_BATCH comes with a batch, which then belongs to the caller
 * (batch_free). With all others *ret is NULL, `why` is a sentence for operators, and the reader is
 * still good: the same question may be asked again. */
enum bus_verdict {
    /* Events in the order of their positions, all after the place that was asked for; or none:
     * nothing yet. Either way everything up to the batch's `next` is done with once these events
     * are applied. */
    BUS_BATCH,
    /* No answer, an invalid one, or one that refuses us: asked again after a pause, for as long as
     * it takes. */
    BUS_UNREACHABLE,
    /* The answer can't be read, possibly because it takes too much memory: asked again after a
     * pause, for fewer events. */
    BUS_UNREADABLE,
    /* The place is no longer one of the publisher's store, or what follows it is gone. Whatever was
     * fetched and not applied is thrown away. If handlers for a resync are declared, the
     * subscription resyncs, and then asks from another place; else it stops and reports that it is
     * refused, since going on would silently skip events. `why` has no full stop, because more may
     * follow. */
    BUS_RESYNC,
};

/* Which subscription reads, and what. It outlives the reader. */
struct bus_subscriber {
    const struct work_context *context; /* its service, store and world */
    const char *source;                 /* the publishing service */
    const char *partition;              /* "0/8": which partition of how many, by keys */
    /* The types, and the fields needed of each. */
    const struct fh_subscription *const *subscribed;
    int subscribed_count;
};

struct bus_question {
    struct ledger_cursor after; /* incarnation "": from the beginning */
    /* Committed, at most `after`: the publisher need not keep it for us. */
    int64_t done;
    /* While a snapshot's rows lie ahead of the cursor: the highest place that they came from, which
     * must also be one of the publisher's. 0: none. */
    int64_t seen;
    char seen_id[ID_SIZE];
    int limit;           /* events at most */
    int wait_s;          /* how long to wait for something new */
    int64_t deadline_ns; /* fetch returns by then, or when the world ends its requests */
};

struct bus {
    struct bus_reader *(*open)(const struct bus *bus, const struct bus_subscriber *subscriber);
    enum bus_verdict (*fetch)(struct bus_reader *reader, const struct bus_question *question,
                              struct batch **ret, char why[BUS_WHY_SIZE]);
    void (*cancel)(struct bus_reader *reader);
    void (*close)(struct bus_reader *reader);
};

#endif
