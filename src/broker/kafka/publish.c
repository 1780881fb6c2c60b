/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing. The messages of a call are handed to the idempotent producer, which sends them again
 * for as long as it takes; the call waits until each was delivered, or for its deadline.
 *
 *     all delivered                FH_OK
 *     the deadline, or no server   FH_UNAVAILABLE, and the producer keeps them: if the next call
 *                                  brings the same messages, they are not sent twice, but waited
 *                                  for once more. So whoever repeats a call until it succeeds, as
 *                                  a relay does, has each message once in the topic, unless
 *     one was refused,             the producer is replaced by a new one, which knows nothing of
 *     the producer has failed,     the former one's. What that had sent may be in the topic, or
 *     other messages come next     get there still, and comes again
 *     the process dies             likewise
 *
 * The topic is looked for before the first message and after each failure: the library would hold
 * messages for one that is not there.
 */

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "broker/kafka/internal.h"
#include "world/world.h"

#define FLUSH_SLICE_MS 100 /* between two looks at the connection */
#define CONTENT_TYPE "content-type"
#define CONTENT_TYPE_VALUE "application/cloudevents+json; charset=UTF-8"

struct kafka_publishing {
    struct kafka_broker *broker;
    const struct broker_topic *topic;
    const struct broker_message *messages;
    int count;
    int64_t deadline_ns;
    enum fh_code code;
    struct fh_error *error;
};

/* Of all that decides what a call puts into which partition. */
static uint64_t publishing_digest(const struct kafka_publishing *publishing)
{
    uint64_t digest = XXH3_64bits(publishing->topic->name, strlen(publishing->topic->name));
    for (int i = 0; i < publishing->count; i++) {
        const struct broker_message *message = &publishing->messages[i];
        uint64_t part[3] = {digest, message->partition, message->length};
        digest =
            XXH3_64bits_withSeed(message->data, message->length, XXH3_64bits(part, sizeof part));
    }
    return digest;
}

/* ---- the topic ---- */

static void forget_topic(struct kafka_broker *broker)
{
    if (broker->topic)
        kafka.rd_kafka_topic_destroy(broker->topic);
    broker->topic = NULL;
}

static enum fh_code find_topic(struct kafka_publishing *publishing)
{
    struct kafka_broker *broker = publishing->broker;
    const struct rd_kafka_metadata *metadata;
    char name[KAFKA_WORD_SIZE];
    kafka_topic_name(publishing->topic, name);
    if (broker->topic && strcmp(name, broker->topic_name) == 0)
        return FH_OK;
    forget_topic(broker);
    enum fh_code code = kafka_look(broker->client, &broker->options, name, publishing->deadline_ns,
                                   &metadata, publishing->error);
    if (code)
        return code;
    rd_kafka_resp_err_t err = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                                       : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    unsigned partitions = err ? 0 : (unsigned)metadata->topics[0].partition_cnt;
    kafka.rd_kafka_metadata_destroy(metadata);
    if (err)
        return kafka_failed(&broker->options, "can't publish to a topic", err, NULL,
                            publishing->error);
    broker->topic = kafka.rd_kafka_topic_new(broker->client->handle, name, NULL);
    FH_ASSERT(broker->topic != NULL);
    memcpy(broker->topic_name, name, sizeof name);
    broker->topic_partitions = partitions;
    return FH_OK;
}

/* ---- sending ---- */

static rd_kafka_resp_err_t produce_message(struct kafka_broker *broker,
                                           const struct broker_message *message)
{
    if (message->partition >= broker->topic_partitions)
        return RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = broker->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = (int32_t)message->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = broker},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)(uintptr_t)message->data, message->length}},
        {.vtype = RD_KAFKA_VTYPE_HEADER,
         .u.header = {CONTENT_TYPE, CONTENT_TYPE_VALUE, sizeof CONTENT_TYPE_VALUE - 1}},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {(void *)(uintptr_t)message->key, message->key ? strlen(message->key) : 0}},
    };
    size_t count = sizeof parts / sizeof *parts - !(message->key && *message->key);
    rd_kafka_error_t *failed = kafka.rd_kafka_produceva(broker->client->handle, parts, count);
    if (!failed) {
        broker->outstanding++;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_resp_err_t err = kafka.rd_kafka_error_code(failed);
    kafka.rd_kafka_error_destroy(failed);
    return err;
}

