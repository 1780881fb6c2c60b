/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to a topic's exchange. The server numbers those of a channel, and confirms each once
 * every queue that it goes to has it (a quorum queue: once most of its members have synced it), in
 * any order, one by one or all up to one. A message that no queue is bound for is confirmed too:
 * nobody has subscribed to it, and whoever does begins with later ones. A topic that is not there
 * ends the channel.
 *
 * A call that fails leaves its messages behind, confirmed or not: a confirm that comes later is of
 * a number that no later call has.
 */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/rabbitmq/frames.h"
#include "broker/rabbitmq/internal.h"

#define CONTENT_TYPE "application/cloudevents+json"
#define PERSISTENT 2
#define ID_LENGTH_MAX 255 /* bytes that a property may have */
#define LOOK_EVERY                                                                                 \
    64 /* messages: they are sent, and what the server has said meanwhile is read                  \
        */
#define SEND_SIZE ((size_t)64 << 10) /* or so many bytes */
/* Of messages that are sent at once: the largest, its frames, and as much as is sent before it. */
#define UNSENT_SIZE_MAX (2 * BROKER_MESSAGE_SIZE_MAX)

struct publishing {
    struct rabbitmq_broker *broker;
    const struct broker_topic *topic;
    const struct broker_message *messages;
    int count;
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
    uint64_t first;  /* the number of the first message */
    bool *confirmed; /* of each */
    int oldest;      /* all before it are confirmed */
    int missing;
    struct text unsent; /* frames */
};

/* A server that comes back without the stream confirms what goes there all the same. */
static enum fh_code look_for_stream(struct publishing *publishing)
{
    struct rabbitmq_broker *broker = publishing->broker;
    if (!broker->options.outside_kept_s || broker->held == broker->link.channels)
        return FH_OK;
    enum fh_code code = rabbitmq_topic_declare(&broker->link, publishing->topic, publishing->error);
    broker->held = code ? 0 : broker->link.channels;
    return code;
}

/* FH_OK: the channel is there, and confirms. */
static enum fh_code open_confirming_channel(struct publishing *publishing)
{
    struct rabbitmq_broker *broker = publishing->broker;
    struct rabbitmq_link *link = &broker->link;
    if (!link->connection)
        return rabbitmq_link_state(link, publishing->error);
    if (link->channel && broker->confirms == link->channels)
        return FH_OK;
    rabbitmq_link_until(link, publishing->deadline_ns);
    enum fh_code code = rabbitmq_link_channel(link, publishing->error);
    if (!code)
        code = look_for_stream(publishing);
    if (code)
        return code;
    rabbitmq.amqp_confirm_select(link->connection, RABBITMQ_CHANNEL);
    code = rabbitmq_link_answer(link, "confirms no messages", publishing->error);
    broker->confirms = code == FH_OK ? link->channels : 0;
    broker->published = 0;
    return code;
}

static void confirm_one(struct publishing *publishing, int at)
{
    publishing->missing -= !publishing->confirmed[at];
    publishing->confirmed[at] = true;
}

static void confirm_messages(struct publishing *publishing, uint64_t number, bool all_before)
{
    if (number < publishing->first || number - publishing->first >= (uint64_t)publishing->count)
        return;
    int at = (int)(number - publishing->first);
    confirm_one(publishing, at);
    for (int i = publishing->oldest; all_before && i < at; i++)
        confirm_one(publishing, i);
    while (publishing->oldest < publishing->count && publishing->confirmed[publishing->oldest])
        publishing->oldest++;
}

static enum fh_code publishing_refused(struct publishing *publishing, const char *what,
                                       const char *why)
{
    const struct rabbitmq_options *options = &publishing->broker->options;
    return error_set(publishing->error, FH_UNAVAILABLE, "RabbitMQ at %.100s:%d %s%s.",
                     options->host, options->port, what, why);
}

static enum fh_code channel_frame(struct publishing *publishing, const amqp_frame_t *frame)
{
    const amqp_method_t *method = &frame->payload.method;
    char why[160];
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return FH_OK;
    if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = method->decoded;
        confirm_messages(publishing, ack->delivery_tag, ack->multiple);
    } else if (method->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = method->decoded;
        if (nack->delivery_tag >= publishing->first)
            return publishing_refused(publishing, "could not store what was published",
                                      ": a queue has no leader, or is being deleted");
    } else if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        rabbitmq_link_closed(&publishing->broker->link, method, why, sizeof why);
        return publishing_refused(publishing, "did not take what was published: ", why);
    }
    return FH_OK;
}

/* Reads until then what the server says, or until it has confirmed everything. */
static enum fh_code read_confirms(struct publishing *publishing, int64_t until_ns)
{
    struct rabbitmq_link *link = &publishing->broker->link;
    amqp_frame_t frame;
    enum fh_code code = FH_OK;
    int got = 1;
    while (code == FH_OK && got > 0 && publishing->missing && !link->blocked) {
        got = rabbitmq_link_frame(link, &frame, until_ns);
        if (got > 0)
            code = channel_frame(publishing, &frame);
        else if (got < 0)
            code = rabbitmq_link_state(link, publishing->error);
    }
    if (code == FH_OK && link->blocked && publishing->missing) {
        pthread_mutex_lock(&link->mutex);
        code = error_set(publishing->error, FH_UNAVAILABLE, "%s", link->reason);
        pthread_mutex_unlock(&link->mutex);
    }
    return code;
}

