/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes by a consumer's connection, on its thread: frames, which become messages, which wait
 * for `take`. All that one look at the connection finds is handed over at once: a message at a time
 * would wake the loop for each of them, and a batch of events would be one event. A mark is the
 * number by which the server knows a delivery, counted on over all connections.
 *
 * Anybody who may publish to a topic's exchange can send what is no event of ours. What is larger
 * than a message may be is left out, and acknowledged at once; all else is handed out as it came,
 * and judged by whoever takes it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/rabbitmq/internal.h"

/* A server delivers what comes fast by ones and twos, and each look at the connection that finds
 * some wakes two threads. */
#define GATHER_BELOW_NS 300000 /* between two looks that found messages: then they gather */
#define GATHER_NS RABBITMQ_NS_A_MS
#define GATHER_COUNT_MIN 4 /* in that time: then they go on */

void rabbitmq_consumer_wake(struct rabbitmq_consumer *consumer)
{
    broker_signal(consumer->wake_fd);
}

/* The partition that a consumer's tag says; false: another's. */
static bool tag_partition(const struct rabbitmq_consumer *consumer, amqp_bytes_t tag, unsigned *ret)
{
    char text[16];
    if (tag.len >= sizeof text)
        return false;
    memcpy(text, tag.bytes, tag.len);
    text[tag.len] = '\0';
    *ret = (unsigned)strtoul(text, NULL, 10);
    return !rabbitmq_is_text(tag, RABBITMQ_OWNER_TAG) && *ret < consumer->topic.partitions;
}

static void message_begins(struct rabbitmq_consumer *consumer, const amqp_basic_deliver_t *deliver)
{
    struct rabbitmq_coming *coming = &consumer->coming;
    *coming = (struct rabbitmq_coming){.method = true, .tag = deliver->delivery_tag};
    coming->ours = tag_partition(consumer, deliver->consumer_tag, &coming->partition);
}

static void message_is_whole(struct rabbitmq_consumer *consumer)
{
    struct rabbitmq_coming *coming = &consumer->coming;
    struct rabbitmq_arrived *arrived = coming->arrived;
    uint64_t tag = coming->tag;
    bool ours = coming->ours;
    *coming = (struct rabbitmq_coming){0};
    if (!arrived) {
        if (ours)
            rabbitmq.amqp_basic_ack(consumer->link.connection, RABBITMQ_CHANNEL, tag, 0);
        return;
    }
    arrived->mark = consumer->newest_mark = consumer->base_mark + tag;
    *consumer->read.end = arrived;
    consumer->read.end = &arrived->next;
    consumer->read.count++;
    consumer->read.size += rabbitmq_arrived_size(arrived);
}

/* Whether those that follow are to be left to the connection for a while. One that comes alone is
 * never held up: the next one finds that the former was handed over long ago. */
static void gather_next(struct rabbitmq_consumer *consumer)
{
    int64_t now_ns = rabbitmq_now_ns();
    bool soon = now_ns - consumer->handed_over_ns < GATHER_BELOW_NS;
    bool goes_on = consumer->gather_until_ns && consumer->read.count >= GATHER_COUNT_MIN;
    consumer->gather_until_ns = soon || goes_on ? now_ns + GATHER_NS : 0;
    consumer->handed_over_ns = now_ns;
}

void rabbitmq_consumer_hand_over(struct rabbitmq_consumer *consumer)
{
    struct rabbitmq_list *read = &consumer->read, *waiting = &consumer->waiting;
    if (read->count == 0)
        return;
    gather_next(consumer);
    pthread_mutex_lock(&consumer->mutex);
    bool first = waiting->count == 0; /* `take` waits only when it has seen none */
    *waiting->end = read->first;
    waiting->end = read->end;
    waiting->count += read->count;
    waiting->size += read->size;
    pthread_mutex_unlock(&consumer->mutex);
    *read = (struct rabbitmq_list){.end = &read->first};
    if (first)
        rabbitmq_consumer_wake(consumer);
}

/* NULL: there is no memory. */
static struct rabbitmq_arrived *arrived_new(const struct rabbitmq_consumer *consumer, uint64_t size,
                                            const amqp_basic_properties_t *properties)
{
    bool source = consumer->source;
    size_t headers = source ? rabbitmq_headers(properties, NULL) : 0;
    struct rabbitmq_arrived *arrived = malloc(sizeof *arrived + size + headers);
    if (!arrived)
        return NULL;
    *arrived = (struct rabbitmq_arrived){.partition = consumer->coming.partition,
                                         .offset = source ? rabbitmq_offset_of(properties) : 0,
                                         .time_ms = source ? rabbitmq_time_of(properties) : 0,
                                         .length = size,
                                         .headers_size = headers};
    if (headers)
        rabbitmq_headers(properties, arrived->data + size);
    return arrived;
}

