/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_ENVELOPE_H
#define EVENT_ENVELOPE_H

/*
 * The envelope in which events travel: CloudEvents 1.0 in its JSON format
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md), with the
 * extension attributes position, prev, version, traceparent and actor; by a broker also incarnation
 * and chain, and dataref
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/dataref.md) in place of
 * data that are too large. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "event/fields.h"
#include "store/ledger.h"

#define ENVELOPE_TIME_SIZE 25 /* "2026-03-01T12:00:00.123Z" and the NUL */
/* The most that an envelope adds to data, key and names; an actor's 255 bytes may all be escaped.
 */
#define ENVELOPE_FRAME_SIZE ((size_t)1088)

/* Years 1970 to 9999; other times become the nearest of these. */
void envelope_time(char out[static ENVELOPE_TIME_SIZE], int64_t wall_ms);
/* Accepts only the form that envelope_time writes. */
bool envelope_time_parse(const char *text, int64_t *ret_wall_ms);

/* Appends one envelope. `fields` NULL: all of the data. */
void envelope_write(struct text *out, const char *service, const struct ledger_event *event,
                    const struct fields *fields);

/* How an event travels by a broker: with what else its readers have to know. */
struct envelope_message {
    const char *incarnation; /* of the publisher's store */
    const char *chain;       /* what it follows: see chain.h */
    bool reference;          /* without its data, which the publisher's feed has */
};
#define ENVELOPE_DATAREF "/_freehold/feed"
void envelope_write_message(struct text *out, const char *service, const struct ledger_event *event,
                            const struct envelope_message *message);

/* One row of a snapshot's page, {"type", "subject", "position", "version", "data"}, of these of an
 * event; the same with "digest" instead of its data; and a JSON string. */
void envelope_row(struct text *out, const struct ledger_event *row, const struct fields *fields);
void envelope_row_digest(struct text *out, const struct ledger_event *row, const char *digest);
void envelope_string(struct text *out, const char *string);

/* The partition in 0..count-1 to which a key belongs: FNV-1a, 64 bits, modulo count. Part of the
 * protocol: subscribers and publishers of different releases must agree on it. */
#define ENVELOPE_SHARES_MAX 256
unsigned envelope_partition(const char *key, unsigned count);

#endif
