/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source: a stream of others', or of a super stream, whose partitions are the streams TOPIC-0,
 * TOPIC-1, ... It is read by a consumer of AMQP 0-9-1 with "x-stream-offset"; each message says its
 * offset in a header of that name. What is acknowledged is forgotten by nobody: the server only
 * delivers more for it.
 *
 * AMQP does not tell what a stream has. So before it is read, another connection looks: at the
 * first message, and at those of the last chunk, the newest of which is the stream's last. A server
 * has sent what there is of them before it answers the next call on their channel. A queue that is
 * no stream names no offsets: then nothing is acknowledged, and all goes back to where it was.
 *
 * Nor does it tell when a stream was made: only of which cluster it is. One that was made anew
 * looks as before, except for its offsets, so that whoever reads it compares messages.
 *
 * A connection that is lost ends the consumer: whoever reads knows how far it is.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/rabbitmq/internal.h"

#define LOOKED_AT_ONCE 500 /* messages of the last chunk */
#define LOOKS_MAX 200
#define LOOK_AGAIN_MS 500 /* for a stream in which nothing was seen: it may come yet */
#define SUPER_STREAM_MAX 64
#define FIRST "first" /* an offset, and a consumer's tag */
#define LAST "last"

struct rabbitmq_attaching {
    struct rabbitmq_consumer *consumer;
    const char *topic;
    struct broker_extent *extent;
    int64_t from, deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};

struct stream_look {
    struct rabbitmq_link link;
    int64_t oldest, newest; /* -1: none was seen */
    uint64_t tag;           /* of the newest delivery */
    bool first;             /* it is the first message's */
    bool came;              /* some of the last chunk's, since the last call */
    bool no_offset;         /* of a message: this is no stream */
};

/* ---- which stream it is ---- */

static enum fh_code find_queue(struct rabbitmq_link *link, const char *name, int64_t deadline_ns,
                               bool *ret_there, struct fh_error *error)
{
    amqp_table_t none = {0, NULL};
    rabbitmq_link_until(link, deadline_ns);
    enum fh_code code = rabbitmq_link_channel(link, error);
    if (code)
        return code;
    rabbitmq.amqp_queue_declare(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(name), 1, 0, 0,
                                0, none);
    code = rabbitmq_link_answer(link, "can't look for a stream", error);
    *ret_there = code == FH_OK;
    return code == FH_NOT_FOUND ? rabbitmq_link_channel(link, error) : code;
}

static enum fh_code find_stream(struct rabbitmq_attaching *attaching)
{
    struct rabbitmq_consumer *consumer = attaching->consumer;
    struct rabbitmq_link *link = &consumer->link;
    unsigned count = 0;
    bool there = false;
    snprintf(consumer->stream, sizeof consumer->stream, "%s", attaching->topic);
    enum fh_code code =
        find_queue(link, consumer->stream, attaching->deadline_ns, &there, attaching->error);
    if (code || (there && consumer->index == 0)) {
        attaching->extent->partitions = 1;
        return code;
    }
    for (bool more = !there; more && !code && count < SUPER_STREAM_MAX; count += more) {
        snprintf(consumer->stream, sizeof consumer->stream, "%.240s-%u", attaching->topic, count);
        code = find_queue(link, consumer->stream, attaching->deadline_ns, &more, attaching->error);
    }
    if (code)
        return code;
    attaching->extent->partitions = there ? 1 : count;
    if (consumer->index >= attaching->extent->partitions)
        return error_set(attaching->error, FH_UNAVAILABLE,
                         "RabbitMQ at %.64s:%d has %s %.100s with partition %u.",
                         link->options->host, link->options->port,
                         there || count ? "no super stream" : "neither a stream nor a super stream",
                         attaching->topic, consumer->index);
    snprintf(consumer->stream, sizeof consumer->stream, "%.240s-%u", attaching->topic,
             consumer->index);
    return FH_OK;
}

