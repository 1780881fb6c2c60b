/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RELAY_HELD_H
#define EVENT_RELAY_HELD_H

/*
 * Whether a topic has room for what it is to hold for readers outside. A broker removes what is
 * beyond keep_bytes and tells nobody, so the relay counts what it publishes: more than that within
 * outside_kept_s, and something goes before its time.
 *
 * The bytes are remembered by marks, an eighth of the time apart, so that up to an eighth is left
 * out: what is said is so, if somewhat late. A process that has just begun knows of none.
 */

#include <stdbool.h>
#include <stdint.h>

#define HELD_MARKS 8

struct relay_held {
    int64_t kept_ns, bytes_max; /* kept_ns 0: nothing is held */
    int64_t bytes;              /* published */
    struct held_mark {
        int64_t at_ns, bytes;
    } marks[HELD_MARKS]; /* the oldest one first */
    int count;
    bool overflows;
};

/* After so many bytes were published. True: it overflows, and did not before. */
bool relay_held_published(struct relay_held *held, int64_t bytes, int64_t now_ns);
/* As time passes, too, what was too much is so no longer. */
bool relay_held_overflows(const struct relay_held *held, int64_t now_ns);

#endif
