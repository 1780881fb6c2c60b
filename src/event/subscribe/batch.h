/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SUBSCRIBE_BATCH_H
#define EVENT_SUBSCRIBE_BATCH_H

/* The result of one fetch from a bus, checked, in memory of its own. */

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "event/chain.h"
#include "store/ledger.h"
#include "work/work.h"

struct batch_event {
    struct work_event said;
    int64_t position;
    int version; /* of its data; 0: it does not say */
    const char *id, *type;
    const char *key;   /* "": missing */
    const char *trace; /* or NULL */
    const char *time;  /* or NULL */
    /* NULL, or why it is to be parked before its handler sees it: of a source. */
    const char *unreadable;
    bool replayed; /* it was applied before, and what it does besides is held back: replay.h */
};

struct batch {
    struct arena arena;        /* of everything below */
    struct ledger_cursor next; /* the reader's place once these are applied; epoch stays 0 */
    /* The last event of the partition up to `next`, of whatever type, if the bus knows it; position
     * 0: it does not. For buses. */
    struct chain_place own;
    int64_t last; /* the publisher's last position, as far as the bus can tell */
    /* When the publisher itself was asked, if it had nothing beyond `next` then; 0: it had, or only
     * a broker was asked. */
    int64_t asked_ns;
    int count;
    struct batch_event *events; /* in ascending order of position */
    struct batch *following;    /* the next batch in a queue */
};

/* For buses: an empty batch, in which the bus sets `next` and `last`. NULL: no memory. */
struct batch *batch_new(struct fh_error *error);
/* Then adds the received events. `envelopes`, an array as in envelope.h, is on the batch's arena
 * (json_arena_set) and is referenced, not copied. FH_INVALID: an event lacks a required member;
 * events are out of order, not after `after`, beyond `next`, or more than `count_max`; or `next` is
 * before `after` or beyond `last`. */
enum fh_code batch_take(struct batch *batch, json_t *envelopes, int64_t after, int count_max,
                        struct fh_error *error);
/* The same of their text, of which the batch has a copy then. FH_INVALID or FH_NO_MEMORY, too,
 * where that is no JSON, or takes too much memory. */
enum fh_code batch_read(struct batch *batch, const char *text, size_t length, int64_t after,
                        int count_max, struct fh_error *error);
void batch_free(struct batch *batch);

/* For a bus whose events come one by one. The texts of an envelope's members; NULL: missing. */
enum batch_text {
    BATCH_ID,
    BATCH_TYPE,
    BATCH_SUBJECT,
    BATCH_TIME,
    BATCH_TRACEPARENT,
    BATCH_SOURCE,
    BATCH_INCARNATION,
    BATCH_CHAIN,
    BATCH_TEXTS,
};
/* What a batch may have of values that were not made yet: of more, some events have to be values.
 * As values, a few bytes take a hundred times as many; of more than these, made of empty lists, the
 * heap would not know a bound where an event is parked, shown or looked through. */
#define BATCH_VALUES_MAX (ARENA_SIZE_MAX / 512)
/* One envelope's text. Onto the arena comes a copy, into which `ret` points: ret->said.data.at is
 * NULL if it has none. `ret_dataref`: it refers to its data. `ret_values`: what it would be as
 * values. False: it is no envelope, has no position, or is unusual: read it as values. */
bool batch_event_scan(struct arena *arena, const char *text, size_t length, struct batch_event *ret,
                      const char *ret_texts[static BATCH_TEXTS], bool *ret_dataref,
                      size_t *ret_values);
/* Once its events are set: FH_INVALID as of batch_take. */
enum fh_code batch_check(const struct batch *batch, int64_t after, struct fh_error *error);

/* An event's, of the member of its envelope. 0: missing or unreadable. */
int batch_event_version(const json_t *version);
/* 0: missing or unreadable. */
int64_t batch_event_time_ms(const struct batch_event *event);

#endif