/* One that is not told would look like another one. */
static void name_rabbitmq_cluster(const struct rabbitmq_link *link, char *ret, size_t size)
{
    const amqp_table_t *said = rabbitmq.amqp_get_server_properties(link->connection);
    snprintf(ret, size, "rabbitmq");
    for (int i = 0; said && i < said->num_entries; i++) {
        const amqp_table_entry_t *entry = &said->entries[i];
        if (rabbitmq_is_text(entry->key, "cluster_name") &&
            entry->value.kind == AMQP_FIELD_KIND_UTF8)
            snprintf(
                ret, size, "%.*s",
                (int)(entry->value.value.bytes.len < size ? entry->value.value.bytes.len : size),
                (const char *)entry->value.value.bytes.bytes);
    }
}

/* ---- what it has ---- */

static enum fh_code ask_from(struct rabbitmq_link *link, const char *stream, const char *offset,
                             unsigned at_once, struct fh_error *error)
{
    amqp_table_entry_t entry = {
        .key = rabbitmq_bytes(RABBITMQ_STREAM_OFFSET),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = rabbitmq_bytes(offset)}};
    amqp_table_t arguments = {1, &entry};
    rabbitmq.amqp_basic_qos(link->connection, RABBITMQ_CHANNEL, 0, (uint16_t)at_once, 0);
    enum fh_code code = rabbitmq_link_answer(link, "can't bound what it delivers", error);
    if (code)
        return code;
    rabbitmq.amqp_basic_consume(link->connection, RABBITMQ_CHANNEL, rabbitmq_bytes(stream),
                                rabbitmq_bytes(offset), 0, 0, 0, arguments);
    code = rabbitmq_link_answer(link, "does not let us read a queue as a stream", error);
    return code == FH_CONFLICT ? FH_INVALID : code;
}

static void look_at_frame(struct stream_look *look, const amqp_frame_t *frame)
{
    if (frame->frame_type == AMQP_FRAME_METHOD &&
        frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
        const amqp_basic_deliver_t *deliver = frame->payload.method.decoded;
        look->tag = deliver->delivery_tag;
        look->first = rabbitmq_is_text(deliver->consumer_tag, FIRST);
    }
    if (frame->frame_type != AMQP_FRAME_HEADER)
        return;
    int64_t offset = rabbitmq_offset_of(frame->payload.properties.decoded);
    look->no_offset |= offset < 0;
    look->came |= !look->first;
    if (look->oldest < 0 || offset < look->oldest)
        look->oldest = offset;
    if (offset > look->newest)
        look->newest = offset;
}

/* What was delivered by now. */
static bool look_until_answered(struct stream_look *look, int64_t deadline_ns)
{
    amqp_basic_qos_t call = {.prefetch_count = LOOKED_AT_ONCE};
    amqp_frame_t frame;
    look->came = false;
    if (rabbitmq.amqp_send_method(look->link.connection, RABBITMQ_CHANNEL, AMQP_BASIC_QOS_METHOD,
                                  &call) != AMQP_STATUS_OK)
        return false;
    while (rabbitmq_link_frame(&look->link, &frame, deadline_ns) > 0) {
        if (frame.frame_type == AMQP_FRAME_METHOD &&
            frame.payload.method.id == AMQP_BASIC_QOS_OK_METHOD)
            return true;
        if (frame.frame_type == AMQP_FRAME_METHOD &&
            (frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD ||
             frame.payload.method.id == AMQP_BASIC_CANCEL_METHOD))
            return false;
        look_at_frame(look, &frame);
    }
    return false;
}

/* An empty stream is one in which nothing is seen for a while. */
static bool look_at_stream(struct stream_look *look, int64_t deadline_ns)
{
    int64_t again_ns = rabbitmq_in_ms(LOOK_AGAIN_MS);
    amqp_frame_t frame;
    for (int i = 0; i < LOOKS_MAX; i++) {
        if (!look_until_answered(look, deadline_ns))
            return false;
        if (look->no_offset || (look->newest >= 0 && !look->came))
            return true;
        if (look->came) {
            if (rabbitmq.amqp_basic_ack(look->link.connection, RABBITMQ_CHANNEL, look->tag, 1) !=
                AMQP_STATUS_OK)
                return false;
        } else {
            int got = rabbitmq_link_frame(&look->link, &frame, again_ns);
            if (got <= 0)
                return got == 0;
            look_at_frame(look, &frame);
        }
    }
    return true; /* it grows as fast as it is read */
}