/* By the library, which alone can write to a connection with TLS. */
static enum fh_code send_by_library(struct publishing *publishing,
                                    const struct rabbitmq_frames_message *message)
{
    struct rabbitmq_broker *broker = publishing->broker;
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_CONTENT_TYPE_FLAG |
                                                    AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .content_type = rabbitmq_bytes(message->content_type),
                                          .delivery_mode = PERSISTENT};
    if (message->id) {
        properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        properties.message_id = rabbitmq_bytes(message->id);
    }
    amqp_bytes_t body = {message->length, (void *)(uintptr_t)message->data};
    int status = rabbitmq.amqp_basic_publish(broker->link.connection, RABBITMQ_CHANNEL,
                                             rabbitmq_bytes(message->exchange),
                                             rabbitmq_bytes(message->key), 0, 0, &properties, body);
    if (status == AMQP_STATUS_OK)
        return FH_OK;
    rabbitmq_link_lose(&broker->link, rabbitmq.amqp_error_string2(status));
    return rabbitmq_link_state(&broker->link, publishing->error);
}

/* Nothing else is written to the connection while some of it is. */
static enum fh_code send_unsent(struct publishing *publishing)
{
    struct rabbitmq_link *link = &publishing->broker->link;
    char why[128];
    if (publishing->unsent.length == 0 && !publishing->unsent.overflow)
        return FH_OK;
    int failed = rabbitmq_frames_send(rabbitmq.amqp_get_sockfd(link->connection),
                                      &publishing->unsent, publishing->deadline_ns);
    if (!failed)
        return FH_OK;
    snprintf(why, sizeof why, "it takes no messages: %s", strerrordesc_np(failed));
    rabbitmq_link_lose(link, why);
    return rabbitmq_link_state(link, publishing->error);
}

static enum fh_code send_event(struct publishing *publishing, const struct broker_message *message)
{
    struct rabbitmq_broker *broker = publishing->broker;
    char exchange[RABBITMQ_NAME_SIZE], key[16];
    const struct rabbitmq_frames_message sent = {
        .exchange = exchange,
        .key = key,
        .content_type = CONTENT_TYPE,
        .id = message->id && strlen(message->id) <= ID_LENGTH_MAX ? message->id : NULL,
        .data = message->data,
        .length = message->length};
    rabbitmq_exchange_name(publishing->topic, exchange);
    snprintf(key, sizeof key, "%u", message->partition);
    broker->published++;
    if (broker->options.tls.verify)
        return send_by_library(publishing, &sent);
    rabbitmq_frames_add(&publishing->unsent, RABBITMQ_CHANNEL,
                        (size_t)rabbitmq.amqp_get_frame_max(broker->link.connection), &sent);
    return publishing->unsent.length < SEND_SIZE && !publishing->unsent.overflow
               ? FH_OK
               : send_unsent(publishing);
}

/* What was sent, and what the server has said meanwhile. */
static enum fh_code look_meanwhile(struct publishing *publishing, int64_t until_ns)
{
    enum fh_code code = send_unsent(publishing);
    return code ? code : read_confirms(publishing, until_ns);
}

static enum fh_code publish_all(struct publishing *publishing)
{
    enum fh_code code = open_confirming_channel(publishing);
    publishing->first = publishing->broker->published + 1;
    publishing->missing = publishing->count;
    if (!code)
        code = read_confirms(publishing, 0); /* it may have been blocked meanwhile */
    for (int i = 0; i < publishing->count && !code; i++) {
        code = send_event(publishing, &publishing->messages[i]);
        if (!code && i % LOOK_EVERY == LOOK_EVERY - 1)
            code = look_meanwhile(publishing, 0);
    }
    if (!code)
        code = look_meanwhile(publishing, publishing->deadline_ns);
    if (!code && publishing->missing) {
        char why[64];
        snprintf(why, sizeof why, "%d of %d messages, of partition %u and others",
                 publishing->missing, publishing->count,
                 publishing->messages[publishing->oldest].partition);
        code = publishing_refused(publishing, "did not confirm in time ", why);
    }
    return code;
}

static void publish_now(void *argument)
{
    struct publishing *publishing = argument;
    text_init(&publishing->unsent, UNSENT_SIZE_MAX);
    publishing->confirmed = calloc((size_t)publishing->count + 1, sizeof *publishing->confirmed);
    publishing->code = publishing->confirmed ? publish_all(publishing)
                                             : error_set(publishing->error, FH_NO_MEMORY,
                                                         "There is no memory to publish messages.");
    free(publishing->confirmed);
    text_release(&publishing->unsent);
}

enum fh_code rabbitmq_publish(struct broker *base, const struct broker_topic *topic,
                              const struct broker_message *messages, int count, int64_t deadline_ns,
                              struct fh_error *error)
{
    struct rabbitmq_broker *broker = rabbitmq_of(base);
    struct publishing publishing = {.broker = broker,
                                    .topic = topic,
                                    .messages = messages,
                                    .count = count,
                                    .deadline_ns = deadline_ns,
                                    .error = error};
    enum fh_code code = rabbitmq_link_state(&broker->link, error);
    for (int i = 0; i < count && !code; i++) {
        if (messages[i].length > BROKER_MESSAGE_SIZE_MAX)
            code = error_set(error, FH_INVALID, "A message has %zu bytes; %zu are the most.",
                             messages[i].length, BROKER_MESSAGE_SIZE_MAX);
    }
    if (code)
        return code;
    rabbitmq_run(base->world, &broker->link, broker->worker, publish_now, &publishing, deadline_ns);
    return publishing.code;
}
