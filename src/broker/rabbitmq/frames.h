/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RABBITMQ_FRAMES_H
#define BROKER_RABBITMQ_FRAMES_H

/*
 * Messages to publish as the frames that they are sent as, many of them in one write. The library
 * has three writes for each message, and a read before it; the server then has as many to read.
 * AMQP 0-9-1, chapters 4.2.3 (frames) and 4.2.6 (content):
 * https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf
 */

#include <stdint.h>

#include "base/text.h"

struct rabbitmq_frames_message {
    const char *exchange, *key;    /* shorter than 256 bytes, as are all texts here */
    const char *content_type, *id; /* id NULL: it has none */
    const char *data;
    size_t length;
};

/* Appends the frames of a persistent message, none larger than `frame_max`, of this channel. */
void rabbitmq_frames_add(struct text *out, unsigned channel, size_t frame_max,
                         const struct rabbitmq_frames_message *message);
/* Writes all of it, and clears it: to a socket that does not wait. 0, or an errno value: some of it
 * may be written, and nothing else can follow on this connection. ETIMEDOUT: the deadline, of
 * CLOCK_MONOTONIC. */
int rabbitmq_frames_send(int fd, struct text *out, int64_t deadline_ns);

#endif
