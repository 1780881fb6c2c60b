/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_BATCH_H
#define EVENT_SUBSCRIBE_BATCH_H

/* The result of one fetch from a bus, checked, in memory of its own. */

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "store/ledger.h"
#include "world/world.h"

struct batch_event {
    json_t *envelope;
    int64_t position;
    int64_t time_ms; /* 0: missing or unreadable */
    const char *id, *type;
    const char *key;   /* "": missing */
    const char *trace; /* or NULL */
};

struct batch {
    struct arena arena;        /* of everything below */
    struct ledger_cursor next; /* the reader's place once these are applied; epoch stays 0 */
    int64_t last;              /* the publisher's last position, as far as the bus can tell */
    int count;
    struct batch_event *events; /* in ascending order of position */
    struct batch *following;    /* the next batch in a queue */
};

/* From a 200 to a request behind `after`. FH_INVALID says what of it no feed answers: a missing
 * header, no JSON, another incarnation than the one asked for, events out of order, before `after`
 * or beyond what was scanned, more than `count_max`. */
enum fh_code batch_parse(const struct world_request *answer, const struct ledger_cursor *after,
                         int count_max, struct batch **ret, struct fh_error *error);
void batch_free(struct batch *batch);

#endif
