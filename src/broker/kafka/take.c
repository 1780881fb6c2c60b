/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a consumer. The library fetches ahead, and wakes the loop when its queue is no longer
 * empty; taking from it waits for nobody. A server answers fetches twice a second even when there
 * is nothing new, so one that is silent for longer is not there.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/kafka/internal.h"
#include "world/world.h"

#define NS_A_MS INT64_C(1000000)
/* How long a fiber waits before it looks at the connection again. */
#define TAKE_LOOK_NS (1000 * NS_A_MS)
#define SILENT_NS (3000 * NS_A_MS)

/* ---- taking ---- */

static void free_kafka_taken(struct kafka_consumer *consumer)
{
    for (int i = 0; i < consumer->taken_count; i++)
        kafka.rd_kafka_message_destroy(consumer->taken[i]);
    consumer->taken_count = 0;
}

/* Of more than KAFKA_MARKS_MAX the oldest are forgotten: acknowledging them does nothing. */
static void add_mark(struct kafka_consumer *consumer, const rd_kafka_message_t *message)
{
    unsigned at = (consumer->first_mark + consumer->mark_count) % KAFKA_MARKS_MAX;
    consumer->marks[at] = (struct kafka_mark){
        .mark = ++consumer->mark, .next = message->offset + 1, .partition = message->partition};
    if (consumer->mark_count < KAFKA_MARKS_MAX)
        consumer->mark_count++;
    else
        consumer->first_mark = (consumer->first_mark + 1) % KAFKA_MARKS_MAX;
}

static struct broker_message kafka_message_of(rd_kafka_message_t *message, uint64_t mark)
{
    rd_kafka_timestamp_type_t kind;
    int64_t time_ms = kafka.rd_kafka_message_timestamp(message, &kind);
    return (struct broker_message){.partition = (unsigned)message->partition,
                                   .data = message->payload ? message->payload : "",
                                   .length = message->payload ? message->len : 0,
                                   .key = message->key,
                                   .key_length = message->key ? message->key_len : 0,
                                   .mark = mark,
                                   .offset = message->offset,
                                   .time_ms = time_ms > 0 ? time_ms : 0,
                                   .native = message};
}

/* Messages, and between them what is wrong with a partition. */
static int take_from_queue(struct kafka_consumer *consumer, struct broker_message *messages,
                           int max)
{
    rd_kafka_message_t *queued[BROKER_TAKE_MAX];
    ssize_t queued_count =
        kafka.rd_kafka_consume_batch_queue(consumer->queue, 0, queued, (size_t)max);
    int count = 0;
    for (ssize_t i = 0; i < queued_count; i++) {
        rd_kafka_message_t *message = queued[i];
        if (message->err || (consumer->source && consumer->failed)) {
            if (message->err)
                consumer->failed = message->err;
            kafka.rd_kafka_message_destroy(message);
            continue;
        }
        add_mark(consumer, message);
        consumer->taken[count] = message;
        messages[count++] = kafka_message_of(message, consumer->mark);
    }
    consumer->taken_count = count;
    return count;
}

/* As of the last answer to a fetch. */
static void learn_end(struct kafka_consumer *consumer)
{
    int64_t oldest, end;
    if (kafka.rd_kafka_get_watermark_offsets(consumer->client->handle, consumer->topic,
                                             (int32_t)consumer->index, &oldest,
                                             &end) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        end > consumer->base.end)
        consumer->base.end = end;
}

static void forget_kafka_wakes(struct kafka_consumer *consumer)
{
    uint64_t unused;
    while (read(consumer->wake_fd, &unused, sizeof unused) < 0 && errno == EINTR)
        ;
}

/* Whether messages can come. */
static enum fh_code judge_consumer(struct kafka_consumer *consumer, int64_t now_ns,
                                   struct fh_error *error)
{
    struct kafka_client *client = consumer->client;
    const struct kafka_options *options = &kafka_of(consumer->base.broker)->options;
    rd_kafka_resp_err_t failed = consumer->failed;
    unsigned answers = atomic_load(&client->answers);
    if (answers != consumer->answers)
        consumer->quiet_ns = now_ns;
    consumer->answers = answers;
    consumer->failed = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (failed)
        return kafka_failed(options, "can't deliver a topic's messages", failed, NULL, error);
    if (atomic_load(&client->lost))
        return kafka_client_failed(client, options, "is lost", RD_KAFKA_RESP_ERR__TRANSPORT, error);
    if (now_ns - consumer->quiet_ns > SILENT_NS)
        return kafka_failed(options, "does not answer", RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, error);
    return FH_OK;
}

enum fh_code kafka_take(struct broker_consumer *base, struct broker_message *messages, int max,
                        int64_t deadline_ns, int *ret_count, struct fh_error *error)
{
    struct kafka_consumer *consumer = (struct kafka_consumer *)base;
    struct world *world = base->broker->world;
    FH_ASSERT(max >= 1 && max <= BROKER_TAKE_MAX);
    free_kafka_taken(consumer);
    for (;;) {
        forget_kafka_wakes(consumer);
        /* Of a source nothing is taken behind an error: something may be missing there. */
        *ret_count =
            consumer->source && consumer->failed ? 0 : take_from_queue(consumer, messages, max);
        int64_t now_ns = world_monotonic_ns(world);
        if (*ret_count) {
            consumer->quiet_ns = now_ns;
            if (consumer->source)
                learn_end(consumer);
            return FH_OK;
        }
        enum fh_code code = judge_consumer(consumer, now_ns, error);
        if (code)
            consumer->acknowledged = false; /* it may be another topic that comes back */
        if (code || now_ns >= deadline_ns || base->cancelled)
            return code;
        world_wait_for(world, consumer->wake_fd, WORLD_READABLE,
                       now_ns + TAKE_LOOK_NS < deadline_ns ? now_ns + TAKE_LOOK_NS : deadline_ns);
    }
}

void kafka_wake(struct broker_consumer *base)
{
    broker_signal(((struct kafka_consumer *)base)->wake_fd);
}

/* ---- acknowledging ---- */

/* Leaves it to the library to commit, with what comes after in the same second. */
void kafka_acknowledge(struct broker_consumer *base, uint64_t mark)
{
    struct kafka_consumer *consumer = (struct kafka_consumer *)base;
    int64_t next[BROKER_PARTITIONS_MAX] = {0};
    rd_kafka_topic_partition_list_t *list = NULL;
    while (consumer->mark_count > 0 && consumer->marks[consumer->first_mark].mark <= mark) {
        const struct kafka_mark *passed = &consumer->marks[consumer->first_mark];
        if (passed->partition >= 0 && passed->partition < BROKER_PARTITIONS_MAX)
            next[passed->partition] = passed->next;
        consumer->first_mark = (consumer->first_mark + 1) % KAFKA_MARKS_MAX;
        consumer->mark_count--;
        consumer->acknowledged = true;
    }
    list = kafka.rd_kafka_topic_partition_list_new(1);
    for (unsigned i = consumer->index; i < consumer->partitions; i += consumer->of) {
        if (next[i])
            kafka.rd_kafka_topic_partition_list_add(list, consumer->topic, (int32_t)i)->offset =
                next[i];
    }
    if (list->cnt > 0)
        kafka.rd_kafka_offsets_store(consumer->client->handle, list);
    kafka.rd_kafka_topic_partition_list_destroy(list);
}
