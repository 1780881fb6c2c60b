/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_CARRIED_MESSAGE_H
#define EVENT_CARRIED_MESSAGE_H

/*
 * Messages that came by a broker, and what they are worth: nothing in them is trusted unchecked,
 * because a cursor that moved wrongly would lose events for ever. A shelf keeps those that can't be
 * delivered yet, in the order of their positions.
 */

#include "broker/broker.h"
#include "event/bus.h"
#include "event/chain.h"

#define SHELF_MAX 2048                    /* messages */
#define SHELF_SIZE_MAX ((size_t)16 << 20) /* of what was parsed */

struct carried_message {
    struct chain_place place, follows;
    bool wanted; /* of a type that is subscribed to */
    /* Its data have to be asked for: the message has none, or they are in a later version than is
     * read, of which the publisher may make that one. */
    bool reference;
    struct batch_event event; /* if it is wanted, and no reference; on the shelf's batch */
    size_t values;            /* that are still to be made of it */
};

/* Where the subscription stands, and whose messages it takes. */
struct carried_place {
    struct ledger_cursor at; /* as the next question's `after` will be */
    struct chain_place own;  /* the partition's last event up to there, as far as is known */
};

struct shelf {
    const struct bus_subscriber *subscriber;
    unsigned index, of;  /* the subscription's partition */
    struct batch *batch; /* whose arena has the envelopes; NULL: none is kept */
    struct carried_message *messages;
    int count, capacity;
    size_t values; /* of the batch that are still to be made: BATCH_VALUES_MAX */
};

enum carried_verdict {
    CARRIED_KEPT,    /* on the shelf */
    CARRIED_KNOWN,   /* it was delivered already; *ret_position says which it is */
    CARRIED_FOREIGN, /* of another incarnation of the publisher's store */
    CARRIED_DROPPED, /* damaged, or not for us, or there is no room */
};

void shelf_release(struct shelf *shelf);
enum carried_verdict shelf_put(struct shelf *shelf, const struct carried_place *place,
                               const struct broker_message *message, int64_t *ret_position);
/* Forgets what lies at or before the position; INT64_MAX: everything. */
void shelf_pass(struct shelf *shelf, int64_t position);

/* Forgets its first message. */
void shelf_drop(struct shelf *shelf);

enum shelf_verdict {
    SHELF_EMPTY,
    SHELF_READY,  /* its first message is next */
    SHELF_HOLE,   /* something is missing before its first message */
    SHELF_REFERS, /* its first message is next, and is a reference */
};
enum shelf_verdict shelf_look(const struct shelf *shelf, const struct carried_place *place);
/* When it is ready: a batch of what is next, at most `limit` events; moves `place`. NULL: what was
 * there can't be a batch, and is forgotten. */
struct batch *shelf_take(struct shelf *shelf, struct carried_place *place, int limit);

#endif