static enum fh_code measure_others_stream(struct rabbitmq_attaching *attaching)
{
    struct rabbitmq_consumer *consumer = attaching->consumer;
    struct stream_look look = {.oldest = -1, .newest = -1};
    rabbitmq_link_init(&look.link, &consumer->options);
    enum fh_code code = rabbitmq_link_open(&look.link, attaching->deadline_ns, attaching->error);
    if (!code)
        code = ask_from(&look.link, consumer->stream, FIRST, 1, attaching->error);
    if (!code)
        code = ask_from(&look.link, consumer->stream, LAST, LOOKED_AT_ONCE, attaching->error);
    if (!code && !look_at_stream(&look, attaching->deadline_ns))
        code = error_set(attaching->error, FH_UNAVAILABLE,
                         "RabbitMQ at %.64s:%d does not tell what the stream %.100s has.",
                         consumer->options.host, consumer->options.port, consumer->stream);
    else if (!code && look.no_offset)
        code = error_set(attaching->error, FH_INVALID,
                         "RabbitMQ's queue %.100s is no stream: its messages have no offsets.",
                         consumer->stream);
    rabbitmq_link_release(&look.link);
    if (code)
        return code;
    attaching->extent->end = look.newest + 1;
    attaching->extent->oldest = look.newest < 0 ? 0 : look.oldest;
    return FH_OK;
}

/* ---- attach ---- */

static void begin_stream(struct rabbitmq_attaching *attaching)
{
    struct rabbitmq_consumer *consumer = attaching->consumer;
    const struct broker_extent *extent = attaching->extent;
    int64_t from = attaching->from == BROKER_FROM_END ? extent->end
                   : attaching->from < extent->oldest ? extent->oldest
                                                      : attaching->from;
    if (from > extent->end) {
        attaching->code = error_set(attaching->error, FH_CONFLICT,
                                    "RabbitMQ has the stream %.100s up to %lld, and not up to "
                                    "%lld.",
                                    consumer->stream, (long long)extent->end, (long long)from);
        return;
    }
    consumer->from = from;
    attaching->code =
        rabbitmq_consumer_bound(&consumer->link, attaching->deadline_ns, attaching->error);
    consumer->bound = attaching->code == FH_OK; /* its thread goes on from here */
}

static void stream_attach_now(void *argument)
{
    struct rabbitmq_attaching *attaching = argument;
    struct rabbitmq_consumer *consumer = attaching->consumer;
    struct broker_extent *ret = attaching->extent, extent = {0};
    attaching->extent = &extent;
    attaching->code = rabbitmq_link_open(&consumer->link, attaching->deadline_ns, attaching->error);
    if (!attaching->code)
        name_rabbitmq_cluster(&consumer->link, extent.identity, sizeof extent.identity);
    if (!attaching->code)
        attaching->code = find_stream(attaching);
    if (!attaching->code)
        attaching->code = measure_others_stream(attaching);
    if (attaching->code)
        return;
    *ret = extent;
    consumer->base.end = extent.end;
    begin_stream(attaching);
}

enum fh_code rabbitmq_attach(struct broker *base, const char *topic, unsigned partition,
                             int64_t from, int64_t deadline_ns, struct broker_extent *ret_extent,
                             struct broker_consumer **ret, struct fh_error *error)
{
    *ret = NULL;
    if (strlen(topic) > RABBITMQ_STREAM_LENGTH_MAX)
        return error_set(error, FH_INVALID, "A stream of RabbitMQ has a name of %d bytes at most.",
                         RABBITMQ_STREAM_LENGTH_MAX);
    struct rabbitmq_consumer *consumer;
    enum fh_code code = rabbitmq_source_new(base, partition, &consumer, error);
    if (code)
        return code;
    struct rabbitmq_attaching attaching = {.consumer = consumer,
                                           .topic = topic,
                                           .extent = ret_extent,
                                           .from = from,
                                           .deadline_ns = deadline_ns,
                                           .error = error};
    rabbitmq_run(base->world, &consumer->link, consumer->worker, stream_attach_now, &attaching,
                 deadline_ns);
    if (attaching.code) {
        rabbitmq_unconsume(&consumer->base);
        return attaching.code;
    }
    *ret = &consumer->base;
    return FH_OK;
}