static void wait_for_deliveries(struct kafka_publishing *publishing)
{
    struct kafka_broker *broker = publishing->broker;
    struct world *world = broker->base.world;
    int64_t began_ns = world_monotonic_ns(world);
    do {
        int left_ms = kafka_left_ms(world, publishing->deadline_ns, FLUSH_SLICE_MS);
        kafka.rd_kafka_flush(broker->client->handle, left_ms);
    } while (broker->outstanding > 0 && !broker->refused &&
             !kafka_client_is_lost(broker->client, began_ns) &&
             world_monotonic_ns(world) < publishing->deadline_ns);
}

/* Gives up what the producer has of another call, and the producer with it. */
static enum fh_code abandon_producer(struct kafka_publishing *publishing, struct fh_error *error)
{
    struct kafka_broker *broker = publishing->broker;
    kafka.rd_kafka_purge(broker->client->handle,
                         RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    return kafka_client_renew(broker, true, error);
}

static enum fh_code produce_all(struct kafka_publishing *publishing, uint64_t digest)
{
    struct kafka_broker *broker = publishing->broker;
    enum fh_code code = find_topic(publishing);
    if (code)
        return code;
    broker->digest = digest;
    broker->unfinished = true;
    broker->refused = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < publishing->count && !broker->refused; i++)
        broker->refused = produce_message(broker, &publishing->messages[i]);
    return FH_OK;
}

static void kafka_publish_now(void *argument)
{
    struct kafka_publishing *publishing = argument;
    struct kafka_broker *broker = publishing->broker;
    uint64_t digest = publishing_digest(publishing);
    enum fh_code code = FH_OK;
    if (!broker->client || !broker->publishes)
        code = kafka_client_renew(broker, true, publishing->error);
    else if (broker->unfinished && broker->digest != digest)
        code = abandon_producer(publishing, publishing->error);
    if (!code && !broker->unfinished)
        code = produce_all(publishing, digest);
    if (!code) {
        wait_for_deliveries(publishing);
        if (broker->refused)
            code = kafka_failed(&broker->options, "did not take all that was published",
                                broker->refused, NULL, publishing->error);
        else if (broker->outstanding > 0)
            code = kafka_client_failed(broker->client, &broker->options,
                                       "did not acknowledge all that was published",
                                       RD_KAFKA_RESP_ERR__TIMED_OUT, publishing->error);
    }
    publishing->code = code;
    if (code)
        forget_topic(broker);
    else
        broker->unfinished = false;
    if (code && broker->refused && broker->client)
        abandon_producer(publishing, ERROR_UNHEEDED);
}

enum fh_code kafka_publish(struct broker *base, const struct broker_topic *topic,
                           const struct broker_message *messages, int count, int64_t deadline_ns,
                           struct fh_error *error)
{
    struct kafka_broker *broker = kafka_of(base);
    struct kafka_publishing publishing = {.broker = broker,
                                          .topic = topic,
                                          .messages = messages,
                                          .count = count,
                                          .deadline_ns = deadline_ns,
                                          .error = error};
    for (int i = 0; i < count; i++) {
        if (messages[i].length > BROKER_MESSAGE_SIZE_MAX)
            return error_set(error, FH_INVALID, "A message has %zu bytes; %zu are the most.",
                             messages[i].length, BROKER_MESSAGE_SIZE_MAX);
    }
    broker_worker_run(broker->producer, kafka_publish_now, &publishing);
    return publishing.code;
}
