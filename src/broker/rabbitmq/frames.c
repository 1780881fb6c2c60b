/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame is its type (1), channel (2), size (4), that many bytes, and an end (1). A message is a
 * Basic.Publish, a header with its size and properties, and bodies.
 *
 * What is half written when it fails can't be gone on with: whoever sends gives the connection up.
 */

#include "broker/rabbitmq/frames.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/rabbitmq/internal.h"

#define FRAME_HEAD 7
#define FRAME_AROUND (FRAME_HEAD + 1)
#define BITS_NONE '\0' /* neither mandatory nor immediate */
#define FRAME_PERSISTENT '\2'
#define FLAGS (AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG)

static void add_number(struct text *out, uint64_t number, int bytes)
{
    char digits[8];
    for (int i = 0; i < bytes; i++)
        digits[i] = (char)(number >> (8 * (bytes - 1 - i)));
    text_append(out, digits, (size_t)bytes);
}

static void add_short_text(struct text *out, const char *text)
{
    size_t length = strlen(text);
    FH_ASSERT(length <= 255);
    add_number(out, length, 1);
    text_append(out, text, length);
}

/* Returns where the frame begins; its size is not known yet. */
static size_t frame_begins(struct text *out, int type, unsigned channel)
{
    size_t begins = out->length;
    add_number(out, (uint64_t)type, 1);
    add_number(out, channel, 2);
    add_number(out, 0, 4);
    return begins;
}

static void frame_ends(struct text *out, size_t begins)
{
    if (out->overflow)
        return;
    size_t size = out->length - begins - FRAME_HEAD;
    for (int i = 0; i < 4; i++)
        out->data[begins + 3 + (size_t)i] = (char)(size >> (8 * (3 - i)));
    add_number(out, AMQP_FRAME_END, 1);
}

void rabbitmq_frames_add(struct text *out, unsigned channel, size_t frame_max,
                         const struct rabbitmq_frames_message *message)
{
    FH_ASSERT(frame_max > 2 * FRAME_AROUND);
    size_t begins = frame_begins(out, AMQP_FRAME_METHOD, channel);
    add_number(out, AMQP_BASIC_PUBLISH_METHOD, 4); /* class and method */
    add_number(out, 0, 2);                         /* reserved */
    add_short_text(out, message->exchange);
    add_short_text(out, message->key);
    add_number(out, BITS_NONE, 1);
    frame_ends(out, begins);
    begins = frame_begins(out, AMQP_FRAME_HEADER, channel);
    add_number(out, AMQP_BASIC_CLASS, 2);
    add_number(out, 0, 2); /* weight */
    add_number(out, message->length, 8);
    add_number(out, FLAGS | (message->id ? AMQP_BASIC_MESSAGE_ID_FLAG : 0), 2);
    add_short_text(out, message->content_type);
    add_number(out, FRAME_PERSISTENT, 1);
    if (message->id)
        add_short_text(out, message->id);
    frame_ends(out, begins);
    for (size_t at = 0; at < message->length;) {
        size_t left = message->length - at, most = frame_max - FRAME_AROUND;
        size_t length = left < most ? left : most;
        begins = frame_begins(out, AMQP_FRAME_BODY, channel);
        text_append(out, message->data + at, length);
        frame_ends(out, begins);
        at += length;
    }
}

/* 0, or an errno value. */
static int await_writable(int fd, int64_t deadline_ns)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};
    int64_t left_ms = (deadline_ns - rabbitmq_now_ns()) / RABBITMQ_NS_A_MS + 1;
    if (left_ms <= 0)
        return ETIMEDOUT;
    return poll(&wanted, 1, left_ms > 60000 ? 60000 : (int)left_ms) < 0 && errno != EINTR ? errno
                                                                                          : 0;
}

int rabbitmq_frames_send(int fd, struct text *out, int64_t deadline_ns)
{
    size_t sent = 0;
    int failed = out->overflow ? ENOMEM : 0;
    while (!failed && sent < out->length) {
        ssize_t more = send(fd, out->data + sent, out->length - sent, MSG_NOSIGNAL);
        if (more >= 0)
            sent += (size_t)more;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            failed = await_writable(fd, deadline_ns);
        else if (errno != EINTR)
            failed = errno;
    }
    text_clear(out);
    return failed;
}