static bool message_has_header(struct rabbitmq_consumer *consumer, uint64_t size,
                               const amqp_basic_properties_t *properties, char *ret_why,
                               size_t why_size)
{
    struct rabbitmq_coming *coming = &consumer->coming;
    /* Of a source nothing is left out: what is too large comes as far as shows that. */
    uint64_t kept =
        consumer->source && size > BROKER_MESSAGE_SIZE_MAX ? BROKER_MESSAGE_SIZE_MAX + 1 : size;
    coming->header = true;
    coming->size = size;
    if (consumer->source && rabbitmq_offset_of(properties) < 0) {
        snprintf(ret_why, why_size, "the queue is no stream: its messages have no offsets");
        return false;
    }
    if (coming->ours && (consumer->source || size <= BROKER_MESSAGE_SIZE_MAX)) {
        coming->arrived = arrived_new(consumer, kept, properties);
        if (!coming->arrived) {
            snprintf(ret_why, why_size, "there is no memory for a message");
            return false;
        }
    }
    if (size == 0)
        message_is_whole(consumer);
    return true;
}

/* False: there is more than was said. */
static bool message_goes_on(struct rabbitmq_consumer *consumer, amqp_bytes_t part)
{
    struct rabbitmq_coming *coming = &consumer->coming;
    if (part.len > coming->size - coming->got)
        return false;
    uint64_t room = coming->arrived && coming->got < coming->arrived->length
                        ? coming->arrived->length - coming->got
                        : 0;
    if (room)
        memcpy(coming->arrived->data + coming->got, part.bytes, part.len < room ? part.len : room);
    coming->got += part.len;
    if (coming->got == coming->size)
        message_is_whole(consumer);
    return true;
}

static bool queue_attached(struct rabbitmq_consumer *consumer)
{
    consumer->attached++;
    consumer->attach_ns = rabbitmq_now_ns();
    return true;
}

static bool consumer_cancelled(struct rabbitmq_consumer *consumer, amqp_bytes_t tag, char *ret_why,
                               size_t size)
{
    consumer->superseded = rabbitmq_is_text(tag, RABBITMQ_OWNER_TAG);
    snprintf(ret_why, size, "%s",
             consumer->superseded ? "another consumer of this name has taken its place"
                                  : "a queue was deleted there");
    return false;
}

static bool method_frame(struct rabbitmq_consumer *consumer, const amqp_method_t *method,
                         char *ret_why, size_t size)
{
    char why[160];
    if (consumer->coming.method && method->id == AMQP_BASIC_DELIVER_METHOD)
        return false;
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        message_begins(consumer, method->decoded);
        return true;
    case AMQP_BASIC_CONSUME_OK_METHOD:
        return queue_attached(consumer);
    case AMQP_BASIC_CANCEL_METHOD:
        return consumer_cancelled(
            consumer, ((const amqp_basic_cancel_t *)method->decoded)->consumer_tag, ret_why, size);
    case AMQP_CHANNEL_CLOSE_METHOD:
        rabbitmq_link_closed(&consumer->link, method, why, sizeof why);
        snprintf(ret_why, size, "it delivers no more: %s", why);
        return false;
    default:
        return true;
    }
}

bool rabbitmq_consumer_frame(struct rabbitmq_consumer *consumer, const amqp_frame_t *frame,
                             char *ret_why, size_t size)
{
    const struct rabbitmq_coming *coming = &consumer->coming;
    snprintf(ret_why, size, "what came was no AMQP");
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        return method_frame(consumer, &frame->payload.method, ret_why, size);
    case AMQP_FRAME_HEADER:
        return coming->method && !coming->header &&
               message_has_header(consumer, frame->payload.properties.body_size,
                                  frame->payload.properties.decoded, ret_why, size);
    case AMQP_FRAME_BODY:
        return coming->header && message_goes_on(consumer, frame->payload.body_fragment);
    default:
        return true;
    }
}

static void forget_arrived(struct rabbitmq_list *list)
{
    struct rabbitmq_arrived *arrived;
    while ((arrived = list->first)) {
        list->first = arrived->next;
        free(arrived);
    }
    *list = (struct rabbitmq_list){.end = &list->first};
}

void rabbitmq_consumer_lost(struct rabbitmq_consumer *consumer, const char *why)
{
    free(consumer->coming.arrived);
    consumer->coming = (struct rabbitmq_coming){0};
    forget_arrived(&consumer->read);
    pthread_mutex_lock(&consumer->mutex);
    forget_arrived(&consumer->waiting);
    consumer->lost = true;
    snprintf(consumer->reason, sizeof consumer->reason, "%s", why);
    pthread_mutex_unlock(&consumer->mutex);
    rabbitmq_consumer_wake(consumer);
}
